//! Each frame several times.

use std::array::from_fn;
use std::ops::Range;

use super::Source;
use super::isa::Isa;
use super::vector::{EIGHT, LANES, Simd, Work};
use crate::plan::Ring;

/// Frames `q · factor ..` are frame `q` of `x`, `factor` times.
pub(super) fn run(isa: Isa, factor: usize, x: Source<'_>, ring: Ring, own: &mut [f32], frames: Range<i64>) {
    for (plane, (ring, start)) in ring.each_plane().enumerate() {
        let (x, columns) = match x.ring.is_in_planes() {
            true => (x.plane(plane), 0),
            false => (x, plane * ring.channels),
        };
        for piece in ring.stretches(frames.clone()) {
            let y = &mut own[start + ring.at(piece.start)..][..(piece.end - piece.start) as usize * ring.channels];
            isa.run(Repeated { factor, x, columns: columns..columns + ring.channels, first: piece.start, y });
        }
    }
}

/// Rows from frame `first` on, of columns of `x`.
struct Repeated<'a> {
    factor: usize,
    x: Source<'a>,
    columns: Range<usize>,
    first: i64,
    y: &'a mut [f32],
}

impl Work for Repeated<'_> {
    type Output = ();

    #[inline(always)]
    fn on<S: Simd>(self, s: S) {
        let Self { factor, x, columns, first, mut y } = self;
        let width = columns.len();
        let row = factor * width;
        // Rows that share a vector when they are repeated.
        let together = if S::PICKS && width == x.ring.channels { LANES / row } else { 0 };
        let lane = |lane: usize| if lane < together * row { lane / row * width + lane % width } else { 0 };
        let lanes: [u32; LANES] = from_fn(|l| lane(l) as u32);
        let columns_of_lanes: [usize; LANES] = from_fn(|lane| lane % width);
        let mut q = first.div_euclid(factor as i64);
        let mut left = factor - first.rem_euclid(factor as i64) as usize;
        while !y.is_empty() {
            let whole = if left == factor && together > 1 { y.len() / row } else { 0 };
            let whole = (x.ring.end_of_stretch(q, q + whole as i64) - q) as usize;
            let (now, later) = y.split_at_mut(if whole > 0 { whole * row } else { y.len().min(left * width) });
            if whole > 0 {
                let x = &x.own[x.ring.at(q)..][..whole * width];
                for (y, x) in now.chunks_mut(together * row).zip(x.chunks(together * width)) {
                    s.store_part(s.pick(s.load_part(x), &lanes), y);
                }
            } else {
                let row = &x.row(q)[columns.clone()];
                if width > EIGHT {
                    now.chunks_exact_mut(width).for_each(|y| y.copy_from_slice(row));
                } else {
                    let row =
                        if width == 1 { s.splat(row[0]) } else { s.load(&columns_of_lanes.map(|column| row[column])) };
                    now.chunks_mut(LANES / width * width).for_each(|y| s.store_part(row, y));
                }
            }
            (y, q, left) = (later, q + whole.max(1) as i64, factor);
        }
    }
}
