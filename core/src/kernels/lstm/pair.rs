//! Two layers, one of which reads the other, in one loop: each waits for its own frame before and computes little, so that
//! both together take hardly longer than one alone. The second is a batch behind the first.

use std::ops::Range;

use super::steps::{Pair, State, Steps};
use super::{GATES, Lstm};
use crate::graph;
use crate::kernels::Source;
use crate::kernels::isa::Isa;
use crate::kernels::recurrent::lanes;
use crate::plan::Ring;

/// Frames of a batch: few, so that little is computed alone; enough that the gates' input halves are worth a call.
const BATCH: i64 = 16;

/// A long short-term memory that reads another.
#[derive(Debug)]
pub(crate) struct LstmPair {
    first: Lstm,
    second: Lstm,
    /// The first layer's frames, of the batch that the second computes and of the one after.
    between: Ring,
    isa: Isa,
}

impl LstmPair {
    pub(in crate::kernels) fn new([first, second]: [&graph::Lstm; 2], isa: Isa) -> Self {
        let [first, second] = [first, second].map(|layer| Lstm::new(layer, isa));
        let mirror = second.input_mirror(BATCH as usize);
        let between = Ring::new(0, 2 * BATCH, mirror, first.hidden).expect("weights of this size are in memory");
        Self { first, second, between, isa }
    }

    /// Values of scratch: the states before and after a frame, the gates' input halves, and what lies between the layers.
    pub(in crate::kernels) fn scratch_len(&self) -> usize {
        let of = |layer: &Lstm| 2 * layer.lanes() + gates(layer).len();
        of(&self.first) + of(&self.second) + self.between.len()
    }

    /// Values that it remembers beyond its frames: both cell states and the first layer's hidden state.
    pub(in crate::kernels) fn memory_len(&self) -> usize {
        2 * self.first.lanes() + self.second.lanes()
    }

    /// Bytes of weights.
    pub(in crate::kernels) fn weight_bytes(&self) -> usize {
        self.first.weight_bytes() + self.second.weight_bytes()
    }

    /// Frames that the input's ring must repeat behind its end.
    pub(in crate::kernels) fn input_mirror(&self, frames: usize) -> usize {
        self.first.input_mirror(frames)
    }

    /// As [`Lstm::run`], for the second layer's frames.
    pub(in crate::kernels) fn run(
        &self,
        input: Source<'_>,
        ring: Ring,
        own: &mut [f32],
        frames: Range<i64>,
        scratch: &mut [f32],
    ) -> usize {
        let Self { first, second, between, isa } = self;
        for n in frames.start..frames.end.min(0) {
            ring.row_mut(own, n).copy_from_slice(second.initial_hidden.data());
        }
        let frames = frames.start.max(0)..frames.end;
        if frames.is_empty() {
            return 0;
        }
        let (first_gates, second_gates) = (gates(first), gates(second));
        let mut rest = scratch;
        let mut take = |len: usize| rest.split_off_mut(..len).expect("scratch for both layers");
        let first_hidden = [take(first.lanes()), take(first.lanes())];
        let second_hidden = [take(second.lanes()), take(second.lanes())];
        let (first_input, second_input) = (take(first_gates.len()), take(second_gates.len()));
        let middle = take(between.len());
        second_hidden[0][..second.hidden].copy_from_slice(ring.row(own, frames.start - 1));
        second_hidden[0][second.hidden..].fill(0.0);
        let (own, memory) = own.split_at_mut(ring.memory_start());
        let (remembered, memory) = memory.split_at_mut(first.lanes());
        let (first_cell, memory) = memory.split_at_mut(first.lanes());
        let second_cell = &mut memory[..second.lanes()];
        first_hidden[0].copy_from_slice(remembered);
        let mut first_state = State { cell: first_cell, hidden: first_hidden };
        let mut second_state = State { cell: second_cell, hidden: second_hidden };
        if frames.start == 0 {
            first.start(&mut first_state);
            second.start(&mut second_state);
        }
        let batch = |n: i64| n.max(frames.start)..frames.end.min(n + BATCH);
        let mut resets = 0;
        for n in (frames.start..frames.end + BATCH).step_by(BATCH as usize) {
            let (ahead, behind) = (batch(n), batch(n - BATCH));
            first.give(input, first_gates, first_input, ahead.clone());
            second.give(Source { ring: *between, own: middle }, second_gates, second_input, behind.clone());
            let between_both = (*between, &mut *middle);
            let first = Steps::new(first, (first_gates, first_input), between_both, &mut first_state, ahead.clone());
            let second = Steps::new(second, (second_gates, second_input), (ring, own), &mut second_state, behind);
            resets += isa.run(Pair { first, second });
            between.reflect(middle, ahead);
        }
        remembered.copy_from_slice(first_state.hidden[0]);
        resets
    }
}

/// The input's half of a layer's gates, for one batch.
fn gates(layer: &Lstm) -> Ring {
    Ring::new(0, BATCH, 0, lanes(GATES, layer.hidden)).expect("weights of this size are in memory")
}
