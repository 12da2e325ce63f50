//! How far two sounds are apart.

use std::f64::consts::TAU;

use realfft::RealFftPlanner;

/// Sizes of the transforms, in samples.
const SIZES: [usize; 5] = [2048, 1024, 512, 256, 128];
/// Added to magnitudes before their logarithm: −80 dB of a sine of amplitude 1. What is softer counts little.
const FLOOR: f64 = 1e-4;

/// The magnitudes of a sound in every size of transform.
pub(super) struct Spectra {
    /// For each of [`SIZES`], frame after frame; a sine of amplitude 1 has the magnitude 1.
    magnitudes: Vec<Vec<f32>>,
}

impl Spectra {
    /// Of all channels together. Frames are Hann windows every quarter of their size, zeros beyond the ends.
    pub(super) fn of(channels: &[Vec<f32>]) -> Self {
        let mut planner = RealFftPlanner::<f64>::new();
        let mut of_size = |size: usize| {
            let transform = planner.plan_fft_forward(size);
            let (mut time, mut spectrum) = (transform.make_input_vec(), transform.make_output_vec());
            let window: Vec<_> = (0..size).map(|i| 0.5 - 0.5 * (TAU * i as f64 / size as f64).cos()).collect();
            let scale = 2.0 / window.iter().sum::<f64>();
            let mut magnitudes = Vec::new();
            for channel in channels {
                for start in (-(size as i64) / 2..channel.len() as i64 - size as i64 / 2 + 1).step_by(size / 4) {
                    for (i, value) in time.iter_mut().enumerate() {
                        let n = usize::try_from(start + i as i64).ok();
                        let sample = n.and_then(|n| channel.get(n).copied()).unwrap_or(0.0);
                        *value = f64::from(sample) * window[i];
                    }
                    // Lengths are the plan's own.
                    let _ = transform.process(&mut time, &mut spectrum);
                    magnitudes.extend(spectrum.iter().map(|v| (v.norm() * scale) as f32));
                }
            }
            magnitudes
        };
        Self { magnitudes: SIZES.map(&mut of_size).into() }
    }

    /// The multi-scale spectral distance from `self` to `other`, a sound of the same length, after the loss that RAVE is
    /// trained with (Caillon & Esling, *RAVE*, 2021, §3.1):
    ///
    /// ```text
    /// D = Σ_s ( ‖A_s − B_s‖ / ‖A_s‖ + mean |ln(A_s + ε) − ln(B_s + ε)| ),  s = 2048, 1024, 512, 256, 128
    /// ```
    ///
    /// `A_s`, `B_s` are the magnitudes of the short-time transforms of size `s` (Hann window, hop `s/4`), a full-scale
    /// sine being 1; `‖·‖` is the root of the sum of squares, `ε` is 10⁻⁴, that is −80 dB. 0 for equal sounds.
    /// Infinite where a sound is not finite.
    pub(super) fn distance(&self, other: &Self) -> f64 {
        let pairs = self.magnitudes.iter().zip(&other.magnitudes);
        let distance: f64 = pairs.map(|(a, b)| relative(a, b) + logarithmic(a, b)).sum();
        if distance.is_nan() { f64::INFINITY } else { distance }
    }
}

/// The largest difference of a sample, and the root of the mean square difference. Infinite where one is not a number.
pub(super) fn difference(a: &[Vec<f32>], b: &[Vec<f32>]) -> (f64, f64) {
    let (mut largest, mut squares, mut count) = (0.0_f64, 0.0, 0_usize);
    for (a, b) in a.iter().flatten().zip(b.iter().flatten()) {
        let d = (f64::from(*a) - f64::from(*b)).abs();
        let d = if d.is_nan() { f64::INFINITY } else { d };
        largest = largest.max(d);
        squares += d * d;
        count += 1;
    }
    (largest, (squares / count.max(1) as f64).sqrt())
}

/// The root of the mean square.
pub(super) fn rms(channels: &[Vec<f32>]) -> f64 {
    let count = channels.iter().map(Vec::len).sum::<usize>().max(1);
    (channels.iter().flatten().map(|v| f64::from(*v).powi(2)).sum::<f64>() / count as f64).sqrt()
}

fn relative(a: &[f32], b: &[f32]) -> f64 {
    let square = |v: f64| v * v;
    let error: f64 = a.iter().zip(b).map(|(a, b)| square(f64::from(*a) - f64::from(*b))).sum();
    let energy: f64 = a.iter().map(|a| square(f64::from(*a))).sum();
    // A silent sound has no energy to compare with: then the floor is.
    (error / energy.max(a.len() as f64 * FLOOR * FLOOR)).sqrt()
}

fn logarithmic(a: &[f32], b: &[f32]) -> f64 {
    let ln = |v: &f32| (f64::from(*v) + FLOOR).ln();
    a.iter().zip(b).map(|(a, b)| (ln(a) - ln(b)).abs()).sum::<f64>() / a.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::{demo_clip, test_signal};

    fn noise(gain: f32) -> Vec<Vec<f32>> {
        let mut noise = test_signal(20_000, 1, 1);
        noise[0] = noise[0][5000..11_000].iter().map(|v| v * gain).collect();
        noise
    }

    #[test]
    fn equal_sounds_are_not_apart_and_doubled_ones_are_by_the_formula() {
        let (once, twice) = (Spectra::of(&noise(1.0)), Spectra::of(&noise(2.0)));
        assert_eq!(once.distance(&once), 0.0);
        let expected = 5.0 * (1.0 + 2.0_f64.ln());
        assert!((once.distance(&twice) / expected - 1.0).abs() < 0.02, "{} {expected}", once.distance(&twice));
    }

    #[test]
    fn a_sine_has_its_amplitude() {
        let sine = vec![(0..8192).map(|n| 0.5 * (TAU as f32 * n as f32 / 16.0).sin()).collect::<Vec<f32>>()];
        for (size, magnitudes) in SIZES.iter().zip(&Spectra::of(&sine).magnitudes) {
            let largest = magnitudes.iter().copied().fold(0.0, f32::max);
            assert!((largest - 0.5).abs() < 1e-3, "{size}: {largest}");
        }
    }

    #[test]
    fn rounding_is_near_and_a_gap_is_far() {
        let sound = vec![demo_clip(8000)];
        let rounded =
            vec![sound[0].iter().enumerate().map(|(n, v)| v + if n % 2 == 0 { 1e-7 } else { -1e-7 }).collect()];
        let mut gap = sound.clone();
        gap[0][4000..4100].fill(0.0);
        let spectra = Spectra::of(&sound);
        assert!(spectra.distance(&Spectra::of(&rounded)) < 1e-4);
        assert!(spectra.distance(&Spectra::of(&gap)) > 1e-2);
    }

    #[test]
    fn what_is_not_finite_is_infinitely_far() {
        let sound = noise(1.0);
        for bad in [f32::NAN, f32::INFINITY] {
            let mut broken = sound.clone();
            broken[0][100] = bad;
            assert_eq!(Spectra::of(&sound).distance(&Spectra::of(&broken)), f64::INFINITY);
            assert_eq!(difference(&sound, &broken).0, f64::INFINITY);
        }
        let silence = vec![vec![0.0; 3000]];
        assert_eq!(Spectra::of(&silence).distance(&Spectra::of(&silence)), 0.0);
        assert!(Spectra::of(&silence).distance(&Spectra::of(&sound)).is_finite());
    }
}
