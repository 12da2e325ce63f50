//! The stream of a prior's network, fed with what it made itself.

use super::{StreamError, StreamGraph, StreamOp};
use crate::timing::Rate;

/// An autoregressive model of quantised latents, as [`crate::model::Prior`], frame by frame.
#[derive(Clone, Debug, PartialEq)]
pub struct PriorStream {
    network: StreamGraph,
    resolution: usize,
}

/// Latents beyond which a prior is refused: each remembers as many frames.
const MOST_LATENTS: usize = 1024;

impl PriorStream {
    /// A prior of `network`, one-hot frames of `resolution` indices to logits.
    ///
    /// # Errors
    /// When the network cannot be fed with what it made the frame before.
    pub fn new(network: StreamGraph, resolution: usize) -> Result<Self, StreamError> {
        let refuse = |node: &str, reason: String| Err(StreamError { node: node.into(), reason });
        let (input, output) = (network.input(), network.output());
        if resolution < 2 || !input.channels.is_multiple_of(resolution) || output.channels != input.channels {
            let reason = format!(
                "a prior of {} channels in and {} out, with {resolution} indices for each latent; as many out as in, a \
                 multiple of 2 indices or more, are needed",
                input.channels, output.channels
            );
            return refuse(&output.name, reason);
        }
        let latents = input.channels / resolution;
        if latents > MOST_LATENTS {
            return refuse(&input.name, format!("a prior of {latents} latents, at most {MOST_LATENTS} are played"));
        }
        for node in network.nodes() {
            if node.rate != Rate::UNIT || node.timeline.lag() > 0 {
                let reason = format!(
                    "rate {}, lag {}; a prior has one rate and waits for nothing",
                    node.rate,
                    node.timeline.lag()
                );
                return refuse(&node.name, reason);
            }
            let plain = matches!(
                node.op,
                StreamOp::Input { .. }
                    | StreamOp::Conv(_)
                    | StreamOp::ChannelAffine { .. }
                    | StreamOp::Pointwise(_)
                    | StreamOp::Snake { .. }
                    | StreamOp::Add
                    | StreamOp::Mul
                    | StreamOp::Concat
                    | StreamOp::Slice { .. }
            );
            if !plain {
                return refuse(
                    &node.name,
                    format!("{} in a prior; it draws and remembers nothing itself", node.op.name()),
                );
            }
        }
        Ok(Self { network, resolution })
    }

    /// One-hot frames (channel `latent · resolution + index`) to logits.
    pub fn network(&self) -> &StreamGraph {
        &self.network
    }

    /// Indices of each latent.
    pub fn resolution(&self) -> usize {
        self.resolution
    }

    /// Latents that it makes.
    pub fn latents(&self) -> usize {
        self.network.input().channels / self.resolution
    }

    /// Multiply-adds of one frame.
    pub fn macs_per_frame(&self) -> f64 {
        self.network.all_macs_per_sample()
    }

    pub(crate) fn network_mut(&mut self) -> &mut StreamGraph {
        &mut self.network
    }
}
