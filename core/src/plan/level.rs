//! Levels the work over a period: earliest deadline first, within a budget for every bin of time. What must be done is
//! done whatever the budget, so the outcome is a matter of cost, never of correctness; the least budget that nothing
//! exceeds is looked for. The cost model decides, never a clock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::cost::Cost;
use super::step::Step;
use super::timetable::{Firing, Timetable};
use super::window::Batch;

/// Ticks of a bin.
pub(crate) const BIN_TICKS: i64 = 16;
/// Bins over which peaks are compared: a short block of a host.
const WINDOW: usize = 4;
/// Periods simulated before a schedule that does not repeat is given up.
const MOST_PERIODS: i64 = 8;
/// Batches beyond which work is not levelled, but done as soon as it can be.
const MOST_BATCHES: usize = 1 << 17;
/// Budgets tried, relative to the mean cost.
const BUDGETS: [f64; 9] = [1.03, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0, 2.5, 3.5];

/// What is to be scheduled.
#[derive(Clone, Copy)]
pub(crate) struct Load<'a> {
    pub(crate) steps: &'a [Step],
    pub(crate) costs: &'a [Cost],
    /// Parts that a batch of each step can be cut into.
    pub(crate) slices: &'a [usize],
    pub(crate) batches: &'a [Vec<Batch>],
    pub(crate) period: i64,
}

/// A repeating schedule of `load`, and what each bin of it is forecast to cost, in microseconds.
pub(crate) fn level(load: &Load<'_>) -> (Timetable, Vec<f32>) {
    let batch_costs =
        |(batches, cost): (&Vec<Batch>, &Cost)| batches.iter().map(|b| cost.of(b.end - b.start)).sum::<f64>();
    let total: f64 = load.batches.iter().zip(load.costs).map(batch_costs).sum();
    let mean = total / bins(load.period) as f64;
    let peak = |costs: &[f32]| {
        let window = |at: usize| (0..WINDOW.min(costs.len())).map(|i| costs[(at + i) % costs.len()]).sum::<f32>();
        (0..costs.len()).map(window).fold(0.0, f32::max)
    };
    let mut best: Option<(f32, (Timetable, Vec<f32>))> = None;
    let count: usize = load.batches.iter().map(Vec::len).sum();
    for budget in BUDGETS.into_iter().filter(|_| count <= MOST_BATCHES) {
        let Some(levelled) = Simulation::new(load, budget * mean).run() else { continue };
        let peak = peak(&levelled.1);
        if best.as_ref().is_none_or(|(least, _)| peak < 0.99 * least) {
            best = Some((peak, levelled));
        }
        if f64::from(peak) < 1.02 * budget * mean * WINDOW as f64 {
            // Nothing had to exceed this budget: a greater one would only be used.
            break;
        }
    }
    let eager = || Simulation::new(load, f64::INFINITY).run().expect("work without a budget repeats with its input");
    best.map_or_else(eager, |(_, levelled)| levelled)
}

fn bins(period: i64) -> usize {
    (period as usize).div_ceil(BIN_TICKS as usize)
}

struct Simulation<'a> {
    load: &'a Load<'a>,
    readers: Vec<Vec<usize>>,
    budget: f64,
    progress: Vec<Own>,
    /// Steps whose next batch can run, by deadline.
    ready: BinaryHeap<Reverse<(i64, usize)>>,
    /// Firings of each step in the period before and in this one.
    before: Vec<Vec<Firing>>,
    firings: Vec<Vec<Firing>>,
    costs: Vec<f64>,
    spent: f64,
}

/// How far a step has come.
#[derive(Clone, Copy)]
struct Own {
    /// Index of the next batch, counted on through the periods.
    next: i64,
    /// Slices done of it.
    slices: usize,
    /// End of the complete frames.
    end: i64,
}

impl<'a> Simulation<'a> {
    /// A start at which everything due is done, and nothing else.
    fn new(load: &'a Load<'a>, budget: f64) -> Self {
        let mut readers = vec![vec![]; load.steps.len()];
        for (id, step) in load.steps.iter().enumerate() {
            step.inputs.iter().for_each(|i| readers[i.step].push(id));
        }
        let progress = (load.batches.iter().enumerate())
            .map(|(id, batches)| {
                let mut next = 0;
                while !batches.is_empty() && load.batch(id, next).deadline >= 0 {
                    next -= 1;
                }
                while !batches.is_empty() && load.batch(id, next).deadline < 0 {
                    next += 1;
                }
                let end = if batches.is_empty() { 0 } else { load.batch(id, next).start };
                Own { next, slices: 0, end }
            })
            .collect();
        let empty = || vec![vec![]; load.steps.len()];
        Self {
            load,
            readers,
            budget,
            progress,
            ready: BinaryHeap::new(),
            before: empty(),
            firings: empty(),
            costs: vec![0.0; bins(load.period)],
            spent: 0.0,
        }
    }

    /// Runs until a period repeats the one before.
    fn run(mut self) -> Option<(Timetable, Vec<f32>)> {
        let (steps, period) = (self.load.steps, self.load.period);
        (1..steps.len()).for_each(|id| self.offer(id));
        for round in 0..MOST_PERIODS {
            self.costs.fill(0.0);
            for tick in round * period..(round + 1) * period {
                if (tick - round * period) % BIN_TICKS == 0 {
                    self.spent = 0.0;
                }
                if tick % steps[0].ticks == 0 {
                    self.progress[0].end = tick / steps[0].ticks + 1;
                    self.offer_readers(0);
                }
                self.work(tick);
            }
            let frames: Vec<_> = steps.iter().map(|s| period / s.ticks).collect();
            if round > 0 && Timetable::repeats(&self.before, &self.firings, period, &frames) {
                let costs = self.costs.iter().map(|c| *c as f32).collect();
                return Some((Timetable::new(self.firings, period, round, &frames), costs));
            }
            self.before = std::mem::replace(&mut self.firings, vec![vec![]; steps.len()]);
        }
        None
    }

    /// Does what is due at `tick`, and what else the budget of this bin allows.
    fn work(&mut self, tick: i64) {
        while let Some(&Reverse((deadline, id))) = self.ready.peek() {
            let batch = self.load.batch(id, self.progress[id].next);
            let slices = self.load.slices[id];
            let left = slices - self.progress[id].slices;
            let slice_cost = self.load.costs[id].of(batch.end - batch.start) / slices as f64;
            let room = self.budget - self.spent;
            let mut affordable = if deadline <= tick { left } else { left.min((room / slice_cost + 0.5) as usize) };
            if self.spent == 0.0 {
                affordable = affordable.max(1);
            }
            if affordable == 0 {
                break;
            }
            self.ready.pop();
            let cost = slice_cost * affordable as f64;
            self.spent += cost;
            self.costs[(tick.rem_euclid(self.load.period) / BIN_TICKS) as usize] += cost;
            self.progress[id].slices += affordable;
            let done = affordable == left;
            if done {
                self.progress[id] = Own { next: self.progress[id].next + 1, slices: 0, end: batch.end };
            }
            let own = self.progress[id];
            let partial_end = if own.slices > 0 { batch.end } else { own.end };
            self.firings[id].push(Firing { tick, end: own.end, partial_end, slices: own.slices });
            self.offer(id);
            if done {
                self.offer_readers(id);
            }
        }
    }

    fn offer_readers(&mut self, id: usize) {
        for i in 0..self.readers[id].len() {
            let reader = self.readers[id][i];
            if self.progress[reader].slices == 0 {
                self.offer(reader);
            }
        }
    }

    /// Makes the step's next batch ready if its inputs exist. A batch that is offered twice counts once.
    fn offer(&mut self, id: usize) {
        let batch = self.load.batch(id, self.progress[id].next);
        let exists = |i: &super::step::StepInput| i.reads.required(batch.end) <= self.progress[i.step].end;
        if self.load.steps[id].inputs.iter().all(exists) && !self.ready.iter().any(|Reverse((_, other))| *other == id) {
            self.ready.push(Reverse((batch.deadline, id)));
        }
    }
}

impl Load<'_> {
    /// The batch of `index`, which counts on through the periods.
    fn batch(&self, id: usize, index: i64) -> Batch {
        let batches = &self.batches[id];
        let count = batches.len() as i64;
        let own = batches[index.rem_euclid(count) as usize];
        let round = index.div_euclid(count);
        let frames = round * (self.period / self.steps[id].ticks);
        Batch {
            start: own.start + frames,
            end: own.end + frames,
            deadline: own.deadline.saturating_add(round * self.period),
        }
    }
}
