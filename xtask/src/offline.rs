//! The trained model run whole, on burn, over a signal embedded in silence: what the stream must equal.

use std::ops::Range;

use runnel::graph::Graph;
use runnel::random::Randomness;
use runnel::stream::{StreamGraph, StreamNode};
use runnel_offline::{Backend, Offline, Signal, hop};

use crate::settings::Settings;

/// One method of a trained model, with as much silence around its input as the network can see.
pub(crate) struct OfflineMethod {
    graph: Graph,
    offline: Offline,
    hop: usize,
    /// Ticks per frame, as the stream of this method counts them.
    step_in: i64,
    step_out: i64,
    /// Input frames from either end within which a layer's zero padding is felt.
    edges: (i64, i64),
    hop_ticks: i64,
}

/// The signal of one node: its first frame's index, and channels.
pub(crate) struct Trace {
    pub(crate) first: i64,
    pub(crate) channels: Vec<Vec<f32>>,
    /// The frames that do not see the ends of the embedding.
    pub(crate) sound: Range<i64>,
}

impl OfflineMethod {
    /// `graph` is the trained graph that `stream` was made of.
    pub(crate) fn new(graph: Graph, stream: &StreamGraph) -> Self {
        let (input, output) = (stream.input(), stream.output());
        let hop = hop(&graph) as usize;
        let frames =
            |samples: u64| samples as i64 * stream.ticks_per_sample() / input.timeline.step + 1 + stream.hop_frames();
        let edges = stream.edge_samples();
        Self {
            offline: Offline::new(&graph, Backend::Flex),
            graph,
            hop,
            step_in: input.timeline.step,
            step_out: output.timeline.step,
            edges: (frames(edges.0), frames(edges.1)),
            hop_ticks: stream.hop_ticks(),
        }
    }

    /// The same, with `settings` held from frame 0 on.
    pub(crate) fn with(mut self, settings: &Settings) -> Self {
        settings.hold(&mut self.offline);
        self
    }

    /// Output frames `frames` for `input`, one vector per channel.
    pub(crate) fn run(&self, input: &[&[f32]], randomness: Randomness, frames: Range<i64>) -> Vec<Vec<f32>> {
        self.cut(self.offline.run(&self.embed(input, &frames), randomness), frames)
    }

    /// The output for `input` alone: every layer takes zeros for what lies beyond the ends, as the untouched model does.
    pub(crate) fn run_alone(&self, input: &[&[f32]], randomness: Randomness) -> Vec<Vec<f32>> {
        let output = self.offline.run(&Signal::new(input.len(), input.concat()), randomness);
        let frames = (input[0].len() as i64 * self.step_in).div_euclid(self.step_out);
        self.cut(output, 0..frames)
    }

    /// Input frames after which every frame grid repeats.
    pub(crate) fn hop(&self) -> usize {
        self.hop
    }

    fn cut(&self, output: Signal, frames: Range<i64>) -> Vec<Vec<f32>> {
        let wanted = (frames.start - output.first) as usize..(frames.end - output.first) as usize;
        (0..output.channels).map(|c| output.row(c)[wanted.clone()].to_vec()).collect()
    }

    /// The trained graph.
    pub(crate) fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Output frames `frames` for an input known from frame `first` on, which was, and goes on, as at its ends.
    pub(crate) fn resume(
        &self,
        input: &[Vec<f32>],
        first: i64,
        randomness: Randomness,
        frames: Range<i64>,
    ) -> Vec<Vec<f32>> {
        let grid = |n: i64| n.div_euclid(self.hop as i64) * self.hop as i64;
        let start = grid(first.min((frames.start * self.step_out).div_euclid(self.step_in) - self.edges.0));
        let end = (frames.end * self.step_out).div_euclid(self.step_in) + self.edges.1;
        let held = |channel: &Vec<f32>| -> Vec<f32> {
            (start..end).map(|n| channel[(n - first).clamp(0, channel.len() as i64 - 1) as usize]).collect()
        };
        let mut signal = Signal::new(input.len(), input.iter().flat_map(held).collect());
        signal.first = start;
        self.cut(self.offline.run(&signal, randomness), frames)
    }

    /// The signals of all nodes of `stream`, in its order, where output frames `frames` are asked for.
    pub(crate) fn trace(
        &self,
        input: &[&[f32]],
        randomness: Randomness,
        frames: Range<i64>,
        stream: &StreamGraph,
    ) -> Vec<Option<Trace>> {
        let embedded = self.embed(input, &frames);
        let (start, end) = (embedded.first, embedded.first + embedded.frames() as i64);
        let mut signals = self.offline.trace(&embedded, randomness, |_| true);
        let trace = |node: &StreamNode| {
            let signal = signals[self.graph.find(&node.name)?].take()?;
            let (step, time) = (node.timeline.step, &node.timeline);
            let sound = (start * self.step_in + time.past() + self.hop_ticks).div_euclid(step) + 1
                ..(end * self.step_in - time.lag().max(0) - self.hop_ticks).div_euclid(step);
            let channels = (0..signal.channels).map(|c| signal.row(c).to_vec()).collect();
            Some(Trace { first: signal.first, channels, sound })
        };
        stream.nodes().iter().map(trace).collect()
    }

    /// The input with the silence around it that output frames `frames` see.
    fn embed(&self, input: &[&[f32]], frames: &Range<i64>) -> Signal {
        let length = input[0].len() as i64;
        let first = (frames.start * self.step_out).div_euclid(self.step_in) - self.edges.0;
        let end = (frames.end * self.step_out).div_euclid(self.step_in) + self.edges.1;
        let before = (-first).max(0) as usize;
        let signal = Signal::new(input.len(), input.concat());
        signal.embed(before.next_multiple_of(self.hop), (end - length).max(0) as usize)
    }
}
