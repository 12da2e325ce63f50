//! One layer of a description: its op, with numbers from the table and weights from the state dict.

use std::sync::Arc;

use super::fields::Fields;
use super::literal;
use crate::graph::{
    BatchNorm, Conv1d, ConvTranspose1d, Excitation, Gru, LayerNorm, Lstm, NoiseSynth, Op, Parameter, Pointwise, Reset,
    Rnn, RnnActivation, Statistics,
};
use crate::import::{ImportError, StateDict, weights};
use crate::tensor::{Tensor, Weight};

/// The tensors that layers name.
pub(super) struct Weights<'a> {
    pub(super) state: &'a StateDict,
    /// Values handed out so far, and at most.
    pub(super) used: usize,
    pub(super) most: usize,
}

/// The op `kind` of the table `fields`, node `number` of the graph.
pub(super) fn op(fields: &Fields<'_>, kind: &str, number: u32, weights: &mut Weights<'_>) -> Result<Op, ImportError> {
    let mut layer = Layer { fields, weights };
    Ok(match kind {
        "conv1d" => Op::Conv1d(layer.conv()?),
        "linear" => {
            let weight = layer.kernel()?;
            let &[out, inputs] = weight.shape() else {
                return Err(fields.at_all(format!("weight has shape {:?}, 2 dimensions are needed", weight.shape())));
            };
            let weight = Arc::new(Tensor::new([out, inputs, 1], weight.data().to_vec()));
            Op::Conv1d(Conv1d {
                weight,
                bias: layer.own_or("bias")?,
                stride: 1,
                dilation: 1,
                left_padding: 0,
                groups: 1,
            })
        }
        "conv_transpose1d" => Op::ConvTranspose1d(ConvTranspose1d {
            weight: layer.kernel()?,
            bias: layer.own_or("bias")?,
            stride: layer.size_or("stride", 1)?,
            left_trim: layer.size_or("left_trim", 0)?,
            groups: layer.size_or("groups", 1)?,
        }),
        "batch_norm" => Op::BatchNorm(BatchNorm {
            mean: layer.vector("mean", "running_mean")?,
            variance: layer.vector("variance", "running_var")?,
            weight: layer.own_or("weight")?,
            bias: layer.own_or("bias")?,
            epsilon: f64::from(fields.float("epsilon")?.unwrap_or(1e-5)),
        }),
        "adain" => {
            Op::AdaIn { source: layer.statistics("mean_x", "std_x")?, target: layer.statistics("mean_y", "std_y")? }
        }
        "leaky_relu" => Op::Pointwise(Pointwise::LeakyRelu { slope: fields.float("slope")?.unwrap_or(0.01) }),
        "relu" => Op::Pointwise(Pointwise::LeakyRelu { slope: 0.0 }),
        "prelu" => {
            let slopes = layer.vector("slope", "weight")?;
            match *slopes.data() {
                [slope] => Op::Pointwise(Pointwise::LeakyRelu { slope }),
                _ => Op::PRelu { slope: slopes },
            }
        }
        "tanh" => Op::Pointwise(Pointwise::Tanh),
        "sigmoid" => Op::Pointwise(Pointwise::Sigmoid),
        "softplus" => Op::Pointwise(Pointwise::Softplus),
        "mod_sigmoid" => Op::Pointwise(Pointwise::ModSigmoid),
        "log1p" => Op::Pointwise(Pointwise::Log1p),
        "affine" => {
            let (scale, offset) = (fields.float("scale")?.unwrap_or(1.0), fields.float("offset")?.unwrap_or(0.0));
            Op::Pointwise(Pointwise::Affine { scale, offset })
        }
        "silu" => Op::Pointwise(Pointwise::Silu),
        "hard_swish" => Op::Pointwise(Pointwise::HardSwish),
        "softsign" => Op::Pointwise(Pointwise::Softsign),
        "clamp" => {
            let (low, high) = layer.bounds()?;
            Op::Pointwise(Pointwise::Clamp { low, high })
        }
        "leaky_hard_tanh" => {
            let (low, high) = layer.bounds()?;
            let low_slope = fields.float("low_slope")?.unwrap_or(0.01);
            let high_slope = fields.float("high_slope")?.unwrap_or(0.01);
            Op::Pointwise(Pointwise::LeakyHardTanh { low, high, low_slope, high_slope })
        }
        "fast_tanh" => Op::Pointwise(Pointwise::FastTanh),
        "elu" => Op::Pointwise(Pointwise::Elu { alpha: fields.float("alpha")?.unwrap_or(1.0) }),
        "gelu" => Op::Pointwise(Pointwise::Gelu),
        "gelu_tanh" => Op::Pointwise(Pointwise::GeluTanh),
        "erf" => Op::Pointwise(Pointwise::Erf),
        "exp" => Op::Pointwise(Pointwise::Exp),
        "log" => Op::Pointwise(Pointwise::Log),
        "sqrt" => Op::Pointwise(Pointwise::Sqrt),
        "reciprocal" => Op::Pointwise(Pointwise::Reciprocal),
        "sin" => Op::Pointwise(Pointwise::Sin),
        "cos" => Op::Pointwise(Pointwise::Cos),
        "abs" => Op::Pointwise(Pointwise::Abs),
        "power" => {
            let exponent = fields.float("exponent")?.ok_or_else(|| fields.missing("exponent", "a number"))?;
            Op::Pointwise(Pointwise::Power { exponent })
        }
        "snake" => Op::Snake { alpha: layer.vector("alpha", "alpha")? },
        "add" => Op::Add,
        "mul" => Op::Mul,
        "max" => Op::Max,
        "layer_norm" => Op::LayerNorm(layer.norm(true)?),
        "rms_norm" => Op::LayerNorm(layer.norm(false)?),
        "softmax" => Op::Softmax { groups: layer.size_or("groups", 1)? },
        "concat" => Op::Concat,
        "slice" => Op::Slice { start: layer.size_or("start", 0)?, channels: layer.size("channels")? },
        "alternate_sign" => Op::AlternateSign,
        "depth_to_time" => Op::DepthToTime { factor: layer.size("factor")? },
        "repeat" => Op::Repeat { factor: layer.size("factor")? },
        "gaussian" => Op::Gaussian { channels: layer.size("channels")?, key: layer.key(number)? },
        "noise_synth" => {
            let response = layer.own("response", "response")?;
            let excitation = match fields.has("excitation") {
                true => Excitation::Fixed(layer.own("excitation", "excitation")?),
                false => Excitation::Random { key: layer.key(number)? },
            };
            Op::NoiseSynth(NoiseSynth { response, excitation })
        }
        "gru" => Op::Gru(Gru {
            weight_ih: layer.own("weight_ih", "weight_ih_l0")?,
            weight_hh: layer.own("weight_hh", "weight_hh_l0")?,
            bias_ih: layer.own("bias_ih", "bias_ih_l0")?,
            bias_hh: layer.own("bias_hh", "bias_hh_l0")?,
            reset: layer.reset()?,
            initial_hidden: layer.own_or("initial_hidden")?,
        }),
        "lstm" => Op::Lstm(layer.lstm()?),
        "rnn" => Op::Rnn(layer.rnn()?),
        "power_spectrum" => Op::PowerSpectrum {
            window: layer.own("window", "window")?,
            hop: layer.size("hop")?,
            left: layer.size_or("left", 0)?,
        },
        "unit_norm" => Op::UnitNorm,
        "to_angles" => Op::ToAngles,
        "from_angles" => Op::FromAngles,
        "quantize" => Op::Quantize { codebooks: layer.own("codebooks", "codebooks")? },
        "dequantize" => Op::Dequantize { codebooks: layer.own("codebooks", "codebooks")? },
        "latent_edit" => Op::LatentEdit,
        "parameter" => {
            let name = fields.text("name")?.unwrap_or_default();
            parameter(fields, &fields.text("parameter")?.unwrap_or(name))?
        }
        other => {
            let reason = format!("{other:?} is no op; there are {}", KINDS.join(", "));
            return Err(fields.wrong("op", reason));
        }
    })
}

/// What a player holds under `name`.
pub(super) fn parameter(fields: &Fields<'_>, name: &str) -> Result<Op, ImportError> {
    let number = |key| fields.float(key)?.ok_or_else(|| fields.missing(key, "a number"));
    Ok(Op::Parameter(Parameter {
        name: name.to_owned(),
        unit: fields.text("unit")?.unwrap_or_default(),
        default: fields.floats("default")?.unwrap_or_else(|| vec![0.0]),
        minimum: number("minimum")?,
        maximum: number("maximum")?,
        every: fields.size("every")?.unwrap_or(1),
    }))
}

/// The ops that a layer may be, by the names of [`Op::name`], and a few of PyTorch's names for the same.
pub(super) const KINDS: [&str; 57] = [
    "conv1d",
    "linear",
    "conv_transpose1d",
    "batch_norm",
    "adain",
    "leaky_relu",
    "relu",
    "prelu",
    "tanh",
    "sigmoid",
    "softplus",
    "mod_sigmoid",
    "log1p",
    "affine",
    "silu",
    "hard_swish",
    "softsign",
    "clamp",
    "leaky_hard_tanh",
    "fast_tanh",
    "elu",
    "gelu",
    "gelu_tanh",
    "erf",
    "exp",
    "log",
    "sqrt",
    "reciprocal",
    "sin",
    "cos",
    "abs",
    "power",
    "snake",
    "add",
    "mul",
    "max",
    "layer_norm",
    "rms_norm",
    "softmax",
    "concat",
    "slice",
    "alternate_sign",
    "depth_to_time",
    "repeat",
    "gaussian",
    "noise_synth",
    "gru",
    "lstm",
    "rnn",
    "power_spectrum",
    "unit_norm",
    "to_angles",
    "from_angles",
    "quantize",
    "dequantize",
    "latent_edit",
    "parameter",
];

struct Layer<'f, 't, 'w, 's> {
    fields: &'f Fields<'t>,
    weights: &'w mut Weights<'s>,
}

impl Layer<'_, '_, '_, '_> {
    fn conv(&mut self) -> Result<Conv1d, ImportError> {
        let (weight, bias) = (self.kernel()?, self.own_or("bias")?);
        let (stride, dilation) = (self.size_or("stride", 1)?, self.size_or("dilation", 1)?);
        let &[_, _, kernel_size] = weight.shape() else {
            let reason = format!("weight has shape {:?}, 3 dimensions are needed", weight.shape());
            return Err(self.fields.at_all(reason));
        };
        let span = ((kernel_size - 1).saturating_mul(dilation)).min(i64::MAX as usize) as i64;
        let left_padding = match self.fields.is_text("left_padding") {
            false => self.fields.int("left_padding")?.unwrap_or(0),
            true => match self.fields.text("left_padding")?.as_deref() {
                Some("causal") => span,
                Some("centred") => span / 2,
                _ => return Err(self.fields.wrong("left_padding", "a number, \"causal\" or \"centred\" is needed")),
            },
        };
        Ok(Conv1d { weight, bias, stride, dilation, left_padding, groups: self.size_or("groups", 1)? })
    }

    /// One side of an AdaIN; `None` where the layer says nothing of it.
    fn statistics(&mut self, mean: &'static str, deviation: &'static str) -> Result<Option<Statistics>, ImportError> {
        if !self.fields.has(mean) && !self.fields.has(deviation) {
            return Ok(None);
        }
        Ok(Some(Statistics { mean: self.vector(mean, mean)?, deviation: self.vector(deviation, deviation)? }))
    }

    /// A norm over the channels of a frame; `epsilon` is PyTorch's where left out.
    fn norm(&mut self, centred: bool) -> Result<LayerNorm, ImportError> {
        let usual = if centred { 1e-5 } else { f32::EPSILON };
        let epsilon = self.fields.float("epsilon")?.unwrap_or(usual);
        let groups = self.size_or("groups", 1)?;
        let flat = |weight: Weight| Arc::new(Tensor::new([weight.len()], weight.data().to_vec()));
        let (weight, bias) = (self.own_or("weight")?.map(flat), self.own_or("bias")?.map(flat));
        Ok(LayerNorm { weight, bias, epsilon, centred, groups })
    }

    /// The least and the greatest value that a function lets through; PyTorch's hard tanh where left out.
    fn bounds(&self) -> Result<(f32, f32), ImportError> {
        let (low, high) = (self.fields.float("low")?.unwrap_or(-1.0), self.fields.float("high")?.unwrap_or(1.0));
        if low > high {
            return Err(self.fields.at_all(format!("low: {low}; not more than high, {high}, is needed")));
        }
        Ok((low, high))
    }

    /// PyTorch's LSTM of one layer: its two biases are one here.
    fn lstm(&mut self) -> Result<Lstm, ImportError> {
        let (weight_ih, weight_hh, bias) = self.recurrence()?;
        let zeros = literal(vec![0.0; bias.len() / 4]);
        let initial_hidden = self.own_or("initial_hidden")?.unwrap_or_else(|| zeros.clone());
        let initial_cell = self.own_or("initial_cell")?.unwrap_or(zeros);
        Ok(Lstm { weight_ih, weight_hh, bias, initial_hidden, initial_cell })
    }

    /// PyTorch's RNN of one layer: its two biases are one here.
    fn rnn(&mut self) -> Result<Rnn, ImportError> {
        let (weight_ih, weight_hh, bias) = self.recurrence()?;
        let zeros = literal(vec![0.0; bias.len()]);
        let initial_hidden = self.own_or("initial_hidden")?.unwrap_or(zeros);
        let activation = match self.fields.text("activation")?.as_deref() {
            None | Some("tanh") => RnnActivation::Tanh,
            Some("relu") => RnnActivation::Relu,
            Some(_) => return Err(self.fields.wrong("activation", "\"tanh\" or \"relu\" is needed")),
        };
        Ok(Rnn { weight_ih, weight_hh, bias, initial_hidden, activation })
    }

    /// Both matrices of a recurrent layer, and the sum of its biases.
    fn recurrence(&mut self) -> Result<(Weight, Weight, Weight), ImportError> {
        let weight_ih = self.own("weight_ih", "weight_ih_l0")?;
        let weight_hh = self.own("weight_hh", "weight_hh_l0")?;
        let (bias_ih, bias_hh) = (self.vector("bias_ih", "bias_ih_l0")?, self.vector("bias_hh", "bias_hh_l0")?);
        if bias_ih.len() != bias_hh.len() {
            let reason = format!("{} values, bias_ih has {}; as many are needed", bias_hh.len(), bias_ih.len());
            return Err(self.fields.at_all(format!("bias_hh: {reason}")));
        }
        let bias = literal(bias_ih.data().iter().zip(bias_hh.data()).map(|(a, b)| a + b).collect());
        Ok((weight_ih, weight_hh, bias))
    }

    /// What the reset gate of a GRU resets.
    fn reset(&self) -> Result<Reset, ImportError> {
        match self.fields.text("reset")?.as_deref() {
            None | Some("product") => Ok(Reset::Product),
            Some("state") => Ok(Reset::State),
            Some(_) => Err(self.fields.wrong("reset", "\"product\" or \"state\" is needed")),
        }
    }

    /// The weight of a convolution, with its weight norm resolved where it is stored as gain and direction.
    fn kernel(&mut self) -> Result<Weight, ImportError> {
        if let Some(parts) = self.fields.inner("weight") {
            let named = |key| parts.text(key)?.ok_or_else(|| parts.missing(key, "a tensor's name"));
            let (gain, direction) = (named("gain")?, named("direction")?);
            parts.finish("a weight that is gain and direction")?;
            return self.normed(&gain, &direction);
        }
        if let (false, Some(module)) = (self.fields.has("weight"), self.fields.text("module")?) {
            let spellings = [
                (format!("{module}.weight_g"), format!("{module}.weight_v")),
                (
                    format!("{module}.parametrizations.weight.original0"),
                    format!("{module}.parametrizations.weight.original1"),
                ),
            ];
            for (gain, direction) in spellings {
                if self.weights.state.contains_key(&gain) {
                    return self.normed(&gain, &direction);
                }
            }
        }
        self.own("weight", "weight")
    }

    /// `gain · direction / ‖direction‖`, for each slice of the first dimension.
    fn normed(&mut self, gain: &str, direction: &str) -> Result<Weight, ImportError> {
        let (gain, direction) = (self.named("weight", gain)?, self.named("weight", direction)?);
        let rows = direction.shape().first().copied().unwrap_or(0);
        if gain.len() != rows || rows == 0 {
            let reason = format!("{} gains for a direction of shape {:?}", gain.len(), direction.shape());
            return Err(self.fields.wrong("weight", reason));
        }
        let row = |(gain, row): (&f32, &[f32])| {
            let norm = row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
            let scale = if norm > 0.0 { f64::from(*gain) / norm } else { 0.0 };
            row.iter().map(|v| (f64::from(*v) * scale) as f32).collect::<Vec<_>>()
        };
        let values = gain.data().iter().zip(direction.data().chunks_exact(direction.len() / rows)).flat_map(row);
        Ok(Arc::new(Tensor::new(direction.shape().to_vec(), values.collect())))
    }

    /// The weight that `key` names or gives, or else that of this name in the layer's `module`.
    fn own(&mut self, key: &'static str, in_module: &str) -> Result<Weight, ImportError> {
        let needed = "a tensor's name, numbers, or the name of a `module` that has it";
        self.find(key, in_module)?.ok_or_else(|| self.fields.missing(key, needed))
    }

    /// As [`Self::own`], of one dimension: `[1, channels, 1]` is the same to it.
    fn vector(&mut self, key: &'static str, in_module: &str) -> Result<Weight, ImportError> {
        let weight = self.own(key, in_module)?;
        Ok(Arc::new(Tensor::new([weight.len()], weight.data().to_vec())))
    }

    /// As [`Self::own`], where it may be absent.
    fn own_or(&mut self, key: &'static str) -> Result<Option<Weight>, ImportError> {
        let module = self.fields.text("module")?;
        match module {
            Some(module) if !self.fields.has(key) && !self.weights.state.contains_key(&format!("{module}.{key}")) => {
                Ok(None)
            }
            _ => self.find(key, key),
        }
    }

    fn find(&mut self, key: &'static str, in_module: &str) -> Result<Option<Weight>, ImportError> {
        let module = self.fields.text("module")?;
        if self.fields.is_text(key) {
            let name = self.fields.text(key)?.unwrap_or_default();
            return self.named(key, &name).map(Some);
        }
        match self.fields.floats(key)? {
            Some(values) if values.is_empty() => Err(self.fields.wrong(key, "a list without numbers")),
            Some(values) => Ok(Some(literal(values))),
            None => module.map(|module| self.named("module", &format!("{module}.{in_module}"))).transpose(),
        }
    }

    fn named(&mut self, key: &'static str, name: &str) -> Result<Weight, ImportError> {
        let weight =
            weights::weight(self.weights.state, name).map_err(|error| self.fields.wrong(key, error.to_string()))?;
        self.weights.used = self.weights.used.saturating_add(weight.len());
        if self.weights.used > self.weights.most {
            let reason =
                format!("the layers use more than {} values, far more than the weights file holds", self.weights.most);
            return Err(self.fields.wrong(key, reason));
        }
        Ok(weight)
    }

    fn size(&self, key: &'static str) -> Result<usize, ImportError> {
        self.fields.size(key)?.ok_or_else(|| self.fields.missing(key, "a number"))
    }

    fn size_or(&self, key: &'static str, absent: usize) -> Result<usize, ImportError> {
        Ok(self.fields.size(key)?.unwrap_or(absent))
    }

    /// The name of a random part: its own number, where the description gives none.
    fn key(&self, number: u32) -> Result<u32, ImportError> {
        let key = self.fields.int("key")?.unwrap_or(i64::from(number));
        u32::try_from(key).map_err(|_| self.fields.wrong("key", format!("{key}; 0 to {} is needed", u32::MAX)))
    }
}
