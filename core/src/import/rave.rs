//! RAVE: the only place that knows its names and hyper-parameters (Caillon & Esling, *RAVE: A variational autoencoder for
//! fast and high-quality neural audio synthesis*, 2021).
//!
//! Run folders and exports are read into the same description, from which the graphs are built.

mod bindings;
mod decode;
mod description;
mod encode;
mod export;
pub(in crate::import) mod idioms;
mod latents;
mod layers;
mod noise;
mod run;
#[cfg(test)]
mod tests;
mod weights;

use std::path::Path;

use description::{Description, Generation, Input, Latents, Layer, Padding, Prior};

use super::provenance;
use super::{ImportError, Options, checkpoint, gin, script};
use crate::graph::{Graph, Op};
use crate::model::{self, Info, Latent, Levels, Model};
use weights::malformed;

/// RAVE's own, in samples per second, where a file does not say.
const DEFAULT_SAMPLING_RATE: u32 = 44100;

/// The model of a training checkpoint and the configuration its run wrote.
///
/// # Errors
/// Names the key or binding that is missing, damaged, or contradicts another.
pub fn from_run(
    name: &str,
    checkpoint_path: &Path,
    config_path: &Path,
    options: &Options,
) -> Result<Model, ImportError> {
    let config = gin::read(config_path)?;
    let checkpoint = checkpoint::read_where(checkpoint_path, belongs_to_the_model)?;
    let mut state = checkpoint.state;
    if options.ema {
        let Some(averages) = checkpoint.ema else {
            return Err(ImportError::Unknown {
                found: format!("{} holds no averaged weights", checkpoint_path.display()),
                cure: "import it without averaging; only runs with an EMA callback have them".into(),
            });
        };
        state.extend(averages);
    }
    let description = run::describe(state, &config)?;
    model(&description, options, name, checkpoint_path)
}

/// Leaves out what only training needs.
fn belongs_to_the_model(key: &str) -> bool {
    !["discriminator.", "audio_distance.", "multiband_audio_distance."].iter().any(|prefix| key.starts_with(prefix))
}

/// Whether an export is RAVE's, of any generation: [`from_module`] reads it, or says why not.
pub(super) fn knows(root: &script::Module) -> bool {
    export::is_rave(root)
}

/// The halves of an export, read by its modules.
#[cfg(test)]
pub(super) fn halves(root: &script::Module) -> Result<Latent, ImportError> {
    let description = export::describe(root)?;
    let kept = latents::kept(&description, super::LatentChoice::Default)?;
    Ok(Latent { encode: encode::encode(&description, kept)?, decode: decode::decode(&description, kept)? })
}

/// The model of a TorchScript export, streaming or not, whose modules are `root`.
///
/// # Errors
/// When the modules are damaged or of no RAVE 2 model; names the place.
pub(super) fn from_module(
    name: &str,
    path: &Path,
    root: &script::Module,
    options: &Options,
) -> Result<Model, ImportError> {
    if options.ema {
        return Err(ImportError::Unknown {
            found: format!("{} is an export, which holds one set of weights", path.display()),
            cure: "import it without averaging, or import the training run instead".into(),
        });
    }
    if options.sampling_rate.is_some() {
        return Err(ImportError::Unknown {
            found: format!("{} is an export of RAVE, which tells its sampling rate", path.display()),
            cure: "leave the sampling rate out".into(),
        });
    }
    let description = export::describe(root)?;
    model(&description, options, name, path)
}

fn model(description: &Description, options: &Options, name: &str, source: &Path) -> Result<Model, ImportError> {
    let kept = latents::kept(description, options.latents)?;
    let encode = encode::encode(description, kept)?;
    let decode = decode::decode(description, kept)?;
    let forward = encode.then("latents", &decode)?;
    let prior = description.prior.as_ref().map(|prior| played(prior, &decode)).transpose()?;
    let info = Info {
        name: name.into(),
        description: describe(description, &encode),
        sampling_rate: description.sampling_rate,
        latent_names: (1..=encode.output().channels).map(|i| format!("latent {i}")).collect(),
        provenance: provenance::of_file(source)?,
        levels: Levels::default(),
        refit: None,
    };
    Ok(Model { forward, latent: Some(Latent { encode, decode }), prior, info })
}

/// The prior, if it makes the latents that `decode` reads, at the rate at which it reads them.
fn played(prior: &Prior, decode: &Graph) -> Result<model::Prior, ImportError> {
    let (makes, reads) = (prior.network.input().channels / prior.resolution, decode.input().channels);
    if makes != reads {
        return Err(ImportError::Unknown {
            found: format!("a prior of {makes} latents for a decoder that reads {reads}"),
            cure: format!(
                "leave the number of latents and the fidelity to their defaults, or export the model again with a \
                 fidelity that keeps {makes}"
            ),
        });
    }
    let rate = decode.output().rate;
    if (rate.numerator(), rate.denominator()) != (prior.ratio as u64, 1) {
        let reason = format!("is {}; the decoder makes {rate} samples of each frame", prior.ratio);
        return Err(malformed("prior_module.ratio", reason));
    }
    Ok(model::Prior { network: prior.network.clone(), resolution: prior.resolution })
}

/// What was found, in one line.
fn describe(description: &Description, encode: &Graph) -> String {
    let uses = |op: fn(&Op) -> bool| description.encoder.iter().chain(&description.decoder).any(|l| l.uses(op));
    let snake = uses(|op| matches!(op, Op::Snake { .. }));
    let adain = uses(|op| matches!(op, Op::AdaIn { .. }));
    let family = match description.generation {
        Generation::V1 => "RAVE v1",
        Generation::V2 if snake && adain => "RAVE v3",
        Generation::V2 => "RAVE v2",
    };
    let latents = encode.output().channels;
    let mut parts = vec![family.to_string()];
    let mut flag = |on: bool, word: &str| {
        if on {
            parts.push(word.into());
        }
    };
    flag(is_causal(&description.encoder), "causal");
    flag(family != "RAVE v3" && snake, "snake");
    flag(family != "RAVE v3" && adain, "adain");
    flag(matches!(description.input, Input::Mel(_)), "mel input");
    flag(matches!(description.input, Input::Raw), "raw input");
    flag(description.output.is_none(), "raw output");
    flag(description.head.has_noise(), "noise");
    match description.channels {
        1 => parts.push("mono".into()),
        2 => parts.push("stereo".into()),
        n => parts.push(format!("{n} channels")),
    }
    parts.push(format!("{} Hz", description.sampling_rate));
    let rate = encode.output().rate;
    parts.push(match rate.numerator() {
        1 => format!("ratio {}", rate.denominator()),
        _ => format!("ratio {}/{}", rate.denominator(), rate.numerator()),
    });
    parts.push(match &description.latents {
        Latents::Variational { mean, .. } => format!("{latents} of {} latents", mean.len()),
        Latents::Discrete { codebooks } => format!("{latents} codebooks of {}", codebooks.shape()[1]),
        Latents::Wasserstein => format!("{latents} latents (wasserstein)"),
        Latents::Spherical => format!("{latents} angles (spherical)"),
    });
    if description.prior.is_some() {
        parts.push("prior".into());
    }
    parts.extend(description.remarks.iter().cloned());
    parts.join(", ")
}

/// Channels that the first of `layers`, which stands at `place`, reads.
fn input_width(layers: &[Layer], place: &str) -> Result<usize, ImportError> {
    match layers.first() {
        Some(Layer::Op { op: Op::Conv1d(conv), .. }) => Ok(conv.weight.shape()[1].saturating_mul(conv.groups)),
        Some(Layer::Op { op: Op::Gru(gru), .. }) => Ok(gru.weight_ih.shape()[1]),
        _ => {
            let reason = "is neither a convolution nor a recurrent layer; the file is damaged or not of RAVE";
            Err(malformed(place, reason.into()))
        }
    }
}

/// Audio channels of an encoder that reads `width` channels, `per_channel` of them for each.
fn audio_channels(width: usize, per_channel: usize) -> Result<usize, ImportError> {
    const LIMIT: usize = 64;
    let channels = width / per_channel;
    if width.is_multiple_of(per_channel) && channels <= LIMIT {
        return Ok(channels);
    }
    let reason = format!("reads {width} channels; {per_channel} for each of 1 to {LIMIT} audio channels are needed");
    Err(malformed("encoder.net.0", reason))
}

/// Whether the waveform's convolution makes an amplitude for each of `rows` channels too.
fn amplitude_modulation(waveform: &Layer, rows: usize) -> Result<bool, ImportError> {
    match (waveform, waveform.channels()) {
        (_, Some(found)) if found == rows => Ok(false),
        (_, Some(found)) if found == 2 * rows => Ok(true),
        (Layer::Op { name, .. }, found) => {
            let reason = format!(
                "makes {found:?} channels; {rows}, or twice that, are needed for this number of bands and channels"
            );
            Err(malformed(name, reason))
        }
        _ => Err(malformed("decoder.net", "does not end in a convolution".into())),
    }
}

/// Whether the encoder's first convolution reads nothing of the future.
fn is_causal(encoder: &[Layer]) -> bool {
    match encoder.first() {
        Some(Layer::Op { op: Op::Conv1d(conv), .. }) => {
            let reach = Padding::Causal.left(conv.weight.shape()[2], conv.dilation);
            reach > 0 && conv.left_padding == reach
        }
        _ => false,
    }
}
