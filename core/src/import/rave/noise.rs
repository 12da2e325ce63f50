//! The noise synthesiser's linear part: from band amplitudes to an impulse response.

use std::f64::consts::TAU;
use std::sync::Arc;

use crate::tensor::{Tensor, Weight};

/// The impulse response of each band's amplitude, `[size, bands]`.
///
/// Amplitudes are a real spectrum. Its inverse transform, `2 · (bands − 1)` samples long, is centred, windowed by a
/// periodic Hann window, padded or cropped at its end to `size`, and turned back to its time.
pub(super) fn response(bands: usize, size: usize) -> Weight {
    let taps = 2 * (bands - 1);
    let mut data = vec![0.0; size * bands];
    for band in 0..bands {
        // A real spectrum's inner bands stand for two bins each, its first and last for one.
        let weight = if band == 0 || band == taps / 2 { 1.0 } else { 2.0 };
        for centred in 0..taps.min(size) {
            let time = (centred + taps / 2) % taps;
            let cosine = (TAU * ((band * time) % taps) as f64 / taps as f64).cos();
            let hann = 0.5 - 0.5 * (TAU * centred as f64 / taps as f64).cos();
            let at = (centred + size - (taps / 2) % size) % size;
            data[at * bands + band] = (weight * cosine / taps as f64 * hann) as f32;
        }
    }
    Arc::new(Tensor::new([size, bands], data))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(response: &Weight, band: usize) -> Vec<f32> {
        let bands = response.shape()[1];
        response.data().iter().skip(band).step_by(bands).copied().collect()
    }

    #[test]
    fn a_flat_spectrum_is_an_impulse() {
        let response = response(5, 64);
        let sum: Vec<f32> = (0..64).map(|n| (0..5).map(|b| column(&response, b)[n]).sum()).collect();
        assert!((sum[0] - 1.0).abs() < 1e-6, "{}", sum[0]);
        assert!(sum[1..].iter().all(|v| v.abs() < 1e-6), "{sum:?}");
    }

    #[test]
    fn long_responses_are_cropped_before_they_are_turned_back() {
        // 32 bands make 62 taps, of which only the first 8 of the centred, windowed response stay, turned by 31.
        let response = response(32, 8);
        let first = column(&response, 0);
        let hann = |n: f64| 0.5 - 0.5 * (TAU * n / 62.0).cos();
        for (at, value) in first.iter().enumerate() {
            let expected = hann(((at + 31) % 8) as f64) / 62.0;
            assert!((f64::from(*value) - expected).abs() < 1e-8, "{at}: {value} {expected}");
        }
    }
}
