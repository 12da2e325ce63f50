//! Noise shaped by an impulse response per frame and channel: see [`graph::NoiseSynth`].

use std::ops::Range;

use super::Source;
use super::isa::Isa;
use super::vector::{LANES, Simd, Work};
use crate::graph::{self, Excitation};
use crate::plan::Ring;
use crate::random::Randomness;

/// Filtered noise.
#[derive(Debug)]
pub(crate) struct Noise {
    /// `[band][size]`, the size padded to whole vectors.
    response: Vec<f32>,
    excitation: Excitation,
    size: usize,
    bands: usize,
    isa: Isa,
}

impl Noise {
    pub(super) fn new(synth: &graph::NoiseSynth, isa: Isa) -> Self {
        let [size, bands] = [synth.response.shape()[0], synth.response.shape()[1]];
        let padded = size.next_multiple_of(LANES);
        let at = |band: usize, i: usize| if i < size { synth.response.row(i)[band] } else { 0.0 };
        let response = (0..bands).flat_map(|band| (0..padded).map(move |i| at(band, i))).collect();
        Self { response, excitation: synth.excitation.clone(), size, bands, isa }
    }

    /// Values of scratch: zeros and one impulse response, its excitation, and what comes of them.
    pub(super) fn scratch_len(&self) -> usize {
        LANES + 3 * self.padded()
    }

    /// Bytes of weights.
    pub(super) fn weight_bytes(&self) -> usize {
        size_of_val(self.response.as_slice())
    }

    /// Computes `frames` into the ring slice `own`.
    pub(super) fn run(
        &self,
        input: Source<'_>,
        ring: Ring,
        own: &mut [f32],
        frames: Range<i64>,
        scratch: &mut [f32],
        (randomness, amount): (Randomness, f32),
    ) {
        let silent = randomness == Randomness::Deterministic && matches!(self.excitation, Excitation::Random { .. });
        if silent {
            frames.for_each(|n| ring.row_mut(own, n).fill(0.0));
            return;
        }
        let (response, rest) = scratch[..self.scratch_len()].split_at_mut(LANES + self.padded());
        let (noise, output) = rest.split_at_mut(self.padded());
        let mut n = frames.start;
        while n < frames.end {
            // The frames of one input frame, together.
            let q = n.div_euclid(self.size as i64);
            let start = q * self.size as i64;
            let end = frames.end.min(start + self.size as i64);
            let wanted = (n - start) as usize..(end - start) as usize;
            for c in 0..ring.channels {
                for (j, e) in noise[..wanted.end].iter_mut().enumerate() {
                    *e = amount
                        * match &self.excitation {
                            Excitation::Random { key } => randomness.uniform(*key, start + j as i64, c),
                            Excitation::Fixed(table) => table.row(c)[j],
                        };
                }
                let amplitudes = &input.row(q)[c * self.bands..][..self.bands];
                let excitation = &noise[..wanted.end];
                let wanted = wanted.clone();
                self.isa.run(Shape { bands: &self.response, amplitudes, response, excitation, wanted, output });
                for frame in n..end {
                    ring.row_mut(own, frame)[c] = output[(frame - start) as usize];
                }
            }
            n = end;
        }
    }

    fn padded(&self) -> usize {
        self.size.next_multiple_of(LANES)
    }
}

struct Shape<'a> {
    /// `[band][padded]`.
    bands: &'a [f32],
    amplitudes: &'a [f32],
    /// As many zeros as a vector has lanes, then the impulse response, made here.
    response: &'a mut [f32],
    excitation: &'a [f32],
    /// Values of the output to compute, at least.
    wanted: Range<usize>,
    output: &'a mut [f32],
}

impl Work for Shape<'_> {
    type Output = ();

    #[inline(always)]
    fn on<S: Simd>(self, s: S) {
        let padded = self.response.len() - LANES;
        self.response[..LANES].fill(0.0);
        for at in (0..self.wanted.end).step_by(LANES) {
            let mut sum = s.splat(0.0);
            for (band, amplitude) in self.bands.chunks_exact(padded).zip(self.amplitudes) {
                sum = s.mul_add(s.load_part(&band[at..at + LANES]), s.splat(*amplitude), sum);
            }
            s.store_part(sum, &mut self.response[LANES + at..][..LANES]);
        }
        for at in (self.wanted.start / LANES * LANES..self.wanted.end).step_by(LANES) {
            let mut sum = s.splat(0.0);
            // A lane that an excitation comes too late for meets a zero.
            for (j, e) in self.excitation.iter().enumerate().take(at + LANES) {
                sum = s.mul_add(s.splat(*e), s.load_part(&self.response[LANES + at - j..][..LANES]), sum);
            }
            s.store_part(sum, &mut self.output[at..at + LANES]);
        }
    }
}
