//! StreamGraph → Plan: packed weights, one arena, the schedule, and the initial state. Machine-specific, never saved;
//! one plan serves any number of engines.
//!
//! Work is spread over time by two integer sweeps: nodes up to the lowest rate run as soon as their input is there,
//! nodes after it as late as the output allows. Which frames of a node exist is a function of the number of input
//! frames received, and of nothing else; so rings have fixed sizes, known here.

mod ring;
mod schedule;

use std::sync::Arc;

pub(crate) use ring::Ring;
pub(crate) use schedule::Schedule;

use crate::engine::Engine;
use crate::kernels::Kernel;
use crate::random::Randomness;
use crate::stream::StreamGraph;

/// Everything an engine needs that engines can share.
#[derive(Debug)]
pub struct Plan {
    pub(crate) kernels: Vec<Kernel>,
    pub(crate) rings: Vec<Ring>,
    pub(crate) schedule: Schedule,
    pub(crate) initial: State,
    pub(crate) scratch_len: usize,
    names: Vec<String>,
}

/// What changes while an engine runs: all caches, and how far each node has come.
#[derive(Clone, Debug)]
pub(crate) struct State {
    /// All rings, one after another in node order.
    pub(crate) arena: Vec<f32>,
    /// The end of the frames that each node has computed.
    pub(crate) ends: Vec<i64>,
    /// Input frames received.
    pub(crate) received: i64,
}

/// Why no plan can be made.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The caches do not fit.
    #[error(
        "{node}: its cache would bring the model's memory to {bytes} bytes, more than {limit}; use a shorter receptive field"
    )]
    TooLarge {
        /// Place in the model.
        node: String,
        /// Bytes needed up to and with this node.
        bytes: u64,
        /// The most that is allowed.
        limit: u64,
    },
    /// The receptive field is out of reason.
    #[error("the model looks back over {frames} input frames, more than {limit}; use a shorter receptive field")]
    TooLong {
        /// Frames of silence after which nothing depends on what was before.
        frames: i64,
        /// The most that is allowed.
        limit: i64,
    },
}

/// Bytes of cache, and input frames of silence to prime it with, beyond which a model is refused.
const MOST_BYTES: u64 = 1 << 28;
const MOST_PRIMING: i64 = 1 << 24;

impl Plan {
    /// Plans `stream` for this machine: packs weights and primes all caches with the response to silence.
    ///
    /// # Errors
    /// When the caches would not fit.
    pub fn new(stream: &StreamGraph) -> Result<Arc<Self>, PlanError> {
        let schedule = Schedule::new(stream);
        let capacities = schedule.capacities();
        let mut rings = Vec::with_capacity(capacities.len());
        let mut len = 0usize;
        for (node, capacity) in stream.nodes().iter().zip(capacities) {
            let ring = Ring::new(len, capacity, node.channels);
            let bytes = ring.as_ref().map_or(u64::MAX, |r| 4 * (len as u64 + r.len() as u64));
            match ring {
                Some(ring) if bytes <= MOST_BYTES => {
                    len += ring.len();
                    rings.push(ring);
                }
                _ => return Err(PlanError::TooLarge { node: node.name.clone(), bytes, limit: MOST_BYTES }),
            }
        }
        let kernels: Vec<_> = stream.nodes().iter().map(|n| Kernel::new(&n.op)).collect();
        let scratch_len = kernels.iter().map(Kernel::scratch_len).max().unwrap_or(0);
        let names = stream.nodes().iter().map(|n| n.name.clone()).collect();

        let start = -schedule.warm_up(stream, &rings);
        if -start > MOST_PRIMING {
            return Err(PlanError::TooLong { frames: -start, limit: MOST_PRIMING });
        }
        let cold = State { arena: vec![0.0; len], ends: schedule.ends(start), received: start };
        let plan = Arc::new(Self { kernels, rings, schedule, initial: cold, scratch_len, names });
        let initial = Engine::new(plan.clone(), Randomness::Deterministic).primed();
        // The priming engine is gone: the plan is not shared yet.
        let mut plan = Arc::into_inner(plan).expect("one owner");
        plan.initial = initial;
        Ok(Arc::new(plan))
    }

    /// Bytes of state that each engine of this plan holds.
    pub fn state_bytes(&self) -> usize {
        self.initial.arena.len() * size_of::<f32>()
    }

    /// Bytes of packed weights, shared by all engines of this plan.
    pub fn weight_bytes(&self) -> usize {
        self.kernels.iter().map(Kernel::weight_bytes).sum()
    }

    /// Bytes of state of node `id`, in the order of the stream's nodes.
    pub fn cache_bytes(&self, id: usize) -> usize {
        self.rings[id].len() * size_of::<f32>()
    }

    /// Channels of the input.
    pub fn input_channels(&self) -> usize {
        self.rings[0].channels
    }

    /// Channels of the output.
    pub fn output_channels(&self) -> usize {
        self.rings[self.rings.len() - 1].channels
    }

    /// Names of the nodes, in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}
