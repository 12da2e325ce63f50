//! StreamGraph → Plan: fused steps, packed weights, one arena, the timetable, and the initial state. Machine-specific,
//! never saved; one plan serves any number of engines.
//!
//! The timetable is a static cyclic schedule (Lee & Messerschmitt, *Static Scheduling of Synchronous Data Flow Programs*,
//! 1987): it says after which tick each step has come how far, the same in every period, and nothing else decides it. So
//! rings have fixed sizes, known here, and the partition of the input cannot matter.

mod cost;
mod forecast;
mod gate;
mod level;
mod pack;
mod planes;
mod prime;
mod ring;
mod step;
#[cfg(test)]
mod tests;
mod timetable;
mod window;
mod work;

use std::sync::Arc;

pub use forecast::Forecast;
pub(crate) use ring::{Ring, Walk};
pub(crate) use timetable::Progress;
pub use work::StepFacts;

use pack::kernels;
use prime::{Parts, Silence};
use step::Step;
use timetable::{Needs, Timetable};
use work::Work;

use crate::graph::Parameter;
use crate::kernels::{InstructionSet, Isa, Kernel};
use crate::stream::StreamGraph;
use crate::timing::due;

/// Everything an engine needs that engines can share.
#[derive(Debug)]
pub struct Plan {
    pub(crate) kernels: Vec<Kernel>,
    pub(crate) rings: Vec<Ring>,
    /// The steps that each step reads.
    pub(crate) inputs: Vec<Vec<usize>>,
    pub(crate) timetable: Timetable,
    pub(crate) initial: State,
    pub(crate) scratch_len: usize,
    pub(crate) isa: Isa,
    /// Input frames taken at once, and ticks of each.
    pub(crate) chunk: i64,
    pub(crate) step_in: i64,
    step_out: i64,
    /// The step whose signal each node's is.
    steps: Vec<Option<usize>>,
    latency_ticks: i64,
    ticks_per_sample: i64,
    forecast: Forecast,
    facts: Vec<StepFacts>,
    /// What a player holds, each name once.
    pub(crate) parameters: Vec<Parameter>,
}

/// What can be chosen when a plan is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlanOptions {
    /// Latency beyond the least, in audio samples, used to level the work.
    pub slack_samples: u64,
    /// Samples that are mostly given at once. Where the caches stay small, as many are computed together; any number may be
    /// given whatever this is, with the same bits.
    pub block_samples: usize,
    /// The instruction set to use; the fastest of this machine when absent.
    pub instruction_set: Option<InstructionSet>,
    /// Gives every node a step and a cache of its own, so that [`crate::Engine::visit_frames`] sees them all. For finding
    /// faults; slower, with the same bits.
    pub every_node: bool,
}

/// What changes while an engine runs: all caches, and how far each step has come.
#[derive(Clone, Debug)]
pub(crate) struct State {
    /// All rings, one after another in step order.
    pub(crate) arena: Vec<f32>,
    pub(crate) progress: Vec<Progress>,
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
    /// This machine lacks the instruction set.
    #[error("this machine has no {set}; choose another instruction set, or none")]
    Unavailable {
        /// The set asked for.
        set: InstructionSet,
    },
    /// The slack is out of reason.
    #[error("a slack of {samples} samples is more than {limit}; give less")]
    TooSlack {
        /// Samples asked for.
        samples: u64,
        /// The most that is allowed.
        limit: u64,
    },
}

/// Bytes of cache beyond which a model is refused.
const MOST_BYTES: u64 = 1 << 28;
/// Samples of slack, and steps over so many samples, beyond which a plan is refused.
const MOST_SLACK: u64 = 1 << 17;
const MOST_WALK: u64 = 1 << 27;
/// Ticks taken at once, at least.
const CHUNK_TICKS: i64 = 64;
/// Samples taken at once, at most.
const MOST_CHUNK: usize = 1024;
/// Bytes of cache up to which more are taken at once: they stay near the processor.
const NEAR_BYTES: usize = 1 << 19;

impl Plan {
    /// Plans `stream` for this machine with the least latency.
    ///
    /// # Errors
    /// When the caches would not fit.
    pub fn new(stream: &StreamGraph) -> Result<Arc<Self>, PlanError> {
        Self::with(stream, &PlanOptions::default())
    }

    /// Plans `stream`: packs weights, levels the work, and fills all caches with the response to silence.
    ///
    /// # Errors
    /// When the caches would not fit, or the slack is out of reason.
    pub fn with(stream: &StreamGraph, options: &PlanOptions) -> Result<Arc<Self>, PlanError> {
        let isa = match options.instruction_set {
            Some(set) => Isa::new(set).ok_or(PlanError::Unavailable { set })?,
            None => Isa::best(),
        };
        let steps = step::steps(stream, options);
        let limit = MOST_SLACK.min(MOST_WALK / steps.len() as u64);
        if options.slack_samples > limit {
            return Err(PlanError::TooSlack { samples: options.slack_samples, limit });
        }
        let kernels = kernels(&steps, stream.hop_ticks(), isa);
        let slack = options.slack_samples as i64 * stream.ticks_per_sample();
        let work = Work::new(stream, &steps, &kernels, slack);
        let (timetable, costs_us) = level::level(&work.load());

        let latency_ticks = stream.latency_ticks() + slack;
        let (step_in, step_out) = (steps[0].ticks, steps[steps.len() - 1].ticks);
        let output_due = |tick: i64| due(tick / step_in, step_in, step_out, latency_ticks);
        let caches = |chunk: i64| -> Result<Caches, PlanError> {
            let needs = timetable.needs(&steps, output_due, chunk * step_in);
            let mirrors = mirrors(&steps, &kernels, &needs);
            let rings = rings(&steps, &kernels, &needs, &mirrors)?;
            Ok(Caches { chunk, needs, mirrors, rings })
        };
        let mut chosen = caches((CHUNK_TICKS / step_in).max(1))?;
        while 2 * chosen.chunk <= options.block_samples.min(MOST_CHUNK) as i64 {
            match caches(2 * chosen.chunk) {
                Ok(larger) if larger.bytes() <= NEAR_BYTES => chosen = larger,
                _ => break,
            }
        }
        let Caches { chunk, needs, mirrors, rings } = chosen;
        let parts = Parts { steps: &steps, kernels: &kernels, isa, needs: &needs, mirrors: &mirrors };
        let silence = Silence::new(&parts, stream.hop_ticks(), MOST_BYTES)?;
        let initial = State::new(&steps, &rings, &timetable, &silence);
        let mut nodes = vec![None; stream.nodes().len()];
        steps.iter().enumerate().filter_map(|(id, s)| Some((id, s.node?))).for_each(|(id, n)| nodes[n] = Some(id));
        Ok(Arc::new(Self {
            facts: work.facts(),
            inputs: steps.iter().map(|s| s.inputs.iter().map(|i| i.step).collect()).collect(),
            scratch_len: scratch_len(&kernels),
            kernels,
            rings,
            timetable,
            initial,
            isa,
            chunk,
            step_in,
            step_out,
            steps: nodes,
            latency_ticks,
            ticks_per_sample: stream.ticks_per_sample(),
            forecast: Forecast { tick_samples: level::BIN_TICKS as f64 / stream.ticks_per_sample() as f64, costs_us },
            parameters: stream.parameters().into_iter().cloned().collect(),
        }))
    }

    /// Delay of the output, in audio samples: the least, and the slack.
    pub fn latency_samples(&self) -> u64 {
        (self.latency_ticks as u64).div_ceil(self.ticks_per_sample as u64)
    }

    /// Bytes of state that each engine of this plan holds.
    pub fn state_bytes(&self) -> usize {
        self.initial.arena.len() * size_of::<f32>()
    }

    /// Bytes of packed weights, shared by all engines of this plan.
    pub fn weight_bytes(&self) -> usize {
        self.kernels.iter().map(Kernel::weight_bytes).sum()
    }

    /// Bytes of state of node `id`, in the order of the stream's nodes; 0 where another node's step computes it.
    pub fn cache_bytes(&self, id: usize) -> usize {
        self.steps[id].map_or(0, |step| self.rings[step].len() * size_of::<f32>())
    }

    /// What one period is forecast to cost over time, in microseconds of a nominal core.
    pub fn forecast(&self) -> &Forecast {
        &self.forecast
    }

    /// What the engine runs, in order.
    pub fn steps(&self) -> &[StepFacts] {
        &self.facts
    }

    /// What a player holds while it runs, in the order of [`crate::Engine::parameters`].
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Channels of the input.
    pub fn input_channels(&self) -> usize {
        self.rings[0].channels
    }

    /// Channels of the output.
    pub fn output_channels(&self) -> usize {
        self.rings[self.rings.len() - 1].channels
    }

    /// The end of the output frames that are due after `received` input frames.
    pub(crate) fn due(&self, received: i64) -> i64 {
        due(received, self.step_in, self.step_out, self.latency_ticks)
    }

    /// The step whose signal node `id`'s is.
    pub(crate) fn step_of(&self, id: usize) -> Option<usize> {
        self.steps[id]
    }
}

/// Where all frames lie, when so many input frames are taken at once.
struct Caches {
    chunk: i64,
    needs: Vec<Needs>,
    mirrors: Vec<usize>,
    rings: Vec<Ring>,
}

impl Caches {
    fn bytes(&self) -> usize {
        self.rings.last().map_or(0, |ring| size_of::<f32>() * (ring.start + ring.len()))
    }
}

fn rings(steps: &[Step], kernels: &[Kernel], needs: &[Needs], mirrors: &[usize]) -> Result<Vec<Ring>, PlanError> {
    let mut rings = Vec::with_capacity(steps.len());
    let mut len = 0usize;
    for (id, step) in steps.iter().enumerate() {
        let ring = step.ring(len, needs[id].held, mirrors[id]);
        let ring = ring.map(|ring| ring.with_memory(kernels[id].memory_len()));
        let bytes = ring.as_ref().map_or(u64::MAX, |r| 4 * (len as u64 + r.len() as u64));
        match ring {
            Some(ring) if bytes <= MOST_BYTES => {
                len += ring.len();
                rings.push(ring);
            }
            _ => return Err(PlanError::TooLarge { node: step.name.clone(), bytes, limit: MOST_BYTES }),
        }
    }
    Ok(rings)
}

/// Frames that each step's ring repeats behind its end, for the kernels that read it.
fn mirrors(steps: &[Step], kernels: &[Kernel], needs: &[Needs]) -> Vec<usize> {
    let mut mirrors = vec![0; steps.len()];
    for (id, step) in steps.iter().enumerate() {
        // Sums and addends are read frame by frame.
        let mirror = kernels[id].input_mirror(needs[id].at_once as usize);
        step.inputs.iter().take(1).for_each(|i| mirrors[i.step] = mirrors[i.step].max(mirror));
    }
    mirrors
}

fn scratch_len(kernels: &[Kernel]) -> usize {
    kernels.iter().map(Kernel::scratch_len).max().unwrap_or(0)
}

impl State {
    /// The state at the first sample, or as many periods before it as some step computes frames of its own.
    fn new(steps: &[Step], rings: &[Ring], timetable: &Timetable, silence: &Silence) -> Self {
        let personal = (0..steps.len()).filter(|&id| steps[id].is_personal());
        let start = -timetable.periods_ahead(personal);
        let mut progress = timetable.start(start);
        let received = start * timetable.period / steps[0].ticks;
        (progress[0].end, progress[0].partial_end) = (received, received);
        let mut arena = vec![0.0; rings.last().map_or(0, |r| r.start + r.len())];
        for (id, ring) in rings.iter().enumerate() {
            silence.fill(id, *ring, ring.of_mut(&mut arena), progress[id].partial_end);
        }
        Self { arena, progress, received }
    }
}
