//! `verify`: the stream against the trained model run whole.

mod check;
mod locate;
mod quantized;

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use runnel::random::Randomness;
use runnel::refit::Record;
use serde::Serialize;

use self::check::{Check, Outcome, PARTITIONS};
use self::locate::{Place, locate};
use crate::audio::resample::resample;
use crate::model::{self, Method, Opened};
use crate::report::{self, Align};
use crate::settings::Settings;
use crate::{audio, synth};

/// Prove that the stream equals the trained model, sample by sample, at any block size.
#[derive(Args)]
#[command(after_help = "\
The trained model is run whole, on burn, over the signal embedded in silence. The stream is run with blocks of 1, 7, \
64, 441, 512 and 2048 frames, with one block, and with random blocks. Checked are `forward`, `encode`, `decode`, and \
the network of a prior, with random parts silent and seeded and parameters at their defaults and at drawn values, from \
the first frame that the stream gives until the signal has left the model:

  error  the largest difference to the trained model; at most 1e-5 (of the peak, where that is above 1)
  bits   whether all partitions give the same

A checkpoint is judged by its own trained graph, a .runnel file by the trained graph that it describes. If a check \
fails, the first node whose frames differ is named, and the exit code is 1.

Examples:
  cargo xtask verify drums.runnel
  cargo xtask verify runs/drums_a1b2c3 --input loop.wav
  cargo xtask verify drums.runnel --json")]
pub(crate) struct Arguments {
    /// A .runnel file, or anything that `convert` reads
    file: PathBuf,
    /// A sound to use instead of a synthesized signal: its first channels, at the model's rate
    #[arg(long, value_name = "WAV")]
    input: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    model: String,
    passed: bool,
    largest_error: f32,
    checks: Vec<Row>,
    first_difference: Option<Place>,
    /// What was given up for a shorter latency, and how far that is from the trained model.
    refit: Option<Record>,
}

#[derive(Serialize)]
struct Row {
    method: String,
    random_parts: &'static str,
    parameters: &'static str,
    passed: bool,
    frames: usize,
    first_frame: i64,
    largest_error: f32,
    largest_error_frame: i64,
    tolerance: f32,
    equal_partitions: Vec<String>,
    differing_partitions: Vec<String>,
    codebook_ties: usize,
}

/// Synthesized audio, and latents for `decode`, in frames.
const AUDIO_FRAMES: usize = 22_050;
const LATENT_FRAMES: usize = 16;

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let opened = model::open(&arguments.file)?;
    let report = verify(&opened, arguments)?;
    if arguments.json {
        report::print_json(&report)?;
    } else {
        report::print(&table(&report.checks))?;
        for row in report.checks.iter().filter(|row| row.codebook_ties > 0) {
            let Row { method, random_parts, codebook_ties: ties, .. } = row;
            let choices = report::plural(*ties as u64, "choice");
            report::print(&format!(
                "{method}, {random_parts}: {ties} {choices} between codebook entries equally near within rounding; the \
                 trained model goes on from the stream's"
            ))?;
        }
    }
    match &report.first_difference {
        Some(place) => bail!("{} does not stream exactly: {place}", arguments.file.display()),
        None if !report.passed => {
            bail!("{} does not stream exactly, although every node does", arguments.file.display())
        }
        None if arguments.json => Ok(()),
        None => {
            let model = if report.refit.is_some() { "refitted" } else { "trained" };
            report::print(&format!(
                "\nverified: the stream equals the {model} model within {:.1e}, and all partitions give the same bits",
                report.largest_error
            ))?;
            match &report.refit {
                Some(record) => report::print(&format!(
                    "the {model} model is not the trained one:\n{}",
                    report::facts(&crate::convert::dial::facts(record, opened.streams.info.sampling_rate))
                )),
                None => Ok(()),
            }
        }
    }
}

/// The largest difference between two signals of one shape; infinite where one is not a number.
pub(crate) fn largest_difference(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    let pairs = a.iter().zip(b).flat_map(|(a, b)| a.iter().zip(b));
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, |most, e| {
        if e <= most {
            most
        } else if e.is_nan() {
            f32::INFINITY
        } else {
            e
        }
    })
}

fn verify(opened: &Opened, arguments: &Arguments) -> Result<Report> {
    let model = &opened.streams;
    let file = match &arguments.input {
        Some(path) => {
            let clip = audio::read(path)?;
            if clip.channels.iter().all(Vec::is_empty) {
                bail!("{} holds no samples; give a sound, or leave --input out for a synthesized one", path.display());
            }
            let rate = clip.sampling_rate.unwrap_or(model.info.sampling_rate);
            Some(resample(&clip.channels, rate, model.info.sampling_rate)?)
        }
        None => None,
    };
    let mut checks = Vec::new();
    let mut first_difference = None;
    for method in Method::all(model) {
        let stream = method.of(model)?;
        let channels = stream.input().channels;
        let input = match &file {
            Some(file) if method.reads_audio() => (0..channels).map(|c| file[c % file.len()].clone()).collect(),
            None if method.reads_audio() => synth::test_signal(AUDIO_FRAMES, channels, 1),
            _ => synth::test_signal(LATENT_FRAMES, channels, 2),
        };
        let input: Vec<_> = input.iter().map(Vec::as_slice).collect();
        let mut held = vec![("default", Settings::default())];
        if !stream.parameters().is_empty() {
            held.push(("drawn", Settings::drawn(stream, 1)));
        }
        let modes: &[_] = if check::draws(stream) {
            &[("silent", Randomness::Deterministic), ("seeded", Randomness::Seeded(1))]
        } else {
            &[("none", Randomness::Deterministic)]
        };
        for (parameters, settings) in &held {
            let offline = opened.offline(method)?.with(settings);
            for &(random_parts, randomness) in modes {
                let check = Check { stream, offline: &offline, input: &input, randomness, settings };
                let outcome = check.run(&format!("Verifying {method}"))?;
                if !outcome.passed() && first_difference.is_none() {
                    first_difference = locate(&check, &outcome)?;
                }
                checks.push(Row::new(method, random_parts, parameters, &outcome));
            }
        }
    }
    Ok(Report {
        model: format!("{}: {}", model.info.name, model.info.description),
        passed: checks.iter().all(|row| row.passed),
        largest_error: checks.iter().map(|row| row.largest_error).fold(0.0, f32::max),
        checks,
        first_difference,
        refit: model.info.refit.clone(),
    })
}

fn table(rows: &[Row]) -> String {
    let heads = [
        ("method", Align::Left),
        ("random parts", Align::Left),
        ("parameters", Align::Left),
        ("frames", Align::Right),
        ("error", Align::Right),
        ("at frame", Align::Right),
        ("allowed", Align::Right),
        ("bits equal for blocks of", Align::Left),
    ];
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            let mut blocks = row.equal_partitions.join(" ");
            if !row.differing_partitions.is_empty() {
                blocks.push_str(&format!(", DIFFERENT for {}", row.differing_partitions.join(" ")));
            }
            vec![
                row.method.clone(),
                row.random_parts.to_owned(),
                row.parameters.to_owned(),
                row.frames.to_string(),
                format!("{:.1e}", row.largest_error),
                row.largest_error_frame.to_string(),
                format!("{:.1e}", row.tolerance),
                blocks,
            ]
        })
        .collect();
    report::table(&heads, &rows)
}

impl Row {
    fn new(method: Method, random_parts: &'static str, parameters: &'static str, outcome: &Outcome) -> Self {
        let names = |differing: bool| {
            let chosen = PARTITIONS.iter().filter(|b| outcome.differing.contains(b) == differing);
            chosen.map(ToString::to_string).collect()
        };
        Self {
            method: method.to_string(),
            random_parts,
            parameters,
            passed: outcome.passed(),
            frames: outcome.frames,
            first_frame: outcome.first_frame,
            largest_error: outcome.error,
            largest_error_frame: outcome.error_frame,
            tolerance: outcome.tolerance,
            equal_partitions: names(false),
            differing_partitions: names(true),
            codebook_ties: outcome.ties,
        }
    }
}
