//! The sums of a tile: two ways of bringing inputs to the lanes of several frames.
#![allow(unsafe_code, reason = "the innermost loop, free of bounds checks")]

use super::{Eight, Run, Side};
use crate::kernels::vector::{CacheLine, EIGHT, LANES, Simd};

impl Run<'_> {
    /// `T` vectors of `frames` frames; a vector of inputs is several frames', and each lane picks its own.
    #[inline(always)]
    pub(super) fn picked<S: Simd, const T: usize>(
        &self,
        s: S,
        lines: &[CacheLine],
        picks: &[[u32; LANES]],
        frames: usize,
    ) -> [S::F; T] {
        let Side { bias, pieces, inputs, stride, .. } = self.side;
        let distance = self.side.frames * stride * inputs;
        let [read, held] = [self.side.frames, frames].map(|frames| ((frames - 1) * stride + 1) * inputs);
        let mut rows = self.rows;
        let mut frame = pieces.first().map_or(0, |piece| piece.frame);
        let mut sums = [s.load(&bias.0); T];
        let mut block = [s.splat(0.0); T];
        let mut products = lines.iter();
        for piece in pieces {
            rows.skip_values((piece.frame - frame) as usize * inputs);
            frame = piece.frame;
            let row = &self.input[rows.at()..][..held];
            let mut x = [s.splat(0.0); T];
            if [read, distance] == [LANES; 2] && held == T * LANES {
                for (x, row) in x.iter_mut().zip(row.as_chunks().0) {
                    *x = s.load(row);
                }
            } else {
                for t in 0..T {
                    let from = (t * distance).min(held);
                    x[t] = s.load_part(&row[from..held.min(from + read)]);
                }
            }
            for (pick, line) in picks[piece.from..piece.to].iter().zip(&mut products) {
                let weights = s.load(&line.0);
                for t in 0..T {
                    block[t] = s.mul_add(s.pick(x[t], pick), weights, block[t]);
                }
            }
            if piece.closes {
                for t in 0..T {
                    sums[t] = s.add(sums[t], block[t]);
                    block[t] = s.splat(0.0);
                }
            }
        }
        sums
    }

    /// `T` vectors of `frames` frames, all `2 · T` of them or a single one; each frame is half a vector while its
    /// products are summed.
    #[inline(always)]
    pub(super) fn in_eights<S: Simd, const T: usize>(
        &self,
        s: S,
        lines: &[Eight],
        kept: Option<&[u32; LANES]>,
        frames: usize,
    ) -> [S::F; T] {
        let Side { bias, pieces, inputs, .. } = self.side;
        // A frame that does not exist repeats the one before it.
        let second = if frames < 2 { 0 } else { *inputs };
        debug_assert!(frames == 2 * T || (T, frames) == (1, 1));
        let mut rows = self.rows;
        let mut frame = pieces.first().map_or(0, |piece| piece.frame);
        let mut sums = [s.load(&bias.0); T];
        let mut block = [[s.splat_eight(0.0); 2]; T];
        let mut lines = lines;
        for piece in pieces {
            rows.skip((piece.frame - frame) as usize);
            frame = piece.frame;
            let length = piece.to - piece.from;
            let x = &self.input[rows.at() + piece.from..][..(2 * T - 2) * inputs + second + length];
            let (own, later) = lines.split_at(length);
            lines = later;
            for (i, weights) in own.iter().enumerate() {
                let weights: S::E = s.load_eight(&weights.0);
                for t in 0..T {
                    for (half, block) in block[t].iter_mut().enumerate() {
                        let at = 2 * t * inputs + half * second + i;
                        // SAFETY: `at < (2 · T − 2) · inputs + second + length`, the length of `x`, for `t < T`,
                        // `half < 2` and `i < length`.
                        let x = s.splat_eight(unsafe { *x.get_unchecked(at) });
                        *block = s.mul_add_eight(x, weights, *block);
                    }
                }
            }
            if piece.closes {
                for t in 0..T {
                    let [first, second] = block[t];
                    let mut whole = s.join(first, second);
                    if let Some(kept) = kept {
                        whole = s.pick(whole, kept);
                    }
                    sums[t] = s.add(sums[t], whole);
                    block[t] = [s.splat_eight(0.0); 2];
                }
            }
        }
        sums
    }

    /// As [`Self::in_eights`], for `2 · T` frames of eight inputs, where each piece is a tap.
    #[inline(always)]
    pub(super) fn of_eight<S: Simd, const T: usize>(&self, s: S, lines: &[Eight]) -> [S::F; T] {
        let Side { bias, pieces, .. } = self.side;
        let mut rows = self.rows;
        let mut frame = pieces.first().map_or(0, |piece| piece.frame);
        let mut sums = [s.load(&bias.0); T];
        let mut block = [[s.splat_eight(0.0); 2]; T];
        for (piece, lines) in pieces.iter().zip(lines.as_chunks::<EIGHT>().0) {
            rows.skip((piece.frame - frame) as usize);
            frame = piece.frame;
            let x: &[[f32; LANES]; T] =
                self.input[rows.at()..].as_chunks().0.first_chunk().expect("rows for all frames");
            for i in 0..EIGHT {
                let weights = s.load_eight(&lines[i].0);
                for t in 0..T {
                    for half in 0..2 {
                        let x = s.splat_eight(x[t][EIGHT * half + i]);
                        block[t][half] = s.mul_add_eight(x, weights, block[t][half]);
                    }
                }
            }
            if piece.closes {
                for t in 0..T {
                    let [first, second] = block[t];
                    sums[t] = s.add(sums[t], s.join(first, second));
                    block[t] = [s.splat_eight(0.0); 2];
                }
            }
        }
        sums
    }
}

const _: () = assert!(LANES == 2 * EIGHT, "two halves are a vector");
