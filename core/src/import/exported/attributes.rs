//! A host's attributes: values that a model's code reads from the model, and that a host writes there between calls.
//! nn~ keeps each as a tuple. Its floats become parameters; whatever decides which way code goes stays as the file has it.

use std::rc::Rc;

use crate::graph::{Op, Parameter};
use crate::import::ImportError;
use crate::import::onnx::dim::Dim;
use crate::import::onnx::value::{Signal, packed_axes};
use crate::import::script::run::Run;
use crate::import::script::torch::made;
use crate::import::script::value::{Object, Value};

/// Numbers of a model that become parameters, at most.
const MOST: usize = 16;
/// Input frames between two looks at a parameter of a method that reads audio.
const CONTROL_SAMPLES: usize = 64;

/// One float of an attribute.
#[derive(Clone, Debug)]
pub(super) struct Number {
    attribute: Rc<str>,
    /// Which of the attribute's values it is.
    place: usize,
    /// What the player sees.
    pub(super) name: String,
    pub(super) default: f32,
}

/// The floats of these attributes of the model.
pub(super) fn numbers(object: &Object, attributes: &[&str]) -> Vec<Number> {
    let of = |attribute: &&str| {
        let values = object.attribute(attribute).and_then(|value| value.items()).unwrap_or_default();
        let attribute: Rc<str> = (*attribute).into();
        let alone = values.len() == 1;
        let number = move |(place, value): (usize, &Value)| {
            let default = if let Value::Float(value) = value { *value as f32 } else { return None };
            let name = if alone { attribute.to_string() } else { format!("{attribute} {}", place + 1) };
            let is_held = (2.0 * default).is_finite();
            is_held.then(|| Number { attribute: Rc::clone(&attribute), place, name, default })
        };
        values.iter().enumerate().filter_map(number).collect::<Vec<_>>()
    };
    attributes.iter().flat_map(of).take(MOST).collect()
}

/// Attributes while parameters stand in them: each one's name, what the file has there, and what stands there now.
pub(super) struct Held(Vec<(Rc<str>, Value, Rc<[Value]>)>);

/// Puts a parameter in the place of each of `numbers`; the method's input has `ratio` samples to a frame.
///
/// # Errors
/// When the graph refuses it.
pub(super) fn hold(
    run: &mut Run<'_, '_>,
    object: &Object,
    numbers: &[Number],
    ratio: usize,
) -> Result<Held, ImportError> {
    run.build.held_frames = (CONTROL_SAMPLES / ratio).max(1);
    let mut held = vec![];
    for of_one in numbers.chunk_by(|a, b| a.attribute == b.attribute) {
        let attribute = Rc::clone(&of_one[0].attribute);
        let Some(stored) = object.attribute(&attribute) else { continue };
        let mut values = stored.items().unwrap_or_default();
        for number in of_one {
            if let Some(value) = values.get_mut(number.place) {
                *value = number.parameter(run)?;
            }
        }
        let values: Rc<[Value]> = values.into();
        object.attributes.borrow_mut().insert(Rc::clone(&attribute), Value::Tuple(Rc::clone(&values)));
        held.push((attribute, stored, values));
    }
    Ok(Held(held))
}

impl Held {
    /// Puts back what the file has.
    ///
    /// # Errors
    /// When code wrote one of them meanwhile.
    pub(super) fn release(self, run: &Run<'_, '_>, object: &Object) -> Result<(), ImportError> {
        for (attribute, stored, held) in self.0 {
            let now = object.attributes.borrow_mut().insert(Rc::clone(&attribute), stored);
            if !matches!(now, Some(Value::Tuple(now)) if Rc::ptr_eq(&now, &held)) {
                return Err(run.refusal(&attribute, "is written by the code that reads it"));
            }
        }
        Ok(())
    }
}

impl Number {
    /// A parameter that stands for it.
    fn parameter(&self, run: &mut Run<'_, '_>) -> Result<Value, ImportError> {
        let [minimum, maximum] = range(self.default);
        let parameter = Parameter {
            name: self.name.clone(),
            unit: String::new(),
            default: vec![self.default],
            minimum,
            maximum,
            every: run.build.held_frames,
        };
        run.build.place.clone_from(&self.name);
        let node = run.build.push(Op::Parameter(parameter), &[0]).map_err(|reason| run.refusal(&self.name, reason))?;
        Ok(made(run, Signal { node, shift: 0, frames: Dim::fixed(1), axes: packed_axes(&[Some(1)]) }))
    }
}

/// Files tell no range: twice what the file holds, to both sides where that is below zero.
fn range(default: f32) -> [f32; 2] {
    match 2.0 * default {
        0.0 => [-1.0, 1.0],
        most if most > 0.0 => [0.0, most],
        least => [least, -least],
    }
}
