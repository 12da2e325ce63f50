//! Noise shaped by an impulse response per frame and channel: see [`graph::NoiseSynth`].

use std::ops::Range;

use super::Source;
use crate::graph::{self, Excitation};
use crate::plan::Ring;
use crate::random::Randomness;
use crate::tensor::Weight;

/// Filtered noise.
#[derive(Debug)]
pub(crate) struct Noise {
    response: Weight,
    excitation: Excitation,
    size: usize,
    bands: usize,
}

impl Noise {
    pub(super) fn new(synth: &graph::NoiseSynth) -> Self {
        let [size, bands] = [synth.response.shape()[0], synth.response.shape()[1]];
        Self { response: synth.response.clone(), excitation: synth.excitation.clone(), size, bands }
    }

    /// Values of scratch: one impulse response and its excitation.
    pub(super) fn scratch_len(&self) -> usize {
        2 * self.size
    }

    /// Computes `frames` into the ring slice `own`.
    pub(super) fn run(
        &self,
        input: Source<'_>,
        ring: Ring,
        own: &mut [f32],
        frames: Range<i64>,
        scratch: &mut [f32],
        randomness: Randomness,
    ) {
        let silent = randomness == Randomness::Deterministic && matches!(self.excitation, Excitation::Random { .. });
        let (response, noise) = scratch[..2 * self.size].split_at_mut(self.size);
        let mut n = frames.start;
        while n < frames.end {
            // The frames of one input frame, together.
            let q = n.div_euclid(self.size as i64);
            let start = q * self.size as i64;
            let end = frames.end.min(start + self.size as i64);
            for frame in n..end {
                ring.row_mut(own, frame).fill(0.0);
            }
            let channels = if silent { 0 } else { ring.channels };
            for c in 0..channels {
                let amplitudes = &input.row(q)[c * self.bands..][..self.bands];
                for (i, h) in response.iter_mut().enumerate() {
                    *h = self.response.row(i).iter().zip(amplitudes).map(|(r, a)| r * a).sum();
                }
                for (j, e) in noise[..(end - start) as usize].iter_mut().enumerate() {
                    *e = match &self.excitation {
                        Excitation::Random { key } => randomness.uniform(*key, start + j as i64, c),
                        Excitation::Fixed(table) => table.row(c)[j],
                    };
                }
                for frame in n..end {
                    let m = (frame - start) as usize;
                    ring.row_mut(own, frame)[c] = (0..=m).map(|j| noise[j] * response[m - j]).sum();
                }
            }
            n = end;
        }
    }
}
