//! A WaveNet's configuration, old keys and new ones.

use serde::Deserialize;
use serde_json::Value;

use super::super::super::ImportError;
use super::super::activation::Activation;
use super::super::film::Slot;
use super::super::gating::Gating;
use super::super::weights::{Shape, Width};

/// The whole network.
#[derive(Deserialize)]
pub(super) struct Config {
    layers: Vec<Raw>,
    pub(super) head: Option<Head>,
}

/// Convolutions after the stack.
#[derive(Deserialize)]
pub(super) struct Head {
    pub(super) channels: usize,
    pub(super) out_channels: usize,
    pub(super) kernel_sizes: Vec<usize>,
    pub(super) activation: Value,
}

/// A stack of layers of the same width.
pub(super) struct Array {
    pub(super) input_size: usize,
    pub(super) condition_size: usize,
    pub(super) channels: usize,
    pub(super) layers: Vec<LayerOptions>,
    pub(super) head: Rechannel,
    pub(super) groups_input: usize,
    pub(super) groups_input_mixin: usize,
    pub(super) layer1x1: Matrix,
    /// With its outputs.
    pub(super) head1x1: (Matrix, usize),
    pub(super) films: Films,
    bottleneck: usize,
    slimmable: Option<Slimmable>,
}

/// What differs between the layers of an array.
pub(super) struct LayerOptions {
    pub(super) kernel_size: usize,
    pub(super) dilation: usize,
    pub(super) activation: Activation,
    pub(super) gating: Gating,
}

/// The convolution from an array's sum to its part of the head.
#[derive(Clone, Copy, Deserialize)]
pub(super) struct Rechannel {
    pub(super) out_channels: usize,
    kernel_size: usize,
    bias: bool,
    #[serde(default = "one")]
    head_dilation: usize,
}

/// A matrix that may be left out.
#[derive(Clone, Copy, Deserialize)]
pub(super) struct Matrix {
    pub(super) active: bool,
    pub(super) groups: usize,
}

/// Modulations by the condition, in the order of their weights.
#[derive(Clone, Copy, Deserialize)]
pub(super) struct Films {
    #[serde(default)]
    pub(super) conv_pre_film: Slot,
    #[serde(default)]
    pub(super) conv_post_film: Slot,
    #[serde(default)]
    pub(super) input_mixin_pre_film: Slot,
    #[serde(default)]
    pub(super) input_mixin_post_film: Slot,
    #[serde(default)]
    pub(super) activation_pre_film: Slot,
    #[serde(default)]
    pub(super) activation_post_film: Slot,
    #[serde(default)]
    pub(super) layer1x1_post_film: Slot,
    #[serde(default)]
    pub(super) head1x1_post_film: Slot,
}

/// The keys of an array as they stand in a file.
#[derive(Deserialize)]
struct Raw {
    input_size: usize,
    condition_size: usize,
    channels: usize,
    bottleneck: Option<usize>,
    kernel_size: Option<usize>,
    kernel_sizes: Option<Vec<usize>>,
    dilations: Vec<usize>,
    activation: Value,
    gated: Option<bool>,
    gating_mode: Option<Value>,
    secondary_activation: Option<Value>,
    head: Option<Rechannel>,
    head_size: Option<usize>,
    head_bias: Option<bool>,
    #[serde(default = "one")]
    groups_input: usize,
    #[serde(default = "one")]
    groups_input_mixin: usize,
    layer1x1: Option<Matrix>,
    head1x1: Option<Head1x1>,
    #[serde(flatten)]
    films: Films,
    slimmable: Option<Slimmable>,
}

#[derive(Deserialize)]
struct Head1x1 {
    #[serde(flatten)]
    matrix: Matrix,
    out_channels: usize,
}

#[derive(Deserialize)]
struct Slimmable {
    #[serde(default)]
    method: String,
    #[serde(default)]
    kwargs: Value,
}

fn one() -> usize {
    1
}

impl Config {
    /// The arrays, their options checked and spread over their layers.
    ///
    /// # Errors
    /// Names the option that is unknown, or does not fit the others.
    pub(super) fn arrays(self) -> Result<Vec<Array>, ImportError> {
        self.layers.into_iter().enumerate().map(|(i, raw)| Array::new(raw, &format!("layers[{i}]"))).collect()
    }
}

impl Array {
    fn new(raw: Raw, place: &str) -> Result<Self, ImportError> {
        let malformed = |reason: &str| Err(ImportError::malformed(place, reason));
        let count = raw.dilations.len();
        let kernel_sizes = match (raw.kernel_size, raw.kernel_sizes) {
            (Some(size), None) => vec![size; count],
            (None, Some(sizes)) if sizes.len() == count => sizes,
            (None, Some(sizes)) => {
                return malformed(&format!("{} kernel_sizes for {count} dilations; as many are needed", sizes.len()));
            }
            _ => return malformed("one of kernel_size and kernel_sizes is needed"),
        };
        let head = match (raw.head, raw.head_size, raw.head_bias) {
            (Some(head), ..) => head,
            (None, Some(out_channels), Some(bias)) => {
                Rechannel { out_channels, kernel_size: 1, bias, head_dilation: 1 }
            }
            _ => return malformed("head, or head_size and head_bias, are needed"),
        };
        let layer1x1 = raw.layer1x1.unwrap_or(Matrix { active: true, groups: 1 });
        if raw.films.layer1x1_post_film.is_on() && !layer1x1.active {
            return malformed("layer1x1_post_film without layer1x1");
        }
        // The old key knows no other gate than the sigmoid.
        let secondary = raw.gating_mode.as_ref().and(raw.secondary_activation);
        let old = if raw.gated == Some(true) { "gated" } else { "none" };
        let mode = raw.gating_mode.unwrap_or_else(|| old.into());
        let mut layers = Vec::with_capacity(count);
        for (i, (dilation, kernel_size)) in raw.dilations.into_iter().zip(kernel_sizes).enumerate() {
            let place = format!("{place}: layer {i}");
            let activation = of_layer(&raw.activation, i, count, &place)?;
            let mode = of_layer(&mode, i, count, &place)?.as_str().unwrap_or("(no string)");
            let gate = match &secondary {
                Some(gate) if mode != "none" => Some(of_layer(gate, i, count, &place)?),
                _ => None,
            };
            layers.push(LayerOptions {
                kernel_size,
                dilation,
                activation: Activation::parse(activation, &format!("{place}: activation"))?,
                gating: Gating::parse(mode, gate, &place)?,
            });
        }
        Ok(Self {
            input_size: raw.input_size,
            condition_size: raw.condition_size,
            channels: raw.channels,
            layers,
            head,
            groups_input: raw.groups_input,
            groups_input_mixin: raw.groups_input_mixin,
            layer1x1,
            head1x1: raw.head1x1.map_or((Matrix { active: false, groups: 1 }, 0), |h| (h.matrix, h.out_channels)),
            films: raw.films,
            bottleneck: raw.bottleneck.unwrap_or(raw.channels),
            slimmable: raw.slimmable,
        })
    }

    /// Channels of an activation, where those of the array are `channels`.
    pub(super) fn bottleneck_of(&self, channels: Width) -> Width {
        let kept = match (channels.kept == channels.full, self.layer1x1.active) {
            (true, _) => self.bottleneck,
            (false, false) => channels.kept,
            (false, true) => (self.bottleneck.saturating_mul(channels.kept) / channels.full).max(1),
        };
        Width { full: self.bottleneck, kept: kept.min(self.bottleneck) }
    }

    /// The convolution to the array's part of the head.
    pub(super) fn head_shape(&self, bottleneck: Width, out: Width) -> Shape {
        let (head1x1, outputs) = self.head1x1;
        let Rechannel { kernel_size, bias, head_dilation: dilation, .. } = self.head;
        let inputs = if head1x1.active { outputs.into() } else { bottleneck };
        Shape { kernel_size, dilation, ..Shape::pointwise(inputs, out, bias) }
    }

    /// Numbers of channels it can be cut to, in ascending order, the full number last; none where it cannot be cut.
    pub(super) fn allowed_channels(&self, place: &str) -> Result<Vec<usize>, ImportError> {
        let Some(Slimmable { method, kwargs }) = &self.slimmable else { return Ok(vec![]) };
        match method.as_str() {
            "slice_channels_uniform" => {}
            "" => return Ok(vec![]),
            other => {
                let found = format!("{place}: a way to slim called {}", super::super::file::printable(other));
                return Err(ImportError::unknown(found, "known is slice_channels_uniform; update Runnel"));
            }
        }
        let allowed = kwargs.get("allowed_channels").and_then(|allowed| Vec::<usize>::deserialize(allowed).ok());
        let allowed = allowed.unwrap_or_default();
        if allowed.first() > Some(&0) && allowed.is_sorted_by(|a, b| a < b) && allowed.last() == Some(&self.channels) {
            return Ok(allowed);
        }
        let reason =
            format!("allowed_channels {allowed:?}; ascending numbers that end with {} are needed", self.channels);
        Err(ImportError::malformed(place, reason))
    }

    /// Samples before its own that an array's output depends on.
    pub(super) fn reach(&self) -> usize {
        let head = self.head.kernel_size.saturating_sub(1).saturating_mul(self.head.head_dilation);
        let layers = self.layers.iter().map(|l| l.kernel_size.saturating_sub(1).saturating_mul(l.dilation));
        layers.fold(head, usize::saturating_add)
    }
}

/// Of a value for all of `count` layers, or a list of one for each, that of layer `i`.
fn of_layer<'a>(value: &'a Value, i: usize, count: usize, place: &str) -> Result<&'a Value, ImportError> {
    match value.as_array() {
        None => Ok(value),
        Some(list) if list.len() == count => Ok(&list[i]),
        Some(list) => {
            let reason = format!("a list of {} options for {count} layers; one for each is needed", list.len());
            Err(ImportError::malformed(place, reason))
        }
    }
}
