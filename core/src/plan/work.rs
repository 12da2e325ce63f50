//! What is to be done in a period, and what each part of it costs.

use super::cost::Cost;
use super::level::Load;
use super::step::Step;
use super::window::{self, Batch};
use crate::kernels::Kernel;
use crate::stream::StreamGraph;

/// The batches of all steps over one period.
pub(super) struct Work<'a> {
    steps: &'a [Step],
    weight_bytes: Vec<usize>,
    slices: Vec<usize>,
    costs: Vec<Cost>,
    batches: Vec<Vec<Batch>>,
    period: i64,
    ticks_per_sample: i64,
}

/// One step of a plan, for people.
#[derive(Clone, Debug, PartialEq)]
pub struct StepFacts {
    /// The node that it belongs to.
    pub name: String,
    /// What it does.
    pub op: &'static str,
    /// Bytes of packed weights.
    pub weight_bytes: usize,
    /// Multiply-adds per audio sample.
    pub macs_per_sample: f64,
    /// Times per period that its weights are read.
    pub weight_reads_per_period: f64,
    /// Frames computed together, on average.
    pub frames_together: f64,
    /// Forecast microseconds per period.
    pub cost_us_per_period: f64,
}

/// Ticks of a period, at least: room for batches.
const LEAST_PERIOD: i64 = 1024;

impl<'a> Work<'a> {
    /// The work of `stream` at `slack` ticks of latency beyond the least.
    pub(super) fn new(stream: &StreamGraph, steps: &'a [Step], kernels: &[Kernel], slack: i64) -> Self {
        let hop = stream.hop_ticks();
        // Longer than the slack, so that frames which it lets wait for each other share a read of the weights.
        let mut period = hop;
        while period < LEAST_PERIOD || period <= slack {
            period *= 2;
        }
        let weight_bytes: Vec<_> = kernels.iter().map(Kernel::weight_bytes).collect();
        let total_bytes = weight_bytes.iter().sum();
        let cost = |(step, bytes): (&Step, &usize)| {
            let channels: Vec<_> = step.inputs.iter().map(|i| steps[i.step].channels).collect();
            Cost::new(step, *bytes, total_bytes, &channels, hop)
        };
        let costs: Vec<_> = steps.iter().zip(&weight_bytes).map(cost).collect();
        let latency = stream.latency_ticks() + slack;
        let batches = window::batches(steps, &costs, period, hop.max(LEAST_PERIOD), latency, slack);
        let slices = kernels.iter().map(Kernel::slices).collect();
        Self { steps, weight_bytes, slices, costs, batches, period, ticks_per_sample: stream.ticks_per_sample() }
    }

    /// What is to be levelled.
    pub(super) fn load(&self) -> Load<'_> {
        let Self { steps, costs, slices, batches, period, .. } = self;
        Load { steps, costs, slices, batches, period: *period }
    }

    /// The same for people.
    pub(super) fn facts(&self) -> Vec<StepFacts> {
        let facts = |(id, step): (usize, &Step)| {
            let (cost, batches) = (&self.costs[id], &self.batches[id]);
            let sum = |of: fn(&Cost, i64) -> f64| batches.iter().map(|b| of(cost, b.end - b.start)).sum();
            StepFacts {
                name: step.name.clone(),
                op: step.op_name(),
                weight_bytes: self.weight_bytes[id],
                macs_per_sample: cost.macs_per_frame * self.ticks_per_sample as f64 / step.ticks as f64,
                weight_reads_per_period: sum(Cost::weight_reads),
                frames_together: (self.period / step.ticks) as f64 / batches.len().max(1) as f64,
                cost_us_per_period: sum(Cost::of),
            }
        };
        self.steps.iter().enumerate().map(facts).collect()
    }
}
