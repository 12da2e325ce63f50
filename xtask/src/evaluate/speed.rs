//! What each way costs, all on our engine: what is compared is the methods, not libraries.
//!
//! The stream is timed as it plays. The work of one run of the model over a window of `N` samples is counted as what the
//! engine spends on `N` samples of a running stream, in one call of `N`, under the plan that may batch over `N` samples:
//! an untouched model computes as many frames, and nothing is charged for starting, for edges, or for the latency that
//! a window of its own would have to be fed through. Cut blocks cost one such run for every sample, overlap-add two, and
//! the measured windowing and adding.

use std::hint::black_box;
use std::sync::Arc;

use anyhow::Result;
use serde::Serialize;

use super::clips::Sounds;
use super::results::round;
use super::ways::{CALL_SAMPLES, Subject, Way, hann};
use crate::bench::contender::{Contender, Ours};
use crate::bench::measure::{Entry, measure, period_calls, quantile};
use crate::bench::nodes::period_samples;
use crate::cpu_clock::thread_cpu_time;

/// CPU seconds per second of sound, on one thread.
#[derive(Serialize)]
pub(super) struct Speed {
    pub(super) streams: Vec<StreamSpeed>,
    pub(super) windows: Vec<WindowSpeed>,
}

/// Our stream with one slack, by the size of its calls.
#[derive(Serialize)]
pub(super) struct StreamSpeed {
    pub(super) slack_samples: u64,
    pub(super) calls: Vec<Call>,
}

#[derive(Serialize)]
pub(super) struct Call {
    pub(super) samples: usize,
    pub(super) cpu_per_second: f64,
}

/// Blocks and windows of one length.
#[derive(Serialize)]
pub(super) struct WindowSpeed {
    pub(super) samples: usize,
    pub(super) cut_blocks_cpu_per_second: f64,
    pub(super) windowing_cpu_per_second: f64,
    pub(super) overlap_add_cpu_per_second: f64,
}

/// Calls of the stream that are timed, beside those as long as a window.
const CALLS: [usize; 4] = [64, 256, CALL_SAMPLES, 2048];
/// Sound that each configuration plays.
const SECONDS: f64 = 6.0;
/// Times that windowing is measured.
const WINDOWINGS: usize = 32;

impl Speed {
    /// Times every way on the first of `sounds`, in turns.
    ///
    /// # Errors
    /// When a plan cannot be made.
    pub(super) fn measure(subject: &Subject, sounds: &Sounds) -> Result<Self> {
        let input = subject.planes(&sounds.clips()[0].clip)?.swap_remove(0);
        let (input, rate, lengths) = (Arc::new(input), subject.sampling_rate(), subject.lengths());
        let slacks: Vec<_> = slacks(subject.ways());
        let mut calls: Vec<_> = CALLS.iter().copied().filter(|n| *n < lengths[0]).chain(lengths.clone()).collect();
        calls.sort_unstable();

        let entry = |slack: u64, block_samples: usize| -> Result<Entry> {
            let plan = subject.plan(slack)?;
            let period_calls = period_calls(block_samples, period_samples(&plan));
            let contender = Contender::Ours(Box::new(Ours::new(plan, input.clone(), block_samples)));
            Ok(Entry { contender, block_samples, period_calls })
        };
        let streamed = slacks.iter().flat_map(|slack| calls.iter().map(move |call| (*slack, *call)));
        let runs = lengths.iter().map(|&n| (n as u64, n));
        let mut entries = streamed.chain(runs).map(|(slack, n)| entry(slack, n)).collect::<Result<Vec<_>>>()?;
        let costs = measure(&mut entries, SECONDS, rate, &format!("Timing {}", subject.name()))?;
        let mut costs = costs.into_iter().map(|cost| cost.real_time_factor);

        let call = |(samples, cost)| Call { samples, cpu_per_second: round(cost) };
        let mut stream = |slack_samples| StreamSpeed {
            slack_samples,
            calls: calls.iter().copied().zip(costs.by_ref()).map(call).collect(),
        };
        let streams = slacks.into_iter().map(&mut stream).collect();
        let outputs = subject.opened().streams.forward.output().channels;
        let windows = lengths.into_iter().zip(costs);
        let windows = windows.map(|(n, run)| WindowSpeed::new(n, run, windowing(n, outputs, rate)));
        Ok(Self { streams, windows: windows.collect() })
    }

    /// CPU seconds per second of sound of this way; of offline, nothing.
    pub(super) fn of(&self, way: Way) -> Option<f64> {
        let window = |n| self.windows.iter().find(|w| w.samples == n);
        match way {
            Way::Offline => None,
            Way::Stream { slack } => {
                let stream = self.streams.iter().find(|s| s.slack_samples == slack)?;
                // Calls of 512 are among those timed unless a window is shorter: then the nearest.
                let nearest = stream.calls.iter().min_by_key(|call| call.samples.abs_diff(CALL_SAMPLES));
                nearest.map(|call| call.cpu_per_second)
            }
            Way::CutBlocks(n) => window(n).map(|w| w.cut_blocks_cpu_per_second),
            Way::OverlapAdd(n) => window(n).map(|w| w.overlap_add_cpu_per_second),
        }
    }
}

impl WindowSpeed {
    /// `run` is one run of the model for every sample, `windowing` what overlap-add does beside; both per second of sound.
    fn new(samples: usize, run: f64, windowing: f64) -> Self {
        Self {
            samples,
            cut_blocks_cpu_per_second: round(run),
            windowing_cpu_per_second: round(windowing),
            overlap_add_cpu_per_second: round(2.0 * run + windowing),
        }
    }
}

impl StreamSpeed {
    /// As short as a legend needs it.
    pub(super) fn name(&self) -> String {
        match self.slack_samples {
            0 => "our stream".into(),
            slack => format!("same, {slack} later"),
        }
    }
}

fn slacks(ways: &[Way]) -> Vec<u64> {
    ways.iter().filter_map(|way| if let Way::Stream { slack } = way { Some(*slack) } else { None }).collect()
}

/// CPU seconds per second of sound for weighting windows of `samples` and adding them, every half window.
fn windowing(samples: usize, outputs: usize, rate: u32) -> f64 {
    let (window, piece) = (hann(samples), vec![0.5_f32; samples]);
    let mut sums = vec![vec![0.0_f32; samples]; outputs];
    let mut once = || {
        let started = thread_cpu_time();
        for sum in &mut sums {
            let weighted = black_box(&piece).iter().zip(&window).map(|(value, weight)| value * weight);
            sum.iter_mut().zip(weighted).for_each(|(sum, value)| *sum += value);
        }
        black_box(&mut sums);
        (thread_cpu_time() - started).as_secs_f64()
    };
    let median = quantile((0..WINDOWINGS).map(|_| once()).collect(), 0.5);
    median * f64::from(rate) / (samples as f64 / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlap_add_is_two_runs_and_the_windowing() {
        let speed = WindowSpeed::new(4096, 0.1, 0.01);
        assert_eq!([speed.cut_blocks_cpu_per_second, speed.overlap_add_cpu_per_second], [0.1, 0.21]);
        let windowing = windowing(4096, 1, 44_100);
        assert!((0.0..0.1).contains(&windowing), "{windowing}");
    }

    #[test]
    fn each_way_finds_its_cost() {
        let calls = |scale: f64| [64, 512].map(|samples| Call { samples, cpu_per_second: scale * samples as f64 });
        let stream = |slack_samples, scale| StreamSpeed { slack_samples, calls: calls(scale).into() };
        let windows = vec![WindowSpeed::new(4096, 0.1, 0.0), WindowSpeed::new(8192, 0.2, 0.0)];
        let speed = Speed { streams: vec![stream(0, 1.0), stream(4096, 2.0)], windows };
        assert_eq!(speed.of(Way::Offline), None);
        assert_eq!(speed.of(Way::Stream { slack: 0 }), Some(512.0));
        assert_eq!(speed.of(Way::Stream { slack: 4096 }), Some(1024.0));
        assert_eq!(speed.of(Way::CutBlocks(8192)), Some(0.2));
        assert_eq!(speed.of(Way::OverlapAdd(4096)), Some(0.2));
    }
}
