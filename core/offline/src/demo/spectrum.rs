//! The spectral part of the training loss: magnitudes at several resolutions (Yamamoto et al., *Parallel WaveGAN*,
//! 2020).

use std::f64::consts::TAU;

use burn::tensor::{Device, Tensor};

use super::network::pad;
use crate::demo::network::load;

/// Size, hop and number of bins kept, from the lowest, of each resolution.
const RESOLUTIONS: [(usize, usize, usize); 3] = [(2048, 512, 160), (512, 128, 257), (128, 32, 65)];

/// Compares magnitude spectra.
pub(crate) struct Spectra {
    /// `[2 · bins, size]`: cosines, then sines, under a Hann window.
    bases: Vec<Tensor<2>>,
}

impl Spectra {
    pub(crate) fn new(device: &Device) -> Self {
        let basis = |(size, _, bins): (usize, usize, usize)| {
            let value = |row: usize, t: usize| {
                let hann = 0.5 - 0.5 * (TAU * t as f64 / size as f64).cos();
                let angle = TAU * ((row % bins * t) % size) as f64 / size as f64;
                // A sine of amplitude 1 has magnitude 1.
                hann * if row < bins { angle.cos() } else { angle.sin() } * 4.0 / size as f64
            };
            let values: Vec<f32> = (0..2 * bins).flat_map(|row| (0..size).map(move |t| value(row, t) as f32)).collect();
            load(&values, [2 * bins, size], device)
        };
        Self { bases: RESOLUTIONS.map(basis).into() }
    }

    /// Magnitudes of `[1, samples]` at each resolution, `[bins, frames]`.
    pub(crate) fn magnitudes(&self, audio: &Tensor<2>) -> Vec<Tensor<2>> {
        let magnitude = |(&(size, hop, bins), basis): (&(usize, usize, usize), &Tensor<2>)| {
            let frames = audio.dims()[1] / hop;
            let overlap = size / hop;
            let whole = frames + overlap - 1;
            let padded = pad(audio.clone(), (size - hop) / 2, size - hop - (size - hop) / 2);
            let blocks = padded.reshape([whole, hop]).transpose();
            let taps = (0..overlap).map(|s| blocks.clone().narrow(1, s, frames)).collect();
            let parts = basis.clone().matmul(Tensor::cat(taps, 0));
            let power = parts.clone().narrow(0, 0, bins).square() + parts.narrow(0, bins, bins).square();
            (power + 1e-8).sqrt()
        };
        RESOLUTIONS.iter().zip(&self.bases).map(magnitude).collect()
    }

    /// Mean over the resolutions of the relative and the logarithmic difference.
    pub(crate) fn distance(&self, found: &Tensor<2>, wanted: &Tensor<2>) -> Tensor<1> {
        let pairs = self.magnitudes(found).into_iter().zip(self.magnitudes(wanted));
        let each = pairs.map(|(found, wanted)| {
            let relative = (found.clone() - wanted.clone()).abs().sum() / (wanted.clone().sum() + 1e-3);
            let logarithm = |m: Tensor<2>| (m + 3e-4).log();
            relative + 0.3 * (logarithm(found) - logarithm(wanted)).abs().mean()
        });
        let sum = each.reduce(|a, b| a + b).expect("several resolutions");
        sum / RESOLUTIONS.len() as f64
    }
}
