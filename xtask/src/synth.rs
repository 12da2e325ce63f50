//! Signals made here: seeded, the same on every machine.

use std::f64::consts::TAU;

use runnel::random::Randomness;

/// Four seconds of music for the demo: a bass line, plucked chords and a drum kit. Peak below 0.9.
pub(crate) fn demo_clip(sampling_rate: u32) -> Vec<f32> {
    const BEAT: f64 = 0.5;
    const BASS: [f64; 8] = [55.0, 55.0, 82.41, 55.0, 65.41, 65.41, 98.0, 73.42];
    const CHORDS: [[f64; 3]; 2] = [[220.0, 261.63, 329.63], [196.0, 261.63, 329.63]];
    const MELODY: [f64; 8] = [659.26, 587.33, 523.25, 587.33, 783.99, 659.26, 587.33, 523.25];
    let rate = f64::from(sampling_rate);
    let noise = Randomness::Seeded(1);
    let since = |t: f64, every: f64, shift: f64| (t - shift).rem_euclid(every);
    (0..(4.0 * rate) as usize)
        .map(|n| {
            let t = n as f64 / rate;
            let beat = ((t / BEAT) as usize) % 8;
            let hiss = f64::from(noise.uniform(0, n as i64, 0));
            let at = since(t, BEAT, 0.0);
            let bass = saw(BASS[beat], t, 6) * (-3.0 * at).exp() * (1.0 - (-400.0 * at).exp());
            let at = since(t, 2.0 * BEAT, BEAT);
            let chord: f64 = CHORDS[(t / 2.0) as usize % 2].iter().map(|&f| pluck(f, at)).sum();
            let at = since(t, BEAT, BEAT / 2.0);
            let melody = pluck(MELODY[((t + BEAT / 2.0) / BEAT) as usize % 8], at);
            let at = since(t, 2.0 * BEAT, 0.0);
            let kick = (TAU * (48.0 * at + 6.0 * (1.0 - (-30.0 * at).exp()))).sin() * (-9.0 * at).exp();
            let at = since(t, 2.0 * BEAT, BEAT);
            let snare = (hiss * (-18.0 * at).exp() + (TAU * 190.0 * at).sin() * (-25.0 * at).exp()) * 0.7;
            let hat = hiss * (-90.0 * since(t, BEAT / 2.0, 0.0)).exp();
            (0.20 * bass + 0.10 * chord + 0.12 * melody + 0.30 * kick + 0.16 * snare + 0.06 * hat) as f32
        })
        .collect()
}

/// A signal that reaches every frequency and level: an impulse, silence, noise, a sweep, and noise of another level.
pub(crate) fn test_signal(frames: usize, channels: usize, seed: u64) -> Vec<Vec<f32>> {
    let source = Randomness::Seeded(seed);
    let part = |n: usize| (n * 5).checked_div(frames).unwrap_or(0);
    (0..channels)
        .map(|c| {
            (0..frames)
                .map(|n| {
                    let noise = source.uniform(0, n as i64, c);
                    let place = n as f64 / frames as f64;
                    match part(n) {
                        0 => {
                            if n == c {
                                1.0
                            } else {
                                0.0
                            }
                        }
                        1 | 2 => 0.5 * noise,
                        3 => 0.7 * (TAU * place.powi(4) * frames as f64 / 4.0 + c as f64).sin() as f32,
                        _ => 0.01 * noise,
                    }
                })
                .collect()
        })
        .collect()
}

/// Partials of a sawtooth.
fn saw(hz: f64, t: f64, partials: usize) -> f64 {
    (1..=partials).map(|k| (TAU * hz * k as f64 * t).sin() / k as f64).sum()
}

/// A string plucked `at` seconds ago; higher partials die sooner.
fn pluck(hz: f64, at: f64) -> f64 {
    (1..=8)
        .map(|k| {
            let k = f64::from(k);
            (TAU * hz * k * at).sin() / k.powf(1.3) * (-(2.0 + 1.5 * k) * at).exp()
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_clip_neither_clips_nor_whispers() {
        let clip = demo_clip(44_100);
        assert_eq!(clip.len(), 176_400);
        let peak = clip.iter().fold(0.0_f32, |p, v| p.max(v.abs()));
        assert!((0.4..0.95).contains(&peak), "{peak}");
    }

    #[test]
    fn test_signals_have_any_length() {
        for frames in [0, 1, 2, 7] {
            assert_eq!(test_signal(frames, 2, 0).iter().map(Vec::len).collect::<Vec<_>>(), [frames; 2]);
        }
    }
}
