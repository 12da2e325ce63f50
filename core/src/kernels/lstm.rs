//! A long short-term memory. What the input gives to the gates is computed for many frames at once; what the state gives,
//! one frame after another. Its hidden state is its own frame before; its cell state lies behind the ring's frames.

mod pair;
mod steps;

use std::ops::Range;

pub(crate) use pair::LstmPair;
use steps::{State, Steps};

use super::Source;
use super::conv::PackedConv;
use super::isa::Isa;
use super::recurrent::{StateGates, from_input, lanes};
use super::vector::LANES;
use crate::graph;
use crate::plan::Ring;
use crate::tensor::Weight;

/// Frames whose input half is computed at once.
const BATCH: i64 = 32;
/// Input, forget, cell and output gate.
const GATES: usize = 4;

/// A long short-term memory.
#[derive(Debug)]
pub(crate) struct Lstm {
    from_input: PackedConv,
    from_state: StateGates,
    initial_hidden: Weight,
    initial_cell: Weight,
    hidden: usize,
    isa: Isa,
}

impl Lstm {
    pub(super) fn new(weights: &graph::Lstm, isa: Isa) -> Self {
        let hidden = weights.initial_hidden.len();
        Self {
            from_input: from_input(weights.weight_ih.data(), weights.bias.data(), hidden, isa),
            from_state: StateGates::new(weights.weight_hh.data(), hidden),
            initial_hidden: weights.initial_hidden.clone(),
            initial_cell: weights.initial_cell.clone(),
            hidden,
            isa,
        }
    }

    /// Values of scratch: the state before and after a frame, and the input's half of the gates.
    pub(super) fn scratch_len(&self) -> usize {
        2 * self.lanes() + self.gates().len()
    }

    /// Values that it remembers beyond its frames: the cell state.
    pub(super) fn memory_len(&self) -> usize {
        self.lanes()
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
        let (before, rest) = scratch.split_at_mut(self.lanes());
        let (after, rest) = rest.split_at_mut(self.lanes());
        before[..self.hidden].copy_from_slice(ring.row(own, n - 1));
        before[self.hidden..].fill(0.0);
        let (own, cell) = own.split_at_mut(ring.memory_start());
        let cell = &mut cell[..self.lanes()];
        let gates = self.gates();
        let input_gates = &mut rest[..gates.len()];
        let mut state = State { cell, hidden: [before, after] };
        if n == 0 {
            self.start(&mut state);
        }
        let mut resets = 0;
        while n < frames.end {
            let batch = n..frames.end.min(n + BATCH);
            self.give(input, gates, input_gates, batch.clone());
            let steps = Steps::new(self, (gates, input_gates), (ring, own), &mut state, batch);
            n += BATCH;
            resets += self.isa.run(steps);
        }
        resets
    }

    /// Makes the state what it is before frame 0.
    fn start(&self, state: &mut State<'_>) {
        let State { cell, hidden: [hidden, _] } = state;
        for (state, initial) in [(hidden, &self.initial_hidden), (cell, &self.initial_cell)] {
            state[..self.hidden].copy_from_slice(initial.data());
            state[self.hidden..].fill(0.0);
        }
    }

    /// What the input gives to the gates of `frames`.
    fn give(&self, input: Source<'_>, gates: Ring, input_gates: &mut [f32], frames: Range<i64>) {
        if !frames.is_empty() {
            self.from_input.run(input, None, None, gates, input_gates, frames, 0..self.from_input.panels());
        }
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
