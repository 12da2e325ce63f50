//! How far one sound is from another: in its waveform, and in its spectra at four scales.

use realfft::RealFftPlanner;
use serde::{Deserialize, Serialize};

/// A sound's distance from another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Distance {
    /// Power of the difference over that of the sound it is measured from, in dB; `None` where one of them is silent.
    pub waveform_db: Option<f64>,
    /// Mean of `|Δ ln(|X| + 0.001)|` over bins, frames, and Hann windows of 2048, 1024, 512 and 256 samples, a quarter of a
    /// window apart.
    pub log_spectral: f64,
}

const WINDOWS: [usize; 4] = [2048, 1024, 512, 256];
const FLOOR: f32 = 1e-3;

/// Sounds of equal length that others are measured from, with their spectra.
#[derive(Debug)]
pub(super) struct Spectra {
    sounds: Vec<Vec<f32>>,
    logs: Vec<[Vec<f32>; 4]>,
}

impl Spectra {
    /// Of `sounds`, each of at least one window.
    pub(super) fn new(sounds: Vec<Vec<f32>>) -> Self {
        let logs = crate::threads::map(&sounds, || (), |(), sound| WINDOWS.map(|window| logs(sound, window)));
        Self { sounds, logs }
    }

    /// How far these are from `others`, in the same order.
    pub(super) fn from(&self, others: &Self) -> Distance {
        let pairs = || self.logs.iter().flatten().zip(others.logs.iter().flatten());
        let distance = |(a, b): (&Vec<f32>, &Vec<f32>)| {
            a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs())).sum::<f64>() / a.len().max(1) as f64
        };
        let values = self.sounds.iter().flatten().zip(others.sounds.iter().flatten());
        let (error, power) = values.fold((0.0, 0.0), |(error, power), (&a, &b)| {
            (error + (f64::from(a) - f64::from(b)).powi(2), power + f64::from(b).powi(2))
        });
        Distance {
            waveform_db: (error > 0.0 && power > 0.0).then(|| 10.0 * (error / power).log10()),
            log_spectral: pairs().map(distance).sum::<f64>() / pairs().count().max(1) as f64,
        }
    }
}

/// Logarithms of the magnitudes of all bins, frame by frame.
fn logs(sound: &[f32], window: usize) -> Vec<f32> {
    let transform = RealFftPlanner::<f32>::new().plan_fft_forward(window);
    let hann = |n: usize| 0.5 - 0.5 * (std::f32::consts::TAU * n as f32 / window as f32).cos();
    let hann: Vec<f32> = (0..window).map(hann).collect();
    let mut spectrum = transform.make_output_vec();
    let mut scratch = transform.make_scratch_vec();
    let mut logs = Vec::new();
    for frame in sound.windows(window).step_by(window / 4) {
        let mut frame: Vec<f32> = frame.iter().zip(&hann).map(|(value, hann)| value * hann).collect();
        transform.process_with_scratch(&mut frame, &mut spectrum, &mut scratch).expect("buffers of its own sizes");
        logs.extend(spectrum.iter().map(|bin| (bin.norm() + FLOOR).ln()));
    }
    logs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Randomness;

    fn noise(gain: f32) -> Vec<f32> {
        (0..20_000).map(|n| gain * Randomness::Seeded(1).uniform(0, n, 0)).collect()
    }

    #[test]
    fn a_gain_is_its_logarithm_apart() {
        let (one, two) = (Spectra::new(vec![noise(1.0)]), Spectra::new(vec![noise(2.0)]));
        let apart = two.from(&one);
        assert!((apart.log_spectral - 2.0_f64.ln()).abs() < 1e-3, "{apart:?}");
        assert_eq!(one.from(&two).log_spectral, apart.log_spectral);
        assert!(apart.waveform_db.expect("sounds").abs() < 1e-5);
        assert_eq!(one.from(&one), Distance { waveform_db: None, log_spectral: 0.0 });
    }
}
