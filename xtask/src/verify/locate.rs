//! Where a stream first differs: from the trained model, or between two partitions.

use std::fmt;

use anyhow::Result;
use runnel::{Engine, NodeId, Plan, PlanOptions};
use serde::Serialize;

use super::check::{Check, Outcome};
use crate::offline::Trace;
use crate::progress::Progress;
use crate::streaming::{Blocks, frames_until, stream};

/// The first node, in topological order, whose frames differ.
#[derive(Debug, Serialize)]
pub(super) struct Place {
    node: String,
    op: &'static str,
    channel: usize,
    frame: i64,
    found: f32,
    wanted: f32,
    between: String,
}

/// The frames of one node, in order.
pub(super) struct Recording {
    first: i64,
    channels: usize,
    /// Empty where a long block pushed a frame out of its ring unseen.
    frames: Vec<Option<Box<[f32]>>>,
}

/// Looks for the cause of a failed `outcome`. `None` when every node that can be compared is right.
///
/// # Errors
/// When no plan can be made.
pub(super) fn locate(check: &Check, outcome: &Outcome) -> Result<Option<Place>> {
    // Blocks this short leave every frame in its ring until it is seen.
    let found = record(check, Blocks::Of(64), |_| true)?;
    if outcome.error <= outcome.tolerance {
        let blocks = outcome.differing[0];
        let other = record(check, blocks, |_| true)?;
        let between = format!("between blocks of 64 and {blocks}");
        return Ok(first_difference(check, &found, &between, |id, channel, frame| {
            let wanted = other[id].value(channel, frame)?;
            let same = wanted.to_bits() == found[id].value(channel, frame)?.to_bits();
            (!same).then_some(wanted)
        }));
    }
    let range = outcome.first_frame..outcome.first_frame + outcome.frames as i64;
    let traces = check.offline.trace(check.input, check.randomness, range, check.stream);
    let tolerances: Vec<_> = traces.iter().map(|t| t.as_ref().map_or(0.0, |t| tolerance(t, outcome))).collect();
    Ok(first_difference(check, &found, "from the trained model", |id, channel, frame| {
        let trace = traces[id].as_ref().filter(|t| t.sound.contains(&frame))?;
        let wanted = *trace.channels[channel].get(usize::try_from(frame - trace.first).ok()?)?;
        let error = (wanted - found[id].value(channel, frame)?).abs();
        (error.is_nan() || error > tolerances[id]).then_some(wanted)
    }))
}

/// What a node may err, in proportion to its own peak.
fn tolerance(trace: &Trace, outcome: &Outcome) -> f32 {
    let peak = trace.channels.iter().flatten().fold(0.0_f32, |p, v| p.max(v.abs()));
    outcome.tolerance * peak.max(1.0)
}

fn first_difference(
    check: &Check,
    found: &[Recording],
    between: &str,
    wanted: impl Fn(usize, usize, i64) -> Option<f32>,
) -> Option<Place> {
    for (id, (node, recording)) in check.stream.nodes().iter().zip(found).enumerate() {
        for frame in recording.first..recording.end() {
            for channel in 0..recording.channels {
                if let (Some(wanted), Some(found)) = (wanted(id, channel, frame), recording.value(channel, frame)) {
                    let (node, op, between) = (node.name.clone(), node.op.name(), between.to_owned());
                    return Some(Place { node, op, channel, frame, found, wanted, between });
                }
            }
        }
    }
    None
}

/// Streams once more and keeps the frames of the nodes that `keep` names.
pub(super) fn record(check: &Check, blocks: Blocks, keep: impl Fn(NodeId) -> bool) -> Result<Vec<Recording>> {
    let plan = Plan::with(check.stream, &PlanOptions { every_node: true, ..PlanOptions::default() })?;
    let mut engine = Engine::new(plan, check.randomness);
    check.settings.set(&mut engine);
    let nodes = check.stream.nodes();
    let mut recordings: Vec<_> =
        nodes.iter().map(|n| Recording { first: i64::MAX, channels: n.channels, frames: vec![] }).collect();
    let fed = frames_until(&engine, check.end());
    let mut progress = Progress::new("Looking for the first difference", fed);
    stream(&mut engine, check.stream.output().channels, check.input, fed, blocks, |engine, n| {
        progress.advance(n);
        for (id, recording) in recordings.iter_mut().enumerate().filter(|(id, _)| keep(*id)) {
            engine.visit_frames(id, |frame, values| recording.take(frame, values));
        }
    });
    Ok(recordings)
}

impl Recording {
    fn take(&mut self, frame: i64, values: &[f32]) {
        if self.frames.is_empty() {
            self.first = frame;
        }
        if frame >= self.end() {
            self.frames.resize((frame - self.first) as usize, None);
            self.frames.push(Some(values.into()));
        }
    }

    /// The first frame.
    pub(super) fn first(&self) -> i64 {
        self.first
    }

    /// Channels of each frame.
    pub(super) fn channels(&self) -> usize {
        self.channels
    }

    /// The end of the frames.
    pub(super) fn end(&self) -> i64 {
        self.first.saturating_add(self.frames.len() as i64)
    }

    /// A value that was seen.
    pub(super) fn value(&self, channel: usize, frame: i64) -> Option<f32> {
        let at = usize::try_from(frame.checked_sub(self.first)?).ok()?;
        Some(self.frames.get(at)?.as_ref()?[channel])
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the first node that differs {} is {} ({}): channel {}, frame {} is {:e}, {:e} is right",
            self.between, self.node, self.op, self.channel, self.frame, self.found, self.wanted
        )
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use runnel::graph::{Conv1d, Graph, Op};
    use runnel::rewrite::rewrite_graph;
    use runnel::{Randomness, Tensor};

    use super::*;
    use crate::offline::OfflineMethod;
    use crate::settings::Settings;

    /// Two centred convolutions and a residual; the second's middle tap is `tap`.
    fn graph(tap: f32) -> Graph {
        let conv = |taps: Vec<f32>| {
            let weight = Arc::new(Tensor::new([1, 1, taps.len()], taps));
            Op::Conv1d(Conv1d { weight, bias: None, stride: 1, dilation: 1, left_padding: 1, groups: 1 })
        };
        let mut graph = Graph::new(1);
        let first = graph.push("first", conv(vec![0.2, 0.5, -0.3]), &[0]).expect("a node");
        let second = graph.push("second", conv(vec![0.1, tap, 0.4]), &[first]).expect("a node");
        graph.push("sum", Op::Add, &[first, second]).expect("a node");
        graph
    }

    fn checked(stream_tap: f32, trained_tap: f32) -> (Outcome, Option<Place>) {
        let stream = rewrite_graph(&graph(stream_tap)).expect("a stream");
        let offline = OfflineMethod::new(graph(trained_tap), &stream);
        let signal = crate::synth::test_signal(3000, 1, 1);
        let input = [signal[0].as_slice()];
        let settings = Settings::default();
        let randomness = Randomness::Deterministic;
        let check = Check { stream: &stream, offline: &offline, input: &input, randomness, settings: &settings };
        let outcome = check.run("checking").expect("an outcome");
        let place = if outcome.passed() { None } else { locate(&check, &outcome).expect("a plan") };
        (outcome, place)
    }

    #[test]
    fn an_exact_stream_passes() {
        let (outcome, _) = checked(0.7, 0.7);
        assert!(outcome.passed(), "{}", outcome.error);
        assert_eq!(outcome.first_frame, -2);
        assert_eq!(outcome.frames, 3000 + 2 + 3);
    }

    #[test]
    fn a_wrong_node_is_named() {
        let (outcome, place) = checked(0.7, 0.701);
        assert!(!outcome.passed());
        assert!(outcome.differing.is_empty());
        let place = place.expect("a place");
        assert_eq!((place.node.as_str(), place.channel), ("second", 0));
        assert!(place.to_string().contains("from the trained model is second"), "{place}");
    }
}
