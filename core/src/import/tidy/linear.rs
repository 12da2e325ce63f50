//! Gains, offsets, choices of channels and the convolutions beside them.

use std::sync::Arc;

use super::{Change, Draft};
use crate::Weight;
use crate::graph::{BatchNorm, Conv1d, NodeId, Op, Pointwise};
use crate::tensor::Tensor;

/// What becomes of node `id`.
pub(super) fn change(draft: &Draft, id: NodeId) -> Option<Change> {
    let step = &draft.nodes[id];
    let &[input, ..] = &step.inputs[..] else { return None };
    let channels = draft.nodes[input].channels;
    if let Some((scale, offset)) = line(&step.op, channels) {
        if scale.iter().all(|&s| s == 1.0) && offset.iter().all(|&o| o == 0.0) {
            return Some(Change::Alias(input));
        }
        if let Some(merged) = after(draft, input, &scale, &offset) {
            return Some(merged);
        }
        if !matches!(step.op, Op::Pointwise(_)) && is_uniform(&scale) && is_uniform(&offset) {
            let op = Op::Pointwise(Pointwise::Affine { scale: scale[0] as f32, offset: offset[0] as f32 });
            return Some(Change::Become(op, vec![input]));
        }
        return None;
    }
    if let Some(picks) = picks(&step.op, channels) {
        if picks.iter().copied().eq(0..channels) {
            return Some(Change::Alias(input));
        }
        if let Some(chosen) = chosen(draft, input, &picks) {
            return Some(chosen);
        }
    }
    match &step.op {
        Op::Conv1d(conv) if conv.weight.shape()[2] == 1 => {
            before(draft, conv, input).or_else(|| sum(draft, conv, input))
        }
        Op::Conv1d(conv) => moved(draft, conv, input),
        _ => None,
    }
}

/// A gain and an offset for each channel, where the op is no more than that.
pub(super) fn line(op: &Op, channels: usize) -> Option<(Vec<f64>, Vec<f64>)> {
    match op {
        Op::Pointwise(Pointwise::Affine { scale, offset }) => {
            Some((vec![f64::from(*scale); channels], vec![f64::from(*offset); channels]))
        }
        Op::BatchNorm(norm) => Some(crate::rewrite::scale_and_offset(norm)),
        _ => None,
    }
}

/// The channels that the op chooses, where it does no more.
fn picks(op: &Op, channels: usize) -> Option<Vec<usize>> {
    match op {
        Op::Slice { start, channels } => Some((*start..start + channels).collect()),
        Op::Conv1d(conv) if is_mix(conv) && conv.bias.is_none() && conv.groups == 1 => {
            let rows = conv.weight.data().chunks(channels);
            let pick = |row: &[f32]| {
                let at = row.iter().position(|&v| v == 1.0)?;
                (row.iter().filter(|&&v| v != 0.0).count() == 1).then_some(at)
            };
            rows.map(pick).collect()
        }
        Op::Conv1d(conv) if is_mix(conv) && conv.bias.is_none() && conv.groups == channels => {
            let plain = conv.weight.data().iter().all(|&v| v == 1.0) && conv.weight.shape()[0] == channels;
            plain.then(|| (0..channels).collect())
        }
        _ => None,
    }
}

/// Whether a convolution reads each frame by itself.
fn is_mix(conv: &Conv1d) -> bool {
    conv.weight.shape()[2] == 1 && conv.stride == 1 && conv.left_padding == 0
}

/// `scale · input + offset`, where the input can take that in.
fn after(draft: &Draft, input: NodeId, scale: &[f64], offset: &[f64]) -> Option<Change> {
    let before = draft.sole(input)?;
    if let Op::Conv1d(conv) = &before.op {
        let width = conv.weight.len() / scale.len();
        let weight = conv.weight.data().iter().enumerate().map(|(i, w)| (f64::from(*w) * scale[i / width]) as f32);
        let weight = Arc::new(Tensor::new(conv.weight.shape(), weight.collect::<Vec<_>>()));
        let own = |i: usize| conv.bias.as_ref().map_or(0.0, |bias| f64::from(bias.data()[i]));
        let bias = (0..scale.len()).map(|i| (own(i) * scale[i] + offset[i]) as f32).collect();
        let bias = if conv.bias.is_none() && offset.iter().all(|&o| o == 0.0) { None } else { Some(vector(bias)) };
        return Some(Change::Become(Op::Conv1d(Conv1d { weight, bias, ..conv.clone() }), before.inputs.clone()));
    }
    let (first, then) = line(&before.op, scale.len())?;
    let scales: Vec<_> = first.iter().zip(scale).map(|(a, b)| a * b).collect();
    let offsets: Vec<_> = then.iter().zip(scale).zip(offset).map(|((a, b), c)| a * b + c).collect();
    Some(Change::Become(norm(&scales, &offsets), before.inputs.clone()))
}

/// A convolution of one tap takes in what its input is scaled and offset by.
fn before(draft: &Draft, conv: &Conv1d, input: NodeId) -> Option<Change> {
    let step = draft.sole(input)?;
    let (scale, offset) = line(&step.op, step.channels)?;
    let [out, width, _] = conv.weight.shape()[..] else { return None };
    let first = |row: usize| row / (out / conv.groups) * width;
    let mut weight = Vec::with_capacity(conv.weight.len());
    let mut bias = Vec::with_capacity(out);
    for row in 0..out {
        let own = conv.bias.as_ref().map_or(0.0, |bias| f64::from(bias.data()[row]));
        let mut sum = own;
        for (i, &w) in conv.weight.data()[row * width..(row + 1) * width].iter().enumerate() {
            weight.push((f64::from(w) * scale[first(row) + i]) as f32);
            sum += f64::from(w) * offset[first(row) + i];
        }
        bias.push(sum as f32);
    }
    let bias = if conv.bias.is_none() && offset.iter().all(|&o| o == 0.0) { None } else { Some(vector(bias)) };
    let weight = Arc::new(Tensor::new(conv.weight.shape(), weight));
    Some(Change::Become(Op::Conv1d(Conv1d { weight, bias, ..conv.clone() }), step.inputs.clone()))
}

/// Channels `picks` of a convolution: the convolution that makes only those.
fn chosen(draft: &Draft, input: NodeId, picks: &[usize]) -> Option<Change> {
    let step = draft.sole(input)?;
    let Op::Conv1d(conv) = &step.op else { return None };
    let [out, inner, taps] = conv.weight.shape()[..] else { return None };
    // Blocks of channels keep their places.
    let block = out / conv.groups;
    let stay =
        conv.groups == 1 || (picks.len() == out && picks.iter().enumerate().all(|(i, pick)| i / block == pick / block));
    if !stay {
        return None;
    }
    let row = inner * taps;
    let weight = picks.iter().flat_map(|&pick| conv.weight.data()[pick * row..(pick + 1) * row].iter().copied());
    let weight = Arc::new(Tensor::new([picks.len(), inner, taps], weight.collect::<Vec<_>>()));
    let bias = conv.bias.as_ref().map(|bias| vector(picks.iter().map(|&pick| bias.data()[pick]).collect()));
    Some(Change::Become(Op::Conv1d(Conv1d { weight, bias, ..conv.clone() }), step.inputs.clone()))
}

/// The sum of all of several joined signals is their sum.
fn sum(draft: &Draft, conv: &Conv1d, input: NodeId) -> Option<Change> {
    let joined = &draft.nodes[input];
    let width = conv.weight.shape()[0];
    let equal =
        matches!(joined.op, Op::Concat) && joined.inputs.iter().all(|&part| draft.nodes[part].channels == width);
    if !equal || !is_mix(conv) || conv.bias.is_some() || conv.groups != 1 {
        return None;
    }
    let mut rows = conv.weight.data().chunks(joined.channels).enumerate();
    let each = |(row, values): (usize, &[f32])| {
        values.iter().enumerate().all(|(i, &v)| v == f32::from(u8::from(i % width == row)))
    };
    rows.all(each).then(|| Change::Become(Op::Add, joined.inputs.clone()))
}

/// A convolution of signals that are only shifted reads them where they stand.
fn moved(draft: &Draft, conv: &Conv1d, input: NodeId) -> Option<Change> {
    let step = draft.sole(input)?;
    let Op::Conv1d(shift) = &step.op else { return None };
    let plain = shift.weight.shape()[1..] == [1, 1]
        && shift.groups == step.channels
        && shift.stride == 1
        && shift.bias.is_none()
        && shift.weight.data().iter().all(|&v| v == 1.0);
    plain.then(|| {
        let left_padding = conv.left_padding + shift.left_padding;
        Change::Become(Op::Conv1d(Conv1d { left_padding, ..conv.clone() }), step.inputs.clone())
    })
}

fn is_uniform(values: &[f64]) -> bool {
    values.windows(2).all(|pair| pair[0] == pair[1])
}

fn vector(values: Vec<f32>) -> Weight {
    Arc::new(Tensor::new([values.len()], values))
}

/// The op of these gains and offsets.
fn norm(scale: &[f64], offset: &[f64]) -> Op {
    if is_uniform(scale) && is_uniform(offset) {
        return Op::Pointwise(Pointwise::Affine { scale: scale[0] as f32, offset: offset[0] as f32 });
    }
    let part = |values: &[f64]| vector(values.iter().map(|&v| v as f32).collect());
    let zeros = vec![0.0; scale.len()];
    let ones = vec![1.0; scale.len()];
    Op::BatchNorm(BatchNorm {
        weight: Some(part(scale)),
        bias: Some(part(offset)),
        mean: vector(zeros),
        variance: vector(ones),
        epsilon: 0.0,
    })
}
