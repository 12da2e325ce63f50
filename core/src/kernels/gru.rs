//! A gated recurrent unit. What the input gives to the gates is computed for many frames at once; what the state gives,
//! one frame after another. Its state is its own frame before, so the ring is the memory.

use std::ops::Range;

use super::Source;
use super::conv::PackedConv;
use super::epilogue::Epilogue;
use super::isa::Isa;
use super::math;
use super::vector::{LANES, Simd, Work};
use crate::graph;
use crate::plan::Ring;
use crate::stream::{CachedConv, ConvKind, Part};
use crate::tensor::{Tensor, Weight};

/// Frames whose input half is computed at once.
const BATCH: i64 = 16;

/// A gated recurrent unit.
#[derive(Debug)]
pub(crate) struct Gru {
    from_input: PackedConv,
    from_state: PackedConv,
    hidden: usize,
    isa: Isa,
}

impl Gru {
    pub(super) fn new(weights: &graph::Gru, isa: Isa) -> Self {
        let packed = |weight: &Weight, bias: &Weight| {
            let shape = [weight.shape()[0], weight.shape()[1], 1];
            let conv = CachedConv {
                kind: ConvKind::Strided { stride: 1 },
                weight: Tensor::new(shape, weight.data().to_vec()).into(),
                bias: Some(bias.clone()),
                dilation: 1,
                left: 0,
                groups: 1,
            };
            PackedConv::new(&conv, Part::Whole, Epilogue::default(), false, isa)
        };
        Self {
            from_input: packed(&weights.weight_ih, &weights.bias_ih),
            from_state: packed(&weights.weight_hh, &weights.bias_hh),
            hidden: weights.weight_hh.shape()[1],
            isa,
        }
    }

    /// Values of scratch: the state before, and both halves of the gates.
    pub(super) fn scratch_len(&self) -> usize {
        self.hidden + self.gates(BATCH).len() + self.gates(1).len()
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
        let (from_input, from_state) = (self.gates(BATCH), self.gates(1));
        let (state, rest) = scratch.split_at_mut(self.hidden);
        let (input_gates, rest) = rest.split_at_mut(from_input.len());
        let state_gates = &mut rest[..from_state.len()];
        let mut resets = 0;
        // Frames before the signal hold the initial state.
        for n in frames.start..frames.end.min(0) {
            ring.row_mut(own, n).fill(0.0);
        }
        let mut n = frames.start.max(0);
        while n < frames.end {
            let batch = n..frames.end.min(n + BATCH);
            let panels = 0..self.from_input.panels();
            self.from_input.run(input, None, None, from_input, input_gates, batch.clone(), panels.clone());
            for n in batch.clone() {
                let before = Source { ring, own };
                self.from_state.run(before, None, None, from_state, state_gates, n - 1..n, panels.clone());
                state.copy_from_slice(ring.row(own, n - 1));
                let row = ring.row_mut(own, n);
                let gates = [from_input.row(input_gates, n), from_state.row(state_gates, n - 1)];
                self.isa.run(Step { gates, state, row });
                if !row.iter().all(|h| h.is_finite()) {
                    row.fill(0.0);
                    resets += 1;
                }
            }
            n = batch.end;
        }
        resets
    }

    /// Gates of so many frames.
    fn gates(&self, frames: i64) -> Ring {
        Ring::new(0, frames, 0, 3 * self.hidden).expect("weights of this size are in memory")
    }
}

struct Step<'a> {
    /// What input and state give to the reset, update and new gates.
    gates: [&'a [f32]; 2],
    /// The state before.
    state: &'a [f32],
    row: &'a mut [f32],
}

impl Work for Step<'_> {
    type Output = ();

    #[inline(always)]
    fn on<S: Simd>(self, s: S) {
        let hidden = self.row.len();
        for (i, row) in self.row.chunks_mut(LANES).enumerate() {
            let lanes = i * LANES..i * LANES + row.len();
            let [mut from_input, mut from_state] = [[s.splat(0.0); 3]; 2];
            for gate in 0..3 {
                from_input[gate] = s.load_part(&self.gates[0][gate * hidden..][lanes.clone()]);
                from_state[gate] = s.load_part(&self.gates[1][gate * hidden..][lanes.clone()]);
            }
            let [input_reset, input_update, input_new] = from_input;
            let [state_reset, state_update, state_new] = from_state;
            let state = s.load_part(&self.state[lanes]);
            let reset = math::sigmoid(s, s.add(input_reset, state_reset));
            let update = math::sigmoid(s, s.add(input_update, state_update));
            let new = math::tanh(s, s.mul_add(reset, state_new, input_new));
            let kept = s.mul(update, state);
            s.store_part(s.mul_add(s.sub(s.splat(1.0), update), new, kept), row);
        }
    }
}
