//! Each op against its definition, written as a loop over absolute frame indices.

use std::f64::consts::{PI, TAU};

use runnel::graph::{
    BatchNorm, Conv1d, ConvTranspose1d, Excitation, Gru, LayerNorm, Lstm, NoiseSynth, Op, Pointwise, Reset, Rnn,
    RnnActivation, Statistics,
};
use runnel::random::Randomness;
use runnel::{Graph, Learning, Tensor, Weight};
use runnel_offline::{Backend, Offline, Signal, hop};

const SILENT: Randomness = Randomness::Deterministic;

/// Values in [−1, 1), by a linear congruential generator.
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    }

    fn weight<const D: usize>(&mut self, shape: [usize; D]) -> Weight {
        let data = (0..shape.iter().product()).map(|_| self.next()).collect();
        Weight::new(Tensor::new(shape, data))
    }

    /// As [`Draws::weight`], in [0.5, 1.5).
    fn positive(&mut self, len: usize) -> Weight {
        Weight::new(Tensor::new([len], (0..len).map(|_| self.next() / 2.0 + 1.0).collect()))
    }

    fn signal(&mut self, channels: usize, first: i64, frames: usize) -> Signal {
        let data = (0..channels * frames).map(|_| self.next()).collect();
        Signal { channels, first, data }
    }
}

fn backends() -> Vec<Backend> {
    vec![
        Backend::Flex,
        #[cfg(feature = "ndarray")]
        Backend::NdArray,
    ]
}

/// The value of a signal at an absolute frame; zero where it has none.
fn at(x: &Signal, channel: usize, frame: i64) -> f64 {
    let held = usize::try_from(frame - x.first).ok().filter(|&t| t < x.frames());
    held.map_or(0.0, |t| f64::from(x.row(channel)[t]))
}

fn held(weight: &Weight) -> Vec<f64> {
    weight.data().iter().map(|&v| f64::from(v)).collect()
}

/// Runs a graph of one op and compares channel `c`, frame `n` of its output with `expected(c, n)`.
fn check(op: Op, x: &Signal, randomness: Randomness, expected: impl Fn(usize, i64) -> f64) -> Vec<Signal> {
    let mut graph = Graph::new(x.channels);
    graph.push("op", op, &[0]).unwrap();
    compare(&graph, x, randomness, expected)
}

fn compare(graph: &Graph, x: &Signal, randomness: Randomness, expected: impl Fn(usize, i64) -> f64) -> Vec<Signal> {
    let (channels, rate) = (graph.output().channels, graph.output().rate);
    let run = |backend| {
        let y = Offline::new(graph, backend).run(x, randomness);
        assert_eq!(y.channels, channels);
        assert_eq!(y.first, x.first * rate.numerator() as i64 / rate.denominator() as i64);
        let padded = x.frames().next_multiple_of(hop(graph) as usize);
        assert_eq!(y.frames() as u64 * rate.denominator(), padded as u64 * rate.numerator());
        for c in 0..channels {
            for n in y.first..y.first + y.frames() as i64 {
                let (found, right) = (at(&y, c, n), expected(c, n));
                assert!((found - right).abs() < 2e-5 * right.abs().max(1.0), "{backend:?} [{c}][{n}]: {found} {right}");
            }
        }
        y
    };
    backends().into_iter().map(run).collect()
}

#[test]
fn conv1d() {
    let mut draws = Draws(1);
    for (kernel_size, stride, dilation, left_padding, groups, frames) in [
        (3, 1, 1, 1, 1, 9),
        (4, 2, 1, 1, 1, 12),
        (5, 3, 2, 4, 2, 30),
        (2, 5, 1, 0, 2, 23),
        (3, 1, 9, 18, 1, 7),
        (1, 1, 1, -2, 1, 6),
        (3, 2, 1, -9, 1, 6),
        (3, 2, 1, 40, 2, 6),
    ] {
        let (inputs, out) = (4, 6);
        let weight = draws.weight([out, inputs / groups, kernel_size]);
        let bias = draws.weight([out]);
        let x = draws.signal(inputs, 2 * stride as i64, frames);
        let op = Op::Conv1d(Conv1d {
            weight: weight.clone(),
            bias: Some(bias.clone()),
            stride,
            dilation,
            left_padding,
            groups,
        });
        check(op, &x, SILENT, |o, n| {
            let mut sum = f64::from(bias.data()[o]);
            for i in 0..inputs / groups {
                for k in 0..kernel_size {
                    let w = weight.data()[(o * (inputs / groups) + i) * kernel_size + k];
                    let channel = o / (out / groups) * (inputs / groups) + i;
                    sum += f64::from(w) * at(&x, channel, n * stride as i64 + (k * dilation) as i64 - left_padding);
                }
            }
            sum
        });
    }
}

#[test]
fn conv_transpose1d() {
    let mut draws = Draws(2);
    for (kernel_size, stride, left_trim, groups) in
        [(4, 2, 1, 1), (8, 4, 2, 2), (3, 3, 0, 1), (7, 3, 2, 2), (2, 5, 1, 1), (1, 4, 0, 1), (4, 2, 30, 1)]
    {
        let (inputs, out) = (4, 6);
        let weight = draws.weight([inputs, out / groups, kernel_size]);
        let bias = draws.weight([out]);
        let x = draws.signal(inputs, -3, 8);
        let op = Op::ConvTranspose1d(ConvTranspose1d {
            weight: weight.clone(),
            bias: Some(bias.clone()),
            stride,
            left_trim,
            groups,
        });
        check(op, &x, SILENT, |o, n| {
            let mut sum = f64::from(bias.data()[o]);
            for m in -20..40 {
                let k = n + left_trim as i64 - m * stride as i64;
                if (0..kernel_size as i64).contains(&k) {
                    for i in 0..inputs / groups {
                        let channel = o / (out / groups) * (inputs / groups) + i;
                        let w =
                            weight.data()[(channel * (out / groups) + o % (out / groups)) * kernel_size + k as usize];
                        sum += f64::from(w) * at(&x, channel, m);
                    }
                }
            }
            sum
        });
    }
}

#[test]
fn normalisations() {
    let mut draws = Draws(3);
    let x = draws.signal(3, 0, 8);
    let value = |w: &Weight, c: usize| f64::from(w.data()[c]);
    let (mean, variance) = (draws.weight([3]), draws.positive(3));
    let (weight, bias) = (draws.weight([3]), draws.weight([3]));
    for affine in [false, true] {
        let op = Op::BatchNorm(BatchNorm {
            mean: mean.clone(),
            variance: variance.clone(),
            weight: affine.then(|| weight.clone()),
            bias: affine.then(|| bias.clone()),
            epsilon: 1e-3,
        });
        check(op, &x, SILENT, |c, n| {
            let y = (at(&x, c, n) - value(&mean, c)) / (value(&variance, c) + 1e-3).sqrt();
            if affine { y * value(&weight, c) + value(&bias, c) } else { y }
        });
    }
    let (std_x, std_y) = (draws.positive(3), draws.positive(3));
    let source = Some(Statistics { mean: mean.clone(), deviation: std_x.clone() });
    let target = Some(Statistics { mean: bias.clone(), deviation: std_y.clone() });
    check(Op::AdaIn { source: source.clone(), target: target.clone() }, &x, SILENT, |c, n| {
        (at(&x, c, n) - value(&mean, c)) / (value(&std_x, c) + 1e-5) * value(&std_y, c) + value(&bias, c)
    });
    for (source, target) in [(None, None), (source, None), (None, target)] {
        check(Op::AdaIn { source, target }, &x, SILENT, |c, n| at(&x, c, n));
    }
    check(Op::LatentEdit, &x, SILENT, |c, n| at(&x, c, n));

    let mut with_silence = x.clone();
    for c in 0..3 {
        with_silence.data[c * 8 + 5] = 0.0;
    }
    check(Op::UnitNorm, &with_silence, SILENT, |c, n| {
        let norm = (0..3).map(|c| at(&with_silence, c, n).powi(2)).sum::<f64>().sqrt();
        if norm == 0.0 { 0.0 } else { at(&with_silence, c, n) / norm }
    });
}

#[test]
fn adain_learns_whole_stretches() {
    let mut draws = Draws(7);
    let x = draws.signal(2, -6, 46);
    let mut graph = Graph::new(2);
    let target = Some(Statistics { mean: draws.weight([2]), deviation: draws.positive(2) });
    let held = target.clone().unwrap();
    graph.push("adain", Op::AdaIn { source: None, target }, &[0]).unwrap();
    let (source, target) = (0..9, 12..25);
    let lesson = |_: &str, n: i64| match n {
        n if source.contains(&n) => Learning::Source,
        n if target.contains(&n) => Learning::Target,
        _ => Learning::Off,
    };
    let y = Offline::new(&graph, Backend::Flex).run_learning(&x, SILENT, &lesson);
    let moments = |c: usize, frames: std::ops::Range<i64>| {
        let values: Vec<_> = frames.map(|n| at(&x, c, n)).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        (mean, (squares / (values.len() - 1) as f64).sqrt())
    };
    for c in 0..2 {
        for n in -6..40 {
            let held = (f64::from(held.mean.data()[c]), f64::from(held.deviation.data()[c]));
            let (from, to) = match n {
                // One frame has no deviation, and before the signal nothing is learned.
                ..1 | 12..25 => (None, held),
                1..12 => (Some(moments(c, 0..9.min(n + 1))), held),
                _ => (Some(moments(c, 0..9)), moments(c, 12..25)),
            };
            let expected = from.map_or(at(&x, c, n), |from| (at(&x, c, n) - from.0) / (from.1 + 1e-5) * to.1 + to.0);
            let found = at(&y, c, n);
            assert!((found - expected).abs() < 1e-5 * expected.abs().max(1.0), "{c} {n}: {found}, {expected}");
        }
    }
}

#[test]
fn activations() {
    let mut draws = Draws(4);
    let mut x = draws.signal(3, 0, 40);
    x.data.iter_mut().for_each(|v| *v *= 6.0);
    x.data[0] = 200.0;
    x.data[1] = -200.0;
    for function in [
        Pointwise::LeakyRelu { slope: 0.2 },
        Pointwise::LeakyRelu { slope: 0.0 },
        Pointwise::Tanh,
        Pointwise::Sigmoid,
        Pointwise::Softplus,
        Pointwise::ModSigmoid,
        Pointwise::Affine { scale: -1.5, offset: 0.25 },
        Pointwise::Silu,
        Pointwise::HardSwish,
        Pointwise::Softsign,
        Pointwise::Clamp { low: -1.5, high: 2.5 },
        Pointwise::LeakyHardTanh { low: -1.5, high: 2.5, low_slope: 0.25, high_slope: -0.125 },
        Pointwise::FastTanh,
        Pointwise::Elu { alpha: 0.75 },
        Pointwise::Gelu,
        Pointwise::GeluTanh,
        Pointwise::Erf,
        Pointwise::Sin,
        Pointwise::Cos,
        Pointwise::Abs,
    ] {
        check(Op::Pointwise(function), &x, SILENT, |c, n| {
            let x = at(&x, c, n);
            match function {
                Pointwise::LeakyRelu { slope } => x.max(0.0) + f64::from(slope) * x.min(0.0),
                Pointwise::Tanh => x.tanh(),
                Pointwise::Sigmoid => 1.0 / (1.0 + (-x).exp()),
                Pointwise::Softplus => (1.0 + x.exp()).ln(),
                Pointwise::ModSigmoid => 2.0 * (1.0 / (1.0 + (-x).exp())).powf(2.3) + 1e-7,
                Pointwise::Affine { .. } => -1.5 * x + 0.25,
                Pointwise::Silu => x / (1.0 + (-x).exp()),
                Pointwise::HardSwish if x <= -3.0 => 0.0,
                Pointwise::HardSwish if x >= 3.0 => x,
                Pointwise::HardSwish => x * (x + 3.0) / 6.0,
                Pointwise::Softsign => x / (1.0 + x.abs()),
                Pointwise::Clamp { .. } => x.clamp(-1.5, 2.5),
                Pointwise::LeakyHardTanh { .. } if x < -1.5 => -1.5 + 0.25 * (x + 1.5),
                Pointwise::LeakyHardTanh { .. } if x > 2.5 => 2.5 - 0.125 * (x - 2.5),
                Pointwise::LeakyHardTanh { .. } => x,
                Pointwise::FastTanh => {
                    let a = x.abs();
                    let above =
                        2.455_507_507_029_56 * (1.0 + a) + (0.893_229_853_513_558 + 0.821_226_666_969_744 * a) * a * a;
                    x * above
                        / (2.445_066_346_522_99 + (2.445_066_346_522_99 + a * a) * (a + 0.814_642_734_961_073 * a * a))
                }
                Pointwise::Elu { .. } => {
                    if x > 0.0 {
                        x
                    } else {
                        0.75 * x.exp_m1()
                    }
                }
                Pointwise::Gelu => runnel::graph::gelu(x),
                Pointwise::GeluTanh => x * (1.0 + ((2.0 / PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh()) / 2.0,
                Pointwise::Erf => runnel::graph::erf(x),
                Pointwise::Sin => x.sin(),
                Pointwise::Cos => x.cos(),
                Pointwise::Abs => x.abs(),
                _ => unreachable!("not among them"),
            }
        });
    }
    let small = draws.positive(24);
    let small = Signal { data: small.data().to_vec(), ..draws.signal(3, 0, 8) };
    check(Op::Pointwise(Pointwise::Exp), &small, SILENT, |c, n| at(&small, c, n).exp());
    check(Op::Pointwise(Pointwise::Log), &small, SILENT, |c, n| at(&small, c, n).ln());
    check(Op::Pointwise(Pointwise::Sqrt), &small, SILENT, |c, n| at(&small, c, n).sqrt());
    check(Op::Pointwise(Pointwise::Reciprocal), &small, SILENT, |c, n| 1.0 / at(&small, c, n));
    let exponent = Pointwise::Power { exponent: 1.75 };
    check(Op::Pointwise(exponent), &small, SILENT, |c, n| at(&small, c, n).powf(1.75));
    let mut power = x.clone();
    power.data.iter_mut().for_each(|v| *v = v.abs());
    check(Op::Pointwise(Pointwise::Log1p), &power, SILENT, |c, n| at(&power, c, n).ln_1p());

    let slope = draws.weight([3]);
    check(Op::PRelu { slope: slope.clone() }, &x, SILENT, |c, n| {
        let x = at(&x, c, n);
        if x < 0.0 { f64::from(slope.data()[c]) * x } else { x }
    });

    check(Op::Softmax { groups: 1 }, &small, SILENT, |c, n| {
        at(&small, c, n).exp() / (0..3).map(|c| at(&small, c, n).exp()).sum::<f64>()
    });
    let weight = draws.positive(3);
    let norm = LayerNorm { weight: Some(weight.clone()), bias: None, epsilon: 0.125, centred: true, groups: 1 };
    check(Op::LayerNorm(norm), &small, SILENT, |c, n| {
        let mean = (0..3).map(|c| at(&small, c, n)).sum::<f64>() / 3.0;
        let variance = (0..3).map(|c| (at(&small, c, n) - mean).powi(2)).sum::<f64>() / 3.0;
        (at(&small, c, n) - mean) / (variance + 0.125).sqrt() * f64::from(weight.data()[c])
    });

    let alpha = draws.positive(3);
    let x = draws.signal(3, 0, 9);
    check(Op::Snake { alpha: alpha.clone() }, &x, SILENT, |c, n| {
        let (x, alpha) = (at(&x, c, n), f64::from(alpha.data()[c]));
        x + (alpha * x).sin().powi(2) / (alpha + 1e-9)
    });
}

#[test]
fn channels_are_combined_and_rearranged() {
    let mut draws = Draws(5);
    let x = draws.signal(6, -2, 4);
    let slice = |start, channels| Op::Slice { start, channels };
    for (op, combined) in [(Op::Add, 0), (Op::Mul, 1), (Op::Concat, 2)] {
        let mut graph = Graph::new(6);
        let a = graph.push("a", slice(0, 2), &[0]).unwrap();
        let b = graph.push("b", slice(3, 1), &[0]).unwrap();
        let c = graph.push("c", slice(4, 2), &[0]).unwrap();
        graph.push("all", op, &[a, b, c]).unwrap();
        compare(&graph, &x, SILENT, |c, n| match combined {
            0 => at(&x, c, n) + at(&x, 3, n) + at(&x, 4 + c, n),
            1 => at(&x, c, n) * at(&x, 3, n) * at(&x, 4 + c, n),
            _ => at(&x, if c < 2 { c } else { c + 1 }, n),
        });
    }
    check(Op::DepthToTime { factor: 3 }, &x, SILENT, |c, n| at(&x, c * 3 + n.rem_euclid(3) as usize, n.div_euclid(3)));
    check(Op::Repeat { factor: 3 }, &x, SILENT, |c, n| at(&x, c, n.div_euclid(3)));
    check(
        Op::AlternateSign,
        &x,
        SILENT,
        |c, n| {
            if c % 2 == 1 && n.rem_euclid(2) == 0 { -at(&x, c, n) } else { at(&x, c, n) }
        },
    );
}

#[test]
fn power_spectrum() {
    let mut draws = Draws(6);
    let window = draws.weight([16]);
    for (hop, left) in [(4, 8), (5, 0), (20, 3)] {
        let x = draws.signal(1, 3 * hop, 40);
        let op = Op::PowerSpectrum { window: window.clone(), hop: hop as usize, left };
        check(op, &x, SILENT, |bin, n| {
            let part = |f: fn(f64) -> f64| {
                let value = |t: i64| at(&x, 0, n * hop - left as i64 + t) * f64::from(window.data()[t as usize]);
                (0..16).map(|t| value(t) * f(TAU * bin as f64 * t as f64 / 16.0)).sum::<f64>()
            };
            part(f64::cos).powi(2) + part(f64::sin).powi(2)
        });
    }
}

#[test]
fn random_parts_count_absolute_frames_and_are_silent_before_the_signal() {
    let mut draws = Draws(7);
    let seeded = Randomness::Seeded(11);
    let x = draws.signal(6, -4, 10);
    let gaussian = Op::Gaussian { channels: 2, key: 5 };
    let y = check(gaussian.clone(), &x, seeded, |c, n| f64::from(seeded.normal(5, n, c)));
    assert_eq!(y[0].row(1)[..4], [0.0; 4]);
    assert_ne!(y[0].row(1)[4], 0.0);
    check(gaussian, &x, SILENT, |_, _| 0.0);

    let response = draws.weight([4, 3]);
    let fixed = draws.weight([2, 4]);
    let synth = |excitation| Op::NoiseSynth(NoiseSynth { response: response.clone(), excitation });
    let expected = |excitation: &dyn Fn(usize, i64) -> f64, c: usize, n: i64| {
        let (q, m) = (n.div_euclid(4), n.rem_euclid(4));
        let impulse =
            |k: i64| -> f64 { (0..3).map(|b| f64::from(response.row(k as usize)[b]) * at(&x, c * 3 + b, q)).sum() };
        (0..=m).map(|j| excitation(c, q * 4 + j) * impulse(m - j)).sum()
    };
    let drawn = |c: usize, n: i64| f64::from(seeded.uniform(9, n, c));
    check(synth(Excitation::Random { key: 9 }), &x, seeded, |c, n| expected(&drawn, c, n));
    check(synth(Excitation::Random { key: 9 }), &x, SILENT, |_, _| 0.0);
    let recorded = |c: usize, n: i64| f64::from(fixed.row(c)[n.rem_euclid(4) as usize]);
    check(synth(Excitation::Fixed(fixed.clone())), &x, SILENT, |c, n| expected(&recorded, c, n));
}

#[test]
fn gru_starts_from_its_state_at_frame_zero() {
    let (width, hidden) = (3, 4);
    for (reset, starts_elsewhere) in [(Reset::Product, false), (Reset::State, false), (Reset::Product, true)] {
        let mut draws = Draws(8);
        let gru = Gru {
            weight_ih: draws.weight([3 * hidden, width]),
            weight_hh: draws.weight([3 * hidden, hidden]),
            bias_ih: draws.weight([3 * hidden]),
            bias_hh: draws.weight([3 * hidden]),
            reset,
            initial_hidden: starts_elsewhere.then(|| draws.weight([hidden])),
        };
        let x = draws.signal(width, -3, 12);
        // h′ = (1 − z) · n + z · h, with the gates stacked as r, z, n.
        let mut states = vec![gru.initial_hidden.as_ref().map_or(vec![0.0; hidden], held)];
        for n in 0..9 {
            let h = &states[n as usize];
            let given = |row: usize| -> f64 {
                let a: f64 = (0..width).map(|k| f64::from(gru.weight_ih.row(row)[k]) * at(&x, k, n)).sum();
                a + f64::from(gru.bias_ih.data()[row])
            };
            let remembered = |row: usize, h: &[f64]| -> f64 {
                let b: f64 = (0..hidden).map(|k| f64::from(gru.weight_hh.row(row)[k]) * h[k]).sum();
                b + f64::from(gru.bias_hh.data()[row])
            };
            let sigmoid = |v: f64| 1.0 / (1.0 + (-v).exp());
            let gate = |g: usize, i: usize| sigmoid(given(g * hidden + i) + remembered(g * hidden + i, h));
            let rest: Vec<f64> = (0..hidden).map(|i| gate(0, i) * h[i]).collect();
            let next = (0..hidden).map(|i| {
                let row = 2 * hidden + i;
                let new = match reset {
                    Reset::Product => given(row) + gate(0, i) * remembered(row, h),
                    Reset::State => given(row) + remembered(row, &rest),
                };
                (1.0 - gate(1, i)) * new.tanh() + gate(1, i) * h[i]
            });
            let next = next.collect();
            states.push(next);
        }
        check(Op::Gru(gru), &x, SILENT, |c, n| states[(n + 1).max(0) as usize][c]);
    }
}

#[test]
fn rnn_starts_from_its_state_at_frame_zero() {
    let (width, hidden) = (3, 4);
    for activation in [RnnActivation::Tanh, RnnActivation::Relu] {
        let mut draws = Draws(12);
        let rnn = Rnn {
            weight_ih: draws.weight([hidden, width]),
            weight_hh: draws.weight([hidden, hidden]),
            bias: draws.weight([hidden]),
            initial_hidden: draws.weight([hidden]),
            activation,
        };
        let x = draws.signal(width, -3, 12);
        let mut states = vec![held(&rnn.initial_hidden)];
        for n in 0..9 {
            let h = &states[n as usize];
            let next = (0..hidden).map(|i| {
                let a: f64 = (0..width).map(|k| f64::from(rnn.weight_ih.row(i)[k]) * at(&x, k, n)).sum();
                let b: f64 = (0..hidden).map(|k| f64::from(rnn.weight_hh.row(i)[k]) * h[k]).sum();
                let sum = a + b + f64::from(rnn.bias.data()[i]);
                if activation == RnnActivation::Relu { sum.max(0.0) } else { sum.tanh() }
            });
            let next = next.collect();
            states.push(next);
        }
        check(Op::Rnn(rnn), &x, SILENT, |c, n| states[(n + 1).max(0) as usize][c]);
    }
}

#[test]
fn lstm_starts_from_its_state_at_frame_zero() {
    let mut draws = Draws(11);
    let (width, hidden) = (3, 4);
    let lstm = Lstm {
        weight_ih: draws.weight([4 * hidden, width]),
        weight_hh: draws.weight([4 * hidden, hidden]),
        bias: draws.weight([4 * hidden]),
        initial_hidden: draws.weight([hidden]),
        initial_cell: draws.weight([hidden]),
    };
    let x = draws.signal(width, -3, 12);
    let (mut hiddens, mut cells) = (vec![held(&lstm.initial_hidden)], vec![held(&lstm.initial_cell)]);
    for n in 0..9 {
        let (h, c) = (&hiddens[n as usize], &cells[n as usize]);
        // The gates are stacked as input, forget, cell, output.
        let gate = |g: usize, i: usize| {
            let row = g * hidden + i;
            let a: f64 = (0..width).map(|k| f64::from(lstm.weight_ih.row(row)[k]) * at(&x, k, n)).sum();
            let b: f64 = (0..hidden).map(|k| f64::from(lstm.weight_hh.row(row)[k]) * h[k]).sum();
            a + b + f64::from(lstm.bias.data()[row])
        };
        let sigmoid = |v: f64| 1.0 / (1.0 + (-v).exp());
        let cell = (0..hidden).map(|i| sigmoid(gate(1, i)) * c[i] + sigmoid(gate(0, i)) * gate(2, i).tanh());
        let cell: Vec<f64> = cell.collect();
        let next = (0..hidden).map(|i| sigmoid(gate(3, i)) * cell[i].tanh()).collect();
        hiddens.push(next);
        cells.push(cell);
    }
    check(Op::Lstm(lstm), &x, SILENT, |c, n| hiddens[(n + 1).max(0) as usize][c]);
}

#[test]
fn angles() {
    let mut draws = Draws(9);
    let mut x = draws.signal(4, 0, 50);
    for c in 0..4 {
        x.data[c * 50] = 0.0;
        x.data[c * 50 + 1] = if c == 0 { 1.0 } else { 0.0 };
    }
    check(Op::ToAngles, &x, SILENT, |i, n| {
        let tail = (i + 1..4).map(|k| at(&x, k, n).powi(2)).sum::<f64>().sqrt();
        // atan2 where the op has an arc cosine; the last angle is that of a point in the plane.
        let turn =
            if i < 2 { tail.atan2(at(&x, i, n)) / PI } else { at(&x, 3, n).atan2(at(&x, 2, n)).rem_euclid(TAU) / TAU };
        2.0 * (turn - 0.5)
    });

    let mut graph = Graph::new(4);
    let unit = graph.push("unit", Op::UnitNorm, &[0]).unwrap();
    let angles = graph.push("to", Op::ToAngles, &[unit]).unwrap();
    graph.push("from", Op::FromAngles, &[angles]).unwrap();
    compare(&graph, &x, SILENT, |c, n| {
        let norm = (0..4).map(|k| at(&x, k, n).powi(2)).sum::<f64>().sqrt();
        // Silence has every angle 0, which is the first axis.
        if norm == 0.0 { f64::from(u8::from(c == 0)) } else { at(&x, c, n) / norm }
    });

    // 1.5 / 2 + 0.5 is a quarter beyond one turn; −3.25 / 2 + 0.5 an eighth below −1.
    let turns = [[0.25, 0.875], [0.875, 0.25]];
    let out_of_range = Signal::new(2, vec![1.5, -3.25, -3.25, 1.5]);
    check(Op::FromAngles, &out_of_range, SILENT, |c, n| {
        let [a, b] = [turns[n as usize][0] * PI, turns[n as usize][1] * TAU];
        [a.cos(), a.sin() * b.cos(), a.sin() * b.sin()][c]
    });
}

#[test]
fn quantisation() {
    let mut draws = Draws(10);
    let codebooks = draws.weight([3, 7, 2]);
    let x = draws.signal(2, 0, 30);
    let entry = |book: usize, i: usize, c: usize| f64::from(codebooks.row(book)[i * 2 + c]);
    let indices = |n: i64| {
        let mut residual = [at(&x, 0, n), at(&x, 1, n)];
        [0, 1, 2].map(|book| {
            let distance =
                |i: &usize| (residual[0] - entry(book, *i, 0)).powi(2) + (residual[1] - entry(book, *i, 1)).powi(2);
            let nearest = (0..7).min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap();
            residual = [residual[0] - entry(book, nearest, 0), residual[1] - entry(book, nearest, 1)];
            nearest
        })
    };
    check(Op::Quantize { codebooks: codebooks.clone() }, &x, SILENT, |book, n| indices(n)[book] as f64);

    let same = Weight::new(Tensor::new([1, 3, 1], vec![0.5, 0.5, 0.25]));
    check(Op::Quantize { codebooks: same }, &Signal::new(1, vec![0.5]), SILENT, |_, _| 0.0);

    let z = Signal::new(3, vec![-2.0, 0.9, 99.0, 3.0, 5.9, 6.0]);
    let named = [[0, 6, 5], [0, 3, 6]];
    check(Op::Dequantize { codebooks: codebooks.clone() }, &z, SILENT, |c, n| {
        (0..3).map(|book| entry(book, named[n as usize][book], c)).sum()
    });
}

#[test]
fn the_hop_keeps_every_grid_and_the_sign_mask() {
    let thirds = |repeat: Option<usize>, mask: bool| {
        let weight = Weight::new(Tensor::new([1, 1, 1], vec![1.0]));
        let conv = Conv1d { weight, bias: None, stride: 3, dilation: 1, left_padding: 0, groups: 1 };
        let mut graph = Graph::new(1);
        let mut last = graph.push("down", Op::Conv1d(conv), &[0]).unwrap();
        if let Some(factor) = repeat {
            last = graph.push("repeat", Op::Repeat { factor }, &[last]).unwrap();
        }
        if mask {
            graph.push("mask", Op::AlternateSign, &[last]).unwrap();
        }
        hop(&graph)
    };
    assert_eq!(thirds(None, false), 3);
    assert_eq!(thirds(None, true), 6);
    assert_eq!(thirds(Some(2), true), 3);
    assert_eq!(thirds(Some(5), true), 6);
}
