//! The demo model under training: one long signal per step, `[channels, frames]`, every convolution one matrix product.

use burn::module::{Module, Param};
use burn::tensor::activation::{leaky_relu, tanh};
use burn::tensor::{Device, Tensor, TensorData};
use runnel::sound::Dice;

use super::recipe::{DECODE, ENCODE, Part, SLOPE};
use super::weights::{Affine, Weights};
use crate::signal::values;

/// Parameters in the order of the recipes.
#[derive(Module, Debug)]
pub(crate) struct Network {
    encode: Vec<Layer>,
    decode: Vec<Layer>,
}

/// Parameters of one convolution, in PyTorch's layouts.
#[derive(Module, Debug)]
struct Layer {
    weight: Param<Tensor<3>>,
    bias: Param<Tensor<1>>,
}

impl Network {
    /// Fresh parameters: uniform, of the variance that keeps a signal's power through leaky ReLUs (He et al.,
    /// *Delving Deep into Rectifiers*, 2015), and small where a residual branch or the model ends.
    pub(crate) fn new(seed: u64, device: &Device) -> Self {
        let mut dice = Dice::new(seed);
        let mut half = |parts: &[Part]| parts.iter().flat_map(|part| fresh(*part, &mut dice, device)).collect();
        Self { encode: half(ENCODE), decode: half(DECODE) }
    }

    pub(crate) fn load(weights: &Weights, device: &Device) -> Self {
        let layer = |a: &Affine| Layer {
            weight: Param::from_tensor(load(a.weight.data(), a.weight.shape().try_into().expect("three"), device)),
            bias: Param::from_tensor(load(a.bias.data(), [a.bias.len()], device)),
        };
        Self { encode: weights.encode.iter().map(layer).collect(), decode: weights.decode.iter().map(layer).collect() }
    }

    pub(crate) fn weights(&self) -> Weights {
        let affine = |layer: &Layer| {
            let (weight, bias) = (layer.weight.val(), layer.bias.val());
            Affine {
                weight: runnel::Tensor::new(weight.dims(), values(weight)).into(),
                bias: runnel::Tensor::new(bias.dims(), values(bias)).into(),
            }
        };
        Weights { encode: self.encode.iter().map(affine).collect(), decode: self.decode.iter().map(affine).collect() }
    }

    /// Latents of audio, `[1, samples]` to `[LATENTS, samples / RATIO]`.
    pub(crate) fn encode(&self, audio: Tensor<2>) -> Tensor<2> {
        walk(ENCODE, &self.encode, audio)
    }

    /// Audio of latents.
    pub(crate) fn decode(&self, latents: Tensor<2>) -> Tensor<2> {
        walk(DECODE, &self.decode, latents)
    }
}

fn fresh(part: Part, dice: &mut Dice, device: &Device) -> Vec<Layer> {
    let shapes = part.weights();
    let ends_branch = |i: usize| shapes.len() == 2 && i == 1;
    let layer = |(i, shape): (usize, &[usize; 3])| {
        let fan_in = match part {
            Part::Up { inputs, kernel_size, stride, .. } => inputs * kernel_size / stride,
            _ => shape[1] * shape[2],
        };
        let ends_model = matches!(part, Part::Up { out: 1, .. });
        let bound = (6.0 / fan_in as f32).sqrt() * if ends_branch(i) || ends_model { 0.2 } else { 1.0 };
        let weight: Vec<f32> = (0..shape.iter().product()).map(|_| dice.uniform(-bound, bound)).collect();
        let bias = vec![0.0; part.bias(*shape)];
        Layer {
            weight: Param::from_tensor(load(&weight, *shape, device)),
            bias: Param::from_tensor(load(&bias, [bias.len()], device)),
        }
    };
    shapes.iter().enumerate().map(layer).collect()
}

fn walk(parts: &[Part], layers: &[Layer], x: Tensor<2>) -> Tensor<2> {
    let mut layers = layers.iter();
    let mut next = || layers.next().expect("a layer for each convolution of the recipe");
    parts.iter().fold(x, |x, part| match *part {
        Part::Conv { .. } => conv(x, next(), 1),
        Part::Down { stride, .. } => down(x, next(), stride),
        Part::Up { stride, .. } => up(x, next(), stride),
        Part::Residual { dilation, .. } => {
            let inner = conv(activation(x.clone()), next(), dilation);
            x + conv(activation(inner), next(), 1)
        }
        Part::Activation => activation(x),
        Part::Tanh => tanh(x),
    })
}

fn activation(x: Tensor<2>) -> Tensor<2> {
    leaky_relu(x, f64::from(SLOPE))
}

fn conv(x: Tensor<2>, layer: &Layer, dilation: usize) -> Tensor<2> {
    let weight = layer.weight.val();
    let [out, inputs, kernel_size] = weight.dims();
    let frames = x.dims()[1];
    let reach = (kernel_size - 1) * dilation;
    let x = if reach > 0 { pad(x, reach / 2, reach - reach / 2) } else { x };
    let taps = (0..kernel_size).map(|k| x.clone().narrow(1, k * dilation, frames)).collect();
    let matrix = weight.swap_dims(1, 2).reshape([out, kernel_size * inputs]);
    biased(matrix.matmul(Tensor::cat(taps, 0)), layer)
}

fn down(x: Tensor<2>, layer: &Layer, stride: usize) -> Tensor<2> {
    let weight = layer.weight.val();
    let [out, inputs, kernel_size] = weight.dims();
    let frames = x.dims()[1] / stride;
    let strides = kernel_size / stride;
    let (left, whole) = ((kernel_size - stride) / 2, frames + strides - 1);
    let x = pad(x, left, kernel_size - stride - left);
    // Rows (tap within the stride, channel), a column per stride.
    let blocks = x.reshape([inputs, whole, stride]).permute([2, 0, 1]).reshape([stride * inputs, whole]);
    let taps = (0..strides).map(|s| blocks.clone().narrow(1, s, frames)).collect();
    let matrix = weight.swap_dims(1, 2).reshape([out, kernel_size * inputs]);
    biased(matrix.matmul(Tensor::cat(taps, 0)), layer)
}

fn up(x: Tensor<2>, layer: &Layer, stride: usize) -> Tensor<2> {
    let weight = layer.weight.val();
    let [inputs, out, kernel_size] = weight.dims();
    let frames = x.dims()[1];
    let strides = kernel_size / stride;
    let matrix = weight.permute([2, 1, 0]).reshape([kernel_size * out, inputs]);
    let scattered = matrix.matmul(x);
    let whole = frames + strides - 1;
    let part = |s: usize| pad(scattered.clone().narrow(0, s * stride * out, stride * out), s, strides - 1 - s);
    let sum = (1..strides).fold(part(0), |sum, s| sum + part(s));
    let woven = sum.reshape([stride, out, whole]).permute([1, 2, 0]).reshape([out, whole * stride]);
    biased(woven.narrow(1, (kernel_size - stride) / 2, frames * stride), layer)
}

fn biased(x: Tensor<2>, layer: &Layer) -> Tensor<2> {
    x + layer.bias.val().unsqueeze_dim(1)
}

/// Zeros before and after.
pub(crate) fn pad(x: Tensor<2>, before: usize, after: usize) -> Tensor<2> {
    let channels = x.dims()[0];
    let device = x.device();
    let silence = |frames| Tensor::zeros([channels, frames], &device);
    let mut parts = vec![x];
    if before > 0 {
        parts.insert(0, silence(before));
    }
    if after > 0 {
        parts.push(silence(after));
    }
    if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(parts, 1) }
}

/// Values and shape as a tensor on the device, in f32: training needs no more.
pub(crate) fn load<const D: usize>(values: &[f32], shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}
