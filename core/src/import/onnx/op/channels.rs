//! Concat, Split, Slice and Gather: on channels they choose, in time they shift.

use super::Outcome;
use super::arithmetic::at_shift;
use crate::graph::Op;
use crate::import::onnx::build::Build;
use crate::import::onnx::call::Call;
use crate::import::onnx::constant::{Constant, broadcast_strides, offsets};
use crate::import::onnx::dim::Dim;
use crate::import::onnx::value::{Axis, Signal, Value, packed_axes};

pub(super) fn concat(build: &mut Build, call: &Call<'_>) -> Outcome<Signal> {
    let values: Vec<_> = call.inputs.iter().flatten().collect();
    let signals = values.iter().filter_map(|value| if let Value::Signal(x) = value { Some(x) } else { None });
    let first = signals.clone().next().ok_or("reads no signal")?;
    let rank = first.axes.len();
    let axis = Call::axis(call.int("axis", 0), rank)?;
    if Some(axis) == first.time_axis() {
        return in_time(first, signals.count(), &values, axis);
    }
    let order: Vec<_> = std::iter::once(axis).chain((0..rank).filter(|&other| other != axis)).collect();
    let mut shape = first.sizes();
    shape[axis] = 0;
    let mut nodes = vec![];
    for value in &values {
        let (node, size) = match value {
            Value::Signal(x) => {
                let mut sizes = x.sizes();
                let size = std::mem::replace(sizes.get_mut(axis).ok_or("joins signals of other ranks")?, 0);
                if sizes.len() != rank
                    || x.time_axis() != first.time_axis()
                    || std::iter::zip(&sizes, &shape).any(|(a, b)| *a != 0 && a != b)
                {
                    return Err(format!("{} and {} do not fit", first.shape_text(), x.shape_text()));
                }
                if !build.same(x.frames, first.frames) {
                    return Err(format!(
                        "{} and {} do not fit: crop or pad one of them",
                        first.shape_text(),
                        x.shape_text()
                    ));
                }
                let x = at_shift(build, x, first.shift)?;
                (build.packed_as(&x, &order)?.node, size)
            }
            Value::Constant(constant) => steady(build, constant, first, axis)?,
        };
        shape[axis] += size;
        nodes.push(node);
    }
    let node = if let [one] = nodes[..] { one } else { build.push(Op::Concat, &nodes)? };
    let ordered: Vec<_> = order
        .iter()
        .map(|&axis| {
            (Some(axis) != first.time_axis()).then_some(if axis == order[0] {
                shape[axis]
            } else {
                first.sizes()[axis]
            })
        })
        .collect();
    let mut axes = vec![Axis::Unit; rank];
    order.iter().zip(packed_axes(&ordered)).for_each(|(&axis, kind)| axes[axis] = kind);
    Ok(Signal { node, axes, ..first.clone() })
}

/// A constant among joined signals: its node, channels ordered with `axis` outermost, and its size there.
fn steady(build: &mut Build, constant: &Constant, like: &Signal, axis: usize) -> Outcome<(usize, usize)> {
    let rank = like.axes.len();
    let time = like.time_axis();
    let whole =
        time.is_none_or(|time| constant.stretched.iter().any(|(at, dim)| *at == time && build.same(*dim, like.frames)));
    if constant.shape.len() != rank || !whole {
        return Err(format!(
            "joins {} with a constant of shape {:?}, which changes over time or has another length",
            like.shape_text(),
            constant.shape
        ));
    }
    let order: Vec<_> = std::iter::once(axis).chain((0..rank).filter(|&other| other != axis)).collect();
    let mut sizes = like.sizes();
    sizes[axis] = constant.shape[axis];
    let values = constant.to_floats()?;
    let strides = broadcast_strides(&constant.shape, &sizes);
    let pick = |of: &[usize]| order.iter().map(|&axis| of[axis]).collect::<Vec<_>>();
    let ordered: Vec<_> = offsets(&pick(&sizes), &pick(&strides)).map(|i| values[i]).collect();
    Ok((build.steady(&ordered, like.node)?, constant.shape[axis]))
}

/// Constants before and after one signal: what stands there is only met at the ends of the signal.
fn in_time(x: &Signal, signals: usize, values: &[&Value], axis: usize) -> Outcome<Signal> {
    if signals > 1 {
        return Err("puts one signal after another in time, which a stream cannot".into());
    }
    let mut joined = x.clone();
    let mut before = true;
    for value in values {
        let Value::Constant(constant) = value else {
            before = false;
            continue;
        };
        let length = *constant.dims().get(axis).ok_or("joins tensors of other ranks")?;
        let known = length.known().filter(|n| n.unsigned_abs() <= 1 << 24);
        let known = known.ok_or_else(|| format!("puts {length} frames before or after the signal"))?;
        joined.frames = joined.frames.plus(length).ok_or("its length does not fit 64 bits")?;
        if before {
            joined.shift -= known;
        }
    }
    Ok(joined)
}

pub(super) fn split(build: &mut Build, call: &Call<'_>) -> Outcome<Vec<Value>> {
    let x = call.signal(0)?;
    let axis = Call::axis(call.int("axis", 0), x.axes.len())?;
    if x.axes[axis] == Axis::Time {
        return Err("cuts the signal in time; a stream has no pieces".into());
    }
    let size = x.sizes()[axis];
    let sizes = match call.numbers("split", 1)? {
        Some(sizes) => sizes
            .iter()
            .map(|&n| usize::try_from(n).map_err(|_| format!("makes {n} channels")))
            .collect::<Outcome<Vec<_>>>()?,
        None => {
            let parts = usize::try_from(call.int("num_outputs", call.outputs as i64)).unwrap_or(0).clamp(1, 1 << 16);
            let each = size.div_ceil(parts);
            (0..parts).map(|i| size.saturating_sub(i * each).min(each)).collect()
        }
    };
    if sizes.iter().try_fold(0usize, |sum, n| sum.checked_add(*n)) != Some(size) || sizes.contains(&0) {
        return Err(format!("cuts {size} channels into {sizes:?}"));
    }
    let mut start = 0;
    let mut parts = vec![];
    for size in sizes.iter().take(call.outputs) {
        parts.push(Value::Signal(chosen(build, x, axis, (start..start + size).collect())?));
        start += size;
    }
    Ok(parts)
}

pub(super) fn slice(build: &mut Build, call: &Call<'_>) -> Outcome<Signal> {
    let mut x = call.signal(0)?.clone();
    let (starts, ends) = (call.constant_needed(1)?.to_dims()?, call.constant_needed(2)?.to_dims()?);
    let axes = match call.constant(3)? {
        Some(axes) => axes.to_ints()?.to_vec(),
        None => (0..starts.len() as i64).collect(),
    };
    let steps = match call.constant(4)? {
        Some(steps) => steps.to_ints()?.to_vec(),
        None => vec![1; starts.len()],
    };
    if [ends.len(), axes.len(), steps.len()].iter().any(|&n| n != starts.len()) {
        return Err(format!(
            "has {} starts, {} ends, {} axes, {} steps",
            starts.len(),
            ends.len(),
            axes.len(),
            steps.len()
        ));
    }
    for i in 0..starts.len() {
        let axis = Call::axis(axes[i], x.axes.len())?;
        x = match x.axes[axis] {
            Axis::Time => cropped(build, &x, starts[i], ends[i], steps[i])?,
            _ => {
                let size = x.sizes()[axis];
                let (Some(start), Some(end)) = (starts[i].known(), ends[i].known()) else {
                    return Err("takes channels that depend on the length of the signal".into());
                };
                let picks = range(size, start, end, steps[i])?;
                if picks.is_empty() {
                    return Err(format!("takes channels {start}..{end} of {size}, which are none"));
                }
                chosen(build, &x, axis, picks)?
            }
        };
    }
    Ok(x)
}

/// The indices that a slice names on an axis of `size`.
pub(super) fn range(size: usize, start: i64, end: i64, step: i64) -> Outcome<Vec<usize>> {
    if size == 0 {
        return Ok(vec![]);
    }
    let n = size as i64;
    let count = |at: i64| if at < 0 { at.saturating_add(n) } else { at };
    if step == 0 {
        return Err("its step is 0".into());
    }
    let (low, high) = if step > 0 { (0, n) } else { (-1, n - 1) };
    let (start, end) = (
        count(start).clamp(0, if step > 0 { n } else { n - 1 }),
        if step < 0 && end < -n { -1 } else { count(end).clamp(low, high) },
    );
    let mut picks = vec![];
    let mut at = start;
    while (step > 0 && at < end) || (step < 0 && at > end) {
        picks.push(at as usize);
        at = at.saturating_add(step);
    }
    Ok(picks)
}

/// Frames `start..end` of a signal, every `step`-th.
fn cropped(build: &mut Build, x: &Signal, start: Dim, end: Dim, step: i64) -> Outcome<Signal> {
    let Ok(stride @ 1..=0xff_ffff) = usize::try_from(step) else {
        return Err("runs backwards in time, which a stream cannot".into());
    };
    let too_long = "its length does not fit 64 bits";
    let zero = Dim::fixed(0);
    let bound = |at: Dim| -> Option<Dim> {
        let counted = if at.order(zero).is_lt() { x.frames.plus(at)? } else { at };
        // An end far beyond the signal means its end, also where the signal's length is open.
        let beyond = counted.known().is_some_and(|n| n >= 1 << 30) || counted.order(x.frames).is_gt();
        Some(if beyond { x.frames } else { counted })
    };
    let (from, to) = (bound(start).ok_or(too_long)?, bound(end).ok_or(too_long)?);
    // A number in a file for one length means the end that it meets there.
    let from_end = |at: Dim| match (build.exported_frames, build.number(x.frames)) {
        (Some(_), Some(all)) if at.known().is_some_and(|n| 2 * n > all) => x.frames.plus(Dim::fixed(at.known()? - all)),
        _ => Some(at),
    };
    let to = from_end(to).ok_or(too_long)?;
    let skipped = from.known().ok_or_else(|| {
        format!("begins at frame {from}, counted from the end of the signal; a stream knows no end (crop from the front, or outside the model)")
    })?;
    if to.known().is_some() {
        return Err(format!(
            "takes frames {from}..{to} only: a fixed place of the signal, which a stream does not have"
        ));
    }
    if skipped.abs() > 1 << 24 {
        return Err(format!("skips {skipped} frames"));
    }
    let count = to.minus(from).and_then(|frames| frames.over(Dim::fixed(step))?.ceil()).ok_or(too_long)?;
    let moved = Signal { shift: x.shift + skipped, frames: count, ..x.clone() };
    if stride == 1 { Ok(moved) } else { build.every(&moved, stride) }
}

pub(super) fn gather(build: &mut Build, call: &Call<'_>) -> Outcome<Signal> {
    let x =
        call.signal(0).map_err(|_| "looks values up by the signal (an embedding), which is not known".to_string())?;
    let indices = call.constant_needed(1)?;
    let axis = Call::axis(call.int("axis", 0), x.axes.len())?;
    if x.axes[axis] == Axis::Time {
        return Err("takes single frames of the signal by their number; a stream has no such place".into());
    }
    let size = x.sizes()[axis] as i64;
    let picks = indices.to_ints()?.iter().map(|&i| Call::axis(i, size as usize)).collect::<Outcome<Vec<_>>>()?;
    let mut taken = chosen(build, x, axis, picks)?;
    match indices.shape.len() {
        0 => {
            taken.axes.remove(axis);
            Ok(taken)
        }
        1 => Ok(taken),
        rank => Err(format!("takes channels by an index of {rank} axes")),
    }
}

/// The entries `picks` of `axis`.
fn chosen(build: &mut Build, x: &Signal, axis: usize, picks: Vec<usize>) -> Outcome<Signal> {
    if picks.iter().copied().eq(0..x.sizes()[axis]) {
        return Ok(x.clone());
    }
    // With the axis outermost a run of entries is a run of channels.
    let order: Vec<_> = std::iter::once(axis).chain((0..x.axes.len()).filter(|&other| other != axis)).collect();
    let x = crate::import::onnx::build::transposed(x, &order);
    let mut maps = vec![None; order.len()];
    maps[0] = Some(picks);
    let taken = build.gathered(&x, &maps)?;
    let mut back = vec![0; order.len()];
    order.iter().enumerate().for_each(|(to, &from)| back[from] = to);
    Ok(crate::import::onnx::build::transposed(&taken, &back))
}
