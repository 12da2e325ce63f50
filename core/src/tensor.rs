//! Tensor: a shape and its row-major f32 data; nothing clever.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A shared, immutable tensor of coefficients. One allocation serves every graph, plan and instance that names it.
pub type Weight = Arc<Tensor>;

/// Row-major f32 data with its shape. `data.len()` equals the product of `shape`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Vec<f32>,
}

impl Tensor {
    /// A tensor of `shape` over `data`.
    ///
    /// # Panics
    /// When the product of `shape` is not `data.len()`: readers establish that at the border.
    pub fn new(shape: impl Into<Vec<usize>>, data: Vec<f32>) -> Self {
        let shape = shape.into();
        assert_eq!(shape.iter().product::<usize>(), data.len(), "shape {shape:?} does not hold {} values", data.len());
        Self { shape, data }
    }

    /// All values zero.
    pub fn zeros(shape: impl Into<Vec<usize>>) -> Self {
        let shape = shape.into();
        let len = shape.iter().product();
        Self { shape, data: vec![0.0; len] }
    }

    /// Sizes, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Values, row-major.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// Values, row-major, to be changed in place.
    pub fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Row `i` of the outermost dimension.
    pub fn row(&self, i: usize) -> &[f32] {
        let width = self.data.len() / self.shape[0];
        &self.data[i * width..(i + 1) * width]
    }
}
