//! Training run → description: the state dict gives weights and most of the architecture, `config.gin` the rest.

use super::bindings::{Gin, count, lists, reference};
use super::description::{
    Description, Generation, Head, Input, Latents, Layer, Mel, Noise, Padding, Pqmf, Spectrum, place,
};
use super::layers::{Resampling, Walk};
use super::weights::{Weights, malformed};
use crate::import::gin::{Config, Value};
use crate::import::{ImportError, StateDict};

/// Describes the model of a run.
///
/// # Errors
/// Names the key or the binding that is missing, damaged, or contradicts another.
pub(super) fn describe(state: StateDict, config: &Config) -> Result<Description, ImportError> {
    let weights = Weights::new(state);
    let (wrapper, _) = reference(config, "", "RAVE", "encoder")?;
    let parameter = if wrapper == "VariationalEncoder" { "encoder" } else { "encoder_cls" };
    let (encoder_class, encoder_scope) = reference(config, "", &wrapper, parameter)?;
    let (decoder_class, decoder_scope) = reference(config, "", "RAVE", "decoder")?;

    let pqmf = pqmf(&weights, padding(config, "")?)?;
    let encoder_walk = Walk { weights: &weights, padding: padding(config, &encoder_scope)? };
    let decoder_walk = Walk { weights: &weights, padding: padding(config, &decoder_scope)? };

    let width = weights.kernel_shape("encoder.encoder.net.0")?[1];
    let (input_mode, output_mode) = modes(config)?;
    let (input, per_channel) = match input_mode {
        Mode::Raw => (Input::Raw, 1),
        Mode::Bands => pqmf.clone().map_or((Input::Raw, 1), |p| {
            let bands = p.bands();
            (Input::Bands(p), bands)
        }),
        Mode::Mel => {
            let mel = mel(&weights, config)?;
            let mels = mel.filterbank.shape()[0];
            (Input::Mel(mel), mels)
        }
    };
    let channels = channels(config, width, per_channel)?;
    let output = if output_mode == Mode::Bands { pqmf } else { None };
    let rows = channels * output.as_ref().map_or(1, Pqmf::bands);

    let (generation, encoder) = match encoder_class.as_str() {
        "Encoder" => (Generation::V1, encoder_walk.v1_encoder("encoder.encoder.net")?),
        "EncoderV2" => {
            let gin = Gin { config, scope: &encoder_scope, class: "EncoderV2" };
            gin.known_activation()?;
            let stages = gin.stages()?;
            (Generation::V2, encoder_walk.v2("encoder.encoder.net", Resampling::Down, &stages, false)?)
        }
        other => return Err(unknown_class("encoder", other)),
    };
    let (decoder, head) = match decoder_class.as_str() {
        "Generator" => v1_decoder(config, &decoder_walk, rows)?,
        "GeneratorV2" => v2_decoder(&Gin { config, scope: &decoder_scope, class: "GeneratorV2" }, &decoder_walk, rows)?,
        other => return Err(unknown_class("decoder", other)),
    };
    Ok(Description {
        generation,
        channels,
        sampling_rate: sampling_rate(config)?,
        input,
        encoder,
        latents: latents(&weights, &wrapper)?,
        decoder,
        head,
        output,
        prior: None,
        exported_latents: None,
        remarks: vec![],
    })
}

/// The filter bank, unless it has one band only, which leaves the audio as it is.
pub(super) fn pqmf(weights: &Weights, padding: Padding) -> Result<Option<Pqmf>, ImportError> {
    if !weights.has_under("pqmf") {
        return Ok(None);
    }
    let analysis = weights.tensor::<3>("pqmf.forward_conv.weight")?;
    let synthesis = weights.tensor::<3>("pqmf.inverse_conv.weight")?;
    Pqmf::new(analysis, synthesis, |kernel_size| padding.left(kernel_size, 1))
}

fn v1_decoder(config: &Config, walk: &Walk, rows: usize) -> Result<(Vec<Layer>, Head), ImportError> {
    let dilations = match config.value("", "ResidualStack", "dilations_list") {
        Some(value) => lists("ResidualStack.dilations_list", &value)?,
        None => vec![vec![1, 1], vec![3, 1], vec![5, 1]],
    };
    let chain = walk.v1_decoder("decoder.net", &dilations)?;
    let loudness = "decoder.synth.branches.1";
    let loudness_stride = walk.weights.kernel_shape(loudness)?[2] / 2;
    let noise_path = "decoder.synth.branches.2";
    // RAVE adds the noise only from its second training phase on.
    let noise = if walk.weights.has_under(noise_path) && walk.weights.scalar_or_zero("decoder.warmed_up")? != 0.0 {
        let gin = Gin { config, scope: "", class: "NoiseGenerator" };
        let strides = gin.ratios()?.unwrap_or_else(|| vec![4, 4, 4]);
        let net =
            walk.noise(&format!("{noise_path}.net"), &strides, |kernel_size, _| walk.padding.left(kernel_size, 1))?;
        Some(noise(walk, noise_path, net, rows)?)
    } else {
        None
    };
    let head = Head::V1 {
        waveform: walk.conv("decoder.synth.branches.0", 1, 1, 1)?,
        loudness: walk.conv(loudness, loudness_stride.max(1), 1, 1)?,
        loudness_stride: loudness_stride.max(1),
        noise,
    };
    Ok((chain, head))
}

fn v2_decoder(gin: &Gin, walk: &Walk, rows: usize) -> Result<(Vec<Layer>, Head), ImportError> {
    gin.known_activation()?;
    let mut stages = gin.stages()?;
    stages.reverse();
    let apart = walk.weights.has_under("decoder.waveform_module");
    let mut chain = walk.v2("decoder.net", Resampling::Up, &stages, apart)?;
    let waveform = match chain.pop() {
        Some(last) if !apart => last,
        last => {
            chain.extend(last);
            walk.conv("decoder.waveform_module", 1, 1, 1)?
        }
    };
    let amplitude_modulation = super::amplitude_modulation(&waveform, rows)?;
    let noise_path = "decoder.noise_module";
    let noise = if walk.weights.has_under(noise_path) {
        let gin = Gin { config: gin.config, scope: gin.scope, class: "NoiseGeneratorV2" };
        gin.known_activation()?;
        let net_path = format!("{noise_path}.net");
        let mut strides = Vec::new();
        for i in 0..walk.weights.count(&net_path)? {
            let path = format!("{net_path}.{i}");
            if walk.weights.has_kernel(&path) {
                strides.push((walk.weights.kernel_shape(&path)?[2] / 2).max(1));
            }
        }
        let net = walk.noise(&net_path, &strides, |_, stride| stride as i64)?;
        Some(noise(walk, noise_path, net, rows)?)
    } else {
        None
    };
    Ok((chain, Head::V2 { waveform, amplitude_modulation, noise }))
}

/// A synthesiser of `rows` channels, whose strides must agree with the size that the checkpoint states.
fn noise(walk: &Walk, path: &str, net: Vec<Layer>, rows: usize) -> Result<Noise, ImportError> {
    let noise = Noise::new(place(path), net, rows)?;
    let stated = walk.weights.scalar_or_zero(&format!("{path}.target_size"))?;
    if stated != 0.0 && stated != noise.size as f64 {
        let reason = format!("is {stated}, the ratios make {}; config.gin is of another run", noise.size);
        return Err(malformed(&format!("{path}.target_size"), reason));
    }
    Ok(noise)
}

fn latents(weights: &Weights, wrapper: &str) -> Result<Latents, ImportError> {
    Ok(match wrapper {
        "VariationalEncoder" => Latents::variational(
            weights.tensor::<2>("latent_pca")?,
            weights.tensor::<1>("latent_mean")?,
            weights.tensor::<1>("fidelity")?,
        )?,
        "DiscreteEncoder" => {
            let layers = "encoder.rvq.layers";
            let mut books = Vec::new();
            for i in 0..weights.count(layers)? {
                if weights.has_under(&format!("{layers}.{i}.project_in")) {
                    let reason = "projects its codes; only codebooks as wide as the latents can be read";
                    return Err(malformed(&format!("{layers}.{i}.project_in"), reason.into()));
                }
                books.push(weights.tensor::<2>(&format!("{layers}.{i}._codebook.embed"))?);
            }
            Latents::discrete(&books)?
        }
        "WasserteinEncoder" => Latents::Wasserstein,
        "SphericalEncoder" => Latents::Spherical,
        other => return Err(unknown_class("encoder wrapper", other)),
    })
}

fn mel(weights: &Weights, config: &Config) -> Result<Mel, ImportError> {
    let gin = Gin { config, scope: "", class: "MelSpectrogram" };
    let size = gin.count("n_fft")?.unwrap_or(400);
    let flag = |parameter: &str, default: bool| match config.value("", "MelSpectrogram", parameter) {
        Some(Value::Bool(value)) => value,
        _ => default,
    };
    Mel::new(
        &weights.tensor::<1>("spectrogram.spectrogram.window")?,
        &weights.tensor::<2>("spectrogram.mel_scale.fb")?,
        &Spectrum {
            size,
            hop: gin.count("hop_length")?.unwrap_or(size / 2),
            power: match config.value("", "MelSpectrogram", "power") {
                Some(Value::Float(power)) => power,
                Some(Value::Int(power)) => power as f64,
                _ => 2.0,
            },
            center: flag("center", true),
            normalized: flag("normalized", false),
        },
    )
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Raw,
    Bands,
    Mel,
}

/// What the encoder reads and the decoder makes. Older configurations say it by three flags.
fn modes(config: &Config) -> Result<(Mode, Mode), ImportError> {
    let flag = |parameter: &str| match config.value("", "RAVE", parameter) {
        Some(Value::Bool(value)) => Some(value),
        _ => None,
    };
    let mode = |parameter: &str| match config.value("", "RAVE", parameter) {
        None => Ok(Mode::Bands),
        Some(Value::Text(text)) if text == "pqmf" => Ok(Mode::Bands),
        Some(Value::Text(text)) if text == "raw" => Ok(Mode::Raw),
        Some(Value::Text(text)) if text == "mel" && parameter == "input_mode" => Ok(Mode::Mel),
        Some(other) => Err(malformed(
            &format!("config.gin, RAVE.{parameter}"),
            format!("is {other:?}; pqmf, raw or mel is needed"),
        )),
    };
    let (mut input, mut output) = (mode("input_mode")?, mode("output_mode")?);
    let (encode, decode) = (flag("enable_pqmf_encode"), flag("enable_pqmf_decode"));
    if encode.is_some() || decode.is_some() {
        let bands = |on: Option<bool>| if on == Some(true) { Mode::Bands } else { Mode::Raw };
        (input, output) = (bands(encode), bands(decode));
    }
    if flag("is_mel_input") == Some(true) {
        input = Mode::Mel;
    }
    Ok((input, output))
}

/// The channel count, which training often leaves out of the configuration, from the width of the first layer.
fn channels(config: &Config, width: usize, per_channel: usize) -> Result<usize, ImportError> {
    let channels = super::audio_channels(width, per_channel)?;
    let gin = Gin { config, scope: "", class: "RAVE" };
    match gin.count("n_channels")? {
        Some(bound) if bound != channels => {
            let reason = format!(
                "reads {width} channels, that is, {channels} of audio, but config.gin says n_channels = {bound}; \
                 the file is of another run"
            );
            Err(malformed("encoder.encoder.net.0", reason))
        }
        _ => Ok(channels),
    }
}

fn padding(config: &Config, scope: &str) -> Result<Padding, ImportError> {
    match config.value(scope, "get_padding", "mode") {
        None => Ok(Padding::Centered),
        Some(Value::Text(mode)) if mode == "centered" => Ok(Padding::Centered),
        Some(Value::Text(mode)) if mode == "causal" => Ok(Padding::Causal),
        Some(Value::Text(mode)) if mode == "anticausal" => Ok(Padding::Anticausal),
        Some(other) => Err(malformed(
            "config.gin, get_padding.mode",
            format!("is {other:?}; centered, causal or anticausal is needed"),
        )),
    }
}

fn sampling_rate(config: &Config) -> Result<u32, ImportError> {
    let bound = config.value("", "RAVE", "sampling_rate").or_else(|| config.constant("SAMPLING_RATE"));
    match bound {
        None => Ok(super::DEFAULT_SAMPLING_RATE),
        Some(value) => count("RAVE.sampling_rate", &value).and_then(|rate| {
            u32::try_from(rate).map_err(|_| malformed("config.gin, RAVE.sampling_rate", format!("is {rate}")))
        }),
    }
}

fn unknown_class(what: &str, class: &str) -> ImportError {
    ImportError::Unknown {
        found: format!("config.gin names the {what} {class}"),
        cure: "only the encoders and decoders of RAVE 2 can be read".into(),
    }
}
