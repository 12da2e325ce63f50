//! Tensors that are known before any signal is: weights, settings, and lengths.

use std::rc::Rc;

use super::dim::{Dim, Fraction};

/// A tensor that no input decides. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::import) struct Constant {
    pub(in crate::import) shape: Vec<usize>,
    pub(in crate::import) data: Data,
    /// Axes of size 1 here that are this long in truth, with equal values: where an exporter fills a tensor as long as
    /// the signal.
    pub(in crate::import) stretched: Vec<(usize, Dim)>,
}

/// Values that may be lengths: those take more room than others.
const MOST_LENGTHS: usize = 1 << 16;

/// Values, row-major.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::import) enum Data {
    Float(Rc<[f32]>),
    /// Integers and booleans.
    Int(Rc<[i64]>),
    /// Numbers that depend on the length of the signal.
    Length {
        values: Rc<[Dim]>,
        /// Whether the tensor holds floats.
        float: bool,
    },
}

impl Constant {
    pub(in crate::import) fn floats(shape: Vec<usize>, values: impl Into<Rc<[f32]>>) -> Self {
        Self { shape, data: Data::Float(values.into()), stretched: vec![] }
    }

    pub(in crate::import) fn ints(shape: Vec<usize>, values: impl Into<Rc<[i64]>>) -> Self {
        Self { shape, data: Data::Int(values.into()), stretched: vec![] }
    }

    /// Lengths; plain integers where none depends on the signal's.
    pub(in crate::import) fn lengths(shape: Vec<usize>, values: Vec<Dim>, float: bool) -> Self {
        if !float && let Some(known) = values.iter().map(|v| v.known()).collect::<Option<Vec<_>>>() {
            return Self::ints(shape, known);
        }
        if float && let Some(known) = values.iter().map(|v| v.constant()).collect::<Option<Vec<_>>>() {
            return Self::floats(shape, known.iter().map(|f| f.to_f64() as f32).collect::<Vec<_>>());
        }
        Self { shape, data: Data::Length { values: values.into(), float }, stretched: vec![] }
    }

    pub(in crate::import) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    pub(in crate::import) fn is_float(&self) -> bool {
        match self.data {
            Data::Float(_) => true,
            Data::Int(_) => false,
            Data::Length { float, .. } => float,
        }
    }

    /// The true sizes.
    pub(in crate::import) fn dims(&self) -> Vec<Dim> {
        let mut dims: Vec<_> = self.shape.iter().map(|&n| Dim::fixed(n as i64)).collect();
        self.stretched.iter().for_each(|&(axis, dim)| dims[axis] = dim);
        dims
    }

    /// The values as floats.
    ///
    /// # Errors
    /// When one depends on the length of the signal.
    pub(in crate::import) fn to_floats(&self) -> Result<Rc<[f32]>, String> {
        match &self.data {
            Data::Float(values) => Ok(values.clone()),
            Data::Int(values) => Ok(values.iter().map(|&v| v as f32).collect()),
            Data::Length { values, .. } => Err(depends(values)),
        }
    }

    /// The values as whole numbers.
    ///
    /// # Errors
    /// When one depends on the length of the signal, or is no whole number.
    pub(in crate::import) fn to_ints(&self) -> Result<Rc<[i64]>, String> {
        match &self.data {
            Data::Int(values) => Ok(values.clone()),
            Data::Float(values) => values
                .iter()
                .map(|&v| (v.fract() == 0.0 && v.abs() < 9e15).then_some(v as i64))
                .collect::<Option<_>>()
                .ok_or_else(|| "reads floats where whole numbers are needed".into()),
            Data::Length { values, .. } => Err(depends(values)),
        }
    }

    /// The values as lengths.
    ///
    /// # Errors
    /// When one has no such form.
    pub(in crate::import) fn to_dims(&self) -> Result<Rc<[Dim]>, String> {
        if self.len() > MOST_LENGTHS {
            return Err(format!("holds {} numbers where lengths are needed, at most {MOST_LENGTHS}", self.len()));
        }
        match &self.data {
            Data::Int(values) => Ok(values.iter().map(|&v| Dim::fixed(v)).collect()),
            Data::Length { values, .. } => Ok(values.clone()),
            Data::Float(values) => values
                .iter()
                .map(|&v| Fraction::near(f64::from(v)).map(Dim::fraction))
                .collect::<Option<_>>()
                .ok_or_else(|| "mixes lengths with a number that is no simple fraction".into()),
        }
    }

    /// The one value of a tensor of one.
    pub(in crate::import) fn scalar(&self) -> Option<f32> {
        if self.len() != 1 {
            return None;
        }
        self.to_floats().ok().map(|values| values[0])
    }

    /// Whether every value is this one.
    pub(in crate::import) fn is_all(&self, value: f32) -> bool {
        self.to_floats().is_ok_and(|values| values.iter().all(|&v| v == value))
    }

    /// The same values under another shape of as many.
    pub(in crate::import) fn reshaped(&self, shape: Vec<usize>) -> Self {
        debug_assert_eq!(shape.iter().product::<usize>(), self.len());
        Self { shape, data: self.data.clone(), stretched: vec![] }
    }

    /// The values that `pick` names by their index here.
    pub(in crate::import) fn picked(&self, shape: Vec<usize>, pick: impl Iterator<Item = usize>) -> Self {
        let data = match &self.data {
            Data::Float(values) => Data::Float(pick.map(|i| values[i]).collect()),
            Data::Int(values) => Data::Int(pick.map(|i| values[i]).collect()),
            Data::Length { values, float } => {
                return Self::lengths(shape, pick.map(|i| values[i]).collect(), *float);
            }
        };
        Self { shape, data, stretched: vec![] }
    }

    /// The axes in another order.
    pub(in crate::import) fn transposed(&self, order: &[usize]) -> Self {
        let strides = strides(&self.shape);
        let shape: Vec<_> = order.iter().map(|&axis| self.shape[axis]).collect();
        let walk: Vec<_> = order.iter().map(|&axis| strides[axis]).collect();
        let mut moved = self.picked(shape.clone(), offsets(&shape, &walk));
        moved.stretched = (self.stretched.iter())
            .filter_map(|&(axis, dim)| Some((order.iter().position(|&from| from == axis)?, dim)))
            .collect();
        moved
    }
}

/// Row-major strides of a shape.
pub(in crate::import) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (0..shape.len().saturating_sub(1)).rev() {
        strides[axis] = strides[axis + 1] * shape[axis + 1];
    }
    strides
}

/// The offsets at which a walk over `shape` finds values that lie `strides` apart.
pub(in crate::import) fn offsets(shape: &[usize], strides: &[usize]) -> impl Iterator<Item = usize> + use<> {
    let count = shape.iter().product();
    let (shape, strides) = (shape.to_vec(), strides.to_vec());
    let mut index = vec![0; shape.len()];
    let mut at = 0;
    (0..count).map(move |_| {
        let here = at;
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            at += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            at -= strides[axis] * shape[axis];
            index[axis] = 0;
        }
        here
    })
}

/// The shape that two shapes broadcast to.
pub(in crate::import) fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let size = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |at| shape[at]);
    (0..rank)
        .map(|axis| match (size(a, axis), size(b, axis)) {
            (x, y) if x == y => Some(x),
            (1, y) => Some(y),
            (x, 1) => Some(x),
            _ => None,
        })
        .collect()
}

/// Strides of `from` as it broadcasts to `to`.
pub(in crate::import) fn broadcast_strides(from: &[usize], to: &[usize]) -> Vec<usize> {
    let own = strides(from);
    let lead = to.len() - from.len();
    (0..to.len()).map(|axis| if axis < lead || from[axis - lead] == 1 { 0 } else { own[axis - lead] }).collect()
}

fn depends(values: &[Dim]) -> String {
    let length = values.iter().find(|v| v.known().is_none()).copied().unwrap_or(Dim::TIME);
    format!("needs a number that depends on the length of the signal ({length}), which a stream does not know")
}
