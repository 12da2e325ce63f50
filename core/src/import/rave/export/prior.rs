//! The prior of an export made with `--prior`: a causal WaveNet (van den Oord et al., *WaveNet*, 2016) over quantised
//! latents. The state that the export holds, of the exporter's own tests, is left behind.

use super::module::{At, class};
use crate::graph::{Conv1d, Graph, NodeId, Op, Pointwise};
use crate::import::ImportError;
use crate::import::rave::description::{Padding, Prior};
use crate::import::rave::weights::malformed;
use crate::import::script::Attribute;

/// Channels of the network's input and output: more than any signal may have is refused by the graph.
const MOST_CHANNELS: usize = 1 << 16;

/// The prior at `at`, or `None` of the stand-in for one.
pub(super) fn prior(at: &At) -> Result<Option<Prior>, ImportError> {
    match class(at.module) {
        "DumbPrior" => return Ok(None),
        "TraceModel" => {}
        _ => return Err(at.unknown()),
    }
    let pretrained = at.child("pretrained")?;
    if class(pretrained.module) != "VariationalPrior" {
        return Err(pretrained.unknown());
    }
    let quantized = pretrained.child("quantized_normal")?;
    stock(&quantized, "clamp", 4)?;
    stock(&pretrained.child("diagonal_shift")?, "groups", 1)?;
    let resolution = size(&quantized, "resolution", 2)?;
    let latents = size(&pretrained, "latent_size", 1)?;
    let channels = resolution.checked_mul(latents).filter(|&c| c <= MOST_CHANNELS).ok_or_else(|| {
        let reason = format!("is {resolution}; times {latents} latents it is more than {MOST_CHANNELS} channels");
        malformed(&quantized.key("resolution"), reason)
    })?;
    let network = network(&pretrained, channels)?;
    let made = network.output().channels;
    if made != channels {
        let reason =
            format!("makes {made} channels; {channels} are needed for {latents} latents of {resolution} indices");
        return Err(malformed(&pretrained.key("post_net"), reason));
    }
    Ok(Some(Prior { network, resolution, ratio: size(at, "ratio", 1)? }))
}

/// One-hot frames to logits.
fn network(at: &At, channels: usize) -> Result<Graph, ImportError> {
    let mut graph = Graph::new(channels);
    let mut x = sequence(&mut graph, &at.child("pre_net")?, 0)?;
    let residuals = at.child("residuals")?;
    let names: Vec<_> = residuals.module.children().into_iter().map(|(name, _)| name).collect();
    let mut skipped: Option<NodeId> = None;
    for (i, name) in names.iter().enumerate() {
        let block = residuals.child(name)?;
        let gated = gate(&mut graph, &block, x)?;
        let skip = push_conv(&mut graph, &block.child("sconv")?, gated)?;
        skipped = Some(match skipped {
            Some(sum) => graph.push(place(&block.key("skipped")), Op::Add, &[sum, skip])?,
            None => skip,
        });
        // What the last block gives on is not read.
        if i + 1 < names.len() {
            let own = push_conv(&mut graph, &block.child("rconv")?, gated)?;
            x = graph.push(place(&block.path), Op::Add, &[x, own])?;
        }
    }
    let skipped = skipped.ok_or_else(|| malformed(&residuals.path, "is empty; the export is damaged".into()))?;
    sequence(&mut graph, &at.child("post_net")?, skipped)?;
    Ok(graph)
}

/// `σ(a) · tanh(b)` of the two halves of a block's dilated convolution.
fn gate(graph: &mut Graph, block: &At, x: NodeId) -> Result<NodeId, ImportError> {
    let conv = push_conv(graph, &block.child("dconv")?, x)?;
    let channels = graph.node(conv).channels / 2;
    let mut half = |part: &str, start, function| {
        let part = place(&block.key(part));
        let slice = graph.push(part.clone(), Op::Slice { start, channels }, &[conv])?;
        graph.push(format!("{part}.function"), Op::Pointwise(function), &[slice])
    };
    let sigmoid = half("gate", 0, Pointwise::Sigmoid)?;
    let tanh = half("filter", channels, Pointwise::Tanh)?;
    Ok(graph.push(place(&block.key("gated")), Op::Mul, &[sigmoid, tanh])?)
}

/// Convolutions and rectifiers, one after another.
fn sequence(graph: &mut Graph, at: &At, mut x: NodeId) -> Result<NodeId, ImportError> {
    for (name, module) in at.module.children() {
        let layer = at.child(name)?;
        x = match class(module) {
            "Conv1d" | "CachedConv1d" => push_conv(graph, &layer, x)?,
            "LeakyReLU" => {
                let slope = module.constant_float("negative_slope").unwrap_or(0.01) as f32;
                graph.push(place(&layer.path), Op::Pointwise(Pointwise::LeakyRelu { slope }), &[x])?
            }
            _ => return Err(layer.unknown()),
        };
    }
    Ok(x)
}

/// A convolution all of whose padding lies in the past.
fn push_conv(graph: &mut Graph, at: &At, x: NodeId) -> Result<NodeId, ImportError> {
    let weight = at.tensor::<3>("weight")?;
    let (dilation, stride) = (at.constant("dilation")?, at.constant("stride")?);
    let reach = Padding::Causal.left(weight.shape()[2], dilation);
    let kept = match (at.module.ints("_pad").as_deref(), at.optional("cache")) {
        (Some(&[left, right]), _) => (left, right),
        (_, Some(cache)) => (cache.int("padding")?, at.int("cumulative_delay")?),
        _ => (0, 0),
    };
    if kept != (reach, 0) || stride != 1 {
        let reason = format!(
            "pads {} frames before and {} after, with stride {stride}; a prior pads {reach} and 0, with stride 1",
            kept.0, kept.1
        );
        return Err(malformed(&at.path, reason));
    }
    let op = Op::Conv1d(Conv1d {
        weight,
        bias: at.optional_vector("bias")?,
        stride,
        dilation,
        left_padding: reach,
        groups: at.constant("groups")?,
    });
    Ok(graph.push(place(&at.path), op, &[x])?)
}

/// A node's name.
fn place(path: &str) -> String {
    path.replace("prior_module.pretrained.", "prior.")
}

/// The stored number `name`, at least `least`.
fn size(at: &At, name: &str, least: usize) -> Result<usize, ImportError> {
    let value = at.int(name)?;
    usize::try_from(value).ok().filter(|&n| n >= least).ok_or_else(|| {
        malformed(&at.key(name), format!("is {value}; at least {least} is needed, the export is damaged"))
    })
}

/// Refuses a number that RAVE leaves at `usual`.
fn stock(at: &At, name: &str, usual: i64) -> Result<(), ImportError> {
    match at.module.attributes.get(name) {
        None => Ok(()),
        Some(Attribute::Int(value)) if *value == usual => Ok(()),
        Some(other) => Err(malformed(&at.key(name), format!("is {other:?}; only RAVE's own {usual} can be played"))),
    }
}
