//! The arguments of one operator, by place or by name.

use std::rc::Rc;

use super::super::number;
use super::super::run::Run;
use super::super::value::{Content, Tensor, Value};
use super::{Fault, Made};
use crate::import::ImportError;
use crate::import::onnx::constant::{Constant, Data};
use crate::import::onnx::dim::Dim;
use crate::import::onnx::value::{Signal, Value as Operand};

/// Values that one literal tensor has at most.
const MOST: usize = 1 << 16;

/// The arguments of one call.
pub(in crate::import) struct Arguments {
    pub(in crate::import) plain: Vec<Value>,
    pub(in crate::import) named: Vec<(Rc<str>, Value)>,
}

impl Arguments {
    /// Argument `i`, called `name`; `None` where it is left out, or Python's `None`.
    pub(super) fn get(&self, i: usize, name: &str) -> Option<&Value> {
        let by_name = || self.named.iter().find(|(other, _)| &**other == name).map(|(_, value)| value);
        self.plain.get(i).or_else(by_name).filter(|value| !matches!(value, Value::None))
    }

    fn needed(&self, i: usize, name: &str) -> Made<&Value> {
        self.get(i, name).ok_or_else(|| format!("is not given its argument {name}").into())
    }

    /// Argument `i` as a tensor.
    pub(super) fn tensor(&self, i: usize) -> Made<&Rc<Tensor>> {
        match self.plain.get(i) {
            Some(Value::Tensor(tensor)) => Ok(tensor),
            other => Err(format!("is given {} where a tensor is needed", other.map_or("nothing", Value::kind)).into()),
        }
    }

    /// Argument `i` as an operator reads it: a tensor, or a number as one.
    pub(super) fn operand(&self, run: &mut Run<'_, '_>, i: usize, name: &str) -> Made<Operand> {
        operand(run, self.needed(i, name)?)
    }

    /// As [`Self::operand`], where it is there.
    pub(super) fn optional(&self, run: &mut Run<'_, '_>, i: usize, name: &str) -> Made<Option<Operand>> {
        self.get(i, name).map(|value| operand(run, value)).transpose()
    }

    /// Argument `i`, which must be a signal.
    pub(super) fn signal(&self, run: &mut Run<'_, '_>, i: usize) -> Made<Signal> {
        match self.operand(run, i, "input")? {
            Operand::Signal(signal) => Ok(signal),
            Operand::Constant(_) => Err("reads a constant where the signal is needed".into()),
        }
    }

    /// Argument `i`, which must be known without the signal.
    pub(super) fn constant(&self, run: &mut Run<'_, '_>, i: usize, name: &str) -> Made<Constant> {
        match self.operand(run, i, name)? {
            Operand::Constant(constant) => Ok(constant),
            Operand::Signal(_) => Err(format!("is given a signal for {name}, where a constant is needed").into()),
        }
    }

    /// The tensors of a list.
    pub(super) fn operands(&self, run: &mut Run<'_, '_>, i: usize) -> Made<Vec<Operand>> {
        let items = self.plain.get(i).and_then(Value::items).ok_or("is given no list of tensors")?;
        items.iter().map(|item| operand(run, item)).collect()
    }

    /// Sizes of all axes of argument 0.
    pub(super) fn dims(&self, run: &mut Run<'_, '_>) -> Made<Vec<Dim>> {
        Ok(dims(&self.operand(run, 0, "input")?))
    }

    pub(super) fn int(&self, i: usize, name: &str, absent: i64) -> Made<i64> {
        self.get(i, name).map_or(Ok(absent), |value| Ok(number::whole(value)?))
    }

    pub(super) fn int_needed(&self, i: usize, name: &str) -> Made<i64> {
        Ok(number::whole(self.needed(i, name)?)?)
    }

    pub(super) fn float(&self, i: usize, name: &str, absent: f64) -> Made<f64> {
        self.get(i, name).map_or(Ok(absent), |value| Ok(number::float(value)?))
    }

    pub(super) fn flag(&self, i: usize, name: &str, absent: bool) -> bool {
        match self.get(i, name) {
            Some(Value::Bool(value)) => *value,
            Some(Value::Int(value)) => *value != 0,
            _ => absent,
        }
    }

    pub(super) fn text(&self, i: usize, name: &str) -> Option<Rc<str>> {
        if let Some(Value::Text(text)) = self.get(i, name) { Some(Rc::clone(text)) } else { None }
    }

    /// A list of whole numbers; one number is a list of one.
    pub(super) fn ints(&self, i: usize, name: &str) -> Made<Option<Vec<i64>>> {
        let Some(value) = self.get(i, name) else { return Ok(None) };
        let items = value.items().unwrap_or_else(|| vec![value.clone()]);
        Ok(Some(items.iter().map(number::whole).collect::<Result<_, _>>()?))
    }

    /// A list of lengths, from one argument or from all from `i` on.
    pub(super) fn lengths(&self, run: &mut Run<'_, '_>, i: usize, name: &str) -> Made<Vec<Dim>> {
        let value = self.needed(i, name)?;
        let items = value.items().unwrap_or_else(|| self.plain[i.min(self.plain.len())..].to_vec());
        let mut lengths = vec![];
        for item in items {
            let item = super::super::language::scalar(run, name, &item)?;
            let length = number::dim(&item).ok_or_else(|| format!("has {} for a size", item.kind()))?;
            lengths.push(length);
        }
        Ok(lengths)
    }
}

/// Sizes of all axes.
pub(super) fn dims(operand: &Operand) -> Vec<Dim> {
    match operand {
        Operand::Constant(constant) => constant.dims(),
        Operand::Signal(signal) => signal.dims(),
    }
}

/// A tensor, or a number as one.
pub(super) fn operand(run: &mut Run<'_, '_>, value: &Value) -> Made<Operand> {
    let constant = match value {
        Value::Tensor(tensor) => match run.read(tensor)? {
            Content::Constant(constant) => constant,
            Content::Signal(signal) => return Ok(Operand::Signal(signal)),
            Content::Whole(_) => return Err("reads a signal of whole numbers; a stream holds floats".into()),
            Content::Refused(refusal) => return Err(Fault::Error((&*refusal).into())),
        },
        Value::Int(n) => Constant::ints(vec![], [*n]),
        Value::Bool(b) => Constant::ints(vec![], [i64::from(*b)]),
        Value::Float(x) => Constant::floats(vec![], [*x as f32]),
        Value::Length(dim, float) => Constant::lengths(vec![], vec![*dim], *float),
        other => return Err(format!("is given {} where a tensor or number is needed", other.kind()).into()),
    };
    Ok(Operand::Constant(constant))
}

/// The tensor that holds a number, or lists of numbers.
pub(in super::super) fn scalar_tensor(run: &mut Run<'_, '_>, name: &str, value: &Value) -> Result<Value, ImportError> {
    if let Value::Tensor(_) = value {
        return Ok(value.clone());
    }
    let mut values = vec![];
    let shape = nested(value, &mut values).map_err(|reason| run.refusal(name, reason))?;
    let float = values.iter().any(|value| matches!(value, Value::Float(_) | Value::Length(_, true)));
    let lengths = values.iter().any(|value| matches!(value, Value::Length(..)));
    let constant = if lengths {
        let dims: Option<Vec<_>> = values.iter().map(number::dim).collect();
        dims.map(|dims| Constant::lengths(shape, dims, float)).ok_or("mixes lengths and other numbers".to_string())
    } else if float {
        values
            .iter()
            .map(|v| number::float(v).map(|v| v as f32))
            .collect::<Result<Vec<_>, _>>()
            .map(|v| Constant::floats(shape, v))
    } else {
        let values = values.iter().map(number::whole).collect::<Result<Vec<_>, _>>();
        values.map(|v| Constant { shape, data: Data::Int(v.into()), stretched: vec![] })
    };
    constant.map(|c| Value::tensor(Content::Constant(c))).map_err(|reason| run.refusal(name, reason))
}

/// The numbers in nested lists, row-major, and the lists' sizes.
fn nested(value: &Value, values: &mut Vec<Value>) -> Result<Vec<usize>, String> {
    let Some(items) = value.items() else {
        if values.len() >= MOST {
            return Err(format!("holds more than {MOST} values"));
        }
        values.push(value.clone());
        return Ok(vec![]);
    };
    let mut inner: Option<Vec<usize>> = None;
    for item in &items {
        let shape = nested(item, values)?;
        if inner.as_ref().is_some_and(|inner| *inner != shape) {
            return Err("holds lists of different sizes".into());
        }
        inner = Some(shape);
    }
    let mut shape = vec![items.len()];
    shape.extend(inner.unwrap_or_default());
    Ok(shape)
}
