//! Arithmetic of numbers, strings and lists, as Python has it; numbers may depend on the signal's length.

use super::value::Value;
use crate::import::onnx::dim::{Dim, Fraction};

/// Items and characters beyond which a list or string is refused.
const MOST: usize = 1 << 16;
/// What is done to two numbers, strings or lists.
const KNOWN: [&str; 25] = [
    "add",
    "sub",
    "rsub",
    "mul",
    "div",
    "floordiv",
    "floor_divide",
    "remainder",
    "pow",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "max",
    "min",
    "__and__",
    "__or__",
    "__xor__",
    "__lshift__",
    "__rshift__",
    "logical_and",
    "logical_or",
    "logical_xor",
];

/// The whole number that `value` is.
///
/// # Errors
/// When it is none.
pub(super) fn whole(value: &Value) -> Result<i64, String> {
    match value {
        Value::Int(n) => Ok(*n),
        Value::Bool(b) => Ok(i64::from(*b)),
        Value::Float(x) if x.fract() == 0.0 && x.abs() < 9e15 => Ok(*x as i64),
        Value::Length(dim, _) => {
            dim.known().ok_or_else(|| format!("needs a number, and {dim} depends on the length of the signal"))
        }
        other => Err(format!("needs an integer, and gets {}", other.kind())),
    }
}

/// The float that `value` is.
///
/// # Errors
/// When it is none.
pub(super) fn float(value: &Value) -> Result<f64, String> {
    match value {
        Value::Float(x) => Ok(*x),
        Value::Length(dim, _) => dim
            .constant()
            .map(Fraction::to_f64)
            .ok_or_else(|| format!("needs a number, and {dim} depends on the length of the signal")),
        other => whole(other).map(|n| n as f64),
    }
}

/// The length that `value` is.
pub(super) fn dim(value: &Value) -> Option<Dim> {
    match value {
        Value::Int(n) => Some(Dim::fixed(*n)),
        Value::Bool(b) => Some(Dim::fixed(i64::from(*b))),
        Value::Float(x) => Fraction::near(*x).map(Dim::fraction),
        Value::Length(dim, _) => Some(*dim),
        _ => None,
    }
}

/// A length as a value: a plain number where it is one.
pub(super) fn length(dim: Dim, float: bool) -> Value {
    match (dim.known(), dim.constant()) {
        (Some(n), _) if !float => Value::Int(n),
        (_, Some(f)) if float => Value::Float(f.to_f64()),
        _ => Value::Length(dim, float),
    }
}

/// `a name b`, where both are numbers, strings or lists; `None` where that is for tensors.
pub(super) fn binary(name: &str, a: &Value, b: &Value) -> Option<Result<Value, String>> {
    match (a, b) {
        _ if !KNOWN.contains(&name) => None,
        (Value::Tensor(_), _) | (_, Value::Tensor(_)) => None,
        (Value::Text(x), Value::Text(y)) => Some(match name {
            "add" if x.len() + y.len() <= MOST => Ok(Value::Text(format!("{x}{y}").into())),
            "eq" => Ok(Value::Bool(x == y)),
            "ne" => Ok(Value::Bool(x != y)),
            _ => Err(format!("is not known of strings, or makes one of more than {MOST} characters")),
        }),
        _ if is_list(a) || is_list(b) => Some(lists(name, a, b)),
        _ if is_number(a) && is_number(b) => Some(numbers(name, a, b)),
        _ => match name {
            "eq" => Some(equal(a, b).map(Value::Bool)),
            "ne" => Some(equal(a, b).map(|same| Value::Bool(!same))),
            _ => Some(Err(format!("is given {} and {}", a.kind(), b.kind()))),
        },
    }
}

/// Whether two values are equal.
///
/// # Errors
/// When they hold too much to tell.
pub(super) fn equal(a: &Value, b: &Value) -> Result<bool, String> {
    let mut left = MOST;
    equal_within(a, b, &mut left).ok_or_else(|| format!("compares more than {MOST} items"))
}

fn equal_within(a: &Value, b: &Value, left: &mut usize) -> Option<bool> {
    *left = left.checked_sub(1)?;
    Some(match (a, b) {
        (Value::None, Value::None) => true,
        (Value::Text(x), Value::Text(y)) => x == y,
        (Value::Length(x, _), Value::Length(y, _)) => x == y,
        _ => match (a.items(), b.items()) {
            (Some(x), Some(y)) => {
                *left = left.checked_sub(x.len() + y.len())?;
                let mut same = x.len() == y.len();
                for (x, y) in x.iter().zip(&y) {
                    same = same && equal_within(x, y, left)?;
                }
                same
            }
            _ => float(a).is_ok_and(|x| float(b).is_ok_and(|y| x == y)),
        },
    })
}

fn is_number(value: &Value) -> bool {
    matches!(value, Value::Int(_) | Value::Float(_) | Value::Bool(_) | Value::Length(..))
}

fn is_list(value: &Value) -> bool {
    matches!(value, Value::List(_) | Value::Tuple(_))
}

fn lists(name: &str, a: &Value, b: &Value) -> Result<Value, String> {
    match (name, a.items(), b.items()) {
        ("eq", ..) => equal(a, b).map(Value::Bool),
        ("ne", ..) => equal(a, b).map(|same| Value::Bool(!same)),
        ("add", Some(mut x), Some(y)) if x.len() + y.len() <= MOST => {
            x.extend(y);
            Ok(Value::list(x))
        }
        ("mul", Some(items), None) | ("mul", None, Some(items)) => {
            let count = whole(if is_list(a) { b } else { a })?.max(0) as usize;
            match items.len().checked_mul(count) {
                Some(len) if len <= MOST => Ok(Value::list(std::iter::repeat_n(items, count).flatten().collect())),
                _ => Err(format!("repeats {} items {count} times, at most {MOST} are kept", items.len())),
            }
        }
        _ => Err("is not known of these lists, or makes one too long".into()),
    }
}

fn numbers(name: &str, a: &Value, b: &Value) -> Result<Value, String> {
    if let (Value::Bool(x), Value::Bool(y)) = (a, b)
        && let Some(value) = match name {
            "__and__" | "logical_and" => Some(*x && *y),
            "__or__" | "logical_or" => Some(*x || *y),
            "__xor__" => Some(x != y),
            _ => None,
        }
    {
        return Ok(Value::Bool(value));
    }
    if let (Value::Length(..), _) | (_, Value::Length(..)) = (a, b) {
        return lengths(name, a, b);
    }
    match (a, b) {
        (Value::Float(_), _) | (_, Value::Float(_)) => floats(name, float(a)?, float(b)?),
        _ => integers(name, whole(a)?, whole(b)?),
    }
}

fn integers(name: &str, a: i64, b: i64) -> Result<Value, String> {
    let divides = || if b == 0 { Err("divides by zero".to_string()) } else { Ok(()) };
    let checked = |value: Option<i64>| value.map(Value::Int).ok_or_else(|| "does not fit 64 bits".into());
    match name {
        "add" => checked(a.checked_add(b)),
        "sub" => checked(a.checked_sub(b)),
        "rsub" => checked(b.checked_sub(a)),
        "mul" => checked(a.checked_mul(b)),
        "floordiv" | "floor_divide" => {
            divides()?;
            checked(a.checked_rem_euclid(b).map(|_| div_floor(a, b)))
        }
        "remainder" => {
            divides()?;
            checked(a.checked_rem_euclid(b).map(|_| a.wrapping_sub(div_floor(a, b).wrapping_mul(b))))
        }
        "pow" if b >= 0 => checked(u32::try_from(b).ok().and_then(|b| a.checked_pow(b))),
        "max" => Ok(Value::Int(a.max(b))),
        "min" => Ok(Value::Int(a.min(b))),
        "__lshift__" => checked(u32::try_from(b).ok().filter(|&b| b < 63).and_then(|b| a.checked_mul(1 << b))),
        "__rshift__" => checked(u32::try_from(b).ok().filter(|&b| b < 64).map(|b| a >> b)),
        "__and__" => Ok(Value::Int(a & b)),
        "__or__" => Ok(Value::Int(a | b)),
        _ => floats(name, a as f64, b as f64),
    }
}

fn div_floor(a: i64, b: i64) -> i64 {
    let (quotient, rest) = (a.wrapping_div(b), a.wrapping_rem(b));
    if rest != 0 && (rest < 0) != (b < 0) { quotient - 1 } else { quotient }
}

fn floats(name: &str, a: f64, b: f64) -> Result<Value, String> {
    if let Some(truth) = compared(name, a.partial_cmp(&b)) {
        return Ok(Value::Bool(truth));
    }
    if b == 0.0 && matches!(name, "div" | "floordiv" | "floor_divide" | "remainder") {
        return Err("divides by zero".into());
    }
    Ok(Value::Float(match name {
        "add" => a + b,
        "sub" => a - b,
        "rsub" => b - a,
        "mul" => a * b,
        "div" => a / b,
        "floordiv" | "floor_divide" => (a / b).floor(),
        "remainder" => a - (a / b).floor() * b,
        "pow" => a.powf(b),
        "max" => a.max(b),
        "min" => a.min(b),
        _ => return Err("is not known of numbers".into()),
    }))
}

fn lengths(name: &str, a: &Value, b: &Value) -> Result<Value, String> {
    let is_float = |value: &Value| matches!(value, Value::Float(_) | Value::Length(_, true));
    let either = is_float(a) || is_float(b);
    let (Some(x), Some(y)) = (dim(a), dim(b)) else {
        return Err("mixes the signal's length with a number that is no simple fraction".into());
    };
    if let Some(truth) = compared(name, Some(x.order(y))) {
        return Ok(Value::Bool(truth));
    }
    let floored = || x.over(y).map(Dim::floor);
    let (result, float) = match name {
        "add" => (x.plus(y), either),
        "sub" => (x.minus(y), either),
        "rsub" => (y.minus(x), either),
        "mul" => (x.times(y), either),
        "div" => (x.over(y), true),
        "floordiv" | "floor_divide" => (floored(), either),
        "remainder" => (floored().and_then(|f| x.minus(f.times(y)?)), either),
        "max" => (Some(if x.order(y).is_lt() { y } else { x }), either),
        "min" => (Some(if x.order(y).is_gt() { y } else { x }), either),
        _ => return Err(format!("is not known of the signal's length ({x} and {y})")),
    };
    let result = result.ok_or("makes a length that is no straight line in the signal's")?;
    Ok(length(result, float))
}

fn compared(name: &str, order: Option<std::cmp::Ordering>) -> Option<bool> {
    Some(match name {
        "eq" => order.is_some_and(std::cmp::Ordering::is_eq),
        "ne" => order.is_none_or(std::cmp::Ordering::is_ne),
        "lt" => order.is_some_and(std::cmp::Ordering::is_lt),
        "le" => order.is_some_and(std::cmp::Ordering::is_le),
        "gt" => order.is_some_and(std::cmp::Ordering::is_gt),
        "ge" => order.is_some_and(std::cmp::Ordering::is_ge),
        _ => return None,
    })
}

/// `name a`, of a number or list.
pub(super) fn unary(name: &str, a: &Value) -> Option<Result<Value, String>> {
    if let Value::Length(dim, float) = a {
        return Some(match name {
            "neg" => Dim::fixed(0).minus(*dim).map(|dim| length(dim, *float)).ok_or("does not fit 64 bits".into()),
            "floor" => Ok(length(dim.floor(), false)),
            "ceil" => dim.ceil().map(|dim| length(dim, false)).ok_or("does not fit 64 bits".into()),
            _ => Err(format!("is not known of the signal's length ({dim})")),
        });
    }
    let whole_of = |x: f64| {
        if x.abs() < 9e15 { Ok(Value::Int(x as i64)) } else { Err(format!("makes no integer of {x}")) }
    };
    match (name, a) {
        ("__not__", Value::Bool(b)) => Some(Ok(Value::Bool(!b))),
        ("neg", Value::Int(n)) => Some(n.checked_neg().map(Value::Int).ok_or("does not fit 64 bits".into())),
        ("abs", Value::Int(n)) => Some(n.checked_abs().map(Value::Int).ok_or("does not fit 64 bits".into())),
        ("floor", Value::Int(_) | Value::Float(_)) => Some(float(a).and_then(|x| whole_of(x.floor()))),
        ("ceil", Value::Int(_) | Value::Float(_)) => Some(float(a).and_then(|x| whole_of(x.ceil()))),
        ("round", Value::Int(_) | Value::Float(_)) => Some(float(a).and_then(|x| whole_of(x.round_ties_even()))),
        (_, Value::Int(_) | Value::Float(_)) => {
            let x = float(a).ok()?;
            Some(Ok(Value::Float(match name {
                "neg" => -x,
                "abs" => x.abs(),
                "sqrt" => x.sqrt(),
                "exp" => x.exp(),
                "log" => x.ln(),
                "log2" => x.log2(),
                "log10" => x.log10(),
                "sin" => x.sin(),
                "cos" => x.cos(),
                "tanh" => x.tanh(),
                _ => return None,
            })))
        }
        _ => None,
    }
}
