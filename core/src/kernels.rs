//! The compute routines: one frame of one node at a time, each a pure function of the frames it reads, in an order of
//! operations that depends on the frame's index alone. So any partition of the input gives the same bits.

mod angles;
mod conv;
mod frame;
mod isa;
mod noise;
mod recurrent;
mod spectrum;
#[cfg(test)]
mod tests;

use std::ops::Range;

use conv::PackedConv;
use isa::Isa;
use spectrum::Spectrum;

use crate::engine::LatentEdit;
use crate::plan::{Plan, Ring};
use crate::random::Randomness;
use crate::stream::StreamOp;

/// How one node is computed on this machine.
#[derive(Debug)]
pub(crate) enum Kernel {
    /// A convolution over packed weights.
    Conv(PackedConv),
    /// A power spectrum by FFT.
    Spectrum(Spectrum),
    /// A gated recurrent unit.
    Gru(recurrent::Gru),
    /// Filtered noise.
    Noise(noise::Noise),
    /// Anything else, as its definition says.
    Frame(StreamOp),
}

impl Kernel {
    /// The kernel of `op`, its weights packed.
    pub(crate) fn new(op: &StreamOp) -> Self {
        match op {
            StreamOp::Conv(conv) => Self::Conv(PackedConv::new(conv, Isa::best())),
            StreamOp::PowerSpectrum { window, hop, left } => Self::Spectrum(Spectrum::new(window, *hop, *left)),
            StreamOp::Gru(gru) => Self::Gru(recurrent::Gru::new(gru)),
            StreamOp::NoiseSynth(synth) => Self::Noise(noise::Noise::new(synth)),
            other => Self::Frame(other.clone()),
        }
    }

    /// Values of scratch that one frame needs.
    pub(crate) fn scratch_len(&self) -> usize {
        match self {
            Self::Spectrum(spectrum) => spectrum.scratch_len(),
            Self::Gru(gru) => gru.scratch_len(),
            Self::Noise(noise) => noise.scratch_len(),
            Self::Frame(op) => frame::scratch_len(op),
            Self::Conv(_) => 0,
        }
    }

    /// Bytes of packed weights.
    pub(crate) fn weight_bytes(&self) -> usize {
        match self {
            Self::Conv(conv) => conv.weight_bytes(),
            Self::Gru(gru) => gru.weight_bytes(),
            Self::Frame(op) => op.weights().iter().map(|w| w.len() * size_of::<f32>()).sum(),
            Self::Spectrum(_) | Self::Noise(_) => 0,
        }
    }

    /// Whether a player's hands reach this node.
    pub(crate) fn is_latent_edit(&self) -> bool {
        matches!(self, Self::Frame(StreamOp::LatentEdit))
    }
}

/// A signal as a kernel reads it: its ring, and the ring's slice of the arena.
#[derive(Clone, Copy)]
struct Source<'a> {
    ring: Ring,
    own: &'a [f32],
}

impl<'a> Source<'a> {
    #[inline(always)]
    fn row(&self, frame: i64) -> &'a [f32] {
        self.ring.row(self.own, frame)
    }
}

impl Plan {
    /// Computes `frames` of node `id`.
    pub(crate) fn run(
        &self,
        id: usize,
        frames: Range<i64>,
        arena: &mut [f32],
        scratch: &mut [f32],
        randomness: Randomness,
        edit: Option<&LatentEdit>,
    ) {
        let ring = self.rings[id];
        // Rings lie in node order, so every input lies before this node's ring.
        let (before, from_here) = arena.split_at_mut(ring.start);
        let own = &mut from_here[..ring.len()];
        let inputs = self.schedule.inputs(id);
        let source = |slot: usize| {
            let ring = self.rings[inputs[slot]];
            Source { ring, own: ring.of(before) }
        };
        match &self.kernels[id] {
            Kernel::Conv(conv) => conv.run(source(0), ring, own, frames),
            Kernel::Spectrum(spectrum) => spectrum.run(source(0), ring, own, frames, scratch),
            Kernel::Gru(gru) => gru.run(source(0), ring, own, frames, scratch),
            Kernel::Noise(noise) => noise.run(source(0), ring, own, frames, scratch, randomness),
            Kernel::Frame(op) => {
                frame::run(op, inputs.len(), source, ring, own, frames, scratch, randomness, edit);
            }
        }
    }
}
