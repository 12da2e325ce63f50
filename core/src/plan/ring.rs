//! Where a node's newest frames lie in the arena.

/// A ring of frames, `[frame][channel]`, a power of two long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ring {
    /// First value in the arena.
    pub(crate) start: usize,
    /// Frames held, less one.
    mask: i64,
    /// Values per frame.
    pub(crate) channels: usize,
}

impl Ring {
    /// A ring of at least `frames` frames, or `None` where it cannot be addressed.
    pub(crate) fn new(start: usize, frames: i64, channels: usize) -> Option<Self> {
        let frames = usize::try_from(frames.max(1)).ok()?.checked_next_power_of_two()?;
        frames.checked_mul(channels)?.checked_mul(4)?;
        Some(Self { start, mask: frames as i64 - 1, channels })
    }

    /// Values held.
    pub(crate) fn len(&self) -> usize {
        self.frames() as usize * self.channels
    }

    /// Frames held.
    pub(crate) fn frames(&self) -> i64 {
        self.mask + 1
    }

    /// Position of the frame's first value, relative to `start`.
    #[inline(always)]
    pub(crate) fn at(&self, frame: i64) -> usize {
        (frame & self.mask) as usize * self.channels
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
}
