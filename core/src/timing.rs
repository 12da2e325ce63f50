//! All time arithmetic: rates, and the index of the last input sample a frame needs.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Output frames per frame of the graph's input: an exact, reduced fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    numerator: u64,
    denominator: u64,
}

impl Rate {
    /// The rate of the graph's input.
    pub const UNIT: Self = Self { numerator: 1, denominator: 1 };

    /// Frames per input frame, above.
    pub fn numerator(self) -> u64 {
        self.numerator
    }

    /// Input frames per `numerator` frames.
    pub fn denominator(self) -> u64 {
        self.denominator
    }

    /// The rate after taking every `stride`-th frame. `None` when the fraction no longer fits.
    pub fn down(self, stride: usize) -> Option<Self> {
        Self::reduced(self.numerator, self.denominator.checked_mul(stride as u64)?)
    }

    /// The rate after writing `stride` frames for each one. `None` when the fraction no longer fits.
    pub fn up(self, stride: usize) -> Option<Self> {
        Self::reduced(self.numerator.checked_mul(stride as u64)?, self.denominator)
    }

    /// This rate measured in frames of a signal at `input` rate: the rate of one graph after another.
    pub fn after(self, input: Self) -> Option<Self> {
        Self::reduced(self.numerator.checked_mul(input.numerator)?, self.denominator.checked_mul(input.denominator)?)
    }

    fn reduced(numerator: u64, denominator: u64) -> Option<Self> {
        let g = gcd(numerator, denominator);
        (g > 0).then(|| Self { numerator: numerator / g, denominator: denominator / g })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.denominator == 1 {
            write!(f, "{}", self.numerator)
        } else {
            write!(f, "{}/{}", self.numerator, self.denominator)
        }
    }
}

/// Greatest common divisor; `gcd(0, b) = b`.
pub fn gcd(a: u64, b: u64) -> u64 {
    if a == 0 { b } else { gcd(b % a, a) }
}

/// Least common multiple, if it fits.
pub fn lcm(a: u64, b: u64) -> Option<u64> {
    (a / gcd(a, b)).checked_mul(b)
}

/// Which frames of one input frame `n` of a node reads: for `q = ⌊(n + shift) / phases⌋` and the phase
/// `(n + shift) mod phases`, the frames `q·stride + oldest ..= q·stride + newest` of that phase's range. A phase
/// without a range reads nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Reads {
    /// Output frames per step of `stride` input frames.
    pub phases: i64,
    /// Added to the frame index before it is divided.
    pub shift: i64,
    /// Input frames per `phases` output frames.
    pub stride: i64,
    /// Oldest and newest offset read, per phase.
    pub ranges: Vec<Option<(i64, i64)>>,
}

impl Reads {
    /// Frame `n` reads frame `n`.
    pub fn same() -> Self {
        Self::strided(1, 0, 0)
    }

    /// Frame `n` reads frames `n·stride + oldest ..= n·stride + newest`.
    pub fn strided(stride: usize, oldest: i64, newest: i64) -> Self {
        Self { phases: 1, shift: 0, stride: stride as i64, ranges: vec![Some((oldest, newest))] }
    }

    /// Frame `n` reads frame `⌊n / factor⌋`.
    pub fn repeated(factor: usize) -> Self {
        Self { phases: factor as i64, shift: 0, stride: 1, ranges: vec![Some((0, 0)); factor] }
    }

    /// No frame reads anything.
    pub fn nothing() -> Self {
        Self { phases: 1, shift: 0, stride: 1, ranges: vec![None] }
    }

    /// Frame `n` reads the newest input frame that does not stand after it, where frames have `step` ticks, and the
    /// input's `step_in`.
    pub fn at_its_time(step: i64, step_in: i64) -> Self {
        let common = gcd(step as u64, step_in as u64) as i64;
        let of_phase = |phase: i64| Some((phase * step / step_in, phase * step / step_in));
        let phases = step_in / common;
        Self { phases, shift: 0, stride: step / common, ranges: (0..phases).map(of_phase).collect() }
    }

    /// Quotient and phase of frame `n`.
    pub fn position(&self, n: i64) -> (i64, usize) {
        ((n + self.shift).div_euclid(self.phases), (n + self.shift).rem_euclid(self.phases) as usize)
    }

    /// The newest input frame that frame `n` reads.
    pub fn newest(&self, n: i64) -> Option<i64> {
        let (q, phase) = self.position(n);
        self.ranges[phase].map(|(_, newest)| q * self.stride + newest)
    }

    /// The oldest input frame that frame `n` reads.
    pub fn oldest(&self, n: i64) -> Option<i64> {
        let (q, phase) = self.position(n);
        self.ranges[phase].map(|(oldest, _)| q * self.stride + oldest)
    }

    /// The first frame that cannot be computed while the input's frames end before `input_end`.
    pub fn available(&self, input_end: i64) -> i64 {
        // A phase is blocked from the first q with q·stride + newest ≥ input_end.
        let blocked = |(phase, range): (usize, &Option<(i64, i64)>)| {
            let (_, newest) = (*range)?;
            let q = -(newest - input_end).div_euclid(self.stride);
            Some(q * self.phases + phase as i64 - self.shift)
        };
        self.ranges.iter().enumerate().filter_map(blocked).min().unwrap_or(i64::MAX)
    }

    /// The end of the input frames that the frames before `end` read.
    pub fn required(&self, end: i64) -> i64 {
        self.last_of_each_phase(end).map(|(q, (_, newest))| q * self.stride + newest + 1).max().unwrap_or(i64::MIN)
    }

    /// The oldest input frame that frame `from` or any later one reads.
    pub fn kept(&self, from: i64) -> i64 {
        let first = |(phase, range): (usize, &Option<(i64, i64)>)| {
            let (oldest, _) = (*range)?;
            let q = -((phase as i64 - self.shift - from).div_euclid(self.phases));
            Some(q * self.stride + oldest)
        };
        self.ranges.iter().enumerate().filter_map(first).min().unwrap_or(i64::MAX)
    }

    /// The first frame from which on no input frame before `input_frame` is read.
    pub fn clear_of(&self, input_frame: i64) -> i64 {
        let first = |(phase, range): (usize, &Option<(i64, i64)>)| {
            let (oldest, _) = (*range)?;
            let last_unclear = (input_frame - 1 - oldest).div_euclid(self.stride);
            Some(last_unclear * self.phases + phase as i64 - self.shift + 1)
        };
        self.ranges.iter().enumerate().filter_map(first).max().unwrap_or(i64::MIN)
    }

    fn last_of_each_phase(&self, end: i64) -> impl Iterator<Item = (i64, (i64, i64))> {
        self.ranges.iter().enumerate().filter_map(move |(phase, range)| {
            let q = (end - 1 + self.shift - phase as i64).div_euclid(self.phases);
            range.map(|range| (q, range))
        })
    }
}

/// When the frames of one signal exist. Time is counted in ticks, the finest grid that all signals of a graph share;
/// tick 0 is the first input sample, and frame `n` stands at tick `n · step`.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline {
    /// Ticks per frame.
    pub step: i64,
    /// Tick of the last input frame that frame `n` and all before it depend on, over one hop.
    need: Vec<i64>,
    /// Tick of the first input frame that frame `n` or any later one depends on, over one hop.
    since: Vec<i64>,
}

impl Timeline {
    /// The input itself.
    pub fn input(step: i64, hop: i64) -> Self {
        let own: Vec<_> = (0..hop / step).map(|n| n * step).collect();
        Self { step, need: own.clone(), since: own }
    }

    /// The timeline of a node of `step` that reads `inputs`.
    pub fn of(step: i64, hop: i64, inputs: &[(&Reads, &Self)]) -> Self {
        let frames = hop / step;
        let mut need: Vec<_> = (0..frames)
            .map(|n| inputs.iter().filter_map(|(r, t)| r.newest(n).map(|q| t.need(q))).max().unwrap_or(i64::MIN))
            .collect();
        let mut since: Vec<_> = (0..frames)
            .map(|n| inputs.iter().filter_map(|(r, t)| r.oldest(n).map(|q| t.since(q))).min().unwrap_or(i64::MAX))
            .collect();
        // Frames of a signal are computed in order: each waits for those before it. Twice round closes the hop.
        for i in 0..2 * need.len() {
            let n = i % need.len();
            let before = if n == 0 { need[need.len() - 1].saturating_sub(hop) } else { need[n - 1] };
            need[n] = need[n].max(before);
        }
        for i in (0..2 * since.len()).rev() {
            let n = i % since.len();
            let after = if n + 1 == since.len() { since[0].saturating_add(hop) } else { since[n + 1] };
            since[n] = since[n].min(after);
        }
        Self { step, need, since }
    }

    /// Tick of the last input frame that frame `n` depends on.
    pub fn need(&self, n: i64) -> i64 {
        let frames = self.need.len() as i64;
        self.need[n.rem_euclid(frames) as usize].saturating_add(n.div_euclid(frames) * frames * self.step)
    }

    /// Tick of the first input frame that frame `n` depends on.
    pub fn since(&self, n: i64) -> i64 {
        let frames = self.since.len() as i64;
        self.since[n.rem_euclid(frames) as usize].saturating_add(n.div_euclid(frames) * frames * self.step)
    }

    /// Ticks a frame waits beyond its own time, at most over the hop: `max (need(n) − n·step)`.
    pub fn lag(&self) -> i64 {
        self.need.iter().enumerate().map(|(n, need)| need.saturating_sub(n as i64 * self.step)).max().unwrap_or(0)
    }

    /// Ticks before its own time that a frame depends on, at most over the hop: `max (n·step − since(n))`.
    pub fn past(&self) -> i64 {
        self.since.iter().enumerate().map(|(n, since)| (n as i64 * self.step).saturating_sub(*since)).max().unwrap_or(0)
    }
}

/// The end of the output frames that are due once `received` input frames have arrived.
///
/// Frame `n` is due when the tick `n · step_out + latency` has arrived.
pub fn due(received: i64, step_in: i64, step_out: i64, latency: i64) -> i64 {
    (received * step_in - 1 - latency).div_euclid(step_out) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transposed() -> Reads {
        // stride 4, kernel 8, trim 2
        Reads { phases: 4, shift: 2, stride: 1, ranges: vec![Some((-1, 0)); 4] }
    }

    #[test]
    fn available_and_required_are_inverse() {
        for reads in
            [Reads::same(), Reads::strided(3, -4, 2), Reads::strided(2, 5, 9), Reads::repeated(5), transposed()]
        {
            for end in -20..20 {
                let required = reads.required(end);
                let brute = (end - 40..end).filter_map(|n| reads.newest(n)).max().unwrap() + 1;
                assert_eq!(required, brute, "{reads:?} {end}");
                assert!(reads.available(required) >= end);
                let brute = (-200..200).find(|&n| reads.newest(n).is_some_and(|q| q >= end)).unwrap();
                assert_eq!(reads.available(end), brute, "{reads:?} {end}");
                let brute = (end..end + 40).filter_map(|n| reads.oldest(n)).min().unwrap();
                assert_eq!(reads.kept(end), brute, "{reads:?} {end}");
                let brute = (-300..300).rfind(|&n| reads.oldest(n).is_some_and(|q| q < end)).unwrap() + 1;
                assert_eq!(reads.clear_of(end), brute, "{reads:?} {end}");
            }
        }
    }

    #[test]
    fn what_stands_at_a_time_is_not_after_it() {
        for (step, step_in) in [(1, 1), (64, 1), (1, 64), (6, 4), (4, 6), (35, 21)] {
            let reads = Reads::at_its_time(step, step_in);
            for n in -50..50 {
                assert_eq!(reads.newest(n), Some((n * step).div_euclid(step_in)), "{step} {step_in} {n}");
            }
        }
    }

    #[test]
    fn lag_counts_the_worst_phase() {
        let hop = 16;
        let input = Timeline::input(1, hop);
        let down = Reads::strided(4, -3, 4);
        let low = Timeline::of(4, hop, &[(&down, &input)]);
        assert_eq!((low.lag(), low.past()), (4, 3));
        let up = Timeline::of(1, hop, &[(&transposed(), &low)]);
        // Frame 2 reads low frame 1, which needs sample 8.
        assert_eq!(up.lag(), 6);
        assert_eq!(up.need(2), 8);
        assert_eq!(up.need(2 - 16), -8);
    }
}
