//! Products that are gates: one channel range of a signal, or its tanh, times the sigmoid of another.

use crate::graph::Pointwise;
use crate::kernels::Gate;
use crate::stream::{StreamNode, StreamOp};

/// A gate, the node that it reads, and the nodes that it makes needless.
pub(super) struct Found {
    pub(super) gate: Gate,
    pub(super) of: usize,
    pub(super) within: Vec<usize>,
}

/// The gate that the product `id` ends, if it is one; `only_reader` tells who alone reads a node.
pub(super) fn of_product(
    nodes: &[StreamNode],
    id: usize,
    only_reader: impl Fn(usize) -> Option<usize>,
) -> Option<Found> {
    let (StreamOp::Mul, [a, b]) = (&nodes[id].op, &nodes[id].inputs[..]) else { return None };
    let factor = |end: usize| {
        let (function, slice) = match &nodes[end].op {
            StreamOp::Pointwise(function) => (Some(*function), nodes[end].inputs[0]),
            _ => (None, end),
        };
        let StreamOp::Slice { start, channels } = nodes[slice].op else { return None };
        let is_own = only_reader(end) == Some(id) && (slice == end || only_reader(slice) == Some(end));
        let within = if slice == end { vec![end] } else { vec![slice, end] };
        (is_own && channels == nodes[id].channels).then_some((function, start, nodes[slice].inputs[0], within))
    };
    let (a, b) = (factor(*a)?, factor(*b)?);
    let (passing, opening) = if b.0 == Some(Pointwise::Sigmoid) { (a, b) } else { (b, a) };
    let (bends, opens) = match (passing.0, opening.0) {
        (None, Some(Pointwise::Sigmoid)) => (false, opening.1),
        (Some(Pointwise::Tanh), Some(Pointwise::Sigmoid)) => (true, opening.1),
        _ => return None,
    };
    let gate = Gate { passes: passing.1, bends, opens };
    (passing.2 == opening.2).then(|| Found { gate, of: passing.2, within: [passing.3, opening.3].concat() })
}
