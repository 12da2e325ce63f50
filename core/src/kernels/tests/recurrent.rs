//! Recurrent layers and the noise, against their definitions in f64.

use std::ops::Range;
use std::sync::Arc;

use proptest::prelude::*;

use crate::graph::{Excitation, Gru, Lstm, NoiseSynth, Reset, Rnn, RnnActivation};
use crate::kernels::{Call, Isa, Kernel, Source, noise};
use crate::plan::Ring;
use crate::random::Randomness;
use crate::stream::StreamOp;
use crate::tensor::{Tensor, Weight};

fn tensor(shape: &[usize], seed: usize) -> Weight {
    let value = |i: usize| (((i * 7919 + seed * 104_729) % 1009) as f32 / 504.5 - 1.0) * 0.5;
    Arc::new(Tensor::new(shape, (0..shape.iter().product()).map(value).collect()))
}

/// The input of every test, as long as anyone asks.
fn input(n: i64, i: usize) -> f32 {
    (n as f64 * 0.7 + i as f64).sin() as f32
}

fn wide(weight: &Weight) -> Vec<f64> {
    weight.data().iter().map(|v| f64::from(*v)).collect()
}

fn sigmoid(v: f64) -> f64 {
    1.0 / (1.0 + (-v).exp())
}

/// What row `row` of a matrix makes of `v`, in f64.
fn dot(matrix: &Weight, row: usize, v: impl Fn(usize) -> f64) -> f64 {
    matrix.row(row).iter().enumerate().map(|(i, w)| f64::from(*w) * v(i)).sum()
}

/// Rows of the recurrent unit in f64, from frame 0 on.
fn gru_textbook(gru: &Gru, frames: i64) -> Vec<Vec<f64>> {
    let hidden = gru.weight_hh.shape()[1];
    let mut state = gru.initial_hidden.as_ref().map_or(vec![0.0; hidden], wide);
    (0..frames)
        .map(|n| {
            let given =
                |row: usize| dot(&gru.weight_ih, row, |i| f64::from(input(n, i))) + f64::from(gru.bias_ih.data()[row]);
            let bias = |row: usize| f64::from(gru.bias_hh.data()[row]);
            let gate = |row: usize| sigmoid(given(row) + dot(&gru.weight_hh, row, |i| state[i]) + bias(row));
            let next = (0..hidden).map(|i| {
                let (z, row) = (gate(hidden + i), 2 * hidden + i);
                let remembered = match gru.reset {
                    Reset::Product => gate(i) * (dot(&gru.weight_hh, row, |j| state[j]) + bias(row)),
                    Reset::State => dot(&gru.weight_hh, row, |j| gate(j) * state[j]) + bias(row),
                };
                (1.0 - z) * (given(row) + remembered).tanh() + z * state[i]
            });
            state = next.collect();
            state.clone()
        })
        .collect()
}

fn lstm(inputs: usize, hidden: usize, seed: usize) -> Lstm {
    // A larger matrix amplifies rounding from frame to frame.
    let gain = (8.0 / hidden as f32).min(1.0);
    let matrix = tensor(&[4 * hidden, hidden], seed + 1).data().iter().map(|w| w * gain).collect();
    Lstm {
        weight_ih: tensor(&[4 * hidden, inputs], seed),
        weight_hh: Arc::new(Tensor::new([4 * hidden, hidden], matrix)),
        bias: tensor(&[4 * hidden], seed + 2),
        initial_hidden: tensor(&[hidden], seed + 3),
        initial_cell: tensor(&[hidden], seed + 4),
    }
}

/// Rows of the long short-term memory in f64, from frame 0 on.
fn lstm_textbook(lstm: &Lstm, frames: i64, input: impl Fn(i64, usize) -> f64) -> Vec<Vec<f64>> {
    let hidden = lstm.weight_hh.shape()[1];
    let (mut h, mut c) = (wide(&lstm.initial_hidden), wide(&lstm.initial_cell));
    (0..frames)
        .map(|n| {
            let gate = |row: usize| {
                let given = dot(&lstm.weight_ih, row, |i| input(n, i));
                given + dot(&lstm.weight_hh, row, |i| h[i]) + f64::from(lstm.bias.data()[row])
            };
            let cell: Vec<f64> = (0..hidden)
                .map(|i| sigmoid(gate(hidden + i)) * c[i] + sigmoid(gate(i)) * gate(2 * hidden + i).tanh())
                .collect();
            h = (0..hidden).map(|i| sigmoid(gate(3 * hidden + i)) * cell[i].tanh()).collect();
            c = cell;
            h.clone()
        })
        .collect()
}

/// Rows of the plain layer in f64, from frame 0 on.
fn rnn_textbook(rnn: &Rnn, frames: i64) -> Vec<Vec<f64>> {
    let mut h = wide(&rnn.initial_hidden);
    (0..frames)
        .map(|n| {
            let sum = |row: usize| {
                let given = dot(&rnn.weight_ih, row, |i| f64::from(input(n, i)));
                given + dot(&rnn.weight_hh, row, |i| h[i]) + f64::from(rnn.bias.data()[row])
            };
            let next = (0..h.len()).map(|i| match rnn.activation {
                RnnActivation::Tanh => sum(i).tanh(),
                RnnActivation::Relu => sum(i).max(0.0),
            });
            h = next.collect();
            h.clone()
        })
        .collect()
}

/// As [`kernel_recurs`], for the kernel of an op.
fn recurs(
    op: &StreamOp,
    inputs: usize,
    initial: &[f32],
    cuts: &[i64],
    expected: &[Vec<f64>],
) -> Result<(), TestCaseError> {
    kernel_recurs(|isa| Kernel::new(op, isa), inputs, initial, cuts, expected)
}

/// The kernel, run at once and in `cuts`, gives the `expected` frames from 0 on, and `initial` before.
fn kernel_recurs(
    kernel: impl Fn(Isa) -> Kernel,
    inputs: usize,
    initial: &[f32],
    cuts: &[i64],
    expected: &[Vec<f64>],
) -> Result<(), TestCaseError> {
    let frames: i64 = cuts.iter().sum();
    for isa in Isa::available() {
        let kernel = kernel(isa);
        let read = Ring::new(0, 256, kernel.input_mirror(64), inputs).unwrap();
        let mut values = vec![f32::NAN; read.len()];
        for n in 0..frames {
            read.row_mut(&mut values, n).iter_mut().enumerate().for_each(|(i, v)| *v = input(n, i));
        }
        read.reflect(&mut values, 0..frames);
        let ring = Ring::new(0, 256, 0, initial.len()).unwrap().with_memory(kernel.memory_len());
        let run = |own: &mut [f32], frames: Range<i64>| {
            let mut scratch = vec![f32::NAN; kernel.scratch_len()];
            let call = Call::untouched(frames, 0..1, &mut scratch);
            kernel.run(isa, 1, |_| Source { ring: read, own: &values }, ring, own, call)
        };
        let mut whole = vec![f32::NAN; ring.len()];
        prop_assert_eq!(run(&mut whole, -3..frames), 0);
        prop_assert_eq!(ring.row(&whole, -3), initial);
        let mut cut = vec![f32::NAN; ring.len()];
        run(&mut cut, -3..0);
        let mut n = 0;
        for step in cuts {
            run(&mut cut, n..n + step);
            n += step;
        }
        for n in 0..frames {
            for (i, y) in ring.row(&whole, n).iter().enumerate() {
                let right = expected[n as usize][i];
                prop_assert!(
                    (f64::from(*y) - right).abs() < 1e-5 * right.abs().max(1.0),
                    "{isa:?} {n} {i}: {y} {right}"
                );
                prop_assert_eq!(y.to_bits(), ring.row(&cut, n)[i].to_bits());
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn gru_is_its_recurrence(
        inputs in 1..20usize, hidden in 1..40usize, cuts in prop::collection::vec(1..40i64, 1..5), kind in any::<[bool; 2]>(),
    ) {
        let [resets_state, begins_anywhere] = kind;
        let gru = Gru {
            weight_ih: tensor(&[3 * hidden, inputs], 1),
            weight_hh: tensor(&[3 * hidden, hidden], 2),
            bias_ih: tensor(&[3 * hidden], 3),
            bias_hh: tensor(&[3 * hidden], 4),
            reset: if resets_state { Reset::State } else { Reset::Product },
            initial_hidden: begins_anywhere.then(|| tensor(&[hidden], 5)),
        };
        let expected = gru_textbook(&gru, cuts.iter().sum());
        let initial = gru.initial_hidden.as_ref().map_or(vec![0.0; hidden], |state| state.data().to_vec());
        recurs(&StreamOp::Gru(gru), inputs, &initial, &cuts, &expected)?;
    }

    #[test]
    fn lstm_is_its_recurrence(inputs in 1..20usize, hidden in 1..40usize, cuts in prop::collection::vec(1..40i64, 1..5)) {
        let lstm = lstm(inputs, hidden, 1);
        let expected = lstm_textbook(&lstm, cuts.iter().sum(), |n, i| f64::from(input(n, i)));
        let initial = lstm.initial_hidden.clone();
        recurs(&StreamOp::Lstm(lstm), inputs, initial.data(), &cuts, &expected)?;
    }

    #[test]
    fn two_lstms_are_one_after_the_other(
        inputs in 1..20usize, hidden in [1..40usize, 1..40usize], cuts in prop::collection::vec(1..40i64, 1..5),
    ) {
        let (first, second) = (lstm(inputs, hidden[0], 1), lstm(hidden[0], hidden[1], 6));
        let between = lstm_textbook(&first, cuts.iter().sum(), |n, i| f64::from(input(n, i)));
        let expected = lstm_textbook(&second, cuts.iter().sum(), |n, i| between[n as usize][i]);
        let kernel = |isa| Kernel::lstm_pair([&first, &second], isa);
        kernel_recurs(kernel, inputs, second.initial_hidden.data(), &cuts, &expected)?;
    }

    #[test]
    fn rnn_is_its_recurrence(
        inputs in 1..20usize, hidden in 1..40usize, cuts in prop::collection::vec(1..40i64, 1..5), is_relu in any::<bool>(),
    ) {
        // A rectified state grows without end where its matrix lets it.
        let gain = 1.0 / hidden as f32;
        let matrix = tensor(&[hidden, hidden], 2).data().iter().map(|w| w * gain).collect();
        let rnn = Rnn {
            weight_ih: tensor(&[hidden, inputs], 1),
            weight_hh: Arc::new(Tensor::new([hidden, hidden], matrix)),
            bias: tensor(&[hidden], 3),
            initial_hidden: tensor(&[hidden], 4),
            activation: if is_relu { RnnActivation::Relu } else { RnnActivation::Tanh },
        };
        let expected = rnn_textbook(&rnn, cuts.iter().sum());
        let initial = rnn.initial_hidden.clone();
        recurs(&StreamOp::Rnn(rnn), inputs, initial.data(), &cuts, &expected)?;
    }

    #[test]
    fn noise_is_its_cut_convolution(
        size in 1..70usize, bands in 1..6usize, channels in 1..4usize, from in -80..80i64, len in 1..100i64, at_once in 1..30i64,
    ) {
        let synth = NoiseSynth { response: tensor(&[size, bands], 5), excitation: Excitation::Random { key: 3 } };
        let randomness = Randomness::Seeded(9);
        let input = Ring::new(0, 256, 0, channels * bands).unwrap();
        let mut values = vec![0.0; input.len()];
        values.iter_mut().enumerate().for_each(|(i, v)| *v = (i as f32).sin());
        for isa in Isa::available() {
            let kernel = noise::Noise::new(&synth, isa);
            let ring = Ring::new(0, 128, 0, channels).unwrap();
            let mut scratch = vec![f32::NAN; kernel.scratch_len()];
            let mut compute = |at_once: i64| {
                let mut own = vec![f32::NAN; ring.len()];
                let mut n = from;
                while n < from + len {
                    let end = (from + len).min(n + at_once);
                    let source = Source { ring: input, own: &values };
                    kernel.run(source, ring, &mut own, n..end, &mut scratch, (randomness, 1.0));
                    n = end;
                }
                own
            };
            let (whole, cut) = (compute(1000), compute(at_once));
            for n in from..from + len {
                let (q, m) = (n.div_euclid(size as i64), n.rem_euclid(size as i64) as usize);
                for c in 0..channels {
                    let h = |i: usize| {
                        let row = input.row(&values, q);
                        (0..bands).map(|b| f64::from(synth.response.row(i)[b]) * f64::from(row[c * bands + b])).sum::<f64>()
                    };
                    let e = |j: usize| f64::from(randomness.uniform(3, q * size as i64 + j as i64, c));
                    let expected: f64 = (0..=m).map(|j| e(j) * h(m - j)).sum();
                    let y = ring.row(&whole, n)[c];
                    prop_assert!((f64::from(y) - expected).abs() < 1e-4, "{isa:?} {n} {c}: {y} {expected}");
                    prop_assert_eq!(y.to_bits(), ring.row(&cut, n)[c].to_bits());
                }
            }
        }
    }
}

#[test]
fn a_state_that_is_not_finite_is_set_to_zero_and_counted() {
    let zero = |len| Arc::new(Tensor::zeros([len]));
    let gru = |reset| {
        StreamOp::Gru(Gru {
            weight_ih: tensor(&[9, 1], 1),
            weight_hh: tensor(&[9, 3], 2),
            bias_ih: tensor(&[9], 3),
            bias_hh: tensor(&[9], 4),
            reset,
            initial_hidden: None,
        })
    };
    let lstm = Lstm {
        weight_ih: tensor(&[12, 1], 1),
        weight_hh: tensor(&[12, 3], 2),
        bias: tensor(&[12], 3),
        initial_hidden: zero(3),
        initial_cell: zero(3),
    };
    let rnn = |activation| {
        StreamOp::Rnn(Rnn {
            weight_ih: tensor(&[3, 1], 1),
            weight_hh: tensor(&[3, 3], 2),
            bias: tensor(&[3], 3),
            initial_hidden: zero(3),
            activation,
        })
    };
    let rnns = [RnnActivation::Tanh, RnnActivation::Relu].map(rnn);
    let ops = [gru(Reset::Product), gru(Reset::State), StreamOp::Lstm(lstm.clone())].into_iter().chain(rnns);
    const PAIR: &str = "two lstms";
    let kernels = |isa| {
        let second = Lstm { weight_ih: tensor(&[12, 3], 4), ..lstm.clone() };
        let alone = ops.clone().map(move |op| (op.name(), Kernel::new(&op, isa)));
        alone.chain([(PAIR, Kernel::lstm_pair([&lstm, &second], isa))]).map(move |(name, kernel)| (name, kernel, isa))
    };
    for (name, kernel, isa) in Isa::available().into_iter().flat_map(kernels) {
        let read = Ring::new(0, 8, kernel.input_mirror(64), 1).unwrap();
        let mut values = vec![0.5; read.len()];
        read.row_mut(&mut values, 2).fill(f32::NAN);
        read.reflect(&mut values, 0..8);
        let ring = Ring::new(0, 8, 0, 3).unwrap().with_memory(kernel.memory_len());
        let mut own = vec![0.0; ring.len()];
        let mut scratch = vec![0.0; kernel.scratch_len()];
        let call = Call::untouched(0..6, 0..1, &mut scratch);
        let resets = kernel.run(isa, 1, |_| Source { ring: read, own: &values }, ring, &mut own, call);
        assert_eq!(resets, 1, "{name}");
        // What a layer after it makes of that is another matter.
        if name != PAIR {
            assert_eq!(ring.row(&own, 2), [0.0; 3]);
            assert_eq!(ring.row(&own, 3), ring.row(&own, 0));
        }
        assert!((0..6).all(|n| ring.row(&own, n).iter().all(|y| y.is_finite())), "{name}");
    }
}
