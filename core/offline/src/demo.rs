//! The demo model: a small non-causal autoencoder of our own, its training, and what it is worth.
//!
//! Strided convolutions down, transposed ones up, and centred dilated residual branches between them. It is trained
//! from nothing on sounds that [`sound`] synthesizes, so that a first run of Runnel needs no download.

mod network;
mod quality;
mod recipe;
pub mod sound;
mod spectrum;
mod train;
mod weights;

pub use quality::{Quality, judge};
pub use train::{Progress, Training, train};
pub use weights::{Weights, WeightsError};
