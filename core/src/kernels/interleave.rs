//! Between a host's channels and the frames of a ring.

use super::isa::Isa;
use super::vector::{Simd, Work};

/// Writes frames `from ..` of `channels` into `rows`, `[frame][channel]`, as many as there are.
pub(crate) fn interleave(isa: Isa, channels: &[&[f32]], from: usize, rows: &mut [f32]) {
    isa.run(Interleaved { channels, from, rows });
}

/// Writes `rows`, `[frame][channel]`, into `channels` from frame `to` on.
pub(crate) fn separate(isa: Isa, rows: &[f32], channels: &mut [&mut [f32]], to: usize) {
    isa.run(Separated { rows, channels, to });
}

struct Interleaved<'a> {
    channels: &'a [&'a [f32]],
    from: usize,
    rows: &'a mut [f32],
}

impl Work for Interleaved<'_> {
    type Output = ();

    #[inline(always)]
    fn on<S: Simd>(self, _: S) {
        let Self { channels, from, rows } = self;
        match channels {
            [channel] => rows.copy_from_slice(&channel[from..][..rows.len()]),
            [left, right] => {
                let rows = rows.as_chunks_mut().0;
                for (row, (left, right)) in rows.iter_mut().zip(left[from..].iter().zip(&right[from..])) {
                    *row = [*left, *right];
                }
            }
            _ => {
                for (c, channel) in channels.iter().enumerate() {
                    let rows = rows.chunks_exact_mut(channels.len());
                    rows.zip(&channel[from..]).for_each(|(row, x)| row[c] = *x);
                }
            }
        }
    }
}

struct Separated<'a, 'b> {
    rows: &'a [f32],
    channels: &'a mut [&'b mut [f32]],
    to: usize,
}

impl Work for Separated<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn on<S: Simd>(self, _: S) {
        let Self { rows, channels, to } = self;
        let width = channels.len();
        for (c, channel) in channels.iter_mut().enumerate() {
            let y = &mut channel[to..][..rows.len() / width];
            match width {
                1 => y.copy_from_slice(rows),
                2 => column::<2>(rows, c, y),
                3 => column::<3>(rows, c, y),
                4 => column::<4>(rows, c, y),
                _ => y.iter_mut().zip(rows.chunks_exact(width)).for_each(|(y, row)| *y = row[c]),
            }
        }
    }
}

/// The `c`-th value of each row of `N`.
#[inline(always)]
fn column<const N: usize>(rows: &[f32], c: usize, y: &mut [f32]) {
    y.iter_mut().zip(rows.as_chunks::<N>().0).for_each(|(y, row)| *y = row[c]);
}
