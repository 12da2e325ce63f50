//! The closed set of operations a trained model is made of, each described by which input frames its frame `n` reads.
//!
//! Frame indices are absolute: frame 0 of every signal is the one that an offline run computes first, and every
//! signal extends to both sides of it. A signal has exactly `rate` times as many frames as the input; paddings and
//! trims on the right only say where an offline run stops, so they are not stored.

use serde::{Deserialize, Serialize};

use crate::tensor::Weight;

/// One operation. Weights have PyTorch's layouts.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// The graph's input.
    Input {
        /// Channels.
        channels: usize,
    },
    /// `y[n] = bias + Σ_k weight[:, :, k] · x[n·stride + k·dilation − left_padding]`.
    Conv1d(Conv1d),
    /// `y[n] = bias + Σ_{m·stride + k = n + left_trim} weight[:, :, k]ᵀ · x[m]`.
    ConvTranspose1d(ConvTranspose1d),
    /// `(x − mean) / √(variance + epsilon) · weight + bias`, per channel, with the stored statistics.
    BatchNorm(BatchNorm),
    /// RAVE's adaptive instance normalisation: `(x − mean) / (deviation + 1e-5)` by the source's statistics, then
    /// `· deviation + mean` by the target's, per channel; the identity while one of them is not learned.
    AdaIn {
        /// What the file holds of the source.
        source: Option<Statistics>,
        /// What the file holds of the target.
        target: Option<Statistics>,
    },
    /// A function of each value by itself.
    Pointwise(Pointwise),
    /// `x + sin²(αx) / (α + 1e-9)`, α per channel (Ziyin et al., *Neural Networks Fail to Learn Periodic Functions*, 2020).
    Snake {
        /// `[channels]`.
        alpha: Weight,
    },
    /// Sum of the inputs; an input of one channel is repeated over all.
    Add,
    /// Product of the inputs; an input of one channel is repeated over all.
    Mul,
    /// Channels of all inputs, one after another.
    Concat,
    /// Channels `start .. start + channels`.
    Slice {
        /// First channel kept.
        start: usize,
        /// Number of channels kept.
        channels: usize,
    },
    /// Negates odd channels of even frames: the sign mask of RAVE's PQMF.
    AlternateSign,
    /// `y[n·factor + j][c] = x[n][c·factor + j]`: channels become time (pixel shuffle).
    DepthToTime {
        /// Frames made of each frame.
        factor: usize,
    },
    /// Each frame `factor` times (nearest-neighbour upsampling).
    Repeat {
        /// Frames made of each frame.
        factor: usize,
    },
    /// Draws from N(0, 1), as many frames as the input has; reads nothing of it. Zero before frame 0.
    Gaussian {
        /// Channels drawn.
        channels: usize,
        /// Names this source among the model's random parts.
        key: u32,
    },
    /// RAVE's filtered noise: see [`NoiseSynth`].
    NoiseSynth(NoiseSynth),
    /// A gated recurrent unit, one layer, PyTorch's gate order (reset, update, new). Starts from the state it holds at
    /// frame 0; frames before it are that state.
    Gru(Gru),
    /// `|DFT(window · x[n·hop − left .. n·hop − left + size])|²`, one channel in, `size/2 + 1` out.
    PowerSpectrum {
        /// `[size]`.
        window: Weight,
        /// Input frames per output frame.
        hop: usize,
        /// Input frames before the frame's own time.
        left: usize,
    },
    /// `x / ‖x‖₂` over channels; zero stays zero.
    UnitNorm,
    /// Hyperspherical angles of a vector, scaled to [−1, 1): `channels → channels − 1` (RAVE's spherical latents).
    ToAngles,
    /// The unit vector of such angles: `channels → channels + 1`.
    FromAngles,
    /// Residual vector quantisation: one index per codebook, as a float.
    Quantize {
        /// `[codebooks, entries, channels]`.
        codebooks: Weight,
    },
    /// Sum of the entries that the indices name (clamped, truncated).
    Dequantize {
        /// `[codebooks, entries, channels]`.
        codebooks: Weight,
    },
    /// The identity, and the place where a player's hands reach the latents.
    LatentEdit,
    /// A long short-term memory, one layer, PyTorch's gate order (input, forget, cell, output). Starts from the state it
    /// holds at frame 0; frames before it are that hidden state.
    Lstm(Lstm),
    /// `max(x, 0) + slope · min(x, 0)`, a slope per channel.
    PRelu {
        /// `[channels]`.
        slope: Weight,
    },
    /// Values that a player holds: one frame for every `every` frames of the input, of which it reads nothing.
    Parameter(Parameter),
    /// The greatest of the inputs; an input of one channel is repeated over all.
    Max,
    /// A normalisation over the channels of each frame: see [`LayerNorm`].
    LayerNorm(LayerNorm),
    /// `e^x / Σ e^x`, the sum over the channels of a block.
    Softmax {
        /// Blocks of channels that one sum runs over.
        groups: usize,
    },
    /// A plain recurrent layer (Elman): `h[n] = f(weight_ih · x[n] + weight_hh · h[n − 1] + bias)`. Starts from the state it
    /// holds at frame 0; frames before it are that state.
    Rnn(Rnn),
}

/// Parameters of [`Op::Conv1d`].
#[derive(Clone, Debug, PartialEq)]
pub struct Conv1d {
    /// `[out, in / groups, kernel_size]`.
    pub weight: Weight,
    /// `[out]`.
    pub bias: Option<Weight>,
    /// Input frames per output frame.
    pub stride: usize,
    /// Input frames between taps.
    pub dilation: usize,
    /// Zeros an offline run writes before frame 0; negative when it skips frames.
    pub left_padding: i64,
    /// Blocks of channels that do not mix.
    pub groups: usize,
}

/// Parameters of [`Op::ConvTranspose1d`].
#[derive(Clone, Debug, PartialEq)]
pub struct ConvTranspose1d {
    /// `[in, out / groups, kernel_size]`.
    pub weight: Weight,
    /// `[out]`.
    pub bias: Option<Weight>,
    /// Output frames per input frame.
    pub stride: usize,
    /// Output frames an offline run cuts before frame 0 (PyTorch's `padding`).
    pub left_trim: usize,
    /// Blocks of channels that do not mix.
    pub groups: usize,
}

/// Parameters of [`Op::BatchNorm`], each `[channels]`.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchNorm {
    /// Running mean.
    pub mean: Weight,
    /// Running variance.
    pub variance: Weight,
    /// Scale; one when absent.
    pub weight: Option<Weight>,
    /// Offset; zero when absent.
    pub bias: Option<Weight>,
    /// Added to the variance.
    pub epsilon: f64,
}

/// What an [`Op::AdaIn`] has learned of a signal, each `[channels]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Statistics<W = Weight> {
    /// Mean over frames.
    pub mean: W,
    /// Standard deviation over frames.
    pub deviation: W,
}

/// A function of one value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pointwise {
    /// `max(x, 0) + slope · min(x, 0)`; slope 0 is ReLU.
    LeakyRelu {
        /// Gain below zero.
        slope: f32,
    },
    /// Hyperbolic tangent.
    Tanh,
    /// `1 / (1 + e^−x)`.
    Sigmoid,
    /// `ln(1 + e^x)`.
    Softplus,
    /// `2 · sigmoid(x)^2.3 + 1e-7` (Engel et al., *DDSP*, 2020).
    ModSigmoid,
    /// `ln(1 + x)`.
    Log1p,
    /// `scale · x + offset`.
    Affine {
        /// Gain.
        scale: f32,
        /// Added after the gain.
        offset: f32,
    },
    /// `x · sigmoid(x)`.
    Silu,
    /// `x · min(max(x + 3, 0), 6) / 6`.
    HardSwish,
    /// `x / (1 + |x|)`.
    Softsign,
    /// `min(max(x, low), high)`: hard tanh, ReLU6.
    Clamp {
        /// The least value.
        low: f32,
        /// The greatest value.
        high: f32,
    },
    /// The identity within bounds, and a straight line beyond each.
    LeakyHardTanh {
        /// Where the lower line begins.
        low: f32,
        /// Where the upper line begins.
        high: f32,
        /// Gain below `low`.
        low_slope: f32,
        /// Gain above `high`.
        high_slope: f32,
    },
    /// A quotient of polynomials near the hyperbolic tangent, within 5e-4 of it up to |x| = 2 and 8e-3 anywhere: see
    /// [`Pointwise::eval`]. Only for models trained with it.
    FastTanh,
    /// `x` above zero, `alpha · (e^x − 1)` below.
    Elu {
        /// How far down it goes.
        alpha: f32,
    },
    /// `x · Φ(x)`, Φ the normal distribution's (Hendrycks & Gimpel, *Gaussian Error Linear Units*, 2016).
    Gelu,
    /// The same paper's approximation: `x · (1 + tanh(√(2/π) · (x + 0.044715 x³))) / 2`.
    GeluTanh,
    /// `2/√π · ∫₀ˣ e^(−t²) dt`.
    Erf,
    /// `e^x`.
    Exp,
    /// The natural logarithm.
    Log,
    /// The square root.
    Sqrt,
    /// `1 / x`.
    Reciprocal,
    /// The sine.
    Sin,
    /// The cosine.
    Cos,
    /// `|x|`.
    Abs,
    /// `x^exponent`; not a number where that is none.
    Power {
        /// The exponent.
        exponent: f32,
    },
}

/// Noise shaped by an impulse response per frame and channel.
///
/// The input holds `channels · bands` amplitudes, channel by channel. For input frame `q`, `h = response · amplitudes`
/// and output frame `q·size + m` is `Σ_{j ≤ m} excitation[j] · h[m − j]`: a convolution cut at the frame's end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NoiseSynth<W = Weight> {
    /// `[size, bands]`: the impulse response of each band's amplitude.
    pub response: W,
    /// What is filtered.
    pub excitation: Excitation<W>,
}

/// The noise that a [`NoiseSynth`] filters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Excitation<W = Weight> {
    /// Uniform on [−1, 1), drawn anew for output frame and channel; silent when deterministic.
    Random {
        /// Names this source among the model's random parts.
        key: u32,
    },
    /// The same values for every input frame, `[channels, size]`; used to compare with a recorded reference.
    Fixed(W),
}

/// Parameters of [`Op::Gru`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gru<W = Weight> {
    /// `[3 · hidden, in]`.
    pub weight_ih: W,
    /// `[3 · hidden, hidden]`.
    pub weight_hh: W,
    /// `[3 · hidden]`.
    pub bias_ih: W,
    /// `[3 · hidden]`.
    pub bias_hh: W,
    /// What the reset gate resets.
    #[serde(default, skip_serializing_if = "Reset::is_usual")]
    pub reset: Reset,
    /// `[hidden]`: the state before frame 0; zero when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_hidden: Option<W>,
}

/// What the reset gate of a [`Gru`] resets, of what the state gives to the new gate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reset {
    /// What the matrix makes of the state: `reset · (weight_hh · h + bias_hh)`. PyTorch's form.
    #[default]
    Product,
    /// The state that the matrix reads: `weight_hh · (reset · h) + bias_hh` (Cho et al., *Learning Phrase Representations
    /// using RNN Encoder–Decoder*, 2014). ONNX's `linear_before_reset = 0`, Keras' `reset_after=False`.
    State,
}

/// Parameters of [`Op::Rnn`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rnn<W = Weight> {
    /// `[hidden, in]`.
    pub weight_ih: W,
    /// `[hidden, hidden]`.
    pub weight_hh: W,
    /// `[hidden]`; the sum of PyTorch's two.
    pub bias: W,
    /// `[hidden]`: the state before frame 0.
    pub initial_hidden: W,
    /// What bends the sum.
    pub activation: RnnActivation,
}

/// The function of an [`Op::Rnn`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RnnActivation {
    /// Hyperbolic tangent.
    Tanh,
    /// `max(x, 0)`.
    Relu,
}

/// Parameters of [`Op::Lstm`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lstm<W = Weight> {
    /// `[4 · hidden, in]`.
    pub weight_ih: W,
    /// `[4 · hidden, hidden]`.
    pub weight_hh: W,
    /// `[4 · hidden]`; the sum of PyTorch's two.
    pub bias: W,
    /// `[hidden]`: the hidden state before frame 0.
    pub initial_hidden: W,
    /// `[hidden]`: the cell state before frame 0.
    pub initial_cell: W,
}

/// Parameters of [`Op::LayerNorm`]: `(x − mean) / √(variance + epsilon) · weight + bias`, mean and variance over the
/// channels of a block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerNorm<W = Weight> {
    /// `[channels]`; one when absent.
    pub weight: Option<W>,
    /// `[channels]`; zero when absent.
    pub bias: Option<W>,
    /// Added to the variance.
    pub epsilon: f32,
    /// Whether the mean is taken out; else it counts as 0 (root mean square norm).
    pub centred: bool,
    /// Blocks of channels, each normalised by itself.
    pub groups: usize,
}

/// Parameters of [`Op::Parameter`]: a conditioning input of the model. Frames before frame 0 hold the default; frame `n`
/// from there on holds what the player held when the input of its time arrived. Those of one name are one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// What the model calls it.
    pub name: String,
    /// What its values count, for people; may be empty.
    #[serde(default)]
    pub unit: String,
    /// What stands there when nobody holds anything; as many as it has channels.
    pub default: Vec<f32>,
    /// Least value of every channel.
    pub minimum: f32,
    /// Greatest value of every channel.
    pub maximum: f32,
    /// Input frames per frame.
    pub every: usize,
}

impl Statistics {
    /// Mean and deviation of a channel.
    pub(crate) fn of(&self, channel: usize) -> [f64; 2] {
        [&self.mean, &self.deviation].map(|part| f64::from(part.data()[channel]))
    }
}

impl Reset {
    /// Whether a file need not tell it.
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

impl RnnActivation {
    /// The function of one value that it is.
    pub fn function(self) -> Pointwise {
        match self {
            Self::Tanh => Pointwise::Tanh,
            Self::Relu => Pointwise::LeakyRelu { slope: 0.0 },
        }
    }
}

impl Op {
    /// The op's name in dumps and messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Input { .. } => "input",
            Self::Conv1d(_) => "conv1d",
            Self::ConvTranspose1d(_) => "conv_transpose1d",
            Self::BatchNorm(_) => "batch_norm",
            Self::AdaIn { .. } => "adain",
            Self::Pointwise(p) => p.name(),
            Self::Snake { .. } => "snake",
            Self::Add => "add",
            Self::Mul => "mul",
            Self::Concat => "concat",
            Self::Slice { .. } => "slice",
            Self::AlternateSign => "alternate_sign",
            Self::DepthToTime { .. } => "depth_to_time",
            Self::Repeat { .. } => "repeat",
            Self::Gaussian { .. } => "gaussian",
            Self::NoiseSynth(_) => "noise_synth",
            Self::Gru(_) => "gru",
            Self::PowerSpectrum { .. } => "power_spectrum",
            Self::UnitNorm => "unit_norm",
            Self::ToAngles => "to_angles",
            Self::FromAngles => "from_angles",
            Self::Quantize { .. } => "quantize",
            Self::Dequantize { .. } => "dequantize",
            Self::LatentEdit => "latent_edit",
            Self::Lstm(_) => "lstm",
            Self::PRelu { .. } => "prelu",
            Self::Parameter(_) => "parameter",
            Self::Max => "max",
            Self::LayerNorm(_) => "layer_norm",
            Self::Softmax { .. } => "softmax",
            Self::Rnn(_) => "rnn",
        }
    }
}

impl Pointwise {
    /// The function's name in dumps and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::LeakyRelu { .. } => "leaky_relu",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
            Self::Softplus => "softplus",
            Self::ModSigmoid => "mod_sigmoid",
            Self::Log1p => "log1p",
            Self::Affine { .. } => "affine",
            Self::Silu => "silu",
            Self::HardSwish => "hard_swish",
            Self::Softsign => "softsign",
            Self::Clamp { .. } => "clamp",
            Self::LeakyHardTanh { .. } => "leaky_hard_tanh",
            Self::FastTanh => "fast_tanh",
            Self::Elu { .. } => "elu",
            Self::Gelu => "gelu",
            Self::GeluTanh => "gelu_tanh",
            Self::Erf => "erf",
            Self::Exp => "exp",
            Self::Log => "log",
            Self::Sqrt => "sqrt",
            Self::Reciprocal => "reciprocal",
            Self::Sin => "sin",
            Self::Cos => "cos",
            Self::Abs => "abs",
            Self::Power { .. } => "power",
        }
    }

    /// The function's value, as the textbook has it.
    pub fn eval(self, x: f32) -> f32 {
        match self {
            Self::LeakyRelu { slope } => {
                if x > 0.0 {
                    x
                } else {
                    slope * x
                }
            }
            Self::Tanh => x.tanh(),
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Self::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
            Self::ModSigmoid => 2.0 * (1.0 / (1.0 + (-x).exp())).powf(2.3) + 1e-7,
            Self::Log1p => x.ln_1p(),
            Self::Affine { scale, offset } => scale * x + offset,
            Self::Silu => x / (1.0 + (-x).exp()),
            Self::HardSwish => x * ((x + 3.0).clamp(0.0, 6.0) / 6.0),
            Self::Softsign => x / (1.0 + x.abs()),
            Self::Clamp { low, high } => {
                if x < low {
                    low
                } else if x > high {
                    high
                } else {
                    x
                }
            }
            Self::LeakyHardTanh { low, high, low_slope, high_slope } => {
                if x < low {
                    (x - low) * low_slope + low
                } else if x > high {
                    (x - high) * high_slope + high
                } else {
                    x
                }
            }
            Self::FastTanh => {
                let [a, b, c] = FAST_TANH_ABOVE;
                let [d, e] = FAST_TANH_BELOW;
                // Beyond, its value changes no more, but its powers overflow.
                let x = x.clamp(-FAST_TANH_LIMIT, FAST_TANH_LIMIT);
                let (size, square) = (x.abs(), x * x);
                x * (a + a * size + (b + c * size) * square) / (d + (d + square) * (x + e * x * size).abs())
            }
            Self::Elu { alpha } => {
                if x > 0.0 {
                    x
                } else {
                    alpha * x.exp_m1()
                }
            }
            Self::Gelu => gelu(f64::from(x)) as f32,
            Self::GeluTanh => {
                let x = f64::from(x);
                (x / (1.0 + (-2.0 * (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).exp())) as f32
            }
            Self::Erf => erf(f64::from(x)) as f32,
            Self::Exp => x.exp(),
            Self::Log => x.ln(),
            Self::Sqrt => x.sqrt(),
            Self::Reciprocal => 1.0 / x,
            Self::Sin => x.sin(),
            Self::Cos => x.cos(),
            Self::Abs => x.abs(),
            Self::Power { exponent } => f64::from(x).powf(f64::from(exponent)) as f32,
        }
    }
}

/// Coefficients of [`Pointwise::FastTanh`] above and below the line.
pub(crate) const FAST_TANH_ABOVE: [f32; 3] = [2.455_507_5, 0.893_229_85, 0.821_226_67];
pub(crate) const FAST_TANH_BELOW: [f32; 2] = [2.445_066_3, 0.814_642_7];
/// Where [`Pointwise::FastTanh`] has come to rest.
pub(crate) const FAST_TANH_LIMIT: f32 = 1e8;

/// The error function: its series where that is short, a continued fraction of the rest elsewhere.
pub fn erf(x: f64) -> f64 {
    if x == 0.0 {
        return x;
    }
    if x.abs() < 2.5 {
        let (mut term, mut sum) = (x, x);
        for n in 1..80 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        return sum * 2.0 / std::f64::consts::PI.sqrt();
    }
    1.0_f64.copysign(x) - erfc_far(x.abs()).copysign(x)
}

/// `1 − erf(x)` for x of 2.5 or more.
fn erfc_far(x: f64) -> f64 {
    let fraction = (1..60).rev().fold(x, |rest, k| x + f64::from(k) / 2.0 / rest);
    if x.is_nan() { x } else { (-x * x).exp() / std::f64::consts::PI.sqrt() / fraction }
}

/// `x · Φ(x)`.
pub fn gelu(x: f64) -> f64 {
    let at = -x / std::f64::consts::SQRT_2;
    let upper = if at < 2.5 { 1.0 - erf(at) } else { erfc_far(at) };
    if x == f64::NEG_INFINITY { f64::NAN } else { x * upper / 2.0 }
}
