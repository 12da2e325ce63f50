//! A graph as code spells it → the same with neighbouring linear steps folded, and spelled-out functions by their names.
//! Coefficients are folded in f64 and rounded once.

mod linear;
mod named;

use std::collections::HashSet;

use crate::graph::{Graph, GraphError, NodeId, Op};

/// Rounds of rewriting, at most: each ends with at least one node less to visit.
const ROUNDS: usize = 64;

/// The tidied graph.
///
/// # Errors
/// When a rule makes nodes that do not fit: a defect of the rule.
pub(super) fn tidy(graph: &Graph) -> Result<Graph, GraphError> {
    let mut draft = Draft::of(graph);
    for _ in 0..ROUNDS {
        if !draft.round() {
            break;
        }
    }
    draft.graph()
}

/// The graph while it is rewritten.
struct Draft {
    nodes: Vec<Step>,
    /// How many inputs of live nodes each node is; one more for the output.
    readers: Vec<usize>,
    output: NodeId,
}

struct Step {
    name: String,
    op: Op,
    inputs: Vec<NodeId>,
    channels: usize,
}

/// What becomes of a node.
enum Change {
    /// Its readers read another one.
    Alias(NodeId),
    /// It does something else.
    Become(Op, Vec<NodeId>),
}

impl Draft {
    fn of(graph: &Graph) -> Self {
        let step = |node: &crate::graph::Node| Step {
            name: node.name.clone(),
            op: node.op.clone(),
            inputs: node.inputs.clone(),
            channels: node.channels,
        };
        let nodes: Vec<_> = graph.nodes().iter().map(step).collect();
        let mut draft = Self { readers: vec![], output: nodes.len() - 1, nodes };
        draft.count();
        draft
    }

    /// Applies the rules to each node once. Whether one applied.
    fn round(&mut self) -> bool {
        let mut changed = false;
        for id in 1..self.nodes.len() {
            if self.readers[id] == 0 {
                continue;
            }
            match linear::change(self, id).or_else(|| named::change(self, id)) {
                None => continue,
                Some(Change::Become(op, inputs)) => {
                    self.nodes[id].op = op;
                    self.nodes[id].inputs = inputs;
                }
                // An output that is the input itself needs a node of its own.
                Some(Change::Alias(0)) if id == self.output => continue,
                Some(Change::Alias(to)) => {
                    for node in &mut self.nodes {
                        node.inputs.iter_mut().filter(|input| **input == id).for_each(|input| *input = to);
                    }
                    if self.output == id {
                        self.output = to;
                    }
                }
            }
            changed = true;
            self.count();
        }
        changed
    }

    fn count(&mut self) {
        self.readers = vec![0; self.nodes.len()];
        self.readers[self.output] = 1;
        for id in (0..=self.output).rev() {
            if self.readers[id] > 0 {
                self.nodes[id].inputs.iter().for_each(|&input| self.readers[input] += 1);
            }
        }
    }

    /// Node `id`, if nothing but one node reads it.
    fn sole(&self, id: NodeId) -> Option<&Step> {
        (self.readers[id] == 1 && id != self.output).then(|| &self.nodes[id])
    }

    fn graph(self) -> Result<Graph, GraphError> {
        let mut graph = Graph::new(self.nodes[0].channels);
        let mut ids = vec![0; self.nodes.len()];
        for (id, node) in self.nodes.iter().enumerate().take(self.output + 1).skip(1) {
            if self.readers[id] > 0 {
                let inputs: Vec<_> = node.inputs.iter().map(|&input| ids[input]).collect();
                ids[id] = graph.push(node.name.clone(), node.op.clone(), &inputs)?;
            }
        }
        Ok(graph)
    }
}

/// The graph with names that none of `taken` has.
///
/// # Errors
/// Never, but for a defect.
pub(super) fn renamed(graph: &Graph, taken: &Graph) -> Result<Graph, GraphError> {
    let mut names: HashSet<String> = taken.nodes().iter().map(|node| node.name.clone()).collect();
    let mut other = Graph::new(graph.input().channels);
    for node in graph.nodes().iter().skip(1) {
        let mut name = node.name.clone();
        let mut count = 2;
        while !names.insert(name.clone()) {
            name = format!("{}.{count}", node.name);
            count += 1;
        }
        other.push(name, node.op.clone(), &node.inputs)?;
    }
    Ok(other)
}
