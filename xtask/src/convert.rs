//! `convert`: a checkpoint → a `.runnel` file.

pub(crate) mod dial;
mod half;

use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use runnel::import::{LatentChoice, Options};
use runnel::refit::Record;
use runnel::stream::StreamModel;
use runnel::{Model, Weight};
use serde::Serialize;

use self::dial::Latency;
use self::half::HalfError;
use crate::model::refused;
use crate::output::Output;
use crate::progress::spin;
use crate::report;

/// Turn a trained model into a .runnel file, which streams.
#[derive(Args)]
#[command(after_help = "\
CHECKPOINT is one of
  a RAVE training run   its folder, with config.gin and checkpoints
  a .ckpt               with its config.gin beside or above it
  an exported .ts       made by `rave export`, with or without --streaming; or of any nn~-style model, whose code is read
  a .nam                of Neural Amp Modeler, 0.5 to 0.7; or a folder of 2022, with config.json and weights.npy
  an .onnx              opset 11 or newer, floats; weights in it or beside it

Nothing is retrained, and nothing in the file is run. Every signal keeps its values; only the time at which they are \
computed changes. The latency that is printed is the least that this model allows.

--weights f16 halves the weights of the layers that see few frames, where reading them is most of the work. Their \
values are rounded, so that the output is no longer that of the trained model: what is lost is measured on a test \
signal and printed. Arithmetic stays f32.

--latency gives up some of the model's lookahead: layers that read too far ahead are refitted, in closed form, on \
calibration audio, so that they give what they gave before as nearly as they can. The result is another model, and \
says so: a fifth of the audio is held out, and the distances on it are printed and kept in the file. --calibrate names \
a folder of sounds like those that the model will play; its training set is best. Without it, synthesized sounds serve. \
--curve tries a row of latencies instead of writing a model. Both also take a .runnel file that was converted exactly, and \
the built-in demo model where no CHECKPOINT is given.

Examples:
  cargo xtask convert runs/drums_a1b2c3             writes runs/drums_a1b2c3.runnel
  cargo xtask convert drums.ts -o models/drums.runnel
  cargo xtask convert runs/drums_a1b2c3 --latents 8 keep the 8 most important latents
  cargo xtask convert effects.ts --method saturate  writes effects-saturate.runnel
  cargo xtask convert drums.ts --latency 100ms --calibrate loops
                                                    writes drums-100ms.runnel
  cargo xtask convert drums.ts --curve drums-curve.png --calibrate loops
  cargo xtask convert --latency 50ms                the demo model, faster: runnel-demo-50ms.runnel")]
pub(crate) struct Arguments {
    /// The trained model
    #[arg(required_unless_present_any = ["latency", "curve"])]
    checkpoint: Option<PathBuf>,
    /// Where to write [default: CHECKPOINT with the extension .runnel; with --method or --latency, CHECKPOINT-METHOD-100ms.runnel]
    #[arg(short, long, value_name = "OUT.runnel")]
    output: Option<PathBuf>,
    /// Of RAVE: keep as many latents as reach this fidelity, 0.1 to 0.999 [default: what the export kept, or 0.95]
    #[arg(long, value_name = "F", value_parser = fidelity, requires = "checkpoint")]
    fidelity: Option<f32>,
    /// Of RAVE: keep this many latents
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), conflicts_with = "fidelity", requires = "checkpoint")]
    latents: Option<u16>,
    /// Of RAVE: use the moving average of the weights, where the checkpoint has one
    #[arg(long, requires = "checkpoint")]
    ema: bool,
    /// Of Neural Amp Modeler: which size of a model that has several, from 0, the smallest, to 1 [default: 1]
    #[arg(long, value_name = "S", requires = "checkpoint")]
    size: Option<f32>,
    /// Of ONNX: samples per second [default: what the file tells, or 44100]
    #[arg(long, value_name = "HZ", value_parser = clap::value_parser!(u32).range(1..=10_000_000), requires = "checkpoint")]
    rate: Option<u32>,
    /// Of ONNX: which axis of the input is time, from 0 [default: the one that its shape leaves open]
    #[arg(long, value_name = "AXIS", requires = "checkpoint")]
    time_axis: Option<usize>,
    /// Of TorchScript: which of its methods [default: encode and decode, or forward]
    #[arg(long, value_name = "NAME", value_parser = method, requires = "checkpoint")]
    method: Option<String>,
    /// How weights are stored: as they are, or rounded where a layer sees few frames
    #[arg(long, value_enum, default_value = "f32")]
    weights: Weights,
    /// Refit the model to at most this latency: `100ms`, or a number of samples
    #[arg(long, value_name = "LATENCY")]
    latency: Option<Latency>,
    /// Sounds to refit on: a folder, and those in it
    #[arg(long, value_name = "AUDIO_DIR")]
    calibrate: Option<PathBuf>,
    /// Show what every latency would cost, as a table and a picture [default picture: CHECKPOINT-curve.png, or runnel-demo-curve.png]
    #[arg(long, value_name = "FILE.png", num_args = 0..=1, conflicts_with_all = ["latency", "output", "weights"])]
    curve: Option<Option<PathBuf>>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Weights {
    F32,
    F16,
}

#[derive(Serialize)]
struct Report<'a> {
    found: &'a str,
    sampling_rate: u32,
    latents: usize,
    nodes: usize,
    weights: u64,
    latency_samples: u64,
    latency_ms: f64,
    output: &'a Path,
    output_bytes: usize,
    half: Option<HalfError>,
    refit: Option<&'a Record>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let source = arguments.checkpoint.as_deref().unwrap_or(Path::new("the demo model"));
    if let Some(source) = &arguments.checkpoint {
        std::fs::metadata(source).map_err(|e| crate::input::explain(&e, source))?;
        if is_converted(source) && arguments.latency.is_none() && arguments.curve.is_none() {
            let cure =
                "it is converted already, give it to render, inspect or verify, or say which latency with --latency";
            bail!("cannot convert {}: it is a .runnel file; {cure}", source.display());
        }
    }
    if arguments.calibrate.is_some() && arguments.latency.is_none() && arguments.curve.is_none() {
        bail!(
            "nothing is calibrated in an exact conversion; say which latency with --latency, or leave --calibrate out"
        );
    }
    let folder = arguments.calibrate.as_deref();
    if let Some(picture) = &arguments.curve {
        let picture = match picture {
            Some(picture) => picture.clone(),
            None => arguments.beside("-curve.png")?,
        };
        if picture.extension().is_none_or(|e| e != "png") {
            let cure = "name a .png file, or put --curve behind the model";
            bail!("cannot draw a curve to {}: it does not have the extension .png; {cure}", picture.display());
        }
        let trained = read(arguments)?;
        let refitter = dial::refitter(&trained, folder, None, source)?;
        return dial::curve(&trained, &refitter, source, &picture, arguments.json);
    }
    let path = match &arguments.output {
        Some(path) => path.clone(),
        None => {
            let method = arguments.method.as_ref().map_or(String::new(), |method| format!("-{method}"));
            let latency = arguments.latency.map_or(String::new(), |latency| format!("-{latency}"));
            arguments.beside(&format!("{method}{latency}.runnel"))?
        }
    };
    if path.extension().is_none_or(|e| e != "runnel") {
        bail!(
            "cannot write {}: a converted model has the extension .runnel; choose another name with -o",
            path.display()
        );
    }
    let mut output = Output::create(&path, &[source])?;
    let mut trained = read(arguments)?;
    let refused = |e: &dyn std::fmt::Display| refused("convert", source, e);
    if let Some(asked) = arguments.latency {
        let refitter = dial::refitter(&trained, folder, Some(asked), source)?;
        trained = dial::refit(&refitter, asked, trained.info.sampling_rate, source)?;
    }
    let model = spin("Rewriting", || runnel::rewrite::rewrite(&trained)).map_err(|e| refused(&e))?;
    let (model, half) = match arguments.weights {
        Weights::F32 => (model, None),
        Weights::F16 => {
            let (rounded, report) = runnel::rewrite::half(&model);
            let error = HalfError::measure(&model, &rounded, report)?;
            (rounded, Some(error))
        }
    };
    let bytes = runnel::format::to_bytes(&model).map_err(|e| refused(&e))?;
    output.file().write_all(&bytes).map_err(|e| crate::output::explain(e.into(), &path))?;
    output.commit()?;

    let report = Report {
        found: &model.info.description,
        sampling_rate: model.info.sampling_rate,
        latents: model.info.latent_names.len(),
        nodes: model.forward.nodes().len(),
        weights: weights(&model),
        latency_samples: model.forward.latency_samples(),
        latency_ms: model.forward.latency_samples() as f64 * 1e3 / f64::from(model.info.sampling_rate),
        output: &path,
        output_bytes: bytes.len(),
        half,
        refit: model.info.refit.as_ref(),
    };
    if arguments.json {
        return report::print_json(&report);
    }
    if let Some(record) = report.refit {
        report::print(&dial::layers(record))?;
        report::print("")?;
    }
    let mut lines = vec![
        ("found", report.found.to_owned()),
        ("model", format!("{} nodes, {} weights", report.nodes, report::scaled(report.weights as f64).trim_end())),
        ("latency", report::latency(report.latency_samples, report.sampling_rate)),
    ];
    match report.refit {
        Some(record) => lines.extend(dial::facts(record, report.sampling_rate)),
        None if arguments.latency.is_some() => lines.push(("", "no less than was asked for: converted exactly".into())),
        None => {}
    }
    lines.extend(report.half.iter().flat_map(HalfError::facts));
    lines.push(("wrote", format!("{} ({})", path.display(), report::bytes(report.output_bytes as u64))));
    report::print(&report::facts(&lines))
}

impl Arguments {
    /// The default output with this ending.
    fn beside(&self, ending: &str) -> Result<PathBuf> {
        match &self.checkpoint {
            Some(source) => beside(source, ending),
            None => Ok(format!("runnel-demo{ending}").into()),
        }
    }
}

/// The checkpoint as the arguments choose it, or the demo model.
fn read(arguments: &Arguments) -> Result<Model> {
    let Some(source) = &arguments.checkpoint else { return Ok(runnel_offline::demo::model()) };
    if is_converted(source) {
        let model = runnel::format::load(source)?;
        if model.info.refit.is_some() {
            let cure = "give the checkpoint, or what an exact conversion of it wrote";
            bail!(
                "cannot refit {}: it was refitted before, and what was trained is not in it; {cure}",
                source.display()
            );
        }
        return model.offline().map_err(|e| refused("refit", source, &e));
    }
    let options = Options {
        latents: match (arguments.latents, arguments.fidelity) {
            (Some(count), _) => LatentChoice::Count(count.into()),
            (None, Some(fidelity)) => LatentChoice::Fidelity(fidelity),
            (None, None) => LatentChoice::Default,
        },
        ema: arguments.ema,
        size: arguments.size,
        sampling_rate: arguments.rate,
        time_axis: arguments.time_axis,
        method: arguments.method.clone(),
    };
    spin(&format!("Reading {}", source.display()), || runnel::import::open(source, &options))
        .map_err(|e| refused("convert", source, &e))
}

fn is_converted(source: &Path) -> bool {
    source.is_file() && runnel::format::is_runnel(source).unwrap_or(false)
}

/// Number of coefficients, each counted once.
pub(crate) fn weights(model: &StreamModel) -> u64 {
    distinct(model).map(|weight| weight.len() as u64).sum()
}

/// Number of coefficients that are f16, each counted once.
pub(crate) fn half_weights(model: &StreamModel) -> u64 {
    distinct(model).filter(|weight| weight.is_half()).map(|weight| weight.len() as u64).sum()
}

fn distinct(model: &StreamModel) -> impl Iterator<Item = &Weight> {
    let latent = model.latent.iter().flat_map(|l| [&l.encode, &l.decode]);
    let prior = model.prior.iter().map(|prior| prior.network());
    let mut seen = HashSet::new();
    std::iter::once(&model.forward)
        .chain(latent)
        .chain(prior)
        .flat_map(|stream| stream.weights())
        .filter(move |weight| seen.insert(Arc::as_ptr(weight)))
}

/// The default output: the checkpoint's or folder's own name beside it, with this ending.
fn beside(source: &Path, ending: &str) -> Result<PathBuf> {
    let whole = source.canonicalize().map_err(|e| crate::input::explain(&e, source))?;
    let stem = if whole.is_dir() { whole.file_name() } else { whole.file_stem() };
    let mut name =
        stem.with_context(|| format!("{} has no name; name the output with -o", source.display()))?.to_owned();
    name.push(ending);
    // As the user wrote the path, where that names the place.
    let folder = match source.file_name() {
        Some(_) => source.parent().unwrap_or(Path::new("")).to_owned(),
        None => whole.parent().unwrap_or(Path::new("")).to_owned(),
    };
    Ok(folder.join(name))
}

fn method(text: &str) -> Result<String, String> {
    let is_name = !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_');
    is_name.then(|| text.to_owned()).ok_or_else(|| "a method's name has letters, digits and underscores".to_owned())
}

fn fidelity(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(f) if (0.1..=0.999).contains(&f) => Ok(f),
        _ => Err("a number from 0.1 to 0.999 is needed".into()),
    }
}
