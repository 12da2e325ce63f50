//! Which axis is which, what is chosen of them, and how tensors are joined.

use super::super::number;
use super::super::run::Run;
use super::super::value::{Content, Value};
use super::arguments::{Arguments, dims};
use super::{Fault, Made, content, int, ints, one, onnx, own, text};
use crate::graph::Op;
use crate::import::onnx::call::Call;
use crate::import::onnx::constant::Constant;
use crate::import::onnx::dim::{Dim, Fraction};
use crate::import::onnx::value::{Axis, Signal, Value as Operand};

pub(super) fn run(run: &mut Run<'_, '_>, name: &str, a: &Arguments) -> Made<Option<Value>> {
    Ok(Some(match name {
        "size" => {
            let sizes: Vec<_> = a.dims(run)?.into_iter().map(|dim| number::length(dim, false)).collect();
            match a.get(1, "dim") {
                None => Value::list(sizes),
                Some(axis) => sizes[Call::axis(number::whole(axis)?, sizes.len())?].clone(),
            }
        }
        "dim" | "ndimension" => Value::Int(a.dims(run)?.len() as i64),
        "numel" => {
            let size = a.dims(run)?.iter().try_fold(Dim::fixed(1), |n, dim| n.times(*dim));
            number::length(size.ok_or("the size has no form")?, false)
        }
        "is_floating_point" => {
            Value::Bool(!matches!(a.operand(run, 0, "input")?, Operand::Constant(c) if !c.is_float()))
        }
        "chunk" => {
            let (count, axis) = (a.int_needed(1, "chunks")?, a.int(2, "dim", 0)?);
            let x = a.operand(run, 0, "input")?;
            let views = parts(run, x, axis, count)?;
            many(a, views)?
        }
        "split" | "split_with_sizes" => {
            let axis = a.int(2, "dim", 0)?;
            let x = a.operand(run, 0, "input")?;
            let mut sizes = a.ints(1, "split_size")?.ok_or("names no sizes")?;
            if name == "split" && a.get(1, "split_size").is_some_and(|value| value.items().is_none()) {
                let (each, size) = (sizes[0].max(1), size(&x, axis)?);
                sizes = (0..size.div_ceil(each as usize)).map(|i| each.min(size as i64 - i as i64 * each)).collect();
            }
            let views = split(run, x, axis, sizes)?;
            many(a, views)?
        }
        "unbind" => {
            let axis = a.int(1, "dim", 0)?;
            let x = a.operand(run, 0, "input")?;
            let mut views = vec![];
            for i in 0..size(&x, axis)? {
                views.push(taken(run, x.clone(), axis, Constant::ints(vec![], [i as i64]))?);
            }
            many(a, views)?
        }
        _ => {
            let Some(made) = single(run, name, a)? else { return Ok(None) };
            made
        }
    }))
}

/// What makes one tensor.
fn single(run: &mut Run<'_, '_>, name: &str, a: &Arguments) -> Made<Option<Value>> {
    if matches!(name, "cat" | "concat" | "concatenate" | "stack") {
        let axis = a.int(1, "dim", 0)?;
        let operands = a.operands(run, 0)?;
        return joined(run, operands, axis, name == "stack").map(own).map(Some);
    }
    if name == "to" || name == "type_as" {
        return converted(run, name, a).map(Some);
    }
    let x = |run: &mut Run<'_, '_>| a.operand(run, 0, "input");
    let made = match name {
        "detach" | "contiguous" | "clone" | "alias" | "float" | "positive" | "lift_fresh" | "cpu"
        | "requires_grad_" | "rename" => x(run)?,
        "reshape" | "view" | "view_as" | "reshape_as" => {
            let lengths =
                if name.ends_with("_as") { dims(&a.operand(run, 1, "other")?) } else { a.lengths(run, 1, "shape")? };
            let shape = shape(lengths);
            let x = x(run)?;
            one(run, "Reshape", vec![Some(x), Some(shape)], vec![int("allowzero", 1)])?
        }
        "flatten" => {
            let x = x(run)?;
            let own = dims(&x);
            let (from, to) =
                (Call::axis(a.int(1, "start_dim", 0)?, own.len())?, Call::axis(a.int(2, "end_dim", -1)?, own.len())?);
            let joined = own[from..=to.max(from)].iter().try_fold(Dim::fixed(1), |n, dim| n.times(*dim));
            let joined = joined.ok_or("its size has no form")?;
            let all = own[..from].iter().copied().chain([joined]).chain(own[to.max(from) + 1..].iter().copied());
            one(run, "Reshape", vec![Some(x), Some(shape(all.collect()))], vec![int("allowzero", 1)])?
        }
        "permute" => {
            let x = x(run)?;
            let order = order(&a.ints(1, "dims")?.unwrap_or_default(), dims(&x).len())?;
            one(run, "Transpose", vec![Some(x)], vec![ints("perm", order)])?
        }
        "transpose" | "swapaxes" | "swapdims" | "t" | "numpy_T" | "mT" => {
            let x = x(run)?;
            let rank = dims(&x).len();
            let mut order: Vec<i64> = (0..rank as i64).collect();
            match name {
                "numpy_T" => order.reverse(),
                "t" if rank < 2 => {}
                "t" | "mT" => order.swap(rank - 2, rank - 1),
                _ => {
                    let (from, to) = (a.int_needed(1, "dim0")?, a.int_needed(2, "dim1")?);
                    order.swap(Call::axis(from, rank)?, Call::axis(to, rank)?);
                }
            }
            one(run, "Transpose", vec![Some(x)], vec![ints("perm", order)])?
        }
        "unsqueeze" => {
            let x = x(run)?;
            one(run, "Unsqueeze", vec![Some(x)], vec![ints("axes", vec![a.int_needed(1, "dim")?])])?
        }
        "squeeze" => {
            let x = x(run)?;
            let own = dims(&x);
            let axes = match a.ints(1, "dim")? {
                // Axes of another size stay.
                Some(axes) => axes
                    .into_iter()
                    .filter(|axis| Call::axis(*axis, own.len()).is_ok_and(|axis| own[axis].known() == Some(1)))
                    .collect(),
                None => (0..own.len() as i64).filter(|&axis| own[axis as usize].known() == Some(1)).collect::<Vec<_>>(),
            };
            if axes.is_empty() { x } else { one(run, "Squeeze", vec![Some(x)], vec![ints("axes", axes)])? }
        }
        "slice" | "narrow" => {
            let x = x(run)?;
            sliced(run, name, a, x)?
        }
        "select" => {
            let (axis, index) = (a.int_needed(1, "dim")?, a.int_needed(2, "index")?);
            let x = x(run)?;
            taken(run, x, axis, Constant::ints(vec![], [index]))?
        }
        "index_select" => {
            let (axis, index) = (a.int_needed(1, "dim")?, a.constant(run, 2, "index")?);
            let x = x(run)?;
            taken(run, x, axis, index)?
        }
        "flip" | "roll" => {
            let x = x(run)?;
            turned(run, name, a, x)?
        }
        "expand" | "expand_as" | "broadcast_to" => {
            let x = x(run)?;
            let mut wanted =
                if name == "expand_as" { dims(&a.operand(run, 1, "other")?) } else { a.lengths(run, 1, "size")? };
            let own = dims(&x);
            let lead = wanted.len().checked_sub(own.len()).ok_or("has fewer axes than its input")?;
            for (axis, dim) in wanted.iter_mut().enumerate() {
                if dim.known() == Some(-1) {
                    *dim = *own.get(axis.wrapping_sub(lead)).ok_or("keeps an axis that is not there")?;
                }
            }
            one(run, "Expand", vec![Some(x), Some(shape(wanted))], vec![])?
        }
        "repeat" | "tile" => {
            let x = x(run)?;
            let counts = a.lengths(run, 1, "repeats")?;
            let missing = counts.len().saturating_sub(dims(&x).len());
            let x = if missing == 0 {
                x
            } else {
                one(run, "Unsqueeze", vec![Some(x)], vec![ints("axes", (0..missing as i64).collect())])?
            };
            one(run, "Tile", vec![Some(x), Some(shape(counts))], vec![])?
        }
        "repeat_interleave" => {
            let x = x(run)?;
            let count = usize::try_from(a.int_needed(1, "repeats")?).ok().filter(|n| (1..=1 << 16).contains(n));
            let count = count.ok_or("repeats less than once, or more than 65536 times")?;
            repeated(run, x, count, a.get(2, "dim").map(|_| a.int(2, "dim", 0)).transpose()?)?
        }
        "pad" | "constant_pad_nd" | "reflection_pad1d" | "replication_pad1d" => {
            let x = x(run)?;
            padded(run, name, a, x)?
        }
        _ => return Ok(None),
    };
    // A view, unless the operator copies.
    let copies = matches!(name, "clone" | "flip" | "roll" | "repeat" | "tile" | "repeat_interleave" | "index_select")
        || name.contains("pad");
    let made = content(made);
    Ok(Some(if copies { Value::tensor(made) } else { Value::view(made, a.tensor(0)?) }))
}

/// Several views of argument 0.
fn many(a: &Arguments, views: Vec<Operand>) -> Made<Value> {
    let of = a.tensor(0)?;
    Ok(Value::list(views.into_iter().map(|view| Value::view(content(view), of)).collect()))
}

/// Lengths as an operand.
pub(super) fn shape(lengths: Vec<Dim>) -> Operand {
    Operand::Constant(Constant::lengths(vec![lengths.len()], lengths, false))
}

/// The size of an axis that is not time.
fn size(x: &Operand, axis: i64) -> Made<usize> {
    let dims = dims(x);
    let dim = dims[Call::axis(axis, dims.len())?];
    dim.known()
        .and_then(|n| usize::try_from(n).ok())
        .ok_or_else(|| "cuts the signal in time; a stream has no pieces".into())
}

/// `x` in `count` parts of equal size, the last perhaps smaller.
pub(super) fn parts(run: &mut Run<'_, '_>, x: Operand, axis: i64, count: i64) -> Made<Vec<Operand>> {
    let size = size(&x, axis)?;
    let count = usize::try_from(count).ok().filter(|n| (1..=1 << 16).contains(n)).ok_or("makes no parts")?;
    let each = size.div_ceil(count).max(1);
    let sizes = (0..size.div_ceil(each)).map(|i| each.min(size - i * each) as i64).collect();
    split(run, x, axis, sizes)
}

fn split(run: &mut Run<'_, '_>, x: Operand, axis: i64, sizes: Vec<i64>) -> Made<Vec<Operand>> {
    if let Operand::Signal(_) = x {
        let outputs = sizes.len();
        return onnx(run, "Split", vec![Some(x)], vec![int("axis", axis), ints("split", sizes)], outputs);
    }
    let mut start = 0i64;
    let mut parts = vec![];
    for size in sizes {
        let end = start.checked_add(size).ok_or("cuts beyond 64 bits")?;
        parts.push(between(run, x.clone(), axis, Dim::fixed(start), Dim::fixed(end), 1)?);
        start = end;
    }
    Ok(parts)
}

/// Entries `start..end` of an axis.
fn between(run: &mut Run<'_, '_>, x: Operand, axis: i64, start: Dim, end: Dim, step: i64) -> Made<Operand> {
    let numbers = |n: i64| Some(Operand::Constant(Constant::ints(vec![1], [n])));
    one(
        run,
        "Slice",
        vec![Some(x), Some(shape(vec![start])), Some(shape(vec![end])), numbers(axis), numbers(step)],
        vec![],
    )
}

fn sliced(run: &mut Run<'_, '_>, name: &str, a: &Arguments, x: Operand) -> Made<Operand> {
    let axis = a.int(1, "dim", 0)?;
    let mut bound = |i: usize, name: &str, absent: i64| match a.get(i, name) {
        None => Ok(Dim::fixed(absent)),
        Some(value) => {
            let value = super::super::language::scalar(run, name, value)?;
            number::dim(&value).ok_or_else(|| Fault::from(format!("has {} for a bound", value.kind())))
        }
    };
    let start = bound(2, "start", 0)?;
    let end = bound(3, if name == "slice" { "end" } else { "length" }, i64::MAX)?;
    let end = if name == "slice" { end } else { start.plus(end).ok_or("cuts beyond 64 bits")? };
    let step = if name == "slice" { a.int(4, "step", 1)? } else { 1 };
    if start == Dim::fixed(0) && end == Dim::fixed(i64::MAX) && step == 1 {
        return Ok(x);
    }
    // Entries that there are already are all taken.
    let dims = dims(&x);
    let own = dims[Call::axis(axis, dims.len())?];
    if start == Dim::fixed(0) && step == 1 && own.known().zip(end.known()).is_some_and(|(own, end)| end >= own) {
        return Ok(x);
    }
    between(run, x, axis, start, end, step)
}

/// Entries of an axis by number.
fn taken(run: &mut Run<'_, '_>, x: Operand, axis: i64, index: Constant) -> Made<Operand> {
    one(run, "Gather", vec![Some(x), Some(Operand::Constant(index))], vec![int("axis", axis)])
}

fn turned(run: &mut Run<'_, '_>, name: &str, a: &Arguments, x: Operand) -> Made<Operand> {
    let shifts = if name == "roll" { a.ints(1, "shifts")?.unwrap_or_default() } else { vec![] };
    let axes = a.ints(if name == "roll" { 2 } else { 1 }, "dims")?.ok_or("names no axes")?;
    let mut x = x;
    for (i, axis) in axes.into_iter().enumerate() {
        let dims = dims(&x);
        let Some(size) = dims[Call::axis(axis, dims.len())?].known().filter(|n| (1..=1 << 20).contains(n)) else {
            return Err("turns the signal in time, which a stream cannot".into());
        };
        let shift = shifts.get(i).copied().unwrap_or(0);
        let picks: Vec<i64> = (0..size)
            .map(|at| if name == "roll" { at.wrapping_sub(shift).rem_euclid(size) } else { size - 1 - at })
            .collect();
        run.build.spend(picks.len())?;
        x = taken(run, x, axis, Constant::ints(vec![picks.len()], picks))?;
    }
    Ok(x)
}

/// Every entry of an axis, or every frame, `count` times.
pub(super) fn repeated(run: &mut Run<'_, '_>, x: Operand, count: usize, axis: Option<i64>) -> Made<Operand> {
    let rank = dims(&x).len();
    let x = match (axis, x) {
        // Without an axis the tensor is one row.
        (None, Operand::Signal(x)) if x.channels() == 1 && x.time_axis().is_some() => {
            Operand::Signal(Signal { axes: vec![Axis::Time], ..x })
        }
        (None, _) => return Err("repeats the entries of several axes in one row; name its axis (dim)".into()),
        (_, x) => x,
    };
    let axis = axis.map_or(Ok(0), |axis| Call::axis(axis, rank))?;
    if let Operand::Signal(x) = &x
        && x.axes[axis] == Axis::Time
    {
        let shift = x.shift.checked_mul(count as i64).ok_or("shifts the signal too far")?;
        let frames =
            x.frames.times(Dim::fraction(Fraction::whole(count as i64))).ok_or("its length does not fit 64 bits")?;
        let node = if count == 1 { x.node } else { run.build.push(Op::Repeat { factor: count }, &[x.node])? };
        let signal = Signal { node, shift, frames, axes: x.axes.clone() };
        run.met(&signal);
        return Ok(Operand::Signal(signal));
    }
    let size = size(&x, axis as i64)?;
    run.build.spend(size.saturating_mul(count))?;
    let picks: Vec<i64> = (0..size * count).map(|i| (i / count) as i64).collect();
    taken(run, x, axis as i64, Constant::ints(vec![picks.len()], picks))
}

fn padded(run: &mut Run<'_, '_>, name: &str, a: &Arguments, x: Operand) -> Made<Operand> {
    let pads = a.ints(1, "pad")?.ok_or("names no pads")?;
    let rank = dims(&x).len();
    if pads.len() % 2 != 0 || pads.len() > 2 * rank {
        return Err(format!("has {} pads for {rank} axes", pads.len()).into());
    }
    let mode = match (name, a.text(2, "mode").as_deref()) {
        ("reflection_pad1d", _) | ("pad", Some("reflect")) => "reflect",
        ("replication_pad1d", _) | ("pad", Some("replicate")) => "edge",
        ("pad", Some("circular")) => "wrap",
        ("pad", None | Some("constant")) | ("constant_pad_nd", _) => "constant",
        (_, mode) => return Err(format!("pads by mode {mode:?}").into()),
    };
    let value = a.float(if name == "pad" { 3 } else { 2 }, "value", 0.0)?;
    // The last axis comes first.
    let axes: Vec<i64> = (0..pads.len() / 2).map(|i| (rank - 1 - i) as i64).collect();
    let (before, after): (Vec<_>, Vec<_>) = pads.chunks(2).map(|pair| (pair[0], pair[1])).unzip();
    let (all, count) = ([before, after].concat(), axes.len());
    let numbers = |list: Vec<i64>| Operand::Constant(Constant::ints(vec![list.len()], list));
    if count == 0 {
        return Ok(x);
    }
    if let Operand::Constant(x) = &x {
        return if all.iter().all(|&n| n == 0) {
            Ok(Operand::Constant(x.clone()))
        } else {
            Err("pads a constant".into())
        };
    }
    let value = Operand::Constant(Constant::floats(vec![], [value as f32]));
    one(run, "Pad", vec![Some(x), Some(numbers(all)), Some(value), Some(numbers(axes))], vec![text("mode", mode)])
}

/// Axes counted from the front.
fn order(axes: &[i64], rank: usize) -> Made<Vec<i64>> {
    Ok(axes.iter().map(|&axis| Call::axis(axis, rank).map(|axis| axis as i64)).collect::<Result<_, _>>()?)
}

/// Tensors one after another along an axis, or along a new one.
fn joined(run: &mut Run<'_, '_>, operands: Vec<Operand>, axis: i64, stack: bool) -> Made<Operand> {
    let mut all = vec![];
    for operand in operands {
        let empty = dims(&operand).iter().any(|dim| dim.known() == Some(0));
        if stack {
            all.push(Some(one(run, "Unsqueeze", vec![Some(operand)], vec![ints("axes", vec![axis])])?));
        } else if !empty {
            all.push(Some(operand));
        }
    }
    match all.len() {
        0 => Err("joins nothing".into()),
        1 => all.remove(0).ok_or_else(|| "joins nothing".into()),
        _ => one(run, "Concat", all, vec![int("axis", axis)]),
    }
}

/// `to` and `type_as`: floats stay what they are; a signal cut to whole numbers can only look entries up.
fn converted(run: &mut Run<'_, '_>, name: &str, a: &Arguments) -> Made<Value> {
    let tensor = a.tensor(0)?.clone();
    let kind = match (name, a.plain.get(1)) {
        ("to", Some(Value::Int(kind))) => *kind,
        ("to", Some(Value::Text(_))) => match a.get(2, "dtype") {
            Some(Value::Int(kind)) => *kind,
            _ => 6,
        },
        (_, Some(Value::Tensor(like))) => match run.read(like)? {
            Content::Constant(constant) if !constant.is_float() => 4,
            _ => 6,
        },
        _ => a.int(1, "dtype", 6)?,
    };
    let whole = matches!(kind, 0..=4);
    let made = match run.read(&tensor)? {
        Content::Signal(signal) if whole => Content::Whole(signal),
        Content::Signal(_) if kind == 11 => return Err("makes booleans of the signal; a stream holds floats".into()),
        Content::Constant(constant) => {
            let to = if whole {
                7
            } else if kind == 11 {
                9
            } else {
                1
            };
            content(one(run, "Cast", vec![Some(Operand::Constant(constant))], vec![int("to", to)])?)
        }
        other => other,
    };
    Ok(Value::view(made, &tensor))
}
