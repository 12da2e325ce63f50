//! Tensors of a state dict by name: present, floating point, finite.

use std::sync::Arc;

use super::pickle::clip;
use super::{ImportError, StateDict};
use crate::tensor::{Tensor, Weight};

/// The float tensor `name` of `state`.
///
/// # Errors
/// When it is missing (then a similar name is told), holds no floats or nothing, or a value is not finite.
pub(super) fn weight(state: &StateDict, name: &str) -> Result<Weight, ImportError> {
    let place = || format!("tensor {}", clip(name));
    let Some(array) = state.get(name) else {
        let near = nearest(state, name).map_or_else(String::new, |near| format!("; the nearest is {}", clip(near)));
        return Err(ImportError::malformed(place(), format!("is missing among {} tensors{near}", state.len())));
    };
    let Some(values) = array.floats() else {
        return Err(ImportError::malformed(place(), "holds integers where weights belong; save it as float32"));
    };
    if values.is_empty() {
        return Err(ImportError::malformed(place(), format!("has shape {:?}, which holds nothing", array.shape)));
    }
    if let Some(at) = values.iter().position(|value| !value.is_finite()) {
        let reason =
            format!("value {at} of {} is {}; the training diverged, or the file is damaged", values.len(), values[at]);
        return Err(ImportError::malformed(place(), reason));
    }
    Ok(Arc::new(Tensor::new(array.shape.clone(), values.to_vec())))
}

/// The name that shares most of its beginning and end with `name`.
fn nearest<'a>(state: &'a StateDict, name: &str) -> Option<&'a str> {
    let common = |other: &str| {
        let ahead = name.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
        let behind = name.bytes().rev().zip(other.bytes().rev()).take_while(|(a, b)| a == b).count();
        ahead + behind
    };
    state.keys().map(String::as_str).max_by_key(|other| common(other)).filter(|other| common(other) > 2)
}
