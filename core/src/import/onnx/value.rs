//! What a name in the file stands for while it is walked: a constant, or a signal seen as a tensor.

use super::constant::{Constant, offsets, strides};
use super::dim::Dim;
use crate::graph::NodeId;

/// The value of a name.
#[derive(Clone, Debug)]
pub(in crate::import) enum Value {
    Constant(Constant),
    Signal(Signal),
}

/// A node's signal, seen as a tensor: entry `(…, frame n, …, channels i, j, …)` is channel `Σ i·stride` of frame
/// `n + shift`. Where no axis is time, the tensor is *held*: what a player conditions the model on, or is made of it, each
/// frame of the node the whole tensor at that moment.
#[derive(Clone, Debug)]
pub(in crate::import) struct Signal {
    pub(in crate::import) node: NodeId,
    /// Frames of the node before the tensor's first.
    pub(in crate::import) shift: i64,
    /// Frames that the tensor has; 1 where it is held.
    pub(in crate::import) frames: Dim,
    pub(in crate::import) axes: Vec<Axis>,
}

/// One axis of a signal's tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::import) enum Axis {
    /// Of size 1.
    Unit,
    /// Frames.
    Time,
    /// Channels of the node, `stride` apart.
    Channels { size: usize, stride: usize },
}

impl Signal {
    /// Sizes of all axes.
    pub(in crate::import) fn dims(&self) -> Vec<Dim> {
        let size = |axis: &Axis| match axis {
            Axis::Unit => Dim::fixed(1),
            Axis::Time => self.frames,
            Axis::Channels { size, .. } => Dim::fixed(*size as i64),
        };
        self.axes.iter().map(size).collect()
    }

    /// Which axis is time; `None` where it is held.
    pub(in crate::import) fn time_axis(&self) -> Option<usize> {
        self.axes.iter().position(|axis| *axis == Axis::Time)
    }

    /// Number of channels of the tensor.
    pub(in crate::import) fn channels(&self) -> usize {
        self.sizes().iter().product()
    }

    /// Size of each axis, 1 for time.
    pub(in crate::import) fn sizes(&self) -> Vec<usize> {
        self.axes.iter().map(|axis| if let Axis::Channels { size, .. } = axis { *size } else { 1 }).collect()
    }

    /// The node's channel for each entry of a frame, in the tensor's order.
    pub(in crate::import) fn order(&self) -> impl Iterator<Item = usize> + use<> {
        let walk: Vec<_> =
            self.axes.iter().map(|axis| if let Axis::Channels { stride, .. } = axis { *stride } else { 0 }).collect();
        offsets(&self.sizes(), &walk)
    }

    /// As `bct`, or `[1, 8, T]`, in messages.
    pub(in crate::import) fn shape_text(&self) -> String {
        shape_text(&self.dims())
    }
}

/// Axes of these kinds, their channels in row-major order. `None` is time.
pub(in crate::import) fn packed_axes(sizes: &[Option<usize>]) -> Vec<Axis> {
    let strides = strides(&sizes.iter().map(|size| size.unwrap_or(1)).collect::<Vec<_>>());
    sizes
        .iter()
        .zip(strides)
        .map(|(size, stride)| match size {
            None => Axis::Time,
            Some(1) => Axis::Unit,
            Some(size) => Axis::Channels { size: *size, stride },
        })
        .collect()
}

/// `[1, 8, T]`.
pub(in crate::import) fn shape_text(dims: &[Dim]) -> String {
    let dims: Vec<_> = dims.iter().map(ToString::to_string).collect();
    format!("[{}]", dims.join(", "))
}
