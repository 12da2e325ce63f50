//! What a player's hands ask of the model, looked at on a grid of the model's own time: so the same movements give the
//! same bits, however the host cuts its blocks.

use runnel::{Amounts, Engine, Learning, Randomness};

use crate::params::LATENTS;
use crate::steering::{Range, STEERED};

/// Model frames between two looks.
pub const GRID: usize = 64;
/// Time in which a movement has come most of its way.
const SMOOTHING_SECONDS: f32 = 0.02;
/// Time from one random place of the walk to the next.
const WALK_SECONDS: f64 = 0.8;
/// Names the random walk among the random parts.
const WALK_KEY: u32 = 0x7761_6c6b;
/// Looks after which what is being learned is noted again.
const LOOKS_PER_NOTE: u64 = 256;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hands {
    /// Added to each latent after the gain.
    pub bias: [f32; LATENTS],
    /// Gain of each latent.
    pub scale: [f32; LATENTS],
    /// What the model's own parameters are set to, as shares of their ranges.
    pub steering: [f32; STEERED],
    /// Whether the latents stay as they are.
    pub frozen: bool,
    /// How far the random walk carries the latents.
    pub jitter: f32,
    /// Whether the model's prior plays the latents, where there is one at play.
    pub prior: bool,
    /// What its logits are divided by.
    pub prior_temperature: f32,
    /// What the random parts are drawn from; they are silent where not `noisy`.
    pub seed: u64,
    /// Whether the random parts sound.
    pub noisy: bool,
    /// Whether the second engine draws its own noise.
    pub wide_noise: bool,
    /// Gains of the random parts.
    pub amounts: Amounts,
    /// What the model learns.
    pub learning: Learning,
    /// The source is forgotten when this turns on.
    pub forgets_source: bool,
    /// The target is forgotten when this turns on.
    pub forgets_target: bool,
}

impl Default for Hands {
    /// Nothing is touched, and nothing random sounds.
    fn default() -> Self {
        Self {
            bias: [0.0; LATENTS],
            scale: [1.0; LATENTS],
            steering: [0.5; STEERED],
            frozen: false,
            jitter: 0.0,
            prior: false,
            prior_temperature: 1.0,
            seed: 0,
            noisy: false,
            wide_noise: false,
            amounts: Amounts::default(),
            learning: Learning::Off,
            forgets_source: false,
            forgets_target: false,
        }
    }
}

/// Follows what is asked for, look by look.
#[derive(Debug)]
pub struct Follower {
    /// What was reached; `None` before the first look, which jumps.
    reached: Option<Hands>,
    looks: u64,
    seconds_per_look: f64,
    /// Share of the remaining way that a look covers.
    pace: f32,
}

impl Follower {
    /// At the start of a signal of a model at this rate.
    pub fn new(model_rate: u32) -> Self {
        let seconds_per_look = GRID as f64 / f64::from(model_rate);
        let pace = 1.0 - (-seconds_per_look as f32 / SMOOTHING_SECONDS).exp();
        Self { reached: None, looks: 0, seconds_per_look, pace }
    }

    /// Back to the start of a signal.
    pub fn reset(&mut self) {
        (self.reached, self.looks) = (None, 0);
    }

    /// Whether the engines were to learn at the last look.
    pub fn learns(&self) -> bool {
        self.reached.is_some_and(|reached| reached.learning != Learning::Off)
    }

    /// One look: moves towards what is asked for, and passes it on. Whether what the engines have learned is to be noted:
    /// now and then, when they stop, and when they forget.
    pub fn look(&mut self, asked: &Hands, engines: &mut [Engine]) -> bool {
        let pace = self.pace;
        let toward = |from: f32, to: f32| {
            let next = from + pace * (to - from);
            // Arrives, so that what is at rest is exact.
            if (next - to).abs() < 1e-5 { to } else { next }
        };
        let from = self.reached.unwrap_or(*asked);
        let reached = Hands {
            bias: std::array::from_fn(|i| toward(from.bias[i], asked.bias[i])),
            scale: std::array::from_fn(|i| toward(from.scale[i], asked.scale[i])),
            steering: std::array::from_fn(|i| toward(from.steering[i], asked.steering[i])),
            jitter: toward(from.jitter, asked.jitter),
            amounts: Amounts {
                temperature: toward(from.amounts.temperature, asked.amounts.temperature),
                noise: toward(from.amounts.noise, asked.amounts.noise),
            },
            ..*asked
        };
        self.reached = Some(reached);
        let seconds = self.looks as f64 * self.seconds_per_look;
        let forgets_source = asked.forgets_source && !from.forgets_source;
        let forgets_target = asked.forgets_target && !from.forgets_target;
        let noted = forgets_source
            || forgets_target
            || from.learning != asked.learning
            || asked.learning != Learning::Off && self.looks.is_multiple_of(LOOKS_PER_NOTE);
        self.looks += 1;
        for (number, engine) in engines.iter_mut().enumerate() {
            let side = if reached.wide_noise { (number as u64) << 32 } else { 0 };
            let randomness =
                if reached.noisy { Randomness::Seeded(reached.seed ^ side) } else { Randomness::Deterministic };
            engine.set_randomness(randomness);
            engine.set_amounts(reached.amounts);
            let mut shares = reached.steering.iter();
            for held in engine.parameters() {
                for (channel, share) in (0..held.values().len()).zip(&mut shares) {
                    held.set(channel, Range::of(held.parameter(), channel).value(*share));
                }
            }
            engine.set_learning(reached.learning);
            if forgets_source {
                engine.forget_source();
            }
            if forgets_target {
                engine.forget_target();
            }
            for edit in engine.latent_edits() {
                edit.frozen = reached.frozen;
                if let Some(prior) = &mut edit.prior {
                    // Both sides play the same course; only their noise may differ.
                    prior.randomness = Randomness::Seeded(reached.seed);
                    (prior.on, prior.temperature) = (reached.prior, reached.prior_temperature);
                }
                for (i, (bias, scale)) in edit.bias.iter_mut().zip(&mut edit.scale).enumerate().take(LATENTS) {
                    let walk = if reached.jitter > 0.0 { reached.jitter * walk(reached.seed, i, seconds) } else { 0.0 };
                    (*bias, *scale) = (reached.bias[i] + walk, reached.scale[i]);
                }
            }
        }
        noted
    }
}

/// A smooth random walk around zero, of about unit size: places drawn from N(0, 1), joined by half waves.
fn walk(seed: u64, latent: usize, seconds: f64) -> f32 {
    let place = seconds / WALK_SECONDS;
    let (knot, within) = (place.floor(), place.fract());
    let draw = |knot: f64| Randomness::Seeded(seed).normal(WALK_KEY, knot as i64, latent);
    let share = (0.5 - 0.5 * (std::f64::consts::PI * within).cos()) as f32;
    draw(knot) * (1.0 - share) + draw(knot + 1.0) * share
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_walk_is_smooth_and_moves() {
        let steps: Vec<f32> = (0..20_000).map(|i| walk(3, 2, f64::from(i) * 0.001)).collect();
        let steepest = steps.windows(2).fold(0.0f32, |most, pair| most.max((pair[1] - pair[0]).abs()));
        let size = steps.iter().map(|x| x * x).sum::<f32>() / steps.len() as f32;
        assert!(steepest < 0.02 && (0.2..2.0).contains(&size), "{steepest} {size}");
    }

    #[test]
    fn a_movement_arrives_exactly() {
        let mut follower = Follower::new(48_000);
        follower.look(&Hands::default(), &mut []);
        let asked = Hands { bias: [1.5; LATENTS], ..Hands::default() };
        let noted = (0..1000).any(|_| follower.look(&asked, &mut []));
        assert!(!noted, "nothing is learned");
        assert_eq!(follower.reached.unwrap(), asked);
    }
}
