//! Pad. In time, what is written before and after a signal is met at its ends only. A stream's signal has none: silence
//! reaches as far as the model looks, and what it hears there is the model's response to silence, whatever the mode. So
//! a pad in time is a shift of frames. Only a circular pad, which carries the end to the front, is refused: it says that
//! the signal is a loop, and that no stream knows.

use super::Outcome;
use crate::import::onnx::build::Build;
use crate::import::onnx::call::Call;
use crate::import::onnx::dim::Dim;
use crate::import::onnx::value::{Axis, Signal};

/// Frames written at the start beyond which a model is refused.
const MOST: i64 = 1 << 24;
/// Channels written at either end beyond which a model is refused.
const MOST_CHANNELS: i64 = 1 << 16;

pub(super) fn pad(build: &mut Build, call: &Call<'_>) -> Outcome<Signal> {
    let mut x = call.signal(0)?.clone();
    let rank = x.axes.len();
    let pads = match call.ints("pads") {
        Some(pads) => pads.iter().map(|&n| Dim::fixed(n)).collect(),
        None => call.constant_needed(1)?.to_dims()?,
    };
    let axes: Vec<i64> = match call.constant(3)? {
        Some(axes) => axes.to_ints()?.to_vec(),
        None => (0..rank as i64).collect(),
    };
    if pads.len() != 2 * axes.len() {
        return Err(format!("has {} pads for {} axes", pads.len(), axes.len()));
    }
    for (i, &axis) in axes.iter().enumerate() {
        let axis = Call::axis(axis, rank)?;
        let known = |pad: Dim| {
            let open = || format!("pads by {pad}; a fixed number, at most {MOST}, is needed");
            pad.known().filter(|n| n.unsigned_abs() <= MOST as u64).ok_or_else(open)
        };
        if x.axes[axis] == Axis::Time {
            // After the signal any length will do.
            let (before, after) = (known(pads[i])?, pads[i + axes.len()]);
            if call.text("mode", "constant") == "wrap" && (before, after) != (0, Dim::fixed(0)) {
                return Err(
                    "pads in a circle: the end of the signal comes before its start, and a stream has not heard it; \
                            train with zero, reflect or edge padding"
                        .into(),
                );
            }
            let frames = x.frames.plus(Dim::fixed(before)).and_then(|frames| frames.plus(after));
            x = Signal { shift: x.shift - before, frames: frames.ok_or("its length does not fit 64 bits")?, ..x };
        } else {
            let (before, after) = (known(pads[i])?, known(pads[i + axes.len()])?);
            if (before, after) != (0, 0) {
                x = channels(build, call, &x, axis, before, after)?;
            }
        }
    }
    Ok(x)
}

/// `x` with more entries, or fewer, at either end of `axis`, which is not time.
fn channels(build: &mut Build, call: &Call<'_>, x: &Signal, axis: usize, before: i64, after: i64) -> Outcome<Signal> {
    let size = x.sizes()[axis] as i64;
    let mode = call.text("mode", "constant");
    let source = |at: i64| match mode {
        _ if (0..size).contains(&at) => Ok(Some(at as usize)),
        "constant" => Ok(None),
        "edge" => Ok(Some(at.clamp(0, size - 1) as usize)),
        "reflect" if size > 1 => {
            let turn = at.rem_euclid(2 * (size - 1));
            Ok(Some(turn.min(2 * (size - 1) - turn) as usize))
        }
        "wrap" => Ok(Some(at.rem_euclid(size) as usize)),
        mode => Err(format!("pads {size} channels by mode {mode:?}")),
    };
    if before.max(after) > MOST_CHANNELS {
        return Err(format!("pads {size} channels by {before} and {after}, at most {MOST_CHANNELS} are read"));
    }
    build.spend((before.max(0) + after.max(0)) as usize)?;
    let entries: Vec<Option<usize>> = (-before..size + after).map(source).collect::<Outcome<_>>()?;
    if entries.is_empty() {
        return Err("leaves no channel".into());
    }
    let map: Vec<_> = entries.iter().map(|entry| entry.unwrap_or(0)).collect();
    let mut maps = vec![None; x.axes.len()];
    maps[axis] = Some(map);
    let padded = build.gathered(x, &maps)?;
    if entries.iter().all(Option::is_some) {
        return Ok(padded);
    }
    // Zero where nothing was, then the pad's value.
    let value = match call.constant(2)? {
        Some(value) => value.scalar().ok_or("its value is no single number")?,
        None => call.float("value", 0.0),
    };
    let sizes = padded.sizes();
    let mut along = vec![0; sizes.len()];
    along[axis] = 1;
    let kept: Vec<_> =
        crate::import::onnx::constant::offsets(&sizes, &along).map(|entry| entries[entry].is_some()).collect();
    let scale: Vec<_> = kept.iter().map(|&kept| f32::from(u8::from(kept))).collect();
    let offset: Vec<_> = kept.iter().map(|&kept| if kept { 0.0 } else { value }).collect();
    build.affine(&padded, &scale, &offset)
}
