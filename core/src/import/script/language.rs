//! What belongs to the language rather than to tensors: conversions, lists, strings, exceptions.

use std::rc::Rc;

use super::number;
use super::run::Run;
use super::torch;
use super::value::{Content, Value};
use crate::import::ImportError;
use crate::import::onnx::constant::Data;

/// Items of one list, and characters of one string, beyond which code is refused.
const MOST: usize = 1 << 16;
/// PyTorch's numbers of the types f32, i64 and bool.
const FLOAT: i64 = 6;
const LONG: i64 = 4;

/// Python's own functions, and TorchScript's `ops.prim`.
pub(super) fn call(run: &mut Run<'_, '_>, name: &str, arguments: &[Value]) -> Result<Value, ImportError> {
    let refuse = |run: &Run<'_, '_>, reason: String| Err(run.refusal(name, reason));
    match (name, arguments) {
        ("int" | "Int", [value]) => scalar(run, name, value).and_then(|value| match &value {
            Value::Int(_) => Ok(value),
            Value::Bool(b) => Ok(Value::Int(i64::from(*b))),
            Value::Length(dim, _) => Ok(number::length(dim.floor(), false)),
            Value::Float(x) if x.abs() < 9e15 => Ok(Value::Int(x.trunc() as i64)),
            other => refuse(run, format!("makes an integer of {}", other.kind())),
        }),
        ("float" | "Float", [Value::Text(text)]) => match &**text {
            "inf" => Ok(Value::Float(f64::INFINITY)),
            "-inf" => Ok(Value::Float(f64::NEG_INFINITY)),
            "nan" => Ok(Value::Float(f64::NAN)),
            _ => refuse(run, "makes a number of a string".into()),
        },
        ("float" | "Float", [value]) if is_held(run, value)? => Ok(value.clone()),
        ("float" | "Float", [value]) => scalar(run, name, value).and_then(|value| match &value {
            Value::Length(dim, _) => Ok(number::length(*dim, true)),
            value => number::float(value).map(Value::Float).or_else(|reason| refuse(run, reason)),
        }),
        ("bool" | "Bool", [value]) => run.truth(value).map(Value::Bool),
        ("str", [value]) => {
            let made = Value::from(text(value));
            run.pay(&made).map(|()| made)
        }
        ("NumToTensor" | "num_to_tensor", [value]) => torch::scalar_tensor(run, name, value),
        ("range", [end]) => range(run, &Value::Int(0), end, &Value::Int(1)),
        ("range", [start, end]) => range(run, start, end, &Value::Int(1)),
        ("range", [start, end, step]) => range(run, start, end, step),
        ("getattr", [Value::Object(object), Value::Text(name)]) => object
            .attribute(name)
            .ok_or_else(|| run.refusal("getattr", format!("reads {name:?}, which the archive's data do not hold"))),
        ("hasattr", [Value::Object(object), Value::Text(name)]) => Ok(Value::Bool(object.attribute(name).is_some())),
        ("RaiseException", [message, ..]) => {
            let message: String = text(message).chars().take(200).collect();
            refuse(run, format!("stops with an error of the model's own: {message:?}"))
        }
        ("dtype", [Value::Tensor(tensor)]) => Ok(Value::Int(match run.read(tensor)? {
            Content::Constant(constant) if !constant.is_float() => LONG,
            _ => FLOAT,
        })),
        ("device" | "layout", [Value::Tensor(_)]) => Ok(Value::Text("cpu".into())),
        ("data" | "unchecked_unwrap_optional", [value]) => Ok(value.clone()),
        ("requires_grad" | "is_cuda" | "is_sparse" | "is_quantized" | "is_mkldnn", [_]) => Ok(Value::Bool(false)),
        ("max" | "min", [list]) if list.items().is_some_and(|items| !items.is_empty()) => {
            let mut items = list.items().into_iter().flatten();
            let first = items.next().unwrap_or(Value::None);
            items.try_fold(first, |a, b| pair(run, name, &a, &b))
        }
        ("max" | "min", [a, b]) => pair(run, name, a, b),
        ("abs", [value]) => torch::call(run, "abs", vec![value.clone()], vec![]),
        ("len", [_]) => list(run, "len", arguments).unwrap_or(Ok(Value::None)),
        ("list", [value]) => match value.items() {
            Some(items) => Ok(Value::list(items)),
            None => refuse(run, format!("makes a list of {}", value.kind())),
        },
        _ if name.starts_with("ops.") => {
            refuse(run, "is an operator of a library beside torch's own, which is not known".into())
        }
        _ => refuse(run, "is not known; only what TorchScript's own operators do is followed".into()),
    }
}

fn pair(run: &Run<'_, '_>, name: &str, a: &Value, b: &Value) -> Result<Value, ImportError> {
    let result = number::binary(name, a, b).unwrap_or_else(|| Err("compares tensors".into()));
    result.map_err(|reason| run.refusal(name, reason))
}

/// Whether it is a number that a player holds.
fn is_held(run: &mut Run<'_, '_>, value: &Value) -> Result<bool, ImportError> {
    let Value::Tensor(tensor) = value else { return Ok(false) };
    let content = run.read(tensor)?;
    Ok(matches!(content, Content::Signal(signal) if signal.time_axis().is_none() && signal.channels() == 1))
}

/// A number, or the one number that a tensor holds.
pub(super) fn scalar(run: &mut Run<'_, '_>, name: &str, value: &Value) -> Result<Value, ImportError> {
    let Value::Tensor(tensor) = value else { return Ok(value.clone()) };
    match run.read(tensor)? {
        Content::Constant(constant) if constant.len() == 1 => Ok(match &constant.data {
            Data::Int(values) => Value::Int(values[0]),
            Data::Float(values) => Value::Float(f64::from(values[0])),
            Data::Length { values, float } => number::length(values[0], *float),
        }),
        Content::Constant(constant) => {
            Err(run.refusal(name, format!("makes one number of a tensor of shape {:?}", constant.shape)))
        }
        Content::Refused(refusal) => Err((&*refusal).into()),
        Content::Signal(_) | Content::Whole(_) => {
            Err(run.refusal(name, "makes a plain number of the signal, which is another one at every moment"))
        }
    }
}

fn range(run: &mut Run<'_, '_>, start: &Value, end: &Value, step: &Value) -> Result<Value, ImportError> {
    let mut ends = [0; 3];
    for (end, value) in ends.iter_mut().zip([start, end, step]) {
        *end = number::whole(value).map_err(|reason| run.refusal("range", reason))?;
    }
    let [start, end, step] = ends.map(i128::from);
    let count = if step == 0 { 0 } else { ((end - start) + step - step.signum()) / step };
    if step == 0 || count > MOST as i128 {
        return Err(run.refusal("range", format!("has {count} numbers, at most {MOST} are walked")));
    }
    run.step(4 * count.max(0) as usize)?;
    Ok(Value::list((0..count).map(|i| Value::Int((start + i * step) as i64)).collect()))
}

/// `torch`'s functions of lists, strings and `None`; `None` where `name` is none of them.
pub(super) fn list(run: &mut Run<'_, '_>, name: &str, arguments: &[Value]) -> Option<Result<Value, ImportError>> {
    let outcome: Result<Value, String> = match (name, arguments) {
        ("__is__", [a, b]) => Ok(Value::Bool(is(a, b))),
        ("__isnot__", [a, b]) => Ok(Value::Bool(!is(a, b))),
        ("len", [Value::Text(text)]) => Ok(Value::Int(text.chars().count() as i64)),
        ("len", [value]) => match (value, value.items()) {
            (_, Some(items)) => Ok(Value::Int(items.len() as i64)),
            (Value::Tensor(_), _) => return Some(torch::call(run, "size", vec![value.clone(), Value::Int(0)], vec![])),
            _ => Err(format!("is asked of {}", value.kind())),
        },
        ("list", [value]) => value.items().map(Value::list).ok_or_else(|| format!("makes a list of {}", value.kind())),
        ("append", [Value::List(list), value]) => {
            let len = list.items.borrow().len();
            list.insert(len, vec![value.clone()], MOST).map(|()| Value::List(Rc::clone(list)))
        }
        ("extend", [Value::List(list), more]) if more.items().is_some() => {
            let len = list.items.borrow().len();
            list.insert(len, more.items().unwrap_or_default(), MOST).map(|()| Value::None)
        }
        ("insert", [Value::List(list), at, value]) => number::whole(at)
            .and_then(|at| usize::try_from(at).map_err(|_| format!("puts an item at {at}")))
            .and_then(|at| list.insert(at, vec![value.clone()], MOST))
            .map(|()| Value::None),
        ("pop", [Value::List(list)]) => list.items.borrow_mut().pop().ok_or_else(|| "takes from an empty list".into()),
        ("reverse", [Value::List(list)]) => {
            list.items.borrow_mut().reverse();
            Ok(Value::None)
        }
        ("copy", [Value::List(list)]) => Ok(Value::list(list.items.borrow().clone())),
        ("__contains__", [Value::Table(table), Value::Text(name)]) => Ok(Value::Bool(table.contains_key(name))),
        ("__contains__", [list, value]) => match list.items() {
            Some(items) => {
                let equal = items.iter().map(|item| number::equal(item, value)).collect::<Result<Vec<_>, _>>();
                equal.map(|equal| Value::Bool(equal.contains(&true)))
            }
            None => Err(format!("looks into {}", list.kind())),
        },
        ("__getitem__", [list, index]) if list.items().is_some() || matches!(list, Value::Table(_)) => {
            return Some(run.index(list, index));
        }
        ("slice", [list, bounds @ ..]) if list.items().is_some() => sliced(&list.items().unwrap_or_default(), bounds),
        ("format", [Value::Text(pattern), values @ ..]) => {
            let mut parts = pattern.split("{}");
            let mut made = parts.next().unwrap_or_default().to_owned();
            for (part, value) in parts.zip(values) {
                made.push_str(&text(value).chars().take(1000).collect::<String>());
                made.push_str(part);
            }
            if made.len() > MOST { Err("makes a string too long".into()) } else { Ok(Value::Text(made.into())) }
        }
        ("warn", _) => Ok(Value::None),
        // How a loop over a range with bounds is printed.
        ("__range_length", [start, end, step]) => number::whole(start).and_then(|start| {
            let (end, step) = (i128::from(number::whole(end)?), i128::from(number::whole(step)?));
            if step == 0 {
                return Err("steps by 0".into());
            }
            let count = (end - i128::from(start) + step - step.signum()) / step;
            Ok(Value::Int(i64::try_from(count.max(0)).unwrap_or(i64::MAX)))
        }),
        ("__derive_index", [index, start, step]) => number::whole(index).and_then(|index| {
            let at =
                number::whole(step)?.checked_mul(index).and_then(|far| far.checked_add(number::whole(start).ok()?));
            at.map(Value::Int).ok_or_else(|| "does not fit 64 bits".into())
        }),
        ("IntImplicit", [value]) => return Some(call(run, "int", std::slice::from_ref(value))),
        ("FloatImplicit", [value]) => return Some(call(run, "float", std::slice::from_ref(value))),
        ("item" | "ScalarImplicit" | "Scalar", [value]) => return Some(scalar(run, name, value)),
        ("Int" | "Float" | "Bool", [_]) => return Some(call(run, name, arguments)),
        _ => return None,
    };
    let value = match outcome {
        Ok(value) => value,
        Err(reason) => return Some(Err(run.refusal(name, reason))),
    };
    // `append` gives the list that it was given.
    let paid = if name == "append" { Ok(()) } else { run.pay(&value) };
    Some(paid.map(|()| value))
}

fn is(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::None, Value::None) => true,
        (Value::Bool(x), Value::Bool(y)) => x == y,
        (Value::Tensor(x), Value::Tensor(y)) => Rc::ptr_eq(x, y),
        (Value::Object(x), Value::Object(y)) => Rc::ptr_eq(x, y),
        _ => false,
    }
}

fn sliced(items: &[Value], bounds: &[Value]) -> Result<Value, String> {
    let bound = |i: usize, absent: i64| match bounds.get(i) {
        None | Some(Value::None) => Ok(absent),
        Some(value) => number::whole(value),
    };
    let picks = torch::range(items.len(), bound(0, 0)?, bound(1, i64::MAX)?, bound(2, 1)?)?;
    Ok(Value::list(picks.into_iter().map(|pick| items[pick].clone()).collect()))
}

/// A value in messages.
fn text(value: &Value) -> String {
    match value {
        Value::None => "None".into(),
        Value::Bool(b) => if *b { "True" } else { "False" }.into(),
        Value::Int(n) => n.to_string(),
        Value::Float(x) => x.to_string(),
        Value::Length(dim, _) => dim.to_string(),
        Value::Text(text) => text.to_string(),
        Value::List(_) | Value::Tuple(_) => {
            let items = value.items().unwrap_or_default();
            let few = items.iter().take(16).map(|item| match item {
                Value::List(_) | Value::Tuple(_) => "…".to_owned(),
                item => text(item),
            });
            format!("[{}]", few.collect::<Vec<_>>().join(", "))
        }
        other => other.kind().into(),
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}
