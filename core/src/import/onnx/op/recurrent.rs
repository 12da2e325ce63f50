//! GRU, LSTM and RNN, forward in time, from the state that the file holds.

use super::Outcome;
use crate::graph::{Gru, Lstm, Op, Reset, Rnn, RnnActivation};
use crate::import::onnx::build::{Build, transposed};
use crate::import::onnx::call::Call;
use crate::import::onnx::constant::Constant;
use crate::import::onnx::value::{Axis, Signal, Value};
use crate::tensor::Weight;

pub(super) fn run(build: &mut Build, call: &Call<'_>) -> Outcome<Vec<Value>> {
    let direction = call.text("direction", "forward");
    if direction != "forward" {
        return Err(format!(
            "runs {direction} in time: it begins at the signal's end, which a stream never reaches; train with a forward layer"
        ));
    }
    if call.attribute("clip").is_some() {
        return Err(format!("clips what its functions read to ±{} (clip); train without", call.float("clip", 0.0)));
    }
    let activation = activation(call)?;
    let x = by_time(call)?;
    let x = build.packed(&x)?;
    // Recurrent layers begin at frame 0 of the tensor.
    let x = build.aligned(&x)?;
    let (weight_ih, weight_hh) = (call.constant_needed(1)?, call.constant_needed(2)?);
    let hidden = match (&weight_ih.shape[..], &weight_hh.shape[..]) {
        ([1, _, _], [1, _, hidden]) => *hidden,
        (a, b) => return Err(format!("its weights have shapes {a:?} and {b:?}; one direction is read")),
    };
    let gates = match call.op {
        "GRU" => 3,
        "LSTM" => 4,
        _ => 1,
    };
    if weight_ih.shape[1] != gates * hidden || weight_hh.shape[1] != gates * hidden {
        return Err(format!("its weights have {} rows, {} are needed", weight_ih.shape[1], gates * hidden));
    }
    let op = match call.op {
        "GRU" => gru(build, call, weight_ih, weight_hh, hidden)?,
        "LSTM" => lstm(build, call, weight_ih, weight_hh, hidden)?,
        _ => rnn(build, call, weight_ih, weight_hh, hidden, activation)?,
    };
    let node = build.push(op, &[x.node])?;
    // `[seq, directions, batch, hidden]`, or `[batch, seq, directions, hidden]`.
    let channels = if hidden == 1 { Axis::Unit } else { Axis::Channels { size: hidden, stride: 1 } };
    let axes = if call.int("layout", 0) == 0 {
        vec![Axis::Time, Axis::Unit, Axis::Unit, channels]
    } else {
        vec![Axis::Unit, Axis::Time, Axis::Unit, channels]
    };
    Ok(vec![Value::Signal(Signal { node, axes, ..x })])
}

/// The input as `[seq, batch, channels]`.
fn by_time(call: &Call<'_>) -> Outcome<Signal> {
    let x = call.signal(0)?;
    let order: &[usize] = if call.int("layout", 0) == 0 { &[0, 1, 2] } else { &[1, 0, 2] };
    if x.axes.len() != 3 {
        return Err(format!("reads {}, three axes are needed", x.shape_text()));
    }
    let x = transposed(x, order);
    if x.axes[0] != Axis::Time {
        return Err(format!("does not run over time: it reads {}, sequence first", x.shape_text()));
    }
    if x.axes[1] != Axis::Unit {
        return Err(format!("runs over several sequences at once ({}); one is read", x.shape_text()));
    }
    Ok(x)
}

/// The function of a plain layer; one with gates has the usual ones, or is refused.
fn activation(call: &Call<'_>) -> Outcome<RnnActivation> {
    let usual = match call.op {
        "GRU" => &["Sigmoid", "Tanh"][..],
        "LSTM" => &["Sigmoid", "Tanh", "Tanh"],
        _ => &["Tanh"],
    };
    let told = call.attribute("activations").map_or(&[][..], |a| &a.texts);
    let names: Vec<_> = told.iter().map(|name| String::from_utf8_lossy(name)).collect();
    let are = |wanted: &[&str]| {
        names.len() == wanted.len() && names.iter().zip(wanted).all(|(a, b)| a.eq_ignore_ascii_case(b))
    };
    match call.op {
        "RNN" if are(&["Relu"]) => Ok(RnnActivation::Relu),
        _ if names.is_empty() || are(usual) => Ok(RnnActivation::Tanh),
        op => {
            let or = if op == "RNN" { " or Relu" } else { "" };
            Err(format!("has the functions {} (activations); {}{or} are known", names.join(", "), usual.join(", ")))
        }
    }
}

fn rnn(
    build: &mut Build,
    call: &Call<'_>,
    ih: &Constant,
    hh: &Constant,
    hidden: usize,
    activation: RnnActivation,
) -> Outcome<Op> {
    let (weight_ih, weight_hh) = (rows(build, ih, hidden, &[0])?, rows(build, hh, hidden, &[0])?);
    let [bias_ih, bias_hh] = biases(call, hidden, &[0])?;
    let bias = bias_ih.iter().zip(&bias_hh).map(|(a, b)| a + b).collect();
    let bias = build.weight(&[hidden], bias)?;
    let initial_hidden = state_or_zero(build, call, 5, hidden)?;
    Ok(Op::Rnn(Rnn { weight_ih, weight_hh, bias, initial_hidden, activation }))
}

fn gru(build: &mut Build, call: &Call<'_>, ih: &Constant, hh: &Constant, hidden: usize) -> Outcome<Op> {
    let reset = if call.int("linear_before_reset", 0) == 0 { Reset::State } else { Reset::Product };
    // ONNX: update, reset, new. Here: reset, update, new.
    let order = [1, 0, 2];
    let weight_ih = rows(build, ih, hidden, &order)?;
    let weight_hh = rows(build, hh, hidden, &order)?;
    let [bias_ih, bias_hh] = biases(call, hidden, &order)?;
    Ok(Op::Gru(Gru {
        weight_ih,
        weight_hh,
        bias_ih: build.weight(&[3 * hidden], bias_ih)?,
        bias_hh: build.weight(&[3 * hidden], bias_hh)?,
        reset,
        initial_hidden: state(build, call, 5, hidden)?,
    }))
}

fn lstm(build: &mut Build, call: &Call<'_>, ih: &Constant, hh: &Constant, hidden: usize) -> Outcome<Op> {
    if call.constant(7)?.is_some_and(|peepholes| !peepholes.is_all(0.0)) {
        return Err("has peepholes from its cells to its gates, which are not known".into());
    }
    // ONNX: input, output, forget, cell. Here: input, forget, cell, output.
    let order = [0, 2, 3, 1];
    let weight_ih = rows(build, ih, hidden, &order)?;
    let weight_hh = rows(build, hh, hidden, &order)?;
    let [bias_ih, bias_hh] = biases(call, hidden, &order)?;
    let bias = bias_ih.iter().zip(&bias_hh).map(|(a, b)| a + b).collect();
    let (initial_hidden, initial_cell) =
        (state_or_zero(build, call, 5, hidden)?, state_or_zero(build, call, 6, hidden)?);
    let bias = build.weight(&[4 * hidden], bias)?;
    Ok(Op::Lstm(Lstm { weight_ih, weight_hh, bias, initial_hidden, initial_cell }))
}

/// The state before the signal that input `i` gives; `None` where it is zero.
fn state(build: &mut Build, call: &Call<'_>, i: usize, hidden: usize) -> Outcome<Option<Weight>> {
    match call.constant(i)? {
        None => Ok(None),
        Some(state) if state.is_all(0.0) => Ok(None),
        Some(state) => match state.to_floats()? {
            values if values.len() == hidden => build.weight(&[hidden], values.to_vec()).map(Some),
            values => Err(format!("starts from a state of {} values, {hidden} are needed", values.len())),
        },
    }
}

fn state_or_zero(build: &mut Build, call: &Call<'_>, i: usize, hidden: usize) -> Outcome<Weight> {
    match state(build, call, i, hidden)? {
        Some(state) => Ok(state),
        None => build.weight(&[hidden], vec![0.0; hidden]),
    }
}

/// The matrix with its gates in another order.
fn rows(build: &mut Build, matrix: &Constant, hidden: usize, order: &[usize]) -> Outcome<Weight> {
    let width = matrix.shape[2];
    let values = matrix.to_floats()?;
    let gate = hidden * width;
    let ordered = order.iter().flat_map(|&at| values[at * gate..(at + 1) * gate].iter().copied()).collect();
    build.weight(&[order.len() * hidden, width], ordered)
}

/// What is added to the products with input and state, gates in another order.
fn biases(call: &Call<'_>, hidden: usize, order: &[usize]) -> Outcome<[Vec<f32>; 2]> {
    let len = order.len() * hidden;
    let Some(bias) = call.constant(3)? else { return Ok([vec![0.0; len], vec![0.0; len]]) };
    let values = bias.to_floats()?;
    if values.len() != 2 * len {
        return Err(format!("its bias has {} values, {} are needed", values.len(), 2 * len));
    }
    let half = |from: usize| {
        order.iter().flat_map(|&at| values[from + at * hidden..from + (at + 1) * hidden].iter().copied()).collect()
    };
    Ok([half(0), half(len)])
}
