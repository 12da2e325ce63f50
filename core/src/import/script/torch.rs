//! `torch`'s operators by name: what they make of constants and signals. Most are one of ONNX's, spelled otherwise, and
//! are handed on to it; each family has a file.

mod arguments;
mod convolution;
mod create;
mod layout;
mod pointwise;
mod recurrent;
mod reduce;
mod write;

use std::rc::Rc;

pub(in crate::import) use self::arguments::Arguments;
pub(super) use self::arguments::scalar_tensor;
use super::language;
use super::number;
use super::run::Run;
use super::value::{Content, Value};
use crate::import::ImportError;
use crate::import::onnx::call::Call;
use crate::import::onnx::op;
use crate::import::onnx::proto::Attribute;
use crate::import::onnx::value::{Signal, Value as Operand};

/// Frames between a node and a tensor on it beyond which a model is refused.
const MOST_SHIFT: u64 = 1 << 32;

/// Why an operator is not followed.
pub(in crate::import) enum Fault {
    /// The reason, at the place reached.
    Reason(String),
    /// An error that knows its place.
    Error(ImportError),
}

impl From<String> for Fault {
    fn from(reason: String) -> Self {
        Self::Reason(reason)
    }
}

impl From<&str> for Fault {
    fn from(reason: &str) -> Self {
        Self::Reason(reason.into())
    }
}

impl From<ImportError> for Fault {
    fn from(error: ImportError) -> Self {
        Self::Error(error)
    }
}

/// What an operator makes, or why it is not followed.
pub(in crate::import) type Made<T> = Result<T, Fault>;

/// `torch.name(…)`.
///
/// # Errors
/// When it is not known, or not of these arguments. What is wrong only with a signal is told when the result is needed.
pub(in crate::import) fn call(
    run: &mut Run<'_, '_>,
    name: &str,
    plain: Vec<Value>,
    named: Vec<(Rc<str>, Value)>,
) -> Result<Value, ImportError> {
    if let Some(result) = language::list(run, name, &plain) {
        return result;
    }
    let on_numbers = match &plain[..] {
        [a, b] => number::binary(name, a, b),
        [a] => number::unary(name, a),
        _ => None,
    };
    if let Some(result) = on_numbers {
        let value = result.map_err(|reason| run.refusal(name, reason))?;
        run.pay(&value)?;
        return Ok(value);
    }
    let shown = format!("torch.{name}");
    let arguments = Arguments { plain, named };
    if arguments.named.iter().any(|(name, _)| &**name == "out") {
        return Err(run.refusal(&shown, "writes its result into another tensor (out)"));
    }
    match held_refusal(run, &arguments)? {
        // What is refused stays so, whatever is made of it.
        Some(refused) if !matches!(name, "size" | "dim") && !write::knows(name) => {
            return match (is_many(name), &refused) {
                (true, Content::Refused(refusal)) => Err((&**refusal).into()),
                _ => Ok(Value::tensor(refused)),
            };
        }
        _ => {}
    }
    match table(run, name, &arguments) {
        Ok(value) => Ok(value),
        Err(Fault::Error(error)) => Err(error),
        Err(Fault::Reason(reason)) if has_signal(&arguments.plain, 0) && !is_many(name) && !write::knows(name) => {
            Ok(Value::tensor(Content::Refused(Rc::new(run.refused(&shown, reason)))))
        }
        Err(Fault::Reason(reason)) => Err(run.refusal(&shown, reason)),
    }
}

fn table(run: &mut Run<'_, '_>, name: &str, arguments: &Arguments) -> Made<Value> {
    if write::knows(name) {
        return write::write(run, name, arguments);
    }
    let families = [pointwise::run, layout::run, convolution::run, reduce::run, create::run, recurrent::run];
    for family in families {
        if let Some(value) = family(run, name, arguments)? {
            return Ok(value);
        }
    }
    Err("is not known: only what can become part of a stream is followed".into())
}

/// What ONNX's operator `op` makes of `inputs`.
pub(super) fn onnx(
    run: &mut Run<'_, '_>,
    op: &str,
    inputs: Vec<Option<Operand>>,
    attributes: Vec<Attribute<'static>>,
    outputs: usize,
) -> Made<Vec<Operand>> {
    let call = Call { op, inputs, attributes, outputs };
    let made = op::run(&mut run.build, &call)?;
    for value in &made {
        if let Operand::Signal(signal) = value {
            if signal.shift.unsigned_abs() > MOST_SHIFT {
                return Err(format!("shifts the signal by more than {MOST_SHIFT} frames").into());
            }
            run.met(signal);
        }
    }
    Ok(made)
}

/// As [`onnx`], of one output.
pub(super) fn one(
    run: &mut Run<'_, '_>,
    op: &str,
    inputs: Vec<Option<Operand>>,
    attributes: Vec<Attribute<'static>>,
) -> Made<Operand> {
    onnx(run, op, inputs, attributes, 1)?.into_iter().next().ok_or_else(|| "makes nothing".into())
}

/// A tensor with memory of its own.
pub(super) fn own(operand: Operand) -> Value {
    Value::tensor(content(operand))
}

pub(super) fn content(operand: Operand) -> Content {
    match operand {
        Operand::Constant(constant) => Content::Constant(constant),
        Operand::Signal(signal) => Content::Signal(signal),
    }
}

/// A signal that a node of the caller's makes.
pub(in crate::import) fn made(run: &mut Run<'_, '_>, signal: Signal) -> Value {
    run.met(&signal);
    Value::tensor(Content::Signal(signal))
}

pub(super) fn int(name: &'static str, value: i64) -> Attribute<'static> {
    Attribute { name, int: Some(value), ..Attribute::default() }
}

pub(super) fn ints(name: &'static str, values: Vec<i64>) -> Attribute<'static> {
    Attribute { name, ints: values, ..Attribute::default() }
}

pub(super) fn float(name: &'static str, value: f64) -> Attribute<'static> {
    Attribute { name, float: Some(value as f32), ..Attribute::default() }
}

pub(super) fn text(name: &'static str, value: &'static str) -> Attribute<'static> {
    Attribute { name, text: Some(value.as_bytes()), ..Attribute::default() }
}

/// The indices that a slice names among `size`.
pub(super) fn range(size: usize, start: i64, end: i64, step: i64) -> Result<Vec<usize>, String> {
    if step < 1 {
        return Err(format!("takes every {step}th"));
    }
    let n = size as i64;
    let bound = |at: i64| (if at < 0 { at.saturating_add(n) } else { at }).clamp(0, n) as usize;
    let step = usize::try_from(step).unwrap_or(usize::MAX);
    Ok((bound(start)..bound(end)).step_by(step).collect())
}

/// Operators of several results.
fn is_many(name: &str) -> bool {
    matches!(
        name,
        "chunk"
            | "split"
            | "split_with_sizes"
            | "unbind"
            | "rnn_tanh"
            | "rnn_relu"
            | "gru"
            | "lstm"
            | "max"
            | "min"
            | "sort"
            | "topk"
            | "var_mean"
    )
}

/// What is refused already among the arguments.
fn held_refusal(run: &mut Run<'_, '_>, arguments: &Arguments) -> Result<Option<Content>, ImportError> {
    let items = arguments.plain.iter().flat_map(|value| value.items().unwrap_or_else(|| vec![value.clone()]));
    for item in items {
        if let Value::Tensor(tensor) = item
            && let refused @ Content::Refused(_) = run.read(&tensor)?
        {
            return Ok(Some(refused));
        }
    }
    Ok(None)
}

fn has_signal(values: &[Value], depth: usize) -> bool {
    values.iter().any(|value| match value {
        Value::Tensor(tensor) => !matches!(*tensor.content.borrow(), Content::Constant(_)),
        Value::List(_) | Value::Tuple(_) if depth < 2 => has_signal(&value.items().unwrap_or_default(), depth + 1),
        _ => false,
    })
}
