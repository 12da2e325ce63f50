//! A gate: some channels of a signal, or the hyperbolic tangent of them, times the sigmoid of as many others (van den Oord
//! et al., *WaveNet*, 2016, eq. 2; Dauphin et al., *Language Modeling with Gated Convolutional Networks*, 2017, eq. 1).

use std::ops::Range;

use super::isa::Isa;
use super::vector::{LANES, Simd, Work};
use super::{Source, math};
use crate::plan::Ring;

/// Which channels of its input a gate reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gate {
    /// The first channel of what passes.
    pub(crate) passes: usize,
    /// Whether the hyperbolic tangent of it does.
    pub(crate) bends: bool,
    /// The first channel of what the sigmoid is of.
    pub(crate) opens: usize,
}

impl Gate {
    /// Computes `frames` into the ring slice `own`; both signals lie in planes, or none does.
    pub(super) fn run(&self, isa: Isa, x: Source<'_>, ring: Ring, own: &mut [f32], frames: Range<i64>) {
        if x.ring.is_in_planes() {
            for channel in 0..ring.channels {
                let [passing, opening] = [self.passes, self.opens].map(|first| x.plane(first + channel));
                let (ring, start) = ring.plane(channel);
                let at = [(passing, 0), (opening, 0)];
                self.rows(isa, at, ring, &mut own[start..], frames.clone());
            }
        } else {
            self.rows(isa, [(x, self.passes), (x, self.opens)], ring, own, frames);
        }
    }

    /// As [`Self::run`], of rows; each signal with the first column that counts.
    fn rows(&self, isa: Isa, x: [(Source<'_>, usize); 2], ring: Ring, own: &mut [f32], frames: Range<i64>) {
        let x_ring = x[0].0.ring;
        for piece in ring.stretches(frames).flat_map(|piece| x_ring.stretches(piece)) {
            let count = (piece.end - piece.start) as usize;
            // Rows of one value lie one after another, as if they were one.
            let is_one_row = ring.channels == 1 && x_ring.channels == 1;
            let (rows, width) = if is_one_row { (1, count) } else { (count, ring.channels) };
            isa.run(Rows {
                bends: self.bends,
                rows,
                width,
                x: x.map(|(x, column)| &x.own[x_ring.at(piece.start) + column..]),
                x_row: x_ring.channels,
                y: &mut own[ring.at(piece.start)..],
            });
        }
    }
}

struct Rows<'a> {
    bends: bool,
    rows: usize,
    width: usize,
    /// What passes, and what opens the gate.
    x: [&'a [f32]; 2],
    /// Values from one row to the next.
    x_row: usize,
    y: &'a mut [f32],
}

impl Work for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn on<S: Simd>(self, s: S) {
        for row in 0..self.rows {
            let [passing, opening] = self.x.map(|x| &x[row * self.x_row..][..self.width]);
            let y = &mut self.y[row * self.width..][..self.width];
            let ((passing, passing_rest), (opening, opening_rest)) = (passing.as_chunks(), opening.as_chunks());
            let (y, y_rest) = y.as_chunks_mut::<LANES>();
            for ((y, passing), opening) in y.iter_mut().zip(passing).zip(opening) {
                s.store(gated(s, self.bends, s.load(passing), s.load(opening)), y);
            }
            if !y_rest.is_empty() {
                s.store_part(gated(s, self.bends, s.load_part(passing_rest), s.load_part(opening_rest)), y_rest);
            }
        }
    }
}

#[inline(always)]
fn gated<S: Simd>(s: S, bends: bool, passing: S::F, opening: S::F) -> S::F {
    let passing = if bends { math::tanh(s, passing) } else { passing };
    s.mul(passing, math::sigmoid(s, opening))
}
