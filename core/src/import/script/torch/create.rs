//! Tensors made from nothing: constants and noise.

use super::super::run::Run;
use super::super::value::Value;
use super::arguments::{Arguments, scalar_tensor};
use super::layout::shape;
use super::{Made, made, one, own};
use crate::graph::Op;
use crate::import::onnx::constant::Constant;
use crate::import::onnx::dim::Dim;
use crate::import::onnx::value::{Signal, Value as Operand, packed_axes};

pub(super) fn run(run: &mut Run<'_, '_>, name: &str, a: &Arguments) -> Made<Option<Value>> {
    let filled = |run: &mut Run<'_, '_>, dims: Vec<Dim>, value: Operand| {
        one(run, "Expand", vec![Some(value), Some(shape(dims))], vec![]).map(own)
    };
    let of = |value: f32| Operand::Constant(Constant::floats(vec![], [value]));
    Ok(Some(match name {
        "zeros" | "empty" | "ones" => {
            let dims = a.lengths(run, 0, "size")?;
            filled(run, dims, of(if name == "ones" { 1.0 } else { 0.0 }))?
        }
        "zeros_like" | "empty_like" | "ones_like" => {
            let dims = a.dims(run)?;
            filled(run, dims, of(if name == "ones_like" { 1.0 } else { 0.0 }))?
        }
        "new_zeros" | "new_ones" => {
            let dims = a.lengths(run, 1, "size")?;
            filled(run, dims, of(if name == "new_ones" { 1.0 } else { 0.0 }))?
        }
        "full" => {
            let (dims, value) = (a.lengths(run, 0, "size")?, a.operand(run, 1, "fill_value")?);
            filled(run, dims, value)?
        }
        "full_like" => {
            let (dims, value) = (a.dims(run)?, a.operand(run, 1, "fill_value")?);
            filled(run, dims, value)?
        }
        "tensor" | "as_tensor" | "scalar_tensor" => {
            let value = a.get(0, "data").ok_or("is given nothing")?.clone();
            let tensor = scalar_tensor(run, name, &value)?;
            let values = tensor.constant().map_or(0, |constant| constant.len());
            run.build.spend(values)?;
            match a.get(1, "dtype") {
                Some(kind @ Value::Int(_)) => super::call(run, "to", vec![tensor, kind.clone()], vec![])?,
                _ => tensor,
            }
        }
        "arange" => {
            let given = a.plain.iter().filter(|value| !matches!(value, Value::None)).count();
            let (start, end, step) = match given {
                1 => (Operand::Constant(Constant::ints(vec![], [0])), a.operand(run, 0, "end")?, None),
                2 => (a.operand(run, 0, "start")?, a.operand(run, 1, "end")?, None),
                _ => (a.operand(run, 0, "start")?, a.operand(run, 1, "end")?, a.optional(run, 2, "step")?),
            };
            let step = step.unwrap_or_else(|| Operand::Constant(Constant::ints(vec![], [1])));
            own(one(run, "Range", vec![Some(start), Some(end), Some(step)], vec![])?)
        }
        "hann_window" => {
            let size = usize::try_from(a.int_needed(0, "window_length")?).map_err(|_| "has a negative length")?;
            let periodic = !matches!(a.plain.get(1), Some(Value::Bool(false)));
            run.build.spend(size)?;
            let turn = std::f64::consts::TAU / (size as f64 - if periodic { 0.0 } else { 1.0 }).max(1.0);
            let window = (0..size).map(|i| (0.5 - 0.5 * (turn * i as f64).cos()) as f32).collect::<Vec<_>>();
            own(Operand::Constant(Constant::floats(vec![size], window)))
        }
        "randn_like" => {
            let x = a.signal(run, 0)?;
            let x = run.build.packed(&x)?;
            gaussian(run, x)?
        }
        "randn" => {
            let dims = a.lengths(run, 0, "size")?;
            noise(run, &dims)?
        }
        "rand" | "rand_like" | "randint" | "randperm" | "bernoulli" | "multinomial" => {
            return Err("draws at random otherwise than torch.randn, which is not known".into());
        }
        _ => return Ok(None),
    }))
}

/// Normal noise of this shape, one axis of which is as long as some signal.
fn noise(run: &mut Run<'_, '_>, dims: &[Dim]) -> Made<Value> {
    let sizes: Vec<Option<usize>> = dims.iter().map(|dim| dim.known().and_then(|n| usize::try_from(n).ok())).collect();
    let open: Vec<_> = dims.iter().filter(|dim| dim.known().is_none()).collect();
    let [frames] = open[..] else {
        return Err("draws noise of another shape than a signal's: one axis as long as the signal is needed".into());
    };
    if sizes.contains(&Some(0)) {
        run.draw();
        let shape: Vec<_> = sizes.iter().map(|size| size.unwrap_or(1)).collect();
        let axis = sizes.iter().position(Option::is_none).unwrap_or(0);
        let mut empty = Constant::floats(shape, vec![]);
        empty.stretched = vec![(axis, *frames)];
        return Ok(own(Operand::Constant(empty)));
    }
    let channels = sizes.iter().flatten().try_fold(1usize, |n, size| n.checked_mul(*size));
    let channels = channels.filter(|&n| n <= 1 << 16).ok_or("draws noise of more than 65536 channels")?;
    let like = run.of_length(*frames).cloned();
    let like = like.ok_or_else(|| format!("draws noise of {frames} frames, a length that no signal has"))?;
    let key = run.draw();
    let node = run.build.push(Op::Gaussian { channels, key }, &[like.node])?;
    Ok(made(run, Signal { node, axes: packed_axes(&sizes), ..like }))
}

fn gaussian(run: &mut Run<'_, '_>, like: Signal) -> Made<Value> {
    let key = run.draw();
    let node = run.build.push(Op::Gaussian { channels: like.channels(), key }, &[like.node])?;
    Ok(made(run, Signal { node, ..like }))
}
