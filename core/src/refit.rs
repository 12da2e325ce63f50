//! The latency dial: a trained model refitted to a shorter lookahead, in closed form, without labels or gradients.
//!
//! Every convolution may keep only what lies at most a bound ahead of its frame; its taps are found anew by least
//! squares on calibration audio, layer by layer in forward order: over what it reads in the network as already
//! modified, it shall give what the same layer gives in the original one, before its activation. So later layers also
//! repair what earlier ones lost. The result is a graph like any: exact as a stream, another model than the trained
//! one, and how far from it is measured on sounds that no equation saw.
//!
//! ```text
//! clips ──Calibration──▶ pieces ──probe──▶ offers ──choose──▶ bounds ──layers──▶ refitted graph ──Ears──▶ record
//! ```

mod bill;
mod budget;
mod calibration;
mod comb;
mod distance;
mod fit;
mod moments;
mod probe;
mod record;
mod signals;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use bill::Bill;
pub use calibration::Clip;
pub use distance::Distance;
pub use record::{LayerRecord, Record};

use budget::{Bounds, choose, with_ops};
use calibration::Calibration;
use comb::Comb;
use fit::{Fit, RIDGES, fit};
use probe::{Ears, Offer, probe};
use record::rounded;
use walk::Signals;

use crate::graph::{Graph, GraphError, NodeId, Op};
use crate::model::{Latent, Model};
use crate::plan::PlanError;
use crate::rewrite::{RewriteError, fold_norms, rewrite_graph};

/// Counts changes of what a refit makes of the same sounds: part of the names of refitted models that are kept.
pub const VERSION: u32 = 1;

/// How far a refit has come. Whoever is told may unwind to end it: nothing is left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub stage: &'static str,
    /// Steps done.
    pub done: u64,
    /// Steps to do.
    pub total: u64,
}

/// Why a model cannot be refitted.
#[derive(Debug, thiserror::Error)]
pub enum RefitError {
    /// Calibration audio holds what is no number.
    #[error("{clip}: sample {sample} is not a number; leave this file out")]
    NotFinite {
        /// Which clip.
        clip: String,
        /// Where in it.
        sample: usize,
    },
    /// There is not enough calibration audio.
    #[error(
        "{samples} samples of calibration audio, this model needs at least {least}; give more, minutes of what it will \
         play are best"
    )]
    TooShort {
        /// Samples given.
        samples: usize,
        /// Fewest samples that this model can be refitted on.
        least: usize,
    },
    /// The calibration audio is silent.
    #[error("all {samples} samples of calibration audio are silent; give sound such as the model will play")]
    Silent {
        /// Samples given.
        samples: usize,
    },
    /// The model cannot be that fast.
    #[error(
        "{asked} samples of latency: the least that this model can be refitted to is {least}; ask for that or more"
    )]
    Impossible {
        /// Samples asked for.
        asked: u64,
        /// The least that is possible.
        least: u64,
    },
    /// A layer's equations have no solution in numbers.
    #[error("{node}: its activations over the calibration audio are out of range; leave out what is far too loud")]
    Unsolvable {
        /// Place in the model.
        node: String,
    },
    /// A changed graph does not fit together: a defect.
    #[error("while refitting: {0}")]
    Rewrite(#[from] RewriteError),
    /// A changed graph cannot be run.
    #[error("while refitting: {0}")]
    Plan(#[from] PlanError),
}

impl From<GraphError> for RefitError {
    fn from(error: GraphError) -> Self {
        Self::Rewrite(error.into())
    }
}

/// A model measured for refitting: its pieces of calibration audio, and what every cut of every layer costs. One serves
/// any number of latencies.
pub struct Refitter {
    model: Model,
    /// The trained graph, norms folded.
    graph: Graph,
    calibration: Calibration,
    calibrated_on: String,
    offers: Vec<Offer>,
    exact_samples: u64,
}

/// Older taps that a cut layer gets for those it gives up.
const EXTRA_TAPS: i64 = 2;

impl Refitter {
    /// Measures `model` on `clips`, which `calibrated_on` describes in the record.
    ///
    /// # Errors
    /// When the clips will not do, or the model cannot be run.
    pub fn new(
        model: &Model,
        clips: &[Clip],
        calibrated_on: &str,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, RefitError> {
        let graph = fold_norms(&model.forward)?;
        let calibration = Calibration::new(clips, &graph)?;
        let offers = probe(&graph, &calibration, model.latent.is_some(), progress)?;
        let exact_samples = rewrite_graph(&graph)?.latency_samples();
        Ok(Self {
            model: model.clone(),
            graph,
            calibration,
            calibrated_on: calibrated_on.into(),
            offers,
            exact_samples,
        })
    }

    /// Latency of the model as it was trained, in samples.
    pub fn exact_samples(&self) -> u64 {
        self.exact_samples
    }

    /// The model refitted to at most `asked` samples of latency, with its record in `info`; the model itself where it is
    /// that fast already.
    ///
    /// # Errors
    /// When that is less than is possible.
    pub fn refit(&self, asked: u64, progress: &mut dyn FnMut(Progress)) -> Result<Model, RefitError> {
        if asked >= self.exact_samples {
            return Ok(self.model.clone());
        }
        let bounds = choose(&self.graph, &self.offers, asked)?;
        let fits = layers(&self.graph, &bounds, &self.calibration, progress)?;
        let ops: BTreeMap<NodeId, Vec<Op>> = fits.iter().map(|(&id, fit)| (id, fit.comb.ops())).collect();
        let graph = with_ops(&self.graph, &ops)?;
        let mut model = self.model.clone();
        if let Some(latent) = &self.model.latent {
            let half = |half: &Graph| self.half(half, &ops);
            model.latent = Some(Latent { encode: half(&latent.encode)?, decode: half(&latent.decode)? });
        }
        progress(Progress { stage: "Listening", done: 0, total: 1 });
        let record = self.record(asked, &graph, &fits)?;
        model.info.description += &format!(", {}", record.summary(model.info.sampling_rate));
        model.info.refit = Some(record);
        model.forward = graph;
        Ok(model)
    }

    /// One half of the model with the ops that its nodes have in the whole.
    fn half(&self, half: &Graph, ops: &BTreeMap<NodeId, Vec<Op>>) -> Result<Graph, RefitError> {
        let folded = fold_norms(half)?;
        let named = |node: &crate::graph::Node| ops.get(&self.graph.find(&node.name)?).cloned();
        let nodes = folded.nodes().iter().enumerate().skip(1);
        let own = nodes.filter_map(|(id, node)| Some((id, named(node)?))).collect();
        with_ops(&folded, &own)
    }

    fn record(&self, asked: u64, graph: &Graph, fits: &BTreeMap<NodeId, Fit>) -> Result<Record, RefitError> {
        let ears = Ears::new(&self.graph, self.calibration.held_out.clone(), self.model.latent.is_some())?;
        let (to_original, to_input) = ears.judge(graph)?;
        let (calibration_samples, held_out_samples) = self.calibration.samples();
        let layers = fits.iter().map(|(&id, fit)| LayerRecord {
            node: self.graph.node(id).name.clone(),
            lookahead_frames: Comb::of(&self.graph.node(id).op).map_or(0, |comb| comb.lookahead()),
            kept_frames: fit.comb.lookahead(),
            ridge: fit.ridge,
            error: rounded(fit.error),
            held_error: rounded(fit.held_error),
            rows: fit.rows,
        });
        Ok(Record {
            asked_samples: asked,
            reached_samples: rewrite_graph(graph)?.latency_samples(),
            exact_samples: self.exact_samples,
            calibrated_on: self.calibrated_on.clone(),
            calibration_samples,
            held_out_samples,
            to_original: to_original.rounded(),
            to_input: to_input.map(Distance::rounded),
            exact_to_input: ears.exact().map(Distance::rounded),
            layers: layers.collect(),
        })
    }
}

/// Every layer of `bounds`, refitted in forward order.
fn layers(
    graph: &Graph,
    bounds: &Bounds,
    calibration: &Calibration,
    progress: &mut dyn FnMut(Progress),
) -> Result<BTreeMap<NodeId, Fit>, RefitError> {
    let inputs = Arc::new(calibration.pieces.clone());
    let (mut original, mut modified) = (Signals::new(graph, inputs.clone()), Signals::new(graph, inputs));
    let mut fits = BTreeMap::new();
    let Some(&last) = bounds.keys().last() else { return Ok(fits) };
    for (id, node) in graph.nodes().iter().enumerate().take(last + 1).skip(1) {
        progress(Progress { stage: "Refitting", done: id as u64, total: last as u64 });
        let wanted = original.run(id, &node.op)?;
        let same = node.inputs.iter().all(|&i| Arc::ptr_eq(original.input(i), modified.input(i)));
        let made = match (bounds.get(&id), Comb::of(&node.op)) {
            (Some(&bound), Some(comb)) => {
                let (x, held) = (modified.input(node.inputs[0]), comb.held(bound, EXTRA_TAPS));
                let fit = fit(&node.name, held, x, &wanted, &calibration.parts, calibration.margins, &RIDGES)?;
                let made = modified.run_sum(id, &fit.comb.ops())?;
                fits.insert(id, fit);
                made
            }
            _ if same => wanted.clone(),
            _ => modified.run(id, &node.op)?,
        };
        original.keep(id, wanted);
        modified.keep(id, made);
    }
    Ok(fits)
}

/// The least latency that refitting can reach, in samples, whatever it costs.
///
/// # Errors
/// When the model cannot be rewritten.
pub fn least_samples(model: &Model) -> Result<u64, RefitError> {
    bill::least(&fold_norms(&model.forward)?)
}
