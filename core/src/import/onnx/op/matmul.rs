//! Products with matrices that the file holds: they mix the channels of each frame.

use super::Outcome;
use crate::graph::{Conv1d, Op};
use crate::import::onnx::build::Build;
use crate::import::onnx::call::Call;
use crate::import::onnx::constant::{Constant, offsets, strides};
use crate::import::onnx::value::{Axis, Signal, Value, packed_axes};

const TWO_SIGNALS: &str = "multiplies two signals as matrices (attention): every frame would meet every other, also later \
                           ones without end; take the attention out, or train with a local one made of convolutions";

pub(super) fn matmul(build: &mut Build, call: &Call<'_>) -> Outcome<Signal> {
    match (call.needed(0)?, call.needed(1)?) {
        (Value::Signal(x), Value::Constant(matrix)) => {
            let [rows, columns] = matrix_sizes(matrix)?;
            let values = matrix.to_floats()?;
            let swapped = (0..rows * columns).map(|i| values[(i % rows) * columns + i / rows]).collect();
            on_axis(build, x, x.axes.len() - 1, columns, rows, swapped, None)
        }
        (Value::Constant(matrix), Value::Signal(x)) => {
            let [rows, columns] = matrix_sizes(matrix)?;
            let axis = x.axes.len().checked_sub(2).ok_or("multiplies a vector from the left")?;
            on_axis(build, x, axis, rows, columns, matrix.to_floats()?.to_vec(), None)
        }
        _ => Err(TWO_SIGNALS.into()),
    }
}

pub(super) fn gemm(build: &mut Build, call: &Call<'_>) -> Outcome<Signal> {
    let (Value::Signal(x), Value::Constant(matrix)) = (call.needed(0)?, call.needed(1)?) else {
        return Err(TWO_SIGNALS.into());
    };
    if x.axes.len() != 2 {
        return Err(format!("reads {}, where a matrix is needed", x.shape_text()));
    }
    let x = if call.int("transA", 0) != 0 { crate::import::onnx::build::transposed(x, &[1, 0]) } else { x.clone() };
    let alpha = call.float("alpha", 1.0);
    let [rows, columns] = matrix_sizes(matrix)?;
    let values: Vec<f32> = matrix.to_floats()?.iter().map(|v| alpha * v).collect();
    let (inputs, out, values) = if call.int("transB", 0) != 0 {
        (columns, rows, values)
    } else {
        (rows, columns, (0..rows * columns).map(|i| values[(i % rows) * columns + i / rows]).collect())
    };
    let bias = call.constant(2)?.map(|bias| -> Outcome<_> {
        let held = bias.to_floats()?;
        let beta = call.float("beta", 1.0);
        match held.len() {
            1 => Ok(vec![beta * held[0]; out]),
            n if n == out => Ok(held.iter().map(|v| beta * v).collect()),
            n => Err(format!("its offset has {n} values for {out} channels")),
        }
    });
    on_axis(build, &x, 1, out, inputs, values, bias.transpose()?)
}

fn matrix_sizes(matrix: &Constant) -> Outcome<[usize; 2]> {
    match matrix.shape[..] {
        [ref lead @ .., rows, columns] if lead.iter().all(|&n| n == 1) => Ok([rows, columns]),
        [rows] => Ok([rows, 1]),
        _ => Err(format!("its matrix has shape {:?}; one matrix for all frames is read", matrix.shape)),
    }
}

/// `x` with `axis` mixed by the matrix `[out, inputs]`; other axes of channels are each mixed alike.
pub(super) fn on_axis(
    build: &mut Build,
    x: &Signal,
    axis: usize,
    out: usize,
    inputs: usize,
    matrix: Vec<f32>,
    bias: Option<Vec<f32>>,
) -> Outcome<Signal> {
    if x.axes[axis] == Axis::Time {
        return Err(format!(
            "mixes the frames of {} with each other by a matrix: it belongs to one length of the signal; \
             only channels can be mixed",
            x.shape_text()
        ));
    }
    if x.sizes()[axis] != inputs {
        return Err(format!("its matrix reads {inputs} channels, {} has {}", x.shape_text(), x.sizes()[axis]));
    }
    let blocks = x.channels() / inputs;
    let order: Vec<_> = (0..x.axes.len()).filter(|&other| other != axis).chain([axis]).collect();
    let packed = build.packed_as(x, &order)?;
    build.spend(matrix.len().saturating_mul(blocks))?;
    let weight = build.weight(&[out * blocks, inputs, 1], matrix.repeat(blocks))?;
    let bias = bias.map(|bias| build.weight(&[out * blocks], bias.repeat(blocks))).transpose()?;
    let conv = Conv1d { weight, bias, stride: 1, dilation: 1, left_padding: 0, groups: blocks };
    let node = build.push(Op::Conv1d(conv), &[packed.node])?;
    let mut sizes = x.sizes();
    sizes[axis] = out;
    let ordered: Vec<_> = order.iter().map(|&axis| (x.axes[axis] != Axis::Time).then_some(sizes[axis])).collect();
    let mut axes = vec![Axis::Unit; order.len()];
    order.iter().zip(packed_axes(&ordered)).for_each(|(&axis, kind)| axes[axis] = kind);
    Ok(Signal { node, axes, ..packed })
}

/// A sum of products of a signal and a constant, over letters of channels.
pub(super) fn einsum(build: &mut Build, call: &Call<'_>) -> Outcome<Signal> {
    let text: String = call.text("equation", "").chars().filter(|c| !c.is_whitespace()).collect();
    let unknown =
        || format!("its equation {text:?} is not read; it mixes more than the channels of one signal by one constant");
    let (terms, result) = text.split_once("->").ok_or_else(unknown)?;
    let terms: Vec<Vec<char>> = terms.split(',').map(|term| term.chars().collect()).collect();
    let result: Vec<char> = result.chars().collect();
    let (x, constant, own, other) = match (&call.inputs[..], &terms[..]) {
        ([Some(Value::Signal(x)), Some(Value::Constant(c))], [own, other]) => (x, c, own, other),
        ([Some(Value::Constant(c)), Some(Value::Signal(x))], [other, own]) => (x, c, own, other),
        ([Some(Value::Signal(_)), Some(Value::Signal(_))], _) => return Err(TWO_SIGNALS.into()),
        _ => return Err(unknown()),
    };
    let simple = |letters: &[char]| {
        letters.iter().enumerate().all(|(i, c)| c.is_ascii_alphabetic() && !letters[..i].contains(c))
    };
    if own.len() != x.axes.len()
        || other.len() != constant.shape.len()
        || ![own, other, &result].iter().all(|l| simple(l))
    {
        return Err(unknown());
    }
    let time = x.time_axis().map(|axis| own[axis]);
    if time.is_some_and(|time| other.contains(&time) || !result.contains(&time)) {
        return Err("sums over time, or weighs frames by a constant; only channels can be mixed".into());
    }
    // The size of every letter; letters of the signal or of the constant that the result lacks are summed.
    let size = |letter: char| -> Option<usize> {
        let in_signal = own.iter().position(|&c| c == letter).map(|axis| x.sizes()[axis]);
        let in_constant = other.iter().position(|&c| c == letter).map(|axis| constant.shape[axis]);
        match (in_signal, in_constant) {
            (Some(a), Some(b)) if a != b => None,
            (a, b) => a.or(b),
        }
    };
    let letters: Vec<char> = own.iter().chain(other.iter().filter(|c| !own.contains(c))).copied().collect();
    let sizes: Vec<usize> = letters.iter().map(|&c| size(c)).collect::<Option<_>>().ok_or_else(unknown)?;
    let packed = build.packed(x)?;
    let out_sizes: Vec<usize> = result.iter().map(|&c| size(c)).collect::<Option<_>>().ok_or_else(unknown)?;
    let out: usize = out_sizes.iter().product();
    let inputs = packed.channels();
    build.spend(sizes.iter().try_fold(1usize, |n, &size| n.checked_mul(size)).unwrap_or(usize::MAX))?;
    build.spend(out.saturating_mul(inputs))?;
    let walk = |of: &[char], sizes_of: &[usize]| -> Vec<usize> {
        let by_own = strides(sizes_of);
        letters.iter().map(|letter| of.iter().position(|c| c == letter).map_or(0, |axis| by_own[axis])).collect()
    };
    let values = constant.to_floats()?;
    let mut matrix = vec![0.0; out * inputs];
    let places = offsets(&sizes, &walk(own, &packed.sizes()))
        .zip(offsets(&sizes, &walk(other, &constant.shape)))
        .zip(offsets(&sizes, &walk(&result, &out_sizes)));
    for ((from, weight), to) in places {
        matrix[to * inputs + from] += values[weight];
    }
    let node = build.mix(packed.node, out, matrix, None)?;
    let ordered: Vec<_> = result.iter().zip(&out_sizes).map(|(c, n)| (Some(*c) != time).then_some(*n)).collect();
    Ok(Signal { node, axes: packed_axes(&ordered), ..packed })
}
