//! GRU and LSTM, forward in time, from a state of zeros.

use super::super::run::Run;
use super::super::value::{Content, Value};
use super::arguments::{Arguments, operand};
use super::{Made, made};
use crate::graph::{Gru, Lstm, Op};
use crate::import::onnx::build::transposed;
use crate::import::onnx::constant::Constant;
use crate::import::onnx::value::{Axis, Signal, Value as Operand};

pub(super) fn run(run: &mut Run<'_, '_>, name: &str, a: &Arguments) -> Made<Option<Value>> {
    let (is_gru, gates) = match name {
        "gru" => (true, 3),
        "lstm" => (false, 4),
        "rnn_tanh" | "rnn_relu" | "gru_cell" | "lstm_cell" => {
            return Err("is a recurrent layer that is not known; torch.gru and torch.lstm are".into());
        }
        _ => return Ok(None),
    };
    let layers = a.int_needed(4, "num_layers")?;
    let has_biases = a.flag(3, "has_biases", true);
    if a.flag(7, "bidirectional", false) {
        return Err(
            "runs both ways in time: it begins at the signal's end, which a stream never reaches; train with a \
                    forward layer"
                .into(),
        );
    }
    if a.flag(6, "train", false) && a.float(5, "dropout", 0.0)? > 0.0 {
        return Err("is in training mode; export the model in evaluation mode (model.eval())".into());
    }
    let states = match a.plain.get(1) {
        Some(Value::Tensor(_)) => vec![a.plain[1].clone()],
        Some(list) => list.items().ok_or("is given no initial state")?,
        None => vec![],
    };
    for state in &states {
        match operand(run, state)? {
            Operand::Constant(state) if state.is_all(0.0) => {}
            _ => {
                return Err(
                    "starts from a state that is not zero; a stream begins its state anew at the first frame".into()
                );
            }
        }
    }
    let x = a.signal(run, 0)?;
    let batch_first = a.flag(8, "batch_first", false);
    let order: &[usize] = if batch_first { &[1, 0, 2] } else { &[0, 1, 2] };
    if x.axes.len() != 3 {
        return Err(format!("reads {}, three axes are needed", x.shape_text()).into());
    }
    let x = transposed(&x, order);
    if x.axes[0] != Axis::Time || x.axes[1] != Axis::Unit {
        return Err(
            format!("reads {} (frames, batch, channels): one sequence over time is needed", x.shape_text()).into()
        );
    }
    let x = run.build.packed(&x)?;
    // Recurrent layers begin at frame 0 of the tensor.
    let mut x = run.build.aligned(&x)?;
    let weights = a.operands(run, 2)?;
    let per_layer: usize = if has_biases { 4 } else { 2 };
    if layers < 1 || weights.len() != per_layer.saturating_mul(layers as usize) {
        return Err(format!("has {} weights for {layers} layers", weights.len()).into());
    }
    for layer in weights.chunks(per_layer) {
        let constant = |i: usize| match layer.get(i) {
            Some(Operand::Constant(constant)) => Ok(Some(constant)),
            Some(Operand::Signal(_)) => Err("has weights that the signal makes".to_string()),
            None => Ok(None),
        };
        let [ih, hh] = [constant(0)?, constant(1)?].map(|c| c.ok_or("lacks a weight"));
        let hidden;
        let node = {
            let (ih, hh) = (ih?, hh?);
            hidden = match (&ih.shape[..], &hh.shape[..]) {
                (&[rows, _], &[same, hidden]) if rows == same && rows == gates * hidden && hidden > 0 => hidden,
                (a, b) => {
                    return Err(format!("has weights of shapes {a:?} and {b:?}; projections are not known").into());
                }
            };
            let biases = [constant(2)?, constant(3)?];
            let op = if is_gru { gru(run, ih, hh, biases, hidden)? } else { lstm(run, ih, hh, biases, hidden)? };
            run.build.push(op, &[x.node])?
        };
        let channels = if hidden == 1 { Axis::Unit } else { Axis::Channels { size: hidden, stride: 1 } };
        x = Signal { node, axes: vec![Axis::Time, Axis::Unit, channels], ..x };
    }
    let y = if batch_first { transposed(&x, &[1, 0, 2]) } else { x };
    let last = run.refused(name, "gives the state after the last frame, and a stream has none");
    let last = Value::tensor(Content::Refused(std::rc::Rc::new(last)));
    let y = made(run, y);
    Ok(Some(Value::tuple(if is_gru { vec![y, last] } else { vec![y, last.clone(), last] })))
}

fn bias(bias: Option<&Constant>, len: usize) -> Made<Vec<f32>> {
    let Some(bias) = bias else { return Ok(vec![0.0; len]) };
    let values = bias.to_floats()?;
    if values.len() == len { Ok(values.to_vec()) } else { Err(format!("has a bias of {} values", values.len()).into()) }
}

fn gru(run: &mut Run<'_, '_>, ih: &Constant, hh: &Constant, biases: [Option<&Constant>; 2], hidden: usize) -> Made<Op> {
    let [bias_ih, bias_hh] = [bias(biases[0], 3 * hidden)?, bias(biases[1], 3 * hidden)?];
    Ok(Op::Gru(Gru {
        weight_ih: run.build.weight(&ih.shape, ih.to_floats()?.to_vec())?,
        weight_hh: run.build.weight(&hh.shape, hh.to_floats()?.to_vec())?,
        bias_ih: run.build.weight(&[3 * hidden], bias_ih)?,
        bias_hh: run.build.weight(&[3 * hidden], bias_hh)?,
    }))
}

fn lstm(
    run: &mut Run<'_, '_>,
    ih: &Constant,
    hh: &Constant,
    biases: [Option<&Constant>; 2],
    hidden: usize,
) -> Made<Op> {
    let [a, b] = [bias(biases[0], 4 * hidden)?, bias(biases[1], 4 * hidden)?];
    let sum = a.iter().zip(&b).map(|(a, b)| a + b).collect();
    Ok(Op::Lstm(Lstm {
        weight_ih: run.build.weight(&ih.shape, ih.to_floats()?.to_vec())?,
        weight_hh: run.build.weight(&hh.shape, hh.to_floats()?.to_vec())?,
        bias: run.build.weight(&[4 * hidden], sum)?,
        initial_hidden: run.build.weight(&[hidden], vec![0.0; hidden])?,
        initial_cell: run.build.weight(&[hidden], vec![0.0; hidden])?,
    }))
}
