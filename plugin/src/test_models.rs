//! Models small enough to know what they do.

use std::sync::Arc;

use runnel::graph::{Conv1d, ConvTranspose1d, Op, Parameter, Pointwise};
use runnel::model::Provenance;
use runnel::stream::{LatentStreams, PriorStream};
use runnel::{Graph, Info, StreamModel, Tensor};

use crate::hosted::LoadedModel;
use crate::params::{Latency, Mode};

/// The identity but for a tap of −180 dB, for whose sake it waits for `ahead` samples.
pub(crate) fn lookahead(ahead: usize, channels: usize, sampling_rate: u32) -> LoadedModel {
    LoadedModel::new(&lookahead_stream(ahead, channels, sampling_rate), Mode::Forward, Latency::Least).unwrap()
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
    let provenance = Provenance::default();
    let info = Info {
        name: "lookahead".into(),
        description: format!("{channels} channels, {sampling_rate} Hz"),
        sampling_rate,
        latent_names: vec![],
        levels: runnel::Levels::default(),
        refit: None,
        provenance,
    };
    StreamModel { forward: runnel::rewrite::rewrite_graph(&graph).unwrap(), latent: None, prior: None, info }
}

/// A gain that a player holds, looked at every 64 samples.
pub(crate) fn steered_stream(sampling_rate: u32) -> StreamModel {
    let parameter = Parameter {
        name: "Gain".into(),
        unit: String::new(),
        default: vec![1.0],
        minimum: -2.0,
        maximum: 10.0,
        every: 64,
    };
    let mut graph = Graph::new(1);
    let gain = graph.push("gain", Op::Parameter(parameter), &[0]).unwrap();
    let gain = graph.push("often", Op::Repeat { factor: 64 }, &[gain]).unwrap();
    graph.push("louder", Op::Mul, &[0, gain]).unwrap();
    let mut model = lookahead_stream(0, 1, sampling_rate);
    model.forward = runnel::rewrite::rewrite_graph(&graph).unwrap();
    model
}

/// Two latents every 64 samples, and back.
pub(crate) fn autoencoder_stream(sampling_rate: u32) -> StreamModel {
    let weight = |shape: [usize; 3]| {
        let len = shape.iter().product::<usize>();
        Arc::new(Tensor::new(shape, (0..len).map(|i| ((i * 37 % 19) as f32 - 9.0) / 40.0).collect()))
    };
    let down = Conv1d { weight: weight([2, 1, 96]), bias: None, stride: 64, dilation: 1, left_padding: 16, groups: 1 };
    let up = ConvTranspose1d { weight: weight([2, 1, 64]), bias: None, stride: 64, left_trim: 0, groups: 1 };
    let stream = |channels, ops: &[(&str, Op)]| {
        let mut graph = Graph::new(channels);
        for (i, (name, op)) in ops.iter().enumerate() {
            graph.push(*name, op.clone(), &[i]).unwrap();
        }
        runnel::rewrite::rewrite_graph(&graph).unwrap()
    };
    let (down, up) = (("down", Op::Conv1d(down)), ("up", Op::ConvTranspose1d(up)));
    let mut model = lookahead_stream(0, 1, sampling_rate);
    model.info.latent_names = vec!["first".into(), "second".into()];
    model.forward = stream(1, &[down.clone(), ("latents", Op::LatentEdit), up.clone()]);
    model.latent = Some(LatentStreams { encode: stream(1, &[down]), decode: stream(2, &[up]) });
    model
}

/// As [`autoencoder_stream`], with a prior: each latent one of four indices, after the two frames before.
pub(crate) fn autoencoder_with_prior(sampling_rate: u32) -> StreamModel {
    let values = |len: usize| (0..len).map(|i| ((i * 29 % 23) as f32 - 11.0) / 6.0).collect::<Vec<f32>>();
    let conv = Conv1d {
        weight: Arc::new(Tensor::new([8, 8, 2], values(128))),
        bias: None,
        stride: 1,
        dilation: 1,
        left_padding: 1,
        groups: 1,
    };
    let mut graph = Graph::new(8);
    graph.push("prior", Op::Conv1d(conv), &[0]).unwrap();
    let network = runnel::rewrite::rewrite_graph(&graph).unwrap();
    let mut model = autoencoder_stream(sampling_rate);
    model.prior = Some(PriorStream::new(network, 4).unwrap());
    model
}

/// Two channels that learn, every second sample, between two convolutions.
pub(crate) fn learner_stream(sampling_rate: u32) -> StreamModel {
    let weight = |shape: [usize; 3]| {
        let len = shape.iter().product::<usize>();
        Arc::new(Tensor::new(shape, (0..len).map(|i| ((i * 37 % 19) as f32 - 9.0) / 12.0).collect()))
    };
    let down = Conv1d { weight: weight([2, 1, 5]), bias: None, stride: 2, dilation: 1, left_padding: 2, groups: 1 };
    let up = ConvTranspose1d { weight: weight([2, 1, 4]), bias: None, stride: 2, left_trim: 1, groups: 1 };
    let mut graph = Graph::new(1);
    graph.push("down", Op::Conv1d(down), &[0]).unwrap();
    graph.push("adain", Op::AdaIn { source: None, target: None }, &[1]).unwrap();
    graph.push("bent", Op::Pointwise(Pointwise::Tanh), &[2]).unwrap();
    graph.push("up", Op::ConvTranspose1d(up), &[3]).unwrap();
    let mut model = lookahead_stream(0, 1, sampling_rate);
    model.forward = runnel::rewrite::rewrite_graph(&graph).unwrap();
    model
}

/// The power near `ahead` samples later, of spectra that look 4 999 samples ahead whatever else does.
pub(crate) fn spectral_stream(ahead: usize, sampling_rate: u32) -> StreamModel {
    let ones = |shape: &[usize]| Arc::new(Tensor::new(shape, vec![1.0; shape.iter().product()]));
    let conv =
        |weight, dilation| Op::Conv1d(Conv1d { weight, bias: None, stride: 1, dilation, left_padding: 0, groups: 1 });
    let mut graph = Graph::new(1);
    graph.push("ahead", conv(ones(&[1, 1, 2]), ahead), &[0]).unwrap();
    graph.push("spectrum", Op::PowerSpectrum { window: ones(&[8192]), hop: 2048, left: 3192 }, &[1]).unwrap();
    graph.push("power", conv(ones(&[1, 4097, 1]), 1), &[2]).unwrap();
    graph.push("often", Op::Repeat { factor: 2048 }, &[3]).unwrap();
    let mut model = lookahead_stream(0, 1, sampling_rate);
    model.forward = runnel::rewrite::rewrite_graph(&graph).unwrap();
    model
}
