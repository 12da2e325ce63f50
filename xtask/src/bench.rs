//! `bench`: what a model costs in real time, call by call, beside what else could play it.

pub(crate) mod contender;
mod limits;
pub(crate) mod measure;
pub(crate) mod nodes;
mod peer;
mod picture;
mod report;
mod run;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use runnel::InstructionSet;

use self::limits::Limits;
use self::peer::PeerKind;
use self::run::{Subject, bench};
use crate::output::{self, Output};
use crate::slack::Slack;
use crate::{demo, model};

/// Measure what a model costs: per second of audio, per call, per node, and beside other engines.
#[derive(Args)]
#[command(after_help = "\
One thread plays the demo clip through the model, at every block size and with every slack. All configurations take \
turns, so that whatever else the machine does hits them alike. Times are CPU time of the thread, unless they say wall; \
what reading the clocks takes is measured and taken off, from ours and the peer's. A turn makes all its calls in a row, \
for RTF, and then as many one by one, for what single calls take: a clock that is read between short calls slows them. \
The plan is told the smallest of the block sizes: a small model then computes as much together.

Columns:
  block     samples per call
  slack     samples of latency beyond the least, over which the plan may spread the work
  RTF       CPU seconds per second of audio: the median turn. 0.1 is a tenth of one core
  wall      the same by the clock on the wall, waiting included
  median, p99, worst
            µs of one call, of all that were made; the worst includes what the system did to it
  of budget the dearest call of the period, by its median over all periods, over a call's time
  peak      that call over the mean call: 1 is a flat load
  forecast  what the plan expected of `peak`, without a clock
  GMAC/s    multiply-adds per CPU second
  GB/s      bytes of weights read per CPU second: once each time that a step runs
  limit     share of the machine's limit that is reached: at 100 % every step multiplies at full
            rate or reads its weights at full bandwidth, and nothing else takes time
  × torch   CPU time of the peer at its own block over ours: 2 is half the time of the peer

The limits are measured in the same run, through the engine, with the same kernels: arithmetic by a chain of \
convolutions over weights that fit the nearest caches, 64 frames per call; reading by chains of 1×1 convolutions on one \
frame per call, and by a plain loop that sums, whichever reads faster, over working sets of several sizes. A step's \
weights are taken to come from the memory that holds all that is read between two of its runs.

--nodes adds a table of all steps, at the largest block, for each slack: how often each runs, wall µs per second of \
audio and what the plan expected, its share of all, what it reaches, and its share of the limit.

--against plays the same signal through a peer, in turns with ours, on one thread:
  torch        MODEL_streaming.ts beside MODEL: what `rave export --streaming` makes
  onnxruntime  MODEL.onnx beside MODEL: an ONNX export, which keeps no state between calls
  nam          MODEL itself, played by nam-rs, built for this machine
`xtask/peers/setup.sh` installs what they need into target/peers; RUNNEL_PEER_PYTHON names another python.

Examples:
  cargo xtask bench                                the built-in demo
  cargo xtask bench drums.runnel --blocks 64 --slack least,20ms --nodes
  cargo xtask bench exports/drums.ts --against torch
  cargo xtask bench drums.runnel --json > drums-bench.json")]
pub(crate) struct Arguments {
    /// .runnel files, or anything that `convert` reads [default: the built-in demo model]
    #[arg(value_name = "MODEL")]
    models: Vec<PathBuf>,
    /// Samples per call
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "16,64,128,512,2048", value_parser = block)]
    blocks: Vec<NonZeroUsize>,
    /// Latency beyond the least: each `least`, a number of samples, `hop`, `2hops` or `20ms`
    #[arg(long, value_name = "SLACK,…", value_delimiter = ',', default_value = "least,512,hop,2hops")]
    slack: Vec<Slack>,
    /// Engines to compare with; may be repeated
    #[arg(long, value_name = "PEER", value_enum)]
    against: Vec<PeerKind>,
    /// The peer's file [default: found beside MODEL]
    #[arg(long, value_name = "FILE", requires = "against")]
    peer_model: Option<PathBuf>,
    /// Samples per call of the peer
    #[arg(long, value_name = "N", default_value = "2048", value_parser = block, requires = "against")]
    peer_block: NonZeroUsize,
    /// Seconds of audio that each configuration plays
    #[arg(long, value_name = "S", default_value_t = 5.0, value_parser = seconds)]
    seconds: f64,
    /// Also show where the time goes, step by step
    #[arg(long)]
    nodes: bool,
    /// Instruction set of the kernels: portable, avx2, avx512 or neon [default: the machine's best]
    #[arg(long, value_name = "SET")]
    isa: Option<InstructionSet>,
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
    /// Draw time per call and the ratio to the peer [default with --against: runnel-bench.png]
    #[arg(long, value_name = "FILE.png")]
    plot: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if let Some(isa) = arguments.isa
        && !InstructionSet::available().contains(&isa)
    {
        let available: Vec<_> = InstructionSet::available().iter().map(ToString::to_string).collect();
        bail!("this machine has no {isa}; choose one of {}", available.join(", "));
    }
    if arguments.peer_model.is_some() && (arguments.models.len() > 1 || arguments.against.len() > 1) {
        bail!("--peer-model names one file; give one MODEL and one --against with it");
    }
    let subjects = subjects(arguments)?;
    let inputs: Vec<_> = arguments.models.iter().map(PathBuf::as_path).collect();
    let plot = arguments.plot.clone().or((!arguments.against.is_empty()).then(|| "runnel-bench.png".into()));
    let mut plot = plot.map(|path| Output::create(&path, &inputs)).transpose()?;

    let mut limits = Limits::measure(arguments.isa)?;
    let mut models = Vec::with_capacity(subjects.len());
    for subject in subjects {
        models.push(bench(subject, arguments, &mut limits)?);
    }
    if let Some(mut file) = plot.take() {
        let path = file.path().to_owned();
        picture::draw(&models).write_png(file.file()).map_err(|e| output::explain(e, &path))?;
        file.commit()?;
        plot_is_at(&path, arguments.json);
    }
    report::print(&models, &limits, arguments)
}

/// What is to be measured; peers are found before any time is spent.
fn subjects(arguments: &Arguments) -> Result<Vec<Subject>> {
    if arguments.models.is_empty() {
        if let Some(kind) = arguments.against.first() {
            bail!("the built-in demo has no {kind} export to compare with; name a MODEL that has one");
        }
        return Ok(vec![Subject { streams: demo::demo_model()?.streams, peers: vec![] }]);
    }
    let subject = |path: &PathBuf| {
        let found = |kind: &PeerKind| kind.find(path, arguments.peer_model.as_deref()).map(|file| (*kind, file));
        let peers = arguments.against.iter().map(found).collect::<Result<Vec<_>>>()?;
        arguments.against.iter().try_for_each(|kind| kind.command().map(drop))?;
        Ok(Subject { streams: model::open(path)?.streams, peers })
    };
    arguments.models.iter().map(subject).collect()
}

fn plot_is_at(path: &std::path::Path, json: bool) {
    if !json {
        eprintln!("picture: {}", path.display());
    }
}

fn block(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().ok().filter(|n: &NonZeroUsize| n.get() <= 1 << 16).ok_or("a number from 1 to 65536 is needed".into())
}

fn seconds(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|s| (0.01..=3600.0).contains(s)).ok_or("a number from 0.01 to 3600 is needed".into())
}
