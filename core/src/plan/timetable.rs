//! When each step fires: a list for each step, the same in every period.

use super::step::Step;

/// One firing of a step: how far it has come after the tick `tick`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Firing {
    pub(crate) tick: i64,
    /// End of the complete frames.
    pub(crate) end: i64,
    /// End of the frames of which `slices` slices are done.
    pub(crate) partial_end: i64,
    pub(crate) slices: usize,
}

/// All firings of one period.
#[derive(Clone, Debug)]
pub(crate) struct Timetable {
    /// Ticks after which everything repeats.
    pub(crate) period: i64,
    steps: Vec<Row>,
}

/// The firings of one step, ticks within the period, frames as they are in period 0.
#[derive(Clone, Debug)]
struct Row {
    firings: Vec<Firing>,
    /// Frames of a period.
    frames: i64,
    /// Where every firing is the one before, some ticks and frames on.
    pace: Option<Pace>,
}

/// Ticks and frames from one firing to the next.
#[derive(Clone, Copy, Debug)]
struct Pace {
    ticks: i64,
    frames: i64,
}

/// How far a step of a running engine has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    /// End of the complete frames.
    pub(crate) end: i64,
    /// End of the frames of which `slices` slices are done.
    pub(crate) partial_end: i64,
    pub(crate) slices: usize,
    /// The next firing, its tick, and the period that it lies in.
    next: usize,
    due: i64,
    period: i64,
}

impl Timetable {
    /// The timetable of a simulated period, number `round` from 1, that ended with each step at `ends`.
    pub(crate) fn new(firings: Vec<Vec<Firing>>, period: i64, round: i64, frames: &[i64]) -> Self {
        let row = |(firings, frames): (Vec<Firing>, &i64)| {
            let shift = |f: Firing| f.earlier(round, period, *frames);
            let mut own: Vec<Firing> = Vec::with_capacity(firings.len());
            for firing in firings.into_iter().map(shift) {
                match own.last_mut() {
                    Some(last) if last.tick == firing.tick => *last = firing,
                    _ => own.push(firing),
                }
            }
            Row { pace: Pace::of(&own, period, *frames), firings: own, frames: *frames }
        };
        Self { period, steps: firings.into_iter().zip(frames).map(row).collect() }
    }

    /// Whether `after` is `before`, one period later.
    pub(crate) fn repeats(before: &[Vec<Firing>], after: &[Vec<Firing>], period: i64, frames: &[i64]) -> bool {
        before.iter().zip(after).zip(frames).all(|((before, after), frames)| {
            before.len() == after.len() && before.iter().zip(after).all(|(b, a)| *b == a.earlier(1, period, *frames))
        })
    }

    /// How far each step has come before the first tick of period `period`.
    pub(crate) fn start(&self, period: i64) -> Vec<Progress> {
        let start = |row: &Row| {
            let (Some(first), Some(last)) = (row.firings.first(), row.firings.last()) else {
                return Progress { end: 0, partial_end: 0, slices: 0, next: 0, due: i64::MAX, period };
            };
            // The last firing of the period before.
            let frames = (period - 1) * row.frames;
            Progress {
                end: last.end + frames,
                partial_end: last.partial_end + frames,
                slices: last.slices,
                next: 0,
                due: first.tick + period * self.period,
                period,
            }
        };
        self.steps.iter().map(start).collect()
    }

    /// Moves `progress` of step `id` on to where it is once the ticks before `end` have passed; whether it moves.
    #[inline]
    pub(crate) fn advance(&self, id: usize, progress: &mut Progress, end: i64) -> bool {
        let moves = progress.due < end;
        if moves {
            self.catch_up(id, progress, end);
        }
        moves
    }

    fn catch_up(&self, id: usize, progress: &mut Progress, end: i64) {
        let row = &self.steps[id];
        if let Some(pace) = row.pace {
            // Firings after the one that is due.
            let more = (end - 1 - progress.due) / pace.ticks;
            progress.end += (more + 1) * pace.frames;
            progress.partial_end = progress.end;
            progress.due += (more + 1) * pace.ticks;
            return;
        }
        while progress.due < end {
            let firing = row.firings[progress.next];
            let frames = progress.period * row.frames;
            progress.end = firing.end + frames;
            progress.partial_end = firing.partial_end + frames;
            progress.slices = firing.slices;
            progress.next += 1;
            if progress.next == row.firings.len() {
                (progress.next, progress.period) = (0, progress.period + 1);
            }
            progress.due = row.firings[progress.next].tick + progress.period * self.period;
        }
    }

    /// Periods before the signal at which each of `steps` has not begun any frame from 0 on.
    pub(crate) fn periods_ahead(&self, steps: impl Iterator<Item = usize>) -> i64 {
        let ahead = |id: usize| {
            let row = &self.steps[id];
            row.firings.last().map_or(0, |last| -(-last.partial_end).div_euclid(row.frames) - 1)
        };
        steps.map(ahead).max().unwrap_or(0).max(0)
    }

    /// Ticks of each frame of step `id`.
    pub(crate) fn ticks_per_frame(&self, id: usize) -> i64 {
        self.period / self.steps[id].frames
    }

    /// Frames of step `id` whose time has begun and that are not computed yet, at most, where up to `chunk` ticks pass at
    /// once.
    pub(crate) fn most_waiting(&self, id: usize, chunk: i64) -> i64 {
        let mut progress = self.start(0)[id];
        let waiting = |tick: i64| {
            self.advance(id, &mut progress, tick);
            (tick + chunk).div_euclid(self.ticks_per_frame(id)) + 1 - progress.end
        };
        (0..self.period).map(waiting).max().unwrap_or(1)
    }

    /// What each step needs, whenever up to `chunk` ticks pass at once.
    pub(crate) fn needs(&self, steps: &[Step], output_due: impl Fn(i64) -> i64, chunk: i64) -> Vec<Needs> {
        let last = steps.len() - 1;
        let step_in = steps[0].ticks;
        let mut needs = vec![Needs { held: 1, at_once: 1 }; steps.len()];
        let mut before = self.start(0);
        let mut after = self.start(0);
        for tick in (0..self.period).step_by(step_in as usize) {
            for id in 1..steps.len() {
                self.advance(id, &mut before[id], tick);
                self.advance(id, &mut after[id], tick + chunk);
                needs[id].at_once = needs[id].at_once.max(after[id].partial_end - before[id].end);
            }
            before[0].end = tick / step_in;
            after[0].partial_end = (tick + chunk) / step_in;
            let mut hold = |id: usize, from: i64| needs[id].held = needs[id].held.max(after[id].partial_end - from);
            for (id, step) in steps.iter().enumerate() {
                for input in &step.inputs {
                    hold(input.step, input.reads.kept(before[id].end));
                }
                hold(id, before[id].end - 1);
            }
            hold(last, output_due(tick));
        }
        needs
    }
}

/// What a step needs of its ring and its kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Needs {
    /// Frames that its ring must hold.
    pub(crate) held: i64,
    /// Frames that it computes at once, at most.
    pub(crate) at_once: i64,
}

impl Pace {
    /// The pace of a row of whole frames, also over the end of its period.
    fn of(firings: &[Firing], period: i64, frames: i64) -> Option<Self> {
        let first = firings.first()?;
        let count = firings.len() as i64;
        let pace = Self { ticks: period / count, frames: frames / count };
        let keeps = |(i, firing): (usize, &Firing)| {
            let i = i as i64;
            firing.slices == 0
                && firing.partial_end == firing.end
                && firing.tick == first.tick + i * pace.ticks
                && firing.end == first.end + i * pace.frames
        };
        let whole = period % count == 0 && frames % count == 0;
        (whole && firings.iter().enumerate().all(keeps)).then_some(pace)
    }
}

impl Firing {
    /// The firing that this one repeats, `periods` before.
    fn earlier(self, periods: i64, period: i64, frames: i64) -> Self {
        let frames = periods * frames;
        Self {
            tick: self.tick - periods * period,
            end: self.end - frames,
            partial_end: self.partial_end - frames,
            slices: self.slices,
        }
    }
}
