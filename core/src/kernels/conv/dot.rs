//! Sums of few outputs: sixteen products at a time.

use std::ops::Range;

use super::pack::{Filter, Line};
use super::segment::Segment;
use super::tile::Begin;
use super::{PackedConv, Target};
use crate::kernels::Source;
use crate::kernels::vector::{LANES, Simd, Work};
use crate::plan::Walk;

impl PackedConv {
    pub(super) fn sum_dots<L: Line>(
        &self,
        filter: &Filter,
        lines: &[L],
        input: Source<'_>,
        target: Target<'_>,
        panels: Range<usize>,
    ) {
        let quotients = self.quotients(filter, &target.frames);
        let first = self.frame(filter, quotients.start);
        for output in self.columns(panels) {
            self.isa.run(Dots {
                input,
                from: quotients.start * self.stride,
                stride: self.stride,
                frames: (quotients.end - quotients.start).max(0) as usize,
                column: output / self.group_outputs * self.group_inputs,
                segments: &filter.segments,
                lines: &lines[output * filter.panel_lines..][..filter.panel_lines],
                own: &mut *target.own,
                places: target.ring.walk(first, self.phases),
                output,
                begin: target.begins.of(first, self.phases, output..output + 1),
            });
        }
    }
}

struct Dots<'a, L> {
    input: Source<'a>,
    /// Input frame that the next frame's segments count from, and its distance to the one after.
    from: i64,
    stride: i64,
    frames: usize,
    /// First input of the group.
    column: usize,
    segments: &'a [Segment],
    lines: &'a [L],
    own: &'a mut [f32],
    /// Where each frame's outputs are.
    places: Walk,
    output: usize,
    begin: Begin<'a>,
}

impl<L: Line> Work for Dots<'_, L> {
    type Output = ();

    #[inline(always)]
    fn on<S: Simd>(mut self, s: S) {
        while self.frames > 0 {
            match self.frames {
                4.. => self.sum::<S, 4>(s),
                2 | 3 => self.sum::<S, 2>(s),
                _ => self.sum::<S, 1>(s),
            }
        }
    }
}

impl<L: Line> Dots<'_, L> {
    /// The next `T` frames.
    #[inline(always)]
    fn sum<S: Simd, const T: usize>(&mut self, s: S) {
        let step = self.stride as usize * self.input.ring.channels;
        let places: [usize; T] = self.places.next(self.output);
        let mut sums: [f32; T] = match &mut self.begin {
            Begin::There => places.map(|place| self.own[place]),
            Begin::Bias(bias) => [bias[0]; T],
            Begin::Sums(values, walk) => walk.next(self.output).map(|place| values[place]),
        };
        let mut lines = self.lines.iter();
        let mut block = [s.splat(0.0); T];
        for segment in self.segments {
            let at = self.input.ring.at(self.from + segment.frame) + self.column + segment.column;
            let mut x: [&[f32]; T] = [&[]; T];
            for t in 0..T {
                x[t] = &self.input.own[at + t * step..][..segment.length];
            }
            let whole = segment.length / LANES * LANES;
            for (i, line) in (0..whole).step_by(LANES).zip(&mut lines) {
                let weights = line.load(s);
                for t in 0..T {
                    block[t] = s.mul_add(s.load_part(&x[t][i..i + LANES]), weights, block[t]);
                }
            }
            if whole < segment.length
                && let Some(line) = lines.next()
            {
                let weights = line.load(s);
                for t in 0..T {
                    block[t] = s.mul_add(s.load_part(&x[t][whole..]), weights, block[t]);
                }
            }
            if segment.closes {
                let mut vectors = [s.splat(0.0); 4];
                vectors[..T].copy_from_slice(&block);
                for (sum, block) in sums.iter_mut().zip(s.across(vectors)) {
                    *sum += block;
                }
                block = [s.splat(0.0); T];
            }
        }
        for t in 0..T {
            self.own[places[t]] = sums[t];
        }
        self.from += T as i64 * self.stride;
        self.frames -= T;
    }
}
