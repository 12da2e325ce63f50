//! A small Fourier transform, for the eye.

use std::f32::consts::TAU;

/// Power spectra of windowed stretches of `size` samples.
#[derive(Debug)]
pub(super) struct Fourier {
    window: Vec<f32>,
    /// Cosine and sine of each step around the circle.
    turns: Vec<[f32; 2]>,
    values: Vec<[f32; 2]>,
}

impl Fourier {
    /// For stretches of `size` samples, a power of two.
    pub(super) fn new(size: usize) -> Self {
        assert!(size.is_power_of_two(), "halves must be halved down to one");
        let angle = |i: usize| TAU * i as f32 / size as f32;
        Self {
            window: (0..size).map(|i| 0.5 - 0.5 * angle(i).cos()).collect(),
            turns: (0..size / 2).map(|i| [angle(i).cos(), -angle(i).sin()]).collect(),
            values: vec![[0.0; 2]; size],
        }
    }

    /// Samples that [`Self::power`] asks for.
    pub(super) fn size(&self) -> usize {
        self.window.len()
    }

    /// The power at each of the `size / 2` frequencies from 0, a full-scale sine having 1.
    pub(super) fn power(&mut self, sample: impl Fn(usize) -> f32) -> impl Iterator<Item = f32> + '_ {
        let size = self.size();
        let unused_bits = usize::BITS - size.trailing_zeros();
        for i in 0..size {
            let x = sample(i);
            let x = if x.is_finite() { x } else { 0.0 };
            self.values[i.reverse_bits() >> unused_bits] = [x * self.window[i], 0.0];
        }
        let mut half = 1;
        while half < size {
            for start in (0..size).step_by(2 * half) {
                for i in 0..half {
                    let [c, s] = self.turns[i * (size / 2 / half)];
                    let ([ar, ai], [br, bi]) = (self.values[start + i], self.values[start + half + i]);
                    let (br, bi) = (br * c - bi * s, br * s + bi * c);
                    self.values[start + i] = [ar + br, ai + bi];
                    self.values[start + half + i] = [ar - br, ai - bi];
                }
            }
            half *= 2;
        }
        // The window's mean is a half, and a sine has two halves.
        let scale = (4.0 / size as f32).powi(2);
        self.values[..size / 2].iter().map(move |[re, im]| (re * re + im * im) * scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sine_stands_at_its_frequency_at_full_power() {
        let mut fourier = Fourier::new(256);
        for bin in [3, 40, 100] {
            let power: Vec<f32> = fourier.power(|i| (TAU * bin as f32 * i as f32 / 256.0).sin()).collect();
            assert!((power[bin] - 1.0).abs() < 1e-3, "{}", power[bin]);
            let far = power.iter().enumerate().filter(|(i, _)| i.abs_diff(bin) > 1).map(|(_, p)| *p);
            assert!(far.fold(0.0, f32::max) < 1e-6);
        }
    }

    #[test]
    fn what_is_not_finite_does_not_spread() {
        let power = Fourier::new(64).power(|_| f32::NAN).sum::<f32>();
        assert_eq!(power, 0.0);
    }
}
