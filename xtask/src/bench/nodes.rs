//! Where the time goes, step by step.

use std::sync::Arc;
use std::time::{Duration, Instant};

use runnel::Plan;
use runnel::plan::StepFacts;
use serde::Serialize;

use super::contender::Ours;
use super::limits::Limits;
use super::measure::{period_calls, quantile};

/// The steps of one plan, at one block size.
#[derive(Serialize)]
pub(super) struct Breakdown {
    pub(super) slack: String,
    pub(super) block_samples: usize,
    pub(super) steps: Vec<Step>,
    /// Shares of the limit, over all steps.
    pub(super) limit_reached: f64,
}

#[derive(Serialize)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) op: &'static str,
    pub(super) weight_bytes: usize,
    /// As counted at this block size; a long block may take several that the plan holds apart at once.
    pub(super) firings_per_second: f64,
    /// CPU time per second of audio.
    pub(super) us_per_second: f64,
    pub(super) forecast_us_per_second: f64,
    pub(super) share: f64,
    pub(super) macs_per_second: f64,
    pub(super) weight_bytes_per_second: f64,
    pub(super) limit_reached: f64,
}

/// Turns of which the median is taken, and samples of each, at least.
const TURNS: usize = 9;
const TURN_SAMPLES: usize = 8192;

/// Runs `plan` for a while and times each step of it.
pub(super) fn break_down(
    plan: &Arc<Plan>,
    input: &Arc<Vec<Vec<f32>>>,
    (slack, block_samples): (String, usize),
    sampling_rate: u32,
    limits: &Limits,
) -> Breakdown {
    let facts = plan.steps().to_vec();
    let mut engine = Ours::new(plan.clone(), input.clone(), block_samples);
    let calls = calls(plan, block_samples);
    let mut turns = vec![Vec::with_capacity(TURNS); facts.len()];
    for turn in 0..=TURNS {
        let mut spent = vec![Duration::ZERO; facts.len()];
        let mut began = Instant::now();
        for _ in 0..calls {
            engine.observed_call(&mut |step, begins| match begins {
                true => began = Instant::now(),
                false => spent[step] += began.elapsed(),
            });
        }
        if turn > 0 {
            turns.iter_mut().zip(spent).for_each(|(all, spent)| all.push(spent.as_secs_f64()));
        }
    }
    let audio_seconds = (calls * block_samples) as f64 / f64::from(sampling_rate);
    let seconds: Vec<f64> = turns.into_iter().map(|all| quantile(all, 0.5) / audio_seconds).collect();
    let total: f64 = seconds.iter().sum();
    let firings = firings_per_second(plan, input, block_samples, sampling_rate);
    let periods_per_second = f64::from(sampling_rate) / period_samples(plan);
    let least = limits.least_seconds(&facts, &firings, sampling_rate);
    let part = |a: f64, b: f64| if b > 0.0 { a / b } else { 0.0 };
    let step = |(i, facts): (usize, StepFacts)| Step {
        us_per_second: seconds[i] * 1e6,
        forecast_us_per_second: facts.cost_us_per_period * periods_per_second,
        share: part(seconds[i], total),
        macs_per_second: part(facts.macs_per_sample * f64::from(sampling_rate), seconds[i]),
        weight_bytes_per_second: part(facts.weight_bytes as f64 * firings[i], seconds[i]),
        limit_reached: part(least[i], seconds[i]),
        name: facts.name,
        op: facts.op,
        weight_bytes: facts.weight_bytes,
        firings_per_second: firings[i],
    };
    let steps = facts.into_iter().enumerate().map(step).collect();
    Breakdown { slack, block_samples, steps, limit_reached: part(least.iter().sum(), total) }
}

/// How often each step reads its weights per second of audio: as planned, or as counted in calls of this block size where
/// those are so long that firings join. (Planned firings can be cut into parts, which read the weights once in all.)
pub(super) fn firings_per_second(
    plan: &Arc<Plan>,
    input: &Arc<Vec<Vec<f32>>>,
    block_samples: usize,
    sampling_rate: u32,
) -> Vec<f64> {
    let mut engine = Ours::new(plan.clone(), input.clone(), block_samples);
    let calls = calls(plan, block_samples);
    let mut firings = vec![0_u64; plan.steps().len()];
    for turn in 0..2 {
        for _ in 0..calls {
            engine.observed_call(&mut |step, begins| firings[step] += u64::from(begins && turn > 0));
        }
    }
    let audio_seconds = (calls * block_samples) as f64 / f64::from(sampling_rate);
    let periods_per_second = f64::from(sampling_rate) / period_samples(plan);
    let planned = plan.steps().iter().map(|step| step.weight_reads_per_period * periods_per_second);
    firings.into_iter().zip(planned).map(|(n, planned)| planned.min(n as f64 / audio_seconds)).collect()
}

/// Samples after which the plan's work repeats.
pub(crate) fn period_samples(plan: &Plan) -> f64 {
    plan.forecast().costs_us.len() as f64 * plan.forecast().tick_samples
}

/// Calls that make a turn, of whole periods where they are short.
fn calls(plan: &Plan, block_samples: usize) -> usize {
    let period = period_calls(block_samples, period_samples(plan)).unwrap_or(1);
    TURN_SAMPLES.div_ceil(block_samples).next_multiple_of(period)
}
