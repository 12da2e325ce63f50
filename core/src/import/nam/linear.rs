//! An impulse response.

use std::sync::Arc;

use serde::Deserialize;

use super::super::ImportError;
use super::description::Found;
use super::file::File;
use super::network::{Network, config};
use super::weights::Weights;
use crate::graph::{Conv1d, Op};
use crate::tensor::Tensor;

/// How the player computes it makes no difference to what it computes.
#[derive(Deserialize)]
struct Config {
    receptive_field: usize,
    bias: bool,
}

pub(super) fn build(network: &mut Network<'_>, file: &File) -> Result<Found, ImportError> {
    let Config { receptive_field, bias } = config(&file.config, "config")?;
    let mut weights = Weights::new(&file.weights, network.place());
    // The newest tap comes first.
    let mut taps = weights.take(receptive_field, "impulse response")?.to_vec();
    taps.reverse();
    let bias = if bias { Some(weights.vector(1, "bias")?) } else { None };
    weights.finish()?;
    let conv = Conv1d {
        weight: Arc::new(Tensor::new([1, 1, receptive_field], taps)),
        bias,
        stride: 1,
        dilation: 1,
        left_padding: receptive_field as i64 - 1,
        groups: 1,
    };
    let output = network.push("impulse_response", Op::Conv1d(conv), &[0])?;
    Ok(Found { output, what: "Linear".into(), receptive_field: Some(receptive_field) })
}
