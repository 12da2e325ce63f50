//! Tensor: a shape and its row-major f32 data; nothing clever.

use std::sync::Arc;

use half::f16;
use serde::{Deserialize, Serialize};

/// A shared, immutable tensor of coefficients. One allocation serves every graph, plan and instance that names it.
pub type Weight = Arc<Tensor>;

/// Row-major f32 data with its shape. `data.len()` equals the product of `shape`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Vec<f32>,
    /// Every value is that of an f16, and is stored as one.
    half: bool,
}

impl Tensor {
    /// A tensor of `shape` over `data`.
    ///
    /// # Panics
    /// When the product of `shape` is not `data.len()`: readers establish that at the border.
    pub fn new(shape: impl Into<Vec<usize>>, data: Vec<f32>) -> Self {
        let shape = shape.into();
        assert_eq!(shape.iter().product::<usize>(), data.len(), "shape {shape:?} does not hold {} values", data.len());
        Self { shape, data, half: false }
    }

    /// All values zero.
    pub fn zeros(shape: impl Into<Vec<usize>>) -> Self {
        let shape = shape.into();
        let len = shape.iter().product();
        Self { shape, data: vec![0.0; len], half: false }
    }

    /// A tensor of `shape` over the values of f16, given as their bits.
    ///
    /// # Panics
    /// As [`Self::new`].
    pub fn of_half(shape: impl Into<Vec<usize>>, bits: impl IntoIterator<Item = u16>) -> Self {
        let data = bits.into_iter().map(|b| f16::from_bits(b).to_f32()).collect();
        Self { half: true, ..Self::new(shape, data) }
    }

    /// With every value rounded to the nearest f16, ties to even; `None` where a value lies beyond the largest f16,
    /// 65 504.
    pub fn to_half(&self) -> Option<Self> {
        let halves: Vec<_> = self.data.iter().map(|&v| f16::from_f32(v)).collect();
        halves
            .iter()
            .all(|h| h.is_finite())
            .then(|| Self::of_half(self.shape.clone(), halves.iter().map(|h| h.to_bits())))
    }

    /// The bits of all values as f16, of a tensor whose values are stored so.
    pub fn half_bits(&self) -> Option<impl Iterator<Item = u16>> {
        self.half.then(|| self.data.iter().map(|&v| f16::from_f32(v).to_bits()))
    }

    /// Whether every value is that of an f16, and stored as one.
    pub fn is_half(&self) -> bool {
        self.half
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
        self.half = false;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_f16_is_itself_again() {
        let finite: Vec<u16> = (0..=u16::MAX).filter(|&b| f16::from_bits(b).is_finite()).collect();
        let tensor = Tensor::of_half([finite.len()], finite.iter().copied());
        assert_eq!(tensor.half_bits().expect("halves").collect::<Vec<_>>(), finite);
        let rounded = Tensor::new([finite.len()], tensor.data().to_vec()).to_half().expect("in range");
        assert_eq!(rounded.half_bits().expect("halves").collect::<Vec<_>>(), finite);
        // The textbook: sign, mantissa, exponent.
        for (&bits, &value) in finite.iter().zip(tensor.data()) {
            let (sign, exponent, mantissa) = (bits >> 15, i32::from(bits >> 10 & 31), f64::from(bits & 1023));
            let size = if exponent == 0 { mantissa } else { (1024.0 + mantissa) * 2_f64.powi(exponent - 1) };
            let wanted = size * 2_f64.powi(-24) * if sign == 1 { -1.0 } else { 1.0 };
            assert_eq!(f64::from(value).to_bits(), wanted.to_bits(), "{bits:#06x}");
        }
    }

    #[test]
    fn between_two_f16_the_nearer_is_taken_and_in_the_middle_the_even_one() {
        for bits in 0..0x7bff_u16 {
            let [below, above] = [bits, bits + 1].map(|b| f16::from_bits(b).to_f32());
            let middle = below + (above - below) / 2.0;
            let even = if bits % 2 == 0 { below } else { above };
            for (value, wanted) in [(middle.next_down(), below), (middle, even), (middle.next_up(), above)] {
                assert_eq!(Tensor::new([1], vec![value]).to_half().expect("in range").data(), [wanted], "{value:e}");
            }
        }
    }

    #[test]
    fn what_no_f16_holds_is_refused() {
        assert!(Tensor::new([2], vec![1.0, 65_520.0]).to_half().is_none());
        assert_eq!(Tensor::new([1], vec![65_519.9]).to_half().expect("rounds down").data(), [65_504.0]);
    }
}
