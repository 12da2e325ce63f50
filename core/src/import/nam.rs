//! Neural Amp Modeler: `.nam` files of versions 0.5 to 0.7, and the folders of 2022, `config.json` with `weights.npy`.
//! Written from the format and checked against its player (sdatkinson/NeuralAmpModelerCore 0.5.5).
//!
//! The player runs silence through a model before it plays. For convolutions that is the state an engine starts from
//! anyway; recurrent networks get the state that they reach.

mod activation;
mod convnet;
mod description;
mod file;
mod film;
mod gating;
mod linear;
mod lstm;
mod network;
mod size;
#[cfg(test)]
mod tests;
mod wavenet;
mod weights;

use std::path::Path;

use self::description::{describe, levels};
use self::file::File;
use self::network::{Network, architecture};
use super::bytes;
use super::provenance::{self, file_name};
use super::{ImportError, Options};
use crate::graph::Graph;
use crate::model::{Info, Model, Provenance};

/// Samples per second, where a file does not say.
const ASSUMED_RATE: u32 = 48_000;

/// The model of a `.nam` file.
///
/// # Errors
/// Names what is missing, damaged, unknown, or contradicts another part.
pub fn from_file(name: &str, path: &Path, options: &Options) -> Result<Model, ImportError> {
    from_bytes(name, &file_name(path), &bytes::read(path)?, options)
}

/// The model of a `.nam` file's bytes; `source` names the file.
///
/// # Errors
/// As [`from_file`].
pub fn from_bytes(name: &str, source: &str, bytes: &[u8], options: &Options) -> Result<Model, ImportError> {
    model(&File::parse(bytes, source)?, name, provenance::of_bytes(source, &[bytes]), options)
}

/// The model of a folder that holds `config.json` and `weights.npy`.
///
/// # Errors
/// As [`from_file`].
pub fn from_folder(name: &str, folder: &Path, options: &Options) -> Result<Model, ImportError> {
    let (config, weights) = (bytes::read(&folder.join("config.json"))?, bytes::read(&folder.join("weights.npy"))?);
    let file = File::of_2022(&config, &weights)?;
    model(&file, name, provenance::of_bytes(&file_name(folder), &[&config, &weights]), options)
}

fn model(file: &File, name: &str, provenance: Provenance, options: &Options) -> Result<Model, ImportError> {
    let chosen = size::chosen(file, options.size)?;
    let rate = chosen.rate()?;
    let channels = network::input_channels(chosen)?;
    let mut graph = Graph::new(channels);
    let mut network = Network::new(&mut graph, rate, options.size);
    let found = architecture(&mut network, chosen, 0)?;
    if options.size.is_some() && !network.has_sizes && std::ptr::eq(chosen, file) {
        let found = format!("{} holds a model of one size", provenance.source);
        return Err(ImportError::unknown(found, "leave the size out"));
    }
    let info = Info {
        name: name.into(),
        description: describe(chosen, &found, rate),
        sampling_rate: rate.unwrap_or(ASSUMED_RATE),
        latent_names: vec![],
        provenance,
        levels: levels(chosen),
        refit: None,
    };
    Ok(Model { forward: graph, latent: None, prior: None, info })
}
