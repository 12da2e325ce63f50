//! Weights in the order in which they are read.

use super::segment::{Segment, segments};
use super::{LANES, Layout};
use crate::kernels::half;
use crate::kernels::vector::Simd;
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
    Full(Vec<Full>),
    Half(Vec<Half>),
}

/// Sixteen weights that stand together.
pub(super) trait Line: Copy {
    const ZERO: Self;
    /// Puts a weight, which must fit, into a lane.
    fn set(&mut self, lane: usize, weight: f32);
    fn load<S: Simd>(&self, s: S) -> S::F;
}

/// One cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Full([f32; LANES]);

/// Half of one.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(32))]
pub(super) struct Half([u16; LANES]);

impl Line for Full {
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

/// The filters of `part`, in order of their phases.
pub(super) fn filters(conv: &CachedConv, part: Part, layout: Layout, half: bool) -> Vec<Filter> {
    let half = half && conv.weight.data().iter().all(|w| half::narrow(*w).is_some());
    let phases = conv.part_taps(part);
    let runs = if layout == Layout::Phases { merged(&phases) } else { alike(&phases, |_| true, |_, _| false) };
    let filter = |run: Run| {
        let segments = segments(&run.taps, conv.group_inputs(), conv.groups, layout);
        let panel_lines = match layout {
            Layout::Dot => segments.iter().map(|s| s.length.div_ceil(LANES)).sum(),
            _ => run.taps.len() * conv.group_inputs(),
        };
        let Run { first_phase, phases, taps } = run;
        let lanes = Lanes { conv, layout, first_phase, phases, taps: &taps };
        let lines = if half { Lines::Half(lanes.lines(&segments)) } else { Lines::Full(lanes.lines(&segments)) };
        Filter { first_phase, phases, segments, lines, panel_lines }
    };
    runs.into_iter().map(filter).collect()
}

/// Consecutive phases that read the same input frames.
struct Run {
    first_phase: usize,
    phases: usize,
    /// Of the first phase.
    taps: Vec<Tap>,
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
    older.into_iter().chain(shared).chain(newer).filter(|run| !run.taps.is_empty()).collect()
}

/// Runs of phases whose kept taps are the same.
fn alike(phases: &[Vec<Tap>], keep: impl Fn(&Tap) -> bool, same: impl Fn(&[Tap], &[Tap]) -> bool) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (phase, taps) in phases.iter().enumerate() {
        let taps: Vec<Tap> = taps.iter().copied().filter(&keep).collect();
        match runs.last_mut() {
            Some(run) if same(&run.taps, &taps) => run.phases += 1,
            _ => runs.push(Run { first_phase: phase, phases: 1, taps }),
        }
    }
    runs
}

/// Which weights stand together.
struct Lanes<'a> {
    conv: &'a CachedConv,
    layout: Layout,
    first_phase: usize,
    phases: usize,
    taps: &'a [Tap],
}

impl Lanes<'_> {
    fn lines<L: Line>(&self, segments: &[Segment]) -> Vec<L> {
        let at = Address::of(self.conv);
        let outputs: Vec<usize> = (0..self.conv.out_channels()).map(|out| at.lane(out)).collect();
        let taps: Vec<usize> = self.taps.iter().map(|tap| at.tap(self.first_phase, *tap)).collect();
        match self.layout {
            Layout::Panels => {
                let groups = outputs.chunks(outputs.len() / self.conv.groups);
                self.panels(groups.flat_map(|group| group.chunks(LANES)), &taps, &at)
            }
            Layout::Channels => self.panels(outputs.chunks(LANES), &taps, &at),
            Layout::Phases => {
                // The taps of a later phase are those of the first, some places on.
                let phases = (0..self.phases).map(|phase| phase * at.phase);
                let lanes: Vec<usize> = phases.flat_map(|p| outputs.iter().map(move |out| out + p)).collect();
                self.panels(lanes.chunks(LANES), &taps, &at)
            }
            Layout::Dot => self.dots(&outputs, segments, &taps, &at),
        }
    }

    /// For each panel, the products in order.
    fn panels<'l, L: Line>(
        &self,
        panels: impl Iterator<Item = &'l [usize]> + Clone,
        taps: &[usize],
        at: &Address,
    ) -> Vec<L> {
        /// Inputs whose lines stay near while all lanes are filled.
        const NEAR: usize = 32;
        let (weights, inputs) = (self.conv.weight.data(), self.conv.group_inputs());
        let mut lines = Vec::with_capacity(panels.clone().count() * taps.len() * inputs);
        for lanes in panels.filter(|_| !taps.is_empty()) {
            let start = lines.len();
            lines.resize(start + taps.len() * inputs, L::ZERO);
            let panel = &mut lines[start..];
            let mut fill = |lane: usize, i: usize| {
                let weights = &weights[lanes[lane] + i * at.input..];
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
