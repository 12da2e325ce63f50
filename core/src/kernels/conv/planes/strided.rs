//! Every so many-th frame of a plane in one vector.

use std::array::from_fn;

use super::Inputs;
use crate::kernels::vector::{LANES, Simd};

/// The longest stride: a vector is picked from as many.
pub(super) const MOST_STRIDE: usize = 4;

/// Which lanes of consecutive vectors are kept.
#[derive(Clone, Copy)]
pub(super) struct Picks<S: Simd> {
    stride: usize,
    /// The lane of its vector that each frame comes from.
    lanes: [u32; LANES],
    /// Frames that come from vectors before the `j`-th.
    earlier: [S::M; MOST_STRIDE],
}

impl<S: Simd> Picks<S> {
    #[inline(always)]
    pub(super) fn new(s: S, stride: usize) -> Self {
        let place: [f32; LANES] = from_fn(|lane| (lane * stride) as f32);
        let mut earlier = [s.lt(s.splat(0.0), s.splat(0.0)); MOST_STRIDE];
        for j in 1..MOST_STRIDE {
            earlier[j] = s.lt(s.load(&place), s.splat((j * LANES) as f32));
        }
        Self { stride, lanes: from_fn(|lane| (lane * stride % LANES) as u32), earlier }
    }

    /// Of the `i`-th plane, the frames that are kept.
    ///
    /// # Safety
    /// As that of [`Inputs::get`], for as many vectors as the stride is long.
    #[inline(always)]
    pub(super) unsafe fn of(&self, s: S, inputs: &Inputs<'_>, i: usize) -> S::F {
        // SAFETY: as the caller promises.
        let mut kept = s.pick(s.load(unsafe { inputs.get(i, 0) }), &self.lanes);
        for j in 1..self.stride {
            // SAFETY: as the caller promises.
            let vector = s.load(unsafe { inputs.get(i, j) });
            kept = s.select(self.earlier[j], kept, s.pick(vector, &self.lanes));
        }
        kept
    }
}
