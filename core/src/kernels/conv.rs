//! Convolution over cached frames, weights in panels of 16 outputs: `[phase][group][out/16][tap][in][16]`.
//!
//! ```text
//! for each output frame n: (q, phase) = divmod(n + shift, phases)
//!   y[0..16] = bias of the panel, or the sum that the older taps left
//!   for each block of products: y += Σ x[row q·stride + offset, in] · panel[tap, in]
//! ```
//!
//! The block is the unit of rounding: its products are summed from zero, in order, and blocks join the sum in order. So
//! a frame's bits depend neither on how many frames are computed together, nor on where the sum is cut in two.

mod channels;
mod dot;
mod pack;
mod planes;
mod segment;
mod side;
mod strip;
mod tile;

use std::ops::Range;

use pack::{Filter, Lines, Phases};
pub(crate) use planes::PlaneConv;
use side::Side;
use tile::{Begin, Finish};

use super::Source;
use super::epilogue::{Epilogue, InRegisters, Left};
use super::isa::Isa;
use super::vector::LANES;
use crate::plan::Ring;
use crate::stream::{CachedConv, Part};

/// Values of biases that are written at once, where they repeat.
const BIASES: usize = 128;
/// Groups of at most this many outputs are computed as dot products.
const DOT_OUTPUTS: usize = 4;

/// A convolution, or a part of its taps, whose weights are packed for this machine.
#[derive(Debug)]
pub(crate) struct PackedConv {
    filters: Vec<Filter>,
    /// The same for frames side by side, where that is faster.
    side: Option<Box<Side>>,
    /// `[phase][channel]`, phases in the order of [`Phases`]; of few, again and again in that layout.
    bias: Vec<f32>,
    epilogue: Epilogue,
    layout: Layout,
    phases: usize,
    shift: i64,
    stride: i64,
    groups: usize,
    group_inputs: usize,
    group_outputs: usize,
    isa: Isa,
}

/// What the sixteen lanes of a line of weights are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// Outputs of one group.
    Panels,
    /// Outputs of several phases, phase by phase, where one phase has too few to fill a panel.
    Phases,
    /// Channels that are groups of their own.
    Channels,
    /// Inputs of one output.
    Dot,
}

/// How the products of a convolution's outputs are summed.
fn layout(conv: &CachedConv, part: Part) -> Layout {
    match (conv.groups, conv.group_inputs(), conv.out_channels() / conv.groups) {
        (groups, 1, 1) if groups > 1 => Layout::Channels,
        _ if side::fits(conv, part) => Layout::Panels,
        (1, _, outputs) if conv.phases() > 1 && outputs < LANES => Layout::Phases,
        (_, _, outputs) if outputs <= DOT_OUTPUTS => Layout::Dot,
        _ => Layout::Panels,
    }
}

impl PackedConv {
    /// Packs the taps of `part` for `isa`; as half precision if `half` and if that loses nothing. The older taps' sum
    /// has no epilogue.
    pub(crate) fn new(conv: &CachedConv, part: Part, epilogue: Epilogue, half: bool, isa: Isa) -> Self {
        let reads = conv.part_reads(part);
        let (phases, channels) = (conv.phases(), conv.out_channels());
        let (group_inputs, group_outputs) = (conv.group_inputs(), channels / conv.groups);
        let layout = layout(conv, part);
        let in_order = Phases::new(conv, part, layout);
        let once = in_order.bias();
        let bias = match (part, layout) {
            (Part::Newest { .. }, _) => vec![],
            (_, Layout::Phases) => once.repeat((BIASES / once.len()).max(1)),
            _ => once,
        };
        let column = epilogue.column.as_ref().map(|column| column.data());
        Self {
            filters: in_order.filters(half),
            side: if side::fits(conv, part) { Side::new(conv, column, isa).map(Box::new) } else { None },
            bias,
            epilogue: if matches!(part, Part::Older { .. }) { Epilogue::default() } else { epilogue },
            layout,
            phases,
            shift: in_order.shift(),
            stride: reads.stride,
            groups: conv.groups,
            group_inputs,
            group_outputs,
            isa,
        }
    }

    /// Bytes of packed weights.
    pub(crate) fn weight_bytes(&self) -> usize {
        let filters: usize = self.filters.iter().map(Filter::bytes).sum();
        filters + self.bias.len() * size_of::<f32>() + self.side.as_ref().map_or(0, |side| side.bytes())
    }

    /// Frames that the input's ring must repeat behind its end, where up to `frames` are computed at once.
    pub(crate) fn input_mirror(&self, frames: usize) -> usize {
        let within = self.filters.iter().flat_map(|f| &f.segments).map(|s| s.rows_beyond_first(self.row())).max();
        let most = self.side.as_ref().map_or(0, |side| side.most_frames()).max(tile::MOST_FRAMES);
        (frames.clamp(1, most) - 1) * self.stride as usize + within.unwrap_or(0)
    }

    /// Whether it adds to the older taps' sums.
    pub(crate) fn adds_to_sums(&self) -> bool {
        self.bias.is_empty()
    }

    /// Slices of 16 outputs, over groups.
    pub(crate) fn panels(&self) -> usize {
        match self.layout {
            _ if self.side.is_some() => 1,
            Layout::Panels => self.groups * self.group_panels(),
            Layout::Phases | Layout::Channels | Layout::Dot => self.channels().div_ceil(LANES),
        }
    }

    /// Computes the `panels` of `frames` into the ring slice `own`. The sum begins with the bias, or with the frame's
    /// row of `sums`; `addend` is what the epilogue adds.
    #[expect(clippy::too_many_arguments, reason = "what a frame is made of, by name")]
    pub(crate) fn run(
        &self,
        input: Source<'_>,
        sums: Option<Source<'_>>,
        addend: Option<Source<'_>>,
        ring: Ring,
        own: &mut [f32],
        frames: Range<i64>,
        panels: Range<usize>,
    ) {
        debug_assert!(input.ring.mirror() >= self.input_mirror((frames.end - frames.start).max(0) as usize));
        if let (Some(side), false) = (&self.side, panels.is_empty()) {
            let (finish, left) = self.epilogue.in_registers(addend, ring);
            self.sum_side_by_side(side, input, ring, own, frames.clone(), finish);
            self.epilogue.apply(left, self.isa, addend, ring, own, frames, 0..self.channels());
            return;
        }
        let columns = self.columns(panels.clone());
        // One filter computes a frame whole, so it can begin where the sum does; otherwise filters add to what is there.
        let whole = self.layout != Layout::Phases && self.filters.iter().all(|f| !f.segments.is_empty());
        let (finish, left) = if whole && self.layout == Layout::Panels {
            self.epilogue.in_registers(addend, ring)
        } else {
            (InRegisters::default(), Left::All)
        };
        if !whole {
            self.begin(sums, ring, own, frames.clone(), columns.clone());
        }
        for filter in &self.filters {
            let begins = match sums {
                _ if !whole => Begins::There,
                Some(sums) => Begins::Sums(sums),
                None => Begins::Bias(&self.bias[filter.first_phase * self.channels()..][..self.channels()]),
            };
            let target = Target { ring, own: &mut *own, frames: frames.clone(), begins, finish };
            match &filter.lines {
                Lines::Full(lines) => self.sum(filter, lines, input, target, panels.clone()),
                Lines::Half(lines) => self.sum(filter, lines, input, target, panels.clone()),
            }
        }
        self.epilogue.apply(left, self.isa, addend, ring, own, frames, columns);
    }

    fn sum<L: pack::Line>(
        &self,
        filter: &Filter,
        lines: &[L],
        input: Source<'_>,
        target: Target<'_>,
        panels: Range<usize>,
    ) {
        match self.layout {
            Layout::Panels | Layout::Phases => self.sum_panels(filter, lines, input, target, panels),
            Layout::Channels => self.sum_channels(filter, lines, input, target, panels),
            Layout::Dot => self.sum_dots(filter, lines, input, target, panels),
        }
    }

    /// Writes what the sums begin with.
    fn begin(&self, sums: Option<Source<'_>>, ring: Ring, own: &mut [f32], frames: Range<i64>, columns: Range<usize>) {
        let channels = self.channels();
        for piece in ring.stretches(frames) {
            let mut n = piece.start;
            while n < piece.end {
                let phase = (n + self.shift).rem_euclid(self.phases as i64) as usize;
                // Biases of consecutive phases stand as their frames do.
                let (begins, there) = match sums {
                    Some(sums) => {
                        let piece = sums.ring.stretches(n..piece.end).next().map_or(0, |piece| piece.end - piece.start);
                        (&sums.own[sums.ring.at(n)..], piece)
                    }
                    None => (&self.bias[phase * channels..], (self.bias.len() / channels - phase) as i64),
                };
                let rows = there.min(piece.end - n);
                let at = ring.at(n);
                if columns.len() == channels {
                    let values = rows as usize * channels;
                    own[at..at + values].copy_from_slice(&begins[..values]);
                } else {
                    for row in (0..rows as usize).map(|row| row * channels) {
                        let columns = row + columns.start..row + columns.end;
                        own[at..][columns.clone()].copy_from_slice(&begins[columns]);
                    }
                }
                n += rows;
            }
        }
    }

    /// The quotients of which the filter has frames in the range.
    fn quotients(&self, filter: &Filter, frames: &Range<i64>) -> Range<i64> {
        let ceil = |n: i64| -(-n).div_euclid(self.phases as i64);
        let first = filter.first_phase as i64 - self.shift;
        ceil(frames.start - first - (filter.phases as i64 - 1))..ceil(frames.end - first)
    }

    /// The filter's first frame of a quotient.
    #[inline(always)]
    fn frame(&self, filter: &Filter, quotient: i64) -> i64 {
        quotient * self.phases as i64 + filter.first_phase as i64 - self.shift
    }

    /// Channels that the panels stand for.
    fn columns(&self, panels: Range<usize>) -> Range<usize> {
        let start = |panel: usize| match self.layout {
            Layout::Panels => {
                let (group, within) = (panel / self.group_panels(), panel % self.group_panels());
                group * self.group_outputs + within * LANES
            }
            Layout::Phases | Layout::Channels | Layout::Dot => (panel * LANES).min(self.channels()),
        };
        start(panels.start)..start(panels.end)
    }

    /// Panels of one group.
    fn group_panels(&self) -> usize {
        self.group_outputs.div_ceil(LANES)
    }

    /// Channels of the output.
    fn channels(&self) -> usize {
        self.groups * self.group_outputs
    }

    /// Channels of the input.
    fn row(&self) -> usize {
        self.groups * self.group_inputs
    }
}

/// The frames to compute, and where they go.
struct Target<'a> {
    ring: Ring,
    own: &'a mut [f32],
    frames: Range<i64>,
    begins: Begins<'a>,
    finish: InRegisters<'a>,
}

/// What is added to.
#[derive(Clone, Copy)]
enum Begins<'a> {
    /// What the target holds.
    There,
    /// A value for each channel.
    Bias(&'a [f32]),
    /// The same frame of another signal.
    Sums(Source<'a>),
}

impl<'a> Begins<'a> {
    /// Of the frames `first`, `first + step`, …, these outputs.
    fn of(self, first: i64, step: usize, outputs: Range<usize>) -> Begin<'a> {
        match self {
            Self::There => Begin::There,
            Self::Bias(bias) => Begin::Bias(&bias[outputs]),
            Self::Sums(sums) => Begin::Sums(sums.own, sums.ring.walk(first, step)),
        }
    }
}

impl<'a> InRegisters<'a> {
    /// Of the frames `first`, `first + step`, …, outputs from `output` on.
    fn of(&self, first: i64, step: usize, output: usize) -> Finish<'a> {
        let addend = self.addend.map(|addend| (addend.own, addend.ring.walk(first, step)));
        let column = self.column.map(|column| &column[output..]);
        Finish { slope: self.slope, addend, column, then: self.then }
    }
}
