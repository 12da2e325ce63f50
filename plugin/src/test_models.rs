//! Models small enough to know what they do.

use std::sync::Arc;

use runnel::graph::{Conv1d, Op};
use runnel::model::Provenance;
use runnel::{Graph, Info, StreamModel, Tensor};

use crate::hosted::LoadedModel;

/// The identity but for a tap of −180 dB, for whose sake it waits for `ahead` samples.
pub(crate) fn lookahead(ahead: usize, channels: usize, sampling_rate: u32) -> LoadedModel {
    LoadedModel::new(lookahead_stream(ahead, channels, sampling_rate)).unwrap()
}

/// As [`lookahead`], not planned yet.
pub(crate) fn lookahead_stream(ahead: usize, channels: usize, sampling_rate: u32) -> StreamModel {
    let taps = if ahead == 0 { vec![1.0] } else { vec![1.0, 1e-9] };
    let conv = Conv1d {
        weight: Arc::new(Tensor::new([channels, 1, taps.len()], taps.repeat(channels))),
        bias: None,
        stride: 1,
        dilation: ahead.max(1),
        left_padding: 0,
        groups: channels,
    };
    let mut graph = Graph::new(channels);
    graph.push("ahead", Op::Conv1d(conv), &[0]).unwrap();
    let provenance = Provenance { source: String::new(), sha256: String::new(), converter: String::new() };
    let info = Info {
        name: "lookahead".into(),
        description: format!("{channels} channels, {sampling_rate} Hz"),
        sampling_rate,
        latent_names: vec![],
        provenance,
    };
    StreamModel { forward: runnel::rewrite::rewrite_graph(&graph).unwrap(), latent: None, info }
}
