//! Neutone's `.nm`: its SDK wraps a model in queues and resamplers for a host, which are left out. The model inside has
//! a method `do_forward_pass` of a signal `[channels, frames]` and of its parameters by their names.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::graph::{Op, Parameter};
use crate::import::ImportError;
use crate::import::onnx::dim::Dim;
use crate::import::onnx::value::{Signal, packed_axes};
use crate::import::script::run::Run;
use crate::import::script::torch::{self, made};
use crate::import::script::value::{Object, Value};

/// The attribute that the wrapper keeps the model in.
pub(super) const INNER: &str = "w2w_base";
/// Its method.
pub(super) const METHOD: &str = "do_forward_pass";
/// Input frames between two looks at a parameter.
const CONTROL_SAMPLES: usize = 64;
/// Frames of the past that a model may ask for, at most.
const MOST_BEHIND: i64 = 1 << 20;

/// Whether a class is the wrapper's.
pub(super) fn wraps(class: &str) -> bool {
    class == "neutone_sdk.sqw.SampleQueueWrapper"
}

/// Channels of the model's input and output, and its samples per second, where it was made for certain ones.
///
/// # Errors
/// When the model does not tell.
pub(super) fn signature(run: &mut Run<'_, '_>, object: &Rc<Object>) -> Result<([usize; 2], Option<i64>), ImportError> {
    let mut channels = [1; 2];
    for (count, name) in channels.iter_mut().zip(["is_input_mono", "is_output_mono"]) {
        let mono = run.method(object, name, vec![], vec![])?;
        *count = if run.truth(&mono)? { 1 } else { 2 };
    }
    let rates = run.method(object, "get_native_sample_rates", vec![], vec![])?.items().unwrap_or_default();
    let rate = rates.first().and_then(|rate| if let Value::Int(rate) = rate { Some(*rate) } else { None });
    Ok((channels, rate))
}

/// What the model makes of the whole input: `[channels, frames]`.
///
/// # Errors
/// When its code cannot become part of a stream.
pub(super) fn call(run: &mut Run<'_, '_>, object: &Rc<Object>, channels: usize) -> Result<Value, ImportError> {
    let axes = packed_axes(&[Some(channels), None]);
    let mut input = made(run, Signal { node: 0, shift: 0, frames: Dim::TIME, axes });
    // A model that asks for the past is given so much more at the front, and leaves it out of what it makes.
    match run.method(object, "get_look_behind_samples", vec![], vec![])? {
        Value::Int(0) => {}
        Value::Int(behind @ 1..=MOST_BEHIND) => {
            let pad = Value::list(vec![Value::Int(behind), Value::Int(0)]);
            input = torch::call(run, "constant_pad_nd", vec![input, pad, Value::Int(0)], vec![])?;
        }
        _ => return Err(run.refusal("get_look_behind_samples", format!("is not a number from 0 to {MOST_BEHIND}"))),
    }
    let parameters = parameters(run, object)?;
    run.method(object, METHOD, vec![input, Value::Table(Rc::new(parameters))], vec![])
}

/// One held value from 0 to 1 for each name.
fn parameters(run: &mut Run<'_, '_>, object: &Rc<Object>) -> Result<BTreeMap<Rc<str>, Value>, ImportError> {
    let names = object.attribute("neutone_parameter_names").and_then(|names| names.items()).unwrap_or_default();
    let defaults = object.attribute("numerical_params_default_values_0to1").and_then(|values| values.constant());
    let defaults = defaults.and_then(|values| values.to_floats().ok().map(|values| values.to_vec()));
    run.build.held_frames = CONTROL_SAMPLES;
    let mut table = BTreeMap::new();
    for (i, name) in names.iter().enumerate() {
        let Value::Text(name) = name else { continue };
        let default = defaults.as_ref().and_then(|defaults| defaults.get(i)).copied();
        let default = default.ok_or_else(|| run.refusal(name, "is a parameter without a default value"))?;
        let parameter = Parameter {
            name: name.to_string(),
            unit: String::new(),
            default: vec![default],
            minimum: 0.0,
            maximum: 1.0,
            every: CONTROL_SAMPLES,
        };
        let node = run.build.push(Op::Parameter(parameter), &[0]).map_err(|reason| run.refusal(name, reason))?;
        let held = Signal { node, shift: 0, frames: Dim::fixed(1), axes: packed_axes(&[Some(1)]) };
        table.insert(Rc::clone(name), made(run, held));
    }
    Ok(table)
}
