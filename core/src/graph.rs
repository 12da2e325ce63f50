//! Graph: the trained model, as it was trained. Checked while it is built; nodes are in topological order.

mod op;
mod parameters;
mod shape;
pub mod text;

pub use op::{
    BatchNorm, Conv1d, ConvTranspose1d, Excitation, Gru, LayerNorm, Lstm, NoiseSynth, Op, Parameter, Pointwise, Reset,
    Rnn, RnnActivation, Statistics,
};
pub(crate) use op::{FAST_TANH_ABOVE, FAST_TANH_BELOW, FAST_TANH_LIMIT};
pub use op::{erf, gelu};

pub(crate) use parameters::{agrees as agreeing_parameter, distinct as distinct_parameters};
pub(crate) use shape::infer as infer_shape;

use crate::timing::Rate;

/// Index of a node in its graph.
pub type NodeId = usize;

/// A model of one input and one output. Node 0 is the input, the last node is the output, and every node reads only
/// nodes before it.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    nodes: Vec<Node>,
}

/// One operation, its place in the model, what it reads, and the signal it makes.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where the node stands in the trained model, such as `encoder.net.3`. Unique in its graph.
    pub name: String,
    /// What it does.
    pub op: Op,
    /// What it reads.
    pub inputs: Vec<NodeId>,
    /// Channels of its signal.
    pub channels: usize,
    /// Frames of its signal per input frame.
    pub rate: Rate,
}

/// Why a node was refused.
#[derive(Debug, thiserror::Error)]
#[error("{node} ({op}): {reason}")]
pub struct GraphError {
    /// Place in the model.
    pub node: String,
    /// The op's name.
    pub op: &'static str,
    /// The numbers that do not fit, and the cure where there is one.
    pub reason: String,
}

impl Graph {
    /// A graph of one node: an input of `channels`.
    pub fn new(channels: usize) -> Self {
        let node =
            Node { name: "input".into(), op: Op::Input { channels }, inputs: vec![], channels, rate: Rate::UNIT };
        Self { nodes: vec![node] }
    }

    /// Appends a node and returns its id.
    ///
    /// # Errors
    /// When the op cannot read signals of those shapes and rates, or its weights do not fit together.
    pub fn push(&mut self, name: impl Into<String>, op: Op, inputs: &[NodeId]) -> Result<NodeId, GraphError> {
        let name = name.into();
        let refuse = |reason: String| GraphError { node: name.clone(), op: op.name(), reason };
        if self.nodes.iter().any(|n| n.name == name) {
            return Err(refuse("a second node of this name".into()));
        }
        if let Some(&missing) = inputs.iter().find(|&&i| i >= self.nodes.len()) {
            return Err(refuse(format!("reads node {missing}, which is not before it")));
        }
        let signals: Vec<_> = inputs.iter().map(|&i| (self.nodes[i].channels, self.nodes[i].rate)).collect();
        let (channels, rate) = shape::infer(&op, &signals).map_err(refuse)?;
        if let Op::Parameter(parameter) = &op {
            parameters::agrees(parameter, self.parameters().into_iter()).map_err(refuse)?;
        }
        self.nodes.push(Node { name, op, inputs: inputs.to_vec(), channels, rate });
        Ok(self.nodes.len() - 1)
    }

    /// All nodes, inputs before readers.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Node `id`.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id]
    }

    /// The node of this name.
    pub fn find(&self, name: &str) -> Option<NodeId> {
        self.nodes.iter().position(|n| n.name == name)
    }

    /// The input, node 0.
    pub fn input(&self) -> &Node {
        &self.nodes[0]
    }

    /// The output, the last node.
    pub fn output(&self) -> &Node {
        &self.nodes[self.nodes.len() - 1]
    }

    /// What a player holds, each name once, in the order of the nodes.
    pub fn parameters(&self) -> Vec<&Parameter> {
        parameters::distinct(self.nodes.iter().filter_map(|node| match &node.op {
            Op::Parameter(parameter) => Some(parameter),
            _ => None,
        }))
    }

    /// This graph, then a [`Op::LatentEdit`] named `edit`, then `next`.
    ///
    /// # Errors
    /// When `next` reads another number of channels than this graph makes, or a name stands in both.
    pub fn then(&self, edit: &str, next: &Self) -> Result<Self, GraphError> {
        let mut joined = self.clone();
        let seam = joined.push(edit, Op::LatentEdit, &[self.nodes.len() - 1])?;
        if next.input().channels != self.output().channels {
            return Err(GraphError {
                node: edit.into(),
                op: Op::LatentEdit.name(),
                reason: format!("{} channels arrive, {} are read", self.output().channels, next.input().channels),
            });
        }
        let mut ids = vec![seam];
        for node in &next.nodes[1..] {
            let inputs: Vec<_> = node.inputs.iter().map(|&i| ids[i]).collect();
            ids.push(joined.push(node.name.clone(), node.op.clone(), &inputs)?);
        }
        Ok(joined)
    }
}
