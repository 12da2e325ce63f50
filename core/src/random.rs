//! Counter-based randomness: a value is a pure function of (seed, key, frame, channel), so that a render has the same
//! bits for every partition and a seed reproduces it. Frames before the signal (negative index) are silent: the
//! network's response to silence stays a constant.

use std::f32::consts::TAU;

/// What the random parts of a model draw from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Randomness {
    /// Silent: posterior mean, zeros for cut latents, no noise synthesis.
    Deterministic,
    /// Drawn from this seed.
    Seeded(u64),
}

/// Gains of what is drawn; 1 leaves it as trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Amounts {
    /// Of the draws around the posterior's mean, and of those for latents that were cut.
    pub temperature: f32,
    /// Of the noise that the decoder filters.
    pub noise: f32,
}

impl Default for Amounts {
    fn default() -> Self {
        Self { temperature: 1.0, noise: 1.0 }
    }
}

impl Randomness {
    /// A draw from N(0, 1) for one channel of one frame of the node named by `key`. Zero before the signal.
    pub fn normal(self, key: u32, frame: i64, channel: usize) -> f32 {
        let Some(draws) = self.draws(key, frame) else { return 0.0 };
        let (u, v) = draws.polar(channel);
        (-2.0 * u.ln()).sqrt() * (TAU * v).cos()
    }

    /// A draw from [−1, 1) for one channel of one frame of the node named by `key`. Zero before the signal.
    pub fn uniform(self, key: u32, frame: i64, channel: usize) -> f32 {
        let bits = self.draws(key, frame).map(|draws| draws.bits(channel));
        bits.map_or(0.0, |bits| (bits >> 40) as f32 / (1u32 << 23) as f32 - 1.0)
    }

    /// What the channels of one frame of the node named by `key` are drawn from; nothing where all are zero.
    pub(crate) fn draws(self, key: u32, frame: i64) -> Option<Draws> {
        match self {
            Self::Seeded(seed) if frame >= 0 => Some(Draws::new(seed, key, frame)),
            _ => None,
        }
    }
}

/// What the channels of one frame are drawn from: three rounds of the splitmix64 finaliser (Steele, Lea & Flood, *Fast
/// Splittable Pseudorandom Number Generators*, 2014), one for each part of the counter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draws(u64);

impl Draws {
    fn new(seed: u64, key: u32, frame: i64) -> Self {
        let a = mix(seed ^ u64::from(key).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Self(mix(a.wrapping_add(frame as u64).wrapping_add(0x9e37_79b9_7f4a_7c15)))
    }

    #[inline(always)]
    fn bits(self, channel: usize) -> u64 {
        mix(self.0.wrapping_add(channel as u64).wrapping_add(0x9e37_79b9_7f4a_7c15))
    }

    /// Two uniform draws, of which Box and Muller make a normal one: `√(−2 ln u) · cos(2π v)`. The first lies in (0, 1], so
    /// that its logarithm is finite.
    #[inline(always)]
    pub(crate) fn polar(self, channel: usize) -> (f32, f32) {
        let bits = self.bits(channel);
        let u = ((bits >> 40) as f32 + 1.0) / (1u32 << 24) as f32;
        let v = ((bits >> 16) & 0xff_ffff) as f32 / (1u32 << 24) as f32;
        (u, v)
    }
}

#[inline(always)]
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_the_moments_of_their_distribution() {
        let source = Randomness::Seeded(7);
        let n = 100_000;
        let normal: Vec<f64> = (0..n).map(|i| f64::from(source.normal(3, i, 1))).collect();
        let uniform: Vec<f64> = (0..n).map(|i| f64::from(source.uniform(3, i, 1))).collect();
        let moments = |x: &[f64]| {
            let mean = x.iter().sum::<f64>() / x.len() as f64;
            (mean, x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / x.len() as f64)
        };
        let (mean, variance) = moments(&normal);
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
        let (mean, variance) = moments(&uniform);
        assert!(mean.abs() < 0.01 && (variance - 1.0 / 3.0).abs() < 0.01, "{mean} {variance}");
    }

    #[test]
    fn silent_before_the_signal_and_when_deterministic() {
        assert_eq!(Randomness::Seeded(1).normal(0, -1, 0), 0.0);
        assert_eq!(Randomness::Seeded(1).uniform(0, -1, 0), 0.0);
        assert_eq!(Randomness::Deterministic.normal(0, 5, 0), 0.0);
    }
}
