//! A graph under construction, and which architecture is built into it.

use serde_json::Value;

use super::super::ImportError;
use super::description::Found;
use super::file::{File, printable};
use super::{convnet, linear, lstm, wavenet};
use crate::graph::{Graph, NodeId, Op};

/// The graph that the parts of a model are pushed to.
pub(super) struct Network<'a> {
    graph: &'a mut Graph,
    /// Samples per second, where the file says.
    pub(super) rate: Option<u32>,
    pub(super) size: Option<f32>,
    /// Whether some part of the model has more than one size.
    pub(super) has_sizes: bool,
    /// What names in the graph begin with.
    prefix: String,
}

/// Operations of a network beyond which it is refused: names are compared with one another.
const MOST_NODES: usize = 1 << 14;

impl<'a> Network<'a> {
    pub(super) fn new(graph: &'a mut Graph, rate: Option<u32>, size: Option<f32>) -> Self {
        Self { graph, rate, size, has_sizes: false, prefix: String::new() }
    }

    /// Appends a node.
    ///
    /// # Errors
    /// When it does not fit its inputs.
    pub(super) fn push(&mut self, name: &str, op: Op, inputs: &[NodeId]) -> Result<NodeId, ImportError> {
        let count = self.graph.nodes().len();
        if count > MOST_NODES {
            let reason = format!("{count} operations, at most {MOST_NODES} are read; use a smaller network");
            return Err(ImportError::malformed(format!("{}{name}", self.prefix), reason));
        }
        Ok(self.graph.push(format!("{}{name}", self.prefix), op, inputs)?)
    }

    /// Channels of a node.
    pub(super) fn channels(&self, node: NodeId) -> usize {
        self.graph.node(node).channels
    }

    /// What names, in the graph and in messages, begin with.
    pub(super) fn place(&self) -> &str {
        &self.prefix
    }

    /// Builds a model that reads the graph's input, its names beginning with `prefix`.
    ///
    /// # Errors
    /// As [`architecture`].
    pub(super) fn nested(&mut self, prefix: &str, file: &File, depth: usize) -> Result<Found, ImportError> {
        let inner = format!("{}{prefix}", self.prefix);
        let outer = std::mem::replace(&mut self.prefix, inner);
        let found = architecture(self, file, depth);
        self.prefix = outer;
        found
    }
}

/// Builds the network of `file` on the graph's input.
///
/// # Errors
/// When the architecture is unknown, or its parts do not fit together.
pub(super) fn architecture(network: &mut Network<'_>, file: &File, depth: usize) -> Result<Found, ImportError> {
    match file.architecture.as_str() {
        "WaveNet" => wavenet::build(network, file, depth),
        "LSTM" => lstm::build(network, file),
        "ConvNet" => convnet::build(network, file),
        "Linear" => linear::build(network, file),
        other => Err(ImportError::unknown(
            format!("a NAM model of the architecture {}", printable(other)),
            "known are WaveNet, LSTM, ConvNet, Linear and SlimmableContainer; update Runnel",
        )),
    }
}

/// Channels of the sound that `file` reads.
///
/// # Errors
/// When there are too many, or none.
pub(super) fn input_channels(file: &File) -> Result<usize, ImportError> {
    const MOST: u64 = 64;
    match file.config.get("in_channels") {
        None | Some(Value::Null) => Ok(1),
        Some(channels) => match channels.as_u64() {
            Some(channels @ 1..=MOST) => Ok(channels as usize),
            _ => Err(ImportError::malformed("in_channels", format!("{channels}; 1 to {MOST} are needed"))),
        },
    }
}

/// The numbers of `file`'s configuration.
///
/// # Errors
/// Names the key that is missing or of another type.
pub(super) fn config<'f, T: serde::Deserialize<'f>>(value: &'f Value, place: &str) -> Result<T, ImportError> {
    T::deserialize(value).map_err(|e| ImportError::malformed(place, format!("{e}; the file is damaged")))
}
