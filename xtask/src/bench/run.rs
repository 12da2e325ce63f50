//! One model against itself at every block size and slack, and against its peers.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use runnel::plan::StepFacts;
use runnel::{Plan, PlanOptions, StreamModel};
use serde::Serialize;

use super::Arguments;
use super::contender::{Contender, Ours};
use super::limits::Limits;
use super::measure::{Cost, Entry, measure, period_calls};
use super::nodes::{Breakdown, break_down, firings_per_second, period_samples};
use super::peer::{Peer, PeerKind};
use crate::slack::Slack;
use crate::synth;

/// A model, and the peers' files of it.
pub(super) struct Subject {
    pub(super) streams: StreamModel,
    pub(super) peers: Vec<(PeerKind, PathBuf)>,
}

/// Everything measured of one model.
#[derive(Serialize)]
pub(super) struct Measured {
    pub(super) model: String,
    pub(super) description: String,
    pub(super) sampling_rate: u32,
    pub(super) least_latency_samples: u64,
    pub(super) weight_bytes: usize,
    pub(super) macs_per_audio_second: f64,
    pub(super) rows: Vec<Row>,
    pub(super) peers: Vec<PeerRow>,
    pub(super) nodes: Vec<Breakdown>,
}

/// One block size with one slack.
#[derive(Serialize)]
pub(super) struct Row {
    pub(super) block_samples: usize,
    pub(super) slack: String,
    pub(super) slack_samples: u64,
    pub(super) latency_samples: u64,
    pub(super) state_bytes: usize,
    /// Time that a call has.
    pub(super) budget_us: f64,
    #[serde(flatten)]
    pub(super) cost: Cost,
    pub(super) forecast_peak_over_mean: f64,
    pub(super) macs_per_second: f64,
    pub(super) weight_bytes_per_second: f64,
    pub(super) limit_reached: f64,
    /// Peer's CPU time over ours, in the order of the peers.
    pub(super) times_faster: Vec<f64>,
}

#[derive(Serialize)]
pub(super) struct PeerRow {
    pub(super) peer: PeerKind,
    pub(super) version: String,
    pub(super) file: PathBuf,
    pub(super) block_samples: usize,
    #[serde(flatten)]
    pub(super) cost: Cost,
}

/// A plan for one slack, and what it tells of itself.
struct Planned {
    slack: Slack,
    slack_samples: u64,
    plan: Arc<Plan>,
    steps: Vec<StepFacts>,
}

/// Measures one model and its peers, in turns.
pub(super) fn bench(subject: Subject, arguments: &Arguments, limits: &mut Limits) -> Result<Measured> {
    let Subject { streams, peers } = subject;
    let (stream, rate) = (&streams.forward, streams.info.sampling_rate);
    let input = Arc::new(vec![synth::demo_clip(rate); stream.input().channels]);
    let plans = plans(&streams, arguments)?;
    limits.cover(plans[0].plan.weight_bytes())?;

    let mut entries = Vec::new();
    for planned in &plans {
        for block in &arguments.blocks {
            let contender = Contender::Ours(Box::new(Ours::new(planned.plan.clone(), input.clone(), block.get())));
            let period_calls = period_calls(block.get(), period_samples(&planned.plan));
            entries.push(Entry { contender, block_samples: block.get(), period_calls });
        }
    }
    let ours = entries.len();
    let mut versions = Vec::new();
    for (kind, file) in &peers {
        let peer = Peer::start(*kind, file, &input, arguments.peer_block.get())?;
        versions.push(peer.version().to_owned());
        let contender = Contender::Peer(Box::new(peer));
        entries.push(Entry { contender, block_samples: arguments.peer_block.get(), period_calls: Some(1) });
    }
    let what = format!("Measuring {}", streams.info.name);
    let mut costs = measure(&mut entries, arguments.seconds, rate, &what)?;
    drop(entries);

    let peer_costs = costs.split_off(ours);
    let configurations = plans.iter().flat_map(|p| arguments.blocks.iter().map(move |b| (p, b.get())));
    let row = |((planned, block), cost): ((&Planned, usize), Cost)| {
        let firings = firings_per_second(&planned.plan, &input, block, rate);
        planned.row(block, cost, rate, &firings, limits, &peer_costs)
    };
    let rows = configurations.zip(costs).map(row).collect();
    let largest = arguments.blocks.iter().map(|b| b.get()).max().context("no block size")?;
    let table = |p: &Planned| break_down(&p.plan, &input, (p.slack.to_string(), largest), rate, limits);
    let peer_rows = peers.into_iter().zip(versions).zip(peer_costs).map(|(((peer, file), version), cost)| PeerRow {
        peer,
        version,
        file,
        block_samples: arguments.peer_block.get(),
        cost,
    });
    Ok(Measured {
        model: streams.info.name.clone(),
        description: streams.info.description.clone(),
        sampling_rate: rate,
        least_latency_samples: stream.latency_samples(),
        weight_bytes: plans[0].plan.weight_bytes(),
        macs_per_audio_second: plans[0].steps.iter().map(|s| s.macs_per_sample).sum::<f64>() * f64::from(rate),
        rows,
        nodes: if arguments.nodes { plans.iter().map(table).collect() } else { vec![] },
        peers: peer_rows.collect(),
    })
}

/// A plan for each slack that is asked for; those of equal length are one.
fn plans(streams: &StreamModel, arguments: &Arguments) -> Result<Vec<Planned>> {
    let mut plans: Vec<Planned> = Vec::new();
    let block_samples = arguments.blocks.iter().map(|block| block.get()).min().unwrap_or(0);
    for &slack in &arguments.slack {
        let slack_samples = slack.samples(&streams.forward, streams.info.sampling_rate);
        if plans.iter().all(|p| p.slack_samples != slack_samples) {
            let options =
                PlanOptions { slack_samples, block_samples, instruction_set: arguments.isa, ..PlanOptions::default() };
            let plan = Plan::with(&streams.forward, &options)?;
            let steps = plan.steps().to_vec();
            plans.push(Planned { slack, slack_samples, plan, steps });
        }
    }
    Ok(plans)
}

impl Planned {
    fn row(
        &self,
        block_samples: usize,
        cost: Cost,
        rate: u32,
        firings: &[f64],
        limits: &Limits,
        peers: &[Cost],
    ) -> Row {
        let macs: f64 = self.steps.iter().map(|s| s.macs_per_sample).sum::<f64>() * f64::from(rate);
        let read = |(step, firings): (&StepFacts, &f64)| step.weight_bytes as f64 * firings;
        let least: f64 = limits.least_seconds(&self.steps, firings, rate).iter().sum();
        let forecast = self.plan.forecast().per_block(block_samples);
        let mean = forecast.iter().sum::<f32>() / forecast.len().max(1) as f32;
        let peak = forecast.iter().copied().fold(0.0, f32::max);
        Row {
            block_samples,
            slack: self.slack.to_string(),
            slack_samples: self.slack_samples,
            latency_samples: self.plan.latency_samples(),
            state_bytes: self.plan.state_bytes(),
            budget_us: block_samples as f64 * 1e6 / f64::from(rate),
            forecast_peak_over_mean: f64::from(peak / mean.max(f32::MIN_POSITIVE)),
            macs_per_second: macs / cost.real_time_factor,
            weight_bytes_per_second: self.steps.iter().zip(firings).map(read).sum::<f64>() / cost.real_time_factor,
            limit_reached: least / cost.real_time_factor,
            times_faster: peers.iter().map(|p| p.real_time_factor / cost.real_time_factor).collect(),
            cost,
        }
    }
}
