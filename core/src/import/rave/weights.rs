//! The tensors of a checkpoint by key: present, of the right shape, finite, and with weight norm folded.

use std::sync::Arc;

use crate::import::{Array, ImportError, StateDict, Values};
use crate::tensor::{Tensor, Weight};

/// Parameters and buffers, handed out checked.
pub(super) struct Weights {
    state: StateDict,
}

impl Weights {
    pub(super) fn new(state: StateDict) -> Self {
        Self { state }
    }

    /// Whether a tensor is stored under `key`.
    pub(super) fn has(&self, key: &str) -> bool {
        self.state.contains_key(key)
    }

    /// Whether any key starts with `prefix.`.
    pub(super) fn has_under(&self, prefix: &str) -> bool {
        self.keys_under(prefix).next().is_some()
    }

    /// One more than the largest index that follows `prefix.`; zero without any.
    ///
    /// # Errors
    /// When an index is beyond what a network of that many tensors has.
    pub(super) fn count(&self, prefix: &str) -> Result<usize, ImportError> {
        const LIMIT: usize = 4096;
        let mut count = 0;
        for rest in self.keys_under(prefix) {
            let Ok(index) = rest.split('.').next().unwrap_or(rest).parse::<usize>() else { continue };
            if index >= LIMIT {
                return Err(malformed(
                    &format!("{prefix}.{index}"),
                    format!("layer {index} of a list of at most {LIMIT}; the checkpoint is damaged"),
                ));
            }
            count = count.max(index + 1);
        }
        Ok(count)
    }

    /// The tensor under `key`, of `RANK` dimensions.
    pub(super) fn tensor<const RANK: usize>(&self, key: &str) -> Result<Weight, ImportError> {
        tensor::<RANK>(key, self.array(key)?)
    }

    /// The vector under `key`, where there is one.
    pub(super) fn optional_vector(&self, key: &str) -> Result<Option<Weight>, ImportError> {
        self.state.get(key).map(|array| tensor::<1>(key, array)).transpose()
    }

    /// The only value under `key`, or zero where there is none.
    pub(super) fn scalar_or_zero(&self, key: &str) -> Result<f64, ImportError> {
        self.state.get(key).map_or(Ok(0.0), |array| scalar(key, array))
    }

    /// The weight of the convolution at `prefix`: stored plainly, or as gain and direction in either of PyTorch's
    /// spellings.
    pub(super) fn kernel(&self, prefix: &str) -> Result<Weight, ImportError> {
        let spellings = [
            (format!("{prefix}.weight_g"), format!("{prefix}.weight_v")),
            (
                format!("{prefix}.parametrizations.weight.original0"),
                format!("{prefix}.parametrizations.weight.original1"),
            ),
        ];
        for (gain, direction) in &spellings {
            if self.has(gain) || self.has(direction) {
                return fold(
                    direction,
                    &tensor::<3>(gain, self.array(gain)?)?,
                    &tensor::<3>(direction, self.array(direction)?)?,
                );
            }
        }
        self.tensor::<3>(&format!("{prefix}.weight"))
    }

    /// Whether a convolution stands at `prefix`.
    pub(super) fn has_kernel(&self, prefix: &str) -> bool {
        self.stored_shape(prefix).is_some()
    }

    /// The shape of the weight of the convolution at `prefix`, no size of which is zero.
    pub(super) fn kernel_shape(&self, prefix: &str) -> Result<[usize; 3], ImportError> {
        let key = format!("{prefix}.weight");
        let shape = self.stored_shape(prefix).ok_or_else(|| missing(&key, self.nearest(&key)))?;
        if shape.contains(&0) {
            return Err(malformed(
                &key,
                format!("has shape {shape:?}, which holds nothing; the checkpoint is damaged"),
            ));
        }
        Ok(shape)
    }

    fn stored_shape(&self, prefix: &str) -> Option<[usize; 3]> {
        ["weight", "weight_v", "parametrizations.weight.original1"]
            .iter()
            .filter_map(|end| self.state.get(&format!("{prefix}.{end}")))
            .find_map(|array| array.shape.as_slice().try_into().ok())
    }

    fn array(&self, key: &str) -> Result<&Array, ImportError> {
        self.state.get(key).ok_or_else(|| missing(key, self.nearest(key)))
    }

    /// A stored key that shares the longest beginning with `key`.
    fn nearest(&self, key: &str) -> Option<&str> {
        let common = |other: &str| key.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
        self.state.keys().map(String::as_str).max_by_key(|other| common(other)).filter(|other| common(other) > 0)
    }

    fn keys_under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        self.state
            .range(format!("{prefix}.")..)
            .map_while(move |(key, _)| key.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('.')))
    }
}

/// `array` as a weight of `RANK` dimensions.
///
/// # Errors
/// Names `key` when the array holds integers, has another rank, is empty, or holds a value that is not finite.
pub(super) fn tensor<const RANK: usize>(key: &str, array: &Array) -> Result<Weight, ImportError> {
    let Values::Float(values) = &array.values else {
        return Err(malformed(key, "holds integers where a weight is expected".into()));
    };
    if array.shape.len() != RANK || values.is_empty() {
        return Err(malformed(
            key,
            format!(
                "has shape {:?}, {RANK} non-empty dimensions are needed; the checkpoint is of another model",
                array.shape
            ),
        ));
    }
    finite(key, &array.shape, values)?;
    Ok(Arc::new(Tensor::new(array.shape.clone(), values.clone())))
}

/// The only value of `array`.
pub(super) fn scalar(key: &str, array: &Array) -> Result<f64, ImportError> {
    match &array.values {
        Values::Float(v) if v.len() == 1 => Ok(f64::from(v[0])),
        Values::Int(v) if v.len() == 1 => Ok(v[0] as f64),
        _ => Err(malformed(key, format!("has shape {:?}, one value is needed", array.shape))),
    }
}

/// Something is wrong with what stands at `place`.
pub(super) fn malformed(place: &str, reason: String) -> ImportError {
    ImportError::Malformed { place: place.into(), reason }
}

/// A tensor that the architecture needs is not there.
pub(super) fn missing(key: &str, nearest: Option<&str>) -> ImportError {
    let hint = nearest.map_or(String::new(), |other| format!(" (the nearest key is {other})"));
    malformed(key, format!("the checkpoint has no such tensor{hint}; it is incomplete or was not trained by RAVE 2"))
}

fn finite(key: &str, shape: &[usize], values: &[f32]) -> Result<(), ImportError> {
    match values.iter().position(|v| !v.is_finite()) {
        None => Ok(()),
        Some(at) => Err(malformed(
            key,
            format!(
                "value {at} of shape {shape:?} is {}; the training diverged, take an earlier checkpoint of the run",
                values[at]
            ),
        )),
    }
}

/// `gain · direction / ‖direction‖`, the norm over all but the first dimension, which for a transposed convolution is
/// its input channels. In double precision.
fn fold(key: &str, gain: &Weight, direction: &Weight) -> Result<Weight, ImportError> {
    let rows = direction.shape()[0];
    if gain.len() != rows {
        return Err(malformed(
            key,
            format!("has shape {:?}, its gain {:?}; one gain per row is needed", direction.shape(), gain.shape()),
        ));
    }
    let mut data = Vec::with_capacity(direction.len());
    for row in 0..rows {
        let values = direction.row(row);
        let norm = values.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt();
        let scale = f64::from(gain.data()[row]) / norm;
        data.extend(values.iter().map(|&v| (f64::from(v) * scale) as f32));
    }
    finite(key, direction.shape(), &data)?;
    Ok(Arc::new(Tensor::new(direction.shape().to_vec(), data)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(shape: &[usize], values: &[f32]) -> Array {
        Array { shape: shape.to_vec(), values: Values::Float(values.to_vec()) }
    }

    #[test]
    fn weight_norm_is_folded_in_both_spellings() {
        let gain = floats(&[2, 1, 1], &[10.0, 2.0]);
        let direction = floats(&[2, 1, 2], &[3.0, 4.0, 0.0, -0.5]);
        for (g, v) in
            [("weight_g", "weight_v"), ("parametrizations.weight.original0", "parametrizations.weight.original1")]
        {
            let state = [(format!("a.{g}"), gain.clone()), (format!("a.{v}"), direction.clone())];
            let weights = Weights::new(state.into_iter().collect());
            assert!(weights.has_kernel("a"));
            assert_eq!(weights.kernel("a").unwrap().data(), [6.0, 8.0, 0.0, -2.0]);
        }
    }

    #[test]
    fn what_is_missing_or_damaged_is_named() {
        let mut state = StateDict::new();
        state.insert("net.0.weight".into(), floats(&[1, 1, 2], &[1.0, f32::NAN]));
        state.insert("net.1.weight_v".into(), floats(&[1, 1, 1], &[0.0]));
        state.insert("net.1.weight_g".into(), floats(&[1, 1, 1], &[1.0]));
        state.insert("net.2.weight_v".into(), floats(&[1, 1, 1], &[1.0]));
        state.insert("net.99999999.weight".into(), floats(&[1], &[1.0]));
        let weights = Weights::new(state);
        let message = |prefix| weights.kernel(prefix).unwrap_err().to_string();
        assert!(message("net.0").contains("net.0.weight: value 1 of shape [1, 1, 2] is NaN"), "{}", message("net.0"));
        assert!(message("net.1").contains("is NaN"), "a zero direction has no norm: {}", message("net.1"));
        assert!(message("net.2").contains("net.2.weight_g: the checkpoint has no such tensor"));
        assert!(message("net.3").contains("net.3.weight: the checkpoint has no such tensor"));
        assert!(weights.count("net").is_err());
    }
}
