//! Functions of single values, and arithmetic of two tensors.

use super::super::run::Run;
use super::super::value::Value;
use super::arguments::Arguments;
use super::{Made, float, one, own, text};
use crate::graph::{Op, Pointwise};
use crate::import::onnx::constant::Constant;
use crate::import::onnx::proto::Attribute;
use crate::import::onnx::value::{Signal, Value as Operand};

/// Functions that ONNX has under another name, or the same in capitals.
const PLAIN: [(&str, &str); 26] = [
    ("relu", "Relu"),
    ("sigmoid", "Sigmoid"),
    ("tanh", "Tanh"),
    ("exp", "Exp"),
    ("log", "Log"),
    ("sqrt", "Sqrt"),
    ("abs", "Abs"),
    ("sin", "Sin"),
    ("cos", "Cos"),
    ("neg", "Neg"),
    ("reciprocal", "Reciprocal"),
    ("erf", "Erf"),
    ("silu", "Swish"),
    ("mish", "Mish"),
    ("hardswish", "HardSwish"),
    ("selu", "Selu"),
    ("sinh", "Sinh"),
    ("cosh", "Cosh"),
    ("floor", "Floor"),
    ("ceil", "Ceil"),
    ("round", "Round"),
    ("sign", "Sign"),
    ("softsign", "Softsign"),
    ("logical_not", "Not"),
    ("__not__", "Not"),
    ("bitwise_not", "Not"),
];

/// Operators of two tensors.
const PAIRS: [(&str, &str); 18] = [
    ("mul", "Mul"),
    ("multiply", "Mul"),
    ("pow", "Pow"),
    ("maximum", "Max"),
    ("minimum", "Min"),
    ("max", "Max"),
    ("min", "Min"),
    ("eq", "Equal"),
    ("lt", "Less"),
    ("gt", "Greater"),
    ("le", "LessOrEqual"),
    ("ge", "GreaterOrEqual"),
    ("logical_and", "And"),
    ("__and__", "And"),
    ("logical_or", "Or"),
    ("__or__", "Or"),
    ("remainder", "Mod"),
    ("fmod", "Mod"),
];

pub(super) fn run(run: &mut Run<'_, '_>, name: &str, a: &Arguments) -> Made<Option<Value>> {
    if let Some((_, op)) = PLAIN.iter().find(|(torch, _)| *torch == name) {
        let x = a.operand(run, 0, "input")?;
        return one(run, op, vec![Some(x)], vec![]).map(own).map(Some);
    }
    let two = a.plain.len() == 2 && !matches!(a.plain[1], Value::None);
    if two && let Some((_, op)) = PAIRS.iter().find(|(torch, _)| *torch == name) {
        let is_reduction = matches!(name, "max" | "min") && matches!(a.plain[1], Value::Int(_));
        if !is_reduction {
            let (x, y) = (a.operand(run, 0, "input")?, a.operand(run, 1, "other")?);
            return pair(run, op, x, y).map(own).map(Some);
        }
    }
    let made = match name {
        "add" | "add_scalar" => sum(run, a, 1.0)?,
        "sub" | "subtract" => sum(run, a, -1.0)?,
        "rsub" => {
            let (x, y) = (a.operand(run, 0, "input")?, a.operand(run, 1, "other")?);
            pair(run, "Sub", y, x)?
        }
        "div" | "divide" | "true_divide" => divide(run, a)?,
        "floor_divide" | "floordiv" => {
            let quotient = divide(run, a)?;
            one(run, "Floor", vec![Some(quotient)], vec![])?
        }
        "ne" => {
            let (x, y) = (a.operand(run, 0, "input")?, a.operand(run, 1, "other")?);
            let same = pair(run, "Equal", x, y)?;
            one(run, "Not", vec![Some(same)], vec![])?
        }
        "square" => {
            let x = a.operand(run, 0, "input")?;
            pair(run, "Pow", x, number(2.0))?
        }
        "rsqrt" => {
            let x = a.operand(run, 0, "input")?;
            let root = one(run, "Sqrt", vec![Some(x)], vec![])?;
            one(run, "Reciprocal", vec![Some(root)], vec![])?
        }
        "leaky_relu" => plain(run, a, "LeakyRelu", vec![float("alpha", a.float(1, "negative_slope", 0.01)?)])?,
        "elu" if a.float(2, "scale", 1.0)? == 1.0 && a.float(3, "input_scale", 1.0)? == 1.0 => {
            plain(run, a, "Elu", vec![float("alpha", a.float(1, "alpha", 1.0)?)])?
        }
        "celu" => plain(run, a, "Celu", vec![float("alpha", a.float(1, "alpha", 1.0)?)])?,
        "gelu" => {
            let form = if a.text(1, "approximate").as_deref() == Some("tanh") { "tanh" } else { "none" };
            plain(run, a, "Gelu", vec![text("approximate", form)])?
        }
        "softplus" => {
            let beta = a.float(1, "beta", 1.0)?;
            let x = a.operand(run, 0, "input")?;
            let x = if beta == 1.0 { x } else { pair(run, "Mul", x, number(beta))? };
            let y = one(run, "Softplus", vec![Some(x)], vec![])?;
            if beta == 1.0 { y } else { pair(run, "Mul", y, number(1.0 / beta))? }
        }
        "log_sigmoid" => {
            let x = plain(run, a, "Neg", vec![])?;
            let y = one(run, "Softplus", vec![Some(x)], vec![])?;
            one(run, "Neg", vec![Some(y)], vec![])?
        }
        "hardsigmoid" => plain(run, a, "HardSigmoid", vec![float("alpha", 1.0 / 6.0), float("beta", 0.5)])?,
        "hardtanh" => clip(run, a, Some(a.float(1, "min_val", -1.0)?), Some(a.float(2, "max_val", 1.0)?))?,
        "relu6" => clip(run, a, Some(0.0), Some(6.0))?,
        "clamp" | "clip" => {
            let (low, high) = (bound(a, 1, "min")?, bound(a, 2, "max")?);
            clip(run, a, low, high)?
        }
        "clamp_min" => clip(run, a, bound(a, 1, "min")?, None)?,
        "clamp_max" => clip(run, a, None, bound(a, 1, "max")?)?,
        "log1p" => function(run, a, Pointwise::Log1p)?,
        "expm1" => {
            let y = plain(run, a, "Exp", vec![])?;
            pair(run, "Sub", y, number(1.0))?
        }
        "log2" | "log10" => {
            let y = plain(run, a, "Log", vec![])?;
            let base = if name == "log2" { 2.0 } else { 10.0 };
            pair(run, "Mul", y, number(1.0 / f64::ln(base)))?
        }
        "prelu" => {
            let (x, slope) = (a.operand(run, 0, "input")?, a.constant(run, 1, "weight")?);
            prelu(run, x, slope)?
        }
        "glu" => {
            let axis = a.int(1, "dim", -1)?;
            let x = a.operand(run, 0, "input")?;
            let halves = super::layout::parts(run, x, axis, 2)?;
            let [half, gate] = <[Operand; 2]>::try_from(halves).map_err(|_| "does not split into two halves")?;
            let gate = one(run, "Sigmoid", vec![Some(gate)], vec![])?;
            pair(run, "Mul", half, gate)?
        }
        "where" => {
            let inputs = (0..3).map(|i| a.operand(run, i, "input").map(Some)).collect::<Made<Vec<_>>>()?;
            one(run, "Where", inputs, vec![])?
        }
        "dropout" | "feature_dropout" | "alpha_dropout" => {
            if a.flag(2, "train", false) {
                return Err("is in training mode; export the model in evaluation mode (model.eval())".into());
            }
            a.operand(run, 0, "input")?
        }
        _ => return Ok(None),
    };
    Ok(Some(own(made)))
}

/// `x op y`.
pub(super) fn pair(run: &mut Run<'_, '_>, op: &str, x: Operand, y: Operand) -> Made<Operand> {
    one(run, op, vec![Some(x), Some(y)], vec![])
}

/// A number as a tensor.
pub(super) fn number(value: f64) -> Operand {
    Operand::Constant(Constant::floats(vec![], [value as f32]))
}

fn plain(run: &mut Run<'_, '_>, a: &Arguments, op: &str, attributes: Vec<Attribute<'static>>) -> Made<Operand> {
    let x = a.operand(run, 0, "input")?;
    one(run, op, vec![Some(x)], attributes)
}

/// `x + sign · alpha · y`.
fn sum(run: &mut Run<'_, '_>, a: &Arguments, sign: f64) -> Made<Operand> {
    let alpha = a.float(2, "alpha", 1.0)?;
    let (x, y) = (a.operand(run, 0, "input")?, a.operand(run, 1, "other")?);
    let y = if alpha == 1.0 { y } else { pair(run, "Mul", y, number(alpha))? };
    pair(run, if sign < 0.0 { "Sub" } else { "Add" }, x, y)
}

fn divide(run: &mut Run<'_, '_>, a: &Arguments) -> Made<Operand> {
    let (x, y) = (a.operand(run, 0, "input")?, a.operand(run, 1, "other")?);
    // ONNX divides integers to integers.
    let x = if let Operand::Constant(_) = x { one(run, "Cast", vec![Some(x)], vec![super::int("to", 1)])? } else { x };
    let quotient = pair(run, "Div", x, y)?;
    match a.text(2, "rounding_mode").as_deref() {
        None => Ok(quotient),
        Some("floor") => one(run, "Floor", vec![Some(quotient)], vec![]),
        Some(_) => Err("rounds towards zero".into()),
    }
}

fn bound(a: &Arguments, i: usize, name: &str) -> Made<Option<f64>> {
    a.get(i, name).map(|_| a.float(i, name, 0.0)).transpose()
}

fn clip(run: &mut Run<'_, '_>, a: &Arguments, low: Option<f64>, high: Option<f64>) -> Made<Operand> {
    let x = a.operand(run, 0, "input")?;
    if let Operand::Constant(_) = x {
        let x = if let Some(low) = low { pair(run, "Max", x, number(low))? } else { x };
        return if let Some(high) = high { pair(run, "Min", x, number(high)) } else { Ok(x) };
    }
    one(run, "Clip", vec![Some(x), low.map(number), high.map(number)], vec![])
}

/// A function that ONNX has not.
fn function(run: &mut Run<'_, '_>, a: &Arguments, function: Pointwise) -> Made<Operand> {
    let x = a.signal(run, 0)?;
    let node = run.build.push(Op::Pointwise(function), &[x.node])?;
    Ok(Operand::Signal(Signal { node, ..x }))
}

/// One slope for all channels, or one for each: axis 1.
fn prelu(run: &mut Run<'_, '_>, x: Operand, slope: Constant) -> Made<Operand> {
    let rank = super::arguments::dims(&x).len();
    let shape = match slope.len() {
        1 => vec![1],
        n => std::iter::once(n).chain(std::iter::repeat_n(1, rank.saturating_sub(2))).collect(),
    };
    one(run, "PRelu", vec![Some(x), Some(Operand::Constant(slope.reshaped(shape)))], vec![])
}
