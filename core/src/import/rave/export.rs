//! TorchScript export → description. Each class of the module tree is one kind of layer; a streaming export's caches,
//! alignment delays and stride delays are left behind, which gives the offline model back.

mod module;
mod prior;

use module::{At, class};

use super::DEFAULT_SAMPLING_RATE;
use super::description::{Description, Generation, Head, Input, Latents, Layer, Mel, Padding, Pqmf, Spectrum};
use super::weights::malformed;
use crate::import::ImportError;
use crate::import::script::{Constant, Module};

/// Describes the model of an export.
///
/// # Errors
/// When the module is no RAVE 2 export, and names the place that is missing, damaged, or not stock RAVE.
pub(super) fn describe(root: &Module) -> Result<Description, ImportError> {
    if !class(root).ends_with("ScriptedRAVE") {
        return Err(not_rave(root));
    }
    let root = At::root(root);
    let encoder = root.child("encoder")?;
    let encoder_net = encoder.child("encoder")?;
    let decoder = root.child("decoder")?;
    let pqmf_padding = match root.optional("pqmf").and_then(|pqmf| pqmf.optional("forward_conv")) {
        Some(conv) => first_padding(&conv, Padding::Centered)?,
        None => Padding::Centered,
    };
    let pqmf = pqmf(&root, pqmf_padding)?;
    let (generation, encoder_chain) = {
        let net = encoder_net.child("net")?;
        let generation = match class(encoder_net.module) {
            "Encoder" => Generation::V1,
            "EncoderV2" => Generation::V2,
            _ => return Err(encoder_net.unknown()),
        };
        let padding = net_padding(&net, pqmf_padding)?;
        (generation, net.chain(padding)?)
    };
    let (input, per_channel) = match root.module.text("input_mode").unwrap_or("pqmf") {
        "pqmf" => pqmf.clone().map_or((Input::Raw, 1), |p| {
            let bands = p.bands();
            (Input::Bands(p), bands)
        }),
        "raw" => (Input::Raw, 1),
        "mel" => {
            let mel = mel(&root.child("spectrogram")?)?;
            let mels = mel.filterbank.shape()[0];
            (Input::Mel(mel), mels)
        }
        other => return Err(malformed("input_mode", format!("is {other}; pqmf, raw or mel is needed"))),
    };
    let width = super::input_width(&encoder_chain, "encoder.net.0")?;
    let channels = super::audio_channels(width, per_channel)?;
    let output = if root.module.text("output_mode") == Some("raw") { None } else { pqmf };
    let rows = channels * output.as_ref().map_or(1, Pqmf::bands);

    let decoder_net = decoder.child("net")?;
    let padding = net_padding(&decoder_net, pqmf_padding)?;
    let mut decoder_chain = decoder_net.chain(padding)?;
    let head = match class(decoder.module) {
        "Generator" => v1_head(&decoder, padding, rows)?,
        "GeneratorV2" => v2_head(&decoder, &mut decoder_chain, padding, rows)?,
        _ => return Err(decoder.unknown()),
    };
    let (sampling_rate, remarks) = sampling_rate(&root)?;
    Ok(Description {
        generation,
        channels,
        sampling_rate,
        input,
        encoder: encoder_chain,
        latents: latents(&root, &encoder)?,
        decoder: decoder_chain,
        head,
        output,
        prior: match root.optional("prior_module") {
            Some(prior) => prior::prior(&prior)?,
            None => None,
        },
        exported_latents: root.module.int("latent_size").and_then(|n| usize::try_from(n).ok()),
        remarks,
    })
}

fn v1_head(decoder: &At, padding: Padding, rows: usize) -> Result<Head, ImportError> {
    let branches = decoder.child("synth")?.child("branches")?;
    let loudness = branches.child("1")?;
    // RAVE adds the noise only from its second training phase on.
    let noise = match branches.optional("2") {
        Some(noise) if decoder.scalar_or_zero("warmed_up")? != 0.0 => Some(noise.noise(padding, rows, false)?),
        _ => None,
    };
    Ok(Head::V1 {
        waveform: branches.child("0")?.conv(padding, false)?,
        loudness_stride: loudness.constant("stride")?,
        loudness: loudness.conv(padding, false)?,
        noise,
    })
}

fn v2_head(decoder: &At, chain: &mut Vec<Layer>, padding: Padding, rows: usize) -> Result<Head, ImportError> {
    let waveform = match decoder.optional("waveform_module") {
        Some(module) => module.conv(padding, false)?,
        None => chain.pop().ok_or_else(|| malformed("decoder.net", "is empty; the export is damaged".into()))?,
    };
    let noise = match decoder.optional("noise_module") {
        Some(noise) => Some(noise.noise(padding, rows, true)?),
        None => None,
    };
    let amplitude_modulation = super::amplitude_modulation(&waveform, rows)?;
    Ok(Head::V2 { waveform, amplitude_modulation, noise })
}

fn pqmf(root: &At, padding: Padding) -> Result<Option<Pqmf>, ImportError> {
    let Some(pqmf) = root.optional("pqmf") else { return Ok(None) };
    let analysis = pqmf.child("forward_conv")?.tensor::<3>("weight")?;
    let synthesis = pqmf.child("inverse_conv")?.tensor::<3>("weight")?;
    Pqmf::new(analysis, synthesis, |kernel_size| padding.left(kernel_size, 1))
}

fn latents(root: &At, encoder: &At) -> Result<Latents, ImportError> {
    Ok(match class(encoder.module) {
        "VariationalEncoder" => Latents::variational(
            root.tensor::<2>("latent_pca")?,
            root.tensor::<1>("latent_mean")?,
            root.tensor::<1>("fidelity")?,
        )?,
        "DiscreteEncoder" => {
            let layers = encoder.child("rvq")?.child("layers")?;
            let mut books = Vec::new();
            for (name, _) in layers.module.children() {
                let layer = layers.child(name)?;
                for projection in ["project_in", "project_out"] {
                    if layer.optional(projection).is_some_and(|p| class(p.module) != "Identity") {
                        return Err(layer.child(projection)?.unknown());
                    }
                }
                books.push(layer.child("_codebook")?.tensor::<2>("embed")?);
            }
            Latents::discrete(&books)?
        }
        "WasserteinEncoder" => Latents::Wasserstein,
        "SphericalEncoder" => Latents::Spherical,
        _ => return Err(encoder.unknown()),
    })
}

fn mel(spectrogram: &At) -> Result<Mel, ImportError> {
    let inner = spectrogram.child("spectrogram")?;
    let number =
        |name: &str| inner.module.constant_float(name).or_else(|| inner.module.constant_int(name).map(|n| n as f64));
    Mel::new(
        &inner.tensor::<1>("window")?,
        &spectrogram.child("mel_scale")?.tensor::<2>("fb")?,
        &Spectrum {
            size: inner.constant("n_fft")?,
            hop: inner.constant("hop_length")?,
            power: number("power").unwrap_or(2.0),
            center: inner.module.bool("center").unwrap_or(true),
            normalized: inner.module.constants.get("normalized") == Some(&Constant::Bool(true)),
        },
    )
}

/// The rate of the model itself: an export with a resampler states the rate it resamples to.
fn sampling_rate(root: &At) -> Result<(u32, Vec<String>), ImportError> {
    let rate = |at: &At, name: &str| {
        let path = at.key(name);
        let value =
            at.module.int(name).ok_or_else(|| malformed(&path, "is no integer; the export is damaged".into()))?;
        u32::try_from(value).ok().filter(|&r| r > 0).ok_or_else(|| malformed(&path, format!("is {value}")))
    };
    if !root.module.attributes.contains_key("sr") {
        return Ok((DEFAULT_SAMPLING_RATE, vec!["sampling rate not stored".into()]));
    }
    let stated = rate(root, "sr")?;
    let Some(resampler) = root.optional("resampler") else { return Ok((stated, vec![])) };
    let inner = rate(&resampler, "model_sr").map_err(|_| ImportError::Unknown {
        found: format!("an export with a resampler to {stated} Hz that does not say the model's own rate"),
        cure: "export it again without --sr".into(),
    })?;
    Ok((inner, vec![format!("resampler to {stated} Hz dropped")]))
}

/// cached_conv's rule for a chain, from its first convolution.
fn net_padding(net: &At, fallback: Padding) -> Result<Padding, ImportError> {
    for (name, module) in net.module.children() {
        if class(module) == "CachedConv1d" || class(module) == "Conv1d" {
            return first_padding(&net.child(name)?, fallback);
        }
    }
    Ok(fallback)
}

/// The rule that a convolution with no delay before it follows. A streaming one stores only how far it waits.
fn first_padding(conv: &At, fallback: Padding) -> Result<Padding, ImportError> {
    let kernel_size = conv.tensor::<3>("weight")?.shape()[2];
    let stride = conv.constant("stride")?;
    let dilation = conv.constant("dilation")?;
    let reach = Padding::Causal.left(kernel_size, dilation);
    let left = match conv.module.ints("_pad").as_deref() {
        Some(&[left, _]) => left,
        _ => {
            let stride_delay = conv.child("downsampling_delay")?.int("padding")?;
            let waits = conv.int("cumulative_delay")?.saturating_mul(i64::try_from(stride).unwrap_or(i64::MAX));
            reach.saturating_sub(waits.saturating_sub(stride_delay))
        }
    };
    let fits = |rule: &Padding| rule.left(kernel_size, dilation) == left;
    if reach == 0 {
        return Ok(fallback);
    }
    [Padding::Centered, Padding::Causal, Padding::Anticausal].into_iter().find(fits).ok_or_else(|| {
        let reason = format!("pads {left} of {reach} frames on the left, which is neither centred nor causal");
        malformed(&conv.path, reason)
    })
}

/// Whether an export is RAVE's, of any generation.
pub(super) fn is_rave(root: &Module) -> bool {
    class(root).ends_with("ScriptedRAVE") || is_first_generation(root)
}

fn is_first_generation(root: &Module) -> bool {
    class(root) == "TraceModel"
        || (root.attributes.contains_key("encode_params") && root.attributes.contains_key("cropped_latent_size"))
}

fn not_rave(root: &Module) -> ImportError {
    let first_generation = is_first_generation(root);
    let (found, cure) = if first_generation {
        (
            format!("an export of RAVE's first generation (2021–22, class {})", root.class),
            "its layers differ; export a model that was trained with RAVE 2 or newer",
        )
    } else {
        (
            format!("TorchScript of class {}, which is not a RAVE export", root.class),
            "choose a file that `rave export` wrote",
        )
    };
    ImportError::Unknown { found, cure: cure.into() }
}
