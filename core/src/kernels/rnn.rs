//! A plain recurrent layer. What the input gives is computed for many frames at once; what the state gives, one frame
//! after another. Its state is its own frame before, so the ring is the memory.

use std::ops::Range;

use super::Source;
use super::conv::PackedConv;
use super::isa::Isa;
use super::math;
use super::recurrent::{StateGates, from_input, lanes};
use super::vector::{LANES, Simd, Work};
use crate::graph::{self, RnnActivation};
use crate::plan::{Ring, Walk};
use crate::tensor::Weight;

/// Frames whose input half is computed at once.
const BATCH: i64 = 32;
/// What a gate would be is the layer itself.
const GATES: usize = 1;

/// A plain recurrent layer.
#[derive(Debug)]
pub(crate) struct Rnn {
    from_input: PackedConv,
    from_state: StateGates,
    activation: RnnActivation,
    initial_hidden: Weight,
    isa: Isa,
}

impl Rnn {
    pub(super) fn new(weights: &graph::Rnn, isa: Isa) -> Self {
        let hidden = weights.initial_hidden.len();
        Self {
            from_input: from_input(weights.weight_ih.data(), weights.bias.data(), hidden, isa),
            from_state: StateGates::new(weights.weight_hh.data(), hidden),
            activation: weights.activation,
            initial_hidden: weights.initial_hidden.clone(),
            isa,
        }
    }

    /// Values of scratch: the state before and after a frame, and the input's half of many frames.
    pub(super) fn scratch_len(&self) -> usize {
        2 * self.lanes() + self.sums().len()
    }

    /// Bytes of weights.
    pub(super) fn weight_bytes(&self) -> usize {
        self.from_input.weight_bytes() + self.from_state.weight_bytes()
    }

    /// Frames that the input's ring must repeat behind its end.
    pub(super) fn input_mirror(&self, frames: usize) -> usize {
        self.from_input.input_mirror(frames)
    }

    /// Computes `frames` into the ring slice `own`. Returns how often a state that was no longer finite was set to zero.
    pub(super) fn run(
        &self,
        input: Source<'_>,
        ring: Ring,
        own: &mut [f32],
        frames: Range<i64>,
        scratch: &mut [f32],
    ) -> usize {
        // Frames before the signal hold the initial state.
        for n in frames.start..frames.end.min(0) {
            ring.row_mut(own, n).copy_from_slice(self.initial_hidden.data());
        }
        let mut n = frames.start.max(0);
        if n >= frames.end {
            return 0;
        }
        let hidden = self.initial_hidden.len();
        let (before, rest) = scratch.split_at_mut(self.lanes());
        let (after, rest) = rest.split_at_mut(self.lanes());
        let sums = self.sums();
        let given = &mut rest[..sums.len()];
        before[..hidden].copy_from_slice(ring.row(own, n - 1));
        before[hidden..].fill(0.0);
        let mut state = [before, after];
        let mut resets = 0;
        while n < frames.end {
            let batch = n..frames.end.min(n + BATCH);
            self.from_input.run(input, None, None, sums, given, batch.clone(), 0..self.from_input.panels());
            let (at, row) = (sums.walk(batch.start, 1), ring.walk(batch.start, 1));
            let frames = (batch.end - batch.start) as usize;
            resets += self.isa.run(Steps { rnn: self, given, own, state: &mut state, frames, at, row });
            n += BATCH;
        }
        resets
    }

    /// The input's half of the sums, `[frame][unit]`.
    fn sums(&self) -> Ring {
        Ring::new(0, BATCH, 0, self.lanes()).expect("weights of this size are in memory")
    }

    /// Lanes of the state: whole panels.
    fn lanes(&self) -> usize {
        lanes(GATES, self.initial_hidden.len())
    }
}

/// Some frames.
struct Steps<'a, 's> {
    rnn: &'a Rnn,
    /// The input's half of the sums, and where that of the next frame lies.
    given: &'a [f32],
    at: Walk,
    own: &'a mut [f32],
    row: Walk,
    /// Before a frame and after it.
    state: &'a mut [&'s mut [f32]; 2],
    frames: usize,
}

impl Work for Steps<'_, '_> {
    type Output = usize;

    #[inline(always)]
    fn on<S: Simd>(mut self, s: S) -> usize {
        let hidden = self.rnn.initial_hidden.len();
        let mut resets = 0;
        for _ in 0..self.frames {
            let [at] = self.at.next(0);
            let given: &[[f32; LANES]] = self.given[at..].as_chunks().0;
            let [before, after] = &mut *self.state;
            let mut lost = s.splat(0.0);
            for (panel, (after, given)) in after.as_chunks_mut().0.iter_mut().zip(given).enumerate() {
                let [sum] = self.rnn.from_state.sums(s, panel, [s.load(given)], before);
                let h = match self.rnn.activation {
                    RnnActivation::Tanh => math::tanh(s, sum),
                    RnnActivation::Relu => s.max(s.splat(0.0), sum),
                };
                s.store(h, after);
                lost = s.select(s.lt(math::abs(s, h), s.splat(f32::INFINITY)), lost, s.splat(1.0));
            }
            if s.any(s.lt(s.splat(0.0), lost)) {
                after.fill(0.0);
                resets += 1;
            }
            let [at] = self.row.next(0);
            self.own[at..][..hidden].copy_from_slice(&after[..hidden]);
            std::mem::swap(before, after);
        }
        resets
    }
}
