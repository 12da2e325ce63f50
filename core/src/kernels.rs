//! The compute routines: frames of one node at a time, each a pure function of the frames it reads, in an order of
//! operations that depends on the frame's index alone. So any partition of the input gives the same bits.
//!
//! An algorithm is written once over the sixteen lanes of [`vector::Simd`] and runs on the instruction set of [`isa`].

mod adain;
mod angles;
mod conv;
mod epilogue;
mod frame;
mod function;
mod gate;
mod gru;
mod half;
mod interleave;
mod isa;
mod lstm;
mod math;
mod noise;
mod norm;
mod recurrent;
mod repeat;
mod rnn;
mod spectrum;
#[cfg(test)]
mod tests;
mod vector;

use std::ops::Range;

pub(crate) use adain::{AdaIn, Transfer};
pub(crate) use conv::{PackedConv, PlaneConv};
pub(crate) use epilogue::Epilogue;
use epilogue::{Combination, combine};
pub(crate) use function::Function;
pub(crate) use gate::Gate;
pub(crate) use interleave::{interleave, separate};
pub use isa::InstructionSet;
pub(crate) use isa::Isa;
use lstm::LstmPair;
use norm::{Normed, Softmax};
use spectrum::Spectrum;

use crate::engine::{Adaptation, LatentEdit};
use crate::graph::{self, Parameter};
use crate::plan::{Plan, Ring};
use crate::random::{Amounts, Randomness};
use crate::stream::{Part, StreamOp};

/// How one node is computed on this machine.
#[derive(Debug)]
pub(crate) enum Kernel {
    /// A convolution over packed weights.
    Conv(PackedConv),
    /// A convolution of few channels that lie in planes.
    PlaneConv(PlaneConv),
    /// A function of each value.
    Function(Function),
    /// The sum of all inputs.
    Add,
    /// The product of all inputs.
    Mul,
    /// Channels times the sigmoid of others.
    Gate(Gate),
    /// A power spectrum by FFT.
    Spectrum(Spectrum),
    /// A gated recurrent unit.
    Gru(gru::Gru),
    /// Filtered noise.
    Noise(noise::Noise),
    /// The greatest of all inputs.
    Max,
    /// Anything else, as its definition says.
    Frame(StreamOp),
    /// Adaptive instance normalisation.
    AdaIn(AdaIn),
    /// A long short-term memory.
    Lstm(lstm::Lstm),
    /// Two of them, one after the other.
    LstmPair(Box<LstmPair>),
    /// A plain recurrent layer.
    Rnn(rnn::Rnn),
    /// What a player holds.
    Parameter(Parameter),
}

impl Kernel {
    /// The kernel of `op` for `isa`, its weights packed.
    pub(crate) fn new(op: &StreamOp, isa: Isa) -> Self {
        match op {
            StreamOp::Conv(conv) => Self::Conv(PackedConv::new(conv, Part::Whole, Epilogue::default(), false, isa)),
            StreamOp::PowerSpectrum { window, hop, left } => Self::Spectrum(Spectrum::new(window, *hop, *left)),
            StreamOp::Gru(gru) => Self::Gru(gru::Gru::new(gru, isa)),
            StreamOp::Lstm(lstm) => Self::Lstm(lstm::Lstm::new(lstm, isa)),
            StreamOp::Rnn(rnn) => Self::Rnn(rnn::Rnn::new(rnn, isa)),
            StreamOp::NoiseSynth(synth) => Self::Noise(noise::Noise::new(synth, isa)),
            StreamOp::Add => Self::Add,
            StreamOp::Mul => Self::Mul,
            StreamOp::AdaIn { source, target } => Self::AdaIn(AdaIn::new(source.as_ref(), target.as_ref())),
            StreamOp::Parameter(parameter) => Self::Parameter(parameter.clone()),
            StreamOp::Max => Self::Max,
            other => Function::of(other).map_or_else(|| Self::Frame(other.clone()), Self::Function),
        }
    }

    /// The kernel of two LSTMs, the second of which reads the first, and nobody else does.
    pub(crate) fn lstm_pair(layers: [&graph::Lstm; 2], isa: Isa) -> Self {
        Self::LstmPair(Box::new(LstmPair::new(layers, isa)))
    }

    /// Values of scratch that one frame needs.
    pub(crate) fn scratch_len(&self) -> usize {
        match self {
            Self::Spectrum(spectrum) => spectrum.scratch_len(),
            Self::Gru(gru) => gru.scratch_len(),
            Self::Noise(noise) => noise.scratch_len(),
            Self::Lstm(lstm) => lstm.scratch_len(),
            Self::LstmPair(pair) => pair.scratch_len(),
            Self::Rnn(rnn) => rnn.scratch_len(),
            Self::Frame(op) => frame::scratch_len(op),
            Self::Conv(_)
            | Self::PlaneConv(_)
            | Self::Function(_)
            | Self::Add
            | Self::Mul
            | Self::Max
            | Self::Gate(_)
            | Self::AdaIn(_)
            | Self::Parameter(_) => 0,
        }
    }

    /// Values that it remembers beyond its frames, behind them in its ring.
    pub(crate) fn memory_len(&self) -> usize {
        match self {
            Self::Lstm(lstm) => lstm.memory_len(),
            Self::LstmPair(pair) => pair.memory_len(),
            _ => 0,
        }
    }

    /// Parts that its work on a frame can be cut into.
    pub(crate) fn slices(&self) -> usize {
        if let Self::Conv(conv) = self { conv.panels() } else { 1 }
    }

    /// Frames that the ring of its first input must repeat behind its end, where up to `frames` are computed at once.
    pub(crate) fn input_mirror(&self, frames: usize) -> usize {
        match self {
            Self::Conv(conv) => conv.input_mirror(frames),
            Self::PlaneConv(conv) => conv.input_mirror(),
            Self::Gru(gru) => gru.input_mirror(frames),
            Self::Lstm(lstm) => lstm.input_mirror(frames),
            Self::LstmPair(pair) => pair.input_mirror(frames),
            Self::Rnn(rnn) => rnn.input_mirror(frames),
            _ => 0,
        }
    }

    /// Bytes of packed weights.
    pub(crate) fn weight_bytes(&self) -> usize {
        match self {
            Self::Conv(conv) => conv.weight_bytes(),
            Self::PlaneConv(conv) => conv.weight_bytes(),
            Self::Gru(gru) => gru.weight_bytes(),
            Self::Lstm(lstm) => lstm.weight_bytes(),
            Self::LstmPair(pair) => pair.weight_bytes(),
            Self::Rnn(rnn) => rnn.weight_bytes(),
            Self::Noise(noise) => noise.weight_bytes(),
            Self::Function(function) => function.weight_bytes(),
            Self::Frame(op) => op.weights().iter().map(|w| w.len() * size_of::<f32>()).sum(),
            Self::Spectrum(_) | Self::Add | Self::Mul | Self::Max | Self::Gate(_) | Self::Parameter(_) => 0,
            Self::AdaIn(adain) => adain.weight_bytes(),
        }
    }

    /// Whether a player's hands reach this node.
    pub(crate) fn is_latent_edit(&self) -> bool {
        matches!(self, Self::Frame(StreamOp::LatentEdit))
    }

    /// What a player holds in this node.
    pub(crate) fn parameter(&self) -> Option<&Parameter> {
        if let Self::Parameter(parameter) = self { Some(parameter) } else { None }
    }
}

/// A signal as a kernel reads it: its ring, and the ring's slice of the arena.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    /// Where its frames lie.
    pub(crate) ring: Ring,
    /// The ring's slice of the arena.
    pub(crate) own: &'a [f32],
}

impl<'a> Source<'a> {
    #[inline(always)]
    pub(crate) fn row(&self, frame: i64) -> &'a [f32] {
        self.ring.row(self.own, frame)
    }

    /// One of its planes; all of it where it has rows.
    #[inline(always)]
    pub(crate) fn plane(self, plane: usize) -> Self {
        let (ring, start) = self.ring.plane(plane);
        Self { ring, own: &self.own[start..] }
    }
}

/// What a run of a kernel is asked for.
pub(crate) struct Call<'a> {
    pub(crate) frames: Range<i64>,
    /// Which of the kernel's slices.
    pub(crate) slices: Range<usize>,
    pub(crate) scratch: &'a mut [f32],
    pub(crate) randomness: Randomness,
    pub(crate) amounts: Amounts,
    pub(crate) edit: Option<&'a mut LatentEdit>,
    pub(crate) adaptation: Option<&'a mut Adaptation>,
    /// What the player holds in this node; its default where absent.
    pub(crate) held: Option<&'a [f32]>,
}

impl<'a> Call<'a> {
    /// Without chance, and with nobody's hands on it.
    pub(crate) fn untouched(frames: Range<i64>, slices: Range<usize>, scratch: &'a mut [f32]) -> Self {
        let (randomness, amounts) = (Randomness::Deterministic, Amounts::default());
        Self { frames, slices, scratch, randomness, amounts, edit: None, adaptation: None, held: None }
    }
}

impl Kernel {
    /// Computes frames into the ring slice `own`; returns how often a recurrent state had to be reset.
    pub(crate) fn run<'a>(
        &self,
        isa: Isa,
        inputs: usize,
        source: impl Fn(usize) -> Source<'a>,
        ring: Ring,
        own: &mut [f32],
        call: Call<'_>,
    ) -> u64 {
        let written = call.frames.clone();
        let mut resets = 0;
        match self {
            Self::Conv(conv) => {
                let mut more = (1..inputs).map(&source);
                let sums = if conv.adds_to_sums() { more.next() } else { None };
                conv.run(source(0), sums, more.next(), ring, own, call.frames, call.slices);
            }
            Self::PlaneConv(conv) => conv.run(source(0), (1..inputs).map(&source).next(), ring, own, call.frames),
            _ => resets = self.run_other(isa, inputs, source, ring, own, call),
        }
        ring.reflect(own, written);
        resets
    }

    /// As [`Self::run`], of what is no convolution: calls of those are so many that they are kept short.
    #[inline(never)]
    fn run_other<'a>(
        &self,
        isa: Isa,
        inputs: usize,
        source: impl Fn(usize) -> Source<'a>,
        ring: Ring,
        own: &mut [f32],
        call: Call<'_>,
    ) -> u64 {
        let Call { frames, slices: _, scratch, randomness, amounts, edit, adaptation, held } = call;
        let mut resets = 0;
        match self {
            Self::Conv(_) | Self::PlaneConv(_) => unreachable!("run by their caller"),
            Self::Add if (0..inputs).all(|slot| source(slot).ring.channels == ring.channels) => {
                frame::sum(isa, inputs, source, ring, own, frames);
            }
            Self::Function(_) | Self::Add | Self::Mul | Self::Max => {
                for (plane, (ring, start)) in ring.each_plane().enumerate() {
                    let source = |slot: usize| source(slot).plane(plane);
                    self.each_value(isa, inputs, source, ring, &mut own[start..], frames.clone());
                }
            }
            Self::Gate(gate) => gate.run(isa, source(0), ring, own, frames),
            Self::Spectrum(spectrum) => spectrum.run(source(0), ring, own, frames, scratch),
            Self::Gru(gru) => resets = gru.run(source(0), ring, own, frames, scratch) as u64,
            Self::Lstm(lstm) => resets = lstm.run(source(0), ring, own, frames, scratch) as u64,
            Self::LstmPair(pair) => resets = pair.run(source(0), ring, own, frames, scratch) as u64,
            Self::Rnn(rnn) => resets = rnn.run(source(0), ring, own, frames, scratch) as u64,
            Self::Noise(noise) => noise.run(source(0), ring, own, frames, scratch, (randomness, amounts.noise)),
            Self::Frame(StreamOp::Slice { start, channels }) => {
                frame::copy_columns(isa, source(0), *start..start + channels, ring, own, 0, frames);
            }
            Self::Frame(StreamOp::Repeat { factor }) => repeat::run(isa, *factor, source(0), ring, own, frames),
            Self::Frame(StreamOp::DepthToTime { factor }) => {
                frame::depth_to_time(isa, *factor, source(0), ring, own, frames);
            }
            Self::Frame(StreamOp::AlternateSign) => frame::alternate_sign(isa, source(0), ring, own, frames),
            Self::Frame(StreamOp::LayerNorm(layer)) => {
                let channels = ring.channels;
                frame::rows(source(0), ring, own, frames, |x, y| isa.run(Normed { norm: layer, channels, x, y }));
            }
            Self::Frame(StreamOp::Softmax { groups }) => {
                let width = ring.channels / groups;
                frame::rows(source(0), ring, own, frames, |x, y| isa.run(Softmax { width, x, y }));
            }
            Self::Frame(StreamOp::Concat) => {
                let mut to = 0;
                for x in (0..inputs).map(source) {
                    frame::copy_columns(isa, x, 0..x.ring.channels, ring, own, to, frames.clone());
                    to += x.ring.channels;
                }
            }
            Self::Frame(StreamOp::Gaussian { key, .. }) => {
                frame::gaussian(isa, *key, randomness, amounts.temperature, ring, own, frames);
            }
            Self::Frame(op) => frame::run(op, source(0), ring, own, frames, scratch, edit),
            Self::AdaIn(adain) => adain.run(isa, source(0), ring, own, frames, adaptation),
            Self::Parameter(parameter) => {
                let (default, held) = (&parameter.default[..], held.unwrap_or(&parameter.default));
                frames.for_each(|n| ring.row_mut(own, n).copy_from_slice(if n < 0 { default } else { held }));
            }
        }
        resets
    }

    /// What makes a value of the values at the same place, in rows.
    fn each_value<'a>(
        &self,
        isa: Isa,
        inputs: usize,
        source: impl Fn(usize) -> Source<'a>,
        ring: Ring,
        own: &mut [f32],
        frames: Range<i64>,
    ) {
        let how = match self {
            Self::Function(function) => return function.put(isa, source(0), ring, own, frames),
            Self::Add => Combination::Sum,
            Self::Mul => Combination::Product,
            _ => Combination::Greatest,
        };
        frame::copy(source(0), ring, own, frames.clone());
        for slot in 1..inputs {
            combine(isa, how, source(slot), ring, own, frames.clone(), 0..ring.channels);
        }
    }
}

impl Plan {
    /// Computes frames of step `id`; returns how often a recurrent state had to be reset.
    pub(crate) fn run(&self, id: usize, arena: &mut [f32], call: Call<'_>) -> u64 {
        let ring = self.rings[id];
        // Rings lie in step order, so every input lies before this step's ring.
        let (before, from_here) = arena.split_at_mut(ring.start);
        let own = &mut from_here[..ring.len()];
        let inputs = &self.inputs[id];
        let source = |slot: usize| {
            let ring = self.rings[inputs[slot]];
            Source { ring, own: ring.of(before) }
        };
        self.kernels[id].run(self.isa, inputs.len(), source, ring, own, call)
    }
}
