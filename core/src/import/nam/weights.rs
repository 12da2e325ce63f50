//! The flat row of weights, read from the front.

use std::sync::Arc;

use super::super::ImportError;
use crate::graph::Conv1d;
use crate::tensor::{Tensor, Weight};

/// Weights that no part of the model has taken yet.
pub(super) struct Weights<'a> {
    values: &'a [f32],
    taken: usize,
    place: String,
}

/// Channels of a signal: as the file holds them, and the first of them that are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Width {
    pub(super) full: usize,
    pub(super) kept: usize,
}

impl From<usize> for Width {
    fn from(width: usize) -> Self {
        Self { full: width, kept: width }
    }
}

impl Width {
    /// So many times as many channels.
    pub(super) fn times(self, factor: usize) -> Self {
        Self { full: self.full.saturating_mul(factor), kept: self.kept.saturating_mul(factor) }
    }
}

/// A causal convolution as a configuration describes it.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) inputs: Width,
    pub(super) out: Width,
    pub(super) kernel_size: usize,
    pub(super) dilation: usize,
    pub(super) groups: usize,
    pub(super) bias: bool,
}

impl Shape {
    /// A matrix with a bias.
    pub(super) fn pointwise(inputs: impl Into<Width>, out: impl Into<Width>, bias: bool) -> Self {
        Self { inputs: inputs.into(), out: out.into(), kernel_size: 1, dilation: 1, groups: 1, bias }
    }
}

impl<'a> Weights<'a> {
    /// The weights of the model at `place`.
    pub(super) fn new(values: &'a [f32], place: &str) -> Self {
        Self { values, taken: 0, place: place.into() }
    }

    /// The next `count` weights, for `what`.
    ///
    /// # Errors
    /// When so many are not left.
    pub(super) fn take(&mut self, count: usize, what: &str) -> Result<&'a [f32], ImportError> {
        let end = self.taken.checked_add(count).filter(|end| *end <= self.values.len());
        let Some(end) = end else {
            return Err(ImportError::malformed(
                format!("{}{what}", self.place),
                format!(
                    "needs {count} weights from number {} on, the file holds {}; it is damaged, or its config is of \
                     another model",
                    self.taken,
                    self.values.len()
                ),
            ));
        };
        let values = &self.values[self.taken..end];
        self.taken = end;
        Ok(values)
    }

    /// The next `count` weights as a vector.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub(super) fn vector(&mut self, count: usize, what: &str) -> Result<Weight, ImportError> {
        Ok(Arc::new(Tensor::new([count], self.take(count, what)?.to_vec())))
    }

    /// The next convolution: `[out][in / groups][tap]`, oldest tap first, then the bias.
    ///
    /// # Errors
    /// When so many weights are not left, or the numbers make no convolution.
    pub(super) fn conv(&mut self, shape: Shape, what: &str) -> Result<Conv1d, ImportError> {
        let Shape { inputs, out, kernel_size, dilation, groups, bias } = shape;
        let place = format!("{}{what}", self.place);
        let malformed = |reason: String| Err(ImportError::malformed(place, reason));
        if groups == 0 || !inputs.full.is_multiple_of(groups) || !out.full.is_multiple_of(groups) {
            return malformed(format!(
                "{} input and {} output channels do not divide into {groups} groups",
                inputs.full, out.full
            ));
        }
        if inputs.kept > inputs.full || out.kept > out.full {
            return malformed(format!(
                "{} inputs of which {} arrive, {} outputs of which {} are kept; the layers before must agree",
                inputs.full, inputs.kept, out.full, out.kept
            ));
        }
        if groups > 1 && (inputs.kept < inputs.full || out.kept < out.full) {
            return malformed(format!("{groups} groups cannot be slimmed; ask for the largest size, 1"));
        }
        if inputs.full == 0 || out.full == 0 || kernel_size == 0 || dilation == 0 {
            return malformed(format!(
                "{} inputs, {} outputs, kernel size {kernel_size}, dilation {dilation}; at least 1 of each is needed",
                inputs.full, out.full
            ));
        }
        let columns = (inputs.full / groups).saturating_mul(kernel_size);
        let values = self.take(out.full.saturating_mul(columns), what)?;
        let kept_inputs = inputs.kept / groups;
        let rows = values.chunks_exact(columns).take(out.kept);
        let weight: Vec<f32> = rows.flat_map(|row| &row[..kept_inputs * kernel_size]).copied().collect();
        let bias = if bias { Some(self.take(out.full, what)?[..out.kept].to_vec()) } else { None };
        Ok(Conv1d {
            weight: Arc::new(Tensor::new([out.kept, kept_inputs, kernel_size], weight)),
            bias: bias.map(|bias| Arc::new(Tensor::new([out.kept], bias))),
            stride: 1,
            dilation,
            left_padding: (kernel_size - 1).saturating_mul(dilation).min(i64::MAX as usize) as i64,
            groups,
        })
    }

    /// Nothing may be left.
    ///
    /// # Errors
    /// When something is.
    pub(super) fn finish(&self) -> Result<(), ImportError> {
        if self.taken == self.values.len() {
            return Ok(());
        }
        Err(ImportError::malformed(
            format!("{}weights", self.place),
            format!(
                "the config describes {} weights, the file holds {}; it is damaged, or its config is of another model",
                self.taken,
                self.values.len()
            ),
        ))
    }
}
