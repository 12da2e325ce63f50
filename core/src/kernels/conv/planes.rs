//! Sums of few channels that lie in planes: sixteen frames of one channel in a vector, each weight splat to all of them.
//!
//! The products of an output are summed in the order of the convolution's layout, so that the bits are those of rows.

#![allow(unsafe_code, reason = "the innermost loop, free of bounds checks")]

mod chains;
mod finish;
mod strided;

use std::ops::Range;

use finish::Finish;
use strided::{MOST_STRIDE, Picks};

use super::segment::{Segment, segments};
use super::{Layout, layout};
use crate::kernels::Source;
use crate::kernels::epilogue::{Epilogue, Left};
use crate::kernels::isa::Isa;
use crate::kernels::vector::{LANES, Simd, Work};
use crate::plan::Ring;
use crate::stream::{CachedConv, ConvKind, Part, Tap};

/// Outputs, at most: with more of them, rows fill their vectors as well.
const MOST_OUTPUTS: usize = 16;

/// A convolution of signals that lie in planes.
#[derive(Debug)]
pub(crate) struct PlaneConv {
    panels: Vec<Panel>,
    /// In the order in which they are summed.
    pieces: Vec<Piece>,
    /// The oldest frame that is read, relative to the output frame.
    oldest: i64,
    /// Frames from it to the newest.
    span: usize,
    /// Input frames from one output frame's to the next one's.
    stride: usize,
    /// Inputs of a group.
    inputs: usize,
    outputs: usize,
    /// Chains that the products of an output are summed in; none where that is done in blocks.
    chains: usize,
    epilogue: Epilogue,
    /// What of the epilogue follows in registers, and what is left then.
    finish: Finish,
    left: Left,
    isa: Isa,
}

/// Outputs that are summed together: eight, four, two or one.
#[derive(Debug)]
struct Panel {
    first: usize,
    /// First input of its group.
    input: usize,
    bias: Vec<f32>,
    /// `[product][output]`.
    weights: Vec<f32>,
}

/// Products of one tap.
#[derive(Clone, Copy, Debug)]
struct Piece {
    /// Input frame, relative to the oldest.
    frame: usize,
    /// First input of the group, and the one after the last.
    from: usize,
    to: usize,
    /// The chain that the first product joins, where there are chains; the others join those that follow.
    chain: usize,
    /// Whether the block ends here.
    closes: bool,
}

impl Piece {
    /// Chains up to the last that a product joins.
    fn chains(&self) -> usize {
        self.chain + self.to - self.from
    }
}

impl PlaneConv {
    /// Whether a convolution has so few channels that planes are faster.
    pub(crate) fn fits(conv: &CachedConv, part: Part) -> bool {
        let ConvKind::Strided { stride } = conv.kind else { return false };
        let is_picked = (2..=MOST_STRIDE).contains(&stride) && layout(conv, part) != Layout::Dot;
        let is_small = conv.out_channels() <= MOST_OUTPUTS && !conv.taps()[0].is_empty();
        part == Part::Whole && is_small && (stride == 1 || is_picked)
    }

    /// The weights of a convolution that [`Self::fits`].
    pub(crate) fn new(conv: &CachedConv, epilogue: Epilogue, isa: Isa) -> Self {
        let (inputs, outputs) = (conv.group_inputs(), conv.out_channels());
        let reads = conv.part_reads(Part::Whole);
        let layout = layout(conv, Part::Whole);
        let taps = conv.taps().swap_remove(0);
        let products = || taps.iter().flat_map(|&tap| (0..inputs).map(move |i| (tap, i)));
        let mut panels = Vec::new();
        let pieces = pieces(&segments(&taps, inputs, conv.groups, layout), &taps, inputs);
        let group_outputs = outputs / conv.groups;
        let mut first = 0;
        while first < outputs {
            let most = if layout == Layout::Dot { 1 } else { group_outputs - first % group_outputs };
            let count = [8, 4, 2, 1].into_iter().find(|&n| n <= most).unwrap_or(1);
            let range = first..first + count;
            let product = |(tap, i)| range.clone().map(move |out| conv.coefficient(0, out, i, tap));
            panels.push(Panel {
                first,
                input: first / group_outputs * inputs,
                bias: range.clone().map(|out| conv.offset(0, out)).collect(),
                weights: products().flat_map(product).collect(),
            });
            first += count;
        }
        let (finish, left) = Finish::of(&epilogue, outputs);
        Self {
            finish,
            left,
            panels,
            chains: if layout == Layout::Dot { pieces.iter().map(Piece::chains).max().unwrap_or(1) } else { 0 },
            pieces,
            oldest: taps[0].offset,
            span: (taps[taps.len() - 1].offset - taps[0].offset) as usize,
            stride: reads.stride as usize,
            inputs,
            outputs,
            epilogue,
            isa,
        }
    }

    /// Bytes of packed weights.
    pub(crate) fn weight_bytes(&self) -> usize {
        self.panels.iter().map(|panel| size_of_val(&panel.weights[..]) + size_of_val(&panel.bias[..])).sum()
    }

    /// Frames that the input's ring must repeat behind its end: vectors are read whole.
    pub(crate) fn input_mirror(&self) -> usize {
        LANES * self.stride - 1
    }

    /// Computes `frames` into the ring slice `own`; `addend` is what the epilogue adds.
    pub(crate) fn run(
        &self,
        input: Source<'_>,
        addend: Option<Source<'_>>,
        ring: Ring,
        own: &mut [f32],
        frames: Range<i64>,
    ) {
        let added = addend.filter(|_| self.left != Left::All);
        for piece in ring.stretches(frames.clone()) {
            for piece in added.map_or(ring, |added| added.ring).stretches(piece) {
                let first = ring.slot(piece.start);
                self.isa.run(Run {
                    conv: self,
                    input: input.own,
                    held: input.ring.frames() as usize,
                    input_plane: input.ring.plane_len(),
                    slot: input.ring.slot(piece.start * self.stride as i64 + self.oldest),
                    own: &mut *own,
                    plane: ring.plane_len(),
                    places: first..first + (piece.end - piece.start) as usize,
                    added: added.map_or(&[], |added| &added.own[added.ring.slot(piece.start)..]),
                    added_plane: added.map_or(0, |added| (added.ring.planes() > 1) as usize * added.ring.plane_len()),
                });
            }
        }
        self.epilogue.apply(self.left, self.isa, addend, ring, own, frames, 0..self.outputs);
    }
}

/// The products of the segments, tap by tap.
fn pieces(segments: &[Segment], taps: &[Tap], inputs: usize) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut at = 0;
    for segment in segments {
        let mut left = segment.length;
        while left > 0 {
            let (tap, from) = (at / inputs, at % inputs);
            let chain = (segment.length - left) % LANES;
            let length = left.min(inputs - from).min(LANES - chain);
            (at, left) = (at + length, left - length);
            pieces.push(Piece {
                frame: (taps[tap].offset - taps[0].offset) as usize,
                from,
                to: from + length,
                chain,
                closes: left == 0 && segment.closes,
            });
        }
    }
    pieces
}

/// Frames that lie in one piece.
struct Run<'a> {
    conv: &'a PlaneConv,
    input: &'a [f32],
    /// Frames that the input's ring holds, and values from one of its planes to the next.
    held: usize,
    input_plane: usize,
    /// Slot of the oldest frame that the first frame reads.
    slot: usize,
    own: &'a mut [f32],
    /// Values from one plane to the next.
    plane: usize,
    /// Slots of the frames.
    places: Range<usize>,
    /// What is added to the first frame and the others; empty where nothing is.
    added: &'a [f32],
    /// Values from one plane of it to the next; 0 where it has one channel for all.
    added_plane: usize,
}

impl Work for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn on<S: Simd>(mut self, s: S) {
        for panel in &self.conv.panels {
            match self.conv.stride {
                1 => self.panel(s, panel, None),
                stride => self.panel(s, panel, Some(Picks::new(s, stride))),
            }
        }
    }
}

impl Run<'_> {
    /// The outputs of a panel in all frames.
    #[inline(always)]
    fn panel<S: Simd>(&mut self, s: S, panel: &Panel, picks: Option<Picks<S>>) {
        match panel.bias.len() {
            8 => self.outputs::<S, 8, 1>(s, panel, picks),
            4 => self.outputs::<S, 4, 2>(s, panel, picks),
            2 => self.outputs::<S, 2, 4>(s, panel, picks),
            _ if self.conv.chains > 0 => self.output_in_chains(s, panel),
            _ => self.outputs::<S, 1, 4>(s, panel, picks),
        }
    }

    /// `N` outputs, `T` vectors of frames at once where what they read lies in one piece.
    #[inline(always)]
    fn outputs<S: Simd, const N: usize, const T: usize>(&mut self, s: S, panel: &Panel, picks: Option<Picks<S>>) {
        let (frames, stride) = (self.places.len(), self.conv.stride);
        let mut at = 0;
        while at < frames {
            let slot = self.wrapped(self.slot + at * stride);
            let is_straight = slot + self.conv.span + T * LANES <= self.input_plane;
            if T > 1 && picks.is_none() && at + T * LANES <= frames && is_straight {
                let sums = self.blocks::<S, N, T>(s, panel, slot, None);
                for (t, sums) in sums.into_iter().enumerate() {
                    self.finish(s, panel.first, at + t * LANES, LANES, sums);
                }
                at += T * LANES;
            } else {
                let [sums] = self.blocks::<S, N, 1>(s, panel, slot, picks);
                self.finish(s, panel.first, at, LANES.min(frames - at), sums);
                at += LANES;
            }
        }
    }

    /// One output whose products are summed in chains.
    #[inline(always)]
    fn output_in_chains<S: Simd>(&mut self, s: S, panel: &Panel) {
        let frames = self.places.len();
        for at in (0..frames).step_by(LANES) {
            let sum = self.chains(s, panel, self.wrapped(self.slot + at));
            self.finish(s, panel.first, at, LANES.min(frames - at), [sum]);
        }
    }

    /// What follows the sums of the outputs from `first` on, in `lanes` frames from the `at`-th on.
    #[inline(always)]
    fn finish<S: Simd, const N: usize>(&mut self, s: S, first: usize, at: usize, lanes: usize, mut sums: [S::F; N]) {
        let conv = self.conv;
        conv.finish.function.of_each(s, first, &mut sums);
        if !self.added.is_empty() {
            let added = &self.added[first * self.added_plane + at..];
            if let Some(column) = &conv.epilogue.column {
                let (added, column) = (s.load_part(&added[..lanes]), &column.data()[first..][..N]);
                for n in 0..N {
                    sums[n] = s.add(sums[n], s.mul_add(added, s.splat(column[n]), s.splat(0.0)));
                }
            } else {
                for n in 0..N {
                    sums[n] = s.add(sums[n], s.load_part(&added[n * self.added_plane..][..lanes]));
                }
            }
        }
        conv.finish.then.of_each(s, first, &mut sums);
        let own = &mut self.own[first * self.plane + self.places.start + at..];
        for n in 0..N {
            s.store_part(sums[n], &mut own[n * self.plane..][..lanes]);
        }
    }

    /// Products in blocks, each summed from zero, in `T` times sixteen frames that lie in one piece.
    #[inline(always)]
    fn blocks<S: Simd, const N: usize, const T: usize>(
        &self,
        s: S,
        panel: &Panel,
        slot: usize,
        picks: Option<Picks<S>>,
    ) -> [[S::F; N]; T] {
        let zero = s.splat(0.0);
        let mut sums = [[zero; N]; T];
        for n in 0..N {
            for t in 0..T {
                sums[t][n] = s.splat(panel.bias[n]);
            }
        }
        let mut block = [[zero; N]; T];
        let mut weights = panel.weights.as_chunks::<N>().0.iter();
        for piece in &self.conv.pieces {
            let inputs = self.inputs(panel, piece, slot, T * self.conv.stride);
            for (i, weights) in (0..piece.to - piece.from).zip(&mut weights) {
                for t in 0..T {
                    let x = match &picks {
                        // SAFETY: `i` is an input of the piece, `t` one of its vectors.
                        None => s.load(unsafe { inputs.get(i, t) }),
                        // SAFETY: `i` is an input of the piece, which has as many vectors as the stride is long.
                        Some(picks) => unsafe { picks.of(s, &inputs, i) },
                    };
                    for n in 0..N {
                        block[t][n] = s.mul_add(x, s.splat(weights[n]), block[t][n]);
                    }
                }
            }
            if piece.closes {
                for t in 0..T {
                    for n in 0..N {
                        sums[t][n] = s.add(sums[t][n], block[t][n]);
                    }
                }
                block = [[zero; N]; T];
            }
        }
        sums
    }

    /// What a piece reads in so many vectors of frames from a slot of the oldest frame on.
    #[inline(always)]
    fn inputs(&self, panel: &Panel, piece: &Piece, slot: usize, vectors: usize) -> Inputs<'_> {
        let plane = self.input_plane;
        let own = &self.input[(panel.input + piece.from) * plane + self.wrapped(slot + piece.frame)..];
        assert!((piece.to - piece.from - 1) * plane + vectors * LANES <= own.len(), "whole vectors behind every frame");
        Inputs { own, plane }
    }

    /// A slot at most one round on.
    #[inline(always)]
    fn wrapped(&self, slot: usize) -> usize {
        if slot >= self.held { slot - self.held } else { slot }
    }
}

/// Vectors of frames of each of some planes.
struct Inputs<'a> {
    own: &'a [f32],
    plane: usize,
}

impl<'a> Inputs<'a> {
    /// The `t`-th sixteen frames of the `i`-th plane.
    ///
    /// # Safety
    /// `own` holds at least sixteen values from there on.
    #[inline(always)]
    unsafe fn get(&self, i: usize, t: usize) -> &'a [f32; LANES] {
        // SAFETY: as the caller promises.
        unsafe { &*self.own.as_ptr().add(i * self.plane + t * LANES).cast() }
    }
}
