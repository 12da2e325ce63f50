//! Frames one after another, panel by panel; of half a panel, two gates at a time.

use std::ops::Range;

use super::{FromState, Gru};
use crate::kernels::math;
use crate::kernels::vector::{EIGHT, LANES, Simd, Work};
use crate::plan::{Ring, Walk};

/// What is carried from one frame to the next and within one, up to whole panels.
pub(super) struct State<'s> {
    /// The hidden state before a frame and after it.
    pub(super) hidden: [&'s mut [f32]; 2],
    /// What the reset gate leaves of the state before.
    pub(super) left: &'s mut [f32],
    pub(super) update: &'s mut [f32],
}

/// Some frames of a gated recurrent unit.
pub(super) struct Steps<'a, 's> {
    gru: &'a Gru,
    input_gates: &'a [f32],
    own: &'a mut [f32],
    state: &'a mut State<'s>,
    frames: usize,
    /// Where the input's half of the next frame's gates lies in `input_gates`, and its row in `own`.
    given: Walk,
    row: Walk,
}

impl<'a, 's> Steps<'a, 's> {
    /// The `frames`, whose gates' input half lies in a ring, into the slice `own` of another.
    pub(super) fn new(
        gru: &'a Gru,
        (gates, input_gates): (Ring, &'a [f32]),
        (ring, own): (Ring, &'a mut [f32]),
        state: &'a mut State<'s>,
        frames: Range<i64>,
    ) -> Self {
        let (given, row) = (gates.walk(frames.start, 1), ring.walk(frames.start, 1));
        Self { gru, input_gates, own, state, frames: (frames.end - frames.start) as usize, given, row }
    }
}

impl Work for Steps<'_, '_> {
    type Output = usize;

    #[inline(always)]
    fn on<S: Simd>(mut self, s: S) -> usize {
        let mut resets = 0;
        for _ in 0..self.frames {
            let [given] = self.given.next(0);
            let input_gates = self.input_gates[given..].as_chunks().0;
            let from_state = &self.gru.from_state;
            let is_lost = if self.gru.hidden <= EIGHT {
                half_panel(s, from_state, input_gates, self.state)
            } else {
                panels(s, from_state, input_gates, self.state)
            };
            let [before, after] = &mut self.state.hidden;
            if is_lost {
                after.fill(0.0);
                resets += 1;
            }
            let [at] = self.row.next(0);
            self.own[at..][..self.gru.hidden].copy_from_slice(&after[..self.gru.hidden]);
            std::mem::swap(before, after);
        }
        resets
    }
}

/// One frame of half a panel; whether its state is no longer finite. Only the first halves of vectors count in the end; the
/// second ones are finite where the first ones are.
#[inline(always)]
fn half_panel<S: Simd>(s: S, from_state: &FromState, input_gates: &[[f32; LANES]], state: &mut State<'_>) -> bool {
    let State { hidden: [before, after], left, .. } = state;
    let ([h], [after], [reset_update, new]) =
        (before.as_chunks().0, after.as_chunks_mut().0, input_gates.first_chunk().expect("two lines for three gates"))
    else {
        return false;
    };
    let (h, reset_update, new) = (s.load(h), s.load(reset_update), s.load(new));
    let (gates, new) = match from_state {
        FromState::Product(matrices, bias) => {
            let begin = [reset_update, s.load_part(bias)];
            let [reset_update, scaled] = matrices.sums(s, 0, begin, before);
            let gates = math::sigmoid(s, reset_update);
            (gates, s.mul_add(gates, scaled, new))
        }
        FromState::State([matrices, of_new]) => {
            let [reset_update] = matrices.sums(s, 0, [reset_update], before);
            let gates = math::sigmoid(s, reset_update);
            s.store_part(s.mul(gates, h), left);
            let [new] = of_new.sums(s, 0, [new], left);
            (gates, new)
        }
    };
    let lost = next(s, s.swapped(gates), new, h, after);
    s.any(s.lt(s.splat(0.0), lost))
}

/// One frame of whole panels; whether its state is no longer finite.
#[inline(always)]
fn panels<S: Simd>(s: S, from_state: &FromState, input_gates: &[[f32; LANES]], state: &mut State<'_>) -> bool {
    let State { hidden: [before, after], left, update } = state;
    let (hs, after) = (before.as_chunks().0, after.as_chunks_mut().0);
    let (reset_gates, rest) = input_gates.split_at(hs.len());
    let (update_gates, new_gates) = rest.split_at(hs.len());
    let mut lost = s.splat(0.0);
    match from_state {
        FromState::Product(matrices, bias) => {
            let bias = bias.as_chunks().0;
            for (panel, h) in hs.iter().enumerate() {
                let begin = [s.load(&reset_gates[panel]), s.load(&update_gates[panel]), s.load(&bias[panel])];
                let [reset, update, scaled] = matrices.sums(s, panel, begin, before);
                let new = s.mul_add(math::sigmoid(s, reset), scaled, s.load(&new_gates[panel]));
                lost = s.add(lost, next(s, math::sigmoid(s, update), new, s.load(h), &mut after[panel]));
            }
        }
        FromState::State([matrices, of_new]) => {
            let update = update.as_chunks_mut().0;
            for (panel, h) in hs.iter().enumerate() {
                let begin = [s.load(&reset_gates[panel]), s.load(&update_gates[panel])];
                let [reset, kept] = matrices.sums(s, panel, begin, before);
                s.store(s.mul(math::sigmoid(s, reset), s.load(h)), &mut left.as_chunks_mut().0[panel]);
                s.store(math::sigmoid(s, kept), &mut update[panel]);
            }
            for (panel, h) in hs.iter().enumerate() {
                let [new] = of_new.sums(s, panel, [s.load(&new_gates[panel])], left);
                lost = s.add(lost, next(s, s.load(&update[panel]), new, s.load(h), &mut after[panel]));
            }
        }
    }
    s.any(s.lt(s.splat(0.0), lost))
}

/// Writes `(1 − update) · tanh(new) + update · h`; 1 where it is no longer finite, else 0.
#[inline(always)]
fn next<S: Simd>(s: S, update: S::F, new: S::F, h: S::F, after: &mut [f32; LANES]) -> S::F {
    let kept = s.mul(update, h);
    let h = s.mul_add(s.sub(s.splat(1.0), update), math::tanh(s, new), kept);
    s.store(h, after);
    s.select(s.lt(math::abs(s, h), s.splat(f32::INFINITY)), s.splat(0.0), s.splat(1.0))
}
