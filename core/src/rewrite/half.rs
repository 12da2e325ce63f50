//! Rounds the weights of layers that see few frames to f16: those are bound by reading their weights, not by
//! arithmetic. The one pass that changes values, and only on request.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::stream::{StreamGraph, StreamModel, StreamNode, StreamOp};
use crate::tensor::{Tensor, Weight};

/// What [`half`] did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HalfReport {
    /// Layers whose weights are f16 now.
    pub layers: usize,
    /// Values of those weights, each counted once.
    pub values: u64,
    /// Layers that stay f32 because a weight of theirs lies beyond the largest f16, 65 504.
    pub skipped: Vec<String>,
}

/// Samples per run of a layer, from which on it sees few frames: at most 4 in 2048 samples.
const FEW_FRAMES_SAMPLES: i64 = 512;

/// `model` with f16 weights in its convolutions of low rate. Biases, and all else, stay f32.
pub fn half(model: &StreamModel) -> (StreamModel, HalfReport) {
    let mut model = model.clone();
    let mut report = HalfReport::default();
    let mut rounded: HashMap<*const Tensor, Weight> = HashMap::new();
    let kept: HashSet<_> = streams(&model).flat_map(weights_to_keep).collect();
    let mut skipped = HashSet::new();
    for stream in streams(&model) {
        for (name, weight) in candidates(stream).filter(|(_, weight)| !kept.contains(&Arc::as_ptr(weight))) {
            let key = Arc::as_ptr(weight);
            if rounded.contains_key(&key) || !skipped.insert(key) {
                continue;
            }
            match weight.to_half() {
                Some(half) => {
                    report.layers += 1;
                    report.values += half.len() as u64;
                    rounded.insert(key, Arc::new(half));
                }
                None => report.skipped.push(name.to_owned()),
            }
        }
    }
    // The originals live until all are replaced: their addresses name them.
    let originals = model.clone();
    for stream in streams_mut(&mut model) {
        stream.map_weights(|weight| rounded.get(&Arc::as_ptr(weight)).unwrap_or(weight).clone());
    }
    drop(originals);
    (model, report)
}

/// The weights that this pass may round, with the names of their layers.
fn candidates(stream: &StreamGraph) -> impl Iterator<Item = (&str, &Weight)> {
    stream.nodes().iter().filter_map(|node| match &node.op {
        StreamOp::Conv(conv) if sees_few_frames(stream, node) => Some((node.name.as_str(), &conv.weight)),
        _ => None,
    })
}

/// The weights that some node needs as they are.
fn weights_to_keep(stream: &StreamGraph) -> Vec<*const Tensor> {
    let of_node = |node: &StreamNode| -> Vec<*const Tensor> {
        match &node.op {
            StreamOp::Conv(conv) if sees_few_frames(stream, node) => conv.bias.iter().map(Arc::as_ptr).collect(),
            op => op.weights().into_iter().map(Arc::as_ptr).collect(),
        }
    };
    stream.nodes().iter().flat_map(of_node).collect()
}

fn sees_few_frames(stream: &StreamGraph, node: &StreamNode) -> bool {
    // A layer that makes several frames of one reads its weights once for all of them.
    let phases = node.reads.first().map_or(1, |reads| reads.phases);
    node.timeline.step * phases >= FEW_FRAMES_SAMPLES * stream.ticks_per_sample()
}

fn streams(model: &StreamModel) -> impl Iterator<Item = &StreamGraph> {
    let latent = model.latent.iter().flat_map(|l| [&l.encode, &l.decode]);
    std::iter::once(&model.forward).chain(latent)
}

fn streams_mut(model: &mut StreamModel) -> impl Iterator<Item = &mut StreamGraph> {
    let latent = model.latent.iter_mut().flat_map(|l| [&mut l.encode, &mut l.decode]);
    std::iter::once(&mut model.forward).chain(latent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Conv1d, ConvTranspose1d, Graph, Op};
    use crate::model::{Info, Provenance};
    use crate::rewrite::rewrite;
    use crate::{Model, format};

    /// Down by 512, a layer there, and up again.
    fn model(deep: f32) -> StreamModel {
        let weight = |shape: [usize; 3], value: f32| Arc::new(Tensor::new(shape, vec![value; shape.iter().product()]));
        let conv = |weight, stride| {
            let bias = Some(Arc::new(Tensor::new([2], vec![0.1; 2])));
            Op::Conv1d(Conv1d { weight, bias, stride, dilation: 1, left_padding: 0, groups: 1 })
        };
        let mut graph = Graph::new(1);
        let first = graph.push("shallow", conv(weight([2, 1, 3], 0.3), 1), &[0]).unwrap();
        let down = graph.push("down", conv(weight([2, 2, 4], 0.7), 512), &[first]).unwrap();
        let mixed = graph.push("deep", conv(weight([2, 2, 1], deep), 1), &[down]).unwrap();
        let up = ConvTranspose1d { weight: weight([2, 1, 512], 0.9), bias: None, stride: 512, left_trim: 0, groups: 1 };
        graph.push("up", Op::ConvTranspose1d(up), &[mixed]).unwrap();
        let provenance = Provenance::default();
        let info = Info {
            name: String::new(),
            description: String::new(),
            sampling_rate: 48_000,
            latent_names: vec![],
            levels: crate::Levels::default(),
            refit: None,
            provenance,
        };
        rewrite(&Model { forward: graph, latent: None, prior: None, info }).unwrap()
    }

    #[test]
    fn layers_of_few_frames_are_rounded_and_nothing_else() {
        let (half, report) = half(&model(1.1));
        assert_eq!(report, HalfReport { layers: 3, values: 16 + 4 + 1024, skipped: vec![] });
        for node in half.forward.nodes() {
            let StreamOp::Conv(conv) = &node.op else { continue };
            assert_eq!(conv.weight.is_half(), node.name != "shallow", "{}", node.name);
            assert!(conv.bias.iter().all(|b| !b.is_half()));
        }
    }

    #[test]
    fn the_file_holds_them_as_they_are() {
        let (half, _) = half(&model(1.1));
        let bytes = format::to_bytes(&half).unwrap();
        assert_eq!(format::from_bytes(&bytes).unwrap(), half);
        assert!(bytes.len() + 2 * 1024 <= format::to_bytes(&model(1.1)).unwrap().len() + 64);
    }

    #[test]
    fn a_layer_beyond_f16_stays() {
        let (half, report) = half(&model(1e5));
        assert_eq!((report.layers, report.skipped), (2, vec!["deep".to_owned()]));
        assert_eq!(format::from_bytes(&format::to_bytes(&half).unwrap()).unwrap(), half);
    }
}
