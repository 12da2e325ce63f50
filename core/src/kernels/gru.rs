//! A gated recurrent unit. What the input gives to the gates is computed for many frames at once; what the state gives,
//! one frame after another. Its state is its own frame before, so the ring is the memory.

use std::ops::Range;

use super::Source;
use super::conv::PackedConv;
use super::epilogue::Epilogue;
use super::isa::Isa;
use super::math;
use super::vector::{LANES, Simd, Work};
use crate::graph::{self, Reset};
use crate::plan::Ring;
use crate::stream::{CachedConv, Part};
use crate::tensor::Weight;

/// Frames whose input half is computed at once.
const BATCH: i64 = 16;
/// Reset, update and new gate.
const GATES: usize = 3;

/// A gated recurrent unit.
#[derive(Debug)]
pub(crate) struct Gru {
    from_input: PackedConv,
    from_state: PackedConv,
    /// Of the new gate, where the state is reset before: [`Self::from_state`] gives the other two then.
    from_rest: Option<PackedConv>,
    initial_hidden: Option<Weight>,
    hidden: usize,
    isa: Isa,
}

impl Gru {
    pub(super) fn new(weights: &graph::Gru, isa: Isa) -> Self {
        let [hidden, inputs] = [weights.weight_hh.shape()[1], weights.weight_ih.shape()[1]];
        let packed = |width: usize, weight: &Weight, bias: &Weight, gates: Range<usize>| {
            let rows = gates.start * hidden..gates.end * hidden;
            let weight = &weight.data()[rows.start * width..rows.end * width];
            let conv = CachedConv::matrix([rows.len(), width], weight, Some(&bias.data()[rows]));
            PackedConv::new(&conv, Part::Whole, Epilogue::default(), false, isa)
        };
        let of_state = |gates| packed(hidden, &weights.weight_hh, &weights.bias_hh, gates);
        let (from_state, from_rest) = match weights.reset {
            Reset::Product => (of_state(0..GATES), None),
            Reset::State => (of_state(0..GATES - 1), Some(of_state(GATES - 1..GATES))),
        };
        Self {
            from_input: packed(inputs, &weights.weight_ih, &weights.bias_ih, 0..GATES),
            from_state,
            from_rest,
            initial_hidden: weights.initial_hidden.clone(),
            hidden,
            isa,
        }
    }

    /// Values of scratch: the state before, its rest, what the rest gives, and both halves of the gates.
    pub(super) fn scratch_len(&self) -> usize {
        self.hidden + 2 * self.rows(1, 1).len() + self.rows(BATCH, GATES).len() + self.rows(1, GATES).len()
    }

    /// Bytes of weights.
    pub(super) fn weight_bytes(&self) -> usize {
        let from_rest = self.from_rest.as_ref().map_or(0, PackedConv::weight_bytes);
        self.from_input.weight_bytes() + self.from_state.weight_bytes() + from_rest
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
        let [from_input, one] = [self.rows(BATCH, GATES), self.rows(1, 1)];
        let from_state = self.rows(1, if self.from_rest.is_some() { GATES - 1 } else { GATES });
        let (state, scratch) = scratch.split_at_mut(self.hidden);
        let (rest, scratch) = scratch.split_at_mut(one.len());
        let (of_rest, scratch) = scratch.split_at_mut(one.len());
        let (input_gates, scratch) = scratch.split_at_mut(from_input.len());
        let state_gates = &mut scratch[..from_state.len()];
        let mut resets = 0;
        // Frames before the signal hold the initial state.
        for n in frames.start..frames.end.min(0) {
            let row = ring.row_mut(own, n);
            match &self.initial_hidden {
                Some(initial) => row.copy_from_slice(initial.data()),
                None => row.fill(0.0),
            }
        }
        let mut n = frames.start.max(0);
        while n < frames.end {
            let batch = n..frames.end.min(n + BATCH);
            let panels = 0..self.from_input.panels();
            self.from_input.run(input, None, None, from_input, input_gates, batch.clone(), panels);
            for n in batch.clone() {
                let (before, panels) = (Source { ring, own }, 0..self.from_state.panels());
                self.from_state.run(before, None, None, from_state, state_gates, n - 1..n, panels);
                state.copy_from_slice(ring.row(own, n - 1));
                let (input, given) = (from_input.row(input_gates, n), from_state.row(state_gates, n - 1));
                let new = match &self.from_rest {
                    None => New::ToReset(&given[2 * self.hidden..]),
                    Some(from_rest) => {
                        let given = [input, given].map(|gates| &gates[..self.hidden]);
                        self.isa.run(Rest { given, state, rest: one.row_mut(rest, n) });
                        let (left, panels) = (Source { ring: one, own: rest }, 0..from_rest.panels());
                        from_rest.run(left, None, None, one, of_rest, n..n + 1, panels);
                        New::IsReset(one.row(of_rest, n))
                    }
                };
                let row = ring.row_mut(own, n);
                self.isa.run(Step { input, given, new, state, row });
                if !row.iter().all(|h| h.is_finite()) {
                    row.fill(0.0);
                    resets += 1;
                }
            }
            n = batch.end;
        }
        resets
    }

    /// So many frames of so many gates.
    fn rows(&self, frames: i64, gates: usize) -> Ring {
        Ring::new(0, frames, 0, gates * self.hidden).expect("weights of this size are in memory")
    }
}

/// What the reset gate leaves of the state.
struct Rest<'a> {
    /// What input and state give to the reset gate.
    given: [&'a [f32]; 2],
    /// The state before.
    state: &'a [f32],
    rest: &'a mut [f32],
}

impl Work for Rest<'_> {
    type Output = ();

    #[inline(always)]
    fn on<S: Simd>(self, s: S) {
        for (i, rest) in self.rest.chunks_mut(LANES).enumerate() {
            let lanes = i * LANES..i * LANES + rest.len();
            let [input, given] = self.given.map(|gate| s.load_part(&gate[lanes.clone()]));
            let reset = math::sigmoid(s, s.add(input, given));
            s.store_part(s.mul(reset, s.load_part(&self.state[lanes])), rest);
        }
    }
}

/// What the state gives to the new gate.
enum New<'a> {
    /// Its reset is still to come.
    ToReset(&'a [f32]),
    /// The matrix read the reset state.
    IsReset(&'a [f32]),
}

struct Step<'a> {
    /// What the input gives to the reset, update and new gates.
    input: &'a [f32],
    /// What the state gives to the first two.
    given: &'a [f32],
    new: New<'a>,
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
            let part = |gates: &[f32], gate: usize| s.load_part(&gates[gate * hidden..][lanes.clone()]);
            let state = s.load_part(&self.state[lanes.clone()]);
            let update = math::sigmoid(s, s.add(part(self.input, 1), part(self.given, 1)));
            let new = match self.new {
                New::ToReset(new) => {
                    let reset = math::sigmoid(s, s.add(part(self.input, 0), part(self.given, 0)));
                    s.mul_add(reset, part(new, 0), part(self.input, 2))
                }
                New::IsReset(new) => s.add(part(new, 0), part(self.input, 2)),
            };
            let kept = s.mul(update, state);
            s.store_part(s.mul_add(s.sub(s.splat(1.0), update), math::tanh(s, new), kept), row);
        }
    }
}
