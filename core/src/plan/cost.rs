//! What a step is forecast to cost: a model of one core of a desktop machine, the same on every machine, so that a
//! schedule never depends on a clock.

use super::step::{Step, Task};
use crate::stream::StreamOp;

/// Costs of one step, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// To read all weights once.
    weights_us: f64,
    /// Arithmetic of one frame.
    frame_us: f64,
    /// Frames that read all weights once between them.
    phases: f64,
    /// Multiply-adds of one frame.
    pub(crate) macs_per_frame: f64,
}

/// Multiply-adds per microsecond.
const MACS_PER_US: f64 = 50_000.0;
/// Values per microsecond of what is no convolution.
const VALUES_PER_US: f64 = 2_000.0;
/// What a call of a kernel costs beyond its work.
const CALL_US: f64 = 0.15;
/// Bytes per microsecond from each level of memory, and the bytes that it holds beside everything else.
const LEVELS: [(f64, f64); 3] = [(100_000.0, 1.2e6), (50_000.0, 5e6), (33_000.0, 20e6)];
const DRAM_BYTES_PER_US: f64 = 30_000.0;
/// How much of the shorter of reading and multiplying is not hidden behind the longer.
const NOT_HIDDEN: f64 = 0.5;

impl Cost {
    /// The cost of `step` with `weight_bytes` of packed weights, in a model with `total_bytes` of them.
    pub(crate) fn new(
        step: &Step,
        weight_bytes: usize,
        total_bytes: usize,
        input_channels: &[usize],
        hop: i64,
    ) -> Self {
        // Between two frames of a step, about this much else is read.
        let between = total_bytes as f64 / (hop / step.ticks).clamp(1, 1024) as f64;
        let bandwidth = LEVELS.iter().find(|(_, held)| between <= *held).map_or(DRAM_BYTES_PER_US, |(speed, _)| *speed);
        let values = step.channels as f64 / VALUES_PER_US;
        let (macs, phases) = match &step.task {
            Task::Conv { conv, part, .. } => {
                let taps: usize = conv.part_taps(*part).iter().map(Vec::len).sum();
                let macs = (taps * conv.out_channels() * conv.group_inputs()) as f64 / conv.phases() as f64;
                (macs, conv.phases() as f64)
            }
            Task::Op(StreamOp::Concat | StreamOp::Slice { .. } | StreamOp::Repeat { .. }) => (0.0, 1.0),
            Task::LstmPair(layers) => (layers.iter().map(|l| StreamOp::Lstm(l.clone()).macs_per_frame(&[])).sum(), 1.0),
            Task::Gate(_) => (step.channels as f64, 1.0),
            Task::Op(op) => (op.macs_per_frame(input_channels), 1.0),
        };
        Self {
            weights_us: weight_bytes as f64 / bandwidth,
            frame_us: macs / MACS_PER_US + values,
            phases,
            macs_per_frame: macs,
        }
    }

    /// The cost of computing `frames` frames in one call.
    pub(crate) fn of(&self, frames: i64) -> f64 {
        let (reading, multiplying) = (self.weights_us * self.weight_reads(frames), self.frame_us * frames as f64);
        reading.max(multiplying) + NOT_HIDDEN * reading.min(multiplying) + CALL_US
    }

    /// How often one call for `frames` frames reads the weights; each phase has its own.
    pub(crate) fn weight_reads(&self, frames: i64) -> f64 {
        (frames as f64 / self.phases).min(1.0)
    }
}
