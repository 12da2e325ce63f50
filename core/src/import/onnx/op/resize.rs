//! Resize over time: every output frame is a weighted sum of input frames, and the weights repeat.

use super::Outcome;
use super::conv::scaled;
use crate::graph::{Conv1d, Op};
use crate::import::onnx::build::Build;
use crate::import::onnx::call::Call;
use crate::import::onnx::dim::{Dim, Fraction};
use crate::import::onnx::value::Signal;

/// Frames of one period beyond which a ratio is refused.
const MOST: i64 = 4096;

pub(super) fn resize(build: &mut Build, call: &Call<'_>) -> Outcome<Signal> {
    let x = call.signal(0)?;
    let time = x.time_axis().ok_or("stretches a value that is held, which has no time")?;
    let axes: Vec<i64> = call.ints("axes").map_or_else(|| (0..x.axes.len() as i64).collect(), <[i64]>::to_vec);
    let at = axes.iter().position(|&axis| Call::axis(axis, x.axes.len()) == Ok(time));
    let scales = if call.op == "Upsample" { call.constant(1)? } else { call.constant(2)? };
    let scales = scales.filter(|scales| scales.len() > 0);
    let sizes = call.constant(3)?.filter(|sizes| sizes.len() > 0);
    let found = scales.or(sizes).ok_or("has neither scales nor sizes")?.to_dims()?;
    if found.len() != axes.len() {
        return Err(format!("has {} scales for {} axes", found.len(), axes.len()));
    }
    let dims = x.dims();
    let mut ratio = Fraction::ONE;
    for (i, &axis) in axes.iter().enumerate() {
        let dim = dims[Call::axis(axis, dims.len())?];
        let scale = match (scales, found[i].over(dim)) {
            (Some(_), _) => found[i],
            (None, Some(scale)) => scale,
            (None, None) => match (build.number(found[i]), build.number(dim)) {
                (Some(to), Some(from)) => Fraction::new(to.into(), from.into()).map(Dim::fraction),
                _ => None,
            }
            .ok_or_else(|| {
                format!("makes {} of {dim} frames: a ratio that depends on the length of the signal", found[i])
            })?,
        };
        let scale = scale.constant().ok_or("its scale depends on the length of the signal")?;
        if at == Some(i) {
            ratio = scale;
        } else if scale != Fraction::ONE {
            return Err(format!("scales axis {axis} by {scale}; only time is resampled"));
        }
    }
    let (up, down) = (ratio.numerator(), ratio.denominator());
    if !(1..=MOST).contains(&up) || down > MOST {
        return Err(format!("scales time by {ratio}; ratios of at most {MOST} to {MOST} are read"));
    }
    let filters = (0..up).map(|phase| filter(call, phase, up, down)).collect::<Outcome<Vec<_>>>()?;
    apply(build, x, &filters, ratio)
}

/// Input frames, relative to the period's first, and their weights, that output frame `phase` of each `up` sums.
fn filter(call: &Call<'_>, phase: i64, up: i64, down: i64) -> Outcome<Vec<(i64, f64)>> {
    let default = if call.op == "Upsample" { "asymmetric" } else { "half_pixel" };
    let transform = call.text("coordinate_transformation_mode", default);
    // The place among input frames, times 2·up: whole.
    let place = match transform {
        "asymmetric" => 2 * phase * down,
        "half_pixel" | "pytorch_half_pixel" | "half_pixel_symmetric" => (2 * phase + 1) * down - up,
        "tf_half_pixel_for_nn" => (2 * phase + 1) * down,
        "align_corners" => {
            return Err("aligns the corners of the signal, so that every frame depends on the signal's length; \
                        export with align_corners off"
                .into());
        }
        other => return Err(format!("coordinate_transformation_mode {other:?} is not known")),
    };
    let unit = 2 * up;
    let below = place.div_euclid(unit);
    let rest = place.rem_euclid(unit);
    let between = rest as f64 / unit as f64;
    match call.text("mode", "nearest") {
        "nearest" => {
            let nearest =
                match call.text("nearest_mode", if call.op == "Upsample" { "floor" } else { "round_prefer_floor" }) {
                    "floor" => below,
                    "ceil" => below + i64::from(rest > 0),
                    "round_prefer_floor" => below + i64::from(2 * rest > unit),
                    "round_prefer_ceil" => below + i64::from(2 * rest >= unit),
                    other => return Err(format!("nearest_mode {other:?} is not known")),
                };
            Ok(vec![(nearest, 1.0)])
        }
        _ if call.int("antialias", 0) != 0 => Err("resamples with antialiasing, which is not known".into()),
        "linear" => Ok(vec![(below, 1.0 - between), (below + 1, between)]),
        "cubic" => {
            let a = f64::from(call.float("cubic_coeff_a", -0.75));
            let near = |d: f64| ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0;
            let far = |d: f64| ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a;
            let t = between;
            Ok(vec![(below - 1, far(1.0 + t)), (below, near(t)), (below + 1, near(1.0 - t)), (below + 2, far(2.0 - t))])
        }
        other => Err(format!("mode {other:?} is not known")),
    }
}

fn apply(build: &mut Build, x: &Signal, filters: &[Vec<(i64, f64)>], ratio: Fraction) -> Outcome<Signal> {
    let (up, down) = (filters.len(), ratio.denominator() as usize);
    let frames = scaled(x.frames, ratio)?.floor();
    let repeats = down == 1 && filters.iter().all(|filter| filter[..] == [(0, 1.0)]);
    if repeats {
        let node = build.push(Op::Repeat { factor: up }, &[x.node])?;
        return Ok(Signal { node, shift: x.shift * up as i64, frames, ..x.clone() });
    }
    let read = || filters.iter().flatten().filter(|(_, weight)| *weight != 0.0).map(|(at, _)| *at);
    let (first, last) = (read().min().unwrap_or(0), read().max().unwrap_or(0));
    let taps = (last - first + 1) as usize;
    let channels = build.graph.node(x.node).channels;
    build.spend(channels.saturating_mul(up).saturating_mul(taps))?;
    let mut values = vec![0.0; up * taps];
    for (phase, filter) in filters.iter().enumerate() {
        for (at, weight) in filter.iter().filter(|(_, weight)| *weight != 0.0) {
            values[phase * taps + (at - first) as usize] += *weight as f32;
        }
    }
    let weight = build.weight(&[channels * up, 1, taps], values.repeat(channels))?;
    let left_padding = -first - x.shift;
    let conv = Conv1d { weight, bias: None, stride: down, dilation: 1, left_padding, groups: channels };
    let node = build.push(Op::Conv1d(conv), &[x.node])?;
    let node = if up == 1 { node } else { build.push(Op::DepthToTime { factor: up }, &[node])? };
    Ok(Signal { node, shift: 0, frames, ..x.clone() })
}
