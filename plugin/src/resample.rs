//! Conversion between two sampling rates by band-limited interpolation at the exact ratio.
//!
//! Frame `n` of the output is the input's value at the time `n / to`, a dot product over the input frames around that
//! time. It is a function of the input alone, so blocks of any sizes give the same bits, and its delay is known to the
//! sample. The resamplers of the registry work in chunks of their own and tell their delay as a rounded figure; both
//! would break the plugin's promise that the latency told is the latency measured.

use std::f64::consts::PI;

use runnel::timing::gcd;

/// Zero crossings of the interpolating sinc on each side, counted at the lower rate.
const ZERO_CROSSINGS: usize = 48;
/// Edge of the pass band as a part of the lower rate's Nyquist frequency: at 44.1 kHz, flat to 19 kHz, silent from 22.05.
const CUTOFF: f64 = 0.936;
/// Shape of the Kaiser window: stop band near −96 dB.
const KAISER_BETA: f64 = 9.6;

/// Taps for every phase that the ratio of two rates has.
#[derive(Debug)]
pub struct Filter {
    from: i64,
    to: i64,
    /// Input frames read on each side of the output's time.
    half: usize,
    /// `[to][2 · half]`.
    taps: Vec<f32>,
}

impl Filter {
    /// A filter that turns `from` frames per second into `to`; both are at least 1.
    pub fn new(from: u32, to: u32) -> Self {
        let divisor = gcd(from.into(), to.into()) as u32;
        let (from, to) = (from / divisor, to / divisor);
        let widening = f64::from(from) / f64::from(to);
        let half = (ZERO_CROSSINGS as f64 * widening.max(1.0)).ceil() as usize;
        let half = half.next_multiple_of(LANES / 2);
        let mut taps = Vec::with_capacity(to as usize * 2 * half);
        for phase in 0..to {
            taps.extend(phase_taps(f64::from(phase) / f64::from(to), half, CUTOFF * widening.recip().min(1.0)));
        }
        Self { from: from.into(), to: to.into(), half, taps }
    }

    /// The last input frame that output frame `n` reads.
    pub fn need(&self, n: i64) -> i64 {
        (n * self.from).div_euclid(self.to) + self.half as i64
    }

    /// The first input frame that output frame `n` reads.
    pub fn first_read(&self, n: i64) -> i64 {
        self.need(n) - 2 * self.half as i64 + 1
    }

    /// The first output frame that reads input frame `i` or a later one.
    pub fn first_reader(&self, i: i64) -> i64 {
        let floor = i - self.half as i64;
        -(-floor * self.to).div_euclid(self.from)
    }

    /// Output frames after which the phases repeat.
    pub fn period(&self) -> i64 {
        self.to
    }

    /// The most output frames that `frames` more input frames can make computable.
    pub fn most_made_of(&self, frames: usize) -> usize {
        (frames as i64 * self.to).div_euclid(self.from) as usize + 1
    }

    fn taps_of(&self, n: i64) -> &[f32] {
        let phase = (n * self.from).rem_euclid(self.to) as usize;
        &self.taps[phase * 2 * self.half..][..2 * self.half]
    }
}

/// A running conversion of some channels.
#[derive(Debug)]
pub struct Resampler {
    filter: Filter,
    start: Start,
    channels: Vec<Vec<f32>>,
    /// Input frame that stands first in `channels`.
    first: i64,
    /// Frames in `channels`.
    filled: usize,
    /// The next output frame.
    next: i64,
}

/// Where a conversion begins. Input before `input` is silence.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// The first input frame that will be pushed.
    pub input: i64,
    /// The first output frame that will be pulled.
    pub output: i64,
}

impl Resampler {
    /// A conversion of `channels` signals, whose every [`push`](Self::push) brings at most `most_pushed` frames.
    pub fn new(filter: Filter, channels: usize, start: Start, most_pushed: usize) -> Self {
        let lead = (start.input - filter.first_read(start.output)).max(0) as usize;
        let capacity = lead + 4 * filter.half + 4 * most_pushed;
        let channels = vec![vec![0.0; capacity]; channels];
        let mut resampler = Self { filter, start, channels, first: 0, filled: 0, next: 0 };
        resampler.reset();
        resampler
    }

    /// Back to the start; allocates nothing.
    pub fn reset(&mut self) {
        self.channels.iter_mut().for_each(|c| c.fill(0.0));
        self.first = self.filter.first_read(self.start.output).min(self.start.input);
        self.filled = (self.start.input - self.first) as usize;
        self.next = self.start.output;
    }

    /// The conversion's filter.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// Appends the first `frames` of each channel of `input`.
    pub fn push(&mut self, input: &[Vec<f32>], frames: usize) {
        if self.filled + frames > self.channels[0].len() {
            let unread = (self.filter.first_read(self.next) - self.first).clamp(0, self.filled as i64) as usize;
            for channel in &mut self.channels {
                channel.copy_within(unread..self.filled, 0);
            }
            self.first += unread as i64;
            self.filled -= unread;
        }
        for (channel, input) in self.channels.iter_mut().zip(input) {
            channel[self.filled..][..frames].copy_from_slice(&input[..frames]);
        }
        self.filled += frames;
    }

    /// Writes the next output frames, as many as the input so far allows, `most` at the most; returns how many.
    pub fn pull(&mut self, output: &mut [Vec<f32>], most: usize) -> usize {
        let mut frames = 0;
        while frames < most && self.filter.need(self.next) < self.first + self.filled as i64 {
            let taps = self.filter.taps_of(self.next);
            let at = (self.filter.first_read(self.next) - self.first) as usize;
            for (channel, output) in self.channels.iter().zip(output.iter_mut()) {
                output[frames] = dot(taps, &channel[at..][..taps.len()]);
            }
            self.next += 1;
            frames += 1;
        }
        frames
    }
}

/// Partial sums of a dot product; a fixed number keeps the bits equal on every machine.
const LANES: usize = 8;

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; LANES];
    for (a, b) in a.chunks_exact(LANES).zip(b.chunks_exact(LANES)) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum()
}

/// Taps for an output that lies `fraction` of an input frame after the tap `half − 1`, scaled to a gain of one at DC.
fn phase_taps(fraction: f64, half: usize, cutoff: f64) -> impl Iterator<Item = f32> {
    let distances = (0..2 * half).map(|i| i as f64 - (half as f64 - 1.0) - fraction);
    let taps: Vec<f64> = distances.map(|d| sinc(cutoff * d) * kaiser(d / half as f64)).collect();
    let sum: f64 = taps.iter().sum();
    taps.into_iter().map(move |tap| (tap / sum) as f32)
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) }
}

fn kaiser(x: f64) -> f64 {
    bessel_i0(KAISER_BETA * (1.0 - x * x).max(0.0).sqrt()) / bessel_i0(KAISER_BETA)
}

fn bessel_i0(x: f64) -> f64 {
    let (mut sum, mut term, mut k) = (1.0, 1.0, 1.0);
    while term > 1e-12 * sum {
        term *= (x / (2.0 * k)).powi(2);
        sum += term;
        k += 1.0;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sine of `hertz` at `rate`, at frame `n`.
    fn sine(hertz: f64, rate: u32, n: i64) -> f32 {
        (2.0 * PI * hertz * n as f64 / f64::from(rate)).sin() as f32
    }

    fn convert(from: u32, to: u32, input: &[f32], blocks: &[usize]) -> Vec<f32> {
        let filter = Filter::new(from, to);
        let start = Start { input: 0, output: filter.first_reader(0) };
        let mut resampler = Resampler::new(filter, 1, start, 512);
        let (mut out, mut scratch) = (vec![], [vec![0.0; 8192]]);
        let (mut at, mut sizes) = (0, blocks.iter().cycle());
        while at < input.len() {
            let frames = (*sizes.next().unwrap()).min(input.len() - at);
            resampler.push(&[input[at..][..frames].to_vec()], frames);
            let made = resampler.pull(&mut scratch, usize::MAX);
            out.extend_from_slice(&scratch[0][..made]);
            at += frames;
        }
        out
    }

    #[test]
    fn interpolates_at_the_exact_time() {
        for (from, to) in [(48_000, 44_100), (44_100, 48_000), (22_050, 48_000), (192_000, 44_100), (44_100, 47_999)] {
            let input: Vec<f32> = (0..i64::from(from) / 5).map(|n| sine(5000.0, from, n)).collect();
            let output = convert(from, to, &input, &[512]);
            let start = Filter::new(from, to).first_reader(0);
            let error = output
                .iter()
                .enumerate()
                .skip(500)
                .fold(0.0f32, |worst, (i, y)| worst.max((y - sine(5000.0, to, start + i as i64)).abs()));
            assert!(error < 2e-5, "{from} → {to}: {error}");
        }
    }

    #[test]
    fn keeps_out_what_the_lower_rate_cannot_hold() {
        let input: Vec<f32> = (0..48_000).map(|n| sine(14_000.0, 48_000, n)).collect();
        let output = convert(48_000, 22_050, &input, &[512]);
        let peak = output[200..].iter().fold(0.0f32, |peak, y| peak.max(y.abs()));
        assert!(peak < 1e-4, "{peak}");
    }

    #[test]
    fn blocks_do_not_matter() {
        let input: Vec<f32> = (0..20_000).map(|n| sine(440.0, 48_000, n * n % 7919)).collect();
        let whole = convert(48_000, 44_100, &input, &[512]);
        for blocks in [&[1][..], &[7], &[1, 511, 13, 64]] {
            assert!(whole == convert(48_000, 44_100, &input, blocks), "{blocks:?}");
        }
    }

    #[test]
    fn first_reader_is_the_first() {
        for (from, to) in [(48_000, 44_100), (44_100, 48_000), (96_000, 22_050)] {
            let filter = Filter::new(from, to);
            for i in -500..500 {
                let n = filter.first_reader(i);
                assert!(filter.need(n) >= i && filter.need(n - 1) < i, "{from} → {to}, frame {i}");
            }
        }
    }
}
