//! Models from files: converted ones as they are, trained ones converted on the way.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use clap::ValueEnum;
use runnel::rewrite::rewrite;
use runnel::{Model, StreamGraph, StreamModel, format, import};

use crate::audio::named_like_audio;
use crate::input;
use crate::offline::OfflineMethod;
use crate::progress::spin;

/// A model that streams, and the trained one that it was made of when the file is a checkpoint.
pub(crate) struct Opened {
    pub(crate) streams: StreamModel,
    pub(crate) trained: Option<Model>,
}

/// What a model can do: audio to audio, audio to latents, latents to audio, and frames of indices of latents to the
/// logits of the frames that follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Method {
    Forward,
    Encode,
    Decode,
    Prior,
}

/// Opens a `.runnel` file or anything that converts into one.
///
/// # Errors
/// When the file cannot be read, is no model, or cannot be rewritten.
pub(crate) fn open(path: &Path) -> Result<Opened> {
    let metadata = std::fs::metadata(path).map_err(|e| input::explain(&e, path))?;
    if !metadata.is_file() && !metadata.is_dir() {
        bail!("cannot open {}: it is a pipe or a device; give a file or a folder", path.display());
    }
    if named_like_audio(path) {
        bail!(
            "cannot open {} as a model: its name is that of a sound; give a .runnel file or a checkpoint",
            path.display()
        );
    }
    let refused = |e: &dyn std::fmt::Display| refused("open", path, e);
    spin(&format!("Opening {}", path.display()), || {
        if metadata.is_file() && format::is_runnel(path).map_err(|e| refused(&e))? {
            return Ok(Opened { streams: format::load(path).map_err(|e| refused(&e))?, trained: None });
        }
        let trained = import::open(path, &Default::default()).map_err(|e| refused(&e))?;
        let streams = rewrite(&trained).map_err(|e| refused(&e))?;
        Ok(Opened { streams, trained: Some(trained) })
    })
}

/// `cannot VERB PATH: reason`, with the path once. Reasons come as `reason`, as `PATH: reason`, and as `PATH is …`.
pub(crate) fn refused(verb: &str, path: &Path, reason: &dyn std::fmt::Display) -> anyhow::Error {
    let (path, reason) = (path.display().to_string(), reason.to_string());
    match reason.strip_prefix(&path) {
        Some(rest) if rest.starts_with(": ") => anyhow!("cannot {verb} {reason}"),
        Some(rest) if rest.starts_with(' ') => anyhow!("cannot {verb} {path}: it{rest}"),
        _ => anyhow!("cannot {verb} {path}: {reason}"),
    }
}

impl Opened {
    /// The trained graph of `method`, to be run whole. Of a `.runnel` file, the graph that its stream stands for.
    ///
    /// # Errors
    /// When the model has no such method.
    pub(crate) fn offline(&self, method: Method) -> Result<OfflineMethod> {
        let stream = method.of(&self.streams)?;
        let graph = match (&self.trained, method) {
            (Some(trained), Method::Forward) => trained.forward.clone(),
            (Some(Model { latent: Some(latent), .. }), Method::Encode) => latent.encode.clone(),
            (Some(Model { latent: Some(latent), .. }), Method::Decode) => latent.decode.clone(),
            (Some(Model { prior: Some(prior), .. }), Method::Prior) => prior.network.clone(),
            _ => stream.offline()?,
        };
        Ok(OfflineMethod::new(graph, stream))
    }
}

impl Method {
    /// Every method of `model`.
    pub(crate) fn all(model: &StreamModel) -> Vec<Self> {
        let latent = model.latent.iter().flat_map(|_| [Self::Encode, Self::Decode]);
        let prior = model.prior.iter().map(|_| Self::Prior);
        std::iter::once(Self::Forward).chain(latent).chain(prior).collect()
    }

    /// The stream of this method.
    ///
    /// # Errors
    /// When the model has no latents, or no prior.
    pub(crate) fn of(self, model: &StreamModel) -> Result<&StreamGraph> {
        let halves = || {
            let cure = "use --method forward";
            model.latent.as_ref().with_context(|| format!("{} has no latents to {self}; {cure}", model.info.name))
        };
        match self {
            Self::Forward => Ok(&model.forward),
            Self::Encode => Ok(&halves()?.encode),
            Self::Decode => Ok(&halves()?.decode),
            Self::Prior => match &model.prior {
                Some(prior) => Ok(prior.network()),
                None => {
                    bail!("{} has no prior; only exports made with `rave export --prior` have one", model.info.name)
                }
            },
        }
    }

    /// Whether it reads audio, rather than latents.
    pub(crate) fn reads_audio(self) -> bool {
        matches!(self, Self::Forward | Self::Encode)
    }

    /// Whether it writes audio, rather than latents.
    pub(crate) fn writes_audio(self) -> bool {
        matches!(self, Self::Forward | Self::Decode)
    }
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Forward => "forward".fmt(f),
            Self::Encode => "encode".fmt(f),
            Self::Decode => "decode".fmt(f),
            Self::Prior => "prior".fmt(f),
        }
    }
}
