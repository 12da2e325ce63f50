//! Operators that only say which axis is which, and repetition.

use super::Outcome;
use crate::import::onnx::build::{Build, transposed};
use crate::import::onnx::call::Call;
use crate::import::onnx::value::{Axis, Signal};

/// Transpose, Squeeze, Unsqueeze.
pub(super) fn view(call: &Call<'_>) -> Outcome<Signal> {
    let x = call.signal(0)?;
    let rank = x.axes.len();
    match call.op {
        "Transpose" => Ok(transposed(x, &order(call, rank)?)),
        "Squeeze" => {
            let axes = call.numbers("axes", 1)?;
            let mut dropped = vec![false; rank];
            for axis in axes.iter().flatten() {
                let axis = Call::axis(*axis, rank)?;
                if x.axes[axis] != Axis::Unit {
                    return Err(format!("drops axis {axis} of {}, whose size is not 1", x.shape_text()));
                }
                dropped[axis] = true;
            }
            let keep = |axis: usize| if axes.is_some() { !dropped[axis] } else { x.axes[axis] != Axis::Unit };
            let axes = (0..rank).filter(|&axis| keep(axis)).map(|axis| x.axes[axis]).collect();
            Ok(Signal { axes, ..x.clone() })
        }
        _ => {
            let axes = call.numbers("axes", 1)?.ok_or("names no axes")?;
            let mut old = x.axes.iter();
            let mut axis = |new| if new { Axis::Unit } else { *old.next().expect("as many as are not new") };
            let axes = unsqueezed(&axes, rank)?.into_iter().map(&mut axis).collect();
            Ok(Signal { axes, ..x.clone() })
        }
    }
}

/// The permutation of a Transpose.
pub(super) fn order(call: &Call<'_>, rank: usize) -> Outcome<Vec<usize>> {
    let Some(order) = call.ints("perm") else { return Ok((0..rank).rev().collect()) };
    let order = order.iter().map(|&axis| Call::axis(axis, rank)).collect::<Outcome<Vec<_>>>()?;
    let mut seen = vec![false; rank];
    order.iter().for_each(|&axis| seen[axis] = true);
    if order.len() == rank && seen.iter().all(|&seen| seen) {
        Ok(order)
    } else {
        Err(format!("its perm {order:?} is no order of {rank} axes"))
    }
}

/// For each axis after an Unsqueeze, whether it is new.
pub(super) fn unsqueezed(axes: &[i64], rank: usize) -> Outcome<Vec<bool>> {
    let mut new = vec![false; rank + axes.len()];
    if new.len() > 64 {
        return Err(format!("makes {} axes", new.len()));
    }
    for &axis in axes {
        let axis = Call::axis(axis, rank + axes.len())?;
        if std::mem::replace(&mut new[axis], true) {
            return Err(format!("names axis {axis} twice"));
        }
    }
    Ok(new)
}

/// Expand and Tile.
pub(super) fn repeat(build: &mut Build, call: &Call<'_>) -> Outcome<Signal> {
    let mut x = call.signal(0)?.clone();
    let counts = call.constant_needed(1)?.to_dims()?;
    if call.op == "Tile" {
        if counts.len() != x.axes.len() {
            return Err(format!("repeats {} axes of {}", counts.len(), x.shape_text()));
        }
        let mut maps = vec![None; counts.len()];
        for (axis, count) in counts.iter().enumerate() {
            let count = build.number(*count).ok_or("repeats as often as the signal is long")?;
            match (x.axes[axis], usize::try_from(count).map_err(|_| format!("repeats {count} times"))?) {
                (_, 1) => {}
                (Axis::Time, _) => return Err("repeats the whole signal after its end".into()),
                (_, count) => {
                    let size = x.sizes()[axis];
                    build.spend(size.saturating_mul(count))?;
                    maps[axis] = Some((0..size * count).map(|i| i % size).collect());
                }
            }
        }
        return build.gathered(&x, &maps);
    }
    while x.axes.len() < counts.len() {
        x.axes.insert(0, Axis::Unit);
    }
    let lead = x.axes.len() - counts.len();
    if x.time_axis().is_none()
        && let Some(axis) = counts.iter().position(|count| count.known().is_none())
        && x.axes[lead + axis] == Axis::Unit
    {
        x = build.in_time(&x, lead + axis, counts[axis], 0)?;
    }
    let mut sizes = x.sizes();
    for (axis, count) in counts.iter().enumerate() {
        match x.axes[lead + axis] {
            Axis::Unit => {
                let size = build.number(*count).and_then(|n| usize::try_from(n).ok());
                sizes[lead + axis] = size.ok_or("repeats as often as the signal is long")?.max(1);
                build.spend(sizes[lead + axis])?;
            }
            Axis::Time if !build.same(*count, x.frames) && count.known() != Some(1) => {
                return Err(format!("stretches {} frames to {count}", x.frames));
            }
            _ => {}
        }
    }
    build.expanded(&x, &sizes)
}
