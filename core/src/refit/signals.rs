//! A graph run over whole signals, node by node, on the engine's own kernels: frame 0 is the first, and every node reads
//! zeros beyond both ends of its input, as an offline run does.

use std::sync::Arc;

use crate::engine::Engine;
use crate::graph::{Graph, Node, Op};
use crate::plan::Plan;
use crate::random::Randomness;
use crate::rewrite::rewrite_graph;

use super::RefitError;

/// The frames of one signal, channel by channel.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Signal {
    /// As many as the signal has, each of one length.
    pub(super) channels: Vec<Vec<f32>>,
}

/// One op, ready to run over any number of signals.
pub(super) enum Layer {
    /// All that read one signal.
    Streamed(Arc<Plan>),
    Sum,
    Product,
    Greatest,
    Together,
}

impl Signal {
    pub(super) fn frames(&self) -> usize {
        self.channels[0].len()
    }

    /// Channel `channel`; the only one, of a signal that has one.
    pub(super) fn channel(&self, channel: usize) -> &[f32] {
        &self.channels[channel.min(self.channels.len() - 1)]
    }
}

impl Layer {
    /// The layer of `op`, which reads signals of `inputs` channels.
    pub(super) fn new(op: &Op, inputs: usize) -> Result<Self, RefitError> {
        Ok(match op {
            Op::Add => Self::Sum,
            Op::Mul => Self::Product,
            Op::Max => Self::Greatest,
            Op::Concat => Self::Together,
            op => {
                let mut graph = Graph::new(inputs);
                graph.push("layer", op.clone(), &[0]).map_err(crate::rewrite::RewriteError::from)?;
                Self::Streamed(Plan::new(&rewrite_graph(&graph)?)?)
            }
        })
    }

    /// The first `frames` frames of the layer's signal.
    pub(super) fn run(&self, inputs: &[&Signal], frames: usize) -> Signal {
        match self {
            Self::Streamed(plan) => stream(plan, inputs[0], frames),
            Self::Sum => fold(inputs, |a, b| a + b),
            Self::Product => fold(inputs, |a, b| a * b),
            Self::Greatest => fold(inputs, f32::max),
            Self::Together => {
                Signal { channels: inputs.iter().flat_map(|signal| signal.channels.iter().cloned()).collect() }
            }
        }
    }
}

/// Frames of `node` over `samples` frames of the graph's input.
pub(super) fn frames(node: &Node, samples: usize) -> usize {
    samples * node.rate.numerator() as usize / node.rate.denominator() as usize
}

/// The first `frames` frames of what `plan` makes of `input`, random parts silent, under their offline index.
pub(super) fn stream(plan: &Arc<Plan>, input: &Signal, frames: usize) -> Signal {
    const BLOCK: usize = 4096;
    let mut engine = Engine::new(plan.clone(), Randomness::Deterministic);
    let mut channels = vec![Vec::with_capacity(frames); plan.output_channels()];
    let mut due = vec![vec![]; plan.output_channels()];
    let silence = [0.0; BLOCK];
    let mut at = 0;
    while channels[0].len() < frames {
        let left = input.frames().saturating_sub(at);
        let block = if left > 0 { left.min(BLOCK) } else { BLOCK };
        let planes: Vec<&[f32]> = (input.channels.iter())
            .map(|channel| if left > 0 { &channel[at..at + block] } else { &silence[..] })
            .collect();
        let early = (-engine.next_frame()).max(0) as usize;
        let count = engine.frames_out(block);
        due.iter_mut().for_each(|channel: &mut Vec<f32>| channel.resize(count, 0.0));
        let mut out: Vec<&mut [f32]> = due.iter_mut().map(Vec::as_mut_slice).collect();
        engine.process(&planes, &mut out);
        for (channel, due) in channels.iter_mut().zip(&due) {
            let new = &due[early.min(count)..];
            channel.extend_from_slice(&new[..new.len().min(frames - channel.len())]);
        }
        at += block;
    }
    Signal { channels }
}

fn fold(inputs: &[&Signal], f: impl Fn(f32, f32) -> f32) -> Signal {
    let channels = inputs.iter().map(|signal| signal.channels.len()).max().unwrap_or(0);
    let of_channel = |c: usize| {
        let mut values = inputs[0].channel(c).to_vec();
        for signal in &inputs[1..] {
            values.iter_mut().zip(signal.channel(c)).for_each(|(value, other)| *value = f(*value, *other));
        }
        values
    };
    Signal { channels: (0..channels).map(of_channel).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Conv1d, Pointwise};
    use crate::tensor::Tensor;

    fn signal(channels: usize, frames: usize) -> Signal {
        let value = |c: usize, n: usize| Randomness::Seeded(3).uniform(c as u32, n as i64, 0);
        Signal { channels: (0..channels).map(|c| (0..frames).map(|n| value(c, n)).collect()).collect() }
    }

    #[test]
    fn a_layer_reads_zeros_beyond_its_input() {
        let values: Vec<f32> = (0..24).map(|i| (i as f32 - 11.0) / 12.0).collect();
        let conv = Conv1d {
            weight: Arc::new(Tensor::new([3, 2, 4], values.clone())),
            bias: Some(Arc::new(Tensor::new([3], vec![0.5, -0.25, 1.0]))),
            stride: 2,
            dilation: 3,
            left_padding: 4,
            groups: 1,
        };
        let x = signal(2, 10_000);
        let y = Layer::new(&Op::Conv1d(conv.clone()), 2).expect("a layer").run(&[&x], 5_000);
        for (n, o) in [(0, 0), (1, 1), (2, 2), (777, 0), (4_999, 2)] {
            let mut sum = conv.bias.as_ref().expect("a bias").data()[o];
            for (i, tap) in (0..2).flat_map(|i| (0..4).map(move |tap| (i, tap))) {
                let at = n as i64 * 2 + tap as i64 * 3 - 4;
                let read = usize::try_from(at).ok().and_then(|at| x.channels[i].get(at)).copied().unwrap_or(0.0);
                sum += values[(o * 2 + i) * 4 + tap] * read;
            }
            assert!((y.channels[o][n] - sum).abs() < 1e-5, "frame {n} of channel {o}");
        }
    }

    #[test]
    fn a_single_channel_is_repeated() {
        let (wide, narrow) = (signal(3, 50), signal(1, 50));
        let sum = Layer::new(&Op::Add, 3).expect("a layer").run(&[&narrow, &wide], 50);
        assert_eq!(sum.channels[2][7], wide.channels[2][7] + narrow.channels[0][7]);
        let tanh = Layer::new(&Op::Pointwise(Pointwise::Tanh), 3).expect("a layer").run(&[&wide], 50);
        assert!((tanh.channels[1][9] - wide.channels[1][9].tanh()).abs() < 1e-6);
    }
}
