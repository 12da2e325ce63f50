//! Turns of several contenders, and what is made of their times.

use anyhow::Result;
use serde::Serialize;

use super::contender::{Call, Contender, Turn};
use crate::progress::Progress;

/// A contender, and how many of its calls make a turn.
pub(crate) struct Entry {
    pub(crate) contender: Contender,
    pub(crate) block_samples: usize,
    /// Calls after which its work repeats, where that is soon.
    pub(crate) period_calls: Option<usize>,
}

/// What one contender costs.
#[derive(Clone, Serialize)]
pub(crate) struct Cost {
    pub(super) calls: usize,
    /// CPU seconds per second of audio: the median turn.
    pub(crate) real_time_factor: f64,
    pub(super) real_time_factor_wall: f64,
    pub(super) call_median_us: f64,
    pub(super) call_p99_us: f64,
    pub(super) call_worst_us: f64,
    pub(super) call_wall_median_us: f64,
    pub(super) call_wall_p99_us: f64,
    pub(super) call_wall_worst_us: f64,
    /// The dearest call of a period, by its median over all periods; where the period is long, the 99th percentile.
    pub(super) call_peak_us: f64,
    pub(super) peak_over_mean: f64,
}

/// Samples of a turn, and the most that a period may have to be told call by call.
const TURN_SAMPLES: usize = 65536;
const MOST_PERIOD_SAMPLES: usize = 1 << 16;

/// Calls after which work that repeats every `period_samples` repeats for calls of `block_samples`, where that is soon.
pub(crate) fn period_calls(block_samples: usize, period_samples: f64) -> Option<usize> {
    if period_samples.fract() != 0.0 {
        return None;
    }
    let both = runnel::timing::lcm(block_samples as u64, period_samples as u64)? as usize;
    (both <= MOST_PERIOD_SAMPLES).then_some(both / block_samples)
}

/// Lets all entries play `seconds` of audio, in turns.
pub(crate) fn measure(entries: &mut [Entry], seconds: f64, sampling_rate: u32, what: &str) -> Result<Vec<Cost>> {
    let samples = seconds * f64::from(sampling_rate);
    let turns = (samples / TURN_SAMPLES as f64).ceil().max(1.0) as usize;
    let mut progress = Progress::new(what, (turns + 1) * entries.len());
    let mut taken: Vec<Vec<Turn>> = entries.iter().map(|_| Vec::with_capacity(turns)).collect();
    // The first turn warms up, and does not count.
    for turn in 0..=turns {
        for (entry, taken) in entries.iter_mut().zip(&mut taken) {
            let period = entry.period_calls.unwrap_or(1);
            let whole = TURN_SAMPLES.div_ceil(entry.block_samples).next_multiple_of(period);
            let own = entry.contender.take_turn(period, whole)?;
            if turn > 0 {
                taken.push(own);
            }
            progress.advance(1);
        }
    }
    let costs = entries.iter().zip(&taken).map(|(entry, turns)| Cost::of(entry, turns, sampling_rate));
    Ok(costs.collect())
}

impl Cost {
    fn of(entry: &Entry, turns: &[Turn], sampling_rate: u32) -> Self {
        let budget_us = entry.block_samples as f64 * 1e6 / f64::from(sampling_rate);
        let mean = |time: fn(&Call) -> f64| {
            let of_turn = |turn: &Turn| time(&turn.together) / turn.calls.len() as f64;
            quantile(turns.iter().map(of_turn).collect(), 0.5)
        };
        let all = |time: fn(&Call) -> f64| turns.iter().flat_map(|turn| &turn.calls).map(time).collect::<Vec<_>>();
        let (cpu, wall) = (all(|c| c.cpu_us), all(|c| c.wall_us));
        let mean_call_us = cpu.iter().sum::<f64>() / cpu.len() as f64;
        let call_peak_us = match entry.period_calls {
            Some(period) => {
                let phase = |p| quantile(cpu.iter().copied().skip(p).step_by(period).collect(), 0.5);
                (0..period).map(phase).fold(0.0, f64::max)
            }
            None => quantile(cpu.clone(), 0.99),
        };
        Self {
            calls: cpu.len(),
            real_time_factor: mean(|c| c.cpu_us) / budget_us,
            real_time_factor_wall: mean(|c| c.wall_us) / budget_us,
            call_median_us: quantile(cpu.clone(), 0.5),
            call_p99_us: quantile(cpu.clone(), 0.99),
            call_worst_us: quantile(cpu, 1.0),
            call_wall_median_us: quantile(wall.clone(), 0.5),
            call_wall_p99_us: quantile(wall.clone(), 0.99),
            call_wall_worst_us: quantile(wall, 1.0),
            call_peak_us,
            peak_over_mean: call_peak_us / mean_call_us,
        }
    }
}

/// The smallest value that at least `part` of all values do not exceed.
pub(crate) fn quantile(mut values: Vec<f64>, part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (part * values.len() as f64).ceil() as usize;
    values.get(rank.max(1) - 1).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_occur() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(quantile(values.clone(), 0.5), 50.0);
        assert_eq!(quantile(values.clone(), 0.99), 99.0);
        assert_eq!(quantile(values, 1.0), 100.0);
        assert_eq!(quantile(vec![3.0], 0.5), 3.0);
        assert_eq!(quantile(vec![], 0.5), 0.0);
    }

    #[test]
    fn periods_are_whole_calls() {
        assert_eq!(period_calls(64, 2048.0), Some(32));
        assert_eq!(period_calls(2048, 512.0), Some(1));
        assert_eq!(period_calls(96, 512.0), Some(16));
        assert_eq!(period_calls(441, 2048.0), None);
        assert_eq!(period_calls(64, 0.5), None);
    }
}
