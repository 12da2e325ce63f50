//! From logits to an index, and from an index to a value.

use crate::random::Randomness;

/// Names the drawn indices, and the places within their steps, among the random parts.
const INDEX_KEY: u32 = 0x7072_696f;
const PLACE_KEY: u32 = 0x7072_6970;
/// The reference's bound of what an index may mean.
const MOST_VALUE: f64 = 4.0;

/// How the latents of one frame are drawn.
pub(super) struct Draw {
    pub(super) temperature: f32,
    pub(super) randomness: Randomness,
    pub(super) frame: i64,
}

impl Draw {
    /// An index of `latent`, of the distribution softmax(logits / temperature); the likeliest where nothing is drawn, the
    /// first of equals.
    pub(super) fn index(&self, logits: &[f32], latent: usize) -> usize {
        let likeliest = (0..logits.len()).fold(0, |best, i| if logits[i] > logits[best] { i } else { best });
        if !self.is_random() {
            return likeliest;
        }
        let weight = |logit: f32| f64::from((logit - logits[likeliest]) / self.temperature).exp();
        let mut left = self.unit(INDEX_KEY, latent) * logits.iter().map(|&logit| weight(logit)).sum::<f64>();
        for (index, &logit) in logits.iter().enumerate() {
            left -= weight(logit);
            if left < 0.0 {
                return index;
            }
        }
        // Rounding, or logits that are no numbers.
        likeliest
    }

    /// The value of `latent` for its index: a quantile of N(0, 1), within the index's step of `resolution` equal ones.
    pub(super) fn value(&self, index: usize, resolution: usize, latent: usize) -> f32 {
        let place = if self.is_random() { self.unit(PLACE_KEY, latent) } else { 0.5 };
        let p = (index as f64 + place) / resolution as f64;
        quantile(p).clamp(-MOST_VALUE, MOST_VALUE) as f32
    }

    fn is_random(&self) -> bool {
        self.temperature > 0.0 && self.randomness != Randomness::Deterministic
    }

    /// A draw from [0, 1).
    fn unit(&self, key: u32, latent: usize) -> f64 {
        f64::from(self.randomness.uniform(key, self.frame, latent)) * 0.5 + 0.5
    }
}

/// The quantile function of N(0, 1) to 7 digits (Wichura, *Algorithm AS 241*, 1988; PPND7); infinite at 0 and 1. Beyond
/// ±5.1 it is less exact.
fn quantile(p: f64) -> f64 {
    const CENTRE: ([f64; 4], [f64; 4]) = (
        [3.387_132_717_9, 50.434_271_938, 159.291_132_02, 59.109_374_720],
        [1.0, 17.895_169_469, 78.757_757_664, 67.187_563_600],
    );
    const TAIL: ([f64; 4], [f64; 3]) = (
        [1.423_437_277_7, 2.756_815_390_0, 1.306_728_481_6, 0.170_238_211_03],
        [1.0, 0.737_001_642_50, 0.120_211_329_75],
    );
    let polynomial = |coefficients: &[f64], x: f64| coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c);
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        return q * polynomial(&CENTRE.0, r) / polynomial(&CENTRE.1, r);
    }
    let r = (-(p.min(1.0 - p)).ln()).sqrt() - 1.6;
    if !r.is_finite() {
        return f64::INFINITY.copysign(q);
    }
    (polynomial(&TAIL.0, r) / polynomial(&TAIL.1, r)).copysign(q)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(temperature: f32, seed: u64, frame: i64) -> Draw {
        Draw { temperature, randomness: Randomness::Seeded(seed), frame }
    }

    #[test]
    fn indices_come_as_often_as_the_softmax_says() {
        let logits = [0.5f32, -1.0, 2.0, 0.0, f32::NEG_INFINITY];
        for temperature in [0.5, 1.0, 3.0] {
            let weights = logits.map(|l| f64::from(l / temperature).exp());
            let mut counts = [0.0f64; 5];
            (0..100_000).for_each(|frame| counts[draw(temperature, 9, frame).index(&logits, 3)] += 1e-5);
            for (count, weight) in counts.iter().zip(weights) {
                let expected = weight / weights.iter().sum::<f64>();
                assert!((count - expected).abs() < 0.006, "{temperature}: {counts:?}");
            }
        }
    }

    #[test]
    fn without_temperature_the_likeliest_is_taken() {
        let logits = [0.0f32, 3.0, 3.0, -1.0];
        for frame in 0..100 {
            assert_eq!(draw(0.0, 1, frame).index(&logits, 0), 1);
            assert_eq!(draw(1e-30, 1, frame).index(&logits[..2], 0), 1);
            let silent = Draw { randomness: Randomness::Deterministic, ..draw(1.0, 1, frame) };
            assert_eq!((silent.index(&logits, 0), silent.value(4, 8, 0)), (1, quantile(4.5 / 8.0) as f32));
        }
    }

    #[test]
    fn what_is_no_number_is_some_index() {
        for logits in [[f32::NAN; 3], [f32::INFINITY; 3], [f32::NEG_INFINITY; 3], [f32::MAX, f32::NAN, -f32::MAX]] {
            for temperature in [0.0, 1.0, f32::INFINITY, f32::NAN, f32::MIN_POSITIVE] {
                assert!(draw(temperature, 1, 5).index(&logits, 0) < 3);
            }
        }
    }

    #[test]
    fn quantiles_are_those_of_the_tables() {
        let known = [(0.5, 0.0), (0.841_344_746_1, 1.0), (0.977_249_868_1, 2.0), (0.998_650_102_0, 3.0)];
        for (p, z) in
            known.into_iter().chain([(0.999_968_328_8, 4.0), (0.75, 0.674_489_750_2), (0.93, 1.475_791_028_2)])
        {
            assert!((quantile(p) - z).abs() < 2e-6 && (quantile(1.0 - p) + z).abs() < 2e-6, "{p}: {}", quantile(p));
        }
        assert_eq!([quantile(0.0), quantile(1.0)], [f64::NEG_INFINITY, f64::INFINITY]);
    }

    #[test]
    fn values_stay_within_the_step_of_their_index() {
        for frame in 0..1000 {
            let value = f64::from(draw(1.0, 4, frame).value(5, 8, 1));
            assert!(quantile(5.0 / 8.0) - 1e-6 <= value && value <= quantile(6.0 / 8.0) + 1e-6);
            let lowest = draw(1.0, 4, frame).value(0, 2048, 1);
            assert!((-4.0..=-3.2).contains(&lowest), "{lowest}");
        }
    }
}
