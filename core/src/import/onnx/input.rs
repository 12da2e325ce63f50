//! The model's inputs: which is streamed, and which of its axes is time; a player holds the others.

use std::collections::HashSet;

use super::dim::Dim;
use super::proto::{Graph, Port, Size};
use super::value::{Axis, Signal, packed_axes};
use crate::graph::{NodeId, Parameter};
use crate::import::{ImportError, Options};

/// Channels of the streamed input up to which it is taken for audio.
const AUDIO_CHANNELS: usize = 2;
/// Samples of audio between two looks at what is held.
const CONTROL_SAMPLES: usize = 64;
/// Least and greatest value of what is held, where the file does not tell.
const RANGE: [f32; 2] = [-1.0, 1.0];

/// The input that is streamed.
#[derive(Debug)]
pub(super) struct Chosen<'a> {
    pub(super) name: &'a str,
    /// Channels of a frame.
    pub(super) channels: usize,
    /// Frames, where the file was exported for that many only.
    pub(super) exported_frames: Option<i64>,
    axes: Vec<Axis>,
    /// The inputs beside it.
    pub(super) held: Vec<Held<'a>>,
}

/// An input beside the streamed one: what a player conditions the model on.
#[derive(Debug)]
pub(super) struct Held<'a> {
    pub(super) name: &'a str,
    /// Of each axis; `None` is time.
    sizes: Vec<Option<usize>>,
}

impl Chosen<'_> {
    pub(super) fn signal(&self) -> Signal {
        Signal { node: 0, shift: 0, frames: Dim::TIME, axes: self.axes.clone() }
    }

    /// Frames of the input between two looks at what is held.
    pub(super) fn held_frames(&self) -> usize {
        if self.channels <= AUDIO_CHANNELS { CONTROL_SAMPLES } else { 1 }
    }
}

impl Held<'_> {
    /// The parameter that it is; `told` is what the file tells of it: default, least and greatest value.
    ///
    /// # Errors
    /// When that is none.
    pub(super) fn parameter(&self, told: Option<&str>, held_frames: usize) -> Result<Parameter, ImportError> {
        let numbers: Option<Vec<f32>> = told.map_or(Some(vec![0.0, RANGE[0], RANGE[1]]), |told| {
            told.split(',').map(|n| n.trim().parse().ok()).collect()
        });
        let Some([default, minimum, maximum]) = numbers.as_deref() else {
            let reason =
                format!("{:?}: default, least and greatest value are needed, with commas between", told.unwrap_or(""));
            return Err(ImportError::malformed(format!("metadata parameter.{}", self.name), reason));
        };
        Ok(Parameter {
            name: self.name.into(),
            unit: String::new(),
            default: vec![*default; self.sizes.iter().flatten().product()],
            minimum: *minimum,
            maximum: *maximum,
            every: if self.sizes.contains(&None) { 1 } else { held_frames },
        })
    }

    /// Its tensor, on the parameter's node.
    pub(super) fn signal(&self, node: NodeId) -> Signal {
        let frames = if self.sizes.contains(&None) { Dim::TIME } else { Dim::fixed(1) };
        Signal { node, shift: 0, frames, axes: packed_axes(&self.sizes) }
    }
}

/// Finds the streamed input and its time axis: of several, the first whose time axis is open. Others are held, or change
/// over the same time.
///
/// # Errors
/// When the axis cannot be told.
pub(super) fn choose<'a>(graph: &Graph<'a>, options: &Options) -> Result<Chosen<'a>, ImportError> {
    let stored: HashSet<_> = graph.initializers.iter().map(|tensor| tensor.name).collect();
    let inputs: Vec<_> = graph.inputs.iter().filter(|port| !stored.contains(port.name)).collect();
    let in_time = |port: &&&Port<'a>| {
        let shape = port.shape.as_deref().unwrap_or_default();
        let axis = options.time_axis.or_else(|| time_axis(shape));
        axis.is_some_and(|axis| matches!(shape.get(axis), Some(Size::Open(_))))
    };
    let longest = |port: &&&Port<'a>| -> i64 {
        let sizes = port.shape.iter().flatten().map(|size| if let Size::Known(n) = size { *n } else { 0 });
        sizes.max().unwrap_or(0)
    };
    let at_once = || inputs.iter().rev().max_by_key(longest);
    let Some(&input) = inputs.iter().find(in_time).or_else(at_once) else {
        return Err(ImportError::unknown("the model has no input", "export it with the signal as its input"));
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
    let others = inputs.iter().filter(|other| other.name != name);
    let held = others.map(|other| held(other, &shape[time])).collect::<Result<_, _>>()?;
    Ok(Chosen { name, channels, exported_frames, axes: packed_axes(&sizes), held })
}

/// An input beside the streamed one, of which an axis as long as `time` is time too.
fn held<'a>(port: &Port<'a>, time: &Size<'a>) -> Result<Held<'a>, ImportError> {
    let refuse = |reason: String| ImportError::malformed(format!("input {}", port.name), reason);
    let shape =
        port.shape.as_ref().ok_or_else(|| refuse("the file does not tell its shape; export it with one".into()))?;
    // An open size without a name in front is the batch.
    let is_time = |&axis: &usize| {
        let named = *time != Size::Open("") || axis > 0 || shape.len() == 1;
        shape[axis] == *time && *time != Size::Known(1) && named
    };
    let timed = (0..shape.len()).rev().find(is_time);
    let mut sizes = vec![];
    for (axis, size) in shape.iter().enumerate() {
        sizes.push(match size {
            _ if Some(axis) == timed => None,
            Size::Open(_) if axis == 0 => Some(1),
            Size::Known(n @ 1..=4096) => Some(*n as usize),
            _ => {
                let reason =
                    "beside the streamed input, sizes from 1 to 4096 are read, and a time axis of the same name";
                return Err(refuse(format!("its shape is {}; {reason}", text(shape))));
            }
        });
    }
    Ok(Held { name: port.name, sizes })
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
