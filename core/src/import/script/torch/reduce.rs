//! Sums, means and norms over axes, and what is made of them.

use super::super::run::Run;
use super::super::value::Value;
use super::arguments::{Arguments, dims};
use super::pointwise::{number, pair};
use super::{Made, float, int, ints, one, own};
use crate::import::onnx::call::Call;
use crate::import::onnx::constant::Constant;
use crate::import::onnx::value::Value as Operand;

pub(super) fn run(run: &mut Run<'_, '_>, name: &str, a: &Arguments) -> Made<Option<Value>> {
    let made = match name {
        "mean" => over(run, a, "ReduceMean", 1)?,
        "sum" => over(run, a, "ReduceSum", 1)?,
        "amax" => over(run, a, "ReduceMax", 1)?,
        "amin" => over(run, a, "ReduceMin", 1)?,
        "prod" => over(run, a, "ReduceProd", 1)?,
        "logsumexp" => over(run, a, "ReduceLogSumExp", 1)?,
        "max" | "min" => {
            let values = over(run, a, if name == "max" { "ReduceMax" } else { "ReduceMin" }, 1)?;
            if a.plain.len() < 2 {
                return Ok(Some(own(values)));
            }
            let reason = "finds where the greatest or least value stands, which is not known";
            let indices = super::Content::Refused(std::rc::Rc::new(run.refused(name, reason)));
            return Ok(Some(Value::tuple(vec![own(values), Value::tensor(indices)])));
        }
        "norm" | "linalg_vector_norm" => match a.float(1, "p", 2.0)? {
            2.0 => over(run, a, "ReduceL2", 2)?,
            1.0 => over(run, a, "ReduceL1", 2)?,
            p => return Err(format!("is the norm of order {p}; 1 and 2 are known").into()),
        },
        "var" | "std" => spread(run, name, a)?,
        "softmax" | "log_softmax" => {
            let x = a.operand(run, 0, "input")?;
            let op = if name == "softmax" { "Softmax" } else { "LogSoftmax" };
            one(run, op, vec![Some(x)], vec![int("axis", a.int_needed(1, "dim")?)])?
        }
        "batch_norm" => batch_norm(run, a)?,
        "layer_norm" | "rms_norm" => {
            let x = a.operand(run, 0, "input")?;
            let axes = a.ints(1, "normalized_shape")?.ok_or("names no shape")?;
            let (weight, bias) = (a.optional(run, 2, "weight")?, a.optional(run, 3, "bias")?);
            let count: i64 = axes.iter().product();
            // ONNX needs a weight.
            let ones = || {
                Operand::Constant(Constant::floats(
                    axes.iter().map(|&n| n as usize).collect(),
                    vec![1.0; count as usize],
                ))
            };
            if !(1..=1 << 16).contains(&count) || axes.iter().any(|&n| n < 1) {
                return Err(format!("normalises over the shape {axes:?}").into());
            }
            let weight = weight.unwrap_or_else(ones);
            let rms = name == "rms_norm";
            let epsilon = a.float(if rms { 3 } else { 4 }, "eps", 1e-5)?;
            let attributes = vec![int("axis", -(axes.len() as i64)), float("epsilon", epsilon)];
            let op = if rms { "RMSNormalization" } else { "LayerNormalization" };
            one(run, op, vec![Some(x), Some(weight), if rms { None } else { bias }], attributes)?
        }
        "group_norm" | "instance_norm" => {
            let x = a.operand(run, 0, "input")?;
            // The message of a mean over time, where that is the last axis.
            one(run, "ReduceMean", vec![Some(x)], vec![ints("axes", vec![-1])])?;
            return Err("sums up the whole signal in time; use batch norm, or layer norm over channels".into());
        }
        "cumsum" | "cumprod" => {
            return Err(
                "adds up all of the signal so far, without end; a stream would run away from its numbers".into()
            );
        }
        _ => return Ok(None),
    };
    Ok(Some(own(made)))
}

fn over(run: &mut Run<'_, '_>, a: &Arguments, op: &str, i: usize) -> Made<Operand> {
    let x = a.operand(run, 0, "input")?;
    let axes = a.ints(i, "dim")?.filter(|axes| !axes.is_empty());
    let keep = int("keepdims", i64::from(a.flag(i + 1, "keepdim", false)));
    match axes {
        Some(axes) => one(run, op, vec![Some(x)], vec![ints("axes", axes), keep]),
        None => one(run, op, vec![Some(x)], vec![keep]),
    }
}

/// The variance over axes that are not time, or its root.
fn spread(run: &mut Run<'_, '_>, name: &str, a: &Arguments) -> Made<Operand> {
    let x = a.operand(run, 0, "input")?;
    let own = dims(&x);
    let axes = a.ints(1, "dim")?.filter(|axes| !axes.is_empty()).unwrap_or_else(|| (0..own.len() as i64).collect());
    let mut count = 1i64;
    for &axis in &axes {
        let size = own[Call::axis(axis, own.len())?].known();
        // Over time it is refused with the mean below.
        count = count.saturating_mul(size.unwrap_or(1));
    }
    let unbiased = match a.get(2, "correction") {
        Some(Value::Bool(unbiased)) => i64::from(*unbiased),
        Some(_) => a.int(2, "correction", 1)?,
        None => i64::from(a.flag(2, "unbiased", true)),
    };
    let keep = i64::from(a.flag(3, "keepdim", false));
    let mean = one(run, "ReduceMean", vec![Some(x.clone())], vec![ints("axes", axes.clone()), int("keepdims", 1)])?;
    let centred = pair(run, "Sub", x, mean)?;
    let square = pair(run, "Pow", centred, number(2.0))?;
    let sum = one(run, "ReduceSum", vec![Some(square)], vec![ints("axes", axes), int("keepdims", keep)])?;
    let variance = pair(run, "Mul", sum, number(1.0 / (count - unbiased).max(1) as f64))?;
    if name == "std" { one(run, "Sqrt", vec![Some(variance)], vec![]) } else { Ok(variance) }
}

fn batch_norm(run: &mut Run<'_, '_>, a: &Arguments) -> Made<Operand> {
    if a.flag(5, "training", false) {
        return Err("is in training mode; export the model in evaluation mode (model.eval())".into());
    }
    let x = a.operand(run, 0, "input")?;
    let (mean, variance) = (a.constant(run, 3, "running_mean")?, a.constant(run, 4, "running_var")?);
    let count = mean.len();
    let filled = |value: f32| Operand::Constant(Constant::floats(vec![count], vec![value; count]));
    let weight = a.optional(run, 1, "weight")?.unwrap_or_else(|| filled(1.0));
    let bias = a.optional(run, 2, "bias")?.unwrap_or_else(|| filled(0.0));
    let inputs = [x, weight, bias, Operand::Constant(mean), Operand::Constant(variance)].map(Some).to_vec();
    one(run, "BatchNormalization", inputs, vec![float("epsilon", a.float(7, "eps", 1e-5)?)])
}
