//! What each cut costs by itself: one layer refitted, all others as they were trained, heard at the output.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::graph::{Graph, NodeId};
use crate::plan::Plan;
use crate::rewrite::rewrite_graph;
use crate::threads;

use super::budget::{Clock, with_ops};
use super::calibration::{Calibration, Part, Purpose};
use super::comb::Comb;
use super::distance::{Distance, Spectra};
use super::fit::{Effort, fit};
use super::signals::{Signal, frames, stream};
use super::walk::Signals;
use super::{EXTRA_TAPS, Progress, RefitError};

/// One cut of one layer, and its price.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Offer {
    pub(super) node: NodeId,
    /// Frames ahead that it keeps.
    pub(super) bound: i64,
    /// Samples of latency that it saves by itself.
    pub(super) saved: u64,
    /// What it adds to the distance at the output.
    pub(super) cost: f64,
}

/// What a graph costs, as heard over excerpts of the calibration audio.
pub(super) struct Price {
    ears: Ears,
    exact: f64,
}

/// Some sounds, and what the original model makes of them.
pub(super) struct Ears {
    inputs: Vec<Signal>,
    sources: Spectra,
    originals: Spectra,
    /// Whether the model is to give back what it is given.
    rebuilds: bool,
}

/// For a single trial.
const BRIEF: Effort = Effort { ridges: &[1e-4, 1e-2], most_unknowns: 768, rows_per_unknown: 4 };
/// Most multiply-adds of one hearing; most samples.
const MOST_MACS: f64 = 2e10;
pub(super) const MOST_SAMPLES: f64 = 2e6;

impl Ears {
    /// For `graph`, over `inputs`; `rebuilds` where it is an autoencoder.
    pub(super) fn new(graph: &Graph, inputs: Vec<Signal>, rebuilds: bool) -> Result<Self, RefitError> {
        let outputs = hear(graph, &inputs)?;
        // A model of other channels than it reads is compared with those it has.
        let of_output = |(input, output): (&Signal, &Vec<Vec<f32>>)| -> Vec<Vec<f32>> {
            let wanted = |c: usize| input.channels[c % input.channels.len()][..output[c].len()].to_vec();
            (0..output.len()).map(wanted).collect()
        };
        let rebuilds = rebuilds && graph.output().rate == graph.input().rate;
        let sources = match rebuilds {
            true => inputs.iter().zip(&outputs).flat_map(of_output).collect(),
            false => vec![],
        };
        let originals = outputs.into_iter().flatten().collect();
        Ok(Self { sources: Spectra::new(sources), originals: Spectra::new(originals), inputs, rebuilds })
    }

    /// Distances of what `graph` makes: to what the original made, and to the input where that is to be given back.
    pub(super) fn judge(&self, graph: &Graph) -> Result<(Distance, Option<Distance>), RefitError> {
        let made = Spectra::new(hear(graph, &self.inputs)?.into_iter().flatten().collect());
        Ok((made.from(&self.originals), self.rebuilds.then(|| made.from(&self.sources))))
    }

    /// Distance of what the original made to the input, where it is to give that back.
    pub(super) fn exact(&self) -> Option<Distance> {
        self.rebuilds.then(|| self.originals.from(&self.sources))
    }
}

impl Price {
    /// Against `graph`, the original.
    pub(super) fn new(graph: &Graph, calibration: &Calibration, rebuilds: bool) -> Result<Self, RefitError> {
        let ears = Ears::new(graph, excerpts(graph, calibration)?, rebuilds)?;
        let exact = ears.exact().map_or(0.0, |d| d.log_spectral);
        Ok(Self { ears, exact })
    }

    /// What `graph` adds to the distance at the output.
    pub(super) fn of(&self, graph: &Graph) -> Result<f64, RefitError> {
        let (original, input) = self.ears.judge(graph)?;
        let further = input.map_or(0.0, |input| (input.log_spectral - self.exact).max(0.0));
        // Independent errors add in power; only near the original does the distance to the input tell nothing.
        let weight = if self.ears.rebuilds { 0.3 } else { 1.0 };
        Ok(further + weight * original.log_spectral.powi(2))
    }
}

/// Prices of all cuts of all layers of `graph`.
pub(super) fn probe(
    graph: &Graph,
    calibration: &Calibration,
    price: &Price,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<Offer>, RefitError> {
    let whole = Clock::new(graph).latency(&BTreeMap::new())?;
    let mut signals = Signals::new(graph, Arc::new(calibration.pieces.clone()));
    let mut offers = Vec::new();
    let total = graph.nodes().len() as u64;
    for (id, node) in graph.nodes().iter().enumerate().skip(1) {
        progress(Progress { stage: "Trying cuts", done: id as u64, total });
        let wanted = signals.run(id, &node.op)?;
        let comb = Comb::of(&node.op).filter(|comb| comb.lookahead() > 0);
        for (comb, bound) in comb.iter().flat_map(|comb| bounds(comb).into_iter().map(move |bound| (comb, bound))) {
            // Between two trials, so that whoever wants to end this need not wait for a whole layer.
            progress(Progress { stage: "Trying cuts", done: id as u64, total });
            let saved = whole.saturating_sub(Clock::new(graph).latency(&[(id, bound)].into())?);
            let held = comb.held(bound, EXTRA_TAPS);
            let unknowns = (held.offsets.len() * held.inputs).min(BRIEF.most_unknowns);
            if saved == 0 {
                continue;
            }
            let read = signals.input(node.inputs[0]);
            let few = few(calibration, read[0].frames() / comb.stride as usize, unknowns);
            let [x, y] = [read, &wanted].map(|all| few.iter().map(|&i| all[i].clone()).collect::<Vec<_>>());
            let parts: Vec<Part> = few.iter().map(|&i| calibration.parts[i]).collect();
            let fitted = fit(&node.name, held, &x, &y, &parts, calibration.margins, &BRIEF)?;
            let cost = price.of(&with_ops(graph, &[(id, fitted.comb.ops())].into())?)?;
            offers.push(Offer { node: id, bound, saved, cost });
        }
        signals.keep(id, wanted);
    }
    Ok(offers)
}

/// Lookaheads that a layer is tried with.
fn bounds(comb: &Comb) -> Vec<i64> {
    let most = comb.lookahead();
    let mut bounds = vec![0, most / 4, most / 2, 3 * most / 4];
    bounds.dedup();
    bounds
}

/// As many pieces as a single trial needs, of both parts.
fn few(calibration: &Calibration, rows: usize, unknowns: usize) -> Vec<usize> {
    let enough = (4 * unknowns + 4000).div_ceil(rows.max(1));
    let of = |purpose: Purpose| {
        let parts = calibration.parts.iter().enumerate();
        parts.filter(move |(_, part)| part.purpose == purpose).map(|(piece, _)| piece)
    };
    of(Purpose::Solve).take(enough.max(3)).chain(of(Purpose::Judge).take(enough.div_ceil(3))).collect()
}

/// What is listened to at every trial: the middle of each piece, as long as the work allows.
fn excerpts(graph: &Graph, calibration: &Calibration) -> Result<Vec<Signal>, RefitError> {
    let streamed = rewrite_graph(graph)?;
    let hop = streamed.hop_frames() as usize;
    let samples = (MOST_MACS / streamed.all_macs_per_sample().max(1.0)).min(MOST_SAMPLES) as usize;
    let least = 3 * (calibration.margins.0 + calibration.margins.1) as usize;
    let sounds = calibration.sounding();
    let count = (samples / least.max(1 << 17)).clamp(1, sounds.len());
    let excerpt = |i: usize| {
        let piece = &sounds[i * sounds.len() / count];
        let length = (samples / count / hop * hop).max(hop).min(piece.frames());
        let start = (piece.frames() - length) / 2 / hop * hop;
        Signal { channels: piece.channels.iter().map(|channel| channel[start..start + length].to_vec()).collect() }
    };
    Ok((0..count).map(excerpt).collect())
}

/// The outputs of `graph` over each of `inputs`.
fn hear(graph: &Graph, inputs: &[Signal]) -> Result<Vec<Vec<Vec<f32>>>, RefitError> {
    let plan = Plan::new(&rewrite_graph(graph)?)?;
    let output = |input: &Signal| stream(&plan, input, frames(graph.output(), input.frames())).channels;
    Ok(threads::map(inputs, || (), |(), input| output(input)))
}
