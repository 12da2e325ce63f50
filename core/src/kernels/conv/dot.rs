//! Sums of few outputs: sixteen products at a time.

use std::ops::Range;

use super::pack::{Filter, Line};
use super::segment::Segment;
use super::{PackedConv, Target};
use crate::kernels::Source;
use crate::kernels::vector::{LANES, Simd, Work};

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
        for out in self.columns(panels) {
            let mut q = quotients.start;
            while q < quotients.end {
                let dots = Dots {
                    input,
                    from: q * self.stride,
                    step: self.stride as usize * input.ring.channels,
                    column: out / self.group_outputs * self.group_inputs,
                    segments: &filter.segments,
                    lines: &lines[out * filter.panel_lines..][..filter.panel_lines],
                    sums: &mut *target.own,
                    starts: target.ring.every(self.frame(filter, q), self.phases).map(|at| at + out),
                };
                if quotients.end - q >= 4 {
                    self.isa.run(Sized::<_, 4>(dots));
                    q += 4;
                } else {
                    self.isa.run(Sized::<_, 1>(dots));
                    q += 1;
                }
            }
        }
    }
}

struct Dots<'a, L> {
    input: Source<'a>,
    /// Input frame that the first frame's segments count from.
    from: i64,
    /// Values from one frame's inputs to the next frame's.
    step: usize,
    /// First input of the group.
    column: usize,
    segments: &'a [Segment],
    lines: &'a [L],
    sums: &'a mut [f32],
    /// Where each frame's sum is.
    starts: [usize; 4],
}

struct Sized<'a, L, const T: usize>(Dots<'a, L>);

impl<L: Line, const T: usize> Work for Sized<'_, L, T> {
    type Output = ();

    #[inline(always)]
    fn on<S: Simd>(self, s: S) {
        let Dots { input, from, step, column, segments, lines, sums, starts } = self.0;
        let mut lines = lines.iter();
        let mut block = [s.splat(0.0); T];
        for segment in segments {
            let at = input.ring.at(from + segment.frame) + column + segment.column;
            let mut x: [&[f32]; T] = [&[]; T];
            for t in 0..T {
                x[t] = &input.own[at + t * step..][..segment.length];
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
                for t in 0..T {
                    sums[starts[t]] += across(s, block[t]);
                }
                block = [s.splat(0.0); T];
            }
        }
    }
}

/// The sum of all lanes: halves added until one is left.
#[inline(always)]
fn across<S: Simd>(s: S, v: S::F) -> f32 {
    let mut lanes = [0.0; LANES];
    s.store(v, &mut lanes);
    let mut count = LANES;
    while count > 1 {
        count /= 2;
        for l in 0..count {
            lanes[l] += lanes[l + count];
        }
    }
    lanes[0]
}
