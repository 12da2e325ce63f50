//! Feature-wise modulation: a condition scales and shifts a signal.

use std::sync::Arc;

use serde::Deserialize;

use super::super::ImportError;
use super::network::Network;
use super::weights::{Shape, Weights, Width};
use crate::graph::{Conv1d, NodeId, Op};
use crate::tensor::Tensor;

/// A slot as a configuration holds it.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(untagged)]
pub(super) enum Slot {
    /// Always `false`.
    Off(bool),
    On {
        #[serde(default = "yes")]
        active: bool,
        #[serde(default = "yes")]
        shift: bool,
        #[serde(default = "one")]
        groups: usize,
    },
    #[default]
    Absent,
}

fn yes() -> bool {
    true
}

fn one() -> usize {
    1
}

/// What a condition does to a signal.
pub(super) struct Film {
    scale: Conv1d,
    shift: Option<Conv1d>,
}

impl Slot {
    /// The slot's weights, for a signal of `width` channels; `None` where it is not used.
    ///
    /// # Errors
    /// When its weights are missing.
    pub(super) fn read(
        self,
        weights: &mut Weights<'_>,
        condition: usize,
        width: Width,
        what: &str,
    ) -> Result<Option<Film>, ImportError> {
        let (shift, groups) = match self {
            Self::On { active: true, shift, groups } => (shift, groups),
            Self::Off(true) => return Err(ImportError::malformed(what, "true; false or an object is needed")),
            Self::Off(false) | Self::On { .. } | Self::Absent => return Ok(None),
        };
        let out = width.times(if shift { 2 } else { 1 });
        let both = weights.conv(Shape { groups, ..Shape::pointwise(condition, out, true) }, what)?;
        let rows = |from: usize| rows(&both, from..from + width.kept);
        Ok(Some(Film { scale: rows(0), shift: shift.then(|| rows(width.kept)) }))
    }

    /// Whether it is used.
    pub(super) fn is_on(self) -> bool {
        matches!(self, Self::On { active: true, .. })
    }
}

impl Film {
    /// Modulates `x` by `condition`; nodes are named after `name`.
    ///
    /// # Errors
    /// When their channels do not fit.
    pub(super) fn push(
        self,
        network: &mut Network<'_>,
        name: &str,
        x: NodeId,
        condition: NodeId,
    ) -> Result<NodeId, ImportError> {
        let scale = network.push(&format!("{name}.scale"), Op::Conv1d(self.scale), &[condition])?;
        let scaled = network.push(&format!("{name}.scaled"), Op::Mul, &[x, scale])?;
        let Some(shift) = self.shift else { return Ok(scaled) };
        let shift = network.push(&format!("{name}.shift"), Op::Conv1d(shift), &[condition])?;
        network.push(name, Op::Add, &[scaled, shift])
    }
}

/// The outputs `range` of a matrix, without groups: those are zeros outside their blocks.
fn rows(matrix: &Conv1d, range: std::ops::Range<usize>) -> Conv1d {
    let [out, per_group] = [matrix.weight.shape()[0], matrix.weight.shape()[1]];
    let (inputs, outs) = (per_group * matrix.groups, out / matrix.groups);
    let mut weight = vec![0.0; range.len() * inputs];
    for (row, out) in weight.chunks_exact_mut(inputs).zip(range.clone()) {
        row[out / outs * per_group..][..per_group].copy_from_slice(matrix.weight.row(out));
    }
    let bias =
        matrix.bias.as_ref().map(|bias| Arc::new(Tensor::new([range.len()], bias.data()[range.clone()].to_vec())));
    Conv1d { weight: Arc::new(Tensor::new([range.len(), inputs, 1], weight)), bias, groups: 1, ..matrix.clone() }
}
