//! Activations by name: a string, or an object of a type and its parameters.

use std::sync::Arc;

use serde_json::Value;

use super::super::ImportError;
use super::weights::Width;
use crate::graph::{Op, Pointwise};
use crate::tensor::Tensor;

/// A function of each value, or of each value and its channel.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Activation {
    Pointwise(Pointwise),
    /// Slope of each channel below zero.
    PRelu(Vec<f32>),
}

const NAMES: &str =
    "Tanh, Hardtanh, Fasttanh, ReLU, LeakyReLU, PReLU, Sigmoid, SiLU, Hardswish, LeakyHardtanh, Softsign";
const SLOPE: f32 = 0.01;

impl Activation {
    /// The activation that `value`, which stands at `place`, describes.
    ///
    /// # Errors
    /// When it is unknown, or its parameters are no numbers.
    pub(super) fn parse(value: &Value, place: &str) -> Result<Self, ImportError> {
        let name = value.as_str().or_else(|| value.get("type")?.as_str());
        let Some(name) = name else {
            return Err(ImportError::malformed(place, "an activation's name, or an object with its type, is needed"));
        };
        let number = |key: &str, absent: f32| match value.get(key) {
            None | Some(Value::Null) => Ok(absent),
            Some(given) => finite(given).ok_or_else(|| ImportError::malformed(place, format!("{key} is {given}"))),
        };
        Ok(Self::Pointwise(match name {
            "Tanh" => Pointwise::Tanh,
            "Hardtanh" => Pointwise::Clamp { low: -1.0, high: 1.0 },
            "Fasttanh" => Pointwise::FastTanh,
            "ReLU" => Pointwise::LeakyRelu { slope: 0.0 },
            "LeakyReLU" => Pointwise::LeakyRelu { slope: number("negative_slope", SLOPE)? },
            "PReLU" => match value.get("negative_slopes").filter(|_| value.get("negative_slope").is_none()) {
                Some(slopes) => {
                    let slopes = slopes.as_array().and_then(|slopes| slopes.iter().map(finite).collect());
                    let bad = || ImportError::malformed(place, "negative_slopes are no list of numbers");
                    return Ok(Self::PRelu(slopes.ok_or_else(bad)?));
                }
                None => Pointwise::LeakyRelu { slope: number("negative_slope", SLOPE)? },
            },
            "Sigmoid" => Pointwise::Sigmoid,
            "SiLU" => Pointwise::Silu,
            "Hardswish" => Pointwise::HardSwish,
            "LeakyHardtanh" | "LeakyHardTanh" => Pointwise::LeakyHardTanh {
                low: number("min_val", -1.0)?,
                high: number("max_val", 1.0)?,
                low_slope: number("min_slope", SLOPE)?,
                high_slope: number("max_slope", SLOPE)?,
            },
            "Softsign" => Pointwise::Softsign,
            other => {
                let found = format!("{place}: an activation called {}", super::file::printable(other));
                return Err(ImportError::unknown(found, format!("known are {NAMES}; update Runnel")));
            }
        }))
    }

    /// The op for a signal of `width` channels, at `place`.
    ///
    /// # Errors
    /// When slopes are for another number of channels.
    pub(super) fn op(&self, width: Width, place: &str) -> Result<Op, ImportError> {
        match self {
            Self::Pointwise(function) => Ok(Op::Pointwise(*function)),
            Self::PRelu(slopes) if slopes.len() == width.full => {
                Ok(Op::PRelu { slope: Arc::new(Tensor::new([width.kept], slopes[..width.kept].to_vec())) })
            }
            Self::PRelu(slopes) => Err(ImportError::malformed(
                place,
                format!("{} negative_slopes for {} channels; one for each is needed", slopes.len(), width.full),
            )),
        }
    }
}

fn finite(value: &Value) -> Option<f32> {
    value.as_f64().map(|v| v as f32).filter(|v| v.is_finite())
}
