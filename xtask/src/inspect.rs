//! `inspect`: what a model is made of, node by node, and what the plan expects it to cost.

mod load;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use runnel::graph::Parameter;
use runnel::plan::Plan;
use runnel::stream::{PriorStream, StreamGraph, StreamModel, StreamOp};
use serde::Serialize;

use self::load::Load;
use crate::model::{self, Method};
use crate::report::{self, Align};
use crate::settings;
use crate::slack::Slack;

/// Show a model node by node: op, shape, rate, receptive field, lag, cache, work.
#[derive(Args)]
#[command(after_help = "\
Columns:
  shape   channels × frames per input frame
  field   samples before and after its own time that a frame depends on; ∞ behind a recurrent node
  lag     samples that a frame waits beyond its own time
  cache   bytes that one running instance keeps
  MAC/s   multiply-adds per second of audio

A prior works at the latents' rate: with --method prior, what is counted in samples is counted in latent frames.

--load draws what the plan expects each moment to cost, from its model of this machine, not from a clock: one bar per \
16 samples of input over one period, after which the work repeats; below it, what each call of a host's block costs.

Examples:
  cargo xtask inspect drums.runnel
  cargo xtask inspect drums.runnel --load load.png --block 64 --slack 512
  cargo xtask inspect drums.runnel --json | jq .methods.forward.latency_samples")]
pub(crate) struct Arguments {
    /// A .runnel file, or anything that `convert` reads
    file: PathBuf,
    /// Which of the model's methods the table shows
    #[arg(long, value_enum, default_value = "forward")]
    method: Method,
    /// Draw the forecast of the load instead of printing the table [default picture: MODEL-load.png]
    #[arg(long, value_name = "FILE.png", num_args = 0..=1)]
    load: Option<Option<PathBuf>>,
    /// Samples per call in the forecast
    #[arg(long, value_name = "N", default_value = "64", value_parser = clap::value_parser!(u32).range(1..=1 << 20), requires = "load")]
    block: u32,
    /// Latency beyond the least in the forecast: `least`, a number of samples, `hop`, `2hops` or `20ms`
    #[arg(long, value_name = "SLACK", default_value_t = Slack::LEAST, requires = "load")]
    slack: Slack,
    /// Print everything, of all methods, as JSON
    #[arg(long, conflicts_with = "load")]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    info: &'a runnel::Info,
    /// What a player holds while it plays.
    parameters: Vec<&'a Parameter>,
    weights: u64,
    /// How many of them are stored as f16.
    f16_weights: u64,
    methods: serde_json::Map<String, serde_json::Value>,
}

#[derive(Serialize)]
struct Stream {
    input_channels: usize,
    output_channels: usize,
    hop_samples: f64,
    latency_samples: u64,
    latency_ms: f64,
    receptive_field_past_samples: Option<u64>,
    receptive_field_future_samples: u64,
    cache_bytes: u64,
    weight_bytes: u64,
    macs_per_second: f64,
    /// Nodes that learn a source and a target.
    learning_nodes: usize,
    nodes: Vec<Node>,
}

#[derive(Serialize)]
struct Node {
    name: String,
    op: &'static str,
    inputs: Vec<usize>,
    channels: usize,
    rate: String,
    past_samples: Option<u64>,
    future_samples: u64,
    lag_samples: f64,
    cache_frames: usize,
    cache_bytes: u64,
    macs_per_second: f64,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let model = model::open(&arguments.file)?.streams;
    let rate = model.info.sampling_rate;
    if let Some(picture) = &arguments.load {
        if arguments.method == Method::Prior {
            bail!("a prior has no forecast: its work is spread evenly over each latent frame; leave --load out");
        }
        let picture = picture.clone().unwrap_or_else(|| PathBuf::from(format!("{}-load.png", model.info.name)));
        let load = Load {
            name: &model.info.name,
            stream: arguments.method.of(&model)?,
            sampling_rate: rate,
            slack: arguments.slack,
            block_samples: arguments.block as usize,
        };
        return load.show(&picture, &arguments.file);
    }
    if arguments.json {
        let mut methods = serde_json::Map::new();
        for method in Method::all(&model) {
            let stream = describe(method.of(&model)?, frames_per_second(method, &model))?;
            methods
                .insert(method.to_string(), serde_json::to_value(stream).context("cannot write the report as JSON")?);
        }
        return report::print_json(&Report {
            info: &model.info,
            parameters: model.parameters(),
            weights: crate::convert::weights(&model),
            f16_weights: crate::convert::half_weights(&model),
            methods,
        });
    }
    let stream = describe(arguments.method.of(&model)?, frames_per_second(arguments.method, &model))?;
    report::print(&nodes_table(&stream))?;
    report::print("")?;
    let past = stream.receptive_field_past_samples.map_or("unbounded".into(), report::grouped);
    let unit = if arguments.method == Method::Prior { "frame" } else { "sample" };
    let mut facts = vec![
        ("model", format!("{}: {}", model.info.name, model.info.description)),
        ("from", provenance(&model.info.provenance)),
        ("method", format!("{}, {} to {} channels", arguments.method, stream.input_channels, stream.output_channels)),
        ("weights", weights(&model, stream.weight_bytes)),
        ("caches", format!("{} per instance", report::bytes(stream.cache_bytes))),
        ("work", format!("{}MAC/s", report::scaled(stream.macs_per_second))),
        ("field", format!("{past} {unit}s past, {} future", report::grouped(stream.receptive_field_future_samples))),
        ("hop", format!("{} {}", stream.hop_samples, report::plural(stream.hop_samples as u64, unit))),
        ("latency", report::latency(stream.latency_samples, rate)),
    ];
    if let Some(record) = &model.info.refit {
        facts.extend(crate::convert::dial::facts(record, rate));
    }
    facts.extend(model.parameters().iter().map(|parameter| ("parameter", settings::describe(parameter))));
    if stream.learning_nodes > 0 {
        let nodes = report::plural(stream.learning_nodes as u64, "node");
        facts.push(("learns", format!("a source and a target, at {} {nodes}", stream.learning_nodes)));
    }
    if let (Some(prior), true) = (&model.prior, arguments.method != Method::Prior) {
        facts.push(("prior", cost(prior, frames_per_second(Method::Prior, &model))?));
    }
    report::print(&report::facts(&facts))
}

/// What a prior costs beside the decoder, where it plays.
fn cost(prior: &PriorStream, frames_per_second: f64) -> Result<String> {
    let macs = prior.macs_per_frame();
    let bytes = Plan::new(prior.network())?.weight_bytes() as u64;
    Ok(format!(
        "{} latents of {} indices; {}MAC and {} of weights for each latent frame of {:.1} ms, {}MAC/s",
        prior.latents(),
        prior.resolution(),
        report::scaled(macs),
        report::bytes(bytes),
        1e3 / frames_per_second,
        report::scaled(macs * frames_per_second)
    ))
}

/// How fast what `method` reads or writes comes, at the faster end.
fn frames_per_second(method: Method, model: &StreamModel) -> f64 {
    let sampling_rate = f64::from(model.info.sampling_rate);
    match (method, &model.latent) {
        (Method::Prior, Some(latent)) => {
            let rate = latent.decode.output().rate;
            sampling_rate * rate.denominator() as f64 / rate.numerator() as f64
        }
        _ => sampling_rate,
    }
}

fn describe(stream: &StreamGraph, sampling_rate: f64) -> Result<Stream> {
    let plan = Plan::new(stream)?;
    let ticks = stream.ticks_per_sample() as f64;
    let nodes = stream.nodes().iter().enumerate().map(|(id, node)| {
        let (past_samples, future_samples) = stream.node_receptive_field_samples(id);
        Node {
            name: node.name.clone(),
            op: node.op.name(),
            inputs: node.inputs.clone(),
            channels: node.channels,
            rate: node.rate.to_string(),
            past_samples,
            future_samples,
            lag_samples: node.timeline.lag() as f64 / ticks,
            cache_frames: node.cache_frames,
            cache_bytes: plan.cache_bytes(id) as u64,
            macs_per_second: stream.macs_per_sample(id) * sampling_rate,
        }
    });
    let nodes: Vec<_> = nodes.collect();
    let (past, future) = stream.receptive_field_samples();
    Ok(Stream {
        input_channels: stream.input().channels,
        output_channels: stream.output().channels,
        hop_samples: stream.hop_ticks() as f64 / ticks,
        latency_samples: stream.latency_samples(),
        latency_ms: stream.latency_samples() as f64 * 1e3 / sampling_rate,
        receptive_field_past_samples: past,
        receptive_field_future_samples: future,
        cache_bytes: plan.state_bytes() as u64,
        weight_bytes: plan.weight_bytes() as u64,
        macs_per_second: nodes.iter().map(|n| n.macs_per_second).sum(),
        learning_nodes: stream.nodes().iter().filter(|n| matches!(n.op, StreamOp::AdaIn { .. })).count(),
        nodes,
    })
}

fn weights(model: &StreamModel, packed_bytes: u64) -> String {
    let scaled = |n: u64| report::scaled(n as f64).trim_end().to_owned();
    let half = match crate::convert::half_weights(model) {
        0 => String::new(),
        half => format!(", {} of them stored as f16", scaled(half)),
    };
    format!("{}, {}{half}", scaled(crate::convert::weights(model)), report::bytes(packed_bytes))
}

fn nodes_table(stream: &Stream) -> String {
    let heads = [
        ("node", Align::Left),
        ("op", Align::Left),
        ("shape", Align::Right),
        ("field", Align::Right),
        ("lag", Align::Right),
        ("cache", Align::Right),
        ("MAC/s", Align::Right),
    ];
    let rows: Vec<_> = stream
        .nodes
        .iter()
        .map(|n| {
            let past = n.past_samples.map_or("∞".into(), report::grouped);
            vec![
                n.name.clone(),
                n.op.to_owned(),
                format!("{} × {}", n.channels, n.rate),
                format!("−{past} +{}", report::grouped(n.future_samples)),
                report::grouped(n.lag_samples.ceil() as u64),
                report::bytes(n.cache_bytes),
                if n.macs_per_second == 0.0 {
                    "–".into()
                } else {
                    report::scaled(n.macs_per_second).trim_end().to_owned()
                },
            ]
        })
        .collect();
    report::table(&heads, &rows)
}

fn provenance(p: &runnel::model::Provenance) -> String {
    let hash = p.sha256.get(..12).map_or(String::new(), |h| format!(", sha256 {h}…"));
    format!("{}{hash}, converted by {}", p.source, p.converter)
}
