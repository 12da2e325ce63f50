//! Runs a stream over a whole signal, cut into blocks.

use std::str::FromStr;
use std::time::{Duration, Instant};

use runnel::engine::Engine;
use runnel::random::Randomness;

/// How a signal is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blocks {
    /// Into blocks of this many frames.
    Of(usize),
    /// Not at all.
    Whole,
    /// Into blocks of 1 to 4096 frames, drawn from this seed, short and long ones alike.
    Random(u64),
}

impl Blocks {
    /// Frames that are mostly given at once; none where that cannot be told.
    pub(crate) fn usual(self) -> usize {
        match self {
            Self::Of(frames) => frames,
            Self::Whole => usize::MAX,
            Self::Random(_) => 0,
        }
    }
}

/// What a stream gave.
pub(crate) struct Streamed {
    /// One vector per output channel.
    pub(crate) channels: Vec<Vec<f32>>,
    /// The offline index of the first frame: `−latency` for audio to audio.
    pub(crate) first_frame: i64,
    /// Time spent inside the engine.
    pub(crate) elapsed: Duration,
}

/// Feeds `frames` frames to `engine`: `input`, then silence. `visit` sees the engine after every block, with the
/// number of frames in it.
pub(crate) fn stream(
    engine: &mut Engine,
    outputs: usize,
    input: &[&[f32]],
    frames: usize,
    blocks: Blocks,
    mut visit: impl FnMut(&Engine, usize),
) -> Streamed {
    let first_frame = engine.next_frame();
    let mut channels = vec![vec![0.0; engine.frames_out(frames)]; outputs];
    let mut elapsed = Duration::ZERO;
    let (mut at, mut written, mut count) = (0, 0, 0);
    let mut silent: Vec<Vec<f32>> = vec![vec![]; input.len()];
    while at < frames {
        let block = blocks.length(count).min(frames - at);
        count += 1;
        let whole = input.iter().all(|c| c.len() >= at + block);
        if !whole {
            for (own, channel) in silent.iter_mut().zip(input) {
                own.clear();
                own.extend_from_slice(&channel[at.min(channel.len())..(at + block).min(channel.len())]);
                own.resize(block, 0.0);
            }
        }
        let planes: Vec<&[f32]> = (input.iter().zip(&silent))
            .map(|(channel, own)| if whole { &channel[at..at + block] } else { own.as_slice() })
            .collect();
        let mut out: Vec<&mut [f32]> = channels.iter_mut().map(|c| &mut c[written..]).collect();
        let started = Instant::now();
        written += engine.process(&planes, &mut out);
        elapsed += started.elapsed();
        at += block;
        visit(engine, block);
    }
    Streamed { channels, first_frame, elapsed }
}

/// Input frames after which `engine` has written every output frame before `end`.
pub(crate) fn frames_until(engine: &Engine, end: i64) -> usize {
    let enough = |frames: usize| engine.next_frame() + engine.frames_out(frames) as i64 >= end;
    let mut high = 1;
    while !enough(high) {
        high *= 2;
    }
    let mut low = 0;
    while low < high {
        let middle = low + (high - low) / 2;
        if enough(middle) { high = middle } else { low = middle + 1 }
    }
    low
}

impl Blocks {
    /// Frames in block number `count`.
    fn length(self, count: usize) -> usize {
        match self {
            Self::Of(frames) => frames,
            Self::Whole => usize::MAX,
            Self::Random(seed) => {
                let draw = Randomness::Seeded(seed).uniform(u32::MAX, count as i64, 0);
                (4096_f32.powf(draw * 0.5 + 0.5) as usize).clamp(1, 4096)
            }
        }
    }
}

impl FromStr for Blocks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "random" => Ok(Self::Random(0)),
            "whole" => Ok(Self::Whole),
            _ => match text.parse() {
                Ok(frames) if frames > 0 => Ok(Self::Of(frames)),
                _ => Err("a number of samples from 1 on, `whole` or `random` is needed".into()),
            },
        }
    }
}

impl std::fmt::Display for Blocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Of(frames) => frames.fmt(f),
            Self::Whole => "whole".fmt(f),
            Self::Random(_) => "random".fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::demo_model;
    use crate::synth::test_signal;

    #[test]
    fn every_partition_and_the_tail_give_the_same_frames() {
        let model = demo_model().expect("a model").streams;
        let plan = runnel::plan::Plan::new(&model.forward).expect("a plan");
        let latency = model.forward.latency_samples() as i64;
        for frames in [0, 1, 2, 1000] {
            let input = test_signal(frames, 1, 3);
            let planes: Vec<_> = input.iter().map(Vec::as_slice).collect();
            let run = |blocks| {
                let mut engine = Engine::new(plan.clone(), Randomness::Seeded(1));
                let fed = frames_until(&engine, frames as i64);
                assert_eq!(fed as i64, frames as i64 + latency);
                stream(&mut engine, 1, &planes, fed, blocks, |_, _| {})
            };
            let whole = run(Blocks::Whole);
            assert_eq!(whole.first_frame, -latency);
            for blocks in [Blocks::Of(1), Blocks::Of(7), Blocks::Of(5000), Blocks::Random(0)] {
                assert_eq!(run(blocks).channels, whole.channels, "{blocks}");
            }
        }
    }

    #[test]
    fn random_blocks_are_short_and_long() {
        let lengths: Vec<_> = (0..1000).map(|i| Blocks::Random(0).length(i)).collect();
        assert!(lengths.iter().any(|&n| n < 4) && lengths.iter().any(|&n| n > 2000), "{lengths:?}");
    }
}
