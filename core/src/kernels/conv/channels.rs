//! Sums of channels that are groups of their own: sixteen channels at a time.

use std::ops::Range;

use super::pack::{Filter, Line};
use super::segment::Segment;
use super::{PackedConv, Target};
use crate::kernels::Source;
use crate::kernels::vector::{LANES, Simd, Work};

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
        for panel in panels {
            let columns = panel * LANES..self.channels().min((panel + 1) * LANES);
            let mut q = quotients.start;
            while q < quotients.end {
                let stretch = Stretch {
                    input,
                    from: q * self.stride,
                    step: self.stride as usize * input.ring.channels,
                    columns: columns.clone(),
                    segments: &filter.segments,
                    lines: &lines[panel * filter.panel_lines..][..filter.panel_lines],
                    sums: &mut *target.own,
                    starts: target.ring.every(self.frame(filter, q), self.phases).map(|at| at + columns.start),
                };
                if quotients.end - q >= 4 {
                    self.isa.run(Sized::<_, 4>(stretch));
                    q += 4;
                } else {
                    self.isa.run(Sized::<_, 1>(stretch));
                    q += 1;
                }
            }
        }
    }
}

struct Stretch<'a, L> {
    input: Source<'a>,
    /// Input frame that the first frame's segments count from.
    from: i64,
    /// Values from one frame's inputs to the next frame's.
    step: usize,
    columns: Range<usize>,
    segments: &'a [Segment],
    lines: &'a [L],
    sums: &'a mut [f32],
    /// Where each frame's sums start.
    starts: [usize; 4],
}

struct Sized<'a, L, const T: usize>(Stretch<'a, L>);

impl<L: Line, const T: usize> Work for Sized<'_, L, T> {
    type Output = ();

    #[inline(always)]
    fn on<S: Simd>(self, s: S) {
        let Stretch { input, from, step, columns, segments, lines, sums: own, starts } = self.0;
        let lanes = columns.len();
        let mut sums = [s.splat(0.0); T];
        for t in 0..T {
            sums[t] = s.load_part(&own[starts[t]..][..lanes]);
        }
        let mut block = [s.splat(0.0); T];
        for (segment, line) in segments.iter().zip(lines) {
            let at = input.ring.at(from + segment.frame) + columns.start;
            let weights = line.load(s);
            for t in 0..T {
                block[t] = s.mul_add(s.load_part(&input.own[at + t * step..][..lanes]), weights, block[t]);
            }
            if segment.closes {
                for t in 0..T {
                    sums[t] = s.add(sums[t], block[t]);
                }
                block = [s.splat(0.0); T];
            }
        }
        for t in 0..T {
            s.store_part(sums[t], &mut own[starts[t]..][..lanes]);
        }
    }
}
