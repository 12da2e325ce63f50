//! A gated recurrent unit, one frame after another. Its state is its own frame before, so the ring is the memory.

use std::ops::Range;

use super::Source;
use crate::graph;
use crate::plan::Ring;

/// A gated recurrent unit.
#[derive(Debug)]
pub(crate) struct Gru {
    weights: graph::Gru,
    hidden: usize,
}

impl Gru {
    pub(super) fn new(weights: &graph::Gru) -> Self {
        Self { hidden: weights.weight_hh.shape()[1], weights: weights.clone() }
    }

    /// Values of scratch: the state before, and both halves of the gates.
    pub(super) fn scratch_len(&self) -> usize {
        7 * self.hidden
    }

    /// Bytes of weights.
    pub(super) fn weight_bytes(&self) -> usize {
        let w = &self.weights;
        [&w.weight_ih, &w.weight_hh, &w.bias_ih, &w.bias_hh].iter().map(|w| w.len() * size_of::<f32>()).sum()
    }

    /// Computes `frames` into the ring slice `own`.
    pub(super) fn run(&self, input: Source<'_>, ring: Ring, own: &mut [f32], frames: Range<i64>, scratch: &mut [f32]) {
        let (state, gates) = scratch[..7 * self.hidden].split_at_mut(self.hidden);
        let (from_input, from_state) = gates.split_at_mut(3 * self.hidden);
        for n in frames {
            if n < 0 {
                ring.row_mut(own, n).fill(0.0);
                continue;
            }
            state.copy_from_slice(ring.row(own, n - 1));
            let w = &self.weights;
            for gate in 0..3 * self.hidden {
                from_input[gate] = w.bias_ih.data()[gate] + dot(w.weight_ih.row(gate), input.row(n));
                from_state[gate] = w.bias_hh.data()[gate] + dot(w.weight_hh.row(gate), state);
            }
            for (i, h) in ring.row_mut(own, n).iter_mut().enumerate() {
                let reset = sigmoid(from_input[i] + from_state[i]);
                let update = sigmoid(from_input[self.hidden + i] + from_state[self.hidden + i]);
                let new = (from_input[2 * self.hidden + i] + reset * from_state[2 * self.hidden + i]).tanh();
                *h = (1.0 - update) * new + update * state[i];
            }
        }
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut acc = [0.0; 8];
    for (a, b) in a.chunks(8).zip(b.chunks(8)) {
        for (l, (a, b)) in a.iter().zip(b).enumerate() {
            acc[l] += a * b;
        }
    }
    acc.iter().sum()
}
