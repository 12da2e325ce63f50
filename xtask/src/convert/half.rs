//! What rounding weights to f16 does to the output.

use anyhow::Result;
use runnel::rewrite::HalfReport;
use runnel::{Engine, Plan, Randomness, StreamGraph, StreamModel};
use serde::Serialize;

use crate::progress::spin;
use crate::report;
use crate::streaming::{Blocks, stream};
use crate::synth;

/// The difference between the f32 and the f16 model, on a test signal.
#[derive(Serialize)]
pub(super) struct HalfError {
    layers: usize,
    values: u64,
    /// Layers that stay f32, since a weight of theirs is beyond f16.
    skipped: Vec<String>,
    /// The largest difference over the peak of the output; none where nothing differs.
    largest_db: Option<f64>,
    /// The root mean square of the difference over that of the output.
    rms_db: Option<f64>,
}

/// Samples of the test signal that are compared, once the model is full of it.
const COMPARED_SAMPLES: usize = 1 << 16;
/// The longest run before that.
const MOST_LEAD_IN_SAMPLES: u64 = 1 << 18;

impl HalfError {
    /// Plays the same signal through both models.
    ///
    /// # Errors
    /// When no plan can be made.
    pub(super) fn measure(exact: &StreamModel, rounded: &StreamModel, report: HalfReport) -> Result<Self> {
        let output = |model: &StreamModel| played(&model.forward);
        let (wanted, found) = spin("Measuring what f16 changes", || (output(exact), output(rounded)));
        let wanted: Vec<_> = wanted?.into_iter().map(f64::from).collect();
        let differences: Vec<_> = found?.into_iter().zip(&wanted).map(|(found, w)| f64::from(found) - w).collect();
        let peak = |values: &[f64]| values.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
        let power = |values: &[f64]| values.iter().map(|v| v * v).sum::<f64>();
        let HalfReport { layers, values, skipped } = report;
        let largest_db = decibels(20.0, peak(&differences), peak(&wanted));
        let rms_db = decibels(10.0, power(&differences), power(&wanted));
        Ok(Self { layers, values, skipped, largest_db, rms_db })
    }

    /// Lines for people.
    pub(super) fn facts(&self) -> Vec<(&'static str, String)> {
        if self.layers == 0 && self.skipped.is_empty() {
            return vec![(
                "f16",
                "nothing: every layer sees more than 4 frames in 2048 samples, where f32 is faster".into(),
            )];
        }
        let layers = report::plural(self.layers as u64, "layer");
        let values = report::scaled(self.values as f64);
        let mut lines = vec![("f16", format!("{} weights of {} {layers}", values.trim_end(), self.layers))];
        if !self.skipped.is_empty() {
            lines.push(("kept f32", format!("{}: a weight beyond 65 504", self.skipped.join(", "))));
        }
        let db = |db: Option<f64>| db.map_or("nothing".into(), |db| format!("{db:.1} dB"));
        lines.push((
            "error",
            format!("at most {} of the output's peak, RMS {} of the output's", db(self.largest_db), db(self.rms_db)),
        ));
        lines
    }
}

/// Output on the test signal, with random parts silent.
fn played(model: &StreamGraph) -> Result<Vec<f32>> {
    let lead_in = model.receptive_field_samples().0.unwrap_or(MOST_LEAD_IN_SAMPLES) + model.latency_samples();
    let lead_in = lead_in.min(MOST_LEAD_IN_SAMPLES) as usize;
    let frames = lead_in + COMPARED_SAMPLES;
    let input = synth::test_signal(frames, model.input().channels, 1);
    let input: Vec<_> = input.iter().map(Vec::as_slice).collect();
    let mut engine = Engine::new(Plan::new(model)?, Randomness::Deterministic);
    let streamed = stream(&mut engine, model.output().channels, &input, frames, Blocks::Of(2048), |_, _| {});
    Ok(streamed.channels.into_iter().flat_map(|channel| channel.into_iter().skip(lead_in)).collect())
}

/// `scale · log10(of / to)`; none where either is nothing.
fn decibels(scale: f64, of: f64, to: f64) -> Option<f64> {
    (of > 0.0 && to > 0.0).then(|| scale * (of / to).log10())
}
