//! Sums, products and their relatives, of signals and constants.

use super::norm::per_entry;
use super::{Outcome, pointwise};
use crate::graph::{Conv1d, Op, Pointwise};
use crate::import::onnx::build::Build;
use crate::import::onnx::call::Call;
use crate::import::onnx::constant::Constant;
use crate::import::onnx::value::{Axis, Signal, Value};

pub(super) fn run(build: &mut Build, call: &Call<'_>) -> Outcome<Signal> {
    let op = match call.op {
        "Sum" | "Mean" => "Add",
        op => op,
    };
    let mut result = call.needed(0)?.clone();
    for i in 1..call.inputs.len() {
        result = match (&result, call.needed(i)?) {
            (Value::Signal(a), Value::Signal(b)) => Value::Signal(two_signals(build, op, a, b)?),
            (Value::Signal(a), Value::Constant(b)) => Value::Signal(with_constant(build, op, a, b, false)?),
            (Value::Constant(a), Value::Signal(b)) => Value::Signal(with_constant(build, op, b, a, true)?),
            (Value::Constant(a), Value::Constant(b)) => Value::Constant(super::fold::binary(build, op, a, b)?),
        };
    }
    match result {
        Value::Signal(sum) if call.op == "Mean" => build.affine(&sum, &[1.0 / call.inputs.len() as f32], &[0.0]),
        Value::Signal(result) => Ok(result),
        Value::Constant(_) => Err("reads no signal".into()),
    }
}

/// `Where` whose condition the file settles.
pub(super) fn choose(build: &mut Build, call: &Call<'_>) -> Outcome<Vec<Value>> {
    let condition = call.constant(0).ok().flatten().and_then(|c| c.to_ints().ok());
    let condition = condition
        .ok_or("decides value by value which input to take; only conditions that the file settles are followed")?;
    let taken = if condition.iter().all(|&c| c != 0) {
        1
    } else if condition.iter().all(|&c| c == 0) {
        2
    } else {
        return Err("masks a part of its input; crop or pad the signal outside the model".into());
    };
    let (taken, other) = (call.needed(taken)?, call.needed(3 - taken)?);
    // The other input and the condition only lend their shape.
    match (taken, other) {
        (Value::Signal(x), _) => Ok(vec![Value::Signal(x.clone())]),
        (Value::Constant(constant), Value::Signal(like)) => {
            let zero = build.affine(like, &[0.0], &[0.0])?;
            with_constant(build, "Add", &zero, constant, false).map(|x| vec![Value::Signal(x)])
        }
        (Value::Constant(constant), _) => Ok(vec![Value::Constant(constant.clone())]),
    }
}

/// `x op constant`, or `constant op x`.
fn with_constant(build: &mut Build, op: &str, x: &Signal, constant: &Constant, first: bool) -> Outcome<Signal> {
    let x = &widened(build, x, constant)?;
    let values = per_entry(constant, x)?;
    let map = |f: fn(f32) -> f32| values.iter().map(|v| f(*v)).collect::<Vec<_>>();
    match (op, first) {
        ("Add", _) => build.affine(x, &[1.0], &values),
        ("Sub", false) => build.affine(x, &[1.0], &map(|v| -v)),
        ("Sub", true) => build.affine(x, &[-1.0], &values),
        ("Mul", _) => build.affine(x, &values, &[0.0]),
        ("Div", false) if values.contains(&0.0) => Err("divides by a constant that is zero".into()),
        ("Div", false) => build.affine(x, &map(|v| 1.0 / v), &[0.0]),
        ("Div", true) => {
            let inverse = build.pointwise(x, Pointwise::Reciprocal)?;
            build.affine(&inverse, &values, &[0.0])
        }
        ("Pow", false) if values.len() == 1 => pointwise::power(build, x, values[0]),
        ("Pow", true) if values.iter().all(|&v| v > 0.0) => {
            let scaled = build.affine(x, &map(|v| f64::from(v).ln() as f32), &[0.0])?;
            build.pointwise(&scaled, Pointwise::Exp)
        }
        ("Pow", _) => Err("raises to powers that differ by channel, or from a base that is not positive".into()),
        ("Max", _) if values.len() == 1 => pointwise::clamp(build, x, values[0], f32::INFINITY),
        ("Min", _) if values.len() == 1 => pointwise::clamp(build, x, f32::NEG_INFINITY, values[0]),
        ("Max" | "Min", _) => {
            let mut ordered = vec![0.0; values.len()];
            x.order().zip(&values).for_each(|(channel, value)| ordered[channel] = *value);
            let node = build.steady(&ordered, x.node)?;
            two_signals(build, op, x, &Signal { node, ..x.clone() })
        }
        _ => Err(format!("{op} of a signal and a constant is not known")),
    }
}

/// `x` with as many axes and channels as it has after meeting `constant`.
fn widened(build: &mut Build, x: &Signal, constant: &Constant) -> Outcome<Signal> {
    let mut x = x.clone();
    while x.axes.len() < constant.shape.len() {
        x.axes.insert(0, Axis::Unit);
    }
    let lead = x.axes.len() - constant.shape.len();
    let mut sizes = x.sizes();
    for (axis, &size) in constant.shape.iter().enumerate() {
        let own = &mut sizes[lead + axis];
        match x.axes[lead + axis] {
            Axis::Time if size != 1 => {
                return Err(format!(
                    "meets a constant that changes over time (shape {:?}): it belongs to one place of a signal, and a \
                     stream has none; take positional parts out of the model",
                    constant.shape
                ));
            }
            Axis::Unit => *own = size,
            Axis::Channels { .. } if size != 1 && size != *own => {
                return Err(format!("{} and a constant of shape {:?} do not fit", x.shape_text(), constant.shape));
            }
            _ => {}
        }
    }
    build.expanded(&x, &sizes)
}

/// `a op b`.
pub(super) fn two_signals(build: &mut Build, op: &str, a: &Signal, b: &Signal) -> Outcome<Signal> {
    let (a, b) = broadcast(build, a, b)?;
    let (a, b) = match op {
        "Sub" => {
            let b = build.affine(&b, &[-1.0], &[0.0])?;
            (a, b)
        }
        "Div" => {
            let b = build.pointwise(&b, Pointwise::Reciprocal)?;
            (a, b)
        }
        "Min" => (build.affine(&a, &[-1.0], &[0.0])?, build.affine(&b, &[-1.0], &[0.0])?),
        _ => (a, b),
    };
    let combined = match op {
        "Add" | "Sub" => Op::Add,
        "Mul" | "Div" => Op::Mul,
        "Max" | "Min" => Op::Max,
        _ => return Err(format!("{op} of two signals is not known")),
    };
    let wide = if b.channels() > a.channels() { &b } else { &a };
    let axes = wide.axes.clone();
    let node = build.push(combined, &[a.node, b.node])?;
    let result = Signal { node, axes, ..a };
    if op == "Min" { build.affine(&result, &[-1.0], &[0.0]) } else { Ok(result) }
}

/// Both with the same axes, channels in the same order, and frames at the same place; a signal of one channel stays.
fn broadcast(build: &mut Build, a: &Signal, b: &Signal) -> Outcome<(Signal, Signal)> {
    let (mut a, mut b) = (a.clone(), b.clone());
    while a.axes.len() < b.axes.len() {
        a.axes.insert(0, Axis::Unit);
    }
    while b.axes.len() < a.axes.len() {
        b.axes.insert(0, Axis::Unit);
    }
    let misfit = || format!("its inputs {} and {} do not fit", a.shape_text(), b.shape_text());
    match (a.time_axis(), b.time_axis()) {
        (Some(time), None) if b.axes[time] == Axis::Unit => {
            let b = build.in_time(&b, time, a.frames, a.shift)?;
            return broadcast(build, &a, &b);
        }
        (None, Some(time)) if a.axes[time] == Axis::Unit => {
            let a = build.in_time(&a, time, b.frames, b.shift)?;
            return broadcast(build, &a, &b);
        }
        _ => {}
    }
    if a.time_axis() != b.time_axis() {
        return Err(format!("{}: time is another axis in each", misfit()));
    }
    if !build.same(a.frames, b.frames) {
        return Err(format!("{}: crop or pad one of them in the model", misfit()));
    }
    let mut sizes = vec![];
    for (own, other) in a.sizes().into_iter().zip(b.sizes()) {
        match (own, other) {
            (own, other) if own == other || other == 1 => sizes.push(own),
            (1, other) => sizes.push(other),
            _ => return Err(misfit()),
        }
    }
    let b = at_shift(build, &b, a.shift)?;
    let single = |x: &Signal| x.channels() == 1;
    if single(&a) || single(&b) {
        return Ok((a, b));
    }
    let (a, b) = (build.expanded(&a, &sizes)?, build.expanded(&b, &sizes)?);
    if a.axes == b.axes {
        return Ok((a, b));
    }
    Ok((build.packed(&a)?, build.packed(&b)?))
}

/// The same tensor on a node whose frame `shift` is the tensor's first.
pub(super) fn at_shift(build: &mut Build, x: &Signal, shift: i64) -> Outcome<Signal> {
    if x.shift == shift {
        return Ok(x.clone());
    }
    let channels = build.graph.node(x.node).channels;
    let weight = build.weight(&[channels, 1, 1], vec![1.0; channels])?;
    let left_padding = shift - x.shift;
    let conv = Conv1d { weight, bias: None, stride: 1, dilation: 1, left_padding, groups: channels };
    let node = build.push(Op::Conv1d(conv), &[x.node])?;
    Ok(Signal { node, shift, ..x.clone() })
}
