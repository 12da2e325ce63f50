//! A clip through a model: channels into groups, rates there and back, latency out.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use runnel::engine::{Engine, Learned};
use runnel::plan::{Plan, PlanOptions};
use runnel::random::Randomness;
use runnel::stream::StreamGraph;

use crate::audio::Clip;
use crate::audio::resample::resample;
use crate::model::Method;
use crate::offline::OfflineMethod;
use crate::progress::Progress;
use crate::settings::Settings;
use crate::streaming::{Blocks, frames_until, stream};

/// The most engines that one file is given.
const MOST_GROUPS: usize = 64;

#[derive(Clone, Copy)]
pub(super) struct Performance<'a> {
    pub(super) stream: &'a StreamGraph,
    /// Runs this instead of the stream.
    pub(super) offline: Option<&'a OfflineMethod>,
    /// What the stream has learned before.
    pub(super) learned: Option<&'a Learned>,
    pub(super) method: Method,
    pub(super) model_rate: u32,
    pub(super) randomness: Randomness,
    /// What is held in the model's parameters; `offline` has it already.
    pub(super) settings: &'a Settings,
    pub(super) blocks: Blocks,
    /// Latency beyond the least.
    pub(super) slack_samples: u64,
    pub(super) keep_latency: bool,
    /// Give audio back at the file's rate, rather than at the model's.
    pub(super) resample_back: bool,
}

pub(super) struct Performed {
    pub(super) clip: Clip,
    /// Time spent on the model itself.
    pub(super) elapsed: Duration,
    /// Duration of the input, summed over groups: what `elapsed` is measured against.
    pub(super) seconds: f64,
}

pub(super) fn perform(performance: &Performance, clip: &Clip, what: &str) -> Result<Performed> {
    let Performance { stream: model, method, model_rate, .. } = *performance;
    let file_rate = clip.sampling_rate.filter(|_| method.reads_audio());
    let groups = planes_of(clip, model, method, model_rate)?;
    let frames = groups[0][0].len();
    let frames_out = covering(frames, model);

    let mut elapsed = Duration::ZERO;
    let mut outputs = Vec::with_capacity(groups.len() * model.output().channels);
    match performance.offline {
        Some(offline) => {
            for planes in &groups {
                let started = Instant::now();
                let planes: Vec<_> = planes.iter().map(Vec::as_slice).collect();
                let run = || offline.run(&planes, performance.randomness, 0..frames_out as i64);
                outputs.extend(crate::progress::spin(what, run));
                elapsed += started.elapsed();
            }
        }
        None => {
            let (slack_samples, block_samples) = (performance.slack_samples, performance.blocks.usual());
            let options = PlanOptions { slack_samples, block_samples, ..PlanOptions::default() };
            let plan = Plan::with(model, &options)?;
            let mut progress = Progress::new(what, frames * groups.len());
            for planes in &groups {
                let mut engine = Engine::new(plan.clone(), performance.randomness);
                if let Some(learned) = performance.learned {
                    engine.restore(learned)?;
                    engine.reset();
                }
                performance.settings.set(&mut engine);
                let fed = if performance.keep_latency { frames } else { frames_until(&engine, frames_out as i64) };
                let planes: Vec<_> = planes.iter().map(Vec::as_slice).collect();
                let streamed =
                    stream(&mut engine, model.output().channels, &planes, fed, performance.blocks, |_, n| {
                        progress.advance(n);
                    });
                elapsed += streamed.elapsed;
                let early = if performance.keep_latency { 0 } else { (-streamed.first_frame) as usize };
                outputs.extend(streamed.channels.into_iter().map(|mut channel| {
                    channel.drain(..early.min(channel.len()));
                    if !performance.keep_latency {
                        channel.truncate(frames_out);
                    }
                    channel
                }));
            }
        }
    }
    let seconds = groups.len() as f64 * frames as f64 * model_seconds_per_frame(model, method, model_rate);
    if !method.writes_audio() {
        return Ok(Performed { clip: Clip { channels: outputs, sampling_rate: None }, elapsed, seconds });
    }
    let clip = match file_rate.filter(|_| performance.resample_back) {
        Some(rate) => {
            let mut channels = resample(&outputs, model_rate, rate)?;
            // There and back again covers at least as many samples as there were.
            let exact = if frames_out == frames { clip.frames() } else { usize::MAX };
            channels.iter_mut().for_each(|c| c.truncate(exact));
            Clip { channels, sampling_rate: Some(rate) }
        }
        None => Clip { channels: outputs, sampling_rate: Some(model_rate) },
    };
    Ok(Performed { clip, elapsed, seconds })
}

/// The clip at the model's rate, in groups of as many channels as the model reads.
pub(crate) fn planes_of(
    clip: &Clip,
    model: &StreamGraph,
    method: Method,
    model_rate: u32,
) -> Result<Vec<Vec<Vec<f32>>>> {
    let channels = match clip.sampling_rate.filter(|_| method.reads_audio()) {
        Some(rate) => resample(&clip.channels, rate, model_rate)?,
        None => clip.channels.clone(),
    };
    group(channels, model.input().channels, method)
}

/// Channels in groups of as many as the model reads.
fn group(channels: Vec<Vec<f32>>, reads: usize, method: Method) -> Result<Vec<Vec<Vec<f32>>>> {
    let found = channels.len();
    if found == 1 && method.reads_audio() {
        return Ok(vec![vec![channels[0].clone(); reads]]);
    }
    if !found.is_multiple_of(reads) {
        if method.reads_audio() {
            bail!(
                "the file has {found} channels, the model reads {reads}; give it 1, {reads} or a multiple of {reads}"
            );
        }
        bail!("the file has {found} latents, the model reads {reads}; encode with the same model");
    }
    if found / reads > MOST_GROUPS {
        bail!(
            "the file has {found} channels, that is {} engines of {reads}; at most {MOST_GROUPS} are made",
            found / reads
        );
    }
    let mut channels = channels.into_iter();
    Ok((0..found / reads).map(|_| channels.by_ref().take(reads).collect()).collect())
}

/// Output frames that cover `frames` input frames.
fn covering(frames: usize, model: &StreamGraph) -> usize {
    let rate = model.output().rate;
    (frames as u64 * rate.numerator()).div_ceil(rate.denominator()) as usize
}

fn model_seconds_per_frame(model: &StreamGraph, method: Method, sampling_rate: u32) -> f64 {
    let rate = model.output().rate;
    let samples = if method.reads_audio() { 1.0 } else { rate.numerator() as f64 / rate.denominator() as f64 };
    samples / f64::from(sampling_rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_go_where_the_help_says() {
        let channel = |v: f32| vec![v; 3];
        let mono = vec![channel(1.0)];
        let six: Vec<_> = (0..6).map(|i| channel(i as f32)).collect();
        assert_eq!(group(mono.clone(), 1, Method::Forward).expect("one"), [[channel(1.0)]]);
        assert_eq!(group(mono.clone(), 2, Method::Forward).expect("doubled"), [[channel(1.0), channel(1.0)]]);
        assert_eq!(group(six.clone(), 1, Method::Forward).expect("six engines").len(), 6);
        let pairs = group(six.clone(), 2, Method::Forward).expect("three engines");
        assert_eq!(pairs[1], [channel(2.0), channel(3.0)]);
        let refusal = group(six.clone(), 4, Method::Forward).expect_err("a refusal").to_string();
        assert!(refusal.contains("6 channels, the model reads 4"), "{refusal}");
        let refusal = group(mono, 16, Method::Decode).expect_err("a refusal").to_string();
        assert!(refusal.contains("1 latents, the model reads 16"), "{refusal}");
    }
}
