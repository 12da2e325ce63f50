//! The innermost loop: tiles of `T` frames by `P` panels, as many as registers hold.
#![allow(unsafe_code, reason = "the innermost loop, free of bounds checks")]

use super::pack::Line;
use super::segment::Segment;
use crate::kernels::math;
use crate::kernels::vector::{LANES, Simd, Work};
use crate::plan::Walk;

/// Frames of the largest tile.
pub(super) const MOST_FRAMES: usize = 8;

/// Frames at an even distance, some panels of each.
pub(super) struct Strip<'a, L> {
    pub(super) input: &'a [f32],
    /// Values of a row of inputs.
    pub(super) row: usize,
    /// The row of the first segment, for each frame.
    pub(super) rows: Walk,
    /// First input of the group.
    pub(super) column: usize,
    pub(super) frames: usize,
    pub(super) segments: &'a [Segment],
    /// Panel after panel.
    pub(super) lines: &'a [L],
    pub(super) own: &'a mut [f32],
    /// Where each frame's outputs are.
    pub(super) places: Walk,
    /// The first of them.
    pub(super) output: usize,
    /// Lanes of the last panel that exist.
    pub(super) last_lanes: usize,
    pub(super) begin: Begin<'a>,
    pub(super) finish: Finish<'a>,
}

/// What blocks are added to.
#[derive(Clone, Copy)]
pub(super) enum Begin<'a> {
    /// What is there.
    There,
    /// A value for each output of the strip.
    Bias(&'a [f32]),
    /// The same outputs of frames that lie elsewhere.
    Sums(&'a [f32], Walk),
}

/// What is made of sums while they are in registers, in this order.
#[derive(Clone, Copy, Default)]
pub(super) struct Finish<'a> {
    /// A leaky ReLU of this slope.
    pub(super) slope: Option<f32>,
    /// The same outputs of frames that lie elsewhere are added.
    pub(super) addend: Option<(&'a [f32], Walk)>,
    /// Their one channel is multiplied by these for each output of the strip.
    pub(super) column: Option<&'a [f32]>,
    /// A leaky ReLU of this slope.
    pub(super) then: Option<f32>,
}

/// A strip of `P` panels, tile by tile.
pub(super) struct Tiles<'a, L, const P: usize>(pub(super) Strip<'a, L>);

impl<L: Line, const P: usize> Work for Tiles<'_, L, P> {
    type Output = ();

    #[inline(always)]
    fn on<S: Simd>(self, s: S) {
        let mut strip = self.0;
        while strip.frames > 0 {
            let frames = frames_together::<S, P>(strip.frames);
            // Which arms there are is known when this is compiled for the set and the number of panels.
            match frames {
                8 if 8 * P <= S::ACCUMULATORS => strip.tile::<S, 8, P>(s),
                6 if 6 * P <= S::ACCUMULATORS => strip.tile::<S, 6, P>(s),
                4 if 4 * P <= S::ACCUMULATORS => strip.tile::<S, 4, P>(s),
                3 if 3 * P <= S::ACCUMULATORS => strip.tile::<S, 3, P>(s),
                2 if 2 * P <= S::ACCUMULATORS => strip.tile::<S, 2, P>(s),
                _ => strip.tile::<S, 1, P>(s),
            }
        }
    }
}

/// Frames of the next tile of `P` panels.
#[inline(always)]
fn frames_together<S: Simd, const P: usize>(left: usize) -> usize {
    let most = (S::ACCUMULATORS / P).clamp(1, MOST_FRAMES);
    match left.min(most) {
        // Two tiles of about a size are better than a large and a small one.
        _ if left == 8 && most == 6 => 4,
        5 => 3,
        6 if most == 8 => 3,
        7 => 4,
        frames => frames,
    }
}

impl<L: Line> Strip<'_, L> {
    /// The next `T` frames.
    #[inline(always)]
    fn tile<S: Simd, const T: usize, const P: usize>(&mut self, s: S) {
        let (last_lanes, output) = (self.last_lanes, self.output);
        let places = Places::<T>::next(&mut self.places, output);
        // Loops rather than closures over vectors: a closure that is not inlined is not compiled for the set.
        let mut sums = [[s.splat(0.0); P]; T];
        match &mut self.begin {
            Begin::There => load(s, &mut sums, self.own, places, last_lanes),
            Begin::Bias(bias) => {
                let mut row = [[s.splat(0.0); P]; 1];
                load(s, &mut row, bias, Places::FIRST, last_lanes);
                sums = [row[0]; T];
            }
            Begin::Sums(values, walk) => load(s, &mut sums, values, Places::next(walk, output), last_lanes),
        }
        self.add_blocks(s, &mut sums);
        if let Some(slope) = self.finish.slope {
            for sum in sums.as_flattened_mut() {
                *sum = math::leaky_relu(s, *sum, slope);
            }
        }
        if let Some((values, walk)) = &mut self.finish.addend {
            let mut addends = [[s.splat(0.0); P]; T];
            if let Some(column) = self.finish.column {
                let mut weights = [[s.splat(0.0); P]; 1];
                load(s, &mut weights, column, Places::FIRST, last_lanes);
                let rows = Places::<T>::next(walk, 0);
                let values = &values[..=rows.farthest()];
                for t in 0..T {
                    // SAFETY: `values` ends behind the farthest row's first value.
                    let x = s.splat(unsafe { *values.get_unchecked(rows.at(t)) });
                    for p in 0..P {
                        addends[t][p] = s.mul_add(x, weights[0][p], s.splat(0.0));
                    }
                }
            } else {
                load(s, &mut addends, values, Places::next(walk, output), last_lanes);
            }
            for (sum, addend) in sums.as_flattened_mut().iter_mut().zip(addends.as_flattened()) {
                *sum = s.add(*sum, *addend);
            }
        }
        if let Some(slope) = self.finish.then {
            for sum in sums.as_flattened_mut() {
                *sum = math::leaky_relu(s, *sum, slope);
            }
        }
        store(s, &sums, self.own, places, last_lanes);
        self.rows.skip(T);
        self.frames -= T;
    }

    /// Adds the products, block by block.
    #[inline(always)]
    fn add_blocks<S: Simd, const T: usize, const P: usize>(&self, s: S, sums: &mut [[S::F; P]; T]) {
        let panel_lines = self.lines.len() / P;
        let step = self.rows.step();
        let mut block = [[s.splat(0.0); P]; T];
        let mut line = 0;
        // Segments go from old frames to new ones.
        let mut rows = self.rows;
        let mut frame = self.segments.first().map_or(0, |segment| segment.frame);
        for segment in self.segments {
            rows.skip_values((segment.frame - frame) as usize * self.row);
            frame = segment.frame;
            let at = rows.at() + self.column + segment.column;
            let x = &self.input[at..][..(T - 1) * step + segment.length];
            let mut lines: [&[L]; P] = [&[]; P];
            for p in 0..P {
                lines[p] = &self.lines[p * panel_lines + line..][..segment.length];
            }
            for i in 0..segment.length {
                let mut weights = [s.splat(0.0); P];
                for p in 0..P {
                    // SAFETY: every slice of lines has `length` lines, and `i < length`.
                    weights[p] = unsafe { lines[p].get_unchecked(i) }.load(s);
                }
                for t in 0..T {
                    // SAFETY: `x` has `(T − 1) · step + length` values, `t < T` and `i < length`.
                    let value = s.splat(unsafe { *x.get_unchecked(t * step + i) });
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
    }
}

/// Where the outputs of `T` frames are.
#[derive(Clone, Copy)]
enum Places<const T: usize> {
    /// At an even distance.
    Straight { first: usize, step: usize },
    /// The later ones at the ring's other end.
    Around([usize; T]),
}

impl Places<1> {
    const FIRST: Self = Self::Straight { first: 0, step: 0 };
}

impl<const T: usize> Places<T> {
    /// The next places of a walk, `column` values on from each.
    #[inline(always)]
    fn next(walk: &mut Walk, column: usize) -> Self {
        if walk.is_straight(T) {
            let first = walk.at() + column;
            walk.skip(T);
            Self::Straight { first, step: walk.step() }
        } else {
            Self::Around(walk.next(column))
        }
    }

    /// The greatest.
    #[inline(always)]
    fn farthest(self) -> usize {
        match self {
            Self::Straight { first, step } => first + (T - 1) * step,
            Self::Around(places) => places.into_iter().fold(0, usize::max),
        }
    }

    #[inline(always)]
    fn at(self, t: usize) -> usize {
        match self {
            Self::Straight { first, step } => first + t * step,
            Self::Around(places) => places[t],
        }
    }
}

/// Loads a tile whose rows start at `places`.
#[inline(always)]
fn load<S: Simd, const T: usize, const P: usize>(
    s: S,
    tile: &mut [[S::F; P]; T],
    values: &[f32],
    places: Places<T>,
    last_lanes: usize,
) {
    let values = &values[..places.farthest() + (P - 1) * LANES + last_lanes];
    for t in 0..T {
        for p in 0..P {
            let lanes = if p + 1 == P { last_lanes } else { LANES };
            let at = places.at(t) + p * LANES;
            // SAFETY: `values` ends where the farthest place's panels do.
            tile[t][p] = s.load_part(unsafe { values.get_unchecked(at..at + lanes) });
        }
    }
}

/// Stores a tile, as [`load`].
#[inline(always)]
fn store<S: Simd, const T: usize, const P: usize>(
    s: S,
    tile: &[[S::F; P]; T],
    values: &mut [f32],
    places: Places<T>,
    last_lanes: usize,
) {
    let values = &mut values[..places.farthest() + (P - 1) * LANES + last_lanes];
    for t in 0..T {
        for p in 0..P {
            let lanes = if p + 1 == P { last_lanes } else { LANES };
            let at = places.at(t) + p * LANES;
            // SAFETY: `values` ends where the farthest place's panels do.
            s.store_part(tile[t][p], unsafe { values.get_unchecked_mut(at..at + lanes) });
        }
    }
}
