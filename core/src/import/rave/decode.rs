//! Description → the graph from latents to audio.

use std::sync::Arc;

use super::description::{Description, Head, Latents, Noise, Pqmf};
use super::encode::{chain, pointwise_conv};
use super::input_width;
use super::noise::response;
use super::weights::malformed;
use crate::graph::{Conv1d, Excitation, Graph, NodeId, NoiseSynth, Op, Pointwise};
use crate::import::ImportError;
use crate::tensor::{Tensor, Weight};

/// Names the refill of latents that are not given among the model's random parts.
const REFILL_KEY: u32 = 1;

/// Names the noise synthesiser among the model's random parts.
const NOISE_KEY: u32 = 2;

/// Added to a noise synthesiser's net before its non-linearity.
const NOISE_FLOOR: f32 = -5.0;

/// The decoder of `kept` latents.
pub(super) fn decode(description: &Description, kept: usize) -> Result<Graph, ImportError> {
    let mut graph = Graph::new(kept);
    let width = input_width(&description.decoder, "decoder.net.0")?;
    let features = match &description.latents {
        Latents::Variational { components, mean, .. } => {
            let all = refill(&mut graph, 0, mean.len())?;
            graph.push("latent_pca.inverse", unproject(components, mean), &[all])?
        }
        Latents::Discrete { codebooks } => {
            let codes = graph.push("decoder.rvq", Op::Dequantize { codebooks: codebooks.clone() }, &[0])?;
            refill(&mut graph, codes, width)?
        }
        Latents::Wasserstein => refill(&mut graph, 0, width)?,
        Latents::Spherical => graph.push("decoder.angles", Op::FromAngles, &[0])?,
    };
    let features = chain(&mut graph, &description.decoder, features)?;
    let bands = head(&mut graph, &description.head, features)?;
    if let Some(pqmf) = &description.output {
        synthesis(&mut graph, pqmf, description.channels, bands)?;
    }
    let made = graph.output();
    if made.channels != description.channels {
        let reason = format!("makes {} channels of audio, the encoder reads {}", made.channels, description.channels);
        return Err(malformed(&made.name.clone(), reason));
    }
    Ok(graph)
}

/// Appends Gaussian channels to those of `node` until there are `width`.
fn refill(graph: &mut Graph, node: NodeId, width: usize) -> Result<NodeId, ImportError> {
    let given = graph.node(node).channels;
    if given >= width {
        return Ok(node);
    }
    let noise = graph.push("refill", Op::Gaussian { channels: width - given, key: REFILL_KEY }, &[node])?;
    Ok(graph.push("refilled", Op::Concat, &[node, noise])?)
}

/// `componentsᵀ · z + mean`.
fn unproject(components: &Weight, mean: &Weight) -> Op {
    let full = mean.len();
    let mut transposed = vec![0.0; full * full];
    for row in 0..full {
        for (column, &value) in components.row(row).iter().enumerate() {
            transposed[column * full + row] = value;
        }
    }
    pointwise_conv(Arc::new(Tensor::new([full, full, 1], transposed)), Some(mean.clone()))
}

fn head(graph: &mut Graph, head: &Head, features: NodeId) -> Result<NodeId, ImportError> {
    let tanh = Op::Pointwise(Pointwise::Tanh);
    match head {
        Head::V1 { waveform, loudness, loudness_stride, noise } => {
            let waveform = chain(graph, std::slice::from_ref(waveform), features)?;
            let waveform = graph.push("decoder.tanh", tanh, &[waveform])?;
            let loudness = chain(graph, std::slice::from_ref(loudness), features)?;
            let mut loudness = graph.push("decoder.loudness", Op::Pointwise(Pointwise::ModSigmoid), &[loudness])?;
            if *loudness_stride > 1 {
                let repeat = Op::Repeat { factor: *loudness_stride };
                loudness = graph.push("decoder.loudness.repeat", repeat, &[loudness])?;
            }
            let shaped = graph.push("decoder.shaped", Op::Mul, &[waveform, loudness])?;
            add_noise(graph, noise.as_ref(), features, shaped)
        }
        Head::V2 { waveform, amplitude_modulation, noise } => {
            let mut waveform = chain(graph, std::slice::from_ref(waveform), features)?;
            if *amplitude_modulation {
                let half = graph.node(waveform).channels / 2;
                let slice = |start| Op::Slice { start, channels: half };
                let carrier = graph.push("decoder.carrier", slice(0), &[waveform])?;
                let amplitude = graph.push("decoder.amplitude", slice(half), &[waveform])?;
                let gate = graph.push("decoder.gate", Op::Pointwise(Pointwise::Sigmoid), &[amplitude])?;
                waveform = graph.push("decoder.modulated", Op::Mul, &[carrier, gate])?;
            }
            let noisy = add_noise(graph, noise.as_ref(), features, waveform)?;
            Ok(graph.push("decoder.tanh", tanh, &[noisy])?)
        }
    }
}

fn add_noise(graph: &mut Graph, noise: Option<&Noise>, features: NodeId, clean: NodeId) -> Result<NodeId, ImportError> {
    let Some(noise) = noise else { return Ok(clean) };
    let name = |part: &str| format!("{}.{part}", noise.name);
    let net = chain(graph, &noise.net, features)?;
    let floor = Op::Pointwise(Pointwise::Affine { scale: 1.0, offset: NOISE_FLOOR });
    let floor = graph.push(name("floor"), floor, &[net])?;
    let amplitudes = graph.push(name("amplitudes"), Op::Pointwise(Pointwise::ModSigmoid), &[floor])?;
    let synth =
        NoiseSynth { response: response(noise.bands, noise.size), excitation: Excitation::Random { key: NOISE_KEY } };
    let filtered = graph.push(noise.name.clone(), Op::NoiseSynth(synth), &[amplitudes])?;
    Ok(graph.push("decoder.noisy", Op::Add, &[clean, filtered])?)
}

/// The inverse bank over every channel. Its gain, the number of bands, and the reversal of its rows are in the weight.
fn synthesis(graph: &mut Graph, pqmf: &Pqmf, channels: usize, bands: NodeId) -> Result<NodeId, ImportError> {
    let factor = pqmf.bands();
    let mut weight = Vec::with_capacity(pqmf.synthesis.len());
    for row in (0..factor).rev() {
        // The gain is a power of two: the products are exact.
        weight.extend(pqmf.synthesis.row(row).iter().map(|v| v * factor as f32));
    }
    let mut shape = pqmf.synthesis.shape().to_vec();
    shape[0] *= channels;
    let conv = Conv1d {
        weight: Arc::new(Tensor::new(shape, weight.repeat(channels))),
        bias: None,
        stride: 1,
        dilation: 1,
        left_padding: pqmf.synthesis_left,
        groups: channels,
    };
    let signed = graph.push("pqmf.inverse.sign", Op::AlternateSign, &[bands])?;
    let phases = graph.push("pqmf.inverse", Op::Conv1d(conv), &[signed])?;
    Ok(graph.push("pqmf.interleave", Op::DepthToTime { factor }, &[phases])?)
}
