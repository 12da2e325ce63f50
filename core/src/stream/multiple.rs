//! The same stream in finer time: a host at a multiple of the model's rate needs no resampling where every tap can
//! simply reach as many times as far.
//!
//! ```text
//! before: y[n] = Σ_k w[k] · x[n + k·dilation − left]
//! after:  y[n] = Σ_k w[k] · x[n + k·dilation·m − left·m]
//! ```
//!
//! Every `m`-th sample is then what the model makes of every `m`-th sample of the input.

use super::{CachedConv, ConvKind, StreamError, StreamGraph, StreamOp};

impl StreamGraph {
    /// This stream for sound of `multiple` times its sampling rate; `None` where some op counts frames, remembers them,
    /// draws, changes the rate, or is reached by a player's hands.
    ///
    /// # Errors
    /// When its taps would reach too far.
    pub fn at_multiple_of_rate(&self, multiple: usize) -> Option<Result<Self, StreamError>> {
        let nodes: Option<Vec<_>> = (self.nodes().iter())
            .map(|node| Some((node.name.clone(), spread(&node.op, multiple)?, node.inputs.clone())))
            .collect();
        nodes.map(Self::new)
    }
}

fn spread(op: &StreamOp, multiple: usize) -> Option<StreamOp> {
    match op {
        StreamOp::Conv(conv) if conv.kind == (ConvKind::Strided { stride: 1 }) => Some(StreamOp::Conv(CachedConv {
            dilation: conv.dilation.checked_mul(multiple)?,
            left: conv.left.checked_mul(i64::try_from(multiple).ok()?)?,
            ..conv.clone()
        })),
        StreamOp::Input { .. }
        | StreamOp::ChannelAffine { .. }
        | StreamOp::Pointwise(_)
        | StreamOp::Snake { .. }
        | StreamOp::PRelu { .. }
        | StreamOp::Add
        | StreamOp::Mul
        | StreamOp::Concat
        | StreamOp::Slice { .. }
        | StreamOp::UnitNorm
        | StreamOp::ToAngles
        | StreamOp::FromAngles
        | StreamOp::Quantize { .. }
        | StreamOp::Dequantize { .. }
        | StreamOp::Max
        | StreamOp::LayerNorm(_)
        | StreamOp::Softmax { .. } => Some(op.clone()),
        StreamOp::Conv(_)
        | StreamOp::AlternateSign
        | StreamOp::DepthToTime { .. }
        | StreamOp::Repeat { .. }
        | StreamOp::Gaussian { .. }
        | StreamOp::NoiseSynth(_)
        | StreamOp::Gru(_)
        | StreamOp::Lstm(_)
        | StreamOp::Rnn(_)
        | StreamOp::PowerSpectrum { .. }
        | StreamOp::LatentEdit
        | StreamOp::AdaIn { .. }
        | StreamOp::Parameter(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::graph::{Conv1d, Graph, Gru, LayerNorm, Op, Pointwise, Reset, Rnn, RnnActivation};
    use crate::{Engine, Plan, Randomness, Tensor, rewrite};

    fn weight(shape: &[usize]) -> Arc<Tensor> {
        let len = shape.iter().product::<usize>();
        Arc::new(Tensor::new(shape, (0..len).map(|i| ((i * 37 % 19) as f32 - 9.0) / 20.0).collect()))
    }

    /// A residual of two convolutions, one of which looks ahead, and what compares channels.
    fn graph() -> Graph {
        let conv = |shape: &[usize], dilation, left_padding| {
            let bias = Some(weight(&shape[..1]));
            Op::Conv1d(Conv1d { weight: weight(shape), bias, stride: 1, dilation, left_padding, groups: 1 })
        };
        let mut graph = Graph::new(1);
        let wide = graph.push("wide", conv(&[3, 1, 3], 2, 4), &[0]).unwrap();
        let bent = graph.push("bent", Op::Pointwise(Pointwise::Tanh), &[wide]).unwrap();
        let ahead = graph.push("ahead", conv(&[3, 3, 2], 5, 2), &[bent]).unwrap();
        let sum = graph.push("sum", Op::Add, &[ahead, wide]).unwrap();
        let norm = LayerNorm { weight: None, bias: None, epsilon: 0.1, centred: true, groups: 1 };
        let normed = graph.push("normed", Op::LayerNorm(norm), &[sum]).unwrap();
        let shares = graph.push("shares", Op::Softmax { groups: 1 }, &[normed]).unwrap();
        let most = graph.push("most", Op::Max, &[shares, bent]).unwrap();
        graph.push("out", conv(&[1, 3, 1], 1, 0), &[most]).unwrap();
        graph
    }

    fn play(stream: &super::StreamGraph, input: &[f32]) -> Vec<f32> {
        let mut output = vec![0.0; input.len()];
        Engine::new(Plan::new(stream).unwrap(), Randomness::Deterministic).process(&[input], &mut [&mut output]);
        output
    }

    #[test]
    fn every_second_sample_is_the_models_own() {
        let stream = rewrite::rewrite_graph(&graph()).unwrap();
        let input: Vec<f32> = (0..600).map(|i| ((i * i) as f32 * 0.01).sin()).collect();
        for multiple in 1..=4 {
            let finer = stream.at_multiple_of_rate(multiple).unwrap().unwrap();
            assert_eq!(finer.latency_samples(), multiple as u64 * stream.latency_samples());
            let found = play(&finer, &input);
            for phase in 0..multiple {
                let own: Vec<f32> = input.iter().copied().skip(phase).step_by(multiple).collect();
                let found: Vec<f32> = found.iter().copied().skip(phase).step_by(multiple).collect();
                assert_eq!(found, play(&stream, &own), "phase {phase} of {multiple}");
            }
        }
    }

    #[test]
    fn what_counts_frames_is_left_to_a_resampler() {
        let gru = Gru {
            weight_ih: weight(&[9, 1]),
            weight_hh: weight(&[9, 3]),
            bias_ih: weight(&[9]),
            bias_hh: weight(&[9]),
            reset: Reset::Product,
            initial_hidden: None,
        };
        let rnn = Rnn {
            weight_ih: weight(&[3, 1]),
            weight_hh: weight(&[3, 3]),
            bias: weight(&[3]),
            initial_hidden: weight(&[3]),
            activation: RnnActivation::Tanh,
        };
        let noise = Op::Gaussian { channels: 1, key: 1 };
        for op in [Op::AlternateSign, Op::Repeat { factor: 2 }, Op::Gru(gru), Op::Rnn(rnn), noise] {
            let mut graph = Graph::new(1);
            graph.push("op", op, &[0]).unwrap();
            assert!(rewrite::rewrite_graph(&graph).unwrap().at_multiple_of_rate(2).is_none());
        }
    }
}
