//! Which layer gives up how much: the cheapest cuts that together reach the latency asked for.

use std::collections::BTreeMap;

use crate::graph::{Graph, NodeId, Op};
use crate::rewrite::rewrite_graph;

use super::RefitError;
use super::comb::Comb;
use super::probe::Offer;

/// Greatest lookahead of each layer that is cut, in its own frames.
pub(super) type Bounds = BTreeMap<NodeId, i64>;

/// `graph` with other ops at some nodes: one, or several whose sum it is.
pub(super) fn with_ops(graph: &Graph, ops: &BTreeMap<NodeId, Vec<Op>>) -> Result<Graph, RefitError> {
    let mut changed = Graph::new(graph.input().channels);
    let mut ids = vec![0];
    for (id, node) in graph.nodes().iter().enumerate().skip(1) {
        let inputs: Vec<NodeId> = node.inputs.iter().map(|&i| ids[i]).collect();
        ids.push(match ops.get(&id).map(Vec::as_slice) {
            None => changed.push(node.name.clone(), node.op.clone(), &inputs)?,
            Some([op]) => changed.push(node.name.clone(), op.clone(), &inputs)?,
            Some(ops) => {
                let part = |(i, op): (usize, &Op)| changed.push(format!("{}.part{i}", node.name), op.clone(), &inputs);
                let parts = ops.iter().enumerate().map(part).collect::<Result<Vec<_>, _>>()?;
                changed.push(node.name.clone(), Op::Add, &parts)?
            }
        });
    }
    Ok(changed)
}

/// Tells the latency of a graph under any bounds, by the time arithmetic of every stream.
pub(super) struct Clock<'a> {
    graph: &'a Graph,
    /// Each cut layer is held once, however often it is asked for.
    held: BTreeMap<(NodeId, i64), Vec<Op>>,
}

impl<'a> Clock<'a> {
    pub(super) fn new(graph: &'a Graph) -> Self {
        Self { graph, held: BTreeMap::new() }
    }

    /// Latency when the layers are cut to `bounds`, in samples.
    pub(super) fn latency(&mut self, bounds: &Bounds) -> Result<u64, RefitError> {
        let mut cut = BTreeMap::new();
        for (&id, &bound) in bounds {
            let op = &self.graph.node(id).op;
            let held = || Comb::of(op).map_or_else(|| vec![op.clone()], |comb| comb.held(bound, 0).filled().ops());
            cut.insert(id, self.held.entry((id, bound)).or_insert_with(held).clone());
        }
        Ok(rewrite_graph(&with_ops(self.graph, &cut)?)?.latency_samples())
    }
}

/// The bounds that reach `asked` samples at the least cost that a greedy choice finds: always the cut that costs least
/// for each sample it saves, and at the end those put back, dearest first, that are not needed.
///
/// # Errors
/// When all offers together do not reach it.
pub(super) fn choose(graph: &Graph, offers: &[Offer], asked: u64) -> Result<Bounds, RefitError> {
    let mut clock = Clock::new(graph);
    let mut taken: BTreeMap<NodeId, &Offer> = BTreeMap::new();
    let bounds = |taken: &BTreeMap<NodeId, &Offer>| taken.iter().map(|(&id, offer)| (id, offer.bound)).collect();
    while clock.latency(&bounds(&taken))? > asked {
        let better = offers.iter().filter_map(|offer| {
            let (saved, cost) = taken.get(&offer.node).map_or((0, 0.0), |now| (now.saved, now.cost));
            let gain = offer.saved.checked_sub(saved).filter(|&gain| gain > 0)?;
            Some(((offer.cost - cost).max(0.0) / gain as f64, offer))
        });
        let Some((_, offer)) = better.min_by(|a, b| a.0.total_cmp(&b.0)) else {
            return Err(RefitError::Impossible { asked, least: clock.latency(&bounds(&taken))? });
        };
        taken.insert(offer.node, offer);
    }
    let mut dearest: Vec<&Offer> = taken.values().copied().collect();
    dearest.sort_by(|a, b| b.cost.total_cmp(&a.cost));
    for offer in dearest {
        let milder = offers.iter().filter(|o| o.node == offer.node && o.saved < offer.saved && o.cost < offer.cost);
        let mut milder: Vec<Option<&Offer>> = milder.map(Some).chain([None]).collect();
        milder.sort_by_key(|offer| offer.map_or(0, |offer| offer.saved));
        for less in milder {
            let mut fewer = taken.clone();
            match less {
                Some(less) => fewer.insert(offer.node, less),
                None => fewer.remove(&offer.node),
            };
            if clock.latency(&bounds(&fewer))? <= asked {
                taken = fewer;
                break;
            }
        }
    }
    Ok(bounds(&taken))
}
