//! Streams put together of the nodes of others.

use super::{NodeId, StreamError, StreamGraph, StreamOp};

/// Nodes as [`StreamGraph::new`] takes them: name, op, inputs.
pub(super) type Nodes = Vec<(String, StreamOp, Vec<NodeId>)>;

/// What `stream` is made of.
pub(super) fn nodes_of(stream: &StreamGraph) -> Nodes {
    stream.nodes().iter().map(|n| (n.name.clone(), n.op.clone(), n.inputs.clone())).collect()
}

/// `front`, and behind it `stream`, whose input its last node becomes.
///
/// # Errors
/// Those of [`StreamGraph::new`].
pub(super) fn behind(mut front: Nodes, stream: &StreamGraph) -> Result<StreamGraph, StreamError> {
    let shift = front.len() - 1;
    let rest = nodes_of(stream).into_iter().skip(1);
    front.extend(rest.map(|(name, op, inputs)| (name, op, inputs.into_iter().map(|i| i + shift).collect())));
    StreamGraph::new(front)
}

/// How many samples stand for one latent frame, where `samples` do for `frames`, in lowest terms.
///
/// # Errors
/// When that is no whole number.
pub(super) fn samples_per_latent_frame(stream: &StreamGraph, samples: u64, frames: u64) -> Result<usize, StreamError> {
    if frames == 1 {
        return Ok(samples as usize);
    }
    Err(StreamError {
        node: stream.output().name.clone(),
        reason: format!("{samples} samples for {frames} latent frames; one latent frame has to last a whole number"),
    })
}
