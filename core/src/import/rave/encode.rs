//! Description → the graph from audio to latents.

use std::sync::Arc;

use super::description::{Description, Input, Latents, Layer, Mel, Pqmf};
use super::weights::malformed;
use crate::graph::{Conv1d, Graph, NodeId, Op, Pointwise};
use crate::import::ImportError;
use crate::tensor::{Tensor, Weight};

/// Names the posterior's noise among the model's random parts.
const POSTERIOR_KEY: u32 = 0;

/// Added to the posterior's deviation.
const DEVIATION_FLOOR: f32 = 1e-4;

/// The encoder, keeping `kept` latents.
pub(super) fn encode(description: &Description, kept: usize) -> Result<Graph, ImportError> {
    let mut graph = Graph::new(description.channels);
    let features = match &description.input {
        Input::Raw => 0,
        Input::Bands(pqmf) => analysis(&mut graph, pqmf, description.channels)?,
        Input::Mel(mel) => mel_spectrogram(&mut graph, mel, description.channels)?,
    };
    let encoded = chain(&mut graph, &description.encoder, features)?;
    match &description.latents {
        Latents::Variational { components, mean, .. } => {
            let sample = posterior(&mut graph, encoded, mean.len())?;
            graph.push("latent_pca", project(components, mean, kept), &[sample])?;
        }
        Latents::Discrete { codebooks } => {
            graph.push("encoder.rvq", Op::Quantize { codebooks: codebooks.clone() }, &[encoded])?;
        }
        Latents::Wasserstein => {}
        Latents::Spherical => {
            graph.push("encoder.angles", Op::ToAngles, &[encoded])?;
        }
    }
    Ok(graph)
}

/// Appends `layers` after node `input`; returns the last node.
pub(super) fn chain(graph: &mut Graph, layers: &[Layer], input: NodeId) -> Result<NodeId, ImportError> {
    let mut last = input;
    for layer in layers {
        last = match layer {
            Layer::Op { name, op } => graph.push(name.clone(), op.clone(), &[last])?,
            Layer::Residual { name, chain: inner } => {
                let branch = chain(graph, inner, last)?;
                graph.push(name.clone(), Op::Add, &[branch, last])?
            }
            Layer::Sum { name, branches } => {
                let ends = branches.iter().map(|b| chain(graph, b, last)).collect::<Result<Vec<_>, _>>()?;
                match ends[..] {
                    [] => return Err(malformed(name, "has no branch; the checkpoint is damaged".into())),
                    [only] => only,
                    _ => graph.push(name.clone(), Op::Add, &ends)?,
                }
            }
        };
    }
    Ok(last)
}

/// The bank over every channel; sub-bands are stacked channel by channel.
fn analysis(graph: &mut Graph, pqmf: &Pqmf, channels: usize) -> Result<NodeId, ImportError> {
    let mut shape = pqmf.analysis.shape().to_vec();
    shape[0] *= channels;
    let conv = Conv1d {
        weight: Arc::new(Tensor::new(shape, pqmf.analysis.data().repeat(channels))),
        bias: None,
        stride: pqmf.bands(),
        dilation: 1,
        left_padding: pqmf.analysis_left,
        groups: channels,
    };
    let bands = graph.push("pqmf.forward", Op::Conv1d(conv), &[0])?;
    Ok(graph.push("pqmf.forward.sign", Op::AlternateSign, &[bands])?)
}

/// One spectrogram per channel, stacked channel by channel.
fn mel_spectrogram(graph: &mut Graph, mel: &Mel, channels: usize) -> Result<NodeId, ImportError> {
    let [mels, bins] = [mel.filterbank.shape()[0], mel.filterbank.shape()[1]];
    let filterbank = Arc::new(Tensor::new([mels, bins, 1], mel.filterbank.data().to_vec()));
    let mut stacked = Vec::new();
    for channel in 0..channels {
        let (audio, suffix) = if channels == 1 {
            (0, String::new())
        } else {
            let slice = Op::Slice { start: channel, channels: 1 };
            (graph.push(format!("spectrogram.channel.{channel}"), slice, &[0])?, format!(".{channel}"))
        };
        let spectrum = Op::PowerSpectrum { window: mel.window.clone(), hop: mel.hop, left: mel.left };
        let spectrum = graph.push(format!("spectrogram.spectrogram{suffix}"), spectrum, &[audio])?;
        let bank = pointwise_conv(filterbank.clone(), None);
        stacked.push(graph.push(format!("spectrogram.mel_scale{suffix}"), bank, &[spectrum])?);
    }
    let all = match stacked[..] {
        [only] => only,
        _ => graph.push("spectrogram.channels", Op::Concat, &stacked)?,
    };
    Ok(graph.push("spectrogram.log1p", Op::Pointwise(Pointwise::Log1p), &[all])?)
}

/// `mean + (softplus(scale) + 1e-4) · N(0, 1)`; mean and scale are the halves of the encoder's output.
fn posterior(graph: &mut Graph, encoded: NodeId, latents: usize) -> Result<NodeId, ImportError> {
    let found = graph.node(encoded).channels;
    if found != 2 * latents {
        let reason = format!(
            "makes {found} channels, {} are needed: a mean and a scale for each of {latents} latents",
            2 * latents
        );
        return Err(malformed(&graph.node(encoded).name.clone(), reason));
    }
    let half = |start| Op::Slice { start, channels: latents };
    let mean = graph.push("posterior.mean", half(0), &[encoded])?;
    let scale = graph.push("posterior.scale", half(latents), &[encoded])?;
    let softplus = graph.push("posterior.softplus", Op::Pointwise(Pointwise::Softplus), &[scale])?;
    let floor = Op::Pointwise(Pointwise::Affine { scale: 1.0, offset: DEVIATION_FLOOR });
    let deviation = graph.push("posterior.deviation", floor, &[softplus])?;
    let noise = graph.push("posterior.noise", Op::Gaussian { channels: latents, key: POSTERIOR_KEY }, &[mean])?;
    let spread = graph.push("posterior.spread", Op::Mul, &[deviation, noise])?;
    Ok(graph.push("posterior", Op::Add, &[mean, spread])?)
}

/// `components · (z − mean)`, its first `kept` rows.
fn project(components: &Weight, mean: &Weight, kept: usize) -> Op {
    let full = mean.len();
    let bias = (0..kept)
        .map(|row| {
            let product: f64 =
                components.row(row).iter().zip(mean.data()).map(|(&p, &m)| f64::from(p) * f64::from(m)).sum();
            -product as f32
        })
        .collect();
    pointwise_conv(
        Arc::new(Tensor::new([kept, full, 1], components.data()[..kept * full].to_vec())),
        Some(Arc::new(Tensor::new([kept], bias))),
    )
}

/// A convolution that reads one frame.
pub(super) fn pointwise_conv(weight: Weight, bias: Option<Weight>) -> Op {
    Op::Conv1d(Conv1d { weight, bias, stride: 1, dilation: 1, left_padding: 0, groups: 1 })
}
