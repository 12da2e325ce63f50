//! Both networks over the calibration audio, node by node: the original, and the one that is being refitted.

use std::sync::Arc;

use crate::graph::{Graph, NodeId, Op};
use crate::threads;

use super::RefitError;
use super::signals::{Layer, Signal, frames};

/// The signals of one network over all pieces; each is freed behind its last reader.
pub(super) struct Signals<'a> {
    graph: &'a Graph,
    samples: Vec<usize>,
    last_reader: Vec<NodeId>,
    of: Vec<Option<Arc<Vec<Signal>>>>,
}

impl<'a> Signals<'a> {
    /// The inputs of `graph`.
    pub(super) fn new(graph: &'a Graph, inputs: Arc<Vec<Signal>>) -> Self {
        let mut last_reader: Vec<NodeId> = (0..graph.nodes().len()).collect();
        for (id, node) in graph.nodes().iter().enumerate() {
            node.inputs.iter().for_each(|&i| last_reader[i] = id);
        }
        let samples = inputs.iter().map(Signal::frames).collect();
        let mut of = vec![None; graph.nodes().len()];
        of[0] = Some(inputs);
        Self { graph, samples, last_reader, of }
    }

    /// What node `id` makes with `op` in its place.
    pub(super) fn run(&self, id: NodeId, op: &Op) -> Result<Arc<Vec<Signal>>, RefitError> {
        let node = self.graph.node(id);
        let layer = Layer::new(op, self.graph.node(node.inputs[0]).channels)?;
        let pieces: Vec<usize> = (0..self.samples.len()).collect();
        let run = |piece: usize| {
            let inputs: Vec<&Signal> = node.inputs.iter().map(|&i| &self.input(i)[piece]).collect();
            layer.run(&inputs, frames(node, self.samples[piece]))
        };
        Ok(Arc::new(threads::map(&pieces, || (), |(), &piece| run(piece))))
    }

    /// What node `id` makes with the sum of `ops` in its place.
    pub(super) fn run_sum(&self, id: NodeId, ops: &[Op]) -> Result<Arc<Vec<Signal>>, RefitError> {
        let parts = ops.iter().map(|op| self.run(id, op)).collect::<Result<Vec<_>, _>>()?;
        if let [part] = &parts[..] {
            return Ok(part.clone());
        }
        let sum = |piece: usize| {
            let parts: Vec<&Signal> = parts.iter().map(|part| &part[piece]).collect();
            Layer::Sum.run(&parts, parts[0].frames())
        };
        Ok(Arc::new((0..self.samples.len()).map(sum).collect()))
    }

    /// The signals of node `id`, which is not read for the last time yet.
    pub(super) fn input(&self, id: NodeId) -> &Arc<Vec<Signal>> {
        self.of[id].as_ref().expect("kept until its last reader has run")
    }

    /// Keeps what node `id` made, and frees what is not read after it.
    pub(super) fn keep(&mut self, id: NodeId, signals: Arc<Vec<Signal>>) {
        self.of[id] = Some(signals);
        for &input in &self.graph.node(id).inputs {
            if self.last_reader[input] <= id {
                self.of[input] = None;
            }
        }
    }
}
