//! What takes turns on the processor: our engine at one block size, or a peer.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use runnel::{Engine, Plan, Randomness};

use super::measure::quantile;
use super::peer::Peer;
use crate::cpu_clock::thread_cpu_time;

/// One engine of either side.
pub(crate) enum Contender {
    Ours(Box<Ours>),
    Peer(Box<Peer>),
}

/// Our engine, called with one block after another of a signal that repeats.
pub(crate) struct Ours {
    engine: Engine,
    input: Arc<Vec<Vec<f32>>>,
    output: Vec<Vec<f32>>,
    block_samples: usize,
    at: usize,
}

/// Calls that do nothing, for what the clocks take.
const EMPTY_CALLS: usize = 101;

/// What a turn took: all calls in a row, which no clock disturbs, and then as many one by one.
pub(super) struct Turn {
    pub(super) together: Call,
    pub(super) calls: Vec<Call>,
}

/// Microseconds of one call, or of several.
#[derive(Clone, Copy)]
pub(super) struct Call {
    pub(super) cpu_us: f64,
    pub(super) wall_us: f64,
}

impl Call {
    /// Times `call`.
    fn of(call: impl FnOnce()) -> Self {
        let (wall, cpu) = (Instant::now(), thread_cpu_time());
        call();
        let (cpu, wall) = (thread_cpu_time() - cpu, wall.elapsed());
        Self { cpu_us: cpu.as_secs_f64() * 1e6, wall_us: wall.as_secs_f64() * 1e6 }
    }

    /// What reading the clocks takes, in the median.
    fn empty() -> Self {
        let calls: Vec<_> = (0..EMPTY_CALLS).map(|_| Self::of(|| ())).collect();
        let median = |time: fn(&Self) -> f64| quantile(calls.iter().map(time).collect(), 0.5);
        Self { cpu_us: median(|c| c.cpu_us), wall_us: median(|c| c.wall_us) }
    }

    fn without(self, clocks: Self) -> Self {
        let less = |time: f64, clocks: f64| (time - clocks).max(0.0);
        Self { cpu_us: less(self.cpu_us, clocks.cpu_us), wall_us: less(self.wall_us, clocks.wall_us) }
    }
}

impl Contender {
    /// Makes `lead_in` calls to warm the caches up, and then `calls` that count, twice. What reading the clocks takes is not
    /// counted.
    pub(super) fn take_turn(&mut self, lead_in: usize, calls: usize) -> Result<Turn> {
        match self {
            Self::Ours(ours) => {
                let clocks = Call::empty();
                (0..lead_in).for_each(|_| ours.call());
                let together = Call::of(|| (0..calls).for_each(|_| ours.call())).without(clocks);
                let calls = (0..calls).map(|_| ours.timed_call().without(clocks)).collect();
                Ok(Turn { together, calls })
            }
            Self::Peer(peer) => peer.take_turn(lead_in, calls),
        }
    }
}

impl Ours {
    pub(crate) fn new(plan: Arc<Plan>, input: Arc<Vec<Vec<f32>>>, block_samples: usize) -> Self {
        let channels = plan.output_channels();
        let engine = Engine::new(plan, Randomness::Seeded(1));
        // A rate other than the input's makes at most one frame more than its share.
        let most = engine.frames_out(block_samples) + block_samples + 1;
        Self { engine, input, output: vec![vec![0.0; most]; channels], block_samples, at: 0 }
    }

    /// One call; tells `observer` when a step begins and when it ended.
    pub(super) fn observed_call(&mut self, observer: &mut impl FnMut(usize, bool)) {
        self.with_next_block(|engine, input, output| engine.process_observed(input, output, observer));
    }

    fn call(&mut self) {
        self.with_next_block(|engine, input, output| {
            engine.process(input, output);
        });
    }

    fn timed_call(&mut self) -> Call {
        self.with_next_block(|engine, input, output| {
            Call::of(|| {
                engine.process(input, output);
            })
        })
    }

    fn with_next_block<T>(&mut self, call: impl FnOnce(&mut Engine, &[&[f32]], &mut [&mut [f32]]) -> T) -> T {
        if self.at + self.block_samples > self.input[0].len() {
            self.at = 0;
        }
        let range = self.at..self.at + self.block_samples;
        self.at = range.end;
        let input: Vec<_> = self.input.iter().map(|c| &c[range.clone()]).collect();
        let mut output: Vec<_> = self.output.iter_mut().map(Vec::as_mut_slice).collect();
        call(&mut self.engine, &input, &mut output)
    }
}
