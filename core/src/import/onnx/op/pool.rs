//! Pooling over time. Pads and cut windows are only met at the ends of a signal, where a stream has silence.

use super::Outcome;
use super::conv::{Grid, Spatial};
use crate::graph::{Conv1d, Op};
use crate::import::onnx::build::Build;
use crate::import::onnx::call::Call;
use crate::import::onnx::value::Signal;

/// Frames of one maximum beyond which a layer is refused: each is a node.
const MOST_TAPS: usize = 64;

pub(super) fn pool(build: &mut Build, call: &Call<'_>) -> Outcome<Signal> {
    let grid = Grid::of(build, call.signal(0)?)?;
    let kernels = call.ints("kernel_shape").unwrap_or_default();
    let kernels: Vec<_> = kernels.iter().map(|&k| usize::try_from(k).unwrap_or(0)).collect();
    if kernels.len() != grid.sizes.len() {
        return Err(format!("its kernel_shape is {kernels:?}, for {} spatial axes", grid.sizes.len()));
    }
    let spatial = Spatial::of(call, &kernels)?;
    let beside = (0..spatial.len()).filter(|&axis| axis != grid.time);
    if let Some(axis) = beside.into_iter().find(|&axis| (spatial[axis].kernel, spatial[axis].stride) != (1, 1)) {
        return Err(format!("pools {} positions of an axis that is not time; only time is pooled", kernels[axis]));
    }
    let time = &spatial[grid.time];
    let (frames, before) = time.strided(grid.x.frames, call.int("ceil_mode", 0) != 0)?;
    let channels = build.graph.node(grid.x.node).channels;
    let conv = |build: &mut Build, taps: &[f32], left_padding| {
        build.spend(taps.len().saturating_mul(channels))?;
        let weight = build.weight(&[channels, 1, taps.len()], taps.repeat(channels))?;
        let (stride, dilation) = (time.stride, time.dilation);
        let conv = Conv1d { weight, bias: None, stride, dilation, left_padding, groups: channels };
        build.push(Op::Conv1d(conv), &[grid.x.node])
    };
    let left = before - grid.x.shift;
    let node = if call.op == "AveragePool" {
        build.spend(time.kernel)?;
        conv(build, &vec![1.0 / time.kernel as f32; time.kernel], left)?
    } else if call.outputs > 1 {
        return Err("gives the places of its maxima, which a stream cannot use".into());
    } else if time.kernel > MOST_TAPS {
        return Err(format!("is the maximum of {} frames, at most {MOST_TAPS} are read", time.kernel));
    } else {
        let mut taps = vec![];
        for tap in 0..time.kernel {
            taps.push(conv(build, &[1.0], left - (tap * time.dilation) as i64)?);
        }
        if let [one] = taps[..] { one } else { build.push(Op::Max, &taps)? }
    };
    Ok(Signal { node, shift: 0, frames, axes: grid.axes(grid.channels, &grid.sizes) })
}
