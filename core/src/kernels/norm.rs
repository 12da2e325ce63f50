//! Normalisation over the channels of one frame. Sums run in f64, in the order of the channels, so that the bits depend on
//! the frame alone.

use crate::graph::LayerNorm;

/// `(x − mean) / √(variance + epsilon) · weight + bias`, block by block.
pub(super) fn layer_norm(norm: &LayerNorm, x: &[f32], y: &mut [f32]) {
    let width = x.len() / norm.groups;
    let part = |values: &Option<crate::Weight>, i: usize, absent: f32| values.as_ref().map_or(absent, |w| w.data()[i]);
    for (block, (x, y)) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)).enumerate() {
        let mean = if norm.centred { x.iter().map(|&v| f64::from(v)).sum::<f64>() / width as f64 } else { 0.0 };
        let variance = x.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / width as f64;
        let gain = 1.0 / (variance + f64::from(norm.epsilon)).sqrt();
        for (i, (x, y)) in x.iter().zip(y).enumerate() {
            let at = block * width + i;
            let unit = ((f64::from(*x) - mean) * gain) as f32;
            *y = unit * part(&norm.weight, at, 1.0) + part(&norm.bias, at, 0.0);
        }
    }
}

/// `e^x / Σ e^x`, block by block.
pub(super) fn softmax(groups: usize, x: &[f32], y: &mut [f32]) {
    let width = x.len() / groups;
    for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
        // The greatest is taken out, so that nothing overflows.
        let greatest = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        y.iter_mut().zip(x).for_each(|(y, x)| *y = (x - greatest).exp());
        let sum: f64 = y.iter().map(|&v| f64::from(v)).sum();
        y.iter_mut().for_each(|y| *y = (f64::from(*y) / sum) as f32);
    }
}
