//! Functions of single values, applied to rows in place.

use std::ops::Range;

use super::isa::Isa;
use super::vector::{LANES, Simd, Work};
use super::{Source, frame, math};
use crate::graph::Pointwise;
use crate::plan::Ring;
use crate::stream::StreamOp;
use crate::tensor::Weight;

/// A function of each value by itself, and of its channel.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Function {
    /// The same for every channel.
    Pointwise(Pointwise),
    /// `x + sin²(alpha · x) / (alpha + 1e-9)`.
    Snake {
        /// `[channels]`.
        alpha: Weight,
    },
    /// `scale · x + offset`.
    Affine {
        /// `[channels]`.
        scale: Weight,
        /// `[channels]`.
        offset: Weight,
    },
    /// `max(x, 0) + slope · min(x, 0)`.
    PRelu {
        /// `[channels]`.
        slope: Weight,
    },
}

impl Function {
    /// The function that `op` is, if it is one.
    pub(crate) fn of(op: &StreamOp) -> Option<Self> {
        match op {
            StreamOp::Pointwise(pointwise) => Some(Self::Pointwise(*pointwise)),
            StreamOp::Snake { alpha } => Some(Self::Snake { alpha: alpha.clone() }),
            StreamOp::ChannelAffine { scale, offset } => {
                Some(Self::Affine { scale: scale.clone(), offset: offset.clone() })
            }
            StreamOp::PRelu { slope } => Some(Self::PRelu { slope: slope.clone() }),
            _ => None,
        }
    }

    /// Bytes of weights.
    pub(super) fn weight_bytes(&self) -> usize {
        let values = match self {
            Self::Pointwise(_) => 0,
            Self::Snake { alpha } => alpha.len(),
            Self::Affine { scale, offset } => scale.len() + offset.len(),
            Self::PRelu { slope } => slope.len(),
        };
        values * size_of::<f32>()
    }

    /// Replaces the `columns` of `frames` in the ring slice `own` by the function of them.
    pub(super) fn apply(&self, isa: Isa, ring: Ring, own: &mut [f32], frames: Range<i64>, columns: Range<usize>) {
        if columns.is_empty() {
            return;
        }
        if ring.is_in_planes() {
            for plane in columns {
                let (ring, start) = ring.plane(plane);
                self.apply_to_rows(isa, ring, &mut own[start..], frames.clone(), plane..plane + 1);
            }
        } else {
            self.apply_to_rows(isa, ring, &mut own[columns.start..], frames, columns);
        }
    }

    /// As [`Self::apply`]; the first of the columns is the first value of `own`.
    fn apply_to_rows(&self, isa: Isa, ring: Ring, own: &mut [f32], frames: Range<i64>, columns: Range<usize>) {
        for piece in ring.stretches(frames) {
            let last = (piece.end - piece.start - 1) as usize * ring.channels;
            let values = &mut own[ring.at(piece.start)..][..last + columns.len()];
            isa.run(Apply { function: self, values, channels: ring.channels, columns: columns.clone() });
        }
    }
}

impl Function {
    /// Puts the function of `frames` of `x` into the ring slice `own`; one channel goes to all.
    pub(super) fn put(&self, isa: Isa, x: Source<'_>, ring: Ring, own: &mut [f32], frames: Range<i64>) {
        match self {
            Self::Pointwise(pointwise) if x.ring.channels == ring.channels => {
                frame::rows(x, ring, own, frames, |input, output| isa.run(Put { pointwise, input, output }));
            }
            _ => {
                frame::copy(x, ring, own, frames.clone());
                self.apply(isa, ring, own, frames, 0..ring.channels);
            }
        }
    }
}

/// Values that a function is made of.
trait Values {
    fn map<S: Simd>(self, s: S, f: impl Fn(S::F) -> S::F);
}

#[inline(always)]
fn map_pointwise<S: Simd>(s: S, pointwise: &Pointwise, values: impl Values) {
    match *pointwise {
        Pointwise::LeakyRelu { slope } => values.map(s, |x| math::leaky_relu(s, x, slope)),
        Pointwise::Tanh => values.map(s, |x| math::tanh(s, x)),
        Pointwise::Sigmoid => values.map(s, |x| math::sigmoid(s, x)),
        Pointwise::Softplus => values.map(s, |x| math::softplus(s, x)),
        Pointwise::ModSigmoid => values.map(s, |x| math::mod_sigmoid(s, x)),
        Pointwise::Log1p => values.map(s, |x| math::log1p(s, x)),
        Pointwise::Affine { scale, offset } => {
            values.map(s, |x| s.mul_add(s.splat(scale), x, s.splat(offset)));
        }
        Pointwise::Silu => values.map(s, |x| math::silu(s, x)),
        Pointwise::HardSwish => values.map(s, |x| math::hard_swish(s, x)),
        Pointwise::Softsign => values.map(s, |x| math::softsign(s, x)),
        Pointwise::Clamp { low, high } => values.map(s, |x| math::clamp(s, x, low, high)),
        Pointwise::LeakyHardTanh { low, high, low_slope, high_slope } => {
            values.map(s, |x| math::leaky_hard_tanh(s, x, [low, high], [low_slope, high_slope]));
        }
        Pointwise::FastTanh => values.map(s, |x| math::fast_tanh(s, x)),
        Pointwise::Elu { alpha } => values.map(s, |x| math::elu(s, x, alpha)),
        Pointwise::Gelu => values.map(s, |x| math::gelu(s, x)),
        Pointwise::GeluTanh => values.map(s, |x| math::gelu_tanh(s, x)),
        Pointwise::Erf => values.map(s, |x| math::erf(s, x)),
        Pointwise::Exp => values.map(s, |x| math::exp(s, x)),
        Pointwise::Log => values.map(s, |x| math::log(s, x)),
        Pointwise::Sqrt => values.map(s, |x| math::by_lane(s, x, f32::sqrt)),
        Pointwise::Reciprocal => values.map(s, |x| s.div(s.splat(1.0), x)),
        Pointwise::Sin => values.map(s, |x| math::sin(s, x)),
        Pointwise::Cos => values.map(s, |x| math::cos(s, x)),
        Pointwise::Abs => values.map(s, |x| math::abs(s, x)),
        Pointwise::Power { exponent } => {
            values.map(s, |x| math::by_lane(s, x, |x| x.powf(exponent)));
        }
    }
}

/// A function of values that lie one after another, put elsewhere.
struct Put<'a> {
    pointwise: &'a Pointwise,
    input: &'a [f32],
    output: &'a mut [f32],
}

impl Work for Put<'_> {
    type Output = ();

    #[inline(always)]
    fn on<S: Simd>(self, s: S) {
        map_pointwise(s, self.pointwise, self);
    }
}

impl Values for Put<'_> {
    #[inline(always)]
    fn map<S: Simd>(self, s: S, f: impl Fn(S::F) -> S::F) {
        for (y, x) in self.output.chunks_mut(LANES).zip(self.input.chunks(LANES)) {
            s.store_part(f(s.load_part(x)), y);
        }
    }
}

struct Apply<'a> {
    function: &'a Function,
    /// From the first row's first column to the last row's last.
    values: &'a mut [f32],
    channels: usize,
    columns: Range<usize>,
}

impl Work for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn on<S: Simd>(self, s: S) {
        match self.function {
            Function::Pointwise(pointwise) => map_pointwise(s, pointwise, self),
            Function::Snake { alpha } => {
                self.map_with(s, [alpha.data(), alpha.data()], |x, [alpha, _]| math::snake(s, x, alpha));
            }
            Function::PRelu { slope } => {
                self.map_with(s, [slope.data(), slope.data()], |x, [slope, _]| {
                    s.select(s.lt(s.splat(0.0), x), x, s.mul(slope, x))
                });
            }
            Function::Affine { scale, offset } => {
                self.map_with(s, [scale.data(), offset.data()], |x, [scale, offset]| s.mul_add(scale, x, offset));
            }
        }
    }
}

impl Values for Apply<'_> {
    #[inline(always)]
    fn map<S: Simd>(self, s: S, f: impl Fn(S::F) -> S::F) {
        let width = self.columns.len();
        // Whole rows lie one after another.
        let length = if width == self.channels { self.values.len() } else { self.channels };
        for row in self.values.chunks_mut(length) {
            let row = if width == self.channels { row } else { &mut row[..width] };
            for y in row.chunks_mut(LANES) {
                s.store_part(f(s.load_part(y)), y);
            }
        }
    }
}

impl Apply<'_> {
    #[inline(always)]
    fn map_with<S: Simd>(self, s: S, parameters: [&[f32]; 2], f: impl Fn(S::F, [S::F; 2]) -> S::F) {
        let [a, b] = parameters.map(|p| &p[self.columns.clone()]);
        // Whole rows lie one after another; after so many lines, a row begins where a line does.
        let period = a.len() >> a.len().trailing_zeros().min(LANES.ilog2());
        let repeats = a.len() == self.channels && a.len() < LANES && self.values.len() > 2 * period * LANES;
        let mut repeated = [[0.0; LANES * LANES]; 2];
        let (length, a, b) = if repeats {
            for (repeated, p) in repeated.iter_mut().zip([a, b]) {
                repeated[..period * LANES].chunks_mut(p.len()).for_each(|row| row.copy_from_slice(&p[..row.len()]));
            }
            (period * LANES, &repeated[0][..period * LANES], &repeated[1][..period * LANES])
        } else {
            (self.channels, a, b)
        };
        for row in self.values.chunks_mut(length) {
            let width = row.len().min(a.len());
            for ((y, a), b) in row[..width].chunks_mut(LANES).zip(a.chunks(LANES)).zip(b.chunks(LANES)) {
                s.store_part(f(s.load_part(y), [s.load_part(a), s.load_part(b)]), y);
            }
        }
    }
}
