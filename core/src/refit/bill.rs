//! What a refit needs, told before it starts.

use crate::graph::{Graph, Op};
use crate::model::Model;
use crate::rewrite::{fold_norms, rewrite_graph};
use crate::stream::StreamGraph;

use super::budget::{Bounds, Clock};
use super::calibration::{Cut, least_samples, live_bytes_per_sample};
use super::comb::Comb;
use super::fit::MOST_UNKNOWNS;
use super::probe::MOST_SAMPLES;
use super::{EXTRA_TAPS, RefitError};

/// What a refit of one model needs.
#[derive(Clone, Debug)]
pub struct Bill {
    /// Latency of the model as it is, in samples.
    pub exact_samples: u64,
    /// The least latency that refitting can reach, in samples, whatever it costs.
    pub least_latency_samples: u64,
    /// Fewest samples of calibration audio that will do.
    pub least_audio_samples: usize,
    stream: StreamGraph,
    /// Bytes of weights, and of the equations of the largest layer.
    fixed_bytes: f64,
}

/// Equations held at once: those of four threads, their sum, and a copy with its factors.
const EQUATIONS: f64 = 7.0;
/// Bytes of the spectra of one sample, of one sound: two values for each of four windows.
const SPECTRUM_BYTES: f64 = 32.0;

impl Bill {
    /// Of a refit of `model`.
    ///
    /// # Errors
    /// When the model cannot be rewritten.
    pub fn of(model: &Model) -> Result<Self, RefitError> {
        let graph = fold_norms(&model.forward)?;
        let stream = rewrite_graph(&graph)?;
        let layers = graph.nodes().iter().map(|node| equations_bytes(&node.op)).fold(0.0, f64::max);
        // Refitted layers in f64, and graphs in f32.
        let weights = 32.0 * stream.weights().map(|weight| weight.len() as f64).sum::<f64>();
        Ok(Self {
            exact_samples: stream.latency_samples(),
            least_latency_samples: least(&graph)?,
            least_audio_samples: least_samples(&stream),
            stream,
            fixed_bytes: layers + weights,
        })
    }

    /// Bytes that a refit on `samples` samples of calibration audio takes at most, beside the model itself.
    pub fn most_bytes(&self, samples: usize) -> u64 {
        let channels = self.stream.input().channels.max(self.stream.output().channels) as f64;
        let Cut { length, used, .. } = Cut::of(samples.max(1), &self.stream);
        let heard = (length * (used + 1)) as f64;
        let signals = heard * live_bytes_per_sample(&self.stream);
        // The clips, the same in a row, in pieces; and the spectra of three sounds, over what is listened to.
        let listened = (heard / 5.0 + length as f64).max(MOST_SAMPLES.min(heard));
        let sounds = 3.0 * 4.0 * channels * samples as f64 + 3.0 * SPECTRUM_BYTES * channels * listened;
        (signals + sounds + self.fixed_bytes) as u64
    }
}

/// The least latency of `graph` when every layer gives up all that it can.
pub(super) fn least(graph: &Graph) -> Result<u64, RefitError> {
    let ahead = |op: &Op| Comb::of(op).is_some_and(|comb| comb.lookahead() > 0);
    let bounds: Bounds =
        graph.nodes().iter().enumerate().filter(|(_, node)| ahead(&node.op)).map(|(id, _)| (id, 0)).collect();
    Clock::new(graph).latency(&bounds)
}

/// Bytes of the equations of one group of a convolution, with all the taps that a cut one may have.
fn equations_bytes(op: &Op) -> f64 {
    let (taps, inputs, width) = match op {
        Op::Conv1d(conv) => {
            let shape = conv.weight.shape();
            (shape[2], shape[1], shape[0] / conv.groups)
        }
        Op::ConvTranspose1d(conv) => {
            let shape = conv.weight.shape();
            (shape[2].div_ceil(conv.stride), shape[0] / conv.groups, conv.stride * shape[1])
        }
        _ => return 0.0,
    };
    let most = (taps + EXTRA_TAPS as usize + 2) * inputs + 1;
    let unknowns = most.min(MOST_UNKNOWNS) as f64;
    EQUATIONS * 8.0 * unknowns * (unknowns + width as f64)
}
