//! Turns every convolution into a gather over cached frames, and a convolution whose channels become time into one
//! gather of several phases.
//!
//! ```text
//! before: %1 up = conv_transpose1d(%0) {stride 4, left_trim 2}      %1 c = conv1d(%0)  %2 y = depth_to_time(%1) {factor 16}
//! after:  %1 up = conv_transposed(%0) {stride 4, left 2}            %1 y = conv_subpixel(%0) {factor 16}
//! ```

use std::sync::Arc;

use super::fold::scale_and_offset;
use super::simplify::readers;
use crate::graph::{Conv1d, Graph, NodeId, Op};
use crate::stream::{CachedConv, ConvKind, StreamOp};
use crate::tensor::{Tensor, Weight};

/// The nodes of the stream: name, op, inputs.
pub(super) fn gather(graph: &Graph) -> Vec<(String, StreamOp, Vec<NodeId>)> {
    let readers = readers(graph);
    let mut nodes: Vec<(String, StreamOp, Vec<NodeId>)> = Vec::with_capacity(graph.nodes().len());
    let mut ids = Vec::with_capacity(graph.nodes().len());
    for (id, node) in graph.nodes().iter().enumerate() {
        let mut inputs: Vec<NodeId> = node.inputs.iter().map(|&i| ids[i]).collect();
        if interleaved(graph, &readers, id).is_some() {
            // Its reader becomes the convolution, on the same input.
            ids.push(inputs[0]);
            continue;
        }
        let op = match &node.op {
            Op::DepthToTime { factor } => match &graph.node(node.inputs[0]).op {
                Op::Conv1d(conv) if interleaved(graph, &readers, node.inputs[0]).is_some() => {
                    inputs = vec![ids[node.inputs[0]]];
                    StreamOp::Conv(cached(conv, ConvKind::Subpixel { factor: *factor }))
                }
                _ => StreamOp::DepthToTime { factor: *factor },
            },
            op => plain(op),
        };
        ids.push(nodes.len());
        nodes.push((node.name.clone(), op, inputs));
    }
    nodes
}

/// The factor by which the only reader of convolution `id` interleaves its channels.
fn interleaved(graph: &Graph, readers: &[Vec<NodeId>], id: NodeId) -> Option<usize> {
    let Op::Conv1d(Conv1d { stride: 1, groups, .. }) = graph.node(id).op else { return None };
    let [reader] = readers[id][..] else { return None };
    match graph.node(reader).op {
        // The phases of a channel belong to one group.
        Op::DepthToTime { factor } => graph.node(reader).channels.is_multiple_of(groups).then_some(factor),
        _ => None,
    }
}

fn cached(conv: &Conv1d, kind: ConvKind) -> CachedConv {
    CachedConv {
        kind,
        weight: conv.weight.clone(),
        bias: conv.bias.clone(),
        dilation: conv.dilation,
        left: conv.left_padding,
        groups: conv.groups,
    }
}

fn plain(op: &Op) -> StreamOp {
    match op {
        Op::Input { channels } => StreamOp::Input { channels: *channels },
        Op::Conv1d(conv) => StreamOp::Conv(cached(conv, ConvKind::Strided { stride: conv.stride })),
        Op::ConvTranspose1d(conv) => StreamOp::Conv(CachedConv {
            kind: ConvKind::Transposed { stride: conv.stride },
            weight: conv.weight.clone(),
            bias: conv.bias.clone(),
            dilation: 1,
            left: conv.left_trim as i64,
            groups: conv.groups,
        }),
        Op::BatchNorm(norm) => {
            let (scale, offset) = scale_and_offset(norm);
            StreamOp::ChannelAffine { scale: rounded(&scale), offset: rounded(&offset) }
        }
        Op::AdaIn { source, target } => StreamOp::AdaIn { source: source.clone(), target: target.clone() },
        Op::Pointwise(function) => StreamOp::Pointwise(*function),
        Op::Snake { alpha } => StreamOp::Snake { alpha: alpha.clone() },
        Op::Add => StreamOp::Add,
        Op::Mul => StreamOp::Mul,
        Op::Concat => StreamOp::Concat,
        Op::Slice { start, channels } => StreamOp::Slice { start: *start, channels: *channels },
        Op::AlternateSign => StreamOp::AlternateSign,
        Op::DepthToTime { factor } => StreamOp::DepthToTime { factor: *factor },
        Op::Repeat { factor } => StreamOp::Repeat { factor: *factor },
        Op::Gaussian { channels, key } => StreamOp::Gaussian { channels: *channels, key: *key },
        Op::NoiseSynth(synth) => StreamOp::NoiseSynth(synth.clone()),
        Op::Gru(gru) => StreamOp::Gru(gru.clone()),
        Op::PowerSpectrum { window, hop, left } => {
            StreamOp::PowerSpectrum { window: window.clone(), hop: *hop, left: *left }
        }
        Op::UnitNorm => StreamOp::UnitNorm,
        Op::ToAngles => StreamOp::ToAngles,
        Op::FromAngles => StreamOp::FromAngles,
        Op::Quantize { codebooks } => StreamOp::Quantize { codebooks: codebooks.clone() },
        Op::Dequantize { codebooks } => StreamOp::Dequantize { codebooks: codebooks.clone() },
        Op::LatentEdit => StreamOp::LatentEdit,
        Op::Lstm(lstm) => StreamOp::Lstm(lstm.clone()),
        Op::Rnn(rnn) => StreamOp::Rnn(rnn.clone()),
        Op::PRelu { slope } => StreamOp::PRelu { slope: slope.clone() },
        Op::Parameter(parameter) => StreamOp::Parameter(parameter.clone()),
        Op::Max => StreamOp::Max,
        Op::LayerNorm(norm) => StreamOp::LayerNorm(norm.clone()),
        Op::Softmax { groups } => StreamOp::Softmax { groups: *groups },
    }
}

fn rounded(values: &[f64]) -> Weight {
    Arc::new(Tensor::new([values.len()], values.iter().map(|&v| v as f32).collect()))
}
