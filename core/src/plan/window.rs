//! When a frame can be computed, when it must be, and which frames are computed together.
//!
//! A frame's *release* is the tick from which on everything it reads can exist; its *deadline* is the tick at which the
//! output needs it; in between lies its *wish*, the tick from which on its readers wait for it. Frames that are computed
//! together share a read of the step's weights. Walking against the data, each step groups its frames so that a period
//! costs least: a group waits for the release of its last frame and must be done by the deadline of its first.
//!
//! Every group has `release(last) ≤ deadline(first)`, and no input of a group has a later deadline than the group; so
//! whoever does everything at its deadline, in the order of the data, is never late.

use std::ops::RangeInclusive;

use super::cost::Cost;
use super::step::{Step, StepInput};

/// Frames of one step that are computed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// The tick at which it must be done.
    pub(crate) deadline: i64,
}

/// A tick for each frame of one period, and the same again for each further period.
#[derive(Clone)]
struct Ticks {
    of: Vec<i64>,
    period: i64,
}

/// Frames computed together, at most: what amortises a read of the weights, and fills a kernel's widest tile.
const MOST_FRAMES: i64 = 16;
/// Values computed together, at most, where frames are small: what amortises a call.
const MOST_VALUES: i64 = 2048;
/// Ticks that small frames computed together cover: half of the slack, within these bounds.
const TICKS: RangeInclusive<i64> = 128..=1024;
/// What urgent work counts beyond its cost, because it cannot be levelled.
const URGENT: f64 = 1.0;

/// The batches of each step over `period` ticks, in order; of the input, none. The output is due `latency` ticks after
/// its own time, `slack` of them beyond the least; work that can be spread over `horizon` ticks is not urgent.
pub(crate) fn batches(
    steps: &[Step],
    costs: &[Cost],
    period: i64,
    horizon: i64,
    latency: i64,
    slack: i64,
) -> Vec<Vec<Batch>> {
    let released = releases(steps, period);
    let last = steps.len() - 1;
    let unbound = |step: &Step| Ticks { of: vec![i64::MAX; (period / step.ticks) as usize], period };
    let mut deadlines: Vec<Ticks> = steps.iter().map(unbound).collect();
    for (n, tick) in deadlines[last].of.iter_mut().enumerate() {
        *tick = n as i64 * steps[last].ticks + latency;
    }
    let mut wishes = deadlines.clone();
    // What waits with a step: the dearest group of it, and of the readers after it.
    let mut stakes = vec![0.0f64; steps.len()];
    let mut batches: Vec<Vec<Batch>> = vec![vec![]; steps.len()];
    for id in (1..=last).rev() {
        let step = &steps[id];
        if step.is_prompt() {
            (deadlines[id], wishes[id]) = (released[id].clone(), released[id].clone());
        }
        let windows = Windows {
            released: &released[id],
            wished: &wishes[id],
            deadline: &deadlines[id],
            reserve: slack / 2,
            most_ticks: (slack / 2).clamp(*TICKS.start(), *TICKS.end()),
            horizon,
            stake: stakes[id],
        };
        let groups = windows.cheapest_groups(step, &costs[id]);
        let own = groups.iter().map(|(start, end)| costs[id].of(end - start)).fold(0.0, f64::max);
        let mut deadline = deadlines[id].clone();
        let mut wish = deadlines[id].clone();
        for &(start, end) in &groups {
            let due = deadlines[id].at(start);
            batches[id].push(Batch { start, end, deadline: due });
            for n in start..end {
                deadline.set(n, due);
                wish.set(n, released[id].at(end - 1));
            }
        }
        for input in &step.inputs {
            stakes[input.step] = stakes[input.step].max(stakes[id] + own);
            for q in 0..deadlines[input.step].of.len() {
                let reader = input.reads.available(q as i64);
                let (due, wished) = (deadline.at(reader), wish.at(reader));
                deadlines[input.step].of[q] = deadlines[input.step].of[q].min(due);
                wishes[input.step].of[q] = wishes[input.step].of[q].min(wished);
            }
        }
    }
    batches
}

/// The tick from which on each frame can be computed.
fn releases(steps: &[Step], period: i64) -> Vec<Ticks> {
    let mut releases: Vec<Ticks> = Vec::with_capacity(steps.len());
    for (id, step) in steps.iter().enumerate() {
        let newest = |n: i64| {
            let of = |i: &StepInput| i.reads.newest(n).map(|q| releases[i.step].at(q));
            step.inputs.iter().filter_map(of).max().unwrap_or(i64::MIN)
        };
        let frames = 0..period / step.ticks;
        let of = if id == 0 { frames.map(|n| n * step.ticks).collect() } else { frames.map(newest).collect() };
        let mut ticks = Ticks { of, period };
        ticks.wait_for_earlier_frames();
        releases.push(ticks);
    }
    releases
}

/// When the frames of one step can, should and must be computed.
struct Windows<'a> {
    released: &'a Ticks,
    wished: &'a Ticks,
    deadline: &'a Ticks,
    /// Ticks of each window that waiting must leave.
    reserve: i64,
    /// Ticks that small frames of a group cover, at most.
    most_ticks: i64,
    horizon: i64,
    stake: f64,
}

impl Windows<'_> {
    /// Consecutive groups of one period's frames, `start..end`, that cost least.
    fn cheapest_groups(&self, step: &Step, cost: &Cost) -> Vec<(i64, i64)> {
        let frames = self.released.of.len() as i64;
        let small = (MOST_VALUES / step.channels as i64).min(self.most_ticks / step.ticks);
        let most = MOST_FRAMES.max(small).min(frames);
        let sizes: Vec<_> = (1..=most).filter(|n| *n <= 8 || n % 4 == 0).collect();
        let alone: Vec<f64> = (0..=most).map(|n| cost.of(n)).collect();
        // A group does not reach over the widest gap of the period.
        let gap = |n: &i64| {
            let jump = |t: &Ticks| t.at(*n).saturating_sub(t.at(n - 1));
            jump(self.released).saturating_add(jump(self.deadline))
        };
        let first = (0..frames).rev().max_by_key(gap).unwrap_or(0);
        // Least cost of the first n frames, and the size of the last group of them.
        let mut best = vec![(0.0, 0); frames as usize + 1];
        for n in 1..=frames {
            let option = |&size: &i64| {
                let group = self.cost(first + n - size, first + n, alone[size as usize]);
                (best[(n - size) as usize].0 + group, size)
            };
            best[n as usize] = sizes
                .iter()
                .take_while(|size| **size <= n)
                .map(option)
                .min_by(|a, b| a.0.total_cmp(&b.0))
                .expect("one frame");
        }
        let mut groups = Vec::new();
        let mut end = frames;
        while end > 0 {
            let start = end - best[end as usize].1;
            groups.push((first + start, first + end));
            end = start;
        }
        groups.reverse();
        groups
    }

    /// What the group counts, urgency and waiting readers included; infinite where it would be late.
    fn cost(&self, start: i64, end: i64, alone: f64) -> f64 {
        let (ready, due) = (self.released.at(end - 1), self.deadline.at(start));
        let wished = self.wished.at(start).max(self.released.at(start));
        let late = ready > due || ready > wished && ready > due - self.reserve;
        if late && end - start > 1 {
            return f64::INFINITY;
        }
        let urgency = |window: i64| (1.0 - window as f64 / self.horizon as f64).clamp(0.0, 1.0);
        let waiting = (urgency(due.saturating_sub(ready)) - urgency(due.saturating_sub(wished))).max(0.0);
        alone + URGENT * (alone * urgency(due.saturating_sub(ready)) + self.stake * waiting)
    }
}

impl Ticks {
    fn at(&self, n: i64) -> i64 {
        let frames = self.of.len() as i64;
        self.of[n.rem_euclid(frames) as usize].saturating_add(n.div_euclid(frames) * self.period)
    }

    fn set(&mut self, n: i64, tick: i64) {
        let frames = self.of.len() as i64;
        self.of[n.rem_euclid(frames) as usize] = tick.saturating_sub(n.div_euclid(frames) * self.period);
    }

    /// Frames of a signal are computed in order.
    fn wait_for_earlier_frames(&mut self) {
        // Twice round closes the period.
        for n in 0..2 * self.of.len() as i64 {
            let before = self.at(n - 1);
            let own = self.at(n).max(before);
            self.set(n, own);
        }
    }
}
