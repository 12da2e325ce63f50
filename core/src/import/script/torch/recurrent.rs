//! RNN, GRU and LSTM, forward in time, from a state that is known without the signal.

use super::super::run::Run;
use super::super::value::{Content, Value};
use super::arguments::{Arguments, operand};
use super::{Made, made};
use crate::graph::{Gru, Lstm, Op, Reset, Rnn, RnnActivation};
use crate::import::onnx::build::transposed;
use crate::import::onnx::constant::Constant;
use crate::import::onnx::value::{Axis, Signal, Value as Operand};

/// A kind of recurrent layer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rnn(RnnActivation),
    Gru,
    Lstm,
}

impl Kind {
    /// Blocks of rows that its matrices have.
    fn gates(self) -> usize {
        match self {
            Self::Rnn(_) => 1,
            Self::Gru => 3,
            Self::Lstm => 4,
        }
    }
}

/// One layer as PyTorch hands it over.
struct Layer<'a> {
    hidden: usize,
    ih: &'a Constant,
    hh: &'a Constant,
    biases: [Option<&'a Constant>; 2],
    /// Hidden, and of an LSTM cell state before the signal; zero where absent.
    states: [Option<Vec<f32>>; 2],
}

pub(super) fn run(run: &mut Run<'_, '_>, name: &str, a: &Arguments) -> Made<Option<Value>> {
    let kind = match name {
        "rnn_tanh" => Kind::Rnn(RnnActivation::Tanh),
        "rnn_relu" => Kind::Rnn(RnnActivation::Relu),
        "gru" => Kind::Gru,
        "lstm" => Kind::Lstm,
        "rnn_tanh_cell" | "rnn_relu_cell" | "gru_cell" | "lstm_cell" => {
            return Err(
                "is one step of a recurrent layer; torch.rnn_tanh, torch.rnn_relu, torch.gru and torch.lstm are \
                        known, which run over all frames"
                    .into(),
            );
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
    let states = states.iter().map(|state| match operand(run, state)? {
        Operand::Constant(state) => Ok(state),
        Operand::Signal(_) => {
            Err("starts from a state that the signal makes; a stream begins with one that the model holds".into())
        }
    });
    let states = states.collect::<Made<Vec<_>>>()?;
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
    for (at, layer) in weights.chunks(per_layer).enumerate() {
        let constant = |i: usize| match layer.get(i) {
            Some(Operand::Constant(constant)) => Ok(Some(constant)),
            Some(Operand::Signal(_)) => Err("has weights that the signal makes".to_string()),
            None => Ok(None),
        };
        let (ih, hh) = (constant(0)?.ok_or("lacks a weight")?, constant(1)?.ok_or("lacks a weight")?);
        let hidden = match (&ih.shape[..], &hh.shape[..]) {
            (&[rows, _], &[same, hidden]) if rows == same && rows == kind.gates() * hidden && hidden > 0 => hidden,
            (a, b) => {
                return Err(format!("has weights of shapes {a:?} and {b:?}; projections are not known").into());
            }
        };
        let biases = [constant(2)?, constant(3)?];
        let held = |i: usize| states.get(i).map_or(Ok(None), |state| held(state, at, layers as usize, hidden));
        let layer = Layer { hidden, ih, hh, biases, states: [held(0)?, held(1)?] };
        let op = op(run, kind, layer)?;
        let node = run.build.push(op, &[x.node])?;
        let channels = if hidden == 1 { Axis::Unit } else { Axis::Channels { size: hidden, stride: 1 } };
        x = Signal { node, axes: vec![Axis::Time, Axis::Unit, channels], ..x };
    }
    let y = if batch_first { transposed(&x, &[1, 0, 2]) } else { x };
    let last = run.refused(name, "gives the state after the last frame, and a stream has none");
    let last = Value::tensor(Content::Refused(std::rc::Rc::new(last)));
    let y = made(run, y);
    Ok(Some(Value::tuple(if kind == Kind::Lstm { vec![y, last.clone(), last] } else { vec![y, last] })))
}

/// What layer `at` holds of a state `[layers, 1, hidden]`; `None` where that is zero.
fn held(state: &Constant, at: usize, layers: usize, hidden: usize) -> Made<Option<Vec<f32>>> {
    if state.is_all(0.0) {
        return Ok(None);
    }
    let values = state.to_floats()?;
    if values.len() != layers.saturating_mul(hidden) {
        let needed = format!("{layers} layers of {hidden} are needed, of one sequence");
        return Err(format!("starts from a state of {} values; {needed}", values.len()).into());
    }
    Ok(Some(values[at * hidden..][..hidden].to_vec()))
}

fn bias(bias: Option<&Constant>, len: usize) -> Made<Vec<f32>> {
    let Some(bias) = bias else { return Ok(vec![0.0; len]) };
    let values = bias.to_floats()?;
    if values.len() == len { Ok(values.to_vec()) } else { Err(format!("has a bias of {} values", values.len()).into()) }
}

fn op(run: &mut Run<'_, '_>, kind: Kind, layer: Layer<'_>) -> Made<Op> {
    let Layer { hidden, ih, hh, biases, states } = layer;
    let rows = kind.gates() * hidden;
    let [bias_ih, bias_hh] = [bias(biases[0], rows)?, bias(biases[1], rows)?];
    let weight_ih = run.build.weight(&ih.shape, ih.to_floats()?.to_vec())?;
    let weight_hh = run.build.weight(&hh.shape, hh.to_floats()?.to_vec())?;
    let [initial, initial_cell] = states;
    let mut vector = |values: Vec<f32>| run.build.weight(&[values.len()], values);
    if kind == Kind::Gru {
        let (bias_ih, bias_hh) = (vector(bias_ih)?, vector(bias_hh)?);
        let initial_hidden = initial.map(vector).transpose()?;
        let reset = Reset::Product;
        return Ok(Op::Gru(Gru { weight_ih, weight_hh, bias_ih, bias_hh, reset, initial_hidden }));
    }
    let bias = vector(bias_ih.iter().zip(&bias_hh).map(|(a, b)| a + b).collect())?;
    let initial_hidden = vector(initial.unwrap_or_else(|| vec![0.0; hidden]))?;
    Ok(match kind {
        Kind::Rnn(activation) => Op::Rnn(Rnn { weight_ih, weight_hh, bias, initial_hidden, activation }),
        _ => {
            let initial_cell = vector(initial_cell.unwrap_or_else(|| vec![0.0; hidden]))?;
            Op::Lstm(Lstm { weight_ih, weight_hh, bias, initial_hidden, initial_cell })
        }
    })
}
