//! A RAVE model as its sources describe it: layers in order, each with its weights, and nothing of how a file spells
//! them. Run folders and exports both arrive here; graphs are built from here only.

use std::sync::Arc;

use super::weights::malformed;
use crate::graph::{Graph, Op};
use crate::import::ImportError;
use crate::tensor::{Tensor, Weight};

/// Everything that decides a RAVE model's graphs.
#[derive(Debug)]
pub(super) struct Description {
    pub(super) generation: Generation,
    /// Audio channels.
    pub(super) channels: usize,
    /// Samples per second.
    pub(super) sampling_rate: u32,
    /// What the encoder reads.
    pub(super) input: Input,
    pub(super) encoder: Vec<Layer>,
    pub(super) latents: Latents,
    pub(super) decoder: Vec<Layer>,
    pub(super) head: Head,
    /// The bands that the head's output is in; `None`: audio.
    pub(super) output: Option<Pqmf>,
    /// What the latents are likely to do next.
    pub(super) prior: Option<Prior>,
    /// How many latents the source itself keeps; `None`: RAVE's default fidelity decides.
    pub(super) exported_latents: Option<usize>,
    /// What else a reader of the description should know.
    pub(super) remarks: Vec<String>,
}

/// The architecture of encoder and decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Generation {
    V1,
    V2,
}

/// An autoregressive model of the latents.
#[derive(Debug)]
pub(super) struct Prior {
    /// One-hot frames to logits.
    pub(super) network: Graph,
    /// Indices of each latent.
    pub(super) resolution: usize,
    /// Audio samples to each frame.
    pub(super) ratio: usize,
}

/// What the encoder reads.
#[derive(Debug)]
pub(super) enum Input {
    /// The audio itself.
    Raw,
    Bands(Pqmf),
    Mel(Mel),
}

/// A pseudo-quadrature mirror filter bank, one channel.
#[derive(Clone, Debug)]
pub(super) struct Pqmf {
    /// `[bands, 1, kernel_size]`.
    pub(super) analysis: Weight,
    pub(super) analysis_left: i64,
    /// `[bands, bands, kernel_size]`.
    pub(super) synthesis: Weight,
    pub(super) synthesis_left: i64,
}

impl Pqmf {
    /// The bank of these weights, or `None` of one band, which leaves the audio as it is.
    pub(super) fn new(
        analysis: Weight,
        synthesis: Weight,
        left: impl Fn(usize) -> i64,
    ) -> Result<Option<Self>, ImportError> {
        let bands = analysis.shape()[0];
        if analysis.shape()[1] != 1 || synthesis.shape()[..2] != [bands, bands] || !bands.is_power_of_two() {
            let reason = format!(
                "has shape {:?}, pqmf.inverse_conv.weight {:?}; [bands, 1, _] and [bands, bands, _] with a power of two are needed",
                analysis.shape(),
                synthesis.shape()
            );
            return Err(malformed("pqmf.forward_conv.weight", reason));
        }
        let (analysis_left, synthesis_left) = (left(analysis.shape()[2]), left(synthesis.shape()[2]));
        Ok((bands > 1).then_some(Self { analysis, analysis_left, synthesis, synthesis_left }))
    }

    pub(super) fn bands(&self) -> usize {
        self.analysis.shape()[0]
    }
}

/// `ln(1 + filterbank · |DFT(window · x)|²)`, per channel.
#[derive(Debug)]
pub(super) struct Mel {
    /// `[size]`.
    pub(super) window: Weight,
    /// Samples per frame.
    pub(super) hop: usize,
    /// Samples before the frame's own time.
    pub(super) left: usize,
    /// `[mels, size / 2 + 1]`, the spectrum's normalisation folded in.
    pub(super) filterbank: Weight,
}

/// How a spectrogram is taken, in torchaudio's words.
pub(super) struct Spectrum {
    pub(super) size: usize,
    pub(super) hop: usize,
    pub(super) power: f64,
    pub(super) center: bool,
    pub(super) normalized: bool,
}

impl Mel {
    /// From a window of at most `size` values and a filterbank `[size / 2 + 1, mels]`.
    pub(super) fn new(window: &Weight, filterbank: &Weight, spectrum: &Spectrum) -> Result<Self, ImportError> {
        let Spectrum { size, hop, power, center, normalized } = *spectrum;
        let [bins, mels] = [filterbank.shape()[0], filterbank.shape()[1]];
        if power != 2.0 || size % 2 != 0 || bins != size / 2 + 1 || window.len() > size || hop == 0 {
            let reason = format!(
                "size {size}, hop {hop}, power {power}, window of {} values, filterbank [{bins}, {mels}]; \
                 a power spectrum (2) of even size with size / 2 + 1 bins is needed",
                window.len()
            );
            return Err(malformed("spectrogram", reason));
        }
        let energy: f64 = window.data().iter().map(|&w| f64::from(w) * f64::from(w)).sum();
        let scale = if normalized { 1.0 / energy } else { 1.0 };
        let mut rows = vec![0.0; mels * bins];
        for bin in 0..bins {
            for (mel, &value) in filterbank.row(bin).iter().enumerate() {
                rows[mel * bins + bin] = (f64::from(value) * scale) as f32;
            }
        }
        let mut centred = vec![0.0; size];
        let start = (size - window.len()) / 2;
        centred[start..start + window.len()].copy_from_slice(window.data());
        Ok(Self {
            window: Arc::new(Tensor::new([size], centred)),
            hop,
            left: if center { size / 2 } else { 0 },
            filterbank: Arc::new(Tensor::new([mels, bins], rows)),
        })
    }
}

/// A step of a network, named by its place in the checkpoint.
#[derive(Debug)]
pub(super) enum Layer {
    /// One operation on one signal.
    Op { name: String, op: Op },
    /// The chain's result plus what it read.
    Residual { name: String, chain: Vec<Layer> },
    /// The sum of several chains over the same signal.
    Sum { name: String, branches: Vec<Vec<Layer>> },
}

impl Layer {
    /// Whether an operation of this kind is part of it.
    pub(super) fn uses(&self, kind: fn(&Op) -> bool) -> bool {
        match self {
            Self::Op { op, .. } => kind(op),
            Self::Residual { chain, .. } => chain.iter().any(|layer| layer.uses(kind)),
            Self::Sum { branches, .. } => branches.iter().flatten().any(|layer| layer.uses(kind)),
        }
    }

    /// Channels it makes, where it decides them.
    pub(super) fn channels(&self) -> Option<usize> {
        match self {
            Self::Op { op: Op::Conv1d(conv), .. } => Some(conv.weight.shape()[0]),
            Self::Op { op: Op::Gru(gru), .. } => Some(gru.weight_hh.shape()[1]),
            _ => None,
        }
    }
}

/// What stands between encoder and decoder.
#[derive(Debug)]
pub(super) enum Latents {
    /// A Gaussian posterior, rotated onto its principal components.
    Variational {
        /// Rows are components, `[latents, latents]`.
        components: Weight,
        /// `[latents]`.
        mean: Weight,
        /// Variance explained by the first components, cumulated, `[latents]`.
        fidelity: Weight,
    },
    /// Indices into codebooks, `[codebooks, entries, channels]`.
    Discrete { codebooks: Weight },
    /// The encoder's output as it is.
    Wasserstein,
    /// Angles on the unit sphere.
    Spherical,
}

impl Latents {
    /// A posterior over as many latents as `mean` has.
    pub(super) fn variational(components: Weight, mean: Weight, fidelity: Weight) -> Result<Self, ImportError> {
        let full = mean.len();
        if components.shape() != [full, full] || fidelity.shape() != [full] {
            let reason = format!(
                "has shape {:?}, fidelity {:?}; [{full}, {full}] and [{full}] are needed for the {full} values of latent_mean",
                components.shape(),
                fidelity.shape()
            );
            return Err(malformed("latent_pca", reason));
        }
        Ok(Self::Variational { components, mean, fidelity })
    }

    /// Residual codebooks, each `[entries, channels]`.
    pub(super) fn discrete(books: &[Weight]) -> Result<Self, ImportError> {
        let key = |i: usize| format!("encoder.rvq.layers.{i}._codebook.embed");
        let Some(first) = books.first() else {
            return Err(malformed(&key(0), "the discrete model has no codebook".into()));
        };
        if let Some(odd) = books.iter().position(|book| book.shape() != first.shape()) {
            let reason = format!("has shape {:?}, the first codebook {:?}", books[odd].shape(), first.shape());
            return Err(malformed(&key(odd), reason));
        }
        if books.iter().all(|book| book.data().iter().all(|&v| v == 0.0)) {
            let reason = "every codebook is zero: RAVE 2.3 never switches its quantiser on while training; \
                          train with RAVE 2.2.2, or continue the run there";
            return Err(malformed(&key(0), reason.into()));
        }
        let data = books.iter().flat_map(|book| book.data()).copied().collect();
        let shape = [books.len(), first.shape()[0], first.shape()[1]];
        Ok(Self::Discrete { codebooks: Arc::new(Tensor::new(shape, data)) })
    }
}

/// How the decoder's last features become sub-bands or audio.
#[derive(Debug)]
pub(super) enum Head {
    /// `tanh(waveform) · m(loudness) + noise`.
    V1 { waveform: Layer, loudness: Layer, loudness_stride: usize, noise: Option<Noise> },
    /// `tanh(waveform · σ(amplitude) + noise)`.
    V2 { waveform: Layer, amplitude_modulation: bool, noise: Option<Noise> },
}

impl Head {
    pub(super) fn has_noise(&self) -> bool {
        let (Self::V1 { noise, .. } | Self::V2 { noise, .. }) = self;
        noise.is_some()
    }
}

/// A noise synthesiser.
#[derive(Debug)]
pub(super) struct Noise {
    pub(super) name: String,
    /// From the decoder's last features to band amplitudes before their non-linearity.
    pub(super) net: Vec<Layer>,
    /// Bands per channel.
    pub(super) bands: usize,
    /// Frames made of each frame of the net.
    pub(super) size: usize,
}

impl Noise {
    /// A synthesiser of `rows` channels; bands and size follow from the net's width and strides.
    pub(super) fn new(name: String, net: Vec<Layer>, rows: usize) -> Result<Self, ImportError> {
        const LIMIT: usize = 1 << 16;
        let width = net.iter().rev().find_map(Layer::channels).unwrap_or(0);
        if rows == 0 || width % rows != 0 || width / rows < 2 {
            let reason =
                format!("its net makes {width} channels; at least 2 bands for each of {rows} sub-bands are needed");
            return Err(malformed(&name, reason));
        }
        let bands = width / rows;
        let mut strides = net.iter().filter_map(|layer| match layer {
            Layer::Op { op: Op::Conv1d(conv), .. } => Some(conv.stride),
            _ => None,
        });
        let size = strides.try_fold(1, usize::checked_mul);
        match size {
            Some(size) if size <= LIMIT && bands <= LIMIT && size * bands <= 1 << 22 => {
                Ok(Self { name, net, bands, size })
            }
            _ => Err(malformed(&name, format!("{bands} bands over the product of its strides are out of range"))),
        }
    }
}

/// cached_conv's rule for the zeros around a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Padding {
    Centered,
    Causal,
    Anticausal,
}

impl Padding {
    /// Zeros before frame 0. An even kernel reads one frame more of the future than of the past.
    pub(super) fn left(self, kernel_size: usize, dilation: usize) -> i64 {
        let reach = kernel_size.saturating_sub(1).saturating_mul(dilation);
        let left = match self {
            Self::Centered => reach / 2,
            Self::Causal => reach,
            Self::Anticausal => 0,
        };
        i64::try_from(left).unwrap_or(i64::MAX)
    }
}

/// A checkpoint's dotted path as a node's name: the containers that hold exactly one thing are left out.
/// `encoder.encoder.net.1.aligned.branches.0.net.3` becomes `encoder.net.1.3`.
pub(super) fn place(path: &str) -> String {
    let path = path.replace(".aligned.branches.0", "");
    let path = path.strip_prefix("encoder.encoder").map_or(path.clone(), |rest| format!("encoder{rest}"));
    let mut name = String::new();
    for (i, part) in path.split('.').enumerate() {
        if part == "net" && i != 1 {
            continue;
        }
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(part);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_short_and_distinct() {
        let cases = [
            ("encoder.encoder.net.0", "encoder.net.0"),
            ("encoder.encoder.net.1.aligned.branches.0.net.3", "encoder.net.1.3"),
            ("decoder.net.2", "decoder.net.2"),
            ("decoder.net.1.net.1", "decoder.net.1.1"),
            ("decoder.net.2.net.branches.0.net.1", "decoder.net.2.branches.0.1"),
            ("decoder.net.2.net.branches.0.net.1.net.aligned.branches.0.3", "decoder.net.2.branches.0.1.3"),
            ("decoder.noise_module.net.4", "decoder.noise_module.4"),
        ];
        for (path, name) in cases {
            assert_eq!(place(path), name);
        }
    }

    #[test]
    fn padding_follows_cached_conv() {
        assert_eq!(Padding::Centered.left(7, 1), 3);
        assert_eq!(Padding::Centered.left(3, 9), 9);
        assert_eq!(Padding::Centered.left(8, 1), 3, "even kernels look ahead");
        assert_eq!(Padding::Centered.left(513, 1), 256);
        assert_eq!(Padding::Causal.left(513, 1), 512);
        assert_eq!(Padding::Causal.left(3, 9), 18);
        assert_eq!(Padding::Anticausal.left(3, 9), 0);
        assert_eq!(Padding::Centered.left(1, 1), 0);
    }
}
