//! Model: what an import yields.

use serde::{Deserialize, Serialize};

use crate::graph::Graph;
use crate::refit::Record;

/// A trained model and what its file says of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Audio to audio.
    pub forward: Graph,
    /// The two halves of an autoencoder; `forward` is `encode`, an edit point, `decode`.
    pub latent: Option<Latent>,
    /// What its latents are likely to do next.
    pub prior: Option<Prior>,
    /// Facts for people.
    pub info: Info,
}

/// The halves of an autoencoder.
#[derive(Clone, Debug, PartialEq)]
pub struct Latent {
    /// Audio to latents.
    pub encode: Graph,
    /// Latents to audio.
    pub decode: Graph,
}

/// An autoregressive model of quantised latents: what comes next after what came before.
///
/// Each latent is one of `resolution` steps of equal probability under N(0, 1), and `network` maps frames of indices,
/// one-hot (channel `latent · resolution + index`), to the logits of the frame that follows, at the latents' rate and
/// reading nothing ahead. Latent `c` at time `t` is drawn in frame `t − (latents − 1) + c`: after the latents before it at
/// the same time, which it is told of.
#[derive(Clone, Debug, PartialEq)]
pub struct Prior {
    /// One-hot frames to logits, as many channels.
    pub network: Graph,
    /// Indices of each latent.
    pub resolution: usize,
}

/// Facts about a model that its graphs do not hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Info {
    /// The model's name: the file's or run's stem.
    pub name: String,
    /// What was found, in one line, such as `RAVE v2, mono, 44100 Hz, ratio 2048, 16 of 128 latents`.
    pub description: String,
    /// Samples per second.
    pub sampling_rate: u32,
    /// One name per latent; empty without latents.
    pub latent_names: Vec<String>,
    /// Where it came from.
    pub provenance: Provenance,
    /// How loud it is meant to be played.
    #[serde(default, skip_serializing_if = "Levels::are_unknown")]
    pub levels: Levels,
    /// What was given up for a shorter latency; nothing in an exact conversion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refit: Option<Record>,
}

/// Levels that a file tells of its model; none is needed to run it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Levels {
    /// Of what it makes of a standard signal, in dB.
    pub loudness_db: Option<f64>,
    /// Of the analogue input that a full-scale sine stood for in training, in dBu.
    pub input_dbu: Option<f64>,
    /// Of the analogue output that a full-scale sine stood for in training, in dBu.
    pub output_dbu: Option<f64>,
}

impl Levels {
    fn are_unknown(&self) -> bool {
        *self == Self::default()
    }
}

/// Where a model came from; empty where nobody knows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// The source file's name, without its folder.
    pub source: String,
    /// SHA-256 of the source file, hexadecimal.
    pub sha256: String,
    /// The converter's version.
    pub converter: String,
}
