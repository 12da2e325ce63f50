//! StreamGraph: the converted model. Only ops that can run frame by frame are expressible; every signal is the offline
//! signal under the same frame index, and every node knows when its frames exist and what must be kept for its readers.

mod conv;
mod multiple;
mod offline;
mod op;
mod play;
mod prior;
mod signal_rate;
mod splice;

pub(crate) use conv::Part;
pub use conv::{CachedConv, ConvKind, Tap};
pub use op::StreamOp;
pub use prior::PriorStream;

use crate::graph::{NodeId, Parameter, agreeing_parameter, distinct_parameters, infer_shape};
use crate::model::Info;
use crate::tensor::Weight;
use crate::timing::{Rate, Reads, Timeline, lcm};

/// A converted model: one stream for each method, and what its file said of it.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamModel {
    /// Audio to audio.
    pub forward: StreamGraph,
    /// The two halves of an autoencoder.
    pub latent: Option<LatentStreams>,
    /// What its latents are likely to do next.
    pub prior: Option<PriorStream>,
    /// Facts for people.
    pub info: Info,
}

impl StreamModel {
    /// What a player holds while the model plays, each name once; `--set` and a plugin's parameters reach these.
    pub fn parameters(&self) -> Vec<&Parameter> {
        self.forward.parameters()
    }
}

/// The halves of an autoencoder, each a stream of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct LatentStreams {
    /// Audio to latents.
    pub encode: StreamGraph,
    /// Latents to audio.
    pub decode: StreamGraph,
}

/// A model that streams. Node 0 is the input, the last node is the output, every node reads only nodes before it, and
/// the output depends on every node.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamGraph {
    nodes: Vec<StreamNode>,
    hop: i64,
    latency: i64,
}

/// One op of a stream, and when its frames exist.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamNode {
    /// The name of the trained graph's node whose signal this is.
    pub name: String,
    /// What it does.
    pub op: StreamOp,
    /// What it reads.
    pub inputs: Vec<NodeId>,
    /// Channels of its signal.
    pub channels: usize,
    /// Frames of its signal per input frame.
    pub rate: Rate,
    /// Which frames of each input a frame reads; as many as `inputs`.
    pub reads: Vec<Reads>,
    /// When its frames exist.
    pub timeline: Timeline,
    /// Past frames its readers still read, at least 1.
    pub cache_frames: usize,
}

/// Why a stream cannot be made of these nodes.
#[derive(Debug, thiserror::Error)]
#[error("{node}: {reason}")]
pub struct StreamError {
    /// Place in the model.
    pub node: String,
    /// The numbers that do not fit, and the cure where there is one.
    pub reason: String,
}

/// Ticks in a hop, frames over all nodes in one hop, and steps of a walk over one hop, beyond which a model is refused.
const MOST_TICKS: u64 = 1 << 18;
const MOST_FRAMES: u64 = 1 << 20;
const MOST_STEPS: u64 = 1 << 24;

impl StreamGraph {
    /// A stream of `nodes`: name, op, and inputs of each, in topological order.
    ///
    /// # Errors
    /// When an op cannot read its inputs, or the rates have no common hop of reasonable length.
    pub fn new(nodes: Vec<(String, StreamOp, Vec<NodeId>)>) -> Result<Self, StreamError> {
        let shapes = shapes(&nodes)?;
        let (steps, hop) = steps(&nodes, &shapes)?;
        let mut stream = Self { nodes: Vec::with_capacity(nodes.len()), hop, latency: 0 };
        for (id, (name, op, inputs)) in nodes.into_iter().enumerate() {
            let reads: Vec<_> = inputs.iter().map(|_| op.reads()).collect();
            let timeline = if inputs.is_empty() {
                Timeline::input(steps[id], hop)
            } else if let StreamOp::Parameter(_) = op {
                let reads = Reads::at_its_time(steps[id], steps[0]);
                Timeline::of(steps[id], hop, &[(&reads, &stream.nodes[0].timeline)])
            } else {
                let inputs: Vec<_> = reads.iter().zip(&inputs).map(|(r, &i)| (r, &stream.nodes[i].timeline)).collect();
                Timeline::of(steps[id], hop, &inputs)
            };
            let (channels, rate) = shapes[id];
            stream.nodes.push(StreamNode { name, op, inputs, channels, rate, reads, timeline, cache_frames: 1 });
        }
        stream.latency = stream.output().timeline.lag().max(0);
        stream.measure_caches();
        Ok(stream)
    }

    /// All nodes, inputs before readers.
    pub fn nodes(&self) -> &[StreamNode] {
        &self.nodes
    }

    /// The input, node 0.
    pub fn input(&self) -> &StreamNode {
        &self.nodes[0]
    }

    /// The output, the last node.
    pub fn output(&self) -> &StreamNode {
        &self.nodes[self.nodes.len() - 1]
    }

    /// What a player holds, each name once, in the order of the nodes.
    pub fn parameters(&self) -> Vec<&Parameter> {
        distinct_parameters(parameters(self.nodes.iter().map(|node| &node.op)))
    }

    /// Ticks after which the schedule repeats: the least common multiple of all steps.
    pub fn hop_ticks(&self) -> i64 {
        self.hop
    }

    /// Input frames after which the schedule repeats.
    pub fn hop_frames(&self) -> i64 {
        self.hop / self.input().timeline.step
    }

    /// Least delay of the output, in ticks.
    pub fn latency_ticks(&self) -> i64 {
        self.latency
    }

    /// Ticks per audio sample: 1, unless the model works at a higher rate than its audio.
    pub fn ticks_per_sample(&self) -> i64 {
        self.input().timeline.step.min(self.output().timeline.step)
    }

    /// Least delay of the output, in audio samples.
    pub fn latency_samples(&self) -> u64 {
        (self.latency as u64).div_ceil(self.ticks_per_sample() as u64)
    }

    /// Audio samples before and after its own time that an output frame depends on; the past is unbounded behind a
    /// recurrent node.
    pub fn receptive_field_samples(&self) -> (Option<u64>, u64) {
        self.node_receptive_field_samples(self.nodes.len() - 1)
    }

    /// As [`Self::receptive_field_samples`], of node `id`.
    pub fn node_receptive_field_samples(&self, id: NodeId) -> (Option<u64>, u64) {
        let timeline = &self.nodes[id].timeline;
        let samples = |ticks: i64| (ticks.max(0) as u64).div_ceil(self.ticks_per_sample() as u64);
        let past = (!self.remembers(id)).then(|| samples(timeline.past()));
        (past, samples(timeline.lag()))
    }

    /// Audio samples from the start and from the end of an offline run within which a layer's zero padding is felt in
    /// the output. Outside them a run on a plain signal and a run on the signal embedded in silence agree.
    pub fn edge_samples(&self) -> (u64, u64) {
        let mut clear: Vec<i64> = Vec::with_capacity(self.nodes.len());
        let mut end: Vec<i64> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let inputs = || node.reads.iter().zip(&node.inputs);
            clear.push(inputs().map(|(reads, &i)| reads.clear_of(clear[i])).max().unwrap_or(0).max(0));
            end.push(inputs().map(|(reads, &i)| reads.available(end[i])).min().unwrap_or(0).min(0));
        }
        let samples = |frames: i64| (frames * self.output().timeline.step).div_euclid(self.ticks_per_sample()) as u64;
        (samples(clear[clear.len() - 1]), samples(-end[end.len() - 1]))
    }

    /// Whether it has nodes that learn a source and a target.
    pub fn learns(&self) -> bool {
        self.nodes.iter().any(|node| matches!(node.op, StreamOp::AdaIn { .. }))
    }

    /// Multiply-adds per audio sample of node `id`.
    pub fn macs_per_sample(&self, id: NodeId) -> f64 {
        let node = &self.nodes[id];
        let inputs: Vec<_> = node.inputs.iter().map(|&i| self.nodes[i].channels).collect();
        node.op.macs_per_frame(&inputs) * self.ticks_per_sample() as f64 / node.timeline.step as f64
    }

    /// Multiply-adds per audio sample of all nodes.
    pub fn all_macs_per_sample(&self) -> f64 {
        (0..self.nodes.len()).map(|id| self.macs_per_sample(id)).sum()
    }

    /// Every weight that the nodes name.
    pub fn weights(&self) -> impl Iterator<Item = &Weight> {
        self.nodes.iter().flat_map(|n| n.op.weights())
    }

    /// Replaces every weight.
    pub(crate) fn map_weights(&mut self, mut f: impl FnMut(&Weight) -> Weight) {
        for node in &mut self.nodes {
            let Ok(op) = node.op.map_weights(|w| Ok::<_, std::convert::Infallible>(f(w)));
            node.op = op;
        }
    }

    /// Whether a recurrent node stands at or before `id`.
    fn remembers(&self, id: NodeId) -> bool {
        let mut upstream = vec![false; id + 1];
        for i in 0..=id {
            let node = &self.nodes[i];
            upstream[i] = matches!(node.op, StreamOp::Gru(_) | StreamOp::Lstm(_) | StreamOp::Rnn(_))
                || node.inputs.iter().any(|&i| upstream[i]);
        }
        upstream[id]
    }

    /// How far back each node's readers read when every frame is computed as soon as it can be.
    fn measure_caches(&mut self) {
        for id in 0..self.nodes.len() {
            for slot in 0..self.nodes[id].inputs.len() {
                let reads = &self.nodes[id].reads[slot];
                let reach = (0..reads.phases).filter_map(|n| Some(reads.newest(n)? - reads.oldest(n)? + 1)).max();
                let input = self.nodes[id].inputs[slot];
                let cache = &mut self.nodes[input].cache_frames;
                *cache = (*cache).max(reach.unwrap_or(1) as usize);
            }
        }
    }
}

fn shapes(nodes: &[(String, StreamOp, Vec<NodeId>)]) -> Result<Vec<(usize, Rate)>, StreamError> {
    let mut shapes: Vec<(usize, Rate)> = Vec::with_capacity(nodes.len());
    for (id, (name, op, inputs)) in nodes.iter().enumerate() {
        let refuse = |reason: String| StreamError { node: name.clone(), reason };
        if let StreamOp::Input { channels } = op {
            if id != 0 || !inputs.is_empty() {
                return Err(refuse("only node 0 is an input".into()));
            }
            if !(1..=1 << 16).contains(channels) {
                return Err(refuse(format!("an input of {channels} channels")));
            }
            shapes.push((*channels, Rate::UNIT));
            continue;
        }
        if inputs.is_empty() {
            return Err(refuse("reads nothing".into()));
        }
        if let Some(late) = inputs.iter().find(|&&i| i >= id) {
            return Err(refuse(format!("reads node {late}, which is not before it")));
        }
        if let StreamOp::Conv(CachedConv { kind: ConvKind::Transposed { .. }, left, dilation, .. }) = op
            && (*left < 0 || *dilation != 1)
        {
            return Err(refuse(format!("transposed convolution with trim {left}, dilation {dilation}")));
        }
        if let StreamOp::Parameter(parameter) = op {
            agreeing_parameter(parameter, parameters(nodes[..id].iter().map(|(_, op, _)| op))).map_err(refuse)?;
        }
        let mut signals: Vec<_> = inputs.iter().map(|&i| shapes[i]).collect();
        for trained in op.trained() {
            signals = vec![infer_shape(&trained, &signals).map_err(refuse)?];
        }
        shapes.push(signals[0]);
    }
    if shapes.is_empty() {
        return Err(StreamError { node: "graph".into(), reason: "no nodes".into() });
    }
    Ok(shapes)
}

fn parameters<'a>(ops: impl Iterator<Item = &'a StreamOp>) -> impl Iterator<Item = &'a Parameter> {
    ops.filter_map(|op| if let StreamOp::Parameter(parameter) = op { Some(parameter) } else { None })
}

/// Ticks per frame of each node, and ticks per hop.
fn steps(nodes: &[(String, StreamOp, Vec<NodeId>)], shapes: &[(usize, Rate)]) -> Result<(Vec<i64>, i64), StreamError> {
    let refuse = |id: usize| StreamError {
        node: nodes[id].0.clone(),
        reason: format!(
            "rate {} has no common hop with the other signals within {MOST_TICKS} ticks; use ratios with common factors",
            shapes[id].1
        ),
    };
    let mut ticks = 1;
    for (id, (_, rate)) in shapes.iter().enumerate() {
        ticks = lcm(ticks, rate.numerator()).filter(|&t| t <= MOST_TICKS).ok_or_else(|| refuse(id))?;
    }
    let mut steps = Vec::with_capacity(shapes.len());
    let mut hop = 1;
    for (id, (_, rate)) in shapes.iter().enumerate() {
        let step = (ticks / rate.numerator()).checked_mul(rate.denominator()).ok_or_else(|| refuse(id))?;
        hop = lcm(hop, step).filter(|&h| h <= MOST_TICKS).ok_or_else(|| refuse(id))?;
        steps.push(step as i64);
    }
    let frames: u64 = steps.iter().map(|&s| hop / s as u64).sum();
    let walk = (hop / steps[0] as u64).saturating_mul(steps.len() as u64);
    if frames > MOST_FRAMES || walk > MOST_STEPS {
        return Err(refuse(shapes.len() - 1));
    }
    Ok((steps, hop as i64))
}
