//! Sums, means and norms over the channels of one frame, and softmax.

use super::Outcome;
use super::arithmetic::two_signals;
use crate::graph::{Op, Pointwise};
use crate::import::onnx::build::Build;
use crate::import::onnx::call::Call;
use crate::import::onnx::constant::offsets;
use crate::import::onnx::value::{Axis, Signal, packed_axes};

/// Channels of a maximum beyond which it is refused: each is a node.
const MOST_CHANNELS: usize = 256;

pub(super) fn global(build: &mut Build, call: &Call<'_>) -> Outcome<Signal> {
    let x = call.signal(0)?;
    let axes: Vec<_> = (2..x.axes.len()).collect();
    over(build, x, &axes, if call.op == "GlobalMaxPool" { "ReduceMax" } else { "ReduceMean" }, true)
}

pub(super) fn reduce(build: &mut Build, call: &Call<'_>) -> Outcome<Signal> {
    let x = call.signal(0)?;
    let rank = x.axes.len();
    let axes = match call.numbers("axes", 1)? {
        Some(axes) if !axes.is_empty() => axes.iter().map(|&axis| Call::axis(axis, rank)).collect::<Outcome<_>>()?,
        _ if call.int("noop_with_empty_axes", 0) != 0 => return Ok(x.clone()),
        _ => (0..rank).collect::<Vec<_>>(),
    };
    over(build, x, &axes, call.op, call.int("keepdims", 1) != 0)
}

fn over(build: &mut Build, x: &Signal, axes: &[usize], op: &str, keep: bool) -> Outcome<Signal> {
    if x.time_axis().is_some_and(|time| axes.contains(&time)) {
        return Err(format!(
            "sums up the whole signal in time ({op} of {}): no frame is known before the end. Instance and group norm, \
             global pooling and squeeze-and-excitation do this; use batch norm, layer norm over channels, or a mean over \
             a fixed number of frames",
            x.shape_text()
        ));
    }
    let sizes = x.sizes();
    let kept: Vec<Option<usize>> = (0..sizes.len())
        .filter(|axis| keep || !axes.contains(axis))
        .map(|axis| (x.axes[axis] != Axis::Time).then_some(if axes.contains(&axis) { 1 } else { sizes[axis] }))
        .collect();
    let done = |node: usize| Signal { node, axes: packed_axes(&kept), ..x.clone() };
    let out: usize = kept.iter().flatten().product();
    let width = x.channels() / out;
    // Which of the outputs each entry of a frame counts towards.
    let mut stride = 1;
    let mut strides = vec![0; sizes.len()];
    for axis in (0..sizes.len()).rev().filter(|axis| !axes.contains(axis)) {
        strides[axis] = stride;
        stride *= sizes[axis];
    }
    let towards: Vec<_> = x.order().zip(offsets(&sizes, &strides)).collect();
    let sum = |build: &mut Build, node: usize, weight: f32| {
        let channels = x.channels();
        build.spend(out.saturating_mul(channels))?;
        let mut matrix = vec![0.0; out * channels];
        towards.iter().for_each(|&(channel, to)| matrix[to * channels + channel] = weight);
        build.mix(node, out, matrix, None)
    };
    let map = |build: &mut Build, node: usize, function: Pointwise| build.push(Op::Pointwise(function), &[node]);
    match op {
        "ReduceSum" => sum(build, x.node, 1.0).map(done),
        "ReduceMean" => sum(build, x.node, 1.0 / width as f32).map(done),
        "ReduceL1" => {
            let size = map(build, x.node, Pointwise::Abs)?;
            sum(build, size, 1.0).map(done)
        }
        "ReduceSumSquare" | "ReduceL2" => {
            let square = build.push(Op::Mul, &[x.node, x.node])?;
            let total = sum(build, square, 1.0)?;
            if op == "ReduceSumSquare" { Ok(done(total)) } else { map(build, total, Pointwise::Sqrt).map(done) }
        }
        "ReduceLogSum" => {
            let total = sum(build, x.node, 1.0)?;
            map(build, total, Pointwise::Log).map(done)
        }
        "ReduceLogSumExp" => {
            let largest = over(build, x, axes, "ReduceMax", true)?;
            let below = two_signals(build, "Sub", x, &largest)?;
            let below = build.packed(&below)?;
            let exp = build.pointwise(&below, Pointwise::Exp)?;
            let total = over(build, &exp, axes, "ReduceSum", true)?;
            let log = build.pointwise(&total, Pointwise::Log)?;
            let result = two_signals(build, "Add", &log, &largest)?;
            Ok(done(build.packed(&result)?.node))
        }
        "ReduceMax" | "ReduceMin" => {
            if width > MOST_CHANNELS {
                return Err(format!("is the {op} of {width} channels, at most {MOST_CHANNELS} are read"));
            }
            let negated = if op == "ReduceMin" { build.affine(x, &[-1.0], &[0.0])? } else { x.clone() };
            let mut each = vec![vec![]; out];
            towards.iter().for_each(|&(channel, to)| each[to].push(channel));
            let mut parts = vec![];
            for place in 0..width {
                let picks: Vec<_> = each.iter().map(|channels| channels[place]).collect();
                parts.push(build.select(negated.node, &picks)?);
            }
            let node = if let [one] = parts[..] { one } else { build.push(Op::Max, &parts)? };
            if op == "ReduceMin" { build.affine(&done(node), &[-1.0], &[0.0]) } else { Ok(done(node)) }
        }
        _ => Err(format!("{op} is not known")),
    }
}

pub(super) fn softmax(build: &mut Build, call: &Call<'_>) -> Outcome<Signal> {
    let x = call.signal(0)?;
    let rank = x.axes.len();
    let axis = Call::axis(call.int("axis", if build.opset < 13 { 1 } else { -1 }), rank)?;
    // Before opset 13 the axes from there on are one.
    let last = if build.opset < 13 { rank } else { axis + 1 };
    if x.time_axis().is_some_and(|time| (axis..last).contains(&time)) {
        return Err(format!(
            "is a softmax over time of {}: attention weighs all frames, also later ones without end; take it out, or use \
             convolutions",
            x.shape_text()
        ));
    }
    let order: Vec<_> = (0..axis).chain(last..rank).chain(axis..last).collect();
    let packed = build.packed_as(x, &order)?;
    let width: usize = x.sizes()[axis..last].iter().product();
    let node = build.push(Op::Softmax { groups: x.channels() / width }, &[packed.node])?;
    let y = Signal { node, ..packed };
    if call.op == "LogSoftmax" { build.pointwise(&y, Pointwise::Log) } else { Ok(y) }
}
