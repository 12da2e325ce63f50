//! Between a host's channels and the frames of a ring.

/// Writes frames `from ..` of `channels` into `rows`, `[frame][channel]`, as many as there are.
pub(super) fn interleave(channels: &[&[f32]], from: usize, rows: &mut [f32]) {
    if let [channel] = channels {
        return rows.copy_from_slice(&channel[from..][..rows.len()]);
    }
    for (i, row) in (from..).zip(rows.chunks_exact_mut(channels.len())) {
        channels.iter().zip(row).for_each(|(channel, value)| *value = channel[i]);
    }
}

/// Writes `rows`, `[frame][channel]`, into `channels` from frame `to` on.
pub(super) fn separate(rows: &[f32], channels: &mut [&mut [f32]], to: usize) {
    if let [channel] = channels {
        return channel[to..][..rows.len()].copy_from_slice(rows);
    }
    for (i, row) in (to..).zip(rows.chunks_exact(channels.len())) {
        channels.iter_mut().zip(row).for_each(|(channel, value)| channel[i] = *value);
    }
}
