//! Sums of few channels that lie in planes: sixteen frames of one channel in a vector, each weight splat to all of them.
//!
//! The products of an output are summed in the order of the convolution's layout, so that the bits are those of rows.

#![allow(unsafe_code, reason = "the innermost loop, free of bounds checks")]

use std::ops::Range;

use super::segment::{Segment, segments};
use super::{Layout, layout};
use crate::graph::Pointwise;
use crate::kernels::Source;
use crate::kernels::epilogue::{Epilogue, Left};
use crate::kernels::function::Function;
use crate::kernels::isa::Isa;
use crate::kernels::math;
use crate::kernels::vector::{LANES, Simd, Work};
use crate::plan::Ring;
use crate::stream::{CachedConv, ConvKind, Part, Tap};

/// Outputs, at most: with more of them, rows fill their vectors as well.
const MOST_OUTPUTS: usize = 12;

/// A convolution of signals that lie in planes.
#[derive(Debug)]
pub(crate) struct PlaneConv {
    panels: Vec<Panel>,
    /// In the order in which they are summed.
    pieces: Vec<Piece>,
    /// The oldest frame that is read, relative to the output frame.
    oldest: i64,
    outputs: usize,
    /// Whether the products of an output are summed in chains.
    in_chains: bool,
    epilogue: Epilogue,
    /// What of the epilogue follows in registers, and what is left then.
    finish: Finish,
    left: Left,
    isa: Isa,
}

/// The functions of an epilogue that the sums meet in registers.
#[derive(Clone, Copy, Debug)]
struct Finish {
    function: InPlace,
    then: InPlace,
}

/// A function of sums that are in registers.
#[derive(Clone, Copy, Debug)]
enum InPlace {
    Nothing,
    LeakyRelu { slope: f32 },
    Tanh,
}

impl InPlace {
    /// The function, if it is one of these.
    fn of(function: Option<&Function>) -> Option<Self> {
        match function {
            None => Some(Self::Nothing),
            Some(Function::Pointwise(Pointwise::LeakyRelu { slope })) => Some(Self::LeakyRelu { slope: *slope }),
            Some(Function::Pointwise(Pointwise::Tanh)) => Some(Self::Tanh),
            Some(_) => None,
        }
    }

    #[inline(always)]
    fn of_each<S: Simd, const N: usize>(self, s: S, sums: &mut [S::F; N]) {
        match self {
            Self::Nothing => {}
            Self::LeakyRelu { slope } => {
                for n in 0..N {
                    sums[n] = math::leaky_relu(s, sums[n], slope);
                }
            }
            Self::Tanh => {
                for n in 0..N {
                    sums[n] = math::tanh(s, sums[n]);
                }
            }
        }
    }
}

/// Outputs that are summed together: eight, four, two or one.
#[derive(Debug)]
struct Panel {
    first: usize,
    bias: Vec<f32>,
    /// `[product][output]`.
    weights: Vec<f32>,
}

/// Products of one tap.
#[derive(Clone, Copy, Debug)]
struct Piece {
    /// Input frame, relative to the oldest.
    frame: usize,
    /// First input, and the one after the last.
    from: usize,
    to: usize,
    /// The chain that the first product joins, where there are chains; the others join those that follow.
    chain: usize,
    /// Whether the block ends here.
    closes: bool,
}

impl PlaneConv {
    /// Whether a convolution has so few channels that planes are faster.
    pub(crate) fn fits(conv: &CachedConv, part: Part) -> bool {
        let is_plain = conv.groups == 1 && conv.kind == (ConvKind::Strided { stride: 1 }) && part == Part::Whole;
        is_plain && conv.out_channels() <= MOST_OUTPUTS && !conv.taps()[0].is_empty()
    }

    /// The weights of a convolution that [`Self::fits`].
    pub(crate) fn new(conv: &CachedConv, epilogue: Epilogue, isa: Isa) -> Self {
        let (inputs, outputs) = (conv.group_inputs(), conv.out_channels());
        let layout = layout(conv, Part::Whole);
        let taps = conv.taps().swap_remove(0);
        let products = || taps.iter().flat_map(|&tap| (0..inputs).map(move |i| (tap, i)));
        let mut panels = Vec::new();
        let mut first = 0;
        while first < outputs {
            let most = if layout == Layout::Dot { 1 } else { 8 };
            let count = [8, 4, 2, 1].into_iter().find(|&n| n <= most.min(outputs - first)).unwrap_or(1);
            let range = first..first + count;
            let product = |(tap, i)| range.clone().map(move |out| conv.coefficient(0, out, i, tap));
            panels.push(Panel {
                first,
                bias: range.clone().map(|out| conv.offset(0, out)).collect(),
                weights: products().flat_map(product).collect(),
            });
            first += count;
        }
        let (function, then) = (InPlace::of(epilogue.function.as_ref()), InPlace::of(epilogue.then.as_ref()));
        let (finish, left) = match (function, then) {
            (Some(function), Some(then)) => (Finish { function, then }, Left::Nothing),
            (Some(function), None) => (Finish { function, then: InPlace::Nothing }, Left::Then),
            (None, _) => (Finish { function: InPlace::Nothing, then: InPlace::Nothing }, Left::All),
        };
        Self {
            finish,
            left,
            panels,
            pieces: pieces(&segments(&taps, inputs, 1, layout), &taps, inputs),
            oldest: taps[0].offset,
            outputs,
            in_chains: layout == Layout::Dot,
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
        LANES - 1
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
                    slot: input.ring.slot(piece.start + self.oldest),
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
            match panel.bias.len() {
                8 => self.panel::<S, 8>(s, panel),
                4 => self.panel::<S, 4>(s, panel),
                2 => self.panel::<S, 2>(s, panel),
                _ => self.panel::<S, 1>(s, panel),
            }
        }
    }
}

impl Run<'_> {
    /// The outputs of a panel in all frames.
    #[inline(always)]
    fn panel<S: Simd, const N: usize>(&mut self, s: S, panel: &Panel) {
        let frames = self.places.len();
        let whole = frames - frames % LANES;
        for at in (0..whole).step_by(LANES) {
            let sums = self.sums::<S, N>(s, panel, self.slot + at);
            self.finish(s, panel.first, at, LANES, sums);
        }
        if whole < frames {
            let sums = self.sums::<S, N>(s, panel, self.slot + whole);
            self.finish(s, panel.first, whole, frames - whole, sums);
        }
    }

    /// The sums of a panel in sixteen frames, the first of which reads from this slot on, at most one round on.
    #[inline(always)]
    fn sums<S: Simd, const N: usize>(&self, s: S, panel: &Panel, slot: usize) -> [S::F; N] {
        let slot = self.wrapped(slot);
        if N == 1 && self.conv.in_chains { [self.chains(s, panel, slot); N] } else { self.blocks(s, panel, slot) }
    }

    /// What follows the sums of the outputs from `first` on, in `lanes` frames from the `at`-th on.
    #[inline(always)]
    fn finish<S: Simd, const N: usize>(&mut self, s: S, first: usize, at: usize, lanes: usize, mut sums: [S::F; N]) {
        let conv = self.conv;
        conv.finish.function.of_each(s, &mut sums);
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
        conv.finish.then.of_each(s, &mut sums);
        let own = &mut self.own[first * self.plane + self.places.start + at..];
        for n in 0..N {
            s.store_part(sums[n], &mut own[n * self.plane..][..lanes]);
        }
    }

    /// Products in blocks, each summed from zero.
    #[inline(always)]
    fn blocks<S: Simd, const N: usize>(&self, s: S, panel: &Panel, slot: usize) -> [S::F; N] {
        let mut sums = [s.splat(0.0); N];
        for n in 0..N {
            sums[n] = s.splat(panel.bias[n]);
        }
        let mut block = [s.splat(0.0); N];
        let mut weights = panel.weights.as_chunks::<N>().0.iter();
        for piece in &self.conv.pieces {
            let inputs = self.inputs(piece, slot);
            for (i, weights) in (0..piece.to - piece.from).zip(&mut weights) {
                // SAFETY: `i` is an input of the piece.
                let x = s.load(unsafe { inputs.get(i) });
                for n in 0..N {
                    block[n] = s.mul_add(x, s.splat(weights[n]), block[n]);
                }
            }
            if piece.closes {
                for n in 0..N {
                    sums[n] = s.add(sums[n], block[n]);
                    block[n] = s.splat(0.0);
                }
            }
        }
        sums
    }

    /// Products of one output in sixteen chains, the second half of which joins the first until one is left.
    #[inline(always)]
    fn chains<S: Simd>(&self, s: S, panel: &Panel, slot: usize) -> S::F {
        let mut sum = s.splat(panel.bias[0]);
        let mut chains = [s.splat(0.0); LANES];
        let mut weights = panel.weights.iter();
        for piece in &self.conv.pieces {
            let inputs = self.inputs(piece, slot);
            let products = (0..piece.to - piece.from).zip(&mut weights);
            for ((i, weight), chain) in products.zip(&mut chains[piece.chain..]) {
                // SAFETY: `i` is an input of the piece.
                let x = s.load(unsafe { inputs.get(i) });
                *chain = s.mul_add(x, s.splat(*weight), *chain);
            }
            if piece.closes {
                let mut count = LANES;
                while count > 1 {
                    count /= 2;
                    for l in 0..count {
                        chains[l] = s.add(chains[l], chains[l + count]);
                    }
                }
                sum = s.add(sum, chains[0]);
                chains = [s.splat(0.0); LANES];
            }
        }
        sum
    }

    /// What a piece reads in sixteen frames from a slot of the oldest frame on.
    #[inline(always)]
    fn inputs(&self, piece: &Piece, slot: usize) -> Inputs<'_> {
        let plane = self.input_plane;
        let own = &self.input[piece.from * plane + self.wrapped(slot + piece.frame)..];
        assert!((piece.to - piece.from - 1) * plane + LANES <= own.len(), "whole vectors behind every frame");
        Inputs { own, plane }
    }

    /// A slot at most one round on.
    #[inline(always)]
    fn wrapped(&self, slot: usize) -> usize {
        if slot >= self.held { slot - self.held } else { slot }
    }
}

/// Sixteen frames of each of some planes.
struct Inputs<'a> {
    own: &'a [f32],
    plane: usize,
}

impl<'a> Inputs<'a> {
    /// The frames of the `i`-th plane.
    ///
    /// # Safety
    /// `own` holds at least sixteen values from `i · plane` on.
    #[inline(always)]
    unsafe fn get(&self, i: usize) -> &'a [f32; LANES] {
        // SAFETY: as the caller promises.
        unsafe { &*self.own.as_ptr().add(i * self.plane).cast() }
    }
}
