//! Which frames exist when: two integer sweeps over the graph.

use super::Ring;
use crate::stream::StreamGraph;
use crate::stream::StreamOp;
use crate::timing::{Reads, due};

/// The order of work, as a function of the number of input frames received.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    nodes: Vec<Timed>,
    step_in: i64,
    step_out: i64,
    latency: i64,
    hop_frames: i64,
    /// Input frames taken at once.
    pub(crate) chunk: i64,
}

#[derive(Clone, Debug)]
struct Timed {
    inputs: Vec<usize>,
    reads: Vec<Reads>,
    /// Runs as soon as its input is there; otherwise as late as the output allows.
    early: bool,
    /// Reads its own frame before.
    recurrent: bool,
    /// Its frames from 0 on differ between engines of one plan: they are drawn, or a player's hands reach them.
    personal: bool,
}

/// Ticks taken at once, at least: what makes a long block cheap in weight traffic.
const CHUNK_TICKS: i64 = 2048;

impl Schedule {
    /// The schedule of `stream`.
    pub(crate) fn new(stream: &StreamGraph) -> Self {
        let nodes = stream.nodes();
        let lowest = nodes.iter().map(|n| n.timeline.step).max().unwrap_or(1);
        let mut early: Vec<_> = nodes.iter().map(|n| n.timeline.step == lowest).collect();
        for id in (0..nodes.len()).rev() {
            if early[id] {
                nodes[id].inputs.iter().for_each(|&i| early[i] = true);
            }
        }
        let timed = |(node, early): (&crate::stream::StreamNode, bool)| Timed {
            inputs: node.inputs.clone(),
            reads: node.reads.clone(),
            early,
            recurrent: matches!(node.op, StreamOp::Gru(_)),
            personal: matches!(node.op, StreamOp::Gaussian { .. } | StreamOp::NoiseSynth(_) | StreamOp::LatentEdit),
        };
        let step_in = stream.input().timeline.step;
        Self {
            nodes: nodes.iter().zip(early).map(timed).collect(),
            step_in,
            step_out: stream.output().timeline.step,
            latency: stream.latency_ticks(),
            hop_frames: stream.hop_frames(),
            chunk: (CHUNK_TICKS / step_in).max(1),
        }
    }

    /// The nodes that node `id` reads.
    pub(crate) fn inputs(&self, id: usize) -> &[usize] {
        &self.nodes[id].inputs
    }

    /// The end of the output frames that are due after `received` input frames.
    pub(crate) fn due(&self, received: i64) -> i64 {
        due(received, self.step_in, self.step_out, self.latency)
    }

    /// The end of each node's frames after `received` input frames.
    pub(crate) fn ends(&self, received: i64) -> Vec<i64> {
        let mut ends = vec![0; self.nodes.len()];
        self.sweep(received, &mut ends);
        ends
    }

    /// As [`Self::ends`], in place.
    pub(crate) fn sweep(&self, received: i64, ends: &mut [i64]) {
        let last = self.nodes.len() - 1;
        for (id, node) in self.nodes.iter().enumerate() {
            ends[id] = if !node.early {
                i64::MIN
            } else if id == 0 {
                received
            } else {
                let available = |(reads, &input): (&Reads, &usize)| reads.available(ends[input]);
                node.reads.iter().zip(&node.inputs).map(available).min().unwrap_or(i64::MIN)
            };
        }
        if !self.nodes[last].early {
            ends[last] = self.due(received);
        }
        for id in (0..=last).rev().filter(|&id| !self.nodes[id].early) {
            for (reads, &input) in self.nodes[id].reads.iter().zip(&self.nodes[id].inputs) {
                if !self.nodes[input].early {
                    ends[input] = ends[input].max(reads.required(ends[id]));
                }
            }
        }
        if received <= 0 {
            self.withhold(ends);
        }
    }

    /// Holds back what depends on the personal frames from 0 on. A model that looks only at the past could compute them
    /// before the signal starts; the initial state is shared, so it must not.
    fn withhold(&self, ends: &mut [i64]) {
        for (id, node) in self.nodes.iter().enumerate() {
            for (reads, &input) in node.reads.iter().zip(&node.inputs) {
                ends[id] = ends[id].min(reads.available(ends[input]));
            }
            if node.personal {
                ends[id] = ends[id].min(0);
            }
        }
    }

    /// Frames that each node's ring must hold, whenever up to `chunk` input frames arrive at once.
    pub(crate) fn capacities(&self) -> Vec<i64> {
        let last = self.nodes.len() - 1;
        let mut capacities = vec![1; self.nodes.len()];
        let mut before = self.ends(0);
        let mut after = before.clone();
        for received in 0..self.hop_frames {
            self.sweep(received, &mut before);
            self.sweep(received + self.chunk, &mut after);
            let mut hold = |id: usize, from: i64| capacities[id] = capacities[id].max(after[id] - from);
            for (id, node) in self.nodes.iter().enumerate() {
                for (reads, &input) in node.reads.iter().zip(&node.inputs) {
                    hold(input, reads.kept(before[id]));
                }
                hold(id, before[id] - i64::from(node.recurrent));
            }
            hold(last, self.due(received));
        }
        capacities
    }

    /// Input frames of silence after which every ring, empty before, holds nothing but the response to silence.
    pub(crate) fn warm_up(&self, stream: &StreamGraph, rings: &[Ring]) -> i64 {
        // An engine that starts empty one hop after the signal has, of each node, no frame that is clear of the start
        // before this one; everything repeats every hop, so it may start whole hops earlier.
        let mut clear = self.ends(self.hop_frames);
        for (id, node) in self.nodes.iter().enumerate() {
            for (reads, &input) in node.reads.iter().zip(&node.inputs) {
                clear[id] = clear[id].max(reads.clear_of(clear[input]));
            }
        }
        let ends = self.ends(0);
        let hops = stream.nodes().iter().zip(rings).enumerate().map(|(id, (node, ring))| {
            let late = (clear[id] - ends[id] + ring.frames()) * node.timeline.step;
            -(-late).div_euclid(stream.hop_ticks())
        });
        (hops.max().unwrap_or(0) - 1).max(0) * self.hop_frames
    }
}
