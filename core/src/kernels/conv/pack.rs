//! Weights in the order in which they are read.

use super::segment::{Segment, segments};
use super::{LANES, Layout};
use crate::kernels::half;
use crate::kernels::vector::{CacheLine, Simd};
use crate::stream::{CachedConv, ConvKind, Part, Tap};

/// The weights of one phase, or of several that read the same input frames.
#[derive(Debug)]
pub(super) struct Filter {
    pub(super) first_phase: usize,
    pub(super) phases: usize,
    pub(super) segments: Vec<Segment>,
    /// Panel after panel, in each the products in order; of dot products: output after output, each segment padded to
    /// whole lines.
    pub(super) lines: Lines,
    /// Lines of one panel, or of one output.
    pub(super) panel_lines: usize,
}

/// Weights of sixteen lanes for each product.
#[derive(Debug)]
pub(super) enum Lines {
    Full(Vec<CacheLine>),
    Half(Vec<Half>),
}

/// Sixteen weights that stand together.
pub(super) trait Line: Copy {
    const ZERO: Self;
    /// Puts a weight, which must fit, into a lane.
    fn set(&mut self, lane: usize, weight: f32);
    fn load<S: Simd>(&self, s: S) -> S::F;
}

/// Half a cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(32))]
pub(super) struct Half([u16; LANES]);

impl Line for CacheLine {
    const ZERO: Self = Self([0.0; LANES]);

    #[inline(always)]
    fn set(&mut self, lane: usize, weight: f32) {
        self.0[lane] = weight;
    }

    #[inline(always)]
    fn load<S: Simd>(&self, s: S) -> S::F {
        s.load(&self.0)
    }
}

impl Line for Half {
    const ZERO: Self = Self([0; LANES]);

    #[inline(always)]
    fn set(&mut self, lane: usize, weight: f32) {
        self.0[lane] = half::narrow(weight).expect("weights that are packed as halves were seen to fit");
    }

    #[inline(always)]
    fn load<S: Simd>(&self, s: S) -> S::F {
        s.load_half(&self.0)
    }
}

impl Filter {
    /// Bytes of weights.
    pub(super) fn bytes(&self) -> usize {
        match &self.lines {
            Lines::Full(lines) => size_of_val(lines.as_slice()),
            Lines::Half(lines) => size_of_val(lines.as_slice()),
        }
    }
}

/// The phases of a convolution in the order in which they are packed: where lanes are several phases, from the first on
/// that reads the newest frame of all, so that the frames of a quotient are needed, and can be computed, together.
pub(super) struct Phases<'a> {
    conv: &'a CachedConv,
    layout: Layout,
    /// Phases that come last instead of first.
    rotation: usize,
    shift: i64,
    /// Phase after phase.
    taps: Vec<Vec<Tap>>,
}

impl<'a> Phases<'a> {
    pub(super) fn new(conv: &'a CachedConv, part: Part, layout: Layout) -> Self {
        let mut taps = conv.part_taps(part);
        let newest = |taps: &Vec<Tap>| taps.last().map(|tap| tap.offset);
        let latest = taps.iter().filter_map(newest).max();
        let rotation = taps.iter().position(|taps| newest(taps) == latest).unwrap_or(0);
        let rotation = if layout == Layout::Phases { rotation } else { 0 };
        // These stand one quotient later.
        taps[..rotation].iter_mut().flatten().for_each(|tap| tap.offset += 1);
        taps.rotate_left(rotation);
        Self { conv, layout, rotation, shift: conv.part_reads(part).shift - rotation as i64, taps }
    }

    /// What is added to a frame's index before it is divided by the number of phases.
    pub(super) fn shift(&self) -> i64 {
        self.shift
    }

    /// `[phase][channel]`.
    pub(super) fn bias(&self) -> Vec<f32> {
        let phases = 0..self.taps.len();
        phases
            .flat_map(|p| (0..self.conv.out_channels()).map(move |out| self.conv.offset(self.trained(p), out)))
            .collect()
    }

    /// The filters, in order of their phases.
    pub(super) fn filters(&self, half: bool) -> Vec<Filter> {
        let conv = self.conv;
        let half = half && conv.weight.data().iter().all(|w| half::narrow(*w).is_some());
        let runs =
            if self.layout == Layout::Phases { merged(&self.taps) } else { alike(&self.taps, |_| true, |_, _| false) };
        let filter = |run: Run| {
            let segments = segments(&run.taps[0], conv.group_inputs(), conv.groups, self.layout);
            let panel_lines = match self.layout {
                Layout::Dot => segments.iter().map(|s| s.length.div_ceil(LANES)).sum(),
                _ => run.taps[0].len() * conv.group_inputs(),
            };
            let lines =
                if half { Lines::Half(self.lines(&run, &segments)) } else { Lines::Full(self.lines(&run, &segments)) };
            Filter { first_phase: run.first_phase, phases: run.taps.len(), segments, lines, panel_lines }
        };
        runs.into_iter().map(filter).collect()
    }

    /// Index of the `p`-th phase among the trained ones.
    fn trained(&self, p: usize) -> usize {
        (p + self.rotation) % self.taps.len()
    }

    fn lines<L: Line>(&self, run: &Run, segments: &[Segment]) -> Vec<L> {
        let at = Address::of(self.conv);
        let outputs: Vec<usize> = (0..self.conv.out_channels()).map(|out| at.lane(out)).collect();
        let tap = |(p, taps): (usize, &Vec<Tap>)| {
            let phase = self.trained(run.first_phase + p);
            taps.iter().map(|tap| at.tap(phase, *tap)).collect()
        };
        let taps: Vec<Vec<usize>> = run.taps.iter().enumerate().map(tap).collect();
        let lanes = |outputs: &[usize]| -> Vec<Lane<'_>> {
            taps.iter().flat_map(|taps| outputs.iter().map(|output| Lane { output: *output, taps })).collect()
        };
        let panels = match self.layout {
            Layout::Dot => return self.dots(&outputs, segments, &taps[0], &at),
            Layout::Panels => outputs.chunks(outputs.len() / self.conv.groups).map(lanes).collect(),
            Layout::Channels | Layout::Phases => vec![lanes(&outputs)],
        };
        self.panels(panels.iter().flat_map(|group| group.chunks(LANES)), taps[0].len(), &at)
    }

    /// For each panel, the products in order.
    fn panels<'l, L: Line>(
        &self,
        panels: impl Iterator<Item = &'l [Lane<'l>]> + Clone,
        taps: usize,
        at: &Address,
    ) -> Vec<L> {
        /// Inputs whose lines stay near while all lanes are filled.
        const NEAR: usize = 32;
        let (weights, inputs) = (self.conv.weight.data(), self.conv.group_inputs());
        let mut lines = Vec::with_capacity(panels.clone().count() * taps * inputs);
        for lanes in panels.filter(|_| taps > 0) {
            let start = lines.len();
            lines.resize(start + taps * inputs, L::ZERO);
            let panel = &mut lines[start..];
            let mut fill = |lane: usize, i: usize| {
                let Lane { output, taps } = lanes[lane];
                let weights = &weights[output + i * at.input..];
                for (t, tap) in taps.iter().enumerate() {
                    panel[t * inputs + i].set(lane, weights[*tap]);
                }
            };
            // In the order in which the trained weights lie.
            if at.input_outermost {
                (0..inputs).for_each(|i| (0..lanes.len()).for_each(|lane| fill(lane, i)));
            } else {
                for near in (0..inputs).step_by(NEAR) {
                    let near = near..inputs.min(near + NEAR);
                    (0..lanes.len()).for_each(|lane| near.clone().for_each(|i| fill(lane, i)));
                }
            }
        }
        lines
    }

    /// For each output, the products of each segment in order, padded to whole lines.
    fn dots<L: Line>(&self, outputs: &[usize], segments: &[Segment], taps: &[usize], at: &Address) -> Vec<L> {
        let (weights, inputs) = (self.conv.weight.data(), self.conv.group_inputs());
        let mut lines = Vec::new();
        for output in outputs {
            let mut product = 0;
            for segment in segments {
                let start = lines.len();
                lines.resize(start + segment.length.div_ceil(LANES), L::ZERO);
                for i in 0..segment.length {
                    let p = product + i;
                    let weight = weights[output + taps[p / inputs] + p % inputs * at.input];
                    lines[start + i / LANES].set(i % LANES, weight);
                }
                product += segment.length;
            }
        }
        lines
    }
}

/// An output of one phase, and where its taps lie.
#[derive(Clone, Copy)]
struct Lane<'a> {
    output: usize,
    taps: &'a [usize],
}

/// Consecutive phases that read the same input frames.
struct Run {
    first_phase: usize,
    /// Phase after phase.
    taps: Vec<Vec<Tap>>,
}

/// All phases over the input frames that all of them read, and runs of them over the frames before and after.
fn merged(phases: &[Vec<Tap>]) -> Vec<Run> {
    let oldest = phases.iter().filter_map(|taps| taps.first()).map(|tap| tap.offset).max();
    let newest = phases.iter().filter_map(|taps| taps.last()).map(|tap| tap.offset).min();
    let (Some(oldest), Some(newest)) = (oldest, newest) else { return vec![] };
    let same = |a: &[Tap], b: &[Tap]| a.iter().map(|t| t.offset).eq(b.iter().map(|t| t.offset));
    if oldest > newest {
        return alike(phases, |_| true, same);
    }
    let older = alike(phases, |tap| tap.offset < oldest, same);
    let shared = alike(phases, |tap| (oldest..=newest).contains(&tap.offset), same);
    let newer = alike(phases, |tap| tap.offset > newest, same);
    older.into_iter().chain(shared).chain(newer).filter(|run| !run.taps[0].is_empty()).collect()
}

/// Runs of phases whose kept taps are the same.
fn alike(phases: &[Vec<Tap>], keep: impl Fn(&Tap) -> bool, same: impl Fn(&[Tap], &[Tap]) -> bool) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (phase, taps) in phases.iter().enumerate() {
        let taps: Vec<Tap> = taps.iter().copied().filter(&keep).collect();
        match runs.last_mut() {
            Some(run) if same(&run.taps[0], &taps) => run.taps.push(taps),
            _ => runs.push(Run { first_phase: phase, taps: vec![taps] }),
        }
    }
    runs
}

/// Where a coefficient lies in the trained weights: `lane(out) + tap + input · i`, and `phase` further for each phase.
struct Address {
    kind: ConvKind,
    columns: usize,
    kernel_size: usize,
    group_inputs: usize,
    input: usize,
    phase: usize,
    input_outermost: bool,
}

impl Address {
    fn of(conv: &CachedConv) -> Self {
        let [columns, kernel_size] = [conv.weight.shape()[1], conv.weight.shape()[2]];
        let input_outermost = matches!(conv.kind, ConvKind::Transposed { .. });
        let (input, phase) = match conv.kind {
            ConvKind::Strided { .. } => (kernel_size, 0),
            ConvKind::Subpixel { .. } => (kernel_size, columns * kernel_size),
            ConvKind::Transposed { .. } => (columns * kernel_size, 1),
        };
        Self { kind: conv.kind, columns, kernel_size, group_inputs: conv.group_inputs(), input, phase, input_outermost }
    }

    fn lane(&self, out: usize) -> usize {
        match self.kind {
            ConvKind::Strided { .. } => out * self.columns * self.kernel_size,
            ConvKind::Subpixel { factor } => out * factor * self.columns * self.kernel_size,
            ConvKind::Transposed { .. } => {
                let (group, within) = (out / self.columns, out % self.columns);
                group * self.group_inputs * self.input + within * self.kernel_size
            }
        }
    }

    fn tap(&self, phase: usize, tap: Tap) -> usize {
        match self.kind {
            ConvKind::Strided { .. } | ConvKind::Transposed { .. } => tap.index,
            ConvKind::Subpixel { .. } => phase * self.phase + tap.index,
        }
    }
}
