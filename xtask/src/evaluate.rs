//! `evaluate`: what the conversion is worth. One model, four ways of running it: whole, as our stream, cut into blocks,
//! and by overlap-add.

mod clicks;
mod clips;
mod distance;
mod page;
mod pictures;
mod results;
mod speed;
mod ways;

use std::fs::create_dir_all;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use self::clips::{Sounds, find};
use self::pictures::Shown;
use self::results::{Evaluation, Heard, ModelResult, Reference};
use self::speed::Speed;
use self::ways::Subject;
use crate::model::{self, Opened};
use crate::progress::{Progress, spin};
use crate::{demo, report};

/// Compare streaming with the ways around it, on sounds: as a table, JSON and a page with pictures.
#[derive(Args)]
#[command(after_help = "\
Every model plays every sound in four ways, and each is compared, sample by sample, with the first:

  offline      the trained model run whole: the definition
  our stream   cached convolutions, in calls of 512 samples
  cut blocks   the trained model run on each block of N samples for itself, end to end: no cache
  overlap-add  the trained model run on each window of N samples for itself; windows start every N/2
               samples, are weighted by a Hann window, and added

Columns:
  distance     multi-scale spectral distance to offline: 0 is the same sound
  largest      largest difference of a sample to offline
  error        RMS of the difference, in dB of offline's RMS
  clicks       joins of blocks, windows or calls at which the sound bends as offline does not, of all joins
  latency      samples from a sound to what the model makes of it
  CPU          CPU seconds per second of sound, one thread, all on our engine

All sounds are brought to the model's rate; a sound of several channels is split as `render` does. Random parts are
silent, parameters at their defaults. The page in --output says how each figure is made.

Without --audio the sounds are those of target/evaluate/clips, which xtask/evaluate/clips.py makes from free software:
  xtask/evaluate/setup.sh && target/evaluate/venv/bin/python xtask/evaluate/clips.py
Where there are none, sounds as the demo model was trained on.

Examples:
  cargo xtask evaluate                             the demo model
  cargo xtask evaluate drums.runnel --audio ~/loops -o drums-evaluation
  xtask/evaluate/all.sh                            everything in docs/evaluation, the training of a RAVE included")]
pub(crate) struct Arguments {
    /// .runnel files, or anything that `convert` reads; `demo` is the built-in model [default: demo]
    #[arg(value_name = "MODEL")]
    models: Vec<PathBuf>,
    /// Folder of sounds: wav, flac, mp3, ogg, aiff [default: target/evaluate/clips, or synthesized sounds]
    #[arg(long, value_name = "DIR")]
    audio: Option<PathBuf>,
    /// Seconds of each sound, from its start
    #[arg(long, value_name = "S", value_parser = seconds, default_value_t = 6.0)]
    seconds: f64,
    /// Lengths of blocks and windows, in samples; each is raised to a multiple of two hops of the model
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "4096,8192,16384,32768", value_parser = window)]
    windows: Vec<NonZeroUsize>,
    /// Folder for the page, its pictures and the results as JSON [default: docs/evaluation]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// What the page should say of a model; may be repeated
    #[arg(long, value_name = "NAME=TEXT", value_parser = note)]
    note: Vec<(String, String)>,
    /// Print the results as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let sounds = find(arguments.audio.as_deref(), arguments.seconds)?;
    let opened = open(&arguments.models)?;
    let windows = &arguments.windows;
    let subjects = opened.iter().map(|(name, opened)| Subject::new(name, opened, windows));
    let subjects = subjects.collect::<Result<Vec<_>>>()?;
    subjects.iter().try_for_each(|subject| sounds.check(subject))?;
    if let Some((name, _)) = arguments.note.iter().find(|(name, _)| opened.iter().all(|(known, _)| known != name)) {
        bail!("--note is for {name}, but the models are {}", names(&opened));
    }
    let folder = arguments.output.clone().unwrap_or_else(|| workspace().join("docs/evaluation"));
    if folder.is_file() {
        bail!("cannot write a page to {}: it is a file; name a folder with -o", folder.display());
    }
    create_dir_all(&folder).map_err(|e| crate::output::explain(e.into(), &folder))?;

    let evaluate = |subject: Subject| Ok(evaluate(&subject, &sounds, &folder)?.noted(&arguments.note));
    let models = subjects.into_iter().map(evaluate).collect::<Result<_>>()?;
    let evaluation = Evaluation::new(sounds.origin(), models);
    page::write(&evaluation, &folder)?;
    if arguments.json {
        return report::print_json(&evaluation);
    }
    report::print(&page::text(&evaluation))?;
    report::print(&format!("\npage: {}", folder.join(page::FILE).display()))
}

/// One model: every sound in every way, its speed, and its pictures.
fn evaluate(subject: &Subject, sounds: &Sounds, folder: &Path) -> Result<ModelResult> {
    let name = subject.name();
    let mut progress = Progress::new(&format!("Playing {name}"), sounds.clips().len() * subject.ways().len());
    let (mut heard, mut shown) = (Vec::new(), Shown::default());
    for sound in sounds.clips() {
        let planes =
            subject.planes(&sound.clip).with_context(|| format!("cannot play {} through {name}", sound.name))?;
        let mut offline = None;
        for &way in subject.ways() {
            progress.tell(&format!("{}, {way}", sound.name));
            let played = subject.play(way, &planes)?;
            let offline = offline.get_or_insert_with(|| Reference::new(played.clone()));
            heard.push(Heard::new(&sound.name, way, subject, offline, &played));
            shown.keep(&sound.name, way, played);
            progress.advance(1);
        }
    }
    drop(progress);
    let speed = Speed::measure(subject, sounds)?;
    let pictures = spin("Drawing", || shown.draw(subject, &speed, folder))?;
    Ok(ModelResult::new(subject, heard, speed, pictures))
}

/// All models under names that differ.
fn open(paths: &[PathBuf]) -> Result<Vec<(String, Opened)>> {
    if paths.is_empty() {
        return Ok(vec![("demo".into(), demo::demo_model()?)]);
    }
    let mut opened: Vec<(String, Opened)> = Vec::with_capacity(paths.len());
    for path in paths {
        let (stem, one) = match path.to_str() {
            Some("demo") if !path.exists() => ("demo".into(), demo::demo_model()?),
            _ => (stem(path), model::open(path)?),
        };
        if opened.iter().any(|(name, _)| *name == stem) {
            bail!("two models are called {stem}; their pictures would overwrite each other, rename one");
        }
        opened.push((stem, one));
    }
    Ok(opened)
}

fn names(opened: &[(String, Opened)]) -> String {
    opened.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
}

/// The name of a model's file or run folder, in letters that a link can have.
fn stem(path: &Path) -> String {
    let stem = path.file_stem().map_or("model".into(), |stem| stem.to_string_lossy().into_owned());
    let stem = stem.strip_suffix("_run").unwrap_or(&stem);
    stem.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect()
}

/// The folder that this program was built in.
fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_owned)
}

fn seconds(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|s| (0.05..=600.0).contains(s)).ok_or("a number from 0.05 to 600 is needed".into())
}

fn note(text: &str) -> Result<(String, String), String> {
    let (name, note) = text.split_once('=').ok_or("NAME=TEXT is needed")?;
    Ok((name.into(), note.into()))
}

fn window(text: &str) -> Result<NonZeroUsize, String> {
    let possible = |n: &NonZeroUsize| (2..=1 << 20).contains(&n.get());
    text.parse().ok().filter(possible).ok_or("a number from 2 to 1048576 is needed".into())
}
