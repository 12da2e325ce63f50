//! One method of a model, under every partition, against the trained model run whole.

use anyhow::Result;
use runnel::graph::Excitation;
use runnel::stream::{StreamGraph, StreamOp};
use runnel::{Engine, Plan, Randomness};

use super::quantized::{self, Halves};
use crate::offline::OfflineMethod;
use crate::progress::{Progress, spin};
use crate::settings::Settings;
use crate::streaming::{Blocks, Streamed, frames_until, stream};

/// How the signal is cut. The first is the one that the others are compared with.
pub(super) const PARTITIONS: [Blocks; 8] = [
    Blocks::Of(512),
    Blocks::Of(1),
    Blocks::Of(7),
    Blocks::Of(64),
    Blocks::Of(441),
    Blocks::Of(2048),
    Blocks::Whole,
    Blocks::Random(1),
];

/// The largest error of a sample, in proportion to the output's peak where that is above 1: f32 rounds in proportion.
const TOLERANCE: f32 = 1e-5;

pub(super) struct Check<'a> {
    pub(super) stream: &'a StreamGraph,
    pub(super) offline: &'a OfflineMethod,
    pub(super) input: &'a [&'a [f32]],
    pub(super) randomness: Randomness,
    /// What is held in the parameters; `offline` has it already.
    pub(super) settings: &'a Settings,
}

pub(super) struct Outcome {
    pub(super) first_frame: i64,
    pub(super) frames: usize,
    pub(super) error: f32,
    pub(super) error_frame: i64,
    pub(super) tolerance: f32,
    /// Partitions whose bits are not those of the first.
    pub(super) differing: Vec<Blocks>,
    /// Choices of codebook entries that rounding decided.
    pub(super) ties: usize,
    /// Whether all such choices, and what they are made from, are right.
    sound: bool,
}

impl Check<'_> {
    pub(super) fn run(&self, what: &str) -> Result<Outcome> {
        let plan = Plan::new(self.stream)?;
        let engine = || {
            let mut engine = Engine::new(plan.clone(), self.randomness);
            self.settings.set(&mut engine);
            engine
        };
        let fed = frames_until(&engine(), self.end());
        let mut progress = Progress::new(what, fed * PARTITIONS.len());
        let mut streamed = |blocks| {
            let channels = self.stream.output().channels;
            stream(&mut engine(), channels, self.input, fed, blocks, |_, n| progress.advance(n))
        };
        let first = streamed(PARTITIONS[0]);
        let mut differing = Vec::new();
        for &blocks in &PARTITIONS[1..] {
            if !same_bits(&first, &streamed(blocks)) {
                differing.push(blocks);
            }
        }
        drop(progress);

        let (first_frame, frames) = (first.first_frame, first.channels[0].len());
        if let Some(halves) = quantized::judge(self, &first)? {
            let Halves { error, error_frame, tolerance, ties, sound } = halves;
            return Ok(Outcome { first_frame, frames, error, error_frame, tolerance, differing, ties, sound });
        }
        let range = first_frame..first_frame + frames as i64;
        let wanted = spin(what, || self.offline.run(self.input, self.randomness, range));
        let (at, error) = worst(&first.channels, &wanted);
        let (error_frame, tolerance) = (first_frame + at as i64, tolerance(&wanted));
        Ok(Outcome { first_frame, frames, error, error_frame, tolerance, differing, ties: 0, sound: true })
    }

    /// The output frame at which the input has left the model.
    pub(super) fn end(&self) -> i64 {
        let (input, output) = (self.stream.input(), self.stream.output());
        let ticks = self.input[0].len() as i64 * input.timeline.step + output.timeline.past().max(0);
        ticks.div_euclid(output.timeline.step) + 1
    }
}

impl Outcome {
    pub(super) fn passed(&self) -> bool {
        self.error <= self.tolerance && self.sound && self.differing.is_empty()
    }
}

/// Whether a stream has random parts.
pub(super) fn draws(stream: &StreamGraph) -> bool {
    stream.nodes().iter().any(|node| match &node.op {
        StreamOp::Gaussian { .. } => true,
        StreamOp::NoiseSynth(synth) => matches!(synth.excitation, Excitation::Random { .. }),
        _ => false,
    })
}

fn same_bits(a: &Streamed, b: &Streamed) -> bool {
    let bits = |s: &Streamed| s.channels.iter().flatten().map(|v| v.to_bits()).collect::<Vec<_>>();
    a.first_frame == b.first_frame && bits(a) == bits(b)
}

/// The error that a signal may have.
pub(super) fn tolerance(wanted: &[Vec<f32>]) -> f32 {
    TOLERANCE * wanted.iter().flatten().fold(1.0_f32, |p, v| p.max(v.abs()))
}

/// The frame of the largest difference, and that difference; infinite where one is not a number.
pub(super) fn worst(a: &[Vec<f32>], b: &[Vec<f32>]) -> (usize, f32) {
    let mut worst = (0, 0.0);
    for (a, b) in a.iter().zip(b) {
        for (n, (a, b)) in a.iter().zip(b).enumerate() {
            let error = if a.is_nan() || b.is_nan() { f32::INFINITY } else { (a - b).abs() };
            if error > worst.1 {
                worst = (n, error);
            }
        }
    }
    worst
}
