//! Where a node's newest frames lie in the arena.

use std::ops::Range;

/// A ring of frames with its first ones repeated behind the end: so `mirror + 1` consecutive frames are contiguous
/// wherever they begin. Frames are rows, `[frame][channel]`, or each channel is a plane, `[channel][frame]`: a ring of rows
/// of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ring {
    /// First value in the arena.
    pub(crate) start: usize,
    /// Frames held, each counted once.
    frames: i64,
    /// Frames repeated behind the end.
    mirror: i64,
    /// Values per frame.
    pub(crate) channels: usize,
    /// Values of its step's own behind all frames.
    memory: usize,
    /// Whether each channel is a plane.
    in_planes: bool,
}

/// Positions of frames at an even distance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk {
    at: usize,
    step: usize,
    length: usize,
}

impl Walk {
    /// Never leaves the first value.
    pub(crate) const STILL: Self = Self { at: 0, step: 0, length: 1 };

    /// The next positions, `column` values on from each.
    #[inline(always)]
    pub(crate) fn next<const N: usize>(&mut self, column: usize) -> [usize; N] {
        let mut positions = [0; N];
        for position in &mut positions {
            *position = self.at + column;
            self.skip(1);
        }
        positions
    }

    /// The next position.
    #[inline(always)]
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Values from one position to the next.
    #[inline(always)]
    pub(crate) fn step(&self) -> usize {
        self.step
    }

    /// Whether the next `positions` lie at an even distance: none of them at the ring's other end.
    #[inline(always)]
    pub(crate) fn is_straight(&self, positions: usize) -> bool {
        self.at + (positions - 1) * self.step < self.length
    }

    /// Walks on by so many positions.
    #[inline(always)]
    pub(crate) fn skip(&mut self, positions: usize) {
        self.skip_values(positions * self.step);
    }

    /// Walks on by so many values.
    #[inline(always)]
    pub(crate) fn skip_values(&mut self, values: usize) {
        self.at += values;
        while self.at >= self.length {
            self.at -= self.length;
        }
    }
}

/// Rings begin and end at multiples of this many values: a cache line.
pub(crate) const ALIGNMENT: usize = 16;

impl Ring {
    /// A ring of at least `frames` frames and of `mirror` repeated ones, or `None` where it cannot be addressed.
    pub(crate) fn new(start: usize, frames: i64, mirror: usize, channels: usize) -> Option<Self> {
        let frames = usize::try_from(frames.max(1)).ok()?.max(mirror);
        frames.checked_add(mirror)?.checked_mul(channels)?.checked_mul(4)?.checked_add(4 * ALIGNMENT)?;
        Some(Self {
            start,
            frames: i64::try_from(frames).ok()?,
            mirror: mirror as i64,
            channels,
            memory: 0,
            in_planes: false,
        })
    }

    /// The same in planes, with room for whole vectors from any frame on. A power of two of frames, where a frame's place is
    /// found without a division: planes are read and written in short calls.
    pub(crate) fn in_planes(self) -> Option<Self> {
        let frames = (self.frames as usize).checked_next_power_of_two()?.max(ALIGNMENT);
        let mirror = (self.mirror as usize).checked_next_multiple_of(ALIGNMENT)?;
        Some(Self { in_planes: true, ..Self::new(self.start, i64::try_from(frames).ok()?, mirror, self.channels)? })
    }

    /// The same with `memory` values of its step's own behind all frames.
    pub(crate) fn with_memory(self, memory: usize) -> Self {
        Self { memory, ..self }
    }

    /// Values held, the repeated ones and the step's own too, up to the next multiple of [`ALIGNMENT`].
    pub(crate) fn len(&self) -> usize {
        self.memory_start() + self.memory.next_multiple_of(ALIGNMENT)
    }

    /// One of its planes, or all of it where it has rows, and where that begins in the ring's own slice of the arena.
    #[inline(always)]
    pub(crate) fn plane(self, plane: usize) -> (Self, usize) {
        if self.is_in_planes() {
            (Self { channels: 1, memory: 0, ..self }, plane * self.plane_len())
        } else {
            (self, 0)
        }
    }

    /// All of its planes, in order.
    #[inline(always)]
    pub(crate) fn each_plane(self) -> impl Iterator<Item = (Self, usize)> {
        (0..self.planes()).map(move |plane| self.plane(plane))
    }

    /// Planes that it is made of; 1 where it has rows.
    #[inline(always)]
    pub(crate) fn planes(&self) -> usize {
        if self.in_planes { self.channels } else { 1 }
    }

    /// Whether each channel is a plane, and there are several.
    #[inline(always)]
    pub(crate) fn is_in_planes(&self) -> bool {
        self.planes() > 1
    }

    /// Values of a frame that lie side by side.
    #[inline(always)]
    pub(crate) fn row_len(&self) -> usize {
        if self.in_planes { 1 } else { self.channels }
    }

    /// Values from one plane to the next.
    #[inline(always)]
    pub(crate) fn plane_len(&self) -> usize {
        (self.frames + self.mirror) as usize
    }

    /// Position of the step's own values, relative to `start`.
    pub(crate) fn memory_start(&self) -> usize {
        ((self.frames() + self.mirror) as usize * self.channels).next_multiple_of(ALIGNMENT)
    }

    /// Frames held, each counted once.
    pub(crate) fn frames(&self) -> i64 {
        self.frames
    }

    /// Frames repeated behind the end.
    pub(crate) fn mirror(&self) -> usize {
        self.mirror as usize
    }

    /// Position of the frame's first value, relative to `start`.
    #[inline(always)]
    pub(crate) fn at(&self, frame: i64) -> usize {
        debug_assert!(!self.in_planes || self.channels == 1, "rows");
        self.slot(frame) * self.channels
    }

    /// The positions, as [`Self::at`], of the frames `from`, `from + step`, ….
    #[inline(always)]
    pub(crate) fn walk(&self, from: i64, step: usize) -> Walk {
        Walk { at: self.at(from), step: step * self.channels, length: self.frames as usize * self.channels }
    }

    /// The frame in the ring's own slice of the arena.
    #[inline(always)]
    pub(crate) fn row<'a>(&self, own: &'a [f32], frame: i64) -> &'a [f32] {
        let at = self.at(frame);
        &own[at..at + self.channels]
    }

    /// The frame in the ring's own slice of the arena, to be written.
    #[inline(always)]
    pub(crate) fn row_mut<'a>(&self, own: &'a mut [f32], frame: i64) -> &'a mut [f32] {
        let at = self.at(frame);
        &mut own[at..at + self.channels]
    }

    /// The ring's own slice of the arena.
    #[inline(always)]
    pub(crate) fn of<'a>(&self, arena: &'a [f32]) -> &'a [f32] {
        &arena[self.start..self.start + self.len()]
    }

    /// The ring's own slice of the arena, to be written.
    pub(crate) fn of_mut<'a>(&self, arena: &'a mut [f32]) -> &'a mut [f32] {
        &mut arena[self.start..self.start + self.len()]
    }

    /// The longest stretches of `frames` that lie in one piece, in order.
    #[inline(always)]
    pub(crate) fn stretches(self, frames: Range<i64>) -> impl Iterator<Item = Range<i64>> + Clone {
        let mut from = frames.start;
        std::iter::from_fn(move || {
            let start = from;
            if start >= frames.end {
                return None;
            }
            from = self.end_of_stretch(start, frames.end);
            Some(start..from)
        })
    }

    /// Up to where the frames from `from` on lie in one piece, `end` at most.
    #[inline(always)]
    pub(crate) fn end_of_stretch(self, from: i64, end: i64) -> i64 {
        end.min(from + self.frames - self.slot(from) as i64)
    }

    /// Repeats behind the end what `frames`, just written, put into the first frames.
    #[inline(always)]
    pub(crate) fn reflect(&self, own: &mut [f32], frames: Range<i64>) {
        if self.mirror > 0 {
            self.copy_behind(own, frames);
        }
    }

    /// Puts frame `from` of `source`, which lies as this ring does, where frame `to` is.
    pub(crate) fn put(&self, own: &mut [f32], to: i64, source: &Self, values: &[f32], from: i64) {
        for ((ring, start), (source, first)) in self.each_plane().zip(source.each_plane()) {
            ring.row_mut(&mut own[start..], to).copy_from_slice(source.row(&values[first..], from));
        }
    }

    /// Place of a frame among those held.
    #[inline(always)]
    pub(crate) fn slot(&self, frame: i64) -> usize {
        if self.in_planes { (frame & (self.frames - 1)) as usize } else { frame.rem_euclid(self.frames) as usize }
    }

    fn copy_behind(&self, own: &mut [f32], frames: Range<i64>) {
        let frames = frames.start.max(frames.end - self.frames())..frames.end;
        let row = self.row_len();
        for piece in self.stretches(frames) {
            let first = self.slot(piece.start) as i64;
            let end = (first + piece.end - piece.start).min(self.mirror);
            if first < end {
                let values = first as usize * row..end as usize * row;
                let behind = self.frames as usize * row;
                for plane in (0..self.planes()).map(|plane| plane * self.plane_len()) {
                    let values = plane + values.start..plane + values.end;
                    own.copy_within(values.clone(), values.start + behind);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consecutive_frames_are_contiguous_from_any_frame_on() {
        for (frames, mirror) in [(1, 0), (3, 2), (4, 4), (5, 13), (16, 1)] {
            let ring = Ring::new(0, frames, mirror, 3).unwrap();
            let mut own = vec![f32::NAN; ring.len()];
            let mut written = -40;
            for step in [1, 2, 1, 3, 5, 1, 1, 7, 4, 30, 2, 1, 1] {
                let now = written..written + step;
                for frame in now.clone() {
                    ring.row_mut(&mut own, frame).fill(frame as f32);
                }
                ring.reflect(&mut own, now.clone());
                written = now.end;
                if written < 0 {
                    continue;
                }
                for from in written - ring.frames()..written {
                    let run = (mirror as i64 + 1).min(written - from);
                    for ahead in 0..run {
                        let at = ring.at(from) + 3 * ahead as usize;
                        assert_eq!(own[at..at + 3], [(from + ahead) as f32; 3], "{frames} {mirror} {from} {ahead}");
                    }
                }
            }
            assert_eq!(ring.len() % ALIGNMENT, 0);
        }
    }
}
