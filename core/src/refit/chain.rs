//! All layers of a network, refitted in forward order.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::graph::{Graph, Node, NodeId, Op};

use super::budget::Bounds;
use super::calibration::Calibration;
use super::comb::Comb;
use super::fit::{Effort, Fit, fit};
use super::signals::Signal;
use super::walk::Signals;
use super::{EXTRA_TAPS, Progress, RefitError};

/// The layers of `bounds`, and behind the first of them all that read an activation, refitted: each shall give what it
/// gave, or what the sum that it is part of lacks by then.
pub(super) fn layers(
    graph: &Graph,
    bounds: &Bounds,
    calibration: &Calibration,
    effort: &Effort,
    progress: &mut dyn FnMut(Progress),
) -> Result<BTreeMap<NodeId, Fit>, RefitError> {
    let inputs = Arc::new(calibration.pieces.clone());
    let (mut original, mut modified) = (Signals::new(graph, inputs.clone()), Signals::new(graph, inputs));
    let mut fits = BTreeMap::new();
    let may_change = |&id: &NodeId| bounds.contains_key(&id) || repairs(graph, graph.node(id));
    let last = (0..graph.nodes().len()).rfind(may_change);
    let Some(last) = last.filter(|_| !bounds.is_empty()) else { return Ok(fits) };
    for (id, node) in graph.nodes().iter().enumerate().take(last + 1).skip(1) {
        progress(Progress { stage: "Refitting", done: id as u64, total: last as u64 });
        let wanted = original.run(id, &node.op)?;
        let same = node.inputs.iter().all(|&i| Arc::ptr_eq(original.input(i), modified.input(i)));
        let held = match bounds.get(&id) {
            Some(&bound) => Comb::of(&node.op).map(|comb| comb.held(bound, EXTRA_TAPS)),
            None if !same && repairs(graph, node) => Comb::of(&node.op).and_then(Comb::without_idle),
            None => None,
        };
        let made = match held {
            Some(held) => {
                let wanted = for_its_sum(graph, id, &wanted, &original, &modified);
                let x = modified.input(node.inputs[0]);
                let fit = fit(&node.name, held, x, &wanted, &calibration.parts, calibration.margins, effort)?;
                let made = modified.run_sum(id, &fit.comb.ops())?;
                fits.insert(id, fit);
                made
            }
            None if same => wanted.clone(),
            None => modified.run(id, &node.op)?,
        };
        original.keep(id, wanted);
        modified.keep(id, made);
    }
    Ok(fits)
}

/// What the refitted layers are made of.
pub(super) fn ops(fits: &BTreeMap<NodeId, Fit>) -> BTreeMap<NodeId, Vec<Op>> {
    fits.iter().map(|(&id, fit)| (id, fit.comb.ops())).collect()
}

/// Whether `node` can mend what came before it: a convolution of a linear one is only that one again.
fn repairs(graph: &Graph, node: &Node) -> bool {
    let reads =
        |&input: &NodeId| matches!(graph.node(input).op, Op::Pointwise(_) | Op::PRelu { .. } | Op::Snake { .. });
    matches!(node.op, Op::Conv1d(_) | Op::ConvTranspose1d(_)) && node.inputs.iter().all(reads)
}

/// What node `id` shall give: `wanted`, which it gave, and where only a sum reads it, also what the other parts of that
/// sum lack by now.
fn for_its_sum(
    graph: &Graph,
    id: NodeId,
    wanted: &Arc<Vec<Signal>>,
    original: &Signals,
    modified: &Signals,
) -> Arc<Vec<Signal>> {
    let readers: Vec<&Node> = graph.nodes().iter().filter(|node| node.inputs.contains(&id)).collect();
    let [sum] = readers[..] else { return wanted.clone() };
    let others: Vec<NodeId> = sum.inputs.iter().copied().filter(|&input| input != id).collect();
    let is_sum = matches!(sum.op, Op::Add) && sum.channels == graph.node(id).channels;
    if !is_sum || others.len() + 1 != sum.inputs.len() || others.iter().any(|&other| other > id) {
        return wanted.clone();
    }
    let others: Vec<[&Arc<Vec<Signal>>; 2]> =
        others.iter().map(|&other| [original.input(other), modified.input(other)]).collect();
    if others.iter().all(|[was, is]| Arc::ptr_eq(was, is)) {
        return wanted.clone();
    }
    let of_piece = |(piece, wanted): (usize, &Signal)| {
        let mut wanted = wanted.clone();
        for [was, is] in &others {
            for (c, values) in wanted.channels.iter_mut().enumerate() {
                let lacking = was[piece].channel(c).iter().zip(is[piece].channel(c));
                values.iter_mut().zip(lacking).for_each(|(value, (was, is))| *value += was - is);
            }
        }
        wanted
    };
    Arc::new(wanted.iter().enumerate().map(of_piece).collect())
}
