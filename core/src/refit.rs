//! The latency dial: a trained model refitted to a shorter lookahead, in closed form, without labels or gradients.
//!
//! Every convolution may keep only what lies at most a bound ahead of its frame; its taps are found anew by least
//! squares on calibration audio, layer by layer in forward order: over what it reads in the network as already
//! modified, it shall give what the same layer gives in the original one, before its activation. Later layers are refitted
//! in the same way, cut or not, so that they repair what earlier ones lost. The result is a graph like any: exact as a
//! stream, another model than the trained one, and how far from it is measured on sounds that no equation saw.
//!
//! ```text
//! clips ──Calibration──▶ pieces ──probe──▶ offers ──search──▶ bounds ──layers──▶ refitted graph ──Ears──▶ record
//! ```

mod bill;
mod budget;
mod calibration;
mod chain;
mod comb;
mod distance;
mod fit;
mod moments;
mod narrow;
mod probe;
mod record;
mod rows;
mod search;
mod signals;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::BTreeMap;

pub use bill::Bill;
pub use calibration::Clip;
pub use distance::Distance;
pub use record::{LayerRecord, Record};

use budget::with_ops;
use calibration::Calibration;
use chain::{layers, ops};
use comb::Comb;
use fit::{Fit, THOROUGH};
use probe::{Ears, Offer, Price, probe};
use record::rounded;
use search::search;

use crate::graph::{Graph, GraphError, NodeId, Op};
use crate::model::{Latent, Model};
use crate::plan::PlanError;
use crate::rewrite::{RewriteError, fold_norms, rewrite_graph};

/// Counts changes of what a refit makes of the same sounds: part of the names of refitted models that are kept.
pub const VERSION: u32 = 2;

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
    price: Price,
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
        let price = Price::new(&graph, &calibration, model.latent.is_some())?;
        let offers = probe(&graph, &calibration, &price, progress)?;
        let exact_samples = rewrite_graph(&graph)?.latency_samples();
        Ok(Self {
            model: model.clone(),
            graph,
            calibration,
            calibrated_on: calibrated_on.into(),
            price,
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
        let bounds = search(&self.graph, &self.offers, &self.calibration, &self.price, asked, progress)?;
        let fits = layers(&self.graph, &bounds, &self.calibration, &THOROUGH, progress)?;
        let ops = ops(&fits);
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
        let trained = |op: &Op| Comb::of(op).map(|comb| comb.clone().without_idle().unwrap_or(comb));
        let layers = fits.iter().map(|(&id, fit)| LayerRecord {
            node: self.graph.node(id).name.clone(),
            lookahead_frames: trained(&self.graph.node(id).op).map_or(0, |comb| comb.lookahead()),
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
