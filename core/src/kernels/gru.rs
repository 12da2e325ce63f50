//! A gated recurrent unit. What the input gives to the gates is computed for many frames at once; what the state gives,
//! one frame after another. Its state is its own frame before, so the ring is the memory.

mod steps;

use std::ops::Range;

use steps::{State, Steps};

use super::Source;
use super::conv::PackedConv;
use super::isa::Isa;
use super::recurrent::{StateGates, from_input, lanes, spread};
use super::vector::LANES;
use crate::graph::{self, Reset};
use crate::plan::Ring;
use crate::tensor::Weight;

/// Frames whose input half is computed at once.
const BATCH: i64 = 32;
/// Reset, update and new gate.
const GATES: usize = 3;

/// A gated recurrent unit.
#[derive(Debug)]
pub(crate) struct Gru {
    /// With all that is added before a function, whatever gate it comes from.
    from_input: PackedConv,
    from_state: FromState,
    initial_hidden: Option<Weight>,
    hidden: usize,
    isa: Isa,
}

/// The state's half of the gates.
#[derive(Debug)]
enum FromState {
    /// Of all three, and what the new one's reset scales beside: its bias, up to whole vectors.
    Product(StateGates, Vec<f32>),
    /// Of the reset and update gates, and of the new one, which reads the state that is reset already.
    State([StateGates; 2]),
}

impl Gru {
    pub(super) fn new(weights: &graph::Gru, isa: Isa) -> Self {
        let hidden = weights.weight_hh.shape()[1];
        let (matrix, bias) = (weights.weight_hh.data(), weights.bias_hh.data());
        // Rows of the gates that are added to the input's half as they are.
        let added = match weights.reset {
            Reset::Product => (GATES - 1) * hidden,
            Reset::State => GATES * hidden,
        };
        let mut given = weights.bias_ih.data().to_vec();
        given.iter_mut().zip(&bias[..added]).for_each(|(given, bias)| *given += bias);
        let new = (GATES - 1) * hidden;
        let from_state = match weights.reset {
            Reset::Product => FromState::Product(StateGates::new(matrix, hidden), spread(&bias[new..], 1, hidden)),
            Reset::State => {
                let (first, new) = matrix.split_at(new * hidden);
                FromState::State([first, new].map(|matrix| StateGates::new(matrix, hidden)))
            }
        };
        Self {
            from_input: from_input(weights.weight_ih.data(), &given, hidden, isa),
            from_state,
            initial_hidden: weights.initial_hidden.clone(),
            hidden,
            isa,
        }
    }

    /// Values of scratch: the state before and after a frame, the reset state, the update, and the input's half of the
    /// gates.
    pub(super) fn scratch_len(&self) -> usize {
        4 * self.lanes() + self.gates().len()
    }

    /// Bytes of weights.
    pub(super) fn weight_bytes(&self) -> usize {
        let from_state = match &self.from_state {
            FromState::Product(gates, bias) => gates.weight_bytes() + size_of_val(bias.as_slice()),
            FromState::State(gates) => gates.iter().map(StateGates::weight_bytes).sum(),
        };
        self.from_input.weight_bytes() + from_state
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
            let row = ring.row_mut(own, n);
            match &self.initial_hidden {
                Some(initial) => row.copy_from_slice(initial.data()),
                None => row.fill(0.0),
            }
        }
        let mut n = frames.start.max(0);
        if n >= frames.end {
            return 0;
        }
        let mut rest = scratch;
        let mut take = |len: usize| rest.split_off_mut(..len).expect("scratch for this layer");
        let [before, after, left, update] = [(); 4].map(|()| take(self.lanes()));
        let gates = self.gates();
        let input_gates = take(gates.len());
        before[..self.hidden].copy_from_slice(ring.row(own, n - 1));
        before[self.hidden..].fill(0.0);
        let mut state = State { hidden: [before, after], left, update };
        let mut resets = 0;
        while n < frames.end {
            let batch = n..frames.end.min(n + BATCH);
            let panels = 0..self.from_input.panels();
            self.from_input.run(input, None, None, gates, input_gates, batch.clone(), panels);
            resets += self.isa.run(Steps::new(self, (gates, input_gates), (ring, own), &mut state, batch));
            n += BATCH;
        }
        resets
    }

    /// The input's half of the gates, `[frame][gate][unit]`.
    fn gates(&self) -> Ring {
        Ring::new(0, BATCH, 0, lanes(GATES, self.hidden)).expect("weights of this size are in memory")
    }

    /// Lanes of the state: whole panels.
    fn lanes(&self) -> usize {
        self.hidden.next_multiple_of(LANES)
    }
}
