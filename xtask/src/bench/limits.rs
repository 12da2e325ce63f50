//! What this machine can do at most, measured through the engine and by a plain loop.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use runnel::plan::StepFacts;
use runnel::stream::{CachedConv, ConvKind, StreamOp};
use runnel::{Engine, InstructionSet, Plan, PlanOptions, Randomness, StreamGraph, Tensor};
use serde::Serialize;

use crate::cpu_clock::thread_cpu_time;
use crate::progress::spin;

/// The machine's limits, of one core.
#[derive(Serialize)]
pub(super) struct Limits {
    pub(super) instruction_set: String,
    pub(super) macs_per_second: f64,
    /// By rising size.
    pub(super) reads: Vec<Read>,
    #[serde(skip)]
    isa: Option<InstructionSet>,
}

/// How fast weights of this size are read, again and again.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Read {
    pub(super) working_set_bytes: usize,
    pub(super) bytes_per_second: f64,
}

/// Working sets that are always measured: in caches near and far, and in none.
const WORKING_SETS: [usize; 7] = [16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, 96 << 20];
/// Samples between frames that come one per call, as they do at the low rates of a model.
const FAR_APART: usize = 256;
/// CPU time spent on each figure.
const PATIENCE: Duration = Duration::from_millis(150);

impl Limits {
    /// Measures them with the kernels of `isa`.
    ///
    /// # Errors
    /// None: what is planned here is small.
    pub(super) fn measure(isa: Option<InstructionSet>) -> Result<Self> {
        let best = InstructionSet::available().into_iter().last();
        let instruction_set = isa.or(best).map_or("portable".into(), |set| set.to_string());
        let mut limits = Self { instruction_set, macs_per_second: 0.0, reads: vec![], isa };
        spin("Measuring the machine's limits", || -> Result<()> {
            for (channels, kernel_size) in [(64, 3), (128, 3), (32, 13)] {
                let chain = Chain { channels, kernel_size, count: 8, stride: 1, frames: 64 };
                let macs = (chain.weights() * chain.frames) as f64;
                limits.macs_per_second = limits.macs_per_second.max(macs / chain.seconds_per_call(isa)?);
            }
            WORKING_SETS.iter().try_for_each(|bytes| limits.cover(*bytes))
        })?;
        Ok(limits)
    }

    /// Measures reading at a working set of `bytes` too.
    ///
    /// # Errors
    /// As [`Self::measure`].
    pub(super) fn cover(&mut self, bytes: usize) -> Result<()> {
        let channels = if bytes <= 64 << 10 {
            64
        } else if bytes < 4 << 20 {
            128
        } else {
            512
        };
        let count = (bytes / (4 * channels * channels)).clamp(1, 1024);
        let chain = Chain { channels, kernel_size: 1, count, stride: FAR_APART, frames: 1 };
        let working_set_bytes = 4 * chain.weights();
        let fastest = chain.seconds_per_call(self.isa)?.min(seconds_per_sum(chain.weights()));
        self.reads.push(Read { working_set_bytes, bytes_per_second: working_set_bytes as f64 / fastest });
        self.reads.sort_by_key(|read| read.working_set_bytes);
        Ok(())
    }

    /// Bytes per second from a working set of any size, between those measured.
    pub(super) fn bytes_per_second(&self, working_set_bytes: f64) -> f64 {
        let after = self.reads.partition_point(|r| (r.working_set_bytes as f64) < working_set_bytes);
        let (Some(below), Some(above)) = (after.checked_sub(1).map(|i| self.reads[i]), self.reads.get(after)) else {
            return self.reads[after.min(self.reads.len() - 1)].bytes_per_second;
        };
        let log = |bytes: usize| (bytes as f64).ln();
        let span = log(above.working_set_bytes) - log(below.working_set_bytes);
        let part = (working_set_bytes.ln() - log(below.working_set_bytes)) / span.max(f64::MIN_POSITIVE);
        below.bytes_per_second * (1.0 - part) + above.bytes_per_second * part
    }

    /// The least CPU seconds that each step takes per second of audio: it either multiplies at full rate or waits for
    /// its weights, which come from the memory that holds all that is read between two of its firings.
    pub(super) fn least_seconds(&self, steps: &[StepFacts], firings_per_second: &[f64], rate: u32) -> Vec<f64> {
        let working_set = |often: f64| -> f64 {
            let between = |(step, f): (&StepFacts, &f64)| step.weight_bytes as f64 * (f / often).min(1.0);
            steps.iter().zip(firings_per_second).map(between).sum()
        };
        let least = |(step, &often): (&StepFacts, &f64)| {
            if often == 0.0 {
                return 0.0;
            }
            let multiplying = step.macs_per_sample * f64::from(rate) / self.macs_per_second;
            multiplying.max(step.weight_bytes as f64 * often / self.bytes_per_second(working_set(often)))
        };
        steps.iter().zip(firings_per_second).map(least).collect()
    }
}

/// Convolutions of equal shape, one after another, between one that makes their channels of one signal and one that
/// makes one channel of theirs.
struct Chain {
    channels: usize,
    kernel_size: usize,
    count: usize,
    /// Samples of the signal per frame.
    stride: usize,
    /// Frames per call.
    frames: usize,
}

impl Chain {
    /// Coefficients of all convolutions.
    fn weights(&self) -> usize {
        self.channels * self.channels * self.kernel_size * self.count
    }

    /// CPU time of the fastest of many calls.
    fn seconds_per_call(&self, isa: Option<InstructionSet>) -> Result<f64> {
        let options = PlanOptions { instruction_set: isa, ..PlanOptions::default() };
        let plan = Plan::with(&self.stream()?, &options).context("the machine's limits")?;
        let mut engine = Engine::new(plan, Randomness::Deterministic);
        let input = vec![0.5; self.frames * self.stride];
        let mut output = vec![0.0; self.frames];
        Ok(fastest(|| {
            engine.process(&[&input], &mut [&mut output]);
        }))
    }

    fn stream(&self) -> Result<StreamGraph> {
        let mut nodes = vec![("input".to_owned(), StreamOp::Input { channels: 1 }, vec![])];
        let mut push = |outputs: usize, inputs: usize, kernel_size: usize, stride: usize| {
            let len = outputs * inputs * kernel_size;
            let id = nodes.len();
            // Different in each convolution, and neither growing nor fading along the chain.
            let fan_in = (inputs * kernel_size) as f32;
            let value = |i: usize| if (i + id).is_multiple_of(2) { 1.0 / fan_in } else { 0.9 / fan_in };
            let conv = CachedConv {
                kind: ConvKind::Strided { stride },
                weight: Arc::new(Tensor::new([outputs, inputs, kernel_size], (0..len).map(value).collect())),
                bias: None,
                dilation: 1,
                left: kernel_size as i64 - 1,
                groups: 1,
            };
            nodes.push((format!("conv {id}"), StreamOp::Conv(conv), vec![id - 1]));
        };
        push(self.channels, 1, 1, self.stride);
        (0..self.count).for_each(|_| push(self.channels, self.channels, self.kernel_size, 1));
        push(1, self.channels, 1, 1);
        StreamGraph::new(nodes).context("the machine's limits")
    }
}

/// CPU time of summing `len` values: a read of all of them that does nothing else.
fn seconds_per_sum(len: usize) -> f64 {
    let values: Vec<u32> = (0..len as u32).collect();
    fastest(|| {
        let mut sums = [0_u32; 64];
        for row in black_box(&values).chunks_exact(64) {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum = sum.wrapping_add(*value));
        }
        black_box(sums);
    })
}

/// Seconds of CPU time that one `call` takes: the least of many, each long enough for the clock.
fn fastest(mut call: impl FnMut()) -> f64 {
    const LONG_ENOUGH: Duration = Duration::from_micros(200);
    let mut time = |calls: usize| {
        let start = thread_cpu_time();
        (0..calls).for_each(|_| call());
        thread_cpu_time() - start
    };
    let mut calls = 1;
    while time(calls) < LONG_ENOUGH && calls < 1 << 20 {
        calls *= 2;
    }
    let mut least = Duration::MAX;
    let mut spent = Duration::ZERO;
    while spent < PATIENCE {
        let taken = time(calls).max(Duration::from_nanos(1));
        least = least.min(taken);
        spent += taken;
    }
    least.as_secs_f64() / calls as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        let read = |kib: usize, rate| Read { working_set_bytes: kib << 10, bytes_per_second: rate };
        Limits {
            instruction_set: String::new(),
            macs_per_second: 50e9,
            reads: vec![read(256, 100e9), read(1024, 20e9)],
            isa: None,
        }
    }

    #[test]
    fn bandwidth_lies_between_what_was_measured() {
        let limits = limits();
        assert_eq!(limits.bytes_per_second(1.0), 100e9);
        assert_eq!(limits.bytes_per_second(1e12), 20e9);
        assert!((limits.bytes_per_second(524_288.0) / 60e9 - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_rare_step_reads_from_afar_and_a_frequent_one_from_nearby() {
        let step = |weight_bytes| StepFacts {
            name: String::new(),
            op: "conv",
            weight_bytes,
            macs_per_sample: 0.0,
            weight_reads_per_period: 1.0,
            frames_together: 1.0,
            cost_us_per_period: 0.0,
        };
        let steps = [step(1 << 20), step(1 << 10)];
        let least = limits().least_seconds(&steps, &[10.0, 1e4], 48_000);
        assert!((least[0] - (1 << 20) as f64 * 10.0 / 20e9).abs() < 1e-12);
        assert!((least[1] - (1 << 10) as f64 * 1e4 / 100e9).abs() < 1e-12);
    }
}
