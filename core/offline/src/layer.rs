//! Layer: one op with its weights in burn's tensors, and how burn computes it over a whole signal.
//!
//! Signals are `[1, channels, frames]`, in f64: what judges others rounds less than they do.

use std::f64::consts::TAU;

use burn::tensor::activation::{leaky_relu, relu, sigmoid, tanh};
use burn::tensor::module::{batch_norm, conv_transpose1d, conv1d};
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};
use burn::tensor::{DType, Device, Tensor, TensorData};
use runnel::graph::{Op, Pointwise};
use runnel::random::Randomness;

use crate::{Span, by_frame};

/// An op, ready to run.
pub(crate) enum Layer {
    Conv1d {
        weight: Tensor<3>,
        bias: Option<Tensor<3>>,
        stride: usize,
        dilation: usize,
        left: i64,
        groups: usize,
    },
    ConvTranspose1d {
        weight: Tensor<3>,
        bias: Option<Tensor<3>>,
        stride: usize,
        left_trim: usize,
        groups: usize,
    },
    BatchNorm {
        scale: Tensor<1>,
        offset: Tensor<1>,
        mean: Tensor<1>,
        variance: Tensor<1>,
        epsilon: f64,
    },
    /// Mean and deviation of the source, then of the target.
    AdaIn {
        source: [Tensor<3>; 2],
        target: [Tensor<3>; 2],
    },
    Snake {
        alpha: Tensor<3>,
    },
    PowerSpectrum {
        cosine: Tensor<3>,
        sine: Tensor<3>,
        hop: usize,
        left: usize,
    },
    PRelu {
        slope: Tensor<3>,
    },
    /// Holds nothing on the device.
    Plain(Op),
}

impl Layer {
    pub(crate) fn new(op: &Op, device: &Device) -> Self {
        let tensor = |w: &runnel::Weight| load(w.data(), w.shape().try_into().expect("the graph checked"), device);
        let column = |w: &runnel::Weight| load(w.data(), [1, w.len(), 1], device);
        let vector = |w: &runnel::Weight| load(w.data(), [w.len()], device);
        match op {
            Op::Conv1d(c) => Self::Conv1d {
                weight: tensor(&c.weight),
                bias: c.bias.as_ref().map(column),
                stride: c.stride,
                dilation: c.dilation,
                left: c.left_padding,
                groups: c.groups,
            },
            Op::ConvTranspose1d(c) => Self::ConvTranspose1d {
                weight: tensor(&c.weight),
                bias: c.bias.as_ref().map(column),
                stride: c.stride,
                left_trim: c.left_trim,
                groups: c.groups,
            },
            Op::BatchNorm(b) => {
                let channels = b.mean.len();
                Self::BatchNorm {
                    scale: b.weight.as_ref().map_or_else(|| load(&vec![1.0; channels], [channels], device), vector),
                    offset: b.bias.as_ref().map_or_else(|| load(&vec![0.0; channels], [channels], device), vector),
                    mean: vector(&b.mean),
                    variance: vector(&b.variance),
                    epsilon: b.epsilon,
                }
            }
            Op::AdaIn { source: Some(source), target: Some(target) } => Self::AdaIn {
                source: [column(&source.mean), column(&source.deviation)],
                target: [column(&target.mean), column(&target.deviation)],
            },
            Op::Snake { alpha } => Self::Snake { alpha: column(alpha) },
            Op::PRelu { slope } => Self::PRelu { slope: column(slope) },
            Op::PowerSpectrum { window, hop, left } => {
                let (cosine, sine) = dft(window.data(), device);
                Self::PowerSpectrum { cosine, sine, hop: *hop, left: *left }
            }
            plain => Self::Plain(plain.clone()),
        }
    }

    /// The frames of `span`, from all frames of `inputs`.
    pub(crate) fn run(
        &self,
        mut inputs: Vec<Tensor<3>>,
        span: Span,
        randomness: Randomness,
        device: &Device,
    ) -> Tensor<3> {
        let op = match self {
            Self::Plain(op) => op,
            held => return held.run_held(inputs.remove(0), span.frames),
        };
        match op {
            Op::Add => inputs.into_iter().reduce(|a, b| a + b).expect("two or more"),
            Op::Mul => inputs.into_iter().reduce(|a, b| a * b).expect("two or more"),
            Op::Max => {
                let widest = inputs.iter().map(|x| x.dims()[1]).max().expect("two or more");
                let whole = |x: Tensor<3>| if x.dims()[1] == widest { x } else { x.repeat_dim(1, widest) };
                inputs.into_iter().map(whole).reduce(Tensor::max_pair).expect("two or more")
            }
            Op::Concat => Tensor::cat(inputs, 1),
            _ => run_plain(op, inputs.remove(0), span, randomness, device),
        }
    }

    fn run_held(&self, x: Tensor<3>, frames: usize) -> Tensor<3> {
        match self {
            Self::Conv1d { weight, bias, stride, dilation, left, groups } => {
                let read = (frames - 1) * stride + (weight.dims()[2] - 1) * dilation + 1;
                let options = ConvOptions::new([*stride], [0], [*dilation], *groups);
                biased(conv1d(window(x, -left, read), weight.clone(), None, options), bias)
            }
            Self::ConvTranspose1d { weight, bias, stride, left_trim, groups } => {
                let options = ConvTransposeOptions::new([*stride], [0], [0], [1], *groups);
                let whole = conv_transpose1d(x, weight.clone(), None, options);
                biased(window(whole, *left_trim as i64, frames), bias)
            }
            Self::BatchNorm { scale, offset, mean, variance, epsilon } => {
                batch_norm(x, scale.clone(), offset.clone(), mean.clone(), variance.clone(), *epsilon)
            }
            Self::AdaIn { source: [mean_x, std_x], target: [mean_y, std_y] } => {
                (x - mean_x.clone()) / (std_x.clone() + 1e-5) * std_y.clone() + mean_y.clone()
            }
            Self::Snake { alpha } => {
                let sine = (x.clone() * alpha.clone()).sin();
                x + sine.square() / (alpha.clone() + 1e-9)
            }
            Self::PRelu { slope } => relu(x.clone()) - relu(x.neg()) * slope.clone(),
            Self::PowerSpectrum { cosine, sine, hop, left } => {
                let x = window(x, -(*left as i64), (frames - 1) * hop + cosine.dims()[2]);
                let part = |basis: &Tensor<3>| {
                    conv1d(x.clone(), basis.clone(), None, ConvOptions::new([*hop], [0], [1], 1)).square()
                };
                part(cosine) + part(sine)
            }
            Self::Plain(op) => unreachable!("{} holds no weights", op.name()),
        }
    }
}

fn run_plain(op: &Op, x: Tensor<3>, span: Span, randomness: Randomness, device: &Device) -> Tensor<3> {
    let [_, channels, frames] = x.dims();
    match op {
        Op::AdaIn { .. } | Op::LatentEdit => x,
        Op::Pointwise(function) => pointwise(*function, x),
        Op::Slice { start, channels } => x.narrow(1, *start, *channels),
        Op::AlternateSign => {
            let sign = |c: usize, t: usize| if c % 2 == 1 && (span.first + t as i64) % 2 == 0 { -1.0 } else { 1.0 };
            let mask: Vec<f32> = (0..channels).flat_map(|c| (0..frames).map(move |t| sign(c, t))).collect();
            x * load(&mask, [1, channels, frames], device)
        }
        Op::DepthToTime { factor } => {
            let split: Tensor<3> = x.reshape([channels / factor, *factor, frames]);
            split.swap_dims(1, 2).reshape([1, channels / factor, frames * factor])
        }
        Op::Repeat { factor } => {
            let single: Tensor<3> = x.reshape([channels, frames, 1]);
            single.repeat_dim(2, *factor).reshape([1, channels, frames * factor])
        }
        Op::UnitNorm => {
            let norm = x.clone().square().sum_dim(1).sqrt();
            let silent = norm.clone().equal_scalar(0.0);
            x / norm.mask_fill(silent, 1.0)
        }
        Op::Gaussian { channels, key } => by_frame::gaussian(*channels, *key, span, randomness, device),
        Op::NoiseSynth(synth) => by_frame::noise(synth, x, span, randomness, device),
        Op::Gru(gru) => by_frame::gru(gru, x, span, device),
        Op::Rnn(rnn) => by_frame::rnn(rnn, x, span, device),
        Op::Lstm(lstm) => by_frame::lstm(lstm, x, span, device),
        Op::ToAngles => by_frame::each(x, channels - 1, device, by_frame::to_angles),
        Op::FromAngles => by_frame::each(x, channels + 1, device, by_frame::from_angles),
        Op::Quantize { codebooks } => {
            by_frame::each(x, codebooks.shape()[0], device, |x, y| by_frame::quantize(codebooks, x, y))
        }
        Op::Dequantize { codebooks } => {
            by_frame::each(x, codebooks.shape()[2], device, |x, y| by_frame::dequantize(codebooks, x, y))
        }
        Op::LayerNorm(norm) => by_frame::each(x, channels, device, |x, y| by_frame::layer_norm(norm, x, y)),
        Op::Softmax { groups } => by_frame::each(x, channels, device, |x, y| by_frame::softmax(*groups, x, y)),
        other => unreachable!("{} is computed elsewhere", other.name()),
    }
}

fn pointwise(function: Pointwise, x: Tensor<3>) -> Tensor<3> {
    match function {
        Pointwise::LeakyRelu { slope } => leaky_relu(x, f64::from(slope)),
        Pointwise::Tanh => tanh(x),
        Pointwise::Sigmoid => sigmoid(x),
        // ln(1 + eˣ) without overflow.
        Pointwise::Softplus => relu(x.clone()) + x.abs().neg().exp().log1p(),
        Pointwise::ModSigmoid => sigmoid(x).powf_scalar(2.3) * 2.0 + 1e-7,
        Pointwise::Log1p => x.log1p(),
        Pointwise::Affine { scale, offset } => x * scale + offset,
        Pointwise::Silu => x.clone() * sigmoid(x),
        Pointwise::HardSwish => x.clone() * (x + 3.0).clamp(0.0, 6.0) / 6.0,
        Pointwise::Softsign => x.clone() / (x.abs() + 1.0),
        Pointwise::Clamp { low, high } => x.clamp(low, high),
        Pointwise::LeakyHardTanh { low, high, low_slope, high_slope } => {
            let below = relu(x.clone().neg() + low) * low_slope;
            let above = relu(x.clone() - high) * high_slope;
            x.clamp(low, high) + above - below
        }
        Pointwise::FastTanh => {
            // As the format's player writes it (sdatkinson/NeuralAmpModelerCore, activations.h), within its powers' range.
            let x = x.clamp(-1e8, 1e8);
            let (size, square) = (x.clone().abs(), x.clone().square());
            let above = size.clone() * 2.455_507_5
                + 2.455_507_5
                + (size.clone() * 0.821_226_67 + 0.893_229_85) * square.clone();
            let below = (square + 2.445_066_3) * (x.clone() + x.clone() * size * 0.814_642_73).abs() + 2.445_066_3;
            x * above / below
        }
        Pointwise::Elu { alpha } => relu(x.clone()) + (x.clamp_max(0.0).exp() - 1.0) * alpha,
        Pointwise::Gelu => x.clone() * ((x / std::f64::consts::SQRT_2).erf() + 1.0) / 2.0,
        Pointwise::GeluTanh => {
            let cubic = x.clone().powi_scalar(3) * 0.044_715 + x.clone();
            x * (tanh(cubic * (2.0 / std::f64::consts::PI).sqrt()) + 1.0) / 2.0
        }
        Pointwise::Erf => x.erf(),
        Pointwise::Exp => x.exp(),
        Pointwise::Log => x.log(),
        Pointwise::Sqrt => x.sqrt(),
        Pointwise::Reciprocal => x.recip(),
        Pointwise::Sin => x.sin(),
        Pointwise::Cos => x.cos(),
        Pointwise::Abs => x.abs(),
        Pointwise::Power { exponent } => x.powf_scalar(exponent),
    }
}

/// Frames `from .. from + len` of `x`, zero where it has none.
fn window(x: Tensor<3>, from: i64, len: usize) -> Tensor<3> {
    let [batch, channels, frames] = x.dims();
    let before = from.min(0).unsigned_abs().min(len as u64) as usize;
    let start = from.clamp(0, frames as i64) as usize;
    let held = (len - before).min(frames - start);
    let silence = |len| Tensor::zeros([batch, channels, len], (&x.device(), x.dtype()));
    let mut parts = vec![];
    if before > 0 {
        parts.push(silence(before));
    }
    if held > 0 {
        parts.push(x.clone().narrow(2, start, held));
    }
    if before + held < len {
        parts.push(silence(len - before - held));
    }
    if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(parts, 2) }
}

fn biased(x: Tensor<3>, bias: &Option<Tensor<3>>) -> Tensor<3> {
    match bias {
        Some(bias) => x + bias.clone(),
        None => x,
    }
}

/// The windowed discrete Fourier transform as two convolutions, `[size / 2 + 1, 1, size]`: real and imaginary part.
fn dft(window: &[f32], device: &Device) -> (Tensor<3>, Tensor<3>) {
    let size = window.len();
    let bins = size / 2 + 1;
    let basis = |part: fn(f64) -> f64| {
        let value = |bin: usize, t: usize| f64::from(window[t]) * part(TAU * ((bin * t) % size) as f64 / size as f64);
        let values = (0..bins).flat_map(|b| (0..size).map(move |t| value(b, t))).collect();
        load_f64(values, [bins, 1, size], device)
    };
    (basis(f64::cos), basis(f64::sin))
}

/// Values and shape as a tensor on the device.
pub(crate) fn load<const D: usize>(values: &[f32], shape: [usize; D], device: &Device) -> Tensor<D> {
    let values: Vec<f64> = values.iter().copied().map(f64::from).collect();
    load_f64(values, shape, device)
}

/// As [`load`], of values that are no f32.
fn load_f64<const D: usize>(values: Vec<f64>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), (device, DType::F64))
}
