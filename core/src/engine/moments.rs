//! Mean and spread of a signal's channels, frame by frame.

use serde::{Deserialize, Serialize};

/// Mean and sum of squared distances from it over the frames taken in, per channel (Welford, *Note on a Method for
/// Calculating Corrected Sums of Squares and Products*, 1962).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    /// Frames taken in.
    pub frames: u64,
    /// `[channels]`.
    pub mean: Vec<f64>,
    /// `[channels]`: `Σ (x − mean)²`.
    pub squares: Vec<f64>,
}

impl Moments {
    pub(super) fn new(channels: usize) -> Self {
        Self { frames: 0, mean: vec![0.0; channels], squares: vec![0.0; channels] }
    }

    pub(super) fn channels(&self) -> usize {
        self.mean.len()
    }

    /// Takes in a frame, where all its values are numbers.
    pub(super) fn take(&mut self, x: &[f32]) {
        if !x.iter().all(|x| x.is_finite()) {
            return;
        }
        self.frames = self.frames.saturating_add(1);
        let share = 1.0 / self.frames as f64;
        for ((mean, squares), x) in self.mean.iter_mut().zip(&mut self.squares).zip(x) {
            let x = f64::from(*x);
            let distance = x - *mean;
            *mean += share * distance;
            *squares += distance * (x - *mean);
        }
    }

    /// Whether there are frames enough for a deviation.
    pub(super) fn has_deviation(&self) -> bool {
        self.frames >= 2
    }

    /// Mean and unbiased standard deviation of a channel, of two frames or more.
    pub(super) fn of(&self, channel: usize) -> [f64; 2] {
        let variance = self.squares[channel] / self.frames.saturating_sub(1) as f64;
        [self.mean[channel], variance.max(0.0).sqrt()]
    }

    pub(super) fn clear(&mut self) {
        self.frames = 0;
        self.mean.fill(0.0);
        self.squares.fill(0.0);
    }

    /// Takes over the values of `other`, which has as many channels, without allocating.
    pub(super) fn copy_from(&mut self, other: &Self) {
        self.frames = other.frames;
        self.mean.copy_from_slice(&other.mean);
        self.squares.copy_from_slice(&other.squares);
        if self.frames == 0 {
            self.clear();
        }
    }

    /// Whether frames of finite values can have these.
    pub(super) fn is_possible(&self) -> bool {
        let most = f64::from(f32::MAX);
        self.mean.iter().all(|mean| mean.abs() <= most) && self.squares.iter().all(|s| s.is_finite() && *s >= 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_textbook() {
        // A large offset is what naive sums of squares lose.
        let value = |n: usize, c: usize| (1000.0 * c as f64 + ((n * 37 + c * 11) % 101) as f64 / 101.0) as f32;
        let mut moments = Moments::new(3);
        for n in 0..1000 {
            moments.take(&[0, 1, 2].map(|c| value(n, c)));
        }
        moments.take(&[f32::NAN, 0.0, 0.0]);
        moments.take(&[0.0, f32::INFINITY, 0.0]);
        for c in 0..3 {
            let values: Vec<_> = (0..1000).map(|n| f64::from(value(n, c))).collect();
            let mean = values.iter().sum::<f64>() / 1000.0;
            let deviation = (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 999.0).sqrt();
            let [found_mean, found_deviation] = moments.of(c);
            assert!((found_mean - mean).abs() < 1e-10 && (found_deviation - deviation).abs() < 1e-10, "{c}");
        }
        assert_eq!(moments.frames, 1000);
    }

    #[test]
    fn the_largest_values_stay_possible() {
        let mut moments = Moments::new(1);
        [f32::MAX, f32::MIN, f32::MAX, f32::MAX].iter().for_each(|x| moments.take(&[*x]));
        assert!(moments.is_possible() && moments.of(0)[1].is_finite());
    }
}
