//! Functions of single values.

use super::Outcome;
use super::arithmetic::two_signals;
use crate::graph::{Op, Pointwise};
use crate::import::onnx::build::Build;
use crate::import::onnx::call::Call;
use crate::import::onnx::constant::{broadcast, broadcast_strides, offsets};
use crate::import::onnx::value::{Axis, Signal};

/// Whether `op` is one of these.
pub(super) fn knows(op: &str) -> bool {
    const KNOWN: [&str; 29] = [
        "Relu",
        "LeakyRelu",
        "Elu",
        "Selu",
        "Celu",
        "Gelu",
        "FastGelu",
        "Sigmoid",
        "HardSigmoid",
        "HardSwish",
        "Tanh",
        "Softplus",
        "Softsign",
        "Mish",
        "Swish",
        "Clip",
        "Abs",
        "Exp",
        "Log",
        "Sqrt",
        "Sin",
        "Cos",
        "Neg",
        "Reciprocal",
        "Erf",
        "ThresholdedRelu",
        "Sinh",
        "Cosh",
        "QuickGelu",
    ];
    KNOWN.contains(&op)
}

pub(super) fn run(build: &mut Build, call: &Call<'_>) -> Outcome<Signal> {
    let x = call.signal(0)?;
    let plain = match call.op {
        "Relu" => Pointwise::LeakyRelu { slope: 0.0 },
        "LeakyRelu" => Pointwise::LeakyRelu { slope: call.float("alpha", 0.01) },
        "Elu" => Pointwise::Elu { alpha: call.float("alpha", 1.0) },
        "Sigmoid" => Pointwise::Sigmoid,
        "Tanh" => Pointwise::Tanh,
        "Softplus" => Pointwise::Softplus,
        "Softsign" => Pointwise::Softsign,
        "HardSwish" => Pointwise::HardSwish,
        "Swish" if call.float("alpha", 1.0) == 1.0 => Pointwise::Silu,
        "Abs" => Pointwise::Abs,
        "Exp" => Pointwise::Exp,
        "Log" => Pointwise::Log,
        "Sqrt" => Pointwise::Sqrt,
        "Sin" => Pointwise::Sin,
        "Cos" => Pointwise::Cos,
        "Reciprocal" => Pointwise::Reciprocal,
        "Erf" => Pointwise::Erf,
        "Neg" => Pointwise::Affine { scale: -1.0, offset: 0.0 },
        "Gelu" if call.text("approximate", "none") == "tanh" => Pointwise::GeluTanh,
        "FastGelu" => Pointwise::GeluTanh,
        "Gelu" => Pointwise::Gelu,
        _ => return composed(build, call, x),
    };
    build.pointwise(x, plain)
}

/// What is made of several functions.
fn composed(build: &mut Build, call: &Call<'_>, x: &Signal) -> Outcome<Signal> {
    let gated = |build: &mut Build, gate: Signal| two_signals(build, "Mul", x, &gate);
    match call.op {
        "Selu" => {
            let (alpha, gamma) = (call.float("alpha", 1.673_263_2), call.float("gamma", 1.050_701));
            let elu = build.pointwise(x, Pointwise::Elu { alpha })?;
            build.affine(&elu, &[gamma], &[0.0])
        }
        "Celu" => {
            let alpha = call.float("alpha", 1.0);
            let narrow = build.affine(x, &[1.0 / alpha], &[0.0])?;
            let elu = build.pointwise(&narrow, Pointwise::Elu { alpha: 1.0 })?;
            build.affine(&elu, &[alpha], &[0.0])
        }
        "HardSigmoid" => {
            let line = build.affine(x, &[call.float("alpha", 0.2)], &[call.float("beta", 0.5)])?;
            clamp(build, &line, 0.0, 1.0)
        }
        "Swish" | "QuickGelu" => {
            let alpha = call.float("alpha", if call.op == "Swish" { 1.0 } else { 1.702 });
            let scaled = build.affine(x, &[alpha], &[0.0])?;
            let gate = build.pointwise(&scaled, Pointwise::Sigmoid)?;
            gated(build, gate)
        }
        "Mish" => {
            let soft = build.pointwise(x, Pointwise::Softplus)?;
            let gate = build.pointwise(&soft, Pointwise::Tanh)?;
            gated(build, gate)
        }
        "Clip" => {
            let bound = |i: usize, name: &str, absent: f32| match call.constant(i)? {
                Some(bound) => bound.scalar().ok_or_else(|| format!("its {name} is no single number")),
                None => Ok(call.float(name, absent)),
            };
            let (low, high) = (bound(1, "min", f32::NEG_INFINITY)?, bound(2, "max", f32::INFINITY)?);
            clamp(build, x, low, high)
        }
        "Sinh" | "Cosh" => {
            let sign = if call.op == "Sinh" { -1.0 } else { 1.0 };
            let up = build.pointwise(x, Pointwise::Exp)?;
            let negated = build.affine(x, &[-1.0], &[0.0])?;
            let down = build.pointwise(&negated, Pointwise::Exp)?;
            let (up, down) = (build.affine(&up, &[0.5], &[0.0])?, build.affine(&down, &[0.5 * sign], &[0.0])?);
            two_signals(build, "Add", &up, &down)
        }
        op => Err(super::refused::why(op)),
    }
}

/// `min(max(x, low), high)`.
pub(super) fn clamp(build: &mut Build, x: &Signal, low: f32, high: f32) -> Outcome<Signal> {
    if low.is_nan() || high.is_nan() || low > high {
        return Err(format!("its bounds are {low} and {high}"));
    }
    build.pointwise(x, Pointwise::Clamp { low, high })
}

/// `x^exponent`.
pub(super) fn power(build: &mut Build, x: &Signal, exponent: f32) -> Outcome<Signal> {
    match exponent {
        1.0 => Ok(x.clone()),
        2.0 | 3.0 | 4.0 => {
            let node = build.push(Op::Mul, &vec![x.node; exponent as usize])?;
            Ok(Signal { node, ..x.clone() })
        }
        0.5 => build.pointwise(x, Pointwise::Sqrt),
        -1.0 => build.pointwise(x, Pointwise::Reciprocal),
        -0.5 | -2.0 => {
            let y = power(build, x, -exponent)?;
            build.pointwise(&y, Pointwise::Reciprocal)
        }
        _ if exponent.is_finite() => build.pointwise(x, Pointwise::Power { exponent }),
        _ => Err(format!("raises to the power {exponent}")),
    }
}

pub(super) fn prelu(build: &mut Build, call: &Call<'_>) -> Outcome<Signal> {
    let mut x = call.signal(0)?.clone();
    let slope = call.constant_needed(1)?;
    while x.axes.len() < slope.shape.len() {
        x.axes.insert(0, Axis::Unit);
    }
    let sizes = x.sizes();
    if broadcast(&slope.shape, &sizes).as_ref() != Some(&sizes) {
        return Err(format!("its slope has shape {:?} for {}", slope.shape, x.shape_text()));
    }
    let values = slope.to_floats()?;
    let mut ordered = vec![0.0; x.channels()];
    x.order()
        .zip(offsets(&sizes, &broadcast_strides(&slope.shape, &sizes)))
        .for_each(|(channel, i)| ordered[channel] = values[i]);
    let slope = build.weight(&[ordered.len()], ordered)?;
    let node = build.push(Op::PRelu { slope }, &[x.node])?;
    Ok(Signal { node, ..x })
}
