//! Every operator that is known, by family: what it makes of constants and signals.

mod arithmetic;
mod channels;
mod conv;
mod fold;
mod layout;
mod matmul;
mod norm;
mod pad;
mod pointwise;
mod pool;
mod recurrent;
mod reduce;
mod refused;
mod reshape;
mod resize;

use super::Outcome;
use super::build::Build;
use super::call::Call;
use super::constant::Constant;
use super::dim::Dim;
use super::value::{Signal, Value};
use crate::graph::Op;

/// The outputs of one operator.
pub(in crate::import) fn run(build: &mut Build, call: &Call<'_>) -> Outcome<Vec<Value>> {
    let signal = call.inputs.iter().flatten().any(|value| matches!(value, Value::Signal(_)));
    if !signal && !call.op.starts_with("Random") {
        return fold::fold(build, call).map(|constant| vec![Value::Constant(constant)]);
    }
    let one = |value: Outcome<Signal>| value.map(|signal| vec![Value::Signal(signal)]);
    match call.op {
        "Identity" | "Dropout" | "Cast" | "CastLike" => identity(call),
        "Shape" | "Size" => shape(call),
        "Conv" => one(conv::conv(build, call)),
        "ConvTranspose" => one(conv::transposed(build, call)),
        "MaxPool" | "AveragePool" => one(pool::pool(build, call)),
        "GlobalAveragePool" | "GlobalMaxPool" => one(reduce::global(build, call)),
        "BatchNormalization" => one(norm::batch(build, call)),
        "LayerNormalization" | "RMSNormalization" | "SimplifiedLayerNormalization" => one(norm::layer(build, call)),
        "LpNormalization" => one(norm::unit(build, call)),
        "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Max" | "Min" | "Sum" | "Mean" => one(arithmetic::run(build, call)),
        "Where" => arithmetic::choose(build, call),
        "PRelu" => one(pointwise::prelu(build, call)),
        "Transpose" | "Squeeze" | "Unsqueeze" => one(layout::view(call)),
        "Expand" | "Tile" => one(layout::repeat(build, call)),
        "Reshape" | "Flatten" => one(reshape::run(build, call)),
        "DepthToSpace" | "SpaceToDepth" => one(reshape::blocks(build, call)),
        "Concat" => one(channels::concat(build, call)),
        "Split" => channels::split(build, call),
        "Slice" => one(channels::slice(build, call)),
        "Gather" => one(channels::gather(build, call)),
        "Pad" => one(pad::pad(build, call)),
        "Resize" | "Upsample" => one(resize::resize(build, call)),
        "MatMul" => one(matmul::matmul(build, call)),
        "Gemm" => one(matmul::gemm(build, call)),
        "Einsum" => one(matmul::einsum(build, call)),
        "ReduceMean" | "ReduceSum" | "ReduceL1" | "ReduceL2" | "ReduceSumSquare" | "ReduceMax" | "ReduceMin"
        | "ReduceLogSum" | "ReduceLogSumExp" => one(reduce::reduce(build, call)),
        "Softmax" | "LogSoftmax" => one(reduce::softmax(build, call)),
        "GRU" | "LSTM" | "RNN" => recurrent::run(build, call),
        "RandomNormalLike" => one(random(build, call)),
        _ if pointwise::knows(call.op) => one(pointwise::run(build, call)),
        op => Err(refused::why(op)),
    }
}

/// What does nothing to a signal.
fn identity(call: &Call<'_>) -> Outcome<Vec<Value>> {
    const FLOATS: [i64; 4] = [1, 10, 11, 16];
    if call.op == "Cast" && !FLOATS.contains(&call.int("to", 1)) {
        return Err("makes whole numbers or booleans of the signal; a stream holds floats".into());
    }
    if call.op == "Dropout" && call.outputs > 1 && matches!(call.input(2), Some(Value::Constant(c)) if c.is_all(1.0)) {
        return Err("is in training mode; export the model in evaluation mode".into());
    }
    Ok(vec![call.needed(0)?.clone()])
}

/// `Shape` and `Size` of a signal.
fn shape(call: &Call<'_>) -> Outcome<Vec<Value>> {
    let dims = call.signal(0)?.dims();
    let rank = dims.len() as i64;
    if call.op == "Size" {
        let size = dims.iter().try_fold(Dim::fixed(1), |size, dim| size.times(*dim)).ok_or("the size has no form")?;
        return Ok(vec![Value::Constant(Constant::lengths(vec![], vec![size], false))]);
    }
    let bound = |axis: i64| (if axis < 0 { axis.saturating_add(rank) } else { axis }).clamp(0, rank) as usize;
    let (start, end) = (bound(call.int("start", 0)), bound(call.int("end", rank)));
    let dims = dims[start..end.max(start)].to_vec();
    Ok(vec![Value::Constant(Constant::lengths(vec![dims.len()], dims, false))])
}

/// Noise of the shape of a signal.
fn random(build: &mut Build, call: &Call<'_>) -> Outcome<Signal> {
    let x = build.packed(call.signal(0)?)?;
    let key = build.graph.nodes().len() as u32;
    let node = build.push(Op::Gaussian { channels: x.channels(), key }, &[x.node])?;
    build.affine(&Signal { node, ..x }, &[call.float("scale", 1.0)], &[call.float("mean", 0.0)])
}
