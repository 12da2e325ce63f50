//! Models from files: converted ones as they are, trained ones converted on the way.

use std::path::Path;

use anyhow::{Context, Result};
use clap::ValueEnum;
use runnel::Model;
use runnel::import::Options;
use runnel::stream::{StreamGraph, StreamModel};

use crate::progress::spin;

/// A model that streams, and the trained one that it was made of when the file is a checkpoint.
pub(crate) struct Opened {
    pub(crate) streams: StreamModel,
    pub(crate) trained: Option<Model>,
}

/// What a model can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Method {
    /// Audio to audio
    Forward,
    /// Audio to latents
    Encode,
    /// Latents to audio
    Decode,
}

/// Opens a `.runnel` file or anything that converts into one.
///
/// # Errors
/// When the file cannot be read, is no model, or cannot be rewritten.
pub(crate) fn open(path: &Path, options: &Options) -> Result<Opened> {
    let place = || format!("cannot open {}", path.display());
    spin(&format!("Opening {}", path.display()), || {
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("runnel")) {
            let streams = runnel::format::load(path).with_context(place)?;
            return Ok(Opened { streams, trained: None });
        }
        let trained = runnel::import::open(path, options).with_context(place)?;
        let streams = runnel::rewrite::rewrite(&trained).with_context(place)?;
        Ok(Opened { streams, trained: Some(trained) })
    })
}

impl Method {
    /// Every method of `model`.
    pub(crate) fn all(model: &StreamModel) -> Vec<Self> {
        if model.latent.is_some() { vec![Self::Forward, Self::Encode, Self::Decode] } else { vec![Self::Forward] }
    }

    /// The stream of this method.
    ///
    /// # Errors
    /// When the model has no latents.
    pub(crate) fn of(self, model: &StreamModel) -> Result<&StreamGraph> {
        let halves = || {
            let cure = "use --method forward";
            model.latent.as_ref().with_context(|| format!("{} has no latents to {self}; {cure}", model.info.name))
        };
        match self {
            Self::Forward => Ok(&model.forward),
            Self::Encode => Ok(&halves()?.encode),
            Self::Decode => Ok(&halves()?.decode),
        }
    }

    /// Whether it reads audio, rather than latents.
    pub(crate) fn reads_audio(self) -> bool {
        self != Self::Decode
    }

    /// Whether it writes audio, rather than latents.
    pub(crate) fn writes_audio(self) -> bool {
        self != Self::Encode
    }
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Forward => "forward".fmt(f),
            Self::Encode => "encode".fmt(f),
            Self::Decode => "decode".fmt(f),
        }
    }
}
