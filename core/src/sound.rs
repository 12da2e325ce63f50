//! Synthesized sounds, reproducible, at [`SAMPLING_RATE`]: what the demo model is trained and judged on, and what a refit
//! is calibrated on for want of better.

use std::f32::consts::{PI, TAU};

use crate::random::Randomness;

/// Samples per second of every sound here.
pub const SAMPLING_RATE: u32 = 44_100;

const RATE: f32 = SAMPLING_RATE as f32;

/// A family of sounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A sustained note of harmonic partials, with vibrato.
    Note,
    /// A plucked string (Karplus & Strong, *Digital Synthesis of Plucked-String and Drum Timbres*, 1983).
    Pluck,
    /// A kick, a snare or a hi-hat.
    Drum,
    /// A burst of band-passed noise.
    Noise,
    /// A voiced vowel: harmonics under three moving formants.
    Vowel,
    /// A sine that glides.
    Sweep,
    /// A struck bell: two operators of frequency modulation.
    Bell,
}

impl Kind {
    /// Every family.
    pub const ALL: [Self; 7] = [Self::Note, Self::Pluck, Self::Drum, Self::Noise, Self::Vowel, Self::Sweep, Self::Bell];
}

/// `samples` samples of sounds of all families, some overlapping, none louder than 1.
pub fn track(seed: u64, samples: usize) -> Vec<f32> {
    mix(seed, samples, &Kind::ALL)
}

/// As [`track`], of these families only.
pub fn mix(seed: u64, samples: usize, kinds: &[Kind]) -> Vec<f32> {
    let mut dice = Dice::new(seed);
    let mut track = vec![0.0; samples];
    let mut start = 0;
    while start < samples {
        let kind = kinds[dice.index(kinds.len())];
        let gain = dice.log(0.08, 0.7);
        let sound = sound(kind, &mut dice);
        for (t, v) in track[start..].iter_mut().zip(&sound) {
            *t += gain * v;
        }
        let longest = (sound.len() as f32 * 1.1).min(RATE);
        start += dice.uniform(0.06 * RATE, longest.max(0.08 * RATE)) as usize;
    }
    // A soft knee, for the moments where several sounds add up.
    track.iter_mut().for_each(|v| *v = v.tanh());
    track
}

/// One sound of peak 1.
fn sound(kind: Kind, dice: &mut Dice) -> Vec<f32> {
    let mut sound = match kind {
        Kind::Note => note(dice),
        Kind::Pluck => pluck(dice),
        Kind::Drum => drum(dice),
        Kind::Noise => noise(dice),
        Kind::Vowel => vowel(dice),
        Kind::Sweep => sweep(dice),
        Kind::Bell => bell(dice),
    };
    let peak = sound.iter().fold(1e-6f32, |peak, v| peak.max(v.abs()));
    sound.iter_mut().for_each(|v| *v /= peak);
    sound
}

fn note(dice: &mut Dice) -> Vec<f32> {
    let samples = dice.samples(0.15, 1.2);
    let tilt = dice.uniform(0.8, 2.2);
    let odd_only = dice.chance(0.25);
    let pitch = Pitch::new(dice, 50.0, 1200.0);
    let partials: Vec<_> = (1..=24).map(|k| (k as f32).powf(-tilt) * dice.uniform(0.4, 1.0)).collect();
    let phases: Vec<_> = partials.iter().map(|_| dice.uniform(0.0, TAU)).collect();
    let envelope = Envelope::new(dice, samples);
    let mut cycle = 0.0;
    (0..samples)
        .map(|t| {
            let frequency = pitch.at(t);
            cycle = (cycle + frequency / RATE).fract();
            let audible = (8000.0 / frequency) as usize;
            let partial = |k: usize| partials[k] * (TAU * cycle * (k + 1) as f32 + phases[k]).sin();
            let step = if odd_only { 2 } else { 1 };
            envelope.at(t) * (0..partials.len().min(audible)).step_by(step).map(partial).sum::<f32>()
        })
        .collect()
}

fn pluck(dice: &mut Dice) -> Vec<f32> {
    let samples = dice.samples(0.3, 1.5);
    let period = (RATE / dice.log(60.0, 900.0)) as usize;
    let (decay, brightness) = (dice.uniform(0.985, 0.999), dice.uniform(0.3, 0.95));
    let mut string: Vec<f32> = (0..period).map(|_| dice.uniform(-1.0, 1.0)).collect();
    let mut smooth = 0.0;
    for v in &mut string {
        smooth += brightness * (*v - smooth);
        *v = smooth;
    }
    (0..samples)
        .map(|t| {
            let (here, next) = (t % period, (t + 1) % period);
            let value = string[here];
            string[here] = decay * 0.5 * (string[here] + string[next]);
            value * fade(t, samples)
        })
        .collect()
}

fn drum(dice: &mut Dice) -> Vec<f32> {
    let samples = dice.samples(0.12, 0.5);
    let decay = |t: usize, seconds: f32| (-(t as f32) / (seconds * RATE)).exp();
    match dice.index(3) {
        0 => {
            let (low, high) = (dice.uniform(38.0, 70.0), dice.uniform(120.0, 400.0));
            let (fall, ring) = (dice.uniform(0.01, 0.05), dice.uniform(0.05, 0.25));
            let mut cycle = 0.0;
            let mut at = |t: usize| {
                cycle += (low + (high - low) * decay(t, fall)) / RATE;
                (TAU * cycle).sin() * decay(t, ring) * fade(t, samples)
            };
            (0..samples).map(&mut at).collect()
        }
        1 => {
            let (tone, ring, rattle) = (dice.uniform(140.0, 260.0), dice.uniform(0.03, 0.1), dice.uniform(0.04, 0.15));
            let mut band = Resonator::new(dice.log(900.0, 4000.0), 0.7);
            let mut at = |t: usize| {
                let skin = (TAU * tone * t as f32 / RATE).sin() * decay(t, ring);
                (skin + 0.8 * band.next(dice.uniform(-1.0, 1.0)) * decay(t, rattle)) * fade(t, samples)
            };
            (0..samples).map(&mut at).collect()
        }
        _ => {
            let ring = dice.log(0.01, 0.1);
            let mut before = 0.0;
            let mut at = |t: usize| {
                let white = dice.uniform(-1.0, 1.0);
                let bright = white - std::mem::replace(&mut before, white);
                bright * decay(t, ring) * fade(t, samples)
            };
            (0..samples).map(&mut at).collect()
        }
    }
}

fn noise(dice: &mut Dice) -> Vec<f32> {
    let samples = dice.samples(0.08, 0.8);
    let mut band = Resonator::new(dice.log(150.0, 8000.0), dice.log(0.5, 12.0));
    let envelope = Envelope::new(dice, samples);
    (0..samples).map(|t| band.next(dice.uniform(-1.0, 1.0)) * envelope.at(t)).collect()
}

fn vowel(dice: &mut Dice) -> Vec<f32> {
    /// First three formants in Hz of a, e, i, o, u.
    const FORMANTS: [[f32; 3]; 5] =
        [[800., 1150., 2900.], [400., 1700., 2600.], [280., 2250., 2900.], [450., 800., 2830.], [325., 700., 2700.]];
    let samples = dice.samples(0.2, 1.2);
    let (from, to) = (FORMANTS[dice.index(5)], FORMANTS[dice.index(5)]);
    let pitch = Pitch::new(dice, 80.0, 350.0);
    let envelope = Envelope::new(dice, samples);
    let breath = dice.uniform(0.0, 0.05);
    let mut filters = from.map(|frequency| Resonator::new(frequency, 8.0));
    let mut cycle = 0.0;
    (0..samples)
        .map(|t| {
            if t % 64 == 0 {
                let way = t as f32 / samples as f32;
                for i in 0..3 {
                    filters[i].tune(from[i] + way * (to[i] - from[i]), 8.0);
                }
            }
            cycle = (cycle + pitch.at(t) / RATE).fract();
            let glottis = (1.0 - cycle).powi(3) - 0.25 + breath * dice.uniform(-1.0, 1.0);
            let [a, b, c] = &mut filters;
            envelope.at(t) * (a.next(glottis) + 0.6 * b.next(glottis) + 0.3 * c.next(glottis))
        })
        .collect()
}

fn sweep(dice: &mut Dice) -> Vec<f32> {
    let samples = dice.samples(0.2, 1.5);
    let (from, to) = (dice.log(60.0, 5000.0), dice.log(60.0, 5000.0));
    let envelope = Envelope::new(dice, samples);
    let mut cycle = 0.0;
    (0..samples)
        .map(|t| {
            cycle = (cycle + from * (to / from).powf(t as f32 / samples as f32) / RATE).fract();
            envelope.at(t) * (TAU * cycle).sin()
        })
        .collect()
}

fn bell(dice: &mut Dice) -> Vec<f32> {
    let samples = dice.samples(0.3, 1.5);
    let carrier = dice.log(120.0, 1500.0);
    let ratio = [1.4, 2.76, 3.5, 0.5, 2.0][dice.index(5)];
    let (depth, ring, fall) = (dice.uniform(0.5, 4.0), dice.uniform(0.1, 0.6), dice.uniform(0.05, 0.4));
    (0..samples)
        .map(|t| {
            let seconds = t as f32 / RATE;
            let modulator = depth * (-seconds / fall).exp() * (TAU * carrier * ratio * seconds).sin();
            (TAU * carrier * seconds + modulator).sin() * (-seconds / ring).exp() * fade(t, samples)
        })
        .collect()
}

/// Rises over 2 ms and falls over the last 10 ms.
fn fade(t: usize, samples: usize) -> f32 {
    let rise = t as f32 / (0.002 * RATE);
    let fall = (samples - t) as f32 / (0.01 * RATE);
    rise.min(fall).min(1.0)
}

/// Attack, decay to a plateau, release.
struct Envelope {
    samples: usize,
    attack: f32,
    decay: f32,
    plateau: f32,
    release: f32,
}

impl Envelope {
    fn new(dice: &mut Dice, samples: usize) -> Self {
        Self {
            samples,
            attack: dice.log(0.003, 0.12) * RATE,
            decay: dice.log(0.03, 0.5) * RATE,
            plateau: dice.uniform(0.2, 1.0),
            release: dice.log(0.01, 0.15) * RATE,
        }
    }

    fn at(&self, t: usize) -> f32 {
        let rise = (t as f32 / self.attack).min(1.0);
        let fall = ((self.samples - t) as f32 / self.release).min(1.0);
        let settle = self.plateau + (1.0 - self.plateau) * (-(t as f32) / self.decay).exp();
        rise * fall * settle
    }
}

/// A frequency in Hz with vibrato and a slow glide.
struct Pitch {
    base: f32,
    depth: f32,
    speed: f32,
    glide: f32,
}

impl Pitch {
    fn new(dice: &mut Dice, low: f32, high: f32) -> Self {
        let glide = if dice.chance(0.3) { dice.uniform(-0.4, 0.4) } else { 0.0 };
        Self { base: dice.log(low, high), depth: dice.uniform(0.0, 0.01), speed: dice.uniform(3.0, 7.0), glide }
    }

    fn at(&self, t: usize) -> f32 {
        let seconds = t as f32 / RATE;
        self.base * (1.0 + self.depth * (TAU * self.speed * seconds).sin()) * (1.0 + self.glide * seconds).max(0.25)
    }
}

/// A band-pass of two poles (Bristow-Johnson, *Audio EQ Cookbook*: constant peak gain).
struct Resonator {
    b: f32,
    a: [f32; 2],
    x: [f32; 2],
    y: [f32; 2],
}

impl Resonator {
    fn new(frequency: f32, quality: f32) -> Self {
        let mut filter = Self { b: 0.0, a: [0.0; 2], x: [0.0; 2], y: [0.0; 2] };
        filter.tune(frequency, quality);
        filter
    }

    fn tune(&mut self, frequency: f32, quality: f32) {
        let angle = 2.0 * PI * frequency.min(0.45 * RATE) / RATE;
        let alpha = angle.sin() / (2.0 * quality);
        self.b = alpha / (1.0 + alpha);
        self.a = [-2.0 * angle.cos() / (1.0 + alpha), (1.0 - alpha) / (1.0 + alpha)];
    }

    fn next(&mut self, x: f32) -> f32 {
        let y = self.b * (x - self.x[1]) - self.a[0] * self.y[0] - self.a[1] * self.y[1];
        self.x = [x, self.x[0]];
        self.y = [y, self.y[0]];
        y
    }
}

/// A sequence of draws.
#[derive(Clone, Copy, Debug)]
pub struct Dice {
    source: Randomness,
    drawn: i64,
}

impl Dice {
    /// The draws of a seed, from the first.
    pub fn new(seed: u64) -> Self {
        Self { source: Randomness::Seeded(seed), drawn: 0 }
    }

    /// Uniform on [low, high).
    pub fn uniform(&mut self, low: f32, high: f32) -> f32 {
        self.drawn += 1;
        low + (high - low) * 0.5 * (self.source.uniform(0, self.drawn, 0) + 1.0)
    }

    /// Uniform in the logarithm.
    fn log(&mut self, low: f32, high: f32) -> f32 {
        low * (high / low).powf(self.uniform(0.0, 1.0))
    }

    /// One of `0 .. len`.
    pub fn index(&mut self, len: usize) -> usize {
        (self.uniform(0.0, len as f32) as usize).min(len - 1)
    }

    fn chance(&mut self, probability: f32) -> bool {
        self.uniform(0.0, 1.0) < probability
    }

    fn samples(&mut self, shortest_seconds: f32, longest_seconds: f32) -> usize {
        (self.log(shortest_seconds, longest_seconds) * RATE) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_sounds_and_stays_in_range() {
        for kind in Kind::ALL {
            let sound = mix(3, 3 * SAMPLING_RATE as usize, &[kind]);
            let power = sound.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / sound.len() as f64;
            assert!(sound.iter().all(|v| v.abs() <= 1.0), "{kind:?}");
            assert!(power > 1e-4, "{kind:?} has power {power}");
        }
    }

    #[test]
    fn a_seed_names_a_track() {
        assert_eq!(track(5, 20_000), track(5, 20_000));
        assert_ne!(track(5, 20_000), track(6, 20_000));
    }
}
