//! The recurrent unit and the noise, against their definitions in f64.

use std::sync::Arc;

use proptest::prelude::*;

use crate::graph::{Excitation, Gru, Lstm, NoiseSynth};
use crate::kernels::{Isa, Source, gru, lstm, noise};
use crate::plan::Ring;
use crate::random::Randomness;
use crate::tensor::{Tensor, Weight};

fn tensor(shape: &[usize], seed: usize) -> Weight {
    let value = |i: usize| (((i * 7919 + seed * 104_729) % 1009) as f32 / 504.5 - 1.0) * 0.5;
    Arc::new(Tensor::new(shape, (0..shape.iter().product()).map(value).collect()))
}

/// Rows of the recurrent unit in f64, from frame 0 on.
fn textbook(gru: &Gru, x: impl Fn(usize, usize) -> f64, frames: usize) -> Vec<Vec<f64>> {
    let [inputs, hidden] = [gru.weight_ih.shape()[1], gru.weight_hh.shape()[1]];
    let sigmoid = |v: f64| 1.0 / (1.0 + (-v).exp());
    let mut state = vec![0.0; hidden];
    (0..frames)
        .map(|n| {
            let dot = |w: &Weight, row: usize, v: &dyn Fn(usize) -> f64, len: usize| {
                (0..len).map(|i| f64::from(w.row(row)[i]) * v(i)).sum::<f64>()
            };
            let gate = |row: usize| {
                let i = dot(&gru.weight_ih, row, &|i| x(n, i), inputs) + f64::from(gru.bias_ih.data()[row]);
                let h = dot(&gru.weight_hh, row, &|i| state[i], hidden) + f64::from(gru.bias_hh.data()[row]);
                (i, h)
            };
            let next = (0..hidden).map(|i| {
                let ([r, z, new], sum) = ([gate(i), gate(hidden + i), gate(2 * hidden + i)], |(i, h)| i + h);
                let (r, z) = (sigmoid(sum(r)), sigmoid(sum(z)));
                (1.0 - z) * (new.0 + r * new.1).tanh() + z * state[i]
            });
            state = next.collect();
            state.clone()
        })
        .collect()
}

/// Rows of the long short-term memory in f64, from frame 0 on.
fn lstm_textbook(lstm: &Lstm, x: impl Fn(usize, usize) -> f64, frames: usize) -> Vec<Vec<f64>> {
    let [inputs, hidden] = [lstm.weight_ih.shape()[1], lstm.weight_hh.shape()[1]];
    let sigmoid = |v: f64| 1.0 / (1.0 + (-v).exp());
    let wide = |w: &Weight| w.data().iter().map(|v| f64::from(*v)).collect::<Vec<f64>>();
    let (mut h, mut c) = (wide(&lstm.initial_hidden), wide(&lstm.initial_cell));
    (0..frames)
        .map(|n| {
            let gate = |row: usize| {
                let i: f64 = (0..inputs).map(|i| f64::from(lstm.weight_ih.row(row)[i]) * x(n, i)).sum();
                let s: f64 = (0..hidden).map(|i| f64::from(lstm.weight_hh.row(row)[i]) * h[i]).sum();
                i + s + f64::from(lstm.bias.data()[row])
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn gru_is_its_recurrence(inputs in 1..20usize, hidden in 1..40usize, cuts in prop::collection::vec(1..20i64, 1..5)) {
        let gru = Gru {
            weight_ih: tensor(&[3 * hidden, inputs], 1),
            weight_hh: tensor(&[3 * hidden, hidden], 2),
            bias_ih: tensor(&[3 * hidden], 3),
            bias_hh: tensor(&[3 * hidden], 4),
        };
        let x = |n: i64, i: usize| ((n as f64 * 0.7 + i as f64).sin()) as f32;
        let frames: i64 = cuts.iter().sum();
        let expected = textbook(&gru, |n, i| f64::from(x(n as i64, i)), frames as usize);
        for isa in Isa::available() {
            let kernel = gru::Gru::new(&gru, isa);
            let input = Ring::new(0, 128, kernel.input_mirror(64), inputs).unwrap();
            let mut values = vec![f32::NAN; input.len()];
            for n in 0..frames {
                input.row_mut(&mut values, n).iter_mut().enumerate().for_each(|(i, v)| *v = x(n, i));
            }
            input.reflect(&mut values, 0..frames);
            let source = Source { ring: input, own: &values };
            let ring = Ring::new(0, 128, 0, hidden).unwrap();
            let mut scratch = vec![f32::NAN; kernel.scratch_len()];
            let mut whole = vec![f32::NAN; ring.len()];
            prop_assert_eq!(kernel.run(source, ring, &mut whole, -3..frames, &mut scratch), 0);
            let mut cut = vec![f32::NAN; ring.len()];
            kernel.run(source, ring, &mut cut, -3..0, &mut scratch);
            let mut n = 0;
            for step in &cuts {
                kernel.run(source, ring, &mut cut, n..n + step, &mut scratch);
                n += step;
            }
            for n in 0..frames {
                for (i, y) in ring.row(&whole, n).iter().enumerate() {
                    prop_assert!((f64::from(*y) - expected[n as usize][i]).abs() < 1e-5, "{isa:?} {n} {i}");
                    prop_assert_eq!(y.to_bits(), ring.row(&cut, n)[i].to_bits());
                }
            }
        }
    }

    #[test]
    fn lstm_is_its_recurrence(inputs in 1..20usize, hidden in 1..40usize, cuts in prop::collection::vec(1..40i64, 1..5)) {
        let lstm = Lstm {
            weight_ih: tensor(&[4 * hidden, inputs], 1),
            weight_hh: tensor(&[4 * hidden, hidden], 2),
            bias: tensor(&[4 * hidden], 3),
            initial_hidden: tensor(&[hidden], 4),
            initial_cell: tensor(&[hidden], 5),
        };
        let x = |n: i64, i: usize| ((n as f64 * 0.7 + i as f64).sin()) as f32;
        let frames: i64 = cuts.iter().sum();
        let expected = lstm_textbook(&lstm, |n, i| f64::from(x(n as i64, i)), frames as usize);
        for isa in Isa::available() {
            let kernel = lstm::Lstm::new(&lstm, isa);
            let input = Ring::new(0, 256, kernel.input_mirror(64), inputs).unwrap();
            let mut values = vec![f32::NAN; input.len()];
            for n in 0..frames {
                input.row_mut(&mut values, n).iter_mut().enumerate().for_each(|(i, v)| *v = x(n, i));
            }
            input.reflect(&mut values, 0..frames);
            let source = Source { ring: input, own: &values };
            let ring = Ring::new(0, 256, 0, hidden).unwrap().with_memory(kernel.memory_len());
            let mut scratch = vec![f32::NAN; kernel.scratch_len()];
            let mut whole = vec![f32::NAN; ring.len()];
            prop_assert_eq!(kernel.run(source, ring, &mut whole, -3..frames, &mut scratch), 0);
            prop_assert_eq!(ring.row(&whole, -3), lstm.initial_hidden.data());
            let mut cut = vec![f32::NAN; ring.len()];
            kernel.run(source, ring, &mut cut, -3..0, &mut scratch);
            let mut n = 0;
            for step in &cuts {
                scratch.fill(f32::NAN);
                kernel.run(source, ring, &mut cut, n..n + step, &mut scratch);
                n += step;
            }
            for n in 0..frames {
                for (i, y) in ring.row(&whole, n).iter().enumerate() {
                    prop_assert!((f64::from(*y) - expected[n as usize][i]).abs() < 1e-5, "{isa:?} {n} {i}");
                    prop_assert_eq!(y.to_bits(), ring.row(&cut, n)[i].to_bits());
                }
            }
        }
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
    let gru = Gru {
        weight_ih: tensor(&[9, 1], 1),
        weight_hh: tensor(&[9, 3], 2),
        bias_ih: tensor(&[9], 3),
        bias_hh: tensor(&[9], 4),
    };
    for isa in Isa::available() {
        let kernel = gru::Gru::new(&gru, isa);
        let input = Ring::new(0, 8, kernel.input_mirror(64), 1).unwrap();
        let mut values = vec![0.5; input.len()];
        input.row_mut(&mut values, 2).fill(f32::NAN);
        input.reflect(&mut values, 0..8);
        let ring = Ring::new(0, 8, 0, 3).unwrap();
        let mut own = vec![0.0; ring.len()];
        let mut scratch = vec![0.0; kernel.scratch_len()];
        let resets = kernel.run(Source { ring: input, own: &values }, ring, &mut own, 0..6, &mut scratch);
        assert_eq!(resets, 1);
        assert_eq!(ring.row(&own, 2), [0.0; 3]);
        assert_eq!(ring.row(&own, 3), ring.row(&own, 0));
    }
}

#[test]
fn a_cell_that_is_not_finite_is_set_to_zero_and_counted() {
    let zero = |len| Arc::new(Tensor::zeros([len]));
    let lstm = Lstm {
        weight_ih: tensor(&[12, 1], 1),
        weight_hh: tensor(&[12, 3], 2),
        bias: tensor(&[12], 3),
        initial_hidden: zero(3),
        initial_cell: zero(3),
    };
    for isa in Isa::available() {
        let kernel = lstm::Lstm::new(&lstm, isa);
        let input = Ring::new(0, 8, kernel.input_mirror(64), 1).unwrap();
        let mut values = vec![0.5; input.len()];
        input.row_mut(&mut values, 2).fill(f32::NAN);
        input.reflect(&mut values, 0..8);
        let ring = Ring::new(0, 8, 0, 3).unwrap().with_memory(kernel.memory_len());
        let mut own = vec![0.0; ring.len()];
        let mut scratch = vec![0.0; kernel.scratch_len()];
        let resets = kernel.run(Source { ring: input, own: &values }, ring, &mut own, 0..6, &mut scratch);
        assert_eq!(resets, 1);
        assert_eq!(ring.row(&own, 2), [0.0; 3]);
        assert_eq!(ring.row(&own, 3), ring.row(&own, 0));
    }
}
