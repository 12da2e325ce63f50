//! Removes what does nothing: identities and nodes the output does not depend on.

use crate::graph::{Graph, GraphError, NodeId, Op, Pointwise};

/// The graph without identities and dead nodes. The output stays, even where it is an identity.
pub(super) fn simplify(graph: &Graph) -> Result<Graph, GraphError> {
    let mut source: Vec<NodeId> = (0..graph.nodes().len()).collect();
    let output = graph.nodes().len() - 1;
    for (id, node) in graph.nodes().iter().enumerate() {
        if id != output && is_identity(&node.op, node.inputs.first().map(|&i| graph.node(i).channels)) {
            source[id] = source[node.inputs[0]];
        }
    }
    let mut live = vec![false; graph.nodes().len()];
    live[output] = true;
    for id in (0..=output).rev() {
        if live[id] {
            graph.node(id).inputs.iter().for_each(|&i| live[source[i]] = true);
        }
    }
    let mut simple = Graph::new(graph.input().channels);
    let mut ids = vec![0; graph.nodes().len()];
    for (id, node) in graph.nodes().iter().enumerate().skip(1) {
        if live[id] {
            let inputs: Vec<_> = node.inputs.iter().map(|&i| ids[source[i]]).collect();
            ids[id] = simple.push(node.name.clone(), node.op.clone(), &inputs)?;
        }
    }
    Ok(simple)
}

/// The nodes that read each node.
pub(super) fn readers(graph: &Graph) -> Vec<Vec<NodeId>> {
    let mut readers = vec![vec![]; graph.nodes().len()];
    for (id, node) in graph.nodes().iter().enumerate() {
        node.inputs.iter().for_each(|&i| readers[i].push(id));
    }
    readers
}

fn is_identity(op: &Op, channels: Option<usize>) -> bool {
    match op {
        Op::DepthToTime { factor: 1 } | Op::Repeat { factor: 1 } => true,
        Op::Pointwise(Pointwise::Affine { scale, offset }) => *scale == 1.0 && *offset == 0.0,
        Op::Slice { start: 0, channels: kept } => Some(*kept) == channels,
        _ => false,
    }
}
