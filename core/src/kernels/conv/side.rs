//! Sums of few channels: frames side by side in a vector, where one alone would leave lanes empty.
//!
//! Rows of few channels lie one after another, so that a vector holds the inputs of several frames, and another one
//! their outputs. Each lane sums its own products in the order of its layer.

use std::ops::Range;

use super::segment::BLOCK;
use super::{DOT_OUTPUTS, InRegisters, PackedConv};
use crate::kernels::Source;
use crate::kernels::math;
use crate::kernels::vector::{CacheLine, LANES, Simd, Work};
use crate::plan::{Ring, Walk};
use crate::stream::{CachedConv, ConvKind, Part};

/// Vectors of the largest tile.
const MOST_VECTORS: usize = 4;
/// Lanes that must be filled, at least.
const LEAST_LANES: usize = 8;
/// Products of a frame, at most, where it could be a few dot products instead.
const MOST_PRODUCTS: usize = 64;

/// A convolution whose frames stand side by side.
#[derive(Debug)]
pub(super) struct Side {
    /// Frames of a vector.
    pub(super) frames: usize,
    /// The weights of each product, once for each frame.
    lines: Vec<CacheLine>,
    bias: CacheLine,
    /// For each input, the lane of it that each lane's frame reads.
    picks: Vec<[u32; LANES]>,
    /// Products of one tap, or those of a tap that belong to one block.
    pieces: Vec<Piece>,
    inputs: usize,
    outputs: usize,
    column: Option<Column>,
}

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
    /// First input, and the one after the last.
    from: usize,
    to: usize,
    /// Whether the block ends here.
    closes: bool,
}

/// Whether frames of a convolution are best computed side by side: its channels are few, and fill enough lanes.
pub(super) fn fits(conv: &CachedConv, part: Part) -> bool {
    let (inputs, outputs) = (conv.group_inputs(), conv.out_channels());
    let frames = LANES / inputs.max(outputs).max(1);
    conv.kind == (ConvKind::Strided { stride: 1 })
        && part == Part::Whole
        && conv.groups == 1
        && frames > 1
        && frames * outputs >= LEAST_LANES
        && (outputs > DOT_OUTPUTS || conv.taps()[0].len() * inputs <= MOST_PRODUCTS)
}

impl Side {
    /// The convolution's weights, for a machine that picks lanes fast.
    pub(super) fn new(conv: &CachedConv, column: Option<&[f32]>) -> Self {
        let (inputs, outputs) = (conv.group_inputs(), conv.out_channels());
        let frames = LANES / inputs.max(outputs);
        let line = |value: &dyn Fn(usize) -> f32| {
            let mut line = CacheLine([0.0; LANES]);
            (0..frames * outputs).for_each(|lane| line.0[lane] = value(lane % outputs));
            line
        };
        let taps = conv.taps().swap_remove(0);
        let mut lines = Vec::with_capacity(taps.len() * inputs);
        let mut pieces: Vec<Piece> = Vec::with_capacity(taps.len());
        let last = taps.len() * inputs;
        for tap in taps {
            let mut from = 0;
            for i in 0..inputs {
                lines.push(line(&|out| conv.coefficient(0, out, i, tap)));
                let closes = lines.len() % BLOCK == 0 || lines.len() == last;
                if closes || i + 1 == inputs {
                    pieces.push(Piece { frame: tap.offset, from, to: i + 1, closes });
                    from = i + 1;
                }
            }
        }
        let pick = |inputs: usize, i: usize| {
            let lane = |lane: usize| if lane < frames * outputs { (lane / outputs * inputs + i) as u32 } else { 0 };
            std::array::from_fn(lane)
        };
        let column = column.map(|weights| Column { weights: line(&|out| weights[out]), pick: pick(1, 0) });
        Self {
            frames,
            lines,
            bias: line(&|out| conv.offset(0, out)),
            picks: (0..inputs).map(|i| pick(inputs, i)).collect(),
            pieces,
            inputs,
            outputs,
            column,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.lines.as_slice())
    }

    /// Frames whose inputs must lie in one piece.
    pub(super) fn most_frames(&self) -> usize {
        MOST_VECTORS * self.frames
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
                let rows = input.ring.walk(piece.start + oldest, 1);
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
            at += match (self.own.len() - at).div_ceil(lanes) {
                MOST_VECTORS.. => self.tile::<S, MOST_VECTORS>(s, at),
                2 | 3 => self.tile::<S, 2>(s, at),
                _ => self.tile::<S, 1>(s, at),
            };
        }
    }
}

impl Run<'_> {
    /// The next `T` vectors from value `at` on; gives the values computed.
    #[inline(always)]
    fn tile<S: Simd, const T: usize>(&mut self, s: S, at: usize) -> usize {
        let Side { frames, lines, bias, picks, pieces, inputs, outputs, column } = self.side;
        let (read, written) = (frames * inputs, frames * outputs);
        let values = (self.own.len() - at).min(T * written);
        let held = values / outputs * inputs;
        let mut rows = self.rows;
        let mut frame = pieces.first().map_or(0, |piece| piece.frame);
        let mut sums = [s.load(&bias.0); T];
        let mut block = [s.splat(0.0); T];
        let mut products = lines.iter();
        for piece in pieces {
            rows.skip((piece.frame - frame) as usize);
            frame = piece.frame;
            let row = &self.input[rows.at()..][..held];
            let mut x = [s.splat(0.0); T];
            if read == LANES && held == T * LANES {
                for (x, row) in x.iter_mut().zip(row.as_chunks().0) {
                    *x = s.load(row);
                }
            } else {
                for t in 0..T {
                    let from = (t * read).min(held);
                    x[t] = s.load_part(&row[from..held.min(from + read)]);
                }
            }
            for (pick, line) in picks[piece.from..piece.to].iter().zip(&mut products) {
                let weights = s.load(&line.0);
                for t in 0..T {
                    block[t] = s.mul_add(s.pick(x[t], pick), weights, block[t]);
                }
            }
            if piece.closes {
                for t in 0..T {
                    sums[t] = s.add(sums[t], block[t]);
                    block[t] = s.splat(0.0);
                }
            }
        }
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
