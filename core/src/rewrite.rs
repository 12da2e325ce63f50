//! Graph → StreamGraph: the passes, in order. Only the time at which a frame is computed changes; every product and
//! every sum of the trained model stays, but for coefficients that a pass folds together.

mod fold;
mod gather;
mod half;
mod intern;
mod simplify;

pub(crate) use self::fold::fold as fold_norms;
pub(crate) use self::fold::scale_and_offset;
pub use self::half::{HalfReport, half};

use crate::graph::{Graph, GraphError};
use crate::model::Model;
use crate::stream::{LatentStreams, PriorStream, StreamError, StreamGraph, StreamModel};

/// Why a model cannot be rewritten.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// A pass made nodes that do not fit: a defect of the pass.
    #[error("while rewriting: {0}")]
    Pass(#[from] GraphError),
    /// No stream can be made of the graph.
    #[error("{0}")]
    Stream(#[from] StreamError),
}

/// Rewrites every method of `model` into a stream. Equal weights are stored once.
///
/// # Errors
/// When rates have no common hop of reasonable length.
pub fn rewrite(model: &Model) -> Result<StreamModel, RewriteError> {
    let latent = match &model.latent {
        Some(latent) => {
            Some(LatentStreams { encode: rewrite_graph(&latent.encode)?, decode: rewrite_graph(&latent.decode)? })
        }
        None => None,
    };
    let prior = match &model.prior {
        Some(prior) => Some(PriorStream::new(rewrite_graph(&prior.network)?, prior.resolution)?),
        None => None,
    };
    let mut streams = StreamModel { forward: rewrite_graph(&model.forward)?, latent, prior, info: model.info.clone() };
    intern::intern(&mut streams);
    Ok(streams)
}

/// Rewrites one graph into a stream.
///
/// # Errors
/// As [`rewrite`].
pub fn rewrite_graph(graph: &Graph) -> Result<StreamGraph, RewriteError> {
    let folded = fold::fold(graph)?;
    let simple = simplify::simplify(&folded)?;
    Ok(StreamGraph::new(gather::gather(&simple))?)
}
