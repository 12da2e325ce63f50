//! Frames one after another, panel by panel; of half a panel, two gates at a time.

use std::ops::Range;

use super::{CHAINS, GATES, Lstm};
use crate::kernels::math;
use crate::kernels::vector::{CacheLine, EIGHT, LANES, Simd, Work};
use crate::plan::Ring;

/// Some frames of an LSTM.
pub(super) struct Steps<'a, 's> {
    pub(super) lstm: &'a Lstm,
    pub(super) input_gates: &'a [f32],
    pub(super) gates: Ring,
    pub(super) ring: Ring,
    pub(super) own: &'a mut [f32],
    pub(super) cell: &'a mut [f32],
    /// The hidden state before a frame and after it, up to whole panels.
    pub(super) state: &'a mut [&'s mut [f32]; 2],
    pub(super) frames: Range<i64>,
}

impl Work for Steps<'_, '_> {
    type Output = usize;

    #[inline(always)]
    fn on<S: Simd>(self, s: S) -> usize {
        let Self { lstm, input_gates, gates, ring, own, cell, state, frames } = self;
        let mut resets = 0;
        for n in frames {
            let [before, after] = &mut *state;
            let input_gates = gates.row(input_gates, n);
            // Whole lines, so that what was just written is read without waiting for memory.
            let (states, cells) = (after.as_chunks_mut().0, cell.as_chunks_mut().0);
            let is_lost = match (states, &mut *cells) {
                ([after], [cell]) if lstm.hidden <= EIGHT => {
                    eight(s, &lstm.from_state, input_gates, before, cell, after)
                }
                (states, cells) => panels(s, lstm, input_gates, before, cells, states),
            };
            if is_lost {
                cell.fill(0.0);
                after.fill(0.0);
                resets += 1;
            }
            ring.row_mut(own, n).copy_from_slice(&after[..lstm.hidden]);
            state.swap(0, 1);
        }
        resets
    }
}

/// One frame of whole panels; whether its state is no longer finite.
#[inline(always)]
fn panels<S: Simd>(
    s: S,
    lstm: &Lstm,
    input_gates: &[f32],
    before: &[f32],
    cells: &mut [[f32; LANES]],
    states: &mut [[f32; LANES]],
) -> bool {
    let units = LANES * cells.len();
    let mut lost = s.splat(0.0);
    for (panel, lines) in lstm.from_state.chunks_exact(lstm.columns * GATES).enumerate() {
        let cell = &mut cells[panel];
        let mut begin = [s.splat(0.0); GATES];
        for (gate, begin) in begin.iter_mut().enumerate() {
            *begin = s.load_part(&input_gates[gate * units + panel * LANES..][..LANES]);
        }
        let [input, forget, new, output] = sums(s, begin, lines, before);
        let kept = s.mul(math::sigmoid(s, forget), s.load(cell));
        let c = s.mul_add(math::sigmoid(s, input), math::tanh(s, new), kept);
        let h = s.mul(math::sigmoid(s, output), math::tanh(s, c));
        lost = s.select(s.lt(math::abs(s, h), s.splat(f32::INFINITY)), lost, s.splat(1.0));
        s.store(c, cell);
        s.store(h, &mut states[panel]);
    }
    s.any(s.lt(s.splat(0.0), lost))
}

/// One frame of half a panel; whether its state is no longer finite.
#[inline(always)]
fn eight<S: Simd>(
    s: S,
    lines: &[CacheLine],
    input_gates: &[f32],
    before: &[f32],
    cell: &mut [f32; LANES],
    after: &mut [f32; LANES],
) -> bool {
    let mut begin = [s.splat(0.0); GATES / 2];
    for (begin, gates) in begin.iter_mut().zip(input_gates.as_chunks::<LANES>().0) {
        *begin = s.load(gates);
    }
    let [input_forget, new_output] = sums(s, begin, lines, before);
    let input_forget = math::sigmoid(s, input_forget);
    // Only first halves count from here on. The second ones are finite where the first ones are.
    let kept = s.mul(s.swapped(input_forget), s.load(cell));
    let c = s.mul_add(input_forget, math::tanh(s, new_output), kept);
    let h = s.mul(s.swapped(math::sigmoid(s, new_output)), math::tanh(s, c));
    s.store(c, cell);
    s.store(h, after);
    let is_finite = s.lt(math::abs(s, h), s.splat(f32::INFINITY));
    s.any(s.lt(s.splat(0.0), s.select(is_finite, s.splat(0.0), s.splat(1.0))))
}

/// `begin` and what the state gives to the same lanes: `V` vectors for each of `lines`' columns.
#[inline(always)]
fn sums<S: Simd, const V: usize>(s: S, begin: [S::F; V], lines: &[CacheLine], before: &[f32]) -> [S::F; V] {
    let mut sums = [[s.splat(0.0); V]; CHAINS];
    sums[0] = begin;
    for (h, lines) in before.chunks_exact(CHAINS).zip(lines.chunks_exact(CHAINS * V)) {
        for chain in 0..CHAINS {
            let h = s.splat(h[chain]);
            for v in 0..V {
                sums[chain][v] = s.mul_add(h, s.load(&lines[chain * V + v].0), sums[chain][v]);
            }
        }
    }
    let mut sum = begin;
    for v in 0..V {
        let [a, b, c, d] = [sums[0][v], sums[1][v], sums[2][v], sums[3][v]];
        sum[v] = s.add(s.add(a, b), s.add(c, d));
    }
    sum
}
