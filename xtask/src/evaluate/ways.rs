//! The four ways of running one model over a sound.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use runnel::{Engine, Plan, PlanOptions, Randomness};

use crate::audio::Clip;
use crate::model::{Method, Opened};
use crate::offline::OfflineMethod;
use crate::render::perform::planes_of;
use crate::streaming::{Blocks, frames_until, stream};

/// Samples per call of our stream, where a figure needs one.
pub(super) const CALL_SAMPLES: usize = 512;

/// How a model is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// The trained model, whole, over the sound embedded in silence.
    Offline,
    /// The converted model, in calls of [`CALL_SAMPLES`], so many samples later than it could be.
    Stream { slack: u64 },
    /// The trained model on each block of so many samples for itself.
    CutBlocks(usize),
    /// The trained model on each window of so many samples for itself, every half window, weighted by Hann and added.
    OverlapAdd(usize),
}

/// A model from audio to audio, ready in every way.
pub(super) struct Subject<'a> {
    name: &'a str,
    opened: &'a Opened,
    offline: OfflineMethod,
    ways: Vec<Way>,
    /// Those made so far, by their slack.
    plans: RefCell<BTreeMap<u64, Arc<Plan>>>,
}

/// Signals of one length, a vector per channel.
pub(super) type Planes = Vec<Vec<f32>>;

impl Way {
    /// Every way, the definition first, with blocks and windows of these lengths on the grid of a model's frames.
    fn all(windows: &[NonZeroUsize], hop: usize) -> Vec<Self> {
        // Windows start every half window: off the grid, the model itself would give other frames.
        let mut lengths: Vec<_> = windows.iter().map(|n| n.get().next_multiple_of(2 * hop)).collect();
        lengths.sort_unstable();
        lengths.dedup();
        let cut = lengths.iter().map(|&n| Self::CutBlocks(n));
        let added = lengths.iter().map(|&n| Self::OverlapAdd(n));
        let streams = [0, lengths[0] as u64].map(|slack| Self::Stream { slack });
        [Self::Offline].into_iter().chain(streams).chain(cut).chain(added).collect()
    }

    /// Samples from a sound to what the model makes of it; `None` where the whole sound is needed.
    pub(super) fn latency_samples(self, subject: &Subject) -> Option<u64> {
        match self {
            Self::Offline => None,
            Self::Stream { slack } => Some(subject.latency_samples(slack)),
            // The first sample of a block waits for its last; the last to be added to a sample starts just before it.
            Self::CutBlocks(samples) | Self::OverlapAdd(samples) => Some(samples as u64),
        }
    }

    /// The samples of an output of `frames` at which a new piece begins: a block, a window, or what a call of the
    /// stream gave. Offline has none; it is judged where the shortest blocks and the stream have theirs.
    pub(super) fn joins(self, subject: &Subject, frames: usize) -> Vec<usize> {
        let every = |step: usize, first: usize| (first..frames).step_by(step).filter(|n| *n > 0).collect::<Vec<_>>();
        let slack = match self {
            Self::CutBlocks(samples) => return every(samples, 0),
            Self::OverlapAdd(samples) => return every(samples / 2, 0),
            Self::Stream { slack } => slack,
            Self::Offline => 0,
        };
        let latency = subject.latency_samples(slack) as usize;
        let calls = every(CALL_SAMPLES, latency.next_multiple_of(CALL_SAMPLES) - latency);
        let mut joins = [calls, every(subject.lengths()[0] / 2, 0)].concat();
        joins.sort_unstable();
        joins.dedup();
        joins
    }
}

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Offline => f.write_str("offline"),
            Self::Stream { slack: 0 } => f.write_str("our stream"),
            Self::Stream { slack } => write!(f, "our stream, {slack} later"),
            Self::CutBlocks(samples) => write!(f, "cut blocks {samples}"),
            Self::OverlapAdd(samples) => write!(f, "overlap-add {samples}"),
        }
    }
}

impl<'a> Subject<'a> {
    /// # Errors
    /// When the model does not turn audio of one or two channels into audio of the same rate.
    pub(super) fn new(name: &'a str, opened: &'a Opened, windows: &[NonZeroUsize]) -> Result<Self> {
        let stream = &opened.streams.forward;
        let (input, output) = (stream.input(), stream.output());
        if output.rate.numerator() != output.rate.denominator() {
            bail!(
                "cannot evaluate {name}: it gives {} frames for every {} it reads, so it is no model from audio to \
                 audio; give the whole model, encoder and decoder",
                output.rate.numerator(),
                output.rate.denominator()
            );
        }
        if input.channels > 2 {
            bail!(
                "cannot evaluate {name}: it reads {} channels, so its input is no sound of one or two channels; give \
                 the whole model, encoder and decoder",
                input.channels
            );
        }
        let offline = opened.offline(Method::Forward)?;
        let ways = Way::all(windows, offline.hop());
        Ok(Self { name, opened, offline, ways, plans: RefCell::default() })
    }

    pub(super) fn name(&self) -> &str {
        self.name
    }

    pub(super) fn opened(&self) -> &Opened {
        self.opened
    }

    pub(super) fn sampling_rate(&self) -> u32 {
        self.opened.streams.info.sampling_rate
    }

    /// Every way to run it.
    pub(super) fn ways(&self) -> &[Way] {
        &self.ways
    }

    /// Lengths of blocks and windows, by rising size.
    pub(super) fn lengths(&self) -> Vec<usize> {
        self.ways
            .iter()
            .filter_map(|way| if let Way::CutBlocks(samples) = way { Some(*samples) } else { None })
            .collect()
    }

    /// Samples from a sound to what the stream makes of it.
    pub(super) fn latency_samples(&self, slack: u64) -> u64 {
        self.opened.streams.forward.latency_samples() + slack
    }

    /// The plan of the stream with so many samples of slack.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn plan(&self, slack: u64) -> Result<Arc<Plan>> {
        if let Some(plan) = self.plans.borrow().get(&slack) {
            return Ok(plan.clone());
        }
        let options = PlanOptions { slack_samples: slack, ..PlanOptions::default() };
        let plan = Plan::with(&self.opened.streams.forward, &options);
        let plan = plan.with_context(|| format!("cannot evaluate {}", self.name))?;
        self.plans.borrow_mut().insert(slack, plan.clone());
        Ok(plan)
    }

    /// A sound at the model's rate, in groups of as many channels as the model reads, as `render` groups them.
    ///
    /// # Errors
    /// When its channels do not divide into such groups.
    pub(super) fn planes(&self, clip: &Clip) -> Result<Vec<Planes>> {
        planes_of(clip, &self.opened.streams.forward, Method::Forward, self.sampling_rate())
    }

    /// What the model makes of `groups` in this way: all their output channels, as long as the input, each sample under
    /// the index of its input.
    ///
    /// # Errors
    /// When the stream has no plan.
    pub(super) fn play(&self, way: Way, groups: &[Planes]) -> Result<Planes> {
        let play = |group: &Planes| {
            let input: Vec<_> = group.iter().map(Vec::as_slice).collect();
            Ok(match way {
                Way::Offline => self.offline.run(&input, Randomness::Deterministic, 0..input[0].len() as i64),
                Way::Stream { slack } => self.stream(&input, slack)?,
                Way::CutBlocks(samples) => self.cut_blocks(&input, samples),
                Way::OverlapAdd(samples) => self.overlap_add(&input, samples),
            })
        };
        Ok(groups.iter().map(play).collect::<Result<Vec<_>>>()?.concat())
    }

    fn stream(&self, input: &[&[f32]], slack: u64) -> Result<Planes> {
        let mut engine = Engine::new(self.plan(slack)?, Randomness::Deterministic);
        let fed = frames_until(&engine, input[0].len() as i64);
        let mut streamed = stream(&mut engine, self.outputs(), input, fed, Blocks::Of(CALL_SAMPLES), |_, _| {});
        for channel in &mut streamed.channels {
            channel.drain(..(-streamed.first_frame) as usize);
            channel.truncate(input[0].len());
        }
        Ok(streamed.channels)
    }

    fn cut_blocks(&self, input: &[&[f32]], samples: usize) -> Planes {
        let mut output = vec![vec![]; self.outputs()];
        for start in (0..input[0].len()).step_by(samples) {
            let block = self.alone(input, start as i64, samples);
            output.iter_mut().zip(block).for_each(|(whole, block)| whole.extend(block));
        }
        output.iter_mut().for_each(|channel| channel.truncate(input[0].len()));
        output
    }

    fn overlap_add(&self, input: &[&[f32]], samples: usize) -> Planes {
        let (frames, half) = (input[0].len() as i64, samples / 2);
        let window = hann(samples);
        let mut output = vec![vec![0.0; input[0].len()]; self.outputs()];
        for start in (-(half as i64)..frames).step_by(half) {
            for (whole, piece) in output.iter_mut().zip(self.alone(input, start, samples)) {
                for (i, value) in piece.iter().enumerate() {
                    if let Some(sum) = usize::try_from(start + i as i64).ok().and_then(|n| whole.get_mut(n)) {
                        *sum += window[i] * value;
                    }
                }
            }
        }
        output
    }

    fn outputs(&self) -> usize {
        self.opened.streams.forward.output().channels
    }

    /// The trained model on `samples` samples from `start` on and on nothing else; the sound is silent beyond its ends.
    fn alone(&self, input: &[&[f32]], start: i64, samples: usize) -> Planes {
        let sample = |channel: &[f32], n: i64| usize::try_from(n).ok().and_then(|n| channel.get(n).copied());
        let piece = |channel: &&[f32]| -> Vec<f32> {
            (start..start + samples as i64).map(|n| sample(channel, n).unwrap_or(0.0)).collect()
        };
        let piece: Vec<_> = input.iter().map(piece).collect();
        let piece: Vec<_> = piece.iter().map(Vec::as_slice).collect();
        self.offline.run_alone(&piece, Randomness::Deterministic)
    }
}

/// A periodic Hann window: its halves add up to 1.
pub(super) fn hann(samples: usize) -> Vec<f32> {
    let phase = |i: usize| std::f64::consts::TAU * i as f64 / samples as f64;
    (0..samples).map(|i| (0.5 - 0.5 * phase(i).cos()) as f32).collect()
}

#[cfg(test)]
mod tests;
