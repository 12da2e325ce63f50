//! Functions that code spells out, by the name that the graph has for them.

use std::sync::Arc;

use super::linear::line;
use super::{Change, Draft};
use crate::graph::{NodeId, Op, Pointwise};
use crate::tensor::Tensor;

/// What becomes of node `id`.
pub(super) fn change(draft: &Draft, id: NodeId) -> Option<Change> {
    match &draft.nodes[id].op {
        Op::Pointwise(Pointwise::Affine { scale, offset }) => mod_sigmoid(draft, id, *scale, *offset).or_else(|| {
            let product = draft.nodes[id].inputs[0];
            if *offset == 0.0 { gelu(draft, product, *scale) } else { None }
        }),
        Op::Add => snake(draft, id),
        Op::Mul => unit_norm(draft, id).or_else(|| gelu(draft, id, 1.0)),
        Op::Dequantize { codebooks } => dequantize(draft, id, codebooks.shape()[1]),
        _ => None,
    }
}

/// `2 · σ(x)^2.3 + 1e-7`.
fn mod_sigmoid(draft: &Draft, id: NodeId, scale: f32, offset: f32) -> Option<Change> {
    let power = draft.nodes[id].inputs[0];
    let sigmoid = draft.nodes[power].inputs.first()?;
    let is_power = draft.nodes[power].op == Op::Pointwise(Pointwise::Power { exponent: 2.3 });
    let is_sigmoid = draft.nodes[*sigmoid].op == Op::Pointwise(Pointwise::Sigmoid);
    (is_power && is_sigmoid && scale == 2.0 && offset == 1e-7)
        .then(|| Change::Become(Op::Pointwise(Pointwise::ModSigmoid), draft.nodes[*sigmoid].inputs.clone()))
}

/// `x · (1 + erf(x / √2)) / 2`, where the product `id` is that divided by `gain`.
fn gelu(draft: &Draft, id: NodeId, gain: f32) -> Option<Change> {
    let affine = |id: NodeId| match draft.nodes[id].op {
        Op::Pointwise(Pointwise::Affine { scale, offset }) => Some((scale, offset, draft.nodes[id].inputs[0])),
        _ => None,
    };
    let [a, b] = draft.nodes[id].inputs[..] else { return None };
    let is_product = draft.nodes[id].op == Op::Mul && draft.nodes[a].channels == draft.nodes[b].channels;
    [(a, b), (b, a)].into_iter().filter(|_| is_product).find_map(|(x, share)| {
        let (scale, offset, erf) = affine(share)?;
        let is_erf = draft.nodes[erf].op == Op::Pointwise(Pointwise::Erf);
        let (slope, shift, of) = affine(is_erf.then(|| draft.nodes[erf].inputs[0])?)?;
        let is_root = (slope - std::f32::consts::FRAC_1_SQRT_2).abs() <= 1e-6;
        (scale == offset && scale * gain == 0.5 && is_root && shift == 0.0 && of == x)
            .then(|| Change::Become(Op::Pointwise(Pointwise::Gelu), vec![x]))
    })
}

/// `x + sin²(αx) · 1 / (α + 1e-9)`.
fn snake(draft: &Draft, id: NodeId) -> Option<Change> {
    let [a, b] = draft.nodes[id].inputs[..] else { return None };
    let channels = draft.nodes[id].channels;
    let input = |id: NodeId| draft.nodes[id].inputs.first().copied();
    // Factors of one are folded away before.
    let factors = |scaled: NodeId, of: NodeId| {
        if of == scaled {
            return Some(vec![1.0; channels]);
        }
        let (gains, offsets) = line(&draft.nodes[scaled].op, channels)?;
        (input(scaled) == Some(of) && offsets.iter().all(|&o| o == 0.0)).then_some(gains)
    };
    [(a, b), (b, a)].into_iter().find_map(|(x, scaled)| {
        let is_product = |id: NodeId| draft.nodes[id].op == Op::Mul;
        let square = if is_product(scaled) { scaled } else { input(scaled)? };
        let gains = factors(scaled, square)?;
        let [sine, same] = draft.nodes[square].inputs[..] else { return None };
        if !is_product(square) || sine != same || draft.nodes[sine].op != Op::Pointwise(Pointwise::Sin) {
            return None;
        }
        let alpha = factors(input(sine)?, x)?;
        let fits = |(alpha, gain): (&f64, &f64)| {
            let expected = f64::from(1.0 / (*alpha as f32 + 1e-9));
            (gain - expected).abs() <= expected.abs() * 1e-6
        };
        alpha.iter().zip(&gains).all(fits).then(|| {
            let alpha = alpha.iter().map(|&a| a as f32).collect::<Vec<_>>();
            Change::Become(Op::Snake { alpha: Arc::new(Tensor::new([channels], alpha)) }, vec![x])
        })
    })
}

/// `x · 1 / √Σx²`, the sum over all channels.
fn unit_norm(draft: &Draft, id: NodeId) -> Option<Change> {
    let [a, b] = draft.nodes[id].inputs[..] else { return None };
    let input = |id: NodeId| draft.nodes[id].inputs.first().copied();
    [(a, b), (b, a)].into_iter().find_map(|(x, inverse)| {
        let root = (draft.nodes[inverse].op == Op::Pointwise(Pointwise::Reciprocal)).then(|| input(inverse))??;
        let sum = (draft.nodes[root].op == Op::Pointwise(Pointwise::Sqrt)).then(|| input(root))??;
        let Op::Conv1d(conv) = &draft.nodes[sum].op else { return None };
        let ones = conv.bias.is_none() && conv.weight.shape()[0] == 1 && conv.weight.data().iter().all(|&v| v == 1.0);
        let square = &draft.nodes[input(sum)?];
        let known = ones
            && conv.weight.shape()[2] == 1
            && (conv.stride, conv.left_padding) == (1, 0)
            && square.op == Op::Mul
            && square.inputs[..] == [x, x]
            && draft.nodes[x].channels > 1;
        known.then(|| Change::Become(Op::UnitNorm, vec![x]))
    })
}

/// Indices are clamped where they are looked up.
fn dequantize(draft: &Draft, id: NodeId, entries: usize) -> Option<Change> {
    let clamp = &draft.nodes[draft.nodes[id].inputs[0]];
    let bounds = Op::Pointwise(Pointwise::Clamp { low: 0.0, high: (entries - 1) as f32 });
    (clamp.op == bounds).then(|| Change::Become(draft.nodes[id].op.clone(), clamp.inputs.clone()))
}
