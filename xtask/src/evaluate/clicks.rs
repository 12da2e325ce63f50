//! Clicks: places where a sound was joined and can be heard to be.

/// How much more sharply than what is usual nearby a click bends.
const BEYOND_USUAL: f32 = 8.0;
/// How much more sharply than the original at the same place.
const BEYOND_ORIGINAL: f32 = 2.0;
/// Bends below this, −80 dB of full scale, are never heard as clicks.
const SOFTEST: f32 = 1e-4;
/// Samples on either side of a join in which the usual bend is looked for.
const NEARBY: usize = 256;
/// Samples on either side of a join in which the original may bend as sharply: its own attacks are no clicks.
const AROUND: usize = 8;

/// How many of `joins` click in one channel of `sound`, which should be `original`.
///
/// The bend at sample `n` is the second difference `|x[n−1] − 2·x[n] + x[n+1]|`. A join at `n` (the first sample of the new
/// piece) clicks where the sharper of the two bends across it, at `n−1` and `n`, is above each of: 8 times the median
/// bend of the original within 256 samples, twice the sharpest bend of the original within 8 samples, and −80 dB of full
/// scale. A join at which the sound is not finite clicks.
pub(super) fn clicks(sound: &[f32], original: &[f32], joins: &[usize]) -> usize {
    let clicks = |&&join: &&usize| {
        let here = bends(sound, join.saturating_sub(1)..join + 1).fold(0.0, largest);
        let mut nearby: Vec<_> = bends(original, join.saturating_sub(NEARBY)..join + NEARBY).collect();
        nearby.sort_by(f32::total_cmp);
        let usual = nearby.get(nearby.len() / 2).copied().unwrap_or(0.0);
        let own = bends(original, join.saturating_sub(AROUND)..join + AROUND).fold(0.0, largest);
        here > SOFTEST.max(BEYOND_USUAL * usual).max(BEYOND_ORIGINAL * own)
    };
    joins.iter().filter(clicks).count()
}

/// The bends at these samples, where there are samples on both sides.
fn bends(sound: &[f32], at: std::ops::Range<usize>) -> impl Iterator<Item = f32> {
    let inside = at.start.max(1)..at.end.min(sound.len().saturating_sub(1)).max(1);
    inside.map(|n| (sound[n - 1] - 2.0 * sound[n] + sound[n + 1]).abs())
}

/// The larger; infinite where one is not a number.
fn largest(a: f32, b: f32) -> f32 {
    if b.is_nan() { f32::INFINITY } else { a.max(b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::test_signal;

    const JOINS: [usize; 3] = [1000, 2000, 3000];

    fn sine(phase: f32) -> Vec<f32> {
        (0..4000).map(|n| 0.3 * (0.05 * n as f32 + phase).sin()).collect()
    }

    #[test]
    fn an_unbroken_sound_does_not_click() {
        let noise = &test_signal(4000 * 5, 1, 1)[0][4000..8000];
        for sound in [&sine(0.0)[..], noise, &vec![0.0; 4000]] {
            assert_eq!(clicks(sound, sound, &JOINS), 0);
        }
    }

    #[test]
    fn a_jump_at_a_join_clicks_and_a_jump_elsewhere_does_not() {
        let original = sine(0.0);
        for (from, count) in [(1000, 1), (2000, 1), (1500, 0), (1003, 0)] {
            let mut joined = original.clone();
            joined[from..].copy_from_slice(&sine(0.4)[from..]);
            assert_eq!(clicks(&joined, &original, &JOINS), count, "{from}");
        }
        let mut all = original.clone();
        JOINS.iter().for_each(|&n| all[n] += 0.1);
        assert_eq!(clicks(&all, &original, &JOINS), 3);
    }

    #[test]
    fn an_attack_of_the_original_is_no_click() {
        let mut original = sine(0.0);
        original[2000..2100].iter_mut().for_each(|v| *v += 0.4);
        assert_eq!(clicks(&original, &original, &JOINS), 0);
        let near: Vec<_> = original.iter().map(|v| v * 1.2 + 1e-3).collect();
        assert_eq!(clicks(&near, &original, &JOINS), 0);
    }

    #[test]
    fn rounding_is_no_click_and_a_value_that_is_no_number_is() {
        let silence = vec![0.0; 4000];
        let rounded: Vec<_> = (0..4000).map(|n| if n % 2 == 0 { 1e-6 } else { -1e-6 }).collect();
        assert_eq!(clicks(&rounded, &silence, &JOINS), 0);
        let mut broken = sine(0.0);
        broken[1000] = f32::NAN;
        assert_eq!(clicks(&broken, &sine(0.0), &JOINS), 1);
    }

    #[test]
    fn joins_at_the_ends_are_looked_at_without_panic() {
        assert_eq!(clicks(&[0.0, 1.0], &[0.0, 1.0], &[0, 1, 2, 5]), 0);
        assert_eq!(clicks(&[], &[], &[0]), 0);
    }
}
