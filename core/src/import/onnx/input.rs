//! The model's input, and which of its axes is time.

use std::collections::HashSet;

use super::dim::Dim;
use super::proto::{Graph, Size};
use super::value::{Axis, Signal, packed_axes};
use crate::import::{ImportError, Options};

/// The input that is streamed.
#[derive(Debug)]
pub(super) struct Chosen<'a> {
    pub(super) name: &'a str,
    /// Channels of a frame.
    pub(super) channels: usize,
    /// Frames, where the file was exported for that many only.
    pub(super) exported_frames: Option<i64>,
    axes: Vec<Axis>,
}

impl Chosen<'_> {
    pub(super) fn signal(&self) -> Signal {
        Signal { node: 0, shift: 0, frames: Dim::TIME, axes: self.axes.clone() }
    }
}

/// Finds the input and its time axis.
///
/// # Errors
/// When there are several inputs, or the axis cannot be told.
pub(super) fn choose<'a>(graph: &Graph<'a>, options: &Options) -> Result<Chosen<'a>, ImportError> {
    let stored: HashSet<_> = graph.initializers.iter().map(|tensor| tensor.name).collect();
    let inputs: Vec<_> = graph.inputs.iter().filter(|port| !stored.contains(port.name)).collect();
    let [input] = inputs[..] else {
        let names: Vec<_> = inputs.iter().take(8).map(|port| port.name).collect();
        let found = format!("the model has {} inputs ({})", inputs.len(), names.join(", "));
        let cure = "export it with the signal as its only input: conditioning as constants, recurrent state left to the layers";
        return Err(ImportError::unknown(found, cure));
    };
    let name = input.name;
    let refuse = |reason: String| ImportError::malformed(format!("input {name}"), reason);
    let shape =
        input.shape.as_ref().ok_or_else(|| refuse("the file does not tell its shape; export it with one".into()))?;
    if shape.is_empty() || shape.len() > 8 {
        return Err(refuse(format!("it has {} axes; a signal has 1 to 8", shape.len())));
    }
    let time = match options.time_axis {
        Some(axis) if axis < shape.len() => axis,
        Some(axis) => return Err(refuse(format!("its shape is {}, it has no axis {axis}", text(shape)))),
        None => time_axis(shape).ok_or_else(|| {
            refuse(format!(
                "its shape is {}, and no axis alone looks like time; tell which it is (--time-axis), or export the model with \
                 only the time axis dynamic",
                text(shape)
            ))
        })?,
    };
    let mut sizes = vec![];
    for (axis, size) in shape.iter().enumerate() {
        sizes.push(match size {
            _ if axis == time => None,
            // One signal is streamed, whatever the batch.
            Size::Open(_) => Some(1),
            Size::Known(_) if axis == 0 && shape.len() > 1 && shape.len() != 2 => Some(1),
            Size::Known(n) => Some(
                usize::try_from(*n)
                    .ok()
                    .filter(|n| (1..=1 << 16).contains(n))
                    .ok_or_else(|| refuse(format!("its shape is {}; sizes from 1 to 65536 are read", text(shape))))?,
            ),
        });
    }
    let channels = sizes.iter().flatten().try_fold(1usize, |count, n| count.checked_mul(*n)).filter(|&n| n <= 1 << 16);
    let channels = channels.ok_or_else(|| refuse(format!("its shape is {}: too many channels", text(shape))))?;
    let exported_frames = match shape[time] {
        Size::Known(n) if n > 0 => Some(n),
        Size::Known(n) => return Err(refuse(format!("it has {n} frames"))),
        Size::Open(_) => None,
    };
    Ok(Chosen { name, channels, exported_frames, axes: packed_axes(&sizes) })
}

/// The axis that must be time: the only open one behind the batch, else the longest.
fn time_axis(shape: &[Size<'_>]) -> Option<usize> {
    if shape.len() == 1 {
        return Some(0);
    }
    let open = |axis: &usize| matches!(shape[*axis], Size::Open(_));
    let behind: Vec<_> = (1..shape.len()).filter(open).collect();
    match behind[..] {
        [one] => return Some(one),
        [] => {}
        _ => {
            let named = |axis: &&usize| {
                let Size::Open(name) = shape[**axis] else { return false };
                let name = name.to_ascii_lowercase();
                ["time", "length", "samples", "frames", "seq"].iter().any(|word| name.contains(word)) || name == "t"
            };
            let named: Vec<_> = behind.iter().filter(named).collect();
            return if let [one] = named[..] { Some(*one) } else { None };
        }
    }
    // Two axes of which only the first is open are frames by channels.
    if shape.len() == 2 && open(&0) {
        return match shape[1] {
            Size::Known(n) if n > 64 => Some(1),
            _ => Some(0),
        };
    }
    let size = |axis: usize| if let Size::Known(n) = shape[axis] { n } else { 0 };
    let longest = (1..shape.len()).max_by_key(|&axis| size(axis))?;
    let second = (1..shape.len()).filter(|&axis| axis != longest).map(size).max().unwrap_or(1);
    (size(longest) > second).then_some(longest)
}

fn text(shape: &[Size<'_>]) -> String {
    let sizes = shape.iter().map(|size| match size {
        Size::Known(n) => n.to_string(),
        Size::Open("") => "?".into(),
        Size::Open(name) => name.chars().take(40).collect(),
    });
    format!("[{}]", sizes.collect::<Vec<_>>().join(", "))
}
