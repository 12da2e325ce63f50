//! What follows a convolution's sum, on rows that are still near.

use std::array::from_fn;
use std::ops::Range;

use super::Source;
use super::function::Function;
use super::isa::Isa;
use super::vector::{EIGHT, LANES, Simd, Work};
use crate::graph::Pointwise;
use crate::plan::Ring;
use crate::tensor::Weight;

/// Applied to sums in this order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Epilogue {
    /// A function of the sum.
    pub(crate) function: Option<Function>,
    /// Whether the same frame of another signal is added; one channel is added to all.
    pub(crate) add: bool,
    /// `[channels]`: what that one channel is multiplied by for each of all.
    pub(crate) column: Option<Weight>,
    /// A function of all that.
    pub(crate) then: Option<Function>,
}

impl Epilogue {
    /// What of it follows in registers, and what is left then. Its sums lie in `ring`.
    pub(super) fn in_registers<'a>(&'a self, addend: Option<Source<'a>>, ring: Ring) -> (InRegisters<'a>, Left) {
        let slope = |function: &Option<Function>| match function {
            None => Some(None),
            Some(Function::Pointwise(Pointwise::LeakyRelu { slope })) => Some(Some(*slope)),
            Some(_) => None,
        };
        let addend = addend.filter(|_| self.add);
        let column = self.column.as_ref().map(|column| column.data());
        let fits = addend.is_none_or(|addend| addend.ring.channels == ring.channels || column.is_some());
        match (slope(&self.function), slope(&self.then)) {
            (Some(slope), Some(then)) if fits => (InRegisters { slope, addend, column, then }, Left::Nothing),
            (Some(slope), None) if fits => (InRegisters { slope, addend, column, then: None }, Left::Then),
            _ => (InRegisters::default(), Left::All),
        }
    }

    /// Does what is `left` for the `columns` of `frames` in the ring slice `own`.
    #[expect(clippy::too_many_arguments, reason = "what a frame is made of, by name")]
    pub(super) fn apply(
        &self,
        left: Left,
        isa: Isa,
        addend: Option<Source<'_>>,
        ring: Ring,
        own: &mut [f32],
        frames: Range<i64>,
        columns: Range<usize>,
    ) {
        if left == Left::Nothing {
            return;
        }
        if let (Some(function), Left::All) = (&self.function, left) {
            function.apply(isa, ring, own, frames.clone(), columns.clone());
        }
        if self.add && left == Left::All {
            let addend = addend.expect("a convolution that adds has what it adds");
            let how = self.column.as_ref().map_or(Combination::Sum, |column| Combination::Column(column.data()));
            combine(isa, how, addend, ring, own, frames.clone(), columns.clone());
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
    /// Its one channel is multiplied by these for each of all.
    pub(super) column: Option<&'a [f32]>,
    /// A leaky ReLU of this slope.
    pub(super) then: Option<f32>,
}

/// What of an epilogue is still to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    Nothing,
    /// The last function.
    Then,
    All,
}

/// How two rows become one.
#[derive(Clone, Copy)]
pub(super) enum Combination<'a> {
    Sum,
    Product,
    Greatest,
    /// The sum, the other row's one channel multiplied by these: `[channels]`.
    Column(&'a [f32]),
}

impl Combination<'_> {
    /// The same for these columns alone.
    fn of(self, columns: Range<usize>) -> Self {
        if let Self::Column(column) = self { Self::Column(&column[columns]) } else { self }
    }
}

/// Adds to the `columns` of `frames`, or multiplies them by, the same of `x`; one channel goes to all.
pub(super) fn combine(
    isa: Isa,
    how: Combination<'_>,
    x: Source<'_>,
    ring: Ring,
    own: &mut [f32],
    frames: Range<i64>,
    columns: Range<usize>,
) {
    if ring.is_in_planes() {
        for plane in columns {
            let (ring, start) = ring.plane(plane);
            let how = how.of(plane..plane + 1);
            combine_rows(isa, how, x.plane(plane), ring, &mut own[start..], frames.clone(), 0..1);
        }
    } else {
        combine_rows(isa, how.of(columns.clone()), x, ring, own, frames, columns);
    }
}

/// As [`combine`]; of a column, the values of these columns alone.
fn combine_rows(
    isa: Isa,
    how: Combination<'_>,
    x: Source<'_>,
    ring: Ring,
    own: &mut [f32],
    frames: Range<i64>,
    columns: Range<usize>,
) {
    for piece in ring.stretches(frames) {
        for piece in x.ring.stretches(piece) {
            let column = if x.ring.channels == 1 { 0 } else { columns.start };
            let rows = (piece.end - piece.start) as usize;
            // Whole rows lie one after another, as if they were one.
            let are_whole = columns.len() == ring.channels && x.ring.channels == ring.channels;
            let (rows, width, x_row) = if are_whole && !matches!(how, Combination::Column(_)) {
                (1, rows * columns.len(), rows * columns.len())
            } else {
                (rows, columns.len(), x.ring.channels)
            };
            isa.run(Combine {
                how,
                rows,
                width,
                x: &x.own[x.ring.at(piece.start) + column..],
                x_row,
                y: &mut own[ring.at(piece.start) + columns.start..],
                y_row: ring.channels,
            });
        }
    }
}

struct Combine<'a> {
    how: Combination<'a>,
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
            Combination::Column(column) if self.is_narrow::<S>() => {
                let weights: [f32; LANES] = from_fn(|lane| column[lane % column.len()]);
                let weights = s.load(&weights);
                self.side_by_side(s, |y, x| s.add(y, s.mul_add(x, weights, s.splat(0.0))));
            }
            Combination::Column(column) => {
                for row in 0..self.rows {
                    let x = s.splat(self.x[row * self.x_row]);
                    let y = &mut self.y[row * self.y_row..][..self.width];
                    for (y, weights) in y.chunks_mut(LANES).zip(column.chunks(LANES)) {
                        let product = s.mul_add(x, s.load_part(weights), s.splat(0.0));
                        s.store_part(s.add(s.load_part(y), product), y);
                    }
                }
            }
        }
    }
}

impl Combine<'_> {
    #[inline(always)]
    fn each<S: Simd>(self, s: S, f: impl Fn(S::F, S::F) -> S::F) {
        if self.is_narrow::<S>() {
            return self.side_by_side(s, f);
        }
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

    /// Whether several rows fit into a vector, and each meets one value.
    #[inline(always)]
    fn is_narrow<S: Simd>(&self) -> bool {
        S::PICKS && self.x_row == 1 && self.width == self.y_row && (2..=EIGHT).contains(&self.width)
    }

    /// Of narrow rows, as many as fit into a vector together.
    #[inline(always)]
    fn side_by_side<S: Simd>(self, s: S, f: impl Fn(S::F, S::F) -> S::F) {
        let width = self.width;
        let together = LANES / width;
        let lanes: [u32; LANES] = from_fn(|lane| (lane / width) as u32);
        let y = self.y[..self.rows * width].chunks_mut(together * width);
        for (y, x) in y.zip(self.x[..self.rows].chunks(together)) {
            s.store_part(f(s.load_part(y), s.pick(s.load_part(x), &lanes)), y);
        }
    }
}
