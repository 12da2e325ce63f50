//! Functions of sixteen lanes. A lane's value depends on that lane alone, so it has the same bits wherever a value
//! stands. All of f32 is covered: subnormals, infinities, and NaN, which stays NaN.
//!
//! Errors are the largest found over every 97th bit pattern, in units of the last place of the exact result rounded to
//! f32.
#![allow(clippy::excessive_precision, reason = "coefficients as the fit gave them")]

use super::vector::{LANES, Simd};
use crate::graph::{FAST_TANH_ABOVE, FAST_TANH_BELOW, FAST_TANH_LIMIT};

/// Adding 1.5 · 2^23 to a small number rounds it to an integer, which then stands in the lowest bits.
const ROUNDER: f32 = 12_582_912.0;
/// ln 2 in two parts; the first has 13 bits, so that its product with an exponent is exact.
const LN_2: [f32; 2] = [0.693_115_234_375, 3.194_618_3e-5];
/// π in four parts of 11 bits and a rest, so that products with integers below 2^12 are exact.
const PI: [f32; 4] = [3.140_625, 9.675_026e-4, 1.509_906_7e-7, 5.126_688e-12];
/// Beyond this sine is computed in f64, lane by lane.
const SINE_LIMIT: f32 = 12_000.0;
/// As [`SINE_LIMIT`], for the cosine, whose multiples are halves.
const COSINE_LIMIT: f32 = 6_000.0;

/// `e^x`; error 1.01.
#[inline(always)]
pub(super) fn exp<S: Simd>(s: S, x: S::F) -> S::F {
    let (rounded, r) = reduced(s, in_range(s, x));
    exp_of_reduced(s, rounded, r)
}

/// `e^(x + rest)`, where `rest` is no more than a rounding error of `x`.
#[inline(always)]
fn exp_of_sum<S: Simd>(s: S, x: S::F, rest: S::F) -> S::F {
    let (rounded, r) = reduced(s, in_range(s, x));
    exp_of_reduced(s, rounded, s.add(r, rest))
}

/// `x`, but no farther than where its exponential is infinite, or zero.
#[inline(always)]
fn in_range<S: Simd>(s: S, x: S::F) -> S::F {
    s.max(s.splat(-104.0), s.min(s.splat(89.0), x))
}

/// [`ROUNDER`] plus the `n`, and the `r`, of `x = n · ln 2 + r` with the smallest `r`.
#[inline(always)]
fn reduced<S: Simd>(s: S, x: S::F) -> (S::F, S::F) {
    let rounded = s.mul_add(x, s.splat(std::f32::consts::LOG2_E), s.splat(ROUNDER));
    let n = s.sub(rounded, s.splat(ROUNDER));
    let r = s.mul_add(n, s.splat(-LN_2[0]), x);
    (rounded, s.mul_add(n, s.splat(-LN_2[1]), r))
}

/// `2^n · e^r` of what [`reduced`] gives.
#[inline(always)]
fn exp_of_reduced<S: Simd>(s: S, rounded: S::F, r: S::F) -> S::F {
    let y = s.add(s.splat(1.0), above_one(s, r));
    // Two factors, so that neither overflows and a subnormal result is rounded once.
    let n = s.int_sub(s.bits(rounded), s.int(ROUNDER.to_bits()));
    let half = s.shift_right::<1>(n);
    s.mul(s.mul(y, power_of_two(s, half)), power_of_two(s, s.int_sub(n, half)))
}

/// `e^r − 1` for the `r` of [`reduced`].
#[inline(always)]
fn above_one<S: Simd>(s: S, r: S::F) -> S::F {
    const P: [f32; 5] = [0.499_999_88, 0.166_665_18, 0.041_669_656, 0.008_368_959, 0.001_374_478];
    // In pairs, so that few products wait for each other.
    let square = s.mul(r, r);
    let low = s.mul_add(s.splat(P[1]), r, s.splat(P[0]));
    let high = s.mul_add(s.splat(P[3]), r, s.splat(P[2]));
    let high = s.mul_add(s.splat(P[4]), square, high);
    s.mul_add(square, s.mul_add(high, square, low), r)
}

/// `2^n` of what [`reduced`] gives, for −127 < n < 128.
#[inline(always)]
fn scale_of_reduced<S: Simd>(s: S, rounded: S::F) -> S::F {
    // The sum with ROUNDER holds n in its lowest bits, and nothing above them that stays.
    s.floats(s.int_add(s.shift_left::<23>(s.bits(rounded)), s.int(1.0f32.to_bits())))
}

/// `1 / (1 + e^−x)`; error 2.29.
#[inline(always)]
pub(super) fn sigmoid<S: Simd>(s: S, x: S::F) -> S::F {
    let (rounded, r) = reduced(s, s.max(s.splat(-104.0), s.sub(s.splat(0.0), abs(s, x))));
    let e = exp_of_reduced(s, rounded, r);
    let one = s.splat(1.0);
    s.div(s.select(s.lt(x, s.splat(0.0)), e, one), s.add(one, e))
}

/// The hyperbolic tangent; error 2.6.
#[inline(always)]
pub(super) fn tanh<S: Simd>(s: S, x: S::F) -> S::F {
    // m / (m + 2) with m = e^2x − 1 = 2^n · (e^r − 1) + 2^n − 1. Beyond 10 it is 1, in f32.
    let size = abs(s, x);
    let (rounded, r) = reduced(s, s.min(s.splat(20.0), s.add(size, size)));
    let scale = scale_of_reduced(s, rounded);
    let m = s.mul_add(scale, above_one(s, r), s.sub(scale, s.splat(1.0)));
    let y = s.div(m, s.add(m, s.splat(2.0)));
    keep_tiny(s, x, s.floats(s.xor(s.bits(y), s.and(s.bits(x), s.int(SIGN)))))
}

/// `ln(1 + x)`; error 1.48.
#[inline(always)]
pub(super) fn log1p<S: Simd>(s: S, x: S::F) -> S::F {
    let one = s.splat(1.0);
    let u = s.add(one, x);
    // What rounding took from the sum.
    let lost = s.select(s.lt(x, one), s.sub(x, s.sub(u, one)), s.sub(one, s.sub(u, x)));
    // u = 2^k · m with m in [√½, √2).
    let k = s.shift_right::<23>(s.int_sub(s.bits(u), s.int(std::f32::consts::FRAC_1_SQRT_2.to_bits())));
    let m = s.floats(s.int_sub(s.bits(u), s.shift_left::<23>(k)));
    let lost = s.mul(lost, power_of_two(s, s.int_sub(s.int(0), k)));
    let lost = s.select(s.lt(x, s.splat(1e9)), lost, s.splat(0.0));
    let f = s.add(s.sub(m, one), lost);
    let curve = log_curve(s, f);
    let k = s.sub(s.floats(s.int_add(k, s.int(ROUNDER.to_bits()))), s.splat(ROUNDER));
    let low = s.add(f, s.mul_add(k, s.splat(LN_2[1]), curve));
    let y = keep_tiny(s, x, s.mul_add(k, s.splat(LN_2[0]), low));
    let beyond = s.select(s.lt(x, s.splat(-1.0)), s.splat(f32::NAN), s.splat(f32::NEG_INFINITY));
    let y = s.select(s.lt(s.splat(-1.0), x), y, beyond);
    // Infinity and NaN are their own.
    s.select(s.lt(x, s.splat(f32::INFINITY)), y, x)
}

/// `ln(1 + e^x)`; error 1.67.
#[inline(always)]
pub(super) fn softplus<S: Simd>(s: S, x: S::F) -> S::F {
    let e = exp(s, s.sub(s.splat(0.0), abs(s, x)));
    s.add(s.max(s.splat(0.0), x), log1p(s, e))
}

/// `2 · sigmoid(x)^2.3 + 1e-7`; error 4.2 fused, 5.0 not.
#[inline(always)]
pub(super) fn mod_sigmoid<S: Simd>(s: S, x: S::F) -> S::F {
    // ln sigmoid(x) = min(x, 0) − ln(1 + e^−|x|), times 2.3 in two parts: the first is an exact product.
    const POWER: [f32; 2] = [2.298_828_1, 0.001_171_875];
    let e = exp(s, s.sub(s.splat(0.0), abs(s, x)));
    let below = s.max(s.splat(-50.0), s.min(s.splat(0.0), x));
    let head = s.floats(s.and(s.bits(below), s.int(0xffff_f000)));
    let exact = s.mul(s.splat(POWER[0]), head);
    let rest = s.mul_add(s.splat(POWER[0]), s.sub(below, head), s.mul(s.splat(POWER[1]), below));
    let rest = s.mul_add(s.splat(-2.3), log1p(s, e), rest);
    // The sum and what rounding took from it.
    let sum = s.add(exact, rest);
    let part = s.sub(sum, exact);
    let lost = s.add(s.sub(exact, s.sub(sum, part)), s.sub(rest, part));
    s.mul_add(s.splat(2.0), exp_of_sum(s, sum, lost), s.splat(1e-7))
}

/// The sine; error 2.34.
#[inline(always)]
pub(super) fn sin<S: Simd>(s: S, x: S::F) -> S::F {
    let size = abs(s, x);
    let rounded = s.mul_add(x, s.splat(std::f32::consts::FRAC_1_PI), s.splat(ROUNDER));
    let n = s.sub(rounded, s.splat(ROUNDER));
    let r = PI.iter().fold(x, |r, part| s.mul_add(n, s.splat(-part), r));
    let square = s.mul(r, r);
    let p = polynomial(s, square, [-0.166_666_67, 0.008_333_348, -0.000_198_426_05, 2.760_011_7e-6, -2.502_889_6e-8]);
    let y = s.mul_add(s.mul(r, square), p, r);
    let odd = s.shift_left::<31>(s.bits(rounded));
    let y = keep_tiny(s, x, s.floats(s.xor(s.bits(y), odd)));
    // NaN counts as far too, where it stays NaN.
    let size = s.min(size, s.splat(f32::MAX));
    if s.any(s.lt(s.splat(SINE_LIMIT), size)) {
        return far(s, x, y, SINE_LIMIT, f64::sin);
    }
    y
}

/// `near`, but `f` of `x` computed in f64 where `x` is farther than `limit` from zero.
#[cold]
#[inline(always)]
fn far<S: Simd>(s: S, x: S::F, near: S::F, limit: f32, f: impl Fn(f64) -> f64) -> S::F {
    let (mut lanes, mut far) = ([0.0; LANES], [0.0; LANES]);
    s.store(x, &mut lanes);
    s.store(near, &mut far);
    for (x, far) in lanes.iter().zip(&mut far) {
        if x.abs() > limit {
            *far = f(f64::from(*x)) as f32;
        }
    }
    s.load(&far)
}

/// `x + sin²(alpha · x) / (alpha + 1e-9)`.
#[inline(always)]
pub(super) fn snake<S: Simd>(s: S, x: S::F, alpha: S::F) -> S::F {
    let sine = sin(s, s.mul(alpha, x));
    s.add(x, s.div(s.mul(sine, sine), s.add(alpha, s.splat(1e-9))))
}

/// `max(x, 0) + slope · min(x, 0)`.
#[inline(always)]
pub(super) fn leaky_relu<S: Simd>(s: S, x: S::F, slope: f32) -> S::F {
    s.select(s.lt(s.splat(0.0), x), x, s.mul(s.splat(slope), x))
}

/// `x · sigmoid(x)`; error 3.8.
#[inline(always)]
pub(super) fn silu<S: Simd>(s: S, x: S::F) -> S::F {
    // e^−|x| as a square, so that a result that is no subnormal comes of no subnormal.
    let root = exp(s, s.mul(abs(s, x), s.splat(-0.5)));
    let top = s.select(s.lt(x, s.splat(0.0)), s.mul(s.mul(x, root), root), x);
    s.div(top, s.mul_add(root, root, s.splat(1.0)))
}

/// `x · min(max(x + 3, 0), 6) / 6`; error 1.8.
#[inline(always)]
pub(super) fn hard_swish<S: Simd>(s: S, x: S::F) -> S::F {
    s.mul(x, s.div(clamp(s, s.add(x, s.splat(3.0)), 0.0, 6.0), s.splat(6.0)))
}

/// `x / (1 + |x|)`; error 1.5.
#[inline(always)]
pub(super) fn softsign<S: Simd>(s: S, x: S::F) -> S::F {
    s.div(x, s.add(s.splat(1.0), abs(s, x)))
}

/// `min(max(x, low), high)`.
#[inline(always)]
pub(super) fn clamp<S: Simd>(s: S, x: S::F, low: f32, high: f32) -> S::F {
    s.min(s.splat(high), s.max(s.splat(low), x))
}

/// `x` between the bounds; lines of these slopes beyond them.
#[inline(always)]
pub(super) fn leaky_hard_tanh<S: Simd>(s: S, x: S::F, [low, high]: [f32; 2], slopes: [f32; 2]) -> S::F {
    let (low, high) = (s.splat(low), s.splat(high));
    let below = s.mul_add(s.sub(x, low), s.splat(slopes[0]), low);
    let above = s.mul_add(s.sub(x, high), s.splat(slopes[1]), high);
    s.select(s.lt(x, low), below, s.select(s.lt(high, x), above, x))
}

/// [`crate::graph::Pointwise::FastTanh`]; error 5.5.
#[inline(always)]
pub(super) fn fast_tanh<S: Simd>(s: S, x: S::F) -> S::F {
    let [a, b, c] = FAST_TANH_ABOVE.map(|c| s.splat(c));
    let [d, e] = FAST_TANH_BELOW.map(|c| s.splat(c));
    let x = clamp(s, x, -FAST_TANH_LIMIT, FAST_TANH_LIMIT);
    let (size, square) = (abs(s, x), s.mul(x, x));
    let above = s.mul_add(s.mul_add(c, size, b), square, s.mul_add(a, size, a));
    let below = s.mul_add(s.add(d, square), s.mul_add(s.mul(e, size), size, size), d);
    s.div(s.mul(x, above), below)
}

/// The natural logarithm; error 1.0.
#[inline(always)]
pub(super) fn log<S: Simd>(s: S, x: S::F) -> S::F {
    // Subnormals are made normal first.
    let tiny = s.lt(x, s.splat(f32::MIN_POSITIVE));
    let u = s.select(tiny, s.mul(x, s.splat((1 << 25) as f32)), x);
    let k = s.shift_right::<23>(s.int_sub(s.bits(u), s.int(std::f32::consts::FRAC_1_SQRT_2.to_bits())));
    let m = s.floats(s.int_sub(s.bits(u), s.shift_left::<23>(k)));
    let k = s.sub(s.floats(s.int_add(k, s.int(ROUNDER.to_bits()))), s.splat(ROUNDER));
    let k = s.select(tiny, s.sub(k, s.splat(25.0)), k);
    let f = s.sub(m, s.splat(1.0));
    let low = s.add(f, s.mul_add(k, s.splat(LN_2[1]), log_curve(s, f)));
    let y = s.mul_add(k, s.splat(LN_2[0]), low);
    let zero = s.splat(0.0);
    let beyond = s.select(s.lt(x, zero), s.splat(f32::NAN), s.splat(f32::NEG_INFINITY));
    let y = s.select(s.lt(zero, x), y, beyond);
    s.select(s.lt(x, s.splat(f32::INFINITY)), y, x)
}

/// `ln(1 + f) − f` for f in [√½ − 1, √2 − 1).
#[inline(always)]
fn log_curve<S: Simd>(s: S, f: S::F) -> S::F {
    let p = polynomial(
        s,
        f,
        [
            0.333_333_1,
            -0.250_000_15,
            0.200_022_27,
            -0.166_677_27,
            0.142_175_63,
            -0.124_097_47,
            0.119_054_13,
            -0.116_551_46,
            0.066_841_56,
        ],
    );
    let square = s.mul(f, f);
    s.mul(square, s.mul_add(f, p, s.splat(-0.5)))
}

/// `x` above zero, `alpha · (e^x − 1)` below; error 1.0.
#[inline(always)]
pub(super) fn elu<S: Simd>(s: S, x: S::F, alpha: f32) -> S::F {
    let (rounded, r) = reduced(s, s.max(s.splat(-30.0), s.min(s.splat(0.0), x)));
    let scale = scale_of_reduced(s, rounded);
    let y = s.mul_add(scale, above_one(s, r), s.sub(scale, s.splat(1.0)));
    let y = s.mul(s.splat(alpha), keep_tiny(s, x, y));
    s.select(s.lt(s.splat(0.0), x), x, y)
}

/// `x · Φ(x)`; error 7.
#[inline(always)]
pub(super) fn gelu<S: Simd>(s: S, x: S::F) -> S::F {
    // Beyond 64 nothing is left of the tail.
    let near = s.min(s.splat(64.0), abs(s, x));
    let size = s.mul(near, s.splat(std::f32::consts::FRAC_1_SQRT_2));
    // x² / 2 in two parts, the first exact.
    let head = s.floats(s.and(s.bits(near), s.int(0xffff_f000)));
    let rest = s.sub(near, head);
    let half = s.splat(-0.5);
    let square = [s.mul(half, s.mul(head, head)), s.mul(half, s.mul(rest, s.add(near, head)))];
    let [curve, fall] = erfc(s, size, square);
    let curve = s.mul(s.splat(0.5), curve);
    // The small factor last, so that a result that is no subnormal comes of no subnormal.
    let below = s.mul(s.mul(x, curve), fall);
    let above = s.mul(x, s.sub(s.splat(1.0), s.mul(curve, fall)));
    s.select(s.lt(x, s.splat(0.0)), below, above)
}

/// The error function; error 2.5.
#[inline(always)]
pub(super) fn erf<S: Simd>(s: S, x: S::F) -> S::F {
    let size = abs(s, x);
    let square = s.mul(x, x);
    let small = s.mul(
        x,
        polynomial(
            s,
            square,
            [
                std::f32::consts::FRAC_2_SQRT_PI,
                -0.376_126_35,
                0.112_837_15,
                -0.026_860_509,
                0.005_203_859,
                -0.000_817_563_9,
                8.513_102_5e-5,
            ],
        ),
    );
    let [curve, fall] = erfc(s, size, [s.sub(s.splat(0.0), square), s.splat(0.0)]);
    let large = s.sub(s.splat(1.0), s.mul(curve, fall));
    let signed = s.floats(s.xor(s.bits(large), s.and(s.bits(x), s.int(SIGN))));
    s.select(s.lt(size, s.splat(0.9)), small, signed)
}

/// Two factors of `1 − erf(x)` for x ≥ 0, where `−x²` is the sum of two parts.
#[inline(always)]
fn erfc<S: Simd>(s: S, x: S::F, [square, rest]: [S::F; 2]) -> [S::F; 2] {
    // e^(x²) · (1 − erf(x)) as a polynomial of 1 / (1 + 0.4 x). Beyond 11 there is nothing left, in f32.
    let near = s.min(s.splat(11.0), x);
    let u = s.div(s.splat(1.0), s.mul_add(s.splat(0.4), near, s.splat(1.0)));
    let p = polynomial(
        s,
        u,
        [
            -8.433_090_4e-6,
            0.225_904_66,
            0.222_940_89,
            0.226_599_05,
            0.086_759_93,
            0.376_437_22,
            -0.454_696_57,
            0.731_935_9,
            -0.625_985_4,
            0.248_477_26,
            -0.038_364_552,
        ],
    );
    let square = s.max(s.splat(-200.0), square);
    let rest = s.max(s.splat(-1.0), rest);
    let sum = s.add(square, rest);
    let lost = s.sub(rest, s.sub(sum, square));
    [p, exp_of_sum(s, sum, lost)]
}

/// `x · (1 + tanh(√(2/π) · (x + 0.044715 x³))) / 2`; error 2.5, below zero in units of the last place of x.
#[inline(always)]
pub(super) fn gelu_tanh<S: Simd>(s: S, x: S::F) -> S::F {
    // (1 + tanh z) / 2 = sigmoid(2z)
    const SLOPE: f32 = 1.595_769_1;
    let near = s.max(s.splat(-100.0), s.min(s.splat(100.0), x));
    let cubic = s.mul_add(s.mul(near, near), s.splat(0.044_715), s.splat(1.0));
    s.mul(x, sigmoid(s, s.mul(s.splat(SLOPE), s.mul(near, cubic))))
}

/// The cosine; error 2.34.
#[inline(always)]
pub(super) fn cos<S: Simd>(s: S, x: S::F) -> S::F {
    // cos((n − ½)π + r) = (−1)ⁿ sin r
    let turns = s.mul_add(x, s.splat(std::f32::consts::FRAC_1_PI), s.splat(0.5));
    let rounded = s.add(turns, s.splat(ROUNDER));
    let n = s.sub(s.sub(rounded, s.splat(ROUNDER)), s.splat(0.5));
    let r = PI.iter().fold(x, |r, part| s.mul_add(n, s.splat(-part), r));
    let square = s.mul(r, r);
    let p = polynomial(s, square, [-0.166_666_67, 0.008_333_348, -0.000_198_426_05, 2.760_011_7e-6, -2.502_889_6e-8]);
    let y = s.mul_add(s.mul(r, square), p, r);
    let y = s.floats(s.xor(s.bits(y), s.shift_left::<31>(s.bits(rounded))));
    let size = s.min(abs(s, x), s.splat(f32::MAX));
    if s.any(s.lt(s.splat(COSINE_LIMIT), size)) {
        return far(s, x, y, COSINE_LIMIT, f64::cos);
    }
    y
}

/// `f` of each lane by itself: for functions too rare to be worth more.
#[inline(always)]
pub(super) fn by_lane<S: Simd>(s: S, x: S::F, f: impl Fn(f32) -> f32) -> S::F {
    let mut lanes = [0.0; LANES];
    s.store(x, &mut lanes);
    s.load(&lanes.map(f))
}

const SIGN: u32 = 1 << 31;

#[inline(always)]
pub(super) fn abs<S: Simd>(s: S, x: S::F) -> S::F {
    s.floats(s.and(s.bits(x), s.int(!SIGN)))
}

/// `y`, but `x` itself where it is so small that a function like `x + O(x²)` cannot differ; keeps the sign of zero.
#[inline(always)]
fn keep_tiny<S: Simd>(s: S, x: S::F, y: S::F) -> S::F {
    s.select(s.lt(abs(s, x), s.splat(1.0 / (1 << 25) as f32)), x, y)
}

/// `2^n` for −127 < n < 128.
#[inline(always)]
fn power_of_two<S: Simd>(s: S, n: S::I) -> S::F {
    s.floats(s.shift_left::<23>(s.int_add(n, s.int(127))))
}

/// `Σ c[i] · x^i`.
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(s: S, x: S::F, c: [f32; N]) -> S::F {
    let highest = s.splat(c[N - 1]);
    c[..N - 1].iter().rev().fold(highest, |sum, c| s.mul_add(sum, x, s.splat(*c)))
}
