//! Long short-term memories, then a matrix.

use std::sync::Arc;

use serde::Deserialize;

use super::super::ImportError;
use super::description::Found;
use super::file::File;
use super::network::{Network, config};
use super::weights::{Shape, Weights};
use crate::graph::{Lstm, Op};
use crate::tensor::Tensor;

#[derive(Deserialize)]
struct Config {
    num_layers: usize,
    input_size: usize,
    hidden_size: usize,
    #[serde(default = "one")]
    out_channels: usize,
}

fn one() -> usize {
    1
}

/// Frames that the player runs silence in.
const BLOCK: usize = 64;
/// Multiply-adds of silence beyond which a model is refused.
const MOST_WORK: usize = 20_000_000_000;
/// A state that changes by less over a block has come to rest.
const REST: f64 = 1e-13;

pub(super) fn build(network: &mut Network<'_>, file: &File) -> Result<Found, ImportError> {
    let Config { num_layers, input_size, hidden_size: hidden, out_channels } = config(&file.config, "config")?;
    let mut weights = Weights::new(&file.weights, network.place());
    let mut layers: Vec<Lstm> = Vec::new();
    for layer in 0..num_layers {
        let name = format!("layer{layer}");
        layers.push(read(&mut weights, if layer == 0 { input_size } else { hidden }, hidden, &name)?);
    }
    let read = if num_layers == 0 { input_size } else { hidden };
    let head = weights.conv(Shape::pointwise(read, out_channels, true), "head")?;
    weights.finish()?;
    play_silence(&mut layers, silence(network.rate))?;
    let mut x = 0;
    for (layer, lstm) in layers.into_iter().enumerate() {
        x = network.push(&format!("layer{layer}"), Op::Lstm(lstm), &[x])?;
    }
    let output = network.push("head", Op::Conv1d(head), &[x])?;
    Ok(Found { output, what: format!("LSTM, {num_layers} layers of {hidden}"), receptive_field: None })
}

/// One layer: `[4 · hidden][input, then hidden]`, then bias and state.
fn read(weights: &mut Weights<'_>, inputs: usize, hidden: usize, place: &str) -> Result<Lstm, ImportError> {
    if inputs == 0 || hidden == 0 {
        return Err(ImportError::malformed(
            place,
            format!("{inputs} inputs and hidden size {hidden}; at least 1 is needed"),
        ));
    }
    let (rows, columns) = (hidden.saturating_mul(4), inputs.saturating_add(hidden));
    let both = weights.take(rows.saturating_mul(columns), place)?;
    let part = |from: usize, width: usize| {
        let values = both.chunks_exact(columns).flat_map(|row| &row[from..from + width]).copied().collect();
        Arc::new(Tensor::new([rows, width], values))
    };
    Ok(Lstm {
        weight_ih: part(0, inputs),
        weight_hh: part(inputs, hidden),
        bias: weights.vector(rows, place)?,
        initial_hidden: weights.vector(hidden, place)?,
        initial_cell: weights.vector(hidden, place)?,
    })
}

/// Frames of silence before the first sound: half a second, in whole blocks.
fn silence(rate: Option<u32>) -> usize {
    rate.map_or(1, |rate| (rate / 2).max(1) as usize).next_multiple_of(BLOCK)
}

/// Gives every layer the state that it reaches after `frames` frames of silence.
fn play_silence(layers: &mut [Lstm], frames: usize) -> Result<(), ImportError> {
    let work = layers.iter().map(|l| l.weight_ih.len() + l.weight_hh.len()).sum::<usize>();
    if work.saturating_mul(frames) > MOST_WORK {
        let reason = format!("{work} multiply-adds for each of {frames} frames of silence, at most {MOST_WORK} in all");
        return Err(ImportError::malformed("LSTM", format!("{reason}; use a smaller network")));
    }
    let Some(first) = layers.first() else { return Ok(()) };
    let silent = vec![0.0; first.weight_ih.shape()[1]];
    let mut states: Vec<State> = layers.iter().map(State::new).collect();
    let mut before = states.clone();
    for n in 0..frames {
        let mut x = &silent;
        for (lstm, state) in layers.iter().zip(&mut states) {
            state.step(lstm, x);
            x = &state.hidden;
        }
        if (n + 1) % BLOCK == 0 {
            if states.iter().zip(&before).all(|(state, before)| state.distance(before) < REST) {
                break;
            }
            before.clone_from(&states);
        }
    }
    for (lstm, state) in layers.iter_mut().zip(states) {
        let rounded =
            |values: Vec<f64>| Arc::new(Tensor::new([values.len()], values.iter().map(|v| *v as f32).collect()));
        (lstm.initial_hidden, lstm.initial_cell) = (rounded(state.hidden), rounded(state.cell));
    }
    Ok(())
}

/// The state of one layer, in f64.
#[derive(Clone)]
struct State {
    hidden: Vec<f64>,
    cell: Vec<f64>,
}

impl State {
    fn new(lstm: &Lstm) -> Self {
        let wide = |values: &[f32]| values.iter().map(|v| f64::from(*v)).collect();
        Self { hidden: wide(lstm.initial_hidden.data()), cell: wide(lstm.initial_cell.data()) }
    }

    fn step(&mut self, lstm: &Lstm, x: &[f64]) {
        let size = self.hidden.len();
        let dot = |row: &[f32], x: &[f64]| row.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum::<f64>();
        let sum = |row: usize| {
            f64::from(lstm.bias.data()[row])
                + dot(lstm.weight_ih.row(row), x)
                + dot(lstm.weight_hh.row(row), &self.hidden)
        };
        let sums: Vec<f64> = (0..4 * size).map(sum).collect();
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        for i in 0..size {
            let [input, forget, new, output] = [0, 1, 2, 3].map(|gate| sums[gate * size + i]);
            self.cell[i] = sigmoid(forget) * self.cell[i] + sigmoid(input) * new.tanh();
            self.hidden[i] = sigmoid(output) * self.cell[i].tanh();
        }
    }

    fn distance(&self, other: &Self) -> f64 {
        let greatest = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        greatest(&self.hidden, &other.hidden).max(greatest(&self.cell, &other.cell))
    }
}
