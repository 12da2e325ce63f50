//! What follows a convolution's sum, on rows that are still near.

use std::ops::Range;

use super::Source;
use super::function::Function;
use super::isa::Isa;
use super::vector::{LANES, Simd, Work};
use crate::graph::Pointwise;
use crate::plan::Ring;

/// Applied to sums in this order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Epilogue {
    /// A function of the sum.
    pub(crate) function: Option<Function>,
    /// Whether the same frame of another signal is added; one channel is added to all.
    pub(crate) add: bool,
    /// A function of all that.
    pub(crate) then: Option<Function>,
}

impl Epilogue {
    /// The same, where it is short enough to follow in registers. Its sums lie in `ring`.
    pub(super) fn in_registers<'a>(&self, addend: Option<Source<'a>>, ring: Ring) -> Option<InRegisters<'a>> {
        let slope = |function: &Option<Function>| match function {
            None => Some(None),
            Some(Function::Pointwise(Pointwise::LeakyRelu { slope })) => Some(Some(*slope)),
            Some(_) => None,
        };
        let addend = addend.filter(|_| self.add);
        let fits = addend.is_none_or(|addend| addend.ring.channels == ring.channels);
        fits.then_some(InRegisters { slope: slope(&self.function)?, addend, then: slope(&self.then)? })
    }

    /// Finishes the `columns` of `frames` in the ring slice `own`.
    pub(super) fn apply(
        &self,
        isa: Isa,
        addend: Option<Source<'_>>,
        ring: Ring,
        own: &mut [f32],
        frames: Range<i64>,
        columns: Range<usize>,
    ) {
        if let Some(function) = &self.function {
            function.apply(isa, ring, own, frames.clone(), columns.clone());
        }
        if self.add {
            let addend = addend.expect("a convolution that adds has what it adds");
            combine(isa, Combination::Sum, addend, ring, own, frames.clone(), columns.clone());
        }
        if let Some(function) = &self.then {
            function.apply(isa, ring, own, frames, columns);
        }
    }
}

/// An epilogue that a sum meets before it is stored.
#[derive(Clone, Copy, Default)]
pub(super) struct InRegisters<'a> {
    /// A leaky ReLU of this slope.
    pub(super) slope: Option<f32>,
    /// The same frame of this signal is added.
    pub(super) addend: Option<Source<'a>>,
    /// A leaky ReLU of this slope.
    pub(super) then: Option<f32>,
}

/// How two rows become one.
#[derive(Clone, Copy)]
pub(super) enum Combination {
    Sum,
    Product,
    Greatest,
}

/// Adds to the `columns` of `frames`, or multiplies them by, the same of `x`; one channel goes to all.
pub(super) fn combine(
    isa: Isa,
    how: Combination,
    x: Source<'_>,
    ring: Ring,
    own: &mut [f32],
    frames: Range<i64>,
    columns: Range<usize>,
) {
    for piece in ring.stretches(frames) {
        for piece in x.ring.stretches(piece) {
            let column = if x.ring.channels == 1 { 0 } else { columns.start };
            isa.run(Combine {
                how,
                rows: (piece.end - piece.start) as usize,
                width: columns.len(),
                x: &x.own[x.ring.at(piece.start) + column..],
                x_row: x.ring.channels,
                y: &mut own[ring.at(piece.start) + columns.start..],
                y_row: ring.channels,
            });
        }
    }
}

struct Combine<'a> {
    how: Combination,
    rows: usize,
    width: usize,
    x: &'a [f32],
    /// Values from one row to the next.
    x_row: usize,
    y: &'a mut [f32],
    y_row: usize,
}

impl Work for Combine<'_> {
    type Output = ();

    #[inline(always)]
    fn on<S: Simd>(self, s: S) {
        match self.how {
            Combination::Sum => self.each(s, |y, x| s.add(y, x)),
            Combination::Product => self.each(s, |y, x| s.mul(y, x)),
            // What is not a number stays, on either side.
            Combination::Greatest => self.each(s, |y, x| {
                let (a, b) = (s.bits(y), s.bits(x));
                let either = s.floats(s.xor(s.xor(a, b), s.and(a, b)));
                s.select(s.lt(x, y), y, s.select(s.lt(y, x), x, either))
            }),
        }
    }
}

impl Combine<'_> {
    #[inline(always)]
    fn each<S: Simd>(self, s: S, f: impl Fn(S::F, S::F) -> S::F) {
        for row in 0..self.rows {
            let y = &mut self.y[row * self.y_row..][..self.width];
            if self.x_row == 1 {
                let x = s.splat(self.x[row]);
                for y in y.chunks_mut(LANES) {
                    s.store_part(f(s.load_part(y), x), y);
                }
            } else {
                let x = &self.x[row * self.x_row..][..self.width];
                for (y, x) in y.chunks_mut(LANES).zip(x.chunks(LANES)) {
                    s.store_part(f(s.load_part(y), s.load_part(x)), y);
                }
            }
        }
    }
}
