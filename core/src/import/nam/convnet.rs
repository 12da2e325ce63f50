//! Convolutions of two taps, each with a batch norm and an activation, then a matrix.

use serde::Deserialize;
use serde_json::Value;

use super::super::ImportError;
use super::activation::Activation;
use super::description::Found;
use super::file::File;
use super::network::{Network, config};
use super::weights::{Shape, Weights};
use crate::graph::{BatchNorm, Op};

#[derive(Deserialize)]
struct Config {
    channels: usize,
    dilations: Vec<usize>,
    batchnorm: bool,
    activation: Value,
    #[serde(default = "one")]
    groups: usize,
    #[serde(default = "one")]
    out_channels: usize,
}

fn one() -> usize {
    1
}

pub(super) fn build(network: &mut Network<'_>, file: &File) -> Result<Found, ImportError> {
    let Config { channels, dilations, batchnorm, activation, groups, out_channels } = config(&file.config, "config")?;
    let activation = Activation::parse(&activation, "activation")?;
    let mut weights = Weights::new(&file.weights, network.place());
    let mut x = 0;
    for (block, dilation) in dilations.iter().copied().enumerate() {
        let name = |part: &str| format!("block{block}.{part}");
        let shape = Shape {
            inputs: network.channels(x).into(),
            out: channels.into(),
            kernel_size: 2,
            dilation,
            groups,
            bias: !batchnorm,
        };
        x = network.push(&name("conv"), Op::Conv1d(weights.conv(shape, &name("conv"))?), &[x])?;
        if batchnorm {
            x = network.push(&name("norm"), Op::BatchNorm(norm(&mut weights, channels, &name("norm"))?), &[x])?;
        }
        let place = name("activation");
        x = network.push(&place, activation.op(channels.into(), &place)?, &[x])?;
    }
    let head = weights.conv(Shape::pointwise(network.channels(x), out_channels, true), "head")?;
    let output = network.push("head", Op::Conv1d(head), &[x])?;
    weights.finish()?;
    let reach = dilations.iter().fold(1usize, |sum, d| sum.saturating_add(*d));
    let what = format!("ConvNet, {channels} channels, {} layers", dilations.len());
    Ok(Found { output, what, receptive_field: Some(reach) })
}

fn norm(weights: &mut Weights<'_>, channels: usize, place: &str) -> Result<BatchNorm, ImportError> {
    let (mean, variance) = (weights.vector(channels, place)?, weights.vector(channels, place)?);
    let (weight, bias) = (weights.vector(channels, place)?, weights.vector(channels, place)?);
    let epsilon = f64::from(weights.take(1, place)?[0]);
    if let Some(lowest) = variance.data().iter().copied().reduce(f32::min)
        && f64::from(lowest) + epsilon <= 0.0
    {
        let reason = format!("a variance of {lowest} with epsilon {epsilon}; the file is damaged");
        return Err(ImportError::malformed(place, reason));
    }
    Ok(BatchNorm { mean, variance, weight: Some(weight), bias: Some(bias), epsilon })
}
