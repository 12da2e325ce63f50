//! The demo model: a small non-causal autoencoder of our own, its training, and what it is worth.
//!
//! Strided convolutions down, transposed ones up, and centred dilated residual branches between them. It is trained
//! from nothing on sounds that [`runnel::sound`] synthesizes, so that a first run of Runnel needs no download.

mod network;
mod quality;
mod recipe;
mod spectrum;
mod train;
mod weights;

use runnel::Model;

pub use quality::{Quality, judge};
pub use train::{Progress, Training, train};
pub use weights::{Weights, WeightsError};

/// The weights that the training of [`Training::published`] made.
const WEIGHTS: &[u8] = include_bytes!("../demo/weights.safetensors");

/// The demo model.
///
/// # Panics
/// Never: a test reads what is embedded.
pub fn model() -> Model {
    let weights = Weights::from_bytes(WEIGHTS).expect("the embedded weights");
    weights.model().expect("the embedded weights")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_model_rebuilds_sounds_it_has_not_heard() {
        let floors = [10.0, 2.5, 7.0, 2.0, 10.0, 7.0, 6.0, 2.0];
        for ((kind, quality), floor) in judge(&model().forward, 77, 2).into_iter().zip(floors) {
            assert!(quality.snr_db > floor && quality.log_spectral_distance_db < 11.0, "{kind:?}: {quality:?}");
        }
    }
}
