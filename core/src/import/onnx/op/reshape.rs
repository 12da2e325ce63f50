//! Reshape. Channels may be split and joined; time may be cut into frames of several samples each, and put together
//! again: pixel shuffle, both ways.

use std::cmp::Ordering;

use super::Outcome;
use super::conv::scaled;
use crate::graph::{Conv1d, Op};
use crate::import::onnx::build::{Build, transposed};
use crate::import::onnx::call::Call;
use crate::import::onnx::dim::{Dim, Fraction};
use crate::import::onnx::value::{Axis, Signal, packed_axes, shape_text};

pub(super) fn run(build: &mut Build, call: &Call<'_>) -> Outcome<Signal> {
    let x = call.signal(0)?;
    let dims = x.dims();
    let product = |dims: &[Dim]| dims.iter().try_fold(Dim::fixed(1), |p, dim| p.times(*dim));
    if call.op == "Flatten" {
        let rank = dims.len() as i64;
        let axis = call.int("axis", 1);
        let axis = if axis == rank { dims.len() } else { Call::axis(axis, dims.len())? };
        let too_large = "its size has no form";
        return reshaped(
            build,
            x,
            &[product(&dims[..axis]).ok_or(too_large)?, product(&dims[axis..]).ok_or(too_large)?],
        );
    }
    let mut wanted = call.constant_needed(1)?.to_dims()?.to_vec();
    if wanted.len() > 16 {
        return Err(format!("makes {} axes", wanted.len()));
    }
    if call.int("allowzero", 0) == 0 {
        for (axis, dim) in wanted.iter_mut().enumerate().filter(|(_, dim)| dim.known() == Some(0)) {
            *dim = *dims.get(axis).ok_or("copies the size of an axis that is not there")?;
        }
    }
    if let Some(open) = wanted.iter().position(|dim| dim.known() == Some(-1)) {
        let others: Vec<_> = wanted.iter().enumerate().filter(|(axis, _)| *axis != open).map(|(_, dim)| *dim).collect();
        let (all, others) = (product(&dims), product(&others));
        let exact = all.zip(others).and_then(|(all, others)| all.over(others));
        let exported = || {
            let [all, others] = [build.number(all?)?, build.number(others?)?];
            (others > 0 && all % others == 0).then(|| Dim::fixed(all / others))
        };
        wanted[open] = exact.or_else(exported).ok_or_else(|| misfit(x, &wanted))?;
    }
    reshaped(build, x, &wanted)
}

fn misfit(x: &Signal, wanted: &[Dim]) -> String {
    format!("{} cannot become {}; export the model with a dynamic time axis", x.shape_text(), shape_text(wanted))
}

/// `x` under the shape `wanted`.
fn reshaped(build: &mut Build, x: &Signal, wanted: &[Dim]) -> Outcome<Signal> {
    let dims = x.dims();
    if dims == wanted {
        return Ok(x.clone());
    }
    let fail = || misfit(x, wanted);
    let order = |a: Dim, b: Dim| {
        if build.same(a, b) {
            Ordering::Equal
        } else {
            build.number(a).zip(build.number(b)).map_or_else(|| a.order(b), |(a, b)| a.cmp(&b))
        }
    };
    // Axes of size 1 come and go; the others are matched in groups of equal size.
    let plain = |dims: &[Dim]| -> Vec<usize> { (0..dims.len()).filter(|&i| dims[i].known() != Some(1)).collect() };
    let (old, new) = (plain(&dims), plain(wanted));
    let (mut i, mut j) = (0, 0);
    let mut groups: Vec<(Vec<usize>, Vec<usize>)> = vec![];
    while i < old.len() || j < new.len() {
        let (mut a, mut b) = (Dim::fixed(1), Dim::fixed(1));
        let (from, to) = (i, j);
        loop {
            match if i == from {
                Ordering::Less
            } else if j == to {
                Ordering::Greater
            } else {
                order(a, b)
            } {
                Ordering::Equal => break,
                Ordering::Less => {
                    a = a.times(dims[*old.get(i).ok_or_else(fail)?]).ok_or_else(fail)?;
                    i += 1;
                }
                Ordering::Greater => {
                    b = b.times(wanted[*new.get(j).ok_or_else(fail)?]).ok_or_else(fail)?;
                    j += 1;
                }
            }
        }
        groups.push((old[from..i].to_vec(), new[to..j].to_vec()));
    }
    let mut sizes: Vec<Option<usize>> = vec![Some(1); wanted.len()];
    let Some(time) = x.time_axis() else { return regrouped(build, x, wanted).ok_or_else(fail)? };
    let timed = groups.iter().find(|(old, _)| old.contains(&time)).ok_or_else(fail)?;
    if timed.0[0] != time {
        return Err(format!(
            "{} cannot become {}: it puts channels one after another in time (as group norm does, to sum up the whole signal); \
             use batch norm, or layer norm over channels",
            x.shape_text(),
            shape_text(wanted)
        ));
    }
    for (old, new) in &groups {
        for &axis in new.iter().skip(usize::from(old.contains(&time))) {
            let size = build.number(wanted[axis]).and_then(|n| usize::try_from(n).ok()).filter(|&n| n > 0);
            sizes[axis] = Some(size.ok_or_else(fail)?);
        }
    }
    let (old, new) = timed;
    let (joined, split): (usize, usize) = (
        old[1..].iter().map(|&axis| x.sizes()[axis]).product(),
        new[1..].iter().filter_map(|&axis| sizes[axis]).product(),
    );
    let mut y = x.clone();
    if joined != split || joined > 1 {
        y = to_time(build, &y, &old[1..])?;
        y = to_depth(build, &y, split)?;
    } else {
        y = build.packed(&y)?;
    }
    // The channels now stand in the tensor's order, but for those cut from time, which are innermost.
    if y.frames.slope == Fraction::ZERO || !build.same(y.frames, wanted[new[0]]) {
        return Err(fail());
    }
    sizes[new[0]] = None;
    let inner: Vec<_> = new[1..].to_vec();
    let outer = (0..wanted.len()).filter(|axis| !inner.contains(axis));
    let by_node: Vec<_> = outer.chain(inner.iter().copied()).collect();
    let packed = packed_axes(&by_node.iter().map(|&axis| sizes[axis]).collect::<Vec<_>>());
    let mut axes = vec![Axis::Unit; wanted.len()];
    by_node.iter().zip(packed).for_each(|(&axis, kind)| axes[axis] = kind);
    Ok(Signal { axes, ..y })
}

/// A held tensor under another shape of as many entries.
fn regrouped(build: &mut Build, x: &Signal, wanted: &[Dim]) -> Option<Outcome<Signal>> {
    let size = |dim: &Dim| build.number(*dim).and_then(|n| usize::try_from(n).ok());
    let sizes: Vec<usize> = wanted.iter().map(size).collect::<Option<_>>()?;
    let count = sizes.iter().try_fold(1usize, |count, &n| count.checked_mul(n))?;
    let axes = packed_axes(&sizes.into_iter().map(Some).collect::<Vec<_>>());
    (count == x.channels()).then(|| Ok(Signal { axes, ..build.packed(x)? }))
}

/// Makes the channels of `axes`, which follow time, frames of their own; other channels stay in the tensor's order.
pub(super) fn to_time(build: &mut Build, x: &Signal, axes: &[usize]) -> Outcome<Signal> {
    let outer = (0..x.axes.len()).filter(|axis| !axes.contains(axis));
    let order: Vec<_> = outer.chain(axes.iter().copied()).collect();
    let packed = build.packed(&transposed(x, &order))?;
    let factor: usize = axes.iter().map(|&axis| x.sizes()[axis]).product();
    let kept = x.axes.len() - axes.len();
    let sizes: Vec<_> =
        packed.axes[..kept].iter().zip(packed.sizes()).map(|(axis, n)| (*axis != Axis::Time).then_some(n)).collect();
    let node = if factor == 1 { packed.node } else { build.push(Op::DepthToTime { factor }, &[packed.node])? };
    Ok(Signal {
        node,
        shift: packed.shift * factor as i64,
        frames: scaled(packed.frames, Fraction::whole(factor as i64))?,
        axes: packed_axes(&sizes),
    })
}

/// Makes `factor` frames one; what was one channel becomes `factor` of them, innermost. The axes are left to the caller.
pub(super) fn to_depth(build: &mut Build, x: &Signal, factor: usize) -> Outcome<Signal> {
    if factor == 1 {
        return Ok(x.clone());
    }
    let frames = x.frames.over(Dim::fixed(factor as i64)).filter(|frames| frames.offset.integer().is_some());
    let frames = frames.ok_or_else(|| format!("{} frames do not divide by {factor}", x.frames))?;
    let channels = build.graph.node(x.node).channels;
    let len = channels.saturating_mul(factor).saturating_mul(factor);
    build.spend(len)?;
    let mut taps = vec![0.0; len];
    (0..channels * factor).for_each(|out| taps[out * factor + out % factor] = 1.0);
    let weight = build.weight(&[channels * factor, 1, factor], taps)?;
    let conv = Conv1d { weight, bias: None, stride: factor, dilation: 1, left_padding: -x.shift, groups: channels };
    let node = build.push(Op::Conv1d(conv), &[x.node])?;
    Ok(Signal { node, shift: 0, frames, axes: x.axes.clone() })
}

/// DepthToSpace and SpaceToDepth work on two axes at once; time would be shuffled with one that is not there.
pub(super) fn blocks(_: &mut Build, call: &Call<'_>) -> Outcome<Signal> {
    Err(format!("{} shuffles two axes, and a signal has one; use reshape and transpose", call.op))
}
