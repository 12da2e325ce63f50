//! Normalisation over the channels of one frame. Sums run in f64, in an order that the number of channels decides, so that
//! the bits depend on the frame alone.

use super::math;
use super::vector::{LANES, Simd, Work};
use crate::graph::LayerNorm;

/// `(x − mean) / √(variance + epsilon) · weight + bias`, block by block of rows that lie one after another.
pub(super) struct Normed<'a> {
    pub(super) norm: &'a LayerNorm,
    pub(super) channels: usize,
    pub(super) x: &'a [f32],
    pub(super) y: &'a mut [f32],
}

impl Work for Normed<'_> {
    type Output = ();

    #[inline(always)]
    fn on<S: Simd>(self, _: S) {
        let Self { norm, channels, x, y } = self;
        let width = channels / norm.groups;
        let [weight, bias] = [&norm.weight, &norm.bias].map(|part| part.as_ref().map_or(&[][..], |part| part.data()));
        let epsilon = f64::from(norm.epsilon);
        let unit = if width < ROWS { unit_narrow(norm.centred, epsilon, width, x, y) } else { 0 };
        for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)).skip(unit) {
            let mean = if norm.centred { sum(x, |v| v) / width as f64 } else { 0.0 };
            let variance = sum(x, |v| (v - mean) * (v - mean)) / width as f64;
            let gain = 1.0 / (variance + epsilon).sqrt();
            y.iter_mut().zip(x).for_each(|(y, x)| *y = ((f64::from(*x) - mean) * gain) as f32);
        }
        for y in y.chunks_exact_mut(channels) {
            y.iter_mut().zip(weight).for_each(|(y, w)| *y *= w);
            y.iter_mut().zip(bias).for_each(|(y, b)| *y += b);
        }
    }
}

/// Blocks of few values that are normalised together.
const ROWS: usize = 8;

/// As [`Normed`] without weights, for the first blocks of `width` values, fewer than [`ROWS`]; gives their number.
#[inline(always)]
fn unit_narrow(centred: bool, epsilon: f64, width: usize, x: &[f32], y: &mut [f32]) -> usize {
    let together = ROWS * width;
    for (x, y) in x.chunks_exact(together).zip(y.chunks_exact_mut(together)) {
        let mut columns = [[0.0f64; ROWS]; ROWS];
        for (row, x) in x.chunks_exact(width).enumerate() {
            (0..width).for_each(|c| columns[c][row] = f64::from(x[c]));
        }
        let columns = &mut columns[..width];
        if centred {
            let mut means = [0.0; ROWS];
            for column in &*columns {
                (0..ROWS).for_each(|row| means[row] += column[row]);
            }
            let means = means.map(|sum| sum / width as f64);
            for column in &mut *columns {
                (0..ROWS).for_each(|row| column[row] -= means[row]);
            }
        }
        let mut variances = [0.0; ROWS];
        for column in &*columns {
            (0..ROWS).for_each(|row| variances[row] += column[row] * column[row]);
        }
        let gains = variances.map(|sum| 1.0 / (sum / width as f64 + epsilon).sqrt());
        for (row, y) in y.chunks_exact_mut(width).enumerate() {
            (0..width).for_each(|c| y[c] = (columns[c][row] * gains[row]) as f32);
        }
    }
    x.len() / together * ROWS
}

/// `e^x / Σ e^x`, block by block of `width` values that lie one after another.
pub(super) struct Softmax<'a> {
    pub(super) width: usize,
    pub(super) x: &'a [f32],
    pub(super) y: &'a mut [f32],
}

impl Work for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn on<S: Simd>(self, s: S) {
        let Self { width, x, y } = self;
        // The greatest is taken out, so that nothing overflows.
        let greater = |a: f32, b: f32| if b > a { b } else { a };
        for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
            let greatest = x.iter().copied().fold(f32::NEG_INFINITY, greater);
            y.iter_mut().zip(x).for_each(|(y, x)| *y = x - greatest);
        }
        for y in y.chunks_mut(LANES) {
            s.store_part(math::exp(s, s.load_part(y)), y);
        }
        for y in y.chunks_exact_mut(width) {
            let share = 1.0 / sum(y, |v| v);
            y.iter_mut().for_each(|y| *y = (f64::from(*y) * share) as f32);
        }
    }
}

/// The sum of `f` of all values: every eighth on its own, then these in order.
#[inline(always)]
fn sum(values: &[f32], f: impl Fn(f64) -> f64) -> f64 {
    if values.len() < ROWS {
        return values.iter().fold(0.0, |sum, value| sum + f(f64::from(*value)));
    }
    let (eights, rest) = values.as_chunks::<ROWS>();
    let mut sums = [0.0; ROWS];
    for eight in eights {
        (0..ROWS).for_each(|i| sums[i] += f(f64::from(eight[i])));
    }
    sums.iter_mut().zip(rest).for_each(|(sum, value)| *sum += f(f64::from(*value)));
    sums.iter().fold(0.0, |all, sum| all + sum)
}
