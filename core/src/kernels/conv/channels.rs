//! Sums of channels that are groups of their own: sixteen channels at a time.

use std::ops::Range;

use super::pack::{Filter, Line};
use super::segment::Segment;
use super::tile::Begin;
use super::{PackedConv, Target};
use crate::kernels::Source;
use crate::kernels::vector::{LANES, Simd, Work};
use crate::plan::Walk;

impl PackedConv {
    pub(super) fn sum_channels<L: Line>(
        &self,
        filter: &Filter,
        lines: &[L],
        input: Source<'_>,
        target: Target<'_>,
        panels: Range<usize>,
    ) {
        let quotients = self.quotients(filter, &target.frames);
        let first = self.frame(filter, quotients.start);
        for panel in panels {
            let columns = panel * LANES..self.channels().min((panel + 1) * LANES);
            self.isa.run(Channels {
                input,
                from: quotients.start * self.stride,
                stride: self.stride,
                frames: (quotients.end - quotients.start).max(0) as usize,
                begin: target.begins.of(first, self.phases, columns.clone()),
                columns,
                segments: &filter.segments,
                lines: &lines[panel * filter.panel_lines..][..filter.panel_lines],
                own: &mut *target.own,
                places: target.ring.walk(first, self.phases),
            });
        }
    }
}

struct Channels<'a, L> {
    input: Source<'a>,
    /// Input frame that the next frame's segments count from, and its distance to the one after.
    from: i64,
    stride: i64,
    frames: usize,
    columns: Range<usize>,
    segments: &'a [Segment],
    lines: &'a [L],
    own: &'a mut [f32],
    /// Where each frame's outputs are.
    places: Walk,
    begin: Begin<'a>,
}

impl<L: Line> Work for Channels<'_, L> {
    type Output = ();

    #[inline(always)]
    fn on<S: Simd>(mut self, s: S) {
        while self.frames > 0 {
            if self.frames >= 4 { self.sum::<S, 4>(s) } else { self.sum::<S, 1>(s) }
        }
    }
}

impl<L: Line> Channels<'_, L> {
    /// The next `T` frames.
    #[inline(always)]
    fn sum<S: Simd, const T: usize>(&mut self, s: S) {
        let (lanes, step) = (self.columns.len(), self.stride as usize * self.input.ring.channels);
        let places: [usize; T] = self.places.next(self.columns.start);
        let mut sums = [s.splat(0.0); T];
        match &mut self.begin {
            Begin::There => {
                for t in 0..T {
                    sums[t] = s.load_part(&self.own[places[t]..][..lanes]);
                }
            }
            Begin::Bias(bias) => sums = [s.load_part(bias); T],
            Begin::Sums(values, walk) => {
                let places: [usize; T] = walk.next(self.columns.start);
                for t in 0..T {
                    sums[t] = s.load_part(&values[places[t]..][..lanes]);
                }
            }
        }
        let mut block = [s.splat(0.0); T];
        for (segment, line) in self.segments.iter().zip(self.lines) {
            let at = self.input.ring.at(self.from + segment.frame) + self.columns.start;
            let weights = line.load(s);
            for t in 0..T {
                block[t] = s.mul_add(s.load_part(&self.input.own[at + t * step..][..lanes]), weights, block[t]);
            }
            if segment.closes {
                for t in 0..T {
                    sums[t] = s.add(sums[t], block[t]);
                }
                block = [s.splat(0.0); T];
            }
        }
        for t in 0..T {
            s.store_part(sums[t], &mut self.own[places[t]..][..lanes]);
        }
        self.from += T as i64 * self.stride;
        self.frames -= T;
    }
}
