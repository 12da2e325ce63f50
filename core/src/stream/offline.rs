//! The way back: the same model as an offline graph, so that a converted file can be judged without its source.

use super::{StreamError, StreamGraph, StreamModel};
use crate::graph::Graph;
use crate::model::{Latent, Model, Prior};

impl StreamModel {
    /// The model of trained ops whose streams these are: a converted file stands for its source where that is to be changed.
    ///
    /// # Errors
    /// None for streams that [`StreamGraph::new`] made.
    pub fn offline(&self) -> Result<Model, StreamError> {
        let latent = match &self.latent {
            Some(latent) => Some(Latent { encode: latent.encode.offline()?, decode: latent.decode.offline()? }),
            None => None,
        };
        let prior = match &self.prior {
            Some(prior) => Some(Prior { network: prior.network().offline()?, resolution: prior.resolution() }),
            None => None,
        };
        Ok(Model { forward: self.forward.offline()?, latent, prior, info: self.info.clone() })
    }
}

impl StreamGraph {
    /// The graph of trained ops whose signals this stream's are. A node that stands for two ops (a convolution and
    /// its interleaving) becomes both; the second keeps the name.
    ///
    /// # Errors
    /// None for a stream that [`StreamGraph::new`] made.
    pub fn offline(&self) -> Result<Graph, StreamError> {
        let mut graph = Graph::new(self.input().channels);
        let mut ids = vec![0];
        for node in &self.nodes()[1..] {
            let refuse = |reason: String| StreamError { node: node.name.clone(), reason };
            let mut inputs: Vec<_> = node.inputs.iter().map(|&i| ids[i]).collect();
            let ops = node.op.trained();
            let last = ops.len() - 1;
            for (i, op) in ops.into_iter().enumerate() {
                let name = if i == last { node.name.clone() } else { format!("{}.{}", node.name, op.name()) };
                inputs = vec![graph.push(name, op, &inputs).map_err(|e| refuse(e.reason))?];
            }
            ids.push(inputs[0]);
        }

        Ok(graph)
    }
}
