//! The offline evaluator: a [`Graph`] run whole, on burn. It is the definition that the stream is judged by, so it
//! shares nothing with the engine: another layout (channel by channel), another algorithm (whole signals, no caches).
//!
//! An offline run zero-pads at every layer, on both sides. Against a stream, which lets silence flow through the
//! network instead, [`Signal::embed`] the input in silence of at least one receptive field.

mod by_frame;
pub mod demo;
mod layer;
mod signal;

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};
use runnel::Learning;
use runnel::graph::{Op, Parameter, Statistics};
use runnel::random::Randomness;
use runnel::timing::{Rate, gcd};
use runnel::{Graph, NodeId};

use layer::Layer;
pub use signal::Signal;

/// Which of burn's backends computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// burn's portable CPU backend.
    Flex,
    /// A second implementation of every operation, for tiny models: its convolutions are slow, and burn deprecates it.
    #[cfg(feature = "ndarray")]
    NdArray,
}

/// What each [`Op::AdaIn`] node, by its name, does at each of its frames from 0 on.
pub type Lesson<'a> = &'a dyn Fn(&str, i64) -> Learning;

/// A graph with its weights in burn's tensors.
pub struct Offline {
    nodes: Vec<Planned>,
    hop: u64,
    device: Device,
    /// From which input frame on what is held, in order, by parameter.
    held: BTreeMap<String, Vec<(i64, Vec<f32>)>>,
}

struct Planned {
    name: String,
    layer: Layer,
    /// What the graph holds of the source and of the target, where the node learns.
    adain: Option<[Option<Statistics>; 2]>,
    inputs: Vec<NodeId>,
    channels: usize,
    rate: Rate,
    last_reader: NodeId,
}

/// Where a node's signal lies in time, in its own frames.
#[derive(Clone, Copy)]
struct Span {
    first: i64,
    frames: usize,
}

impl Offline {
    /// Copies the weights of `graph` to `backend`.
    pub fn new(graph: &Graph, backend: Backend) -> Self {
        let device = backend.device();
        let mut nodes: Vec<_> = (graph.nodes().iter())
            .map(|node| Planned {
                name: node.name.clone(),
                layer: Layer::new(&node.op, &device),
                adain: match &node.op {
                    Op::AdaIn { source, target } => Some([source.clone(), target.clone()]),
                    _ => None,
                },
                inputs: node.inputs.clone(),
                channels: node.channels,
                rate: node.rate,
                last_reader: 0,
            })
            .collect();
        for reader in 0..nodes.len() {
            for input in nodes[reader].inputs.clone() {
                nodes[input].last_reader = reader;
            }
        }
        Self { nodes, hop: hop(graph), device, held: BTreeMap::new() }
    }

    /// Holds `values` in the parameter `name` from input frame `from` on; calls in the order of time. Frames before 0, and
    /// those before the first call, have the parameter's default.
    pub fn hold(&mut self, name: &str, from: i64, values: &[f32]) {
        self.held.entry(name.into()).or_default().push((from, values.into()));
    }

    /// The output for `input`, which is padded with zeros on the right to a multiple of [`hop`] frames first: the
    /// output has exactly `rate` times as many frames as that.
    ///
    /// # Panics
    /// When `input` has another number of channels than the graph reads, or `input.first` is not a multiple of [`hop`].
    pub fn run(&self, input: &Signal, randomness: Randomness) -> Signal {
        let output = self.nodes.len() - 1;
        let mut kept = self.trace(input, randomness, |node| node == output);
        kept.pop().flatten().expect("the output was asked for")
    }

    /// The signals of the nodes that `keep` names, at the index of their node; the others are freed as soon as their
    /// last reader has run. Pads as [`Offline::run`] does.
    ///
    /// # Panics
    /// As [`Offline::run`].
    pub fn trace(&self, input: &Signal, randomness: Randomness, keep: impl Fn(NodeId) -> bool) -> Vec<Option<Signal>> {
        self.trace_with(input, randomness, None, keep)
    }

    /// As [`Offline::run`], with nodes that learn as `lesson` says: an [`Op::AdaIn`] in [`Learning::Target`] takes a frame
    /// into the target's statistics and passes it on; in [`Learning::Source`] it takes it into the source's, then carries
    /// it over by the statistics up to and with that frame. Statistics are those of the frames learned, from two on, and of
    /// the graph before.
    ///
    /// # Panics
    /// As [`Offline::run`].
    pub fn run_learning(&self, input: &Signal, randomness: Randomness, lesson: Lesson<'_>) -> Signal {
        let output = self.nodes.len() - 1;
        let mut kept = self.trace_with(input, randomness, Some(lesson), |node| node == output);
        kept.pop().flatten().expect("the output was asked for")
    }

    fn trace_with(
        &self,
        input: &Signal,
        randomness: Randomness,
        lesson: Option<Lesson<'_>>,
        keep: impl Fn(NodeId) -> bool,
    ) -> Vec<Option<Signal>> {
        let channels = self.nodes[0].channels;
        assert_eq!(input.channels, channels, "the graph reads {channels} channels, the signal has {}", input.channels);
        let input = input.pad_to(self.hop as usize);

        let mut live: Vec<Option<Tensor<3>>> = vec![None; self.nodes.len()];
        let mut kept = vec![None; self.nodes.len()];
        for (id, node) in self.nodes.iter().enumerate() {
            let span = self.span(node, &input);
            let signal = if id == 0 {
                input.to_tensor(&self.device)
            } else if span.frames == 0 {
                Signal::zeros(node.channels, span.first, 0).to_tensor(&self.device)
            } else if let Layer::Plain(Op::Parameter(parameter)) = &node.layer {
                let values = self.values_of(parameter, span, node.rate);
                layer::load(&values, [1, node.channels, span.frames], &self.device)
            } else {
                let read = |&i: &NodeId| live[i].clone().expect("freed after its last reader only");
                let inputs: Vec<_> = node.inputs.iter().map(read).collect();
                for &i in node.inputs.iter().filter(|&&i| self.nodes[i].last_reader == id) {
                    live[i] = None;
                }
                match (&node.adain, lesson) {
                    (Some(held), Some(lesson)) => {
                        let lesson = |frame| lesson(&node.name, frame);
                        by_frame::adain(held, inputs[0].clone(), span, &lesson, &self.device)
                    }
                    _ => node.layer.run(inputs, span, randomness, &self.device),
                }
            };
            debug_assert_eq!(signal.dims(), [1, node.channels, span.frames], "{}", node.name);
            if keep(id) {
                kept[id] = Some(Signal::from_tensor(signal.clone(), span.first));
            }
            if node.last_reader > id {
                live[id] = Some(signal);
            }
        }
        kept
    }

    /// What is held in each channel at each frame of `span`.
    fn values_of(&self, parameter: &Parameter, span: Span, rate: Rate) -> Vec<f32> {
        let changes = self.held.get(&parameter.name).map_or(&[][..], |changes| changes);
        let at = |frame: i64| {
            // The input frame that stands at this frame's time, or last before it.
            let now = (frame * rate.denominator() as i64).div_euclid(rate.numerator() as i64);
            let last = changes.iter().rev().find(|(from, _)| frame >= 0 && *from <= now);
            last.map_or(&parameter.default, |(_, values)| values)
        };
        let frames = || (0..span.frames).map(|t| at(span.first + t as i64));
        (0..parameter.default.len()).flat_map(|c| frames().map(move |values| values[c])).collect()
    }

    fn span(&self, node: &Planned, input: &Signal) -> Span {
        let (numerator, denominator) = (node.rate.numerator() as i64, node.rate.denominator() as i64);
        let first = input.first * numerator;
        assert!(
            input.first % self.hop as i64 == 0 && first % denominator == 0,
            "a signal that starts at frame {} is off the grid of {}: multiples of {} are on it",
            input.first,
            node.name,
            self.hop
        );
        Span {
            first: first / denominator,
            frames: input.frames() / node.rate.denominator() as usize * node.rate.numerator() as usize,
        }
    }
}

impl Backend {
    fn device(self) -> Device {
        match self {
            Self::Flex => Device::flex(),
            #[cfg(feature = "ndarray")]
            #[expect(deprecated, reason = "a second oracle as long as the pinned burn has it")]
            Self::NdArray => Device::ndarray(),
        }
    }
}

/// Input frames after which every node's frame grid, and the sign of every [`Op::AlternateSign`], repeats.
pub fn hop(graph: &Graph) -> u64 {
    graph.nodes().iter().fold(1, |hop, node| {
        let odd = node.rate.numerator() % 2 == 1;
        let period = node.rate.denominator() * if matches!(node.op, Op::AlternateSign) && odd { 2 } else { 1 };
        hop / gcd(hop, period) * period
    })
}
