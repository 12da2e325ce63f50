//! Sums of few channels: frames side by side in a vector, where one alone would leave lanes empty.
//!
//! Rows of few channels lie one after another, so that a vector holds the outputs of several frames, or of several groups.
//! Each lane sums its own products in the order of its layer.

mod products;

use std::ops::Range;

use super::segment::BLOCK;
use super::{DOT_OUTPUTS, InRegisters, PackedConv};
use crate::kernels::Source;
use crate::kernels::isa::Isa;
use crate::kernels::math;
use crate::kernels::vector::{CacheLine, EIGHT, LANES, Simd, Work};
use crate::plan::{Ring, Walk};
use crate::stream::{CachedConv, ConvKind, Part, Tap};

/// Vectors of the largest tile; half as many where a tile needs more than one address.
const MOST_VECTORS: usize = 8;
/// Lanes that must be filled, at least.
const LEAST_LANES: usize = 8;
/// Products of an output, at most, where dot products, or panels of one frame, would be nearly as fast.
const MOST_PRODUCTS: usize = 64;

/// A convolution whose frames stand side by side.
#[derive(Debug)]
pub(super) struct Side {
    /// Frames of a vector.
    frames: usize,
    weights: Weights,
    bias: CacheLine,
    /// Products of one tap, or those of a tap that belong to one block.
    pieces: Vec<Piece>,
    inputs: usize,
    outputs: usize,
    stride: usize,
    column: Option<Column>,
}

/// The weights of each product, and how its inputs come to them.
#[derive(Debug)]
enum Weights {
    /// Once for each frame. For each input of a group, the lane of several frames' inputs that each lane reads.
    Picked { lines: Vec<CacheLine>, picks: Vec<[u32; LANES]> },
    /// Once, for vectors of half as many lanes and one frame, which become whole vectors when a block closes: two after
    /// one another, of which these lanes are kept where the outputs are fewer.
    Eights { lines: Vec<Eight>, kept: Option<[u32; LANES]> },
}

/// Half a cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(32))]
struct Eight([f32; EIGHT]);

/// What one added channel is multiplied by, once for each frame, and the lane of it that each lane's frame reads.
#[derive(Debug)]
struct Column {
    weights: CacheLine,
    pick: [u32; LANES],
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    /// Input frame, relative to the output frame.
    frame: i64,
    /// First input of the group, and the one after the last.
    from: usize,
    to: usize,
    /// Whether the block ends here.
    closes: bool,
}

/// Whether frames of a convolution are best computed side by side: its channels are few, and fill enough lanes.
pub(super) fn fits(conv: &CachedConv, part: Part) -> bool {
    let ConvKind::Strided { stride } = conv.kind else { return false };
    let (inputs, outputs) = (conv.groups * conv.group_inputs(), conv.out_channels());
    let frames = frames_of_a_vector(inputs, outputs, stride);
    let group_outputs = outputs / conv.groups;
    let are_few = conv.taps()[0].len() * conv.group_inputs() <= MOST_PRODUCTS;
    let fills = match (conv.groups, stride) {
        (1, 1) => in_eights(outputs) || frames > 1 && frames * outputs >= LEAST_LANES,
        (1, _) => frames > 1 && frames * outputs >= LEAST_LANES && are_few,
        // One group alone would leave more lanes empty, unless the groups are single channels.
        _ => frames > 1 || frames == 1 && (conv.group_inputs(), group_outputs) != (1, 1),
    };
    part == Part::Whole && fills && (group_outputs > DOT_OUTPUTS || are_few)
}

/// Frames whose outputs, and inputs at one tap, are at most a vector.
fn frames_of_a_vector(inputs: usize, outputs: usize, stride: usize) -> usize {
    let by_inputs = LANES.checked_sub(inputs).map_or(0, |left| left / (stride * inputs).max(1) + 1);
    by_inputs.min(LANES / outputs.max(1))
}

/// Whether so many outputs fill half a vector well.
fn in_eights(outputs: usize) -> bool {
    (5..=EIGHT).contains(&outputs)
}

impl Side {
    /// The weights of a convolution that [`fits`], where `isa` has the instructions for it.
    pub(super) fn new(conv: &CachedConv, column: Option<&[f32]>, isa: Isa) -> Option<Self> {
        let ConvKind::Strided { stride } = conv.kind else { return None };
        let (inputs, outputs) = (conv.groups * conv.group_inputs(), conv.out_channels());
        let eights = conv.groups == 1 && stride == 1 && in_eights(outputs);
        if conv.taps()[0].is_empty() || !(isa.picks() || eights && outputs == EIGHT) {
            return None;
        }
        let frames = if eights { LANES / EIGHT } else { frames_of_a_vector(inputs, outputs, stride) };
        let line = |value: &dyn Fn(usize) -> f32| {
            let mut line = CacheLine([0.0; LANES]);
            (0..frames * outputs).for_each(|lane| line.0[lane] = value(lane % outputs));
            line
        };
        let taps = conv.taps().swap_remove(0);
        let group_inputs = conv.group_inputs();
        let mut products = Vec::with_capacity(taps.len() * group_inputs);
        let mut pieces: Vec<Piece> = Vec::with_capacity(taps.len());
        let last = taps.len() * group_inputs;
        for tap in taps {
            let mut from = 0;
            for i in 0..group_inputs {
                products.push((i, tap));
                let closes = products.len() % BLOCK == 0 || products.len() == last;
                if closes || i + 1 == group_inputs {
                    pieces.push(Piece { frame: tap.offset, from, to: i + 1, closes });
                    from = i + 1;
                }
            }
        }
        let weight = |out: usize, (i, tap): (usize, Tap)| conv.coefficient(0, out, i, tap);
        let pick = |value: &dyn Fn(usize, usize) -> usize| {
            let lane = |lane: usize| {
                if lane < frames * outputs { value(lane / outputs, lane % outputs) as u32 } else { 0 }
            };
            std::array::from_fn(lane)
        };
        let group = |out: usize| out / (outputs / conv.groups);
        let input = |i: usize| pick(&|frame, out| frame * stride * inputs + group(out) * group_inputs + i);
        let weights = if eights {
            let eight = |&product: &(usize, Tap)| {
                Eight(std::array::from_fn(|out| if out < outputs { weight(out, product) } else { 0.0 }))
            };
            let kept = |lane: usize| (lane / outputs * EIGHT + lane % outputs) as u32 % LANES as u32;
            Weights::Eights {
                lines: products.iter().map(eight).collect(),
                kept: (outputs < EIGHT).then(|| std::array::from_fn(kept)),
            }
        } else {
            Weights::Picked {
                lines: products.iter().map(|&product| line(&|out| weight(out, product))).collect(),
                picks: (0..group_inputs).map(input).collect(),
            }
        };
        let column = column.map(|weights| Column { weights: line(&|out| weights[out]), pick: pick(&|frame, _| frame) });
        Some(Self { frames, weights, bias: line(&|out| conv.offset(0, out)), pieces, inputs, outputs, stride, column })
    }

    pub(super) fn bytes(&self) -> usize {
        match &self.weights {
            Weights::Picked { lines, .. } => size_of_val(lines.as_slice()),
            Weights::Eights { lines, .. } => size_of_val(lines.as_slice()),
        }
    }

    /// Frames whose inputs must lie in one piece.
    pub(super) fn most_frames(&self) -> usize {
        self.frames * if self.is_square() { MOST_VECTORS } else { MOST_VECTORS / 2 }
    }

    /// Whether all of eight outputs are made of eight inputs, where one address is enough for all frames.
    fn is_square(&self) -> bool {
        self.inputs == EIGHT && matches!(self.weights, Weights::Eights { kept: None, .. })
    }
}

impl PackedConv {
    /// Computes `frames`, and what of the epilogue follows in registers.
    pub(super) fn sum_side_by_side(
        &self,
        side: &Side,
        input: Source<'_>,
        ring: Ring,
        own: &mut [f32],
        frames: Range<i64>,
        finish: InRegisters<'_>,
    ) {
        for piece in ring.stretches(frames) {
            for piece in finish.addend.map_or(ring, |addend| addend.ring).stretches(piece) {
                let length = (piece.end - piece.start) as usize;
                let addend = finish
                    .addend
                    .map(|addend| &addend.own[addend.ring.at(piece.start)..][..length * addend.ring.channels]);
                let own = &mut own[ring.at(piece.start)..][..length * side.outputs];
                let oldest = side.pieces.first().map_or(0, |piece| piece.frame);
                let rows = input.ring.walk(piece.start * side.stride as i64 + oldest, side.stride);
                self.isa.run(Run { side, input: input.own, rows, own, addend, finish });
            }
        }
    }
}

/// As many frames as `own` holds.
struct Run<'a> {
    side: &'a Side,
    input: &'a [f32],
    /// The oldest row that the next frame reads.
    rows: Walk,
    own: &'a mut [f32],
    addend: Option<&'a [f32]>,
    finish: InRegisters<'a>,
}

impl Work for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn on<S: Simd>(mut self, s: S) {
        let lanes = self.side.frames * self.side.outputs;
        let mut at = 0;
        while at < self.own.len() {
            let left = self.own.len() - at;
            at += match left / lanes {
                MOST_VECTORS.. if self.side.is_square() && S::ACCUMULATORS >= 16 => self.tile::<S, MOST_VECTORS>(s, at),
                4.. => self.tile::<S, { MOST_VECTORS / 2 }>(s, at),
                2 | 3 => self.tile::<S, 2>(s, at),
                _ => self.tile::<S, 1>(s, at),
            };
        }
    }
}

impl Run<'_> {
    /// The next `T` vectors from value `at` on, of which a single one may end early; gives the values computed.
    #[inline(always)]
    fn tile<S: Simd, const T: usize>(&mut self, s: S, at: usize) -> usize {
        let Side { frames, outputs, column, .. } = self.side;
        let written = frames * outputs;
        let values = (self.own.len() - at).min(T * written);
        let mut sums: [S::F; T] = match &self.side.weights {
            Weights::Picked { lines, picks } => self.picked(s, lines, picks, values / outputs),
            Weights::Eights { lines, .. } if self.side.is_square() && values == T * written => self.of_eight(s, lines),
            Weights::Eights { lines, kept } => self.in_eights(s, lines, kept.as_ref(), values / outputs),
        };
        if let Some(slope) = self.finish.slope {
            for t in 0..T {
                sums[t] = math::leaky_relu(s, sums[t], slope);
            }
        }
        if let Some(addend) = self.addend {
            for t in 0..T {
                let from = (t * written).min(values);
                let to = values.min(from + written);
                let added = match column {
                    None => s.load_part(&addend[at + from..at + to]),
                    Some(column) => {
                        let row = s.load_part(&addend[(at + from) / outputs..(at + to) / outputs]);
                        s.mul_add(s.pick(row, &column.pick), s.load(&column.weights.0), s.splat(0.0))
                    }
                };
                sums[t] = s.add(sums[t], added);
            }
        }
        if let Some(slope) = self.finish.then {
            for t in 0..T {
                sums[t] = math::leaky_relu(s, sums[t], slope);
            }
        }
        for t in 0..T {
            let from = (t * written).min(values);
            s.store_part(sums[t], &mut self.own[at + from..at + values.min(from + written)]);
        }
        self.rows.skip(values / outputs);
        values
    }
}
