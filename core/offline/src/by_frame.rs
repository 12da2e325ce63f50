//! Ops that go frame by frame, where burn's whole-signal operations say less than a loop. Sums run in f64.

use std::f64::consts::{PI, TAU};

use burn::tensor::module::conv1d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor};
use runnel::graph::{Excitation, Gru, LayerNorm, Lstm, NoiseSynth, Reset, Rnn, RnnActivation, Statistics};
use runnel::random::Randomness;
use runnel::{Learning, Tensor as Table, Weight};

use crate::Span;
use crate::layer::load;
use crate::signal::values;

/// Maps every frame of `x` by `map`, which reads one frame and writes one of `out` channels.
pub(crate) fn each(x: Tensor<3>, out: usize, device: &Device, map: impl Fn(&[f32], &mut [f32])) -> Tensor<3> {
    let [_, channels, frames] = x.dims();
    let x = values(x);
    let mut y = vec![0.0; out * frames];
    let (mut read, mut written) = (vec![0.0; channels], vec![0.0; out]);
    for t in 0..frames {
        for c in 0..channels {
            read[c] = x[c * frames + t];
        }
        map(&read, &mut written);
        for c in 0..out {
            y[c * frames + t] = written[c];
        }
    }
    load(&y, [1, out, frames], device)
}

/// The angle of each coordinate to what follows it; the last runs through the whole circle. A vector that ends in zeros
/// has angle 0 there.
pub(crate) fn to_angles(x: &[f32], angles: &mut [f32]) {
    let last = x.len() - 1;
    for i in 0..last {
        let norm = x[i..].iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
        let ratio = if norm > 0.0 { f64::from(x[i]) / norm } else { 1.0 };
        let angle = ratio.clamp(-1.0, 1.0).acos();
        let turn = match (i + 1 == last, x[last] >= 0.0) {
            (false, _) => angle / PI,
            (true, true) => angle / TAU,
            (true, false) => 1.0 - angle / TAU,
        };
        angles[i] = (2.0 * (turn - 0.5)) as f32;
    }
}

/// The vector of such angles: cosine of each times the sines of those before it.
pub(crate) fn from_angles(angles: &[f32], x: &mut [f32]) {
    let mut sines = 1.0;
    for (i, &angle) in angles.iter().enumerate() {
        let turn = (f64::from(angle) / 2.0 + 0.5).rem_euclid(1.0);
        let angle = turn * if i + 1 == angles.len() { TAU } else { PI };
        x[i] = (sines * angle.cos()) as f32;
        sines *= angle.sin();
    }
    x[angles.len()] = sines as f32;
}

/// The index of the nearest entry of each codebook to what the books before it left; the first of equals.
pub(crate) fn quantize(codebooks: &Table, x: &[f32], indices: &mut [f32]) {
    let entries = codebooks.shape()[1];
    let mut residual = x.to_vec();
    for (book, index) in indices.iter_mut().enumerate() {
        let (mut nearest, mut least) = (0, f64::INFINITY);
        for i in 0..entries {
            let distance: f64 = residual
                .iter()
                .zip(entry(codebooks, book, i))
                .map(|(&r, &e)| (f64::from(r) - f64::from(e)).powi(2))
                .sum();
            if distance < least {
                (nearest, least) = (i, distance);
            }
        }
        *index = nearest as f32;
        for (r, e) in residual.iter_mut().zip(entry(codebooks, book, nearest)) {
            *r -= e;
        }
    }
}

/// The sum of the entries named by `indices`.
pub(crate) fn dequantize(codebooks: &Table, indices: &[f32], x: &mut [f32]) {
    let last = codebooks.shape()[1] - 1;
    x.fill(0.0);
    for (book, &index) in indices.iter().enumerate() {
        // A float becomes an integer towards zero, clamped; NaN becomes 0.
        let index = (index as usize).min(last);
        for (x, e) in x.iter_mut().zip(entry(codebooks, book, index)) {
            *x += e;
        }
    }
}

fn entry(codebooks: &Table, book: usize, index: usize) -> &[f32] {
    let width = codebooks.shape()[2];
    &codebooks.row(book)[index * width..(index + 1) * width]
}

/// The channels of each block less their mean, over their deviation.
pub(crate) fn layer_norm(norm: &LayerNorm, x: &[f32], y: &mut [f32]) {
    let width = x.len() / norm.groups;
    for (i, y) in y.iter_mut().enumerate() {
        let block = &x[i / width * width..][..width];
        let average = |f: &dyn Fn(f64) -> f64| block.iter().map(|&v| f(v.into())).sum::<f64>() / width as f64;
        let mean = if norm.centred { average(&|v| v) } else { 0.0 };
        let deviation = (average(&|v| (v - mean) * (v - mean)) + f64::from(norm.epsilon)).sqrt();
        let part = |w: &Option<Weight>, absent: f64| w.as_ref().map_or(absent, |w| w.data()[i].into());
        *y = ((f64::from(x[i]) - mean) / deviation * part(&norm.weight, 1.0) + part(&norm.bias, 0.0)) as f32;
    }
}

/// The exponential of each channel over the sum of its block's.
pub(crate) fn softmax(groups: usize, x: &[f32], y: &mut [f32]) {
    let width = x.len() / groups;
    for (i, y) in y.iter_mut().enumerate() {
        // e^x / Σ e^v = 1 / Σ e^(v − x)
        let block = &x[i / width * width..][..width];
        *y = (1.0 / block.iter().map(|&v| (f64::from(v) - f64::from(x[i])).exp()).sum::<f64>()) as f32;
    }
}

/// Draws of N(0, 1), counted by absolute frame.
pub(crate) fn gaussian(channels: usize, key: u32, span: Span, randomness: Randomness, device: &Device) -> Tensor<3> {
    let draw = |c: usize, t: usize| randomness.normal(key, span.first + t as i64, c);
    let y: Vec<f32> = (0..channels).flat_map(|c| (0..span.frames).map(move |t| draw(c, t))).collect();
    load(&y, [1, channels, span.frames], device)
}

/// Noise through the impulse response of each frame; `span` counts output frames.
pub(crate) fn noise(
    synth: &NoiseSynth,
    amplitudes: Tensor<3>,
    span: Span,
    randomness: Randomness,
    device: &Device,
) -> Tensor<3> {
    let [size, bands] = synth.response.shape().try_into().expect("the graph checked");
    let [_, inputs, frames] = amplitudes.dims();
    let channels = inputs / bands;
    let amplitudes = values(amplitudes);
    let mut y = vec![0.0; channels * span.frames];
    for c in 0..channels {
        for q in 0..frames {
            let response: Vec<f64> = (0..size)
                .map(|m| {
                    let gains = synth.response.row(m).iter().enumerate();
                    gains.map(|(b, &g)| f64::from(g) * f64::from(amplitudes[(c * bands + b) * frames + q])).sum()
                })
                .collect();
            let excitation: Vec<f64> = (0..size)
                .map(|j| match &synth.excitation {
                    Excitation::Random { key } => randomness.uniform(*key, span.first + (q * size + j) as i64, c),
                    Excitation::Fixed(noise) => noise.row(c)[j],
                })
                .map(f64::from)
                .collect();
            for m in 0..size {
                let sum: f64 = (0..=m).map(|j| excitation[j] * response[m - j]).sum();
                y[c * span.frames + q * size + m] = sum as f32;
            }
        }
    }
    load(&y, [1, channels, span.frames], device)
}

/// A gated recurrent unit, from its initial state at frame 0 on.
pub(crate) fn gru(gru: &Gru, x: Tensor<3>, span: Span, device: &Device) -> Tensor<3> {
    let [rows, width] = gru.weight_ih.shape().try_into().expect("the graph checked");
    let hidden = rows / 3;
    let kernel: Tensor<3> = load(gru.weight_ih.data(), [rows, width, 1], device);
    let arriving = values(conv1d(x, kernel, None, ConvOptions::new([1], [0], [1], 1)));

    let mut state = gru.initial_hidden.as_ref().map_or_else(|| vec![0.0; hidden], wide);
    let mut y = vec![0.0; hidden * span.frames];
    for t in 0..span.frames {
        if span.first + t as i64 >= 0 {
            let from_input =
                |row: usize| f64::from(arriving[row * span.frames + t]) + f64::from(gru.bias_ih.data()[row]);
            let from_state = |row: usize, state: &[f64]| {
                let weights = gru.weight_hh.row(row).iter();
                weights.zip(state).map(|(&w, s)| f64::from(w) * s).sum::<f64>() + f64::from(gru.bias_hh.data()[row])
            };
            let gate = |row: usize| logistic(from_input(row) + from_state(row, &state));
            let resets: Vec<f64> = (0..hidden).map(gate).collect();
            let rest: Vec<f64> = resets.iter().zip(&state).map(|(r, h)| r * h).collect();
            let next = (0..hidden).map(|i| {
                let row = 2 * hidden + i;
                let remembered = match gru.reset {
                    Reset::Product => resets[i] * from_state(row, &state),
                    Reset::State => from_state(row, &rest),
                };
                let (update, new) = (gate(hidden + i), (from_input(row) + remembered).tanh());
                (1.0 - update) * new + update * state[i]
            });
            state = next.collect();
        }
        for i in 0..hidden {
            y[i * span.frames + t] = state[i] as f32;
        }
    }
    load(&y, [1, hidden, span.frames], device)
}

/// A plain recurrent layer, from its initial state at frame 0 on.
pub(crate) fn rnn(rnn: &Rnn, x: Tensor<3>, span: Span, device: &Device) -> Tensor<3> {
    let [hidden, width] = rnn.weight_ih.shape().try_into().expect("the graph checked");
    let kernel: Tensor<3> = load(rnn.weight_ih.data(), [hidden, width, 1], device);
    let arriving = values(conv1d(x, kernel, None, ConvOptions::new([1], [0], [1], 1)));

    let mut state = wide(&rnn.initial_hidden);
    let mut y = vec![0.0; hidden * span.frames];
    for t in 0..span.frames {
        if span.first + t as i64 >= 0 {
            let next = (0..hidden).map(|i| {
                let from_state: f64 = rnn.weight_hh.row(i).iter().zip(&state).map(|(&w, s)| f64::from(w) * s).sum();
                let sum = f64::from(arriving[i * span.frames + t]) + f64::from(rnn.bias.data()[i]) + from_state;
                match rnn.activation {
                    RnnActivation::Tanh => sum.tanh(),
                    RnnActivation::Relu => sum.max(0.0),
                }
            });
            state = next.collect();
        }
        for i in 0..hidden {
            y[i * span.frames + t] = state[i] as f32;
        }
    }
    load(&y, [1, hidden, span.frames], device)
}

/// Adaptive instance normalisation that learns as `lesson` says, by sums of values and of squares: see
/// [`crate::Offline::run_learning`]. Frames before 0 meet what the graph holds.
pub(crate) fn adain(
    held: &[Option<Statistics>; 2],
    x: Tensor<3>,
    span: Span,
    lesson: &dyn Fn(i64) -> Learning,
    device: &Device,
) -> Tensor<3> {
    let [_, channels, frames] = x.dims();
    let x = values(x);
    let mut y = vec![0.0; x.len()];
    for c in 0..channels {
        let row = &x[c * frames..(c + 1) * frames];
        let held = held
            .each_ref()
            .map(|side| side.as_ref().map(|s| [&s.mean, &s.deviation].map(|part| f64::from(part.data()[c]))));
        let mut heard = [Sums::default(); 2];
        for (t, &x) in row.iter().enumerate() {
            let n = span.first + t as i64;
            let learning = if n < 0 { Learning::Off } else { lesson(n) };
            match learning {
                Learning::Off => {}
                Learning::Source => heard[0].take(f64::from(x)),
                Learning::Target => heard[1].take(f64::from(x)),
            }
            let known = |side: usize| if n >= 0 { heard[side].statistics().or(held[side]) } else { held[side] };
            y[c * frames + t] = match (learning, known(0), known(1)) {
                (Learning::Off | Learning::Source, Some([mean_x, std_x]), Some([mean_y, std_y])) => {
                    ((f64::from(x) - mean_x) / (std_x + 1e-5) * std_y + mean_y) as f32
                }
                _ => x,
            };
        }
    }
    load(&y, [1, channels, frames], device)
}

/// Of one channel, around its first value: a large mean costs nothing then.
#[derive(Clone, Copy, Default)]
struct Sums {
    count: f64,
    first: f64,
    sum: f64,
    squares: f64,
}

impl Sums {
    fn take(&mut self, x: f64) {
        if self.count == 0.0 {
            self.first = x;
        }
        let x = x - self.first;
        (self.count, self.sum, self.squares) = (self.count + 1.0, self.sum + x, self.squares + x * x);
    }

    /// Mean and unbiased deviation.
    fn statistics(&self) -> Option<[f64; 2]> {
        let mean = self.sum / self.count;
        let variance = (self.squares - self.sum * mean) / (self.count - 1.0);
        (self.count >= 2.0).then(|| [self.first + mean, variance.max(0.0).sqrt()])
    }
}

/// PyTorch's long short-term memory, from its initial state at frame 0 on.
pub(crate) fn lstm(lstm: &Lstm, x: Tensor<3>, span: Span, device: &Device) -> Tensor<3> {
    let [rows, width] = lstm.weight_ih.shape().try_into().expect("the graph checked");
    let hidden = rows / 4;
    let kernel: Tensor<3> = load(lstm.weight_ih.data(), [rows, width, 1], device);
    let arriving = values(conv1d(x, kernel, None, ConvOptions::new([1], [0], [1], 1)));

    let (mut h, mut c) = (wide(&lstm.initial_hidden), wide(&lstm.initial_cell));
    let mut y = vec![0.0; hidden * span.frames];
    for t in 0..span.frames {
        if span.first + t as i64 >= 0 {
            let gate = |gate: usize, i: usize| {
                let row = gate * hidden + i;
                let from_state: f64 = lstm.weight_hh.row(row).iter().zip(&h).map(|(&w, h)| f64::from(w) * h).sum();
                f64::from(arriving[row * span.frames + t]) + f64::from(lstm.bias.data()[row]) + from_state
            };
            let next: Vec<(f64, f64)> = (0..hidden)
                .map(|i| {
                    let cell = logistic(gate(1, i)) * c[i] + logistic(gate(0, i)) * gate(2, i).tanh();
                    (logistic(gate(3, i)) * cell.tanh(), cell)
                })
                .collect();
            (h, c) = next.into_iter().unzip();
        }
        for i in 0..hidden {
            y[i * span.frames + t] = h[i] as f32;
        }
    }
    load(&y, [1, hidden, span.frames], device)
}

fn wide(weight: &Weight) -> Vec<f64> {
    weight.data().iter().map(|&v| f64::from(v)).collect()
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}
