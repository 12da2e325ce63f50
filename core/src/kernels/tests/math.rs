//! Functions over the whole of f32, against f64.

use crate::graph::{self, FAST_TANH_ABOVE, FAST_TANH_BELOW, Pointwise};
use crate::kernels::half;
use crate::kernels::vector::{LANES, Simd, Work};
use crate::kernels::{Function, InstructionSet, Isa, math};
use crate::plan::Ring;

#[derive(Clone, Copy, Debug)]
enum Name {
    Exp,
    Sigmoid,
    Tanh,
    Log1p,
    Softplus,
    ModSigmoid,
    Sin,
    Silu,
    HardSwish,
    Softsign,
    FastTanh,
    Cos,
    Log,
    Elu,
    Erf,
    Gelu,
    GeluTanh,
}

const POINTWISE: [Pointwise; 25] = [
    Pointwise::LeakyRelu { slope: 0.1 },
    Pointwise::Tanh,
    Pointwise::Sigmoid,
    Pointwise::Softplus,
    Pointwise::ModSigmoid,
    Pointwise::Affine { scale: 0.7, offset: -0.3 },
    Pointwise::Silu,
    Pointwise::HardSwish,
    Pointwise::Softsign,
    Pointwise::Clamp { low: -1.0, high: 0.5 },
    Pointwise::LeakyHardTanh { low: -1.0, high: 0.5, low_slope: 0.1, high_slope: -0.2 },
    Pointwise::FastTanh,
    Pointwise::Log1p,
    Pointwise::Elu { alpha: 0.7 },
    Pointwise::Gelu,
    Pointwise::GeluTanh,
    Pointwise::Erf,
    Pointwise::Exp,
    Pointwise::Log,
    Pointwise::Sqrt,
    Pointwise::Reciprocal,
    Pointwise::Sin,
    Pointwise::Cos,
    Pointwise::Abs,
    Pointwise::Power { exponent: 1.7 },
];

struct Apply<'a>(Name, &'a mut [f32; LANES]);

impl Work for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn on<S: Simd>(self, s: S) {
        let x = s.load(self.1);
        let y = match self.0 {
            Name::Exp => math::exp(s, x),
            Name::Sigmoid => math::sigmoid(s, x),
            Name::Tanh => math::tanh(s, x),
            Name::Log1p => math::log1p(s, x),
            Name::Softplus => math::softplus(s, x),
            Name::ModSigmoid => math::mod_sigmoid(s, x),
            Name::Sin => math::sin(s, x),
            Name::Silu => math::silu(s, x),
            Name::HardSwish => math::hard_swish(s, x),
            Name::Softsign => math::softsign(s, x),
            Name::FastTanh => math::fast_tanh(s, x),
            Name::Cos => math::cos(s, x),
            Name::Log => math::log(s, x),
            Name::Elu => math::elu(s, x, 1.0),
            Name::Erf => math::erf(s, x),
            Name::Gelu => math::gelu(s, x),
            Name::GeluTanh => math::gelu_tanh(s, x),
        };
        s.store(y, self.1);
    }
}

fn exact(name: Name, x: f64) -> f64 {
    let sigmoid = |x: f64| if x < 0.0 { x.exp() / (1.0 + x.exp()) } else { 1.0 / (1.0 + (-x).exp()) };
    match name {
        Name::Exp => x.exp(),
        Name::Sigmoid => sigmoid(x),
        Name::Tanh => x.tanh(),
        Name::Log1p => x.ln_1p(),
        Name::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p() + if x.is_nan() { x } else { 0.0 },
        Name::ModSigmoid => 2.0 * sigmoid(x).powf(2.3) + f64::from(1e-7f32),
        Name::Sin => x.sin(),
        Name::Silu => x / (1.0 + (-x).exp()),
        Name::HardSwish => x * ((x + 3.0).clamp(0.0, 6.0) / 6.0),
        Name::Softsign => x / (1.0 + x.abs()),
        Name::FastTanh => {
            let [a, b, c] = FAST_TANH_ABOVE.map(f64::from);
            let [d, e] = FAST_TANH_BELOW.map(f64::from);
            // In f64 its powers overflow for infinity alone.
            let x = x.clamp(-1e30, 1e30);
            let (size, square) = (x.abs(), x * x);
            x * (a + a * size + (b + c * size) * square) / (d + (d + square) * (size + e * square))
        }
        Name::Cos => x.cos(),
        Name::Log => x.ln(),
        Name::Elu => {
            if x > 0.0 {
                x
            } else {
                x.exp_m1()
            }
        }
        Name::Erf => graph::erf(x),
        Name::Gelu => graph::gelu(x),
        Name::GeluTanh => x / (1.0 + (-2.0 * (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).exp()),
    }
}

/// Distance in units of the last place of the exact result, rounded.
fn ulps(y: f32, exact: f64) -> f64 {
    let rounded = exact as f32;
    if y.to_bits() == rounded.to_bits() || (y.is_nan() && rounded.is_nan()) {
        return 0.0;
    }
    if !y.is_finite() || !rounded.is_finite() {
        return f64::INFINITY;
    }
    if rounded == 0.0 && y == 0.0 {
        return 1e9; // the other zero
    }
    let size = rounded.abs();
    let unit = f64::from(f32::from_bits(size.to_bits() + 1)) - f64::from(size);
    (f64::from(y) - exact).abs() / unit
}

#[test]
fn functions_are_exact_to_the_last_places() {
    // The errors that `math` tells are from a step of 97.
    let step = 1499;
    let special =
        [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, f32::MAX, f32::MIN, -1.0, 1.0, f32::MIN_POSITIVE];
    for isa in Isa::available() {
        let fused = isa.name() != InstructionSet::Portable;
        for (name, limit) in [
            (Name::Exp, [1.05, 1.05]),
            (Name::Sigmoid, [2.4, 2.4]),
            (Name::Tanh, [2.6, 3.0]),
            (Name::Log1p, [1.5, 1.5]),
            (Name::Softplus, [1.7, 1.7]),
            (Name::ModSigmoid, [4.5, 5.2]),
            (Name::Sin, [2.4, 2.4]),
            (Name::Silu, [4.0, 4.0]),
            (Name::HardSwish, [2.0, 2.0]),
            (Name::Softsign, [1.6, 1.6]),
            (Name::FastTanh, [6.0, 6.0]),
            (Name::Cos, [2.4, 2.4]),
            (Name::Log, [1.1, 1.1]),
            (Name::Elu, [1.1, 1.1]),
            (Name::Erf, [2.6, 2.6]),
            (Name::Gelu, [8.0, 8.0]),
            (Name::GeluTanh, [2.6, 2.6]),
        ] {
            let mut bits = special.iter().map(|x| x.to_bits()).chain((0..=u32::MAX).step_by(step));
            let mut worst = (0.0, 0.0, 0.0);
            loop {
                let mut x = [0.5; LANES];
                let taken = x.iter_mut().zip(&mut bits).map(|(x, bits)| *x = f32::from_bits(bits)).count();
                if taken == 0 {
                    break;
                }
                let mut y = x;
                isa.run(Apply(name, &mut y));
                for (x, y) in x.into_iter().zip(y) {
                    let exact = exact(name, f64::from(x));
                    let error = match name {
                        // What is left far below zero is a small share of x.
                        Name::GeluTanh if x < 0.0 && y.is_finite() => ulps(x + y, f64::from(x) + exact),
                        _ => ulps(y, exact),
                    };
                    if error > worst.0 {
                        worst = (error, x, y);
                    }
                }
            }
            println!("{isa:?} {name:?}: {worst:?}");
            assert!(worst.0 < limit[usize::from(!fused)], "{isa:?} {name:?}: {worst:?}");
        }
    }
}

#[test]
fn functions_are_what_the_graph_says() {
    let values: Vec<f32> = (-400..400).map(|i| i as f32 * 0.0137).chain([f32::NAN, -0.0, 1e30, -1e30]).collect();
    for isa in Isa::available() {
        for pointwise in POINTWISE {
            let ring = Ring::new(0, 1, 0, values.len()).unwrap();
            let mut own = values.clone();
            own.resize(ring.len(), 0.0);
            Function::Pointwise(pointwise).apply(isa, ring, &mut own, 0..1, 0..values.len());
            for (x, y) in values.iter().zip(own) {
                let expected = pointwise.eval(*x);
                let close = (y - expected).abs() <= 2e-6 * expected.abs().max(1.0);
                assert!(
                    close || y == expected || y.is_nan() && expected.is_nan(),
                    "{isa:?} {pointwise:?} of {x}: {y}, {expected}"
                );
            }
        }
    }
}

#[test]
fn a_value_has_the_same_bits_wherever_it_stands() {
    let values: Vec<f32> = (0..67).map(|i| ((i * 37 % 67) as f32 - 33.0) * [0.1, 3.0, 1e3][i % 3]).collect();
    for isa in Isa::available() {
        for pointwise in POINTWISE {
            let function = Function::Pointwise(pointwise);
            let apply = |values: &[f32]| {
                let ring = Ring::new(0, 1, 0, values.len()).unwrap();
                let mut own = values.to_vec();
                own.resize(ring.len(), 0.0);
                function.apply(isa, ring, &mut own, 0..1, 0..values.len());
                own.iter().map(|v| v.to_bits()).take(values.len()).collect::<Vec<_>>()
            };
            let whole = apply(&values);
            for (i, value) in values.iter().enumerate() {
                assert_eq!(apply(&[*value])[0], whole[i]);
                assert_eq!(apply(&values[i..])[0], whole[i]);
            }
        }
    }
}

struct Widen<'a>(&'a [u16; LANES], &'a mut [f32; LANES]);

impl Work for Widen<'_> {
    type Output = ();

    #[inline(always)]
    fn on<S: Simd>(self, s: S) {
        s.store(s.load_half(self.0), self.1);
    }
}

#[test]
fn far_values_are_found_beside_near_ones_and_nan() {
    for isa in Isa::available() {
        for far in 0..LANES {
            for rest in [
                0.25,
                f32::INFINITY,
                f32::NAN,
                f32::from_bits(0x7f80_0400),
                f32::from_bits(0x7fa0_0400),
                f32::from_bits(0xff80_0400),
            ] {
                let mut y = [rest; LANES];
                y[far] = 3.4e38;
                isa.run(Apply(Name::Sin, &mut y));
                assert_eq!(y[far], f64::from(3.4e38f32).sin() as f32, "{isa:?} lane {far} beside {rest}");
            }
        }
    }
}

#[test]
fn every_half_is_widened_and_narrowed_exactly() {
    for from in (0..=u16::MAX).step_by(LANES) {
        let halves = std::array::from_fn(|l| from + l as u16);
        for isa in Isa::available() {
            let mut wide = [0.0; LANES];
            isa.run(Widen(&halves, &mut wide));
            for (half, wide) in halves.into_iter().zip(wide) {
                let (sign, exponent, fraction) = (half >> 15, i32::from(half >> 10 & 31), f64::from(half & 1023));
                let magnitude = match exponent {
                    0 => fraction * 2f64.powi(-24),
                    31 => continue,
                    _ => (1024.0 + fraction) * 2f64.powi(exponent - 25),
                };
                let value = if sign == 1 { -magnitude } else { magnitude };
                assert_eq!(wide.to_bits(), (value as f32).to_bits(), "{isa:?} {half:#x}");
                assert_eq!(half::narrow(wide), Some(half));
            }
        }
    }
    for x in [1.0 / 3.0, 65_520.0, 1e9, 1e-9, f32::INFINITY, f32::NAN, 2f32.powi(-25), 3.0 * 2f32.powi(-25)] {
        assert_eq!(half::narrow(x), None, "{x}");
    }
}
