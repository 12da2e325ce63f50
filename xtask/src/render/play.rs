//! `render --play`: a decoder without input, its latents at rest or played by the model's prior.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use runnel::{Engine, Plan, PlanOptions, PriorPlan, Randomness};
use serde::Serialize;

use super::Arguments;
use crate::audio::{self, Clip, Container};
use crate::output::Output;
use crate::progress::Progress;
use crate::settings::Settings;
use crate::streaming::{frames_until, stream};
use crate::{demo, model, report};

#[derive(Serialize)]
struct Report {
    model: String,
    output: PathBuf,
    /// Of the prior; absent where none plays.
    temperature: Option<f32>,
    channels: usize,
    frames: usize,
    sampling_rate: u32,
    latency_samples: u64,
    seconds_of_processing: f64,
    real_time_factor: f64,
}

pub(super) fn run(arguments: &Arguments, seconds: f64) -> Result<()> {
    let opened = match &arguments.file {
        Some(path) => model::open(path)?,
        None => demo::demo_model()?,
    };
    let streams = &opened.streams;
    let name = &streams.info.name;
    let player = streams.player().with_context(|| format!("{name} has no latents to play; leave --play out"))??;
    let settings = Settings::of(&arguments.set, &player)?;
    let path = arguments.output.clone().unwrap_or_else(|| default_output(arguments.file.as_deref()));
    let container = Container::of(&path, true)?;
    let inputs: Vec<&Path> = arguments.file.iter().map(PathBuf::as_path).collect();
    let mut output = Output::create(&path, &inputs)?;

    let rate = streams.info.sampling_rate;
    let slack_samples = arguments.slack.samples(&player, rate);
    let plan = Plan::with(&player, &PlanOptions { slack_samples, ..PlanOptions::default() })?;
    let randomness =
        if arguments.deterministic { Randomness::Deterministic } else { Randomness::Seeded(arguments.seed) };
    let mut engine = Engine::new(plan.clone(), randomness);
    settings.set(&mut engine);
    if arguments.prior {
        let cure = "only exports made with `rave export --prior` have one; leave --prior out";
        let prior = streams.prior.as_ref().with_context(|| format!("{name} has no prior; {cure}"))?;
        engine.add_prior(&PriorPlan::new(prior, &PlanOptions::default())?);
        for prior in engine.latent_edits().iter_mut().filter_map(|edit| edit.prior.as_mut()) {
            (prior.on, prior.temperature, prior.randomness) = (true, arguments.temperature, randomness);
        }
    }

    let frames = (seconds * f64::from(rate)).round() as usize;
    let fed = if arguments.keep_latency { frames } else { frames_until(&engine, frames as i64) };
    let silence = vec![&[][..]; player.input().channels];
    let mut progress = Progress::new("Playing", fed);
    let channels = player.output().channels;
    let streamed = stream(&mut engine, channels, &silence, fed, arguments.block, |_, n| progress.advance(n));
    let late = if arguments.keep_latency { 0 } else { (-streamed.first_frame) as usize };
    let cut = |mut channel: Vec<f32>| {
        channel.drain(..late.min(channel.len()));
        channel.truncate(frames);
        channel
    };
    let clip = Clip { channels: streamed.channels.into_iter().map(cut).collect(), sampling_rate: Some(rate) };
    if let Some(warning) = audio::write(&clip, container, &mut output)? {
        report::warn(&format!("{}: {warning}", path.display()));
    }
    output.commit()?;

    let processing = streamed.elapsed.as_secs_f64();
    let report = Report {
        model: format!("{name}: {}", streams.info.description),
        output: path,
        temperature: arguments.prior.then_some(if arguments.deterministic { 0.0 } else { arguments.temperature }),
        channels,
        frames: clip.frames(),
        sampling_rate: rate,
        latency_samples: plan.latency_samples(),
        seconds_of_processing: processing,
        real_time_factor: processing * f64::from(rate) / fed.max(1) as f64,
    };
    if arguments.json {
        return report::print_json(&report);
    }
    let latents = match report.temperature {
        Some(temperature) => format!("played by the prior at temperature {temperature}"),
        None => "at rest".into(),
    };
    report::print(&report::facts(&[
        ("model", report.model.clone()),
        ("latents", latents),
        ("output", super::describe(&report.output.display().to_string(), &clip, true, rate)),
        ("latency", report::latency(report.latency_samples, rate)),
        ("speed", format!("real-time factor {:.3}, blocks of {}", report.real_time_factor, arguments.block)),
    ]))
}

/// `MODEL-played.wav` in the current folder.
fn default_output(model: Option<&Path>) -> PathBuf {
    let stem = model.and_then(Path::file_stem).map_or("demo".into(), |stem| stem.to_string_lossy());
    format!("{stem}-played.wav").into()
}
