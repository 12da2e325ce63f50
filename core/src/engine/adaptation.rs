//! What an engine learns at the model's [`crate::graph::Op::AdaIn`] nodes: statistics of a source and of a target, each over
//! all frames learned. So they depend on which frames were learned, and not on how those were cut into blocks.

use serde::{Deserialize, Serialize};

use super::moments::Moments;
use crate::graph::Statistics;
use crate::kernels::{AdaIn, Transfer};

/// What the nodes do with the frames that they meet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Learning {
    /// Carry them from the source to the target, where both are known; else pass them on as they are.
    #[default]
    Off,
    /// As off, and take each into the source's statistics first.
    Source,
    /// Take each into the target's statistics, and pass it on as it is.
    Target,
}

/// What an engine has learned; plain values, to be kept and given back to an engine of the same model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Learned {
    /// One for each node that learns, in the order of the model.
    pub nodes: Vec<LearnedNode>,
}

/// What one node has learned.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LearnedNode {
    /// The node's name.
    pub name: String,
    /// Of the source.
    pub source: Moments,
    /// Of the target.
    pub target: Moments,
}

/// Why something learned is none of this model's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// No node has a name that the model knows.
    #[error("none of its {found} nodes is one of the model's {needed} that learn; it was learned with another model")]
    Strange {
        /// Nodes of what was learned.
        found: usize,
        /// Nodes of the model that learn.
        needed: usize,
    },
    /// A node has other channels.
    #[error("{node}: statistics of {found} channels, the model has {needed}; it was learned with another model")]
    Channels {
        /// The node.
        node: String,
        /// Channels of what was learned.
        found: usize,
        /// Channels of the model.
        needed: usize,
    },
    /// A mean or a deviation cannot be one.
    #[error("{node}: its statistics are none of any signal; they are damaged")]
    Damaged {
        /// The node.
        node: String,
    },
}

/// One node's share: what the file holds, what was learned in its place, and what follows from both.
#[derive(Clone, Debug)]
pub(crate) struct Adaptation {
    /// The step that it belongs to.
    pub(crate) step: usize,
    learning: Learning,
    source: Side,
    target: Side,
    transfer: Transfer,
    transfers: bool,
}

#[derive(Clone, Debug)]
struct Side {
    held: Option<Statistics>,
    learned: Moments,
}

impl Learned {
    /// Whether nothing was learned.
    pub fn is_empty(&self) -> bool {
        self.nodes.iter().all(|node| node.source.frames == 0 && node.target.frames == 0)
    }

    /// The node of this name.
    pub fn node(&self, name: &str) -> Option<&LearnedNode> {
        self.nodes.iter().find(|node| node.name == name)
    }
}

impl Adaptation {
    pub(super) fn new(step: usize, channels: usize, kernel: &AdaIn) -> Self {
        let [source, target] = kernel.held().map(|held| Side { held: held.cloned(), learned: Moments::new(channels) });
        let mut own = Self {
            step,
            learning: Learning::Off,
            source,
            target,
            transfer: Transfer::none(channels),
            transfers: false,
        };
        own.derive();
        own
    }

    /// Learns from the frame `x`, where it is to; what carries it over, or `None` where it passes as it is. A frame with
    /// a value that is no number is not learned.
    #[inline]
    pub(crate) fn meet(&mut self, x: &[f32]) -> Option<&Transfer> {
        match self.learning {
            Learning::Off => {}
            Learning::Source => {
                self.source.learned.take(x);
                self.derive();
            }
            Learning::Target => {
                self.target.learned.take(x);
                return None;
            }
        }
        self.transfers.then_some(&self.transfer)
    }

    pub(super) fn set_learning(&mut self, learning: Learning) {
        if self.learning != learning {
            self.learning = learning;
            self.derive();
        }
    }

    pub(super) fn forget_source(&mut self) {
        self.source.learned.clear();
        self.derive();
    }

    pub(super) fn forget_target(&mut self) {
        self.target.learned.clear();
        self.derive();
    }

    /// What was learned of the source and of the target.
    pub(super) fn learned(&self) -> [&Moments; 2] {
        [&self.source.learned, &self.target.learned]
    }

    /// Whether source and target are known, learned or from the file.
    pub(super) fn knows(&self) -> [bool; 2] {
        [self.source.is_known(), self.target.is_known()]
    }

    pub(super) fn check(&self, node: &LearnedNode) -> Result<(), RestoreError> {
        let needed = self.source.learned.channels();
        for side in [&node.source, &node.target] {
            if side.mean.len() != needed || side.squares.len() != needed {
                let (node, found) = (node.name.clone(), side.mean.len().max(side.squares.len()));
                return Err(RestoreError::Channels { node, found, needed });
            }
            if !side.is_possible() {
                return Err(RestoreError::Damaged { node: node.name.clone() });
            }
        }
        Ok(())
    }

    pub(super) fn restore(&mut self, node: &LearnedNode) {
        self.source.learned.copy_from(&node.source);
        self.target.learned.copy_from(&node.target);
        self.derive();
    }

    fn derive(&mut self) {
        self.transfers = self.knows() == [true; 2];
        if self.transfers {
            self.transfer.carry(|c| self.source.of(c), |c| self.target.of(c));
        }
    }
}

impl Side {
    fn is_known(&self) -> bool {
        self.learned.has_deviation() || self.held.is_some()
    }

    /// Mean and deviation of a channel: the file's until two frames were learned.
    fn of(&self, channel: usize) -> [f64; 2] {
        match &self.held {
            Some(held) if !self.learned.has_deviation() => held.of(channel),
            _ => self.learned.of(channel),
        }
    }
}
