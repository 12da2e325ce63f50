//! What a recurrent layer's gates read: the input's half of them, for many frames at once, and the state's, a small matrix
//! times a vector, with the units of one gate side by side. Of half a panel, two gates share a vector.

use super::conv::PackedConv;
use super::epilogue::Epilogue;
use super::isa::Isa;
use super::vector::{CacheLine, EIGHT, LANES, Simd};
use crate::stream::{CachedConv, Part};

/// Sums that each gate is made of, so that no product waits for the one before it.
pub(super) const CHAINS: usize = 4;

/// The state's half of some gates.
#[derive(Debug)]
pub(super) struct StateGates {
    /// `[panel][column][gate]`, columns up to a multiple of [`CHAINS`].
    lines: Vec<CacheLine>,
    /// Lines of a panel.
    of_panel: usize,
}

impl StateGates {
    /// The matrices `[gate · hidden, hidden]`.
    pub(super) fn new(weight: &[f32], hidden: usize) -> Self {
        let gates = weight.len() / (hidden * hidden);
        let (units, slots, columns) = (units(hidden), slots(gates, hidden), hidden.next_multiple_of(CHAINS));
        let panel = units.min(LANES);
        let mut lines = vec![CacheLine([0.0; LANES]); units * columns * slots / LANES];
        for (row, weights) in weight.chunks_exact(hidden).enumerate() {
            let (gate, unit) = (row / hidden, row % hidden);
            for (column, weight) in weights.iter().enumerate() {
                let lane = ((unit / panel * columns + column) * slots + gate) * panel + unit % panel;
                lines[lane / LANES].0[lane % LANES] = *weight;
            }
        }
        Self { lines, of_panel: columns * slots * panel / LANES }
    }

    /// Bytes of weights.
    pub(super) fn weight_bytes(&self) -> usize {
        size_of_val(self.lines.as_slice())
    }

    /// `begin` and what the state gives to the same lanes of a panel: `V` vectors, one for each gate, or for two.
    #[inline(always)]
    pub(super) fn sums<S: Simd, const V: usize>(
        &self,
        s: S,
        panel: usize,
        begin: [S::F; V],
        state: &[f32],
    ) -> [S::F; V] {
        let lines = &self.lines[panel * self.of_panel..][..self.of_panel];
        let mut sums = [[s.splat(0.0); V]; CHAINS];
        sums[0] = begin;
        for (h, lines) in state.chunks_exact(CHAINS).zip(lines.chunks_exact(CHAINS * V)) {
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
}

/// The input's half of some gates: `weight` is `[gate · hidden, inputs]`, what it gives `[frame][gate][unit]`, whole vectors.
pub(super) fn from_input(weight: &[f32], bias: &[f32], hidden: usize, isa: Isa) -> PackedConv {
    let (gates, inputs) = (bias.len() / hidden, weight.len() / bias.len());
    let (weight, bias) = (spread(weight, gates, hidden), spread(bias, gates, hidden));
    let conv = CachedConv::matrix([bias.len(), inputs], &weight, Some(&bias));
    PackedConv::new(&conv, Part::Whole, Epilogue::default(), false, isa)
}

/// `[gate · hidden, …]` with each gate's units up to [`units`], and gates up to [`slots`].
pub(super) fn spread(values: &[f32], gates: usize, hidden: usize) -> Vec<f32> {
    let width = values.len() / (gates * hidden);
    let mut spread = vec![0.0; lanes(gates, hidden) * width];
    for (gate, values) in values.chunks_exact(hidden * width).enumerate() {
        spread[gate * units(hidden) * width..][..values.len()].copy_from_slice(values);
    }
    spread
}

/// Values of a frame of so many gates: whole vectors.
pub(super) fn lanes(gates: usize, hidden: usize) -> usize {
    slots(gates, hidden) * units(hidden)
}

/// Units of a gate: half a panel, or whole ones.
fn units(hidden: usize) -> usize {
    if hidden <= EIGHT { EIGHT } else { hidden.next_multiple_of(LANES) }
}

/// Places of gates: of half a panel an even number.
fn slots(gates: usize, hidden: usize) -> usize {
    if hidden <= EIGHT { gates.next_multiple_of(2) } else { gates }
}
