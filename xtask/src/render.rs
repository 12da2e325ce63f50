//! `render`: a file through a model.

mod learn;
mod paths;
pub(crate) mod perform;
mod play;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use runnel::random::Randomness;
use runnel::stream::StreamModel;
use serde::Serialize;

use self::learn::Lessons;
use self::paths::Paths;
use self::perform::{Performance, perform};
use crate::audio::{self, Clip, Container};
use crate::model::{self, Method};
use crate::output::Output;
use crate::settings::{Setting, Settings};
use crate::slack::Slack;
use crate::streaming::Blocks;
use crate::{demo, report, spectrogram, synth};

/// Play a file through a model; with no arguments, the built-in demo.
#[derive(Args)]
#[command(after_help = "\
Time: the output is aligned with the input and has as many samples, whatever the model's latency. \
With --keep-latency it is what a host hears that does not compensate: `latency` samples late. --slack adds to the \
latency, so that the work can be spread; the samples stay the same, bit for bit. \
Sound at another sampling rate than the model's is resampled there and back; .npy is at the model's rate on either side.

Channels: a file of one channel is repeated for a model that reads more. A file of more channels than the model reads \
is cut into groups of as many as it reads, each played by an engine of its own with the same seed: through a mono \
model, left and right stay left and right. The latents of such groups are stacked, and `--method decode` parts them.

Randomness: a seed gives the same output at any block size. --deterministic takes the mean of what would be drawn, \
zeros for latents that were cut, and no noise.

--play leaves the encoder out: the decoder sounds for so long, from latents at rest, or with --prior from those that \
the model's prior draws. Temperature 1 draws as it was trained, 0 always takes the likeliest. (The reference's method \
`prior` reads another number, t: its temperature is ln(1 + e^t) / ln 2, so that its 0 is 1 here.)
Learning: a model with AdaIN nodes carries the statistics of one sound over to those of another. It hears each file once, \
from its first sample to its last, at every node as far as it comes in that time; then the input is rendered.

Examples:
  cargo xtask render                               runnel-demo.wav and runnel-demo.png
  cargo xtask render drums.runnel loop.wav         loop-drums.wav
  cargo xtask render loop.wav -o out.flac          the demo model on your file
  cargo xtask render drums.runnel loop.wav --method encode
                                                   loop-drums.safetensors: z, [latents, frames]
  cargo xtask render drums.runnel loop-drums.safetensors --method decode -o again.wav
  cargo xtask render drums.runnel --play 20 --prior --temperature 0.8
                                                   drums-played.wav
  cargo xtask render v3.runnel voice.wav --learn-source voice.wav --learn-target drums.wav")]
pub(crate) struct Arguments {
    /// A .runnel file, or anything that `convert` reads [default: the built-in demo model]
    #[arg(value_name = "MODEL")]
    file: Option<PathBuf>,
    /// wav, flac, mp3, ogg, aiff at any rate; or .npy, [channels, frames] f32 [default: a built-in clip]
    #[arg(value_name = "IN")]
    input: Option<PathBuf>,
    /// .wav (32-bit float), .flac (24 bit) or .npy; latents .safetensors or .npy [default: IN-MODEL.wav beside IN]
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,
    /// Samples per call of the engine: a number, `random` or `whole`
    #[arg(long, value_name = "N", default_value = "512")]
    block: Blocks,
    /// Latency beyond the least: `least`, a number of samples, `hop`, `2hops` or `20ms`
    #[arg(long, value_name = "SLACK", default_value_t = Slack::LEAST, conflicts_with = "offline")]
    slack: Slack,
    /// Seed of the model's random parts
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Silence the model's random parts
    #[arg(long, conflicts_with = "seed")]
    deterministic: bool,
    /// Hold a parameter of the model at a value; `inspect` lists them
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<Setting>,
    /// Leave the model's latency in the output
    #[arg(long)]
    keep_latency: bool,
    /// Run the trained model whole, instead of the stream
    #[arg(long, conflicts_with_all = ["block", "keep_latency"])]
    offline: bool,
    /// Audio to audio, audio to latents, or latents to audio
    #[arg(long, value_enum, default_value = "forward")]
    method: Method,
    /// Play the decoder without input, for so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds, conflicts_with_all = ["input", "offline", "method", "spectrogram"])]
    play: Option<f64>,
    /// Let the model's prior play the latents
    #[arg(long, requires = "play")]
    prior: bool,
    /// How freely the prior draws
    #[arg(long, value_name = "T", value_parser = temperature, default_value_t = 1.0, requires = "prior")]
    temperature: f32,
    #[command(flatten)]
    lessons: Lessons,
    /// Also draw spectrograms of input and output
    #[arg(long, value_name = "OUT.png")]
    spectrogram: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    model: String,
    input: String,
    output: PathBuf,
    spectrogram: Option<PathBuf>,
    learned: Option<String>,
    channels: usize,
    frames: usize,
    sampling_rate: Option<u32>,
    latency_samples: u64,
    latency_ms: f64,
    seconds_of_audio: f64,
    seconds_of_processing: f64,
    real_time_factor: Option<f64>,
    /// Largest difference between stream and offline run; only for the demo.
    stream_error: Option<f32>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if let Some(seconds) = arguments.play {
        return play::run(arguments, seconds);
    }
    if arguments.method == Method::Prior {
        bail!("--method prior reads what it made itself: hear it with --play SECONDS --prior");
    }
    let paths = Paths::of(arguments)?;
    let opened = match &paths.model {
        Some(path) => model::open(path)?,
        None => demo::demo_model()?,
    };
    let streams = &opened.streams;
    let stream = arguments.method.of(streams)?;
    let settings = Settings::of(&arguments.set, stream)?;
    let clip = read(&paths, arguments.method, streams)?;
    let named = paths.model.iter().chain(&paths.input).map(PathBuf::as_path);
    let inputs: Vec<&Path> = named.chain(arguments.lessons.files()).collect();
    let mut output = Output::create(&paths.output, &inputs)?;
    let picture = match &paths.spectrogram {
        Some(_) if arguments.method != Method::Forward => {
            bail!("--spectrogram draws audio; use it with --method forward")
        }
        Some(path) => Some(Output::create(path, &inputs)?),
        None => None,
    };

    let randomness =
        if arguments.deterministic { Randomness::Deterministic } else { Randomness::Seeded(arguments.seed) };
    let offline = match arguments.offline {
        true => Some(opened.offline(arguments.method)?.with(&settings)),
        false => None,
    };
    let learned = arguments.lessons.learn(streams, randomness, &settings)?;
    let slack_samples = arguments.slack.samples(stream, streams.info.sampling_rate);
    let performance = Performance {
        stream,
        offline: offline.as_ref(),
        learned: learned.as_ref(),
        method: arguments.method,
        model_rate: streams.info.sampling_rate,
        randomness,
        settings: &settings,
        blocks: arguments.block,
        slack_samples,
        keep_latency: arguments.keep_latency,
        resample_back: paths.container != Container::Npy,
    };
    let performed = perform(&performance, &clip, "Rendering")?;
    let stream_error = if paths.is_demo {
        let graph = opened.offline(arguments.method)?.with(&settings);
        let reference = perform(&Performance { offline: Some(&graph), ..performance }, &clip, "Checking")?;
        Some(crate::verify::largest_difference(&performed.clip.channels, &reference.clip.channels))
    } else {
        None
    };

    if let Some(warning) = audio::write(&performed.clip, paths.container, &mut output)? {
        report::warn(&format!("{}: {warning}", paths.output.display()));
    }
    if let Some(mut picture) = picture {
        let titles = [paths.input_name(), format!("through {}", streams.info.name)];
        let rate = clip.sampling_rate.unwrap_or(streams.info.sampling_rate);
        let path = picture.path().to_owned();
        spectrogram::draw([(&titles[0], &clip), (&titles[1], &performed.clip)], rate, picture.file())
            .map_err(|e| crate::output::explain(e, &path))?;
        picture.commit()?;
    }
    output.commit()?;

    let latency_samples = stream.latency_samples() + slack_samples;
    let processing = performed.elapsed.as_secs_f64();
    let report = Report {
        model: format!("{}: {}", streams.info.name, streams.info.description),
        input: describe(&paths.input_name(), &clip, arguments.method.reads_audio(), streams.info.sampling_rate),
        output: paths.output.clone(),
        spectrogram: paths.spectrogram.clone(),
        learned: arguments.lessons.told(),
        channels: performed.clip.channels.len(),
        frames: performed.clip.frames(),
        sampling_rate: performed.clip.sampling_rate,
        latency_samples,
        latency_ms: latency_samples as f64 * 1e3 / f64::from(streams.info.sampling_rate),
        seconds_of_audio: performed.seconds,
        seconds_of_processing: processing,
        real_time_factor: (performed.seconds > 0.0).then_some(processing / performed.seconds),
        stream_error,
    };
    if arguments.json {
        return report::print_json(&report);
    }
    print(&report, arguments, &performed.clip, streams)
}

fn print(report: &Report, arguments: &Arguments, clip: &Clip, streams: &StreamModel) -> Result<()> {
    let name = report.output.display().to_string();
    let mut lines = vec![
        ("model", report.model.clone()),
        ("input", report.input.clone()),
        ("output", describe(&name, clip, arguments.method.writes_audio(), streams.info.sampling_rate)),
    ];
    if let Some(path) = &report.spectrogram {
        lines.push(("picture", path.display().to_string()));
    }
    if let Some(learned) = &report.learned {
        lines.push(("learned", learned.clone()));
    }
    let how = match (arguments.offline, arguments.keep_latency) {
        (true, _) => "none offline; the stream has ",
        (false, true) => "kept: ",
        (false, false) => "compensated: ",
    };
    lines.push(("latency", format!("{how}{}", report::latency(report.latency_samples, streams.info.sampling_rate))));
    if let Some(factor) = report.real_time_factor {
        let how = if arguments.offline { "offline".into() } else { format!("blocks of {}", arguments.block) };
        let meaning = if factor <= 1.0 {
            format!("{:.1}× faster than real time", 1.0 / factor.max(1e-9))
        } else {
            format!("{factor:.1}× slower than real time")
        };
        lines.push(("speed", format!("real-time factor {factor:.3} ({meaning}), {how}")));
    }
    if let Some(error) = report.stream_error {
        lines.push(("exact", format!("stream against offline run: largest difference {error:.1e}")));
    }
    report::print(&report::facts(&lines))
}

fn read(paths: &Paths, method: Method, streams: &StreamModel) -> Result<Clip> {
    match &paths.input {
        Some(path) if method.reads_audio() => audio::read(path),
        Some(path) => audio::read_latents(path),
        None if method.reads_audio() => {
            let rate = streams.info.sampling_rate;
            Ok(Clip { channels: vec![synth::demo_clip(rate)], sampling_rate: Some(rate) })
        }
        None => bail!("--method decode needs latents: give a .safetensors or .npy that `render --method encode` wrote"),
    }
}

fn describe(name: &str, clip: &Clip, audio: bool, model_rate: u32) -> String {
    let (channels, frames) = (clip.channels.len() as u64, clip.frames() as u64);
    if !audio {
        let latents = report::plural(channels, "latent");
        return format!(
            "{name}: {channels} {latents}, {} {}",
            report::grouped(frames),
            report::plural(frames, "frame")
        );
    }
    let rate = clip.sampling_rate.unwrap_or(model_rate);
    format!(
        "{name}: {channels} {}, {rate} Hz, {:.2} s ({} {})",
        report::plural(channels, "channel"),
        frames as f64 / f64::from(rate),
        report::grouped(frames),
        report::plural(frames, "sample")
    )
}

fn seconds(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|s| (0.001..=3600.0).contains(s));
    number.ok_or_else(|| "a number of seconds from 0.001 to 3600 is needed".into())
}

fn temperature(text: &str) -> Result<f32, String> {
    text.parse().ok().filter(|t| (0.0..=1000.0).contains(t)).ok_or_else(|| "a number from 0 to 1000 is needed".into())
}

/// Where a container of this method's output goes.
fn container(path: &Path, method: Method) -> Result<Container> {
    Container::of(path, method.writes_audio())
}
