//! Convolution over cached frames, weights in panels of 16 outputs: `[phase][group][out/16][tap][in][16]`.
//!
//! ```text
//! for each output frame n: (q, phase) = divmod(n + shift, phases)
//!   acc[0..16] = bias of the panel
//!   for tap: x = input row q·stride + offset[tap];  for i: acc += x[i] · panel[tap][i]
//! ```
//!
//! Several frames of one phase share a read of the weights; each keeps its own order of additions, so a frame's bits do
//! not depend on its neighbours. Groups of few outputs are computed as dot products over channels instead.
#![allow(unsafe_code, reason = "calls of functions compiled for an instruction set whose presence is proven")]

use std::ops::Range;

use super::Source;
use super::isa::Isa;
use crate::plan::Ring;
use crate::stream::CachedConv;

/// Outputs of a panel, and lanes of a dot product.
const LANES: usize = 16;
/// Frames that share a read of the weights.
const TILE: usize = 4;
/// Products summed on their own before they join the sum: rounding grows with the length of a chain of additions.
const BLOCK: usize = 32;
/// Groups of at most this many outputs are computed as dot products.
const DOT_OUTPUTS: usize = 4;

/// A convolution whose weights are packed for this machine.
#[derive(Debug)]
pub(crate) struct PackedConv {
    phases: Vec<Phase>,
    shift: i64,
    stride: i64,
    groups: usize,
    group_inputs: usize,
    group_outputs: usize,
    isa: Isa,
}

#[derive(Debug)]
struct Phase {
    /// Input frame of each tap, relative to `q · stride`.
    offsets: Vec<i64>,
    weights: Vec<f32>,
    /// Padded to whole panels per group.
    bias: Vec<f32>,
}

impl PackedConv {
    /// Packs `conv` for `isa`.
    pub(super) fn new(conv: &CachedConv, isa: Isa) -> Self {
        let reads = conv.reads();
        let group_outputs = conv.out_channels() / conv.groups;
        let mut packed = Self {
            phases: vec![],
            shift: reads.shift,
            stride: reads.stride,
            groups: conv.groups,
            group_inputs: conv.group_inputs(),
            group_outputs,
            isa,
        };
        for (phase, taps) in conv.taps().into_iter().enumerate() {
            let mut weights = Vec::new();
            let mut bias = Vec::new();
            for group in 0..conv.groups {
                for panel in 0..packed.panels() {
                    let lane = |l: usize| {
                        let within = panel * packed.panel_outputs() + l;
                        (within < group_outputs && l < packed.panel_outputs()).then_some(group * group_outputs + within)
                    };
                    bias.extend((0..LANES).map(|l| lane(l).map_or(0.0, |out| conv.offset(phase, out))));
                    for tap in &taps {
                        for i in 0..packed.group_inputs {
                            let coefficient = |l| lane(l).map_or(0.0, |out| conv.coefficient(phase, out, i, *tap));
                            if packed.by_dot() {
                                weights.push(coefficient(0));
                            } else {
                                weights.extend((0..LANES).map(coefficient));
                            }
                        }
                    }
                }
            }
            packed.phases.push(Phase { offsets: taps.iter().map(|t| t.offset).collect(), weights, bias });
        }
        packed
    }

    /// Bytes of packed weights.
    pub(super) fn weight_bytes(&self) -> usize {
        self.phases.iter().map(|p| (p.weights.len() + p.bias.len()) * size_of::<f32>()).sum()
    }

    /// Computes `frames` into the ring slice `own`.
    pub(super) fn run(&self, input: Source<'_>, ring: Ring, own: &mut [f32], frames: Range<i64>) {
        match self.isa {
            Isa::Portable => self.run_generic::<false>(input, ring, own, frames),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `Isa::Avx2` holds a proof that this machine has AVX2 and FMA; `Avx2::new` is its only source.
            Isa::Avx2(_) => unsafe { self.run_avx2(input, ring, own, frames) },
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn run_avx2(&self, input: Source<'_>, ring: Ring, own: &mut [f32], frames: Range<i64>) {
        self.run_generic::<true>(input, ring, own, frames);
    }

    #[inline(always)]
    fn run_generic<const FUSED: bool>(&self, input: Source<'_>, ring: Ring, own: &mut [f32], frames: Range<i64>) {
        let phases = self.phases.len() as i64;
        for (phase, p) in self.phases.iter().enumerate() {
            // Quotients of this phase's frames in the range.
            let quotient = |n: i64| -(phase as i64 - self.shift - n).div_euclid(phases);
            let frame = |q: i64| q * phases + phase as i64 - self.shift;
            let (mut q, end) = (quotient(frames.start), quotient(frames.end));
            while q < end {
                if end - q >= TILE as i64 {
                    self.run_tile::<TILE, FUSED>(p, input, q, |t| ring.at(frame(q + t)), own);
                    q += TILE as i64;
                } else {
                    self.run_tile::<1, FUSED>(p, input, q, |_| ring.at(frame(q)), own);
                    q += 1;
                }
            }
        }
    }

    /// Computes the frames `q .. q + T` of one phase; `out` says where each one's row starts.
    #[inline(always)]
    fn run_tile<const T: usize, const FUSED: bool>(
        &self,
        phase: &Phase,
        input: Source<'_>,
        q: i64,
        out: impl Fn(i64) -> usize,
        own: &mut [f32],
    ) {
        let width = phase.offsets.len() * self.group_inputs;
        for group in 0..self.groups {
            let columns = group * self.group_inputs..(group + 1) * self.group_inputs;
            let row =
                |t: usize, tap: usize| &input.row((q + t as i64) * self.stride + phase.offsets[tap])[columns.clone()];
            for panel in 0..self.panels() {
                let index = group * self.panels() + panel;
                let bias: [f32; LANES] = phase.bias[index * LANES..][..LANES].try_into().expect("a panel of bias");
                let first = group * self.group_outputs + panel * self.panel_outputs();
                let outputs = (self.group_outputs - panel * self.panel_outputs()).min(self.panel_outputs());
                if self.by_dot() {
                    let weights = &phase.weights[index * width..][..width];
                    for t in 0..T {
                        let sum = self.dot::<FUSED>(phase, weights, |tap| row(t, tap));
                        own[out(t as i64) + first] = sum + bias[0];
                    }
                } else {
                    let weights = &phase.weights[index * width * LANES..][..width * LANES];
                    let acc = self.panel::<T, FUSED>(weights, bias, row);
                    for (t, acc) in acc.iter().enumerate() {
                        let at = out(t as i64) + first;
                        own[at..at + outputs].copy_from_slice(&acc[..outputs]);
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn panel<'a, const T: usize, const FUSED: bool>(
        &self,
        weights: &[f32],
        bias: [f32; LANES],
        row: impl Fn(usize, usize) -> &'a [f32],
    ) -> [[f32; LANES]; T] {
        let mut sums = [bias; T];
        let mut acc = [[0.0; LANES]; T];
        let mut pending = 0;
        for (tap, weights) in weights.chunks_exact(self.group_inputs * LANES).enumerate() {
            for (block, weights) in weights.chunks(BLOCK * LANES).enumerate() {
                let length = weights.len() / LANES;
                let rows: [&[f32]; T] = std::array::from_fn(|t| &row(t, tap)[block * BLOCK..][..length]);
                for (i, w) in weights.chunks_exact(LANES).enumerate() {
                    let w: &[f32; LANES] = w.try_into().expect("a row of a panel");
                    for t in 0..T {
                        let x = rows[t][i];
                        for l in 0..LANES {
                            acc[t][l] = mul_add::<FUSED>(x, w[l], acc[t][l]);
                        }
                    }
                }
                pending += length;
                if pending >= BLOCK {
                    add(&mut sums, &acc);
                    (acc, pending) = ([[0.0; LANES]; T], 0);
                }
            }
        }
        add(&mut sums, &acc);
        sums
    }

    #[inline(always)]
    fn dot<'a, const FUSED: bool>(&self, phase: &Phase, weights: &[f32], row: impl Fn(usize) -> &'a [f32]) -> f32 {
        let mut acc = [0.0; LANES];
        for tap in 0..phase.offsets.len() {
            let weights = &weights[tap * self.group_inputs..][..self.group_inputs];
            for (x, w) in row(tap).chunks(LANES).zip(weights.chunks(LANES)) {
                for (l, (x, w)) in x.iter().zip(w).enumerate() {
                    acc[l] = mul_add::<FUSED>(*x, *w, acc[l]);
                }
            }
        }
        let mut lanes = LANES;
        while lanes > 1 {
            lanes /= 2;
            for l in 0..lanes {
                acc[l] += acc[l + lanes];
            }
        }
        acc[0]
    }

    fn by_dot(&self) -> bool {
        self.group_outputs <= DOT_OUTPUTS
    }

    /// Outputs that one panel stands for.
    fn panel_outputs(&self) -> usize {
        if self.by_dot() { 1 } else { LANES }
    }

    /// Panels of a group.
    fn panels(&self) -> usize {
        self.group_outputs.div_ceil(self.panel_outputs())
    }
}

#[inline(always)]
fn add<const T: usize>(sums: &mut [[f32; LANES]; T], acc: &[[f32; LANES]; T]) {
    for t in 0..T {
        for l in 0..LANES {
            sums[t][l] += acc[t][l];
        }
    }
}

#[inline(always)]
fn mul_add<const FUSED: bool>(x: f32, w: f32, acc: f32) -> f32 {
    if FUSED { x.mul_add(w, acc) } else { acc + x * w }
}
