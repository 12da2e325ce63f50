//! Normalisation with stored statistics, or over the channels of one frame.

use super::Outcome;
use crate::graph::{BatchNorm, LayerNorm, Op};
use crate::import::onnx::build::Build;
use crate::import::onnx::call::Call;
use crate::import::onnx::constant::{Constant, broadcast, broadcast_strides, offsets};
use crate::import::onnx::value::{Axis, Signal};

pub(super) fn batch(build: &mut Build, call: &Call<'_>) -> Outcome<Signal> {
    if call.int("training_mode", 0) != 0 {
        return Err("is in training mode; export the model in evaluation mode".into());
    }
    let x = call.signal(0)?;
    if x.time_axis() == Some(1) || x.axes.len() < 2 {
        return Err(format!("normalises axis 1 of {}, which must be channels", x.shape_text()));
    }
    let size = x.sizes()[1];
    let channels = x.channels();
    let mut along = vec![0; x.axes.len()];
    along[1] = 1;
    let entries: Vec<_> = offsets(&x.sizes(), &along).collect();
    let mut part = |i: usize| {
        let values = call.constant_needed(i)?.to_floats()?;
        if values.len() != size {
            return Err(format!("its input {i} has {} values for {size} channels", values.len()));
        }
        let mut ordered = vec![0.0; channels];
        x.order().zip(&entries).for_each(|(channel, &entry)| ordered[channel] = values[entry]);
        build.weight(&[channels], ordered)
    };
    let norm = BatchNorm {
        weight: Some(part(1)?),
        bias: Some(part(2)?),
        mean: part(3)?,
        variance: part(4)?,
        epsilon: f64::from(call.float("epsilon", 1e-5)),
    };
    let node = build.push(Op::BatchNorm(norm), &[x.node])?;
    Ok(Signal { node, ..x.clone() })
}

pub(super) fn layer(build: &mut Build, call: &Call<'_>) -> Outcome<Signal> {
    let x = build.packed(call.signal(0)?)?;
    let rank = x.axes.len();
    let axis = Call::axis(call.int("axis", -1), rank)?;
    if x.time_axis().is_some_and(|time| time >= axis) {
        return Err(format!(
            "normalises over time: its mean runs over axes {axis}.. of {}, and would need the whole signal; \
             a normalisation over channels can stream",
            x.shape_text()
        ));
    }
    let sizes = x.sizes();
    let (width, channels): (usize, usize) = (sizes[axis..].iter().product(), x.channels());
    let mut part = |constant: Option<&Constant>| -> Outcome<_> {
        let Some(constant) = constant else { return Ok(None) };
        let values = constant.to_floats()?;
        if broadcast(&constant.shape, &sizes).as_ref() != Some(&sizes) {
            return Err(format!("its scale or offset has shape {:?} for {}", constant.shape, x.shape_text()));
        }
        let each = offsets(&sizes, &broadcast_strides(&constant.shape, &sizes));
        build.weight(&[channels], each.map(|i| values[i]).collect()).map(Some)
    };
    let weight = part(call.constant(1)?)?;
    let bias = part(call.constant(2)?)?;
    let norm = LayerNorm {
        weight,
        bias,
        epsilon: call.float("epsilon", 1e-5),
        centred: call.op == "LayerNormalization",
        groups: channels / width,
    };
    let node = build.push(Op::LayerNorm(norm), &[x.node])?;
    Ok(Signal { node, ..x })
}

/// `LpNormalization` over channels.
pub(super) fn unit(build: &mut Build, call: &Call<'_>) -> Outcome<Signal> {
    let x = build.packed(call.signal(0)?)?;
    let axis = Call::axis(call.int("axis", -1), x.axes.len())?;
    let all = matches!(x.axes[axis], Axis::Channels { size, .. } if size == x.channels());
    if !all || call.int("p", 2) != 2 {
        return Err(format!("normalises axis {axis} of {}; the length over all channels is read", x.shape_text()));
    }
    let node = build.push(Op::UnitNorm, &[x.node])?;
    Ok(Signal { node, ..x })
}

/// The values of `constant` for each entry of a frame of `x`, one where all are equal; `x` has all its sizes.
pub(super) fn per_entry(constant: &Constant, x: &Signal) -> Outcome<Vec<f32>> {
    let values = constant.to_floats()?;
    if let [first, rest @ ..] = &values[..]
        && rest.iter().all(|v| v.to_bits() == first.to_bits())
    {
        return Ok(vec![*first]);
    }
    let sizes = x.sizes();
    Ok(offsets(&sizes, &broadcast_strides(&constant.shape, &sizes)).map(|i| values[i]).collect())
}
