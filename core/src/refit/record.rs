//! What a refitted file tells of itself.

use serde::{Deserialize, Serialize};

use super::Distance;

/// What a refit did, and how far it went from the trained model; part of [`crate::Info`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Latency asked for, in samples.
    pub asked_samples: u64,
    /// Latency reached, in samples: at most what was asked for.
    pub reached_samples: u64,
    /// Latency of the model as it was trained, in samples.
    pub exact_samples: u64,
    /// What the calibration audio was, for people.
    pub calibrated_on: String,
    /// Samples that the layers were solved and chosen on.
    pub calibration_samples: u64,
    /// Samples that the distances below were measured on, and nothing else.
    pub held_out_samples: u64,
    /// From the refitted model's output to the original's.
    pub to_original: Distance,
    /// From the refitted model's output to its input, of an autoencoder.
    pub to_input: Option<Distance>,
    /// From the original model's output to its input, of an autoencoder.
    pub exact_to_input: Option<Distance>,
    /// The layers that were cut, and later ones that were refitted as well, in forward order.
    pub layers: Vec<LayerRecord>,
}

/// One layer that was refitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerRecord {
    /// Place in the model.
    pub node: String,
    /// Frames ahead that it was trained with; output frames of a transposed convolution.
    pub lookahead_frames: i64,
    /// Frames ahead that it kept; all of them, where it was not cut.
    pub kept_frames: i64,
    /// Ridge, in units of the mean power of what it reads.
    pub ridge: f64,
    /// Power of its error over that of the original's output around its mean, on pieces that it was not solved on.
    pub error: f64,
    /// The same, of weights that read the newest frame kept in place of later ones.
    pub held_error: f64,
    /// Equations of each output.
    pub rows: u64,
}

impl LayerRecord {
    /// Whether it gave up some of its lookahead.
    pub fn is_cut(&self) -> bool {
        self.kept_frames < self.lookahead_frames
    }
}

/// Six decimals, which a file gives back as they are.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

impl Distance {
    /// The same in six decimals.
    pub(super) fn rounded(self) -> Self {
        Self { waveform_db: self.waveform_db.map(rounded), log_spectral: rounded(self.log_spectral) }
    }
}

impl Record {
    /// In a few words, such as `refitted from 602 to 98 ms`.
    pub fn summary(&self, sampling_rate: u32) -> String {
        let ms = |samples: u64| samples as f64 * 1e3 / f64::from(sampling_rate);
        format!("refitted from {:.0} to {:.0} ms", ms(self.exact_samples), ms(self.reached_samples))
    }
}
