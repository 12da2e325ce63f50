//! Sums over panels: `T` frames by `P` panels at a time, as many as registers hold.
#![allow(unsafe_code, reason = "the innermost loop, free of bounds checks")]

use std::array::from_fn;
use std::ops::Range;

use super::pack::{Filter, Line};
use super::segment::Segment;
use super::{Begins, Layout, PackedConv, Target};
use crate::kernels::Source;
use crate::kernels::isa::Isa;
use crate::kernels::vector::{LANES, Simd, Work};
use crate::plan::Ring;

/// Frames of the largest tile.
pub(super) const MOST_FRAMES: usize = 8;

impl PackedConv {
    pub(super) fn sum_panels<L: Line>(
        &self,
        filter: &Filter,
        lines: &[L],
        input: Source<'_>,
        target: Target<'_>,
        panels: Range<usize>,
    ) {
        let quotients = self.quotients(filter, &target.frames);
        if quotients.is_empty() || filter.segments.is_empty() {
            return;
        }
        let frames = (quotients.end - quotients.start) as usize;
        let together = panels_together(self.isa, frames);
        let (per_group, panels) = match self.layout {
            Layout::Phases => {
                let all = (filter.phases * self.channels()).div_ceil(LANES);
                (all, if panels.is_empty() { 0..0 } else { 0..all })
            }
            _ => (self.group_panels(), panels),
        };
        let mut target = target;
        let mut panel = panels.start;
        while panel < panels.end {
            let (group, within) = (panel / per_group, panel % per_group);
            let count = largest_power_of_two(together.min(panels.end - panel).min(per_group - within));
            let mut q = quotients.start;
            while q < quotients.end {
                let rows = frames_together(self.isa, count, (quotients.end - q) as usize);
                let tile = Tile {
                    input,
                    from: q * self.stride,
                    step: self.stride as usize * input.ring.channels,
                    column: group * self.group_inputs,
                    segments: &filter.segments,
                    lines: &lines[panel * filter.panel_lines..][..count * filter.panel_lines],
                    sums: &mut [],
                    starts: [0; MOST_FRAMES],
                    begins: None,
                    last_lanes: LANES,
                };
                let first = |t: usize| self.frame(filter, q + t as i64);
                if self.layout == Layout::Phases && (0..rows).all(|t| self.is_whole(filter, first(t), &target)) {
                    let starts = target.ring.every(first(0), self.phases).map(|at| at + panel * LANES);
                    let last_lanes = (filter.phases * self.channels() - (panel + count - 1) * LANES).min(LANES);
                    run(self.isa, rows, count, Tile { sums: target.own, starts, last_lanes, ..tile });
                } else if self.layout == Layout::Phases {
                    self.phases_tile(filter, tile, q, rows, panel, count, &mut target);
                } else {
                    let column = group * self.group_outputs + within * LANES;
                    let starts = target.ring.every(first(0), self.phases).map(|at| at + column);
                    let last_lanes = (self.group_outputs - (within + count - 1) * LANES).min(LANES);
                    let begins = match target.begins {
                        Begins::There => None,
                        Begins::Bias(bias) => Some((bias, [column; MOST_FRAMES])),
                        Begins::Sums(sums) => {
                            Some((sums.own, sums.ring.every(first(0), self.phases).map(|at| at + column)))
                        }
                    };
                    run(self.isa, rows, count, Tile { sums: target.own, starts, begins, last_lanes, ..tile });
                }
                q += rows as i64;
            }
            panel += count;
        }
    }

    /// Whether all of a quotient's frames, from `first` on, are asked for and lie in one piece.
    fn is_whole(&self, filter: &Filter, first: i64, target: &Target<'_>) -> bool {
        let last = first + filter.phases as i64 - 1;
        let in_one_piece = target.ring.at(last) == target.ring.at(first) + (filter.phases - 1) * self.channels();
        target.frames.contains(&first) && target.frames.contains(&last) && in_one_piece
    }

    /// A tile whose lanes are outputs of several phases: the frames of a quotient, one after another.
    #[expect(clippy::too_many_arguments, reason = "a tile and its place, by name")]
    fn phases_tile<L: Line>(
        &self,
        filter: &Filter,
        tile: Tile<'_, L>,
        q: i64,
        rows: usize,
        panel: usize,
        count: usize,
        target: &mut Target<'_>,
    ) {
        let channels = self.channels();
        let width = count * LANES;
        let outputs = panel * LANES..((panel + count) * LANES).min(filter.phases * channels);
        let mut sums = [0.0; MOST_SUMS];
        // The values of a quotient that are asked for: where in the ring, and where among the outputs.
        let pieces = |t: usize| {
            let (frames, ring, outputs) = (target.frames.clone(), target.ring, outputs.clone());
            let first = self.frame(filter, q + t as i64);
            let asked = (frames.start - first).clamp(0, filter.phases as i64)
                ..(frames.end - first).clamp(0, filter.phases as i64);
            ring.stretches(first + asked.start..first + asked.end).filter_map(move |piece| {
                let values = |frame: i64| (frame - first) as usize * channels;
                let (from, to) = (values(piece.start).max(outputs.start), values(piece.end).min(outputs.end));
                let at = ring.at(piece.start) + from.saturating_sub(values(piece.start));
                (from < to).then(|| (at..at + to - from, t * width + from - outputs.start))
            })
        };
        for t in 0..rows {
            for (values, at) in pieces(t) {
                sums[at..at + values.len()].copy_from_slice(&target.own[values]);
            }
        }
        run(self.isa, rows, count, Tile { sums: &mut sums, starts: from_fn(|t| t * width), ..tile });
        for t in 0..rows {
            for (values, at) in pieces(t) {
                let length = values.len();
                target.own[values].copy_from_slice(&sums[at..at + length]);
            }
        }
    }
}

/// Sums of the largest tile.
const MOST_SUMS: usize = 16 * LANES;

/// Panels to go through side by side for so many frames.
fn panels_together(isa: Isa, frames: usize) -> usize {
    match (isa.accumulators(), frames) {
        (16.., 8..) => 2,
        (16.., 3..) => 4,
        (16.., _) => 8,
        (6.., 3..) => 1,
        (6.., 2) => 2,
        (6.., _) => 4,
        (_, 2..) => 1,
        _ => 2,
    }
}

/// Frames of the next tile of so many panels.
fn frames_together(isa: Isa, panels: usize, left: usize) -> usize {
    let most = (isa.accumulators() / panels).min(MOST_FRAMES);
    match left.min(most) {
        // Two tiles of about a size are better than a large and a small one.
        _ if left == 8 && most == 6 => 4,
        5 => 3,
        6 if most == 8 => 3,
        7 => 4,
        frames => frames,
    }
}

fn largest_power_of_two(n: usize) -> usize {
    1 << n.ilog2()
}

#[inline(always)]
fn run<L: Line>(isa: Isa, frames: usize, panels: usize, tile: Tile<'_, L>) {
    match (frames, panels) {
        (8, 2) => isa.run(Sized::<_, 8, 2>(tile)),
        (8, 1) => isa.run(Sized::<_, 8, 1>(tile)),
        (6, 1) => isa.run(Sized::<_, 6, 1>(tile)),
        (3, 4) => isa.run(Sized::<_, 3, 4>(tile)),
        (3, 2) => isa.run(Sized::<_, 3, 2>(tile)),
        (3, 1) => isa.run(Sized::<_, 3, 1>(tile)),
        (4, 4) => isa.run(Sized::<_, 4, 4>(tile)),
        (4, 2) => isa.run(Sized::<_, 4, 2>(tile)),
        (4, 1) => isa.run(Sized::<_, 4, 1>(tile)),
        (2, 8) => isa.run(Sized::<_, 2, 8>(tile)),
        (2, 4) => isa.run(Sized::<_, 2, 4>(tile)),
        (2, 2) => isa.run(Sized::<_, 2, 2>(tile)),
        (2, 1) => isa.run(Sized::<_, 2, 1>(tile)),
        (1, 8) => isa.run(Sized::<_, 1, 8>(tile)),
        (1, 4) => isa.run(Sized::<_, 1, 4>(tile)),
        (1, 2) => isa.run(Sized::<_, 1, 2>(tile)),
        (1, 1) => isa.run(Sized::<_, 1, 1>(tile)),
        _ => unreachable!("no tile of {frames} frames by {panels} panels"),
    }
}

struct Tile<'a, L> {
    input: Source<'a>,
    /// Input frame that the first frame's segments count from.
    from: i64,
    /// Values from one frame's inputs to the next frame's.
    step: usize,
    /// First input of the group.
    column: usize,
    segments: &'a [Segment],
    /// Panel after panel.
    lines: &'a [L],
    /// What blocks are added to.
    sums: &'a mut [f32],
    /// Where each frame's sums start.
    starts: [usize; MOST_FRAMES],
    /// What sums begin with, and where for each frame; otherwise with what is there.
    begins: Option<(&'a [f32], [usize; MOST_FRAMES])>,
    /// Lanes of the last panel that exist.
    last_lanes: usize,
}

impl<L> Tile<'_, L> {
    /// Where the values of a frame and a panel lie, among those of frames that start so.
    #[inline(always)]
    fn place(&self, starts: &[usize; MOST_FRAMES], frame: usize, panel: usize, panels: usize) -> Range<usize> {
        let at = starts[frame] + panel * LANES;
        at..at + if panel + 1 == panels { self.last_lanes } else { LANES }
    }
}

struct Sized<'a, L, const T: usize, const P: usize>(Tile<'a, L>);

impl<L: Line, const T: usize, const P: usize> Work for Sized<'_, L, T, P> {
    type Output = ();

    #[inline(always)]
    fn on<S: Simd>(self, s: S) {
        let tile = self.0;
        let panel_lines = tile.lines.len() / P;
        let ring: Ring = tile.input.ring;
        // Loops rather than closures: a closure that is not inlined is not compiled for the set.
        let mut sums = [[s.splat(0.0); P]; T];
        for t in 0..T {
            for p in 0..P {
                sums[t][p] = match &tile.begins {
                    Some((values, starts)) => s.load_part(&values[tile.place(starts, t, p, P)]),
                    None => s.load_part(&tile.sums[tile.place(&tile.starts, t, p, P)]),
                };
            }
        }
        let mut block = [[s.splat(0.0); P]; T];
        let mut line = 0;
        // Segments go from old frames to new ones.
        let held = ring.frames() as usize * ring.channels;
        let mut frame = tile.segments.first().map_or(0, |segment| segment.frame);
        let mut row = ring.at(tile.from + frame);
        for segment in tile.segments {
            row += (segment.frame - frame) as usize * ring.channels;
            while row >= held {
                row -= held;
            }
            frame = segment.frame;
            let at = row + tile.column + segment.column;
            let x = &tile.input.own[at..][..(T - 1) * tile.step + segment.length];
            let mut lines: [&[L]; P] = [&[]; P];
            for p in 0..P {
                lines[p] = &tile.lines[p * panel_lines + line..][..segment.length];
            }
            for i in 0..segment.length {
                let mut weights = [s.splat(0.0); P];
                for p in 0..P {
                    // SAFETY: every slice of lines has `length` lines, and `i < length`.
                    weights[p] = unsafe { lines[p].get_unchecked(i) }.load(s);
                }
                for t in 0..T {
                    // SAFETY: `x` has `(T − 1) · step + length` values, `t < T` and `i < length`.
                    let value = s.splat(unsafe { *x.get_unchecked(t * tile.step + i) });
                    for p in 0..P {
                        block[t][p] = s.mul_add(value, weights[p], block[t][p]);
                    }
                }
            }
            line += segment.length;
            if segment.closes {
                for t in 0..T {
                    for p in 0..P {
                        sums[t][p] = s.add(sums[t][p], block[t][p]);
                    }
                }
                block = [[s.splat(0.0); P]; T];
            }
        }
        for t in 0..T {
            for p in 0..P {
                let place = tile.place(&tile.starts, t, p, P);
                s.store_part(sums[t][p], &mut tile.sums[place]);
            }
        }
    }
}
