//! A plain recurrent layer. What the input gives is computed for many frames at once; what the state gives, one frame
//! after another. Its state is its own frame before, so the ring is the memory.

use std::ops::Range;

use super::Source;
use super::conv::PackedConv;
use super::epilogue::Epilogue;
use super::function::Function;
use super::isa::Isa;
use crate::graph;
use crate::plan::Ring;
use crate::stream::{CachedConv, Part};
use crate::tensor::Weight;

/// Frames whose input half is computed at once.
const BATCH: i64 = 16;

/// A plain recurrent layer.
#[derive(Debug)]
pub(crate) struct Rnn {
    from_input: PackedConv,
    /// Of the frame before; the input's half is added, and the function is of both.
    from_state: PackedConv,
    initial_hidden: Weight,
}

impl Rnn {
    pub(super) fn new(weights: &graph::Rnn, isa: Isa) -> Self {
        let hidden = weights.initial_hidden.len();
        let inputs = weights.weight_ih.shape()[1];
        let from_input = CachedConv::matrix([hidden, inputs], weights.weight_ih.data(), Some(weights.bias.data()));
        let from_state = CachedConv::matrix([hidden, hidden], weights.weight_hh.data(), None);
        let from_state = CachedConv { left: 1, ..from_state };
        let then = Some(Function::Pointwise(weights.activation.function()));
        let epilogue = Epilogue { add: true, then, ..Epilogue::default() };
        Self {
            from_input: PackedConv::new(&from_input, Part::Whole, Epilogue::default(), false, isa),
            from_state: PackedConv::new(&from_state, Part::Whole, epilogue, false, isa),
            initial_hidden: weights.initial_hidden.clone(),
        }
    }

    /// Values of scratch: the input's half of many frames, and a frame.
    pub(super) fn scratch_len(&self) -> usize {
        self.frames(BATCH).len() + self.frames(1).len()
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
        let (many, one) = (self.frames(BATCH), self.frames(1));
        let (input_half, rest) = scratch.split_at_mut(many.len());
        let frame = &mut rest[..one.len()];
        let panels = 0..self.from_input.panels();
        // Frames before the signal hold the initial state.
        for n in frames.start..frames.end.min(0) {
            ring.row_mut(own, n).copy_from_slice(self.initial_hidden.data());
        }
        let mut resets = 0;
        let mut n = frames.start.max(0);
        while n < frames.end {
            let batch = n..frames.end.min(n + BATCH);
            self.from_input.run(input, None, None, many, input_half, batch.clone(), panels.clone());
            for n in batch.clone() {
                let (before, added) = (Source { ring, own }, Source { ring: many, own: input_half });
                self.from_state.run(before, None, Some(added), one, frame, n..n + 1, panels.clone());
                let row = ring.row_mut(own, n);
                row.copy_from_slice(one.row(frame, n));
                if !row.iter().all(|h| h.is_finite()) {
                    row.fill(0.0);
                    resets += 1;
                }
            }
            n = batch.end;
        }
        resets
    }

    /// So many frames of scratch.
    fn frames(&self, frames: i64) -> Ring {
        Ring::new(0, frames, 0, self.initial_hidden.len()).expect("weights of this size are in memory")
    }
}
