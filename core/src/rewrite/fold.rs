//! Folds a batch norm into the convolution before it.
//!
//! ```text
//! before: %1 net.0 = conv1d(%0) {weight w, bias b}      %2 net.1 = batch_norm(%1)
//! after:  %1 net.1 = conv1d(%0) {weight g·w, bias g·(b − mean) + bias}      g = weight / √(variance + epsilon)
//! ```
//!
//! Applies where nothing else reads the convolution. Coefficients are folded in f64 and rounded once.

use std::sync::Arc;

use super::simplify::readers;
use crate::graph::{BatchNorm, Conv1d, Graph, GraphError, Op};
use crate::tensor::Tensor;

/// The graph with every such batch norm folded.
pub(crate) fn fold(graph: &Graph) -> Result<Graph, GraphError> {
    let readers = readers(graph);
    let mut folded = Graph::new(graph.input().channels);
    let mut ids = vec![0];
    for (id, node) in graph.nodes().iter().enumerate().skip(1) {
        let inputs: Vec<_> = node.inputs.iter().map(|&i| ids[i]).collect();
        let taken_in = matches!(node.op, Op::Conv1d(_))
            && readers[id].len() == 1
            && matches!(graph.node(readers[id][0]).op, Op::BatchNorm(_));
        if taken_in {
            // Its reader becomes the convolution, on the same input.
            ids.push(inputs[0]);
            continue;
        }
        let op = match (&node.op, node.inputs.first().map(|&i| (i, graph.node(i)))) {
            (Op::BatchNorm(norm), Some((i, before))) if readers[i].len() == 1 => match &before.op {
                Op::Conv1d(conv) => Op::Conv1d(folded_conv(conv, norm)),
                _ => node.op.clone(),
            },
            _ => node.op.clone(),
        };
        ids.push(folded.push(node.name.clone(), op, &inputs)?);
    }
    Ok(folded)
}

/// Scale and offset per channel that a batch norm applies.
pub(crate) fn scale_and_offset(norm: &BatchNorm) -> (Vec<f64>, Vec<f64>) {
    let part = |w: &Option<crate::Weight>, i: usize, absent: f64| w.as_ref().map_or(absent, |w| f64::from(w.data()[i]));
    (0..norm.mean.len())
        .map(|i| {
            let deviation = (f64::from(norm.variance.data()[i]) + norm.epsilon).sqrt();
            let scale = part(&norm.weight, i, 1.0) / deviation;
            (scale, part(&norm.bias, i, 0.0) - scale * f64::from(norm.mean.data()[i]))
        })
        .unzip()
}

fn folded_conv(conv: &Conv1d, norm: &BatchNorm) -> Conv1d {
    let (scale, offset) = scale_and_offset(norm);
    let width = conv.weight.len() / scale.len();
    let weight =
        conv.weight.data().iter().enumerate().map(|(i, w)| (f64::from(*w) * scale[i / width]) as f32).collect();
    let bias = (0..scale.len())
        .map(|i| (conv.bias.as_ref().map_or(0.0, |b| f64::from(b.data()[i])) * scale[i] + offset[i]) as f32)
        .collect();
    Conv1d {
        weight: Arc::new(Tensor::new(conv.weight.shape(), weight)),
        bias: Some(Arc::new(Tensor::new([scale.len()], bias))),
        ..conv.clone()
    }
}
