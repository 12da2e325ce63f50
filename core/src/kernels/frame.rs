//! Everything that moves values more than it computes: one frame from the frames it reads.

use std::array::from_fn;
use std::f32::consts::TAU;
use std::ops::Range;

use super::isa::Isa;
use super::vector::{EIGHT, LANES, Simd, Work};
use super::{Source, angles, math};
use crate::engine::LatentEdit;
use crate::plan::Ring;
use crate::random::{Draws, Randomness};
use crate::stream::StreamOp;
use crate::tensor::Tensor;

/// Values of scratch that one frame of `op` needs.
pub(super) fn scratch_len(op: &StreamOp) -> usize {
    match op {
        StreamOp::Quantize { codebooks } => codebooks.shape()[2],
        _ => 0,
    }
}

/// Computes `frames` of `op` into the ring slice `own`.
pub(super) fn run(
    op: &StreamOp,
    x: Source<'_>,
    ring: Ring,
    own: &mut [f32],
    frames: Range<i64>,
    scratch: &mut [f32],
    mut edit: Option<&mut LatentEdit>,
) {
    let mut places = ring.walk(frames.start, 1);
    let mut rows = x.ring.walk(frames.start, 1);
    for n in frames {
        let [at] = places.next(0);
        let y = &mut own[at..at + ring.channels];
        let [at] = rows.next(0);
        let row = &x.own[at..at + x.ring.channels];
        match op {
            StreamOp::Input { .. }
            | StreamOp::Conv(_)
            | StreamOp::ChannelAffine { .. }
            | StreamOp::Pointwise(_)
            | StreamOp::Snake { .. }
            | StreamOp::Add
            | StreamOp::Mul
            | StreamOp::Max
            | StreamOp::PowerSpectrum { .. }
            | StreamOp::Gru(_)
            | StreamOp::NoiseSynth(_)
            | StreamOp::AdaIn { .. }
            | StreamOp::Lstm(_)
            | StreamOp::Rnn(_)
            | StreamOp::PRelu { .. }
            | StreamOp::AlternateSign
            | StreamOp::Gaussian { .. }
            | StreamOp::Concat
            | StreamOp::Slice { .. }
            | StreamOp::LayerNorm(_)
            | StreamOp::Softmax { .. }
            | StreamOp::DepthToTime { .. }
            | StreamOp::Repeat { .. }
            | StreamOp::Parameter(_) => unreachable!("has a kernel of its own"),
            StreamOp::UnitNorm => {
                let norm = row.iter().map(|v| v * v).sum::<f32>().sqrt();
                let gain = if norm > 0.0 { 1.0 / norm } else { 0.0 };
                y.iter_mut().zip(row).for_each(|(y, x)| *y = gain * x);
            }
            StreamOp::ToAngles => angles::to_angles(row, y),
            StreamOp::FromAngles => angles::from_angles(row, y),
            StreamOp::Quantize { codebooks } => quantize(codebooks, row, y, scratch),
            StreamOp::Dequantize { codebooks } => dequantize(codebooks, row, y),
            StreamOp::LatentEdit => match &mut edit {
                Some(edit) => edit.apply(n, row, y),
                None => y.copy_from_slice(row),
            },
        }
    }
}

/// Calls `make` with rows of `x`, which has as many channels as the ring, and the place of what becomes of them, stretch
/// by stretch.
pub(super) fn rows(
    x: Source<'_>,
    ring: Ring,
    own: &mut [f32],
    frames: Range<i64>,
    mut make: impl FnMut(&[f32], &mut [f32]),
) {
    for piece in ring.stretches(frames).flat_map(|piece| x.ring.stretches(piece)) {
        let length = (piece.end - piece.start) as usize * ring.channels;
        make(&x.own[x.ring.at(piece.start)..][..length], &mut own[ring.at(piece.start)..][..length]);
    }
}

/// Draws `frames` from N(0, 1), times `gain`, into the ring slice `own`.
pub(super) fn gaussian(
    isa: Isa,
    key: u32,
    randomness: Randomness,
    gain: f32,
    ring: Ring,
    own: &mut [f32],
    frames: Range<i64>,
) {
    for n in frames {
        let row = ring.row_mut(own, n);
        match randomness.draws(key, n) {
            Some(draws) => isa.run(Normal { draws, gain, row }),
            None => row.fill(0.0),
        }
    }
}

/// A row of normal draws.
struct Normal<'a> {
    draws: Draws,
    gain: f32,
    row: &'a mut [f32],
}

impl Work for Normal<'_> {
    type Output = ();

    #[inline(always)]
    fn on<S: Simd>(self, s: S) {
        for (line, y) in self.row.chunks_mut(LANES).enumerate() {
            let mut polar = [[0.0; LANES]; 2];
            for lane in 0..y.len() {
                let (u, v) = self.draws.polar(line * LANES + lane);
                (polar[0][lane], polar[1][lane]) = (u, TAU * v);
            }
            // Lanes beyond the row stay what nobody stores.
            let mut radius = [0.0; LANES];
            s.store(s.mul(s.splat(-2.0), math::log(s, s.load(&polar[0]))), &mut radius);
            radius.iter_mut().for_each(|square: &mut f32| *square = square.sqrt());
            let normal = s.mul(s.load(&radius), math::cos(s, s.load(&polar[1])));
            s.store_part(s.mul(s.splat(self.gain), normal), y);
        }
    }
}

/// Puts `frames` of `x`, odd channels of even frames negated, into the ring slice `own`.
pub(super) fn alternate_sign(isa: Isa, x: Source<'_>, ring: Ring, own: &mut [f32], frames: Range<i64>) {
    for piece in ring.stretches(frames).flat_map(|piece| x.ring.stretches(piece)) {
        let length = (piece.end - piece.start) as usize * ring.channels;
        isa.run(Alternated {
            channels: ring.channels,
            negates: piece.start % 2 == 0,
            x: &x.own[x.ring.at(piece.start)..][..length],
            y: &mut own[ring.at(piece.start)..][..length],
        });
    }
}

/// Rows of which every second one has its odd channels negated.
struct Alternated<'a> {
    channels: usize,
    /// Whether the first row has.
    negates: bool,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Work for Alternated<'_> {
    type Output = ();

    #[inline(always)]
    fn on<S: Simd>(self, s: S) {
        let odd = s.bits(s.load(&from_fn(|lane| if lane % 2 == 1 { -0.0 } else { 0.0 })));
        let mut signs = if self.negates { [odd, s.int(0)] } else { [s.int(0), odd] };
        for (y, x) in self.y.chunks_mut(self.channels).zip(self.x.chunks(self.channels)) {
            // Lines begin at even channels.
            for (y, x) in y.chunks_mut(LANES).zip(x.chunks(LANES)) {
                s.store_part(s.floats(s.xor(s.bits(s.load_part(x)), signs[0])), y);
            }
            signs.swap(0, 1);
        }
    }
}

/// Copies `frames` of `x`; one channel goes to all.
pub(super) fn copy(x: Source<'_>, ring: Ring, own: &mut [f32], frames: Range<i64>) {
    for piece in ring.stretches(frames) {
        for piece in x.ring.stretches(piece) {
            let rows = (piece.end - piece.start) as usize;
            let x = &x.own[x.ring.at(piece.start)..][..rows * x.ring.channels];
            let y = &mut own[ring.at(piece.start)..][..rows * ring.channels];
            if x.len() == y.len() {
                y.copy_from_slice(x);
            } else {
                x.iter().zip(y.chunks_exact_mut(ring.channels)).for_each(|(one, y)| y.fill(*one));
            }
        }
    }
}

/// Frame `q · factor + p` is every `factor`-th value, from `p` on, of frame `q` of `x`.
pub(super) fn depth_to_time(isa: Isa, factor: usize, x: Source<'_>, ring: Ring, own: &mut [f32], frames: Range<i64>) {
    for piece in ring.stretches(frames) {
        let mut n = piece.start;
        while n < piece.end {
            let (q, phase) = (n.div_euclid(factor as i64), n.rem_euclid(factor as i64) as usize);
            let wanted = (piece.end - n) as usize;
            // Whole rows of `x` that lie one after another, or what is asked of one.
            let whole = if phase == 0 { x.ring.stretches(q..q + (wanted / factor) as i64).next() } else { None };
            let phases = if whole.is_some() { 0..factor } else { phase..factor.min(phase + wanted) };
            let rows = whole.map_or(1, |rows| (rows.end - rows.start) as usize);
            let values = rows * phases.len() * ring.channels;
            isa.run(Turned {
                factor,
                x: &x.own[x.ring.at(q)..][..rows * x.ring.channels],
                y: &mut own[ring.at(n)..][..values],
                phases: phases.clone(),
                channels: ring.channels,
            });
            n += (rows * phases.len()) as i64;
        }
    }
}

/// Rows of `[channel][phase]`, of which the `phases` become `[phase][channel]`.
struct Turned<'a> {
    factor: usize,
    channels: usize,
    x: &'a [f32],
    y: &'a mut [f32],
    phases: Range<usize>,
}

impl Work for Turned<'_> {
    type Output = ();

    #[inline(always)]
    fn on<S: Simd>(self, s: S) {
        let Self { factor, channels, x, y, phases } = self;
        let row = factor * channels;
        if channels == 1 {
            y.copy_from_slice(&x[phases.start..][..y.len()]);
        } else if S::PICKS && row <= LANES && phases.len() == factor {
            let together = LANES / row;
            let lane = |lane: usize| lane / row * row + lane % channels * factor + lane % row / channels;
            let lanes: [u32; LANES] = from_fn(|l| if l < together * row { lane(l) as u32 } else { 0 });
            for (y, x) in y.chunks_mut(together * row).zip(x.chunks(together * row)) {
                s.store_part(s.pick(s.load_part(x), &lanes), y);
            }
        } else {
            for (x, y) in x.chunks_exact(row).zip(y.chunks_exact_mut(phases.len() * channels)) {
                for (phase, y) in phases.clone().zip(y.chunks_exact_mut(channels)) {
                    y.iter_mut().zip(x[phase..].iter().step_by(factor)).for_each(|(y, x)| *y = *x);
                }
            }
        }
    }
}

/// Copies the `columns` of `x` to those of the ring slice `own` from `to` on.
pub(super) fn copy_columns(
    isa: Isa,
    x: Source<'_>,
    columns: Range<usize>,
    ring: Ring,
    own: &mut [f32],
    to: usize,
    frames: Range<i64>,
) {
    if ring.is_in_planes() || x.ring.is_in_planes() {
        for (column, to) in columns.zip(to..) {
            let (ring, start) = ring.plane(to);
            copy(x.plane(column), ring, &mut own[start..], frames.clone());
        }
        return;
    }
    for piece in ring.stretches(frames) {
        for piece in x.ring.stretches(piece) {
            isa.run(Columns {
                rows: (piece.end - piece.start) as usize,
                width: columns.len(),
                x: &x.own[x.ring.at(piece.start) + columns.start..],
                x_row: x.ring.channels,
                y: &mut own[ring.at(piece.start) + to..],
                y_row: ring.channels,
            });
        }
    }
}

struct Columns<'a> {
    rows: usize,
    width: usize,
    x: &'a [f32],
    /// Values from one row to the next.
    x_row: usize,
    y: &'a mut [f32],
    y_row: usize,
}

impl Work for Columns<'_> {
    type Output = ();

    #[inline(always)]
    fn on<S: Simd>(mut self, s: S) {
        for row in self.side_by_side(s)..self.rows {
            let x = &self.x[row * self.x_row..][..self.width];
            let y = &mut self.y[row * self.y_row..][..self.width];
            for (y, x) in y.chunks_mut(LANES).zip(x.chunks(LANES)) {
                s.store_part(s.load_part(x), y);
            }
        }
    }
}

impl Columns<'_> {
    /// Copies narrow rows that share a vector, from the first on; gives their number.
    #[inline(always)]
    fn side_by_side<S: Simd>(&mut self, s: S) -> usize {
        let (width, x_row, y_row) = (self.width, self.x_row, self.y_row);
        if y_row > EIGHT {
            return 0;
        }
        let are_halves = width == EIGHT;
        let together = if are_halves { 2 } else { ((LANES - width) / x_row + 1).min(LANES / y_row) };
        if together == 1 || !are_halves && !S::PICKS {
            return 0;
        }
        let rows = self.rows / together * together;
        let [read, written] = [x_row, y_row].map(|row| (together - 1) * row + width);
        let is_copied = |lane: usize| lane < written && lane % y_row < width;
        let lanes: [u32; LANES] =
            from_fn(|lane| if is_copied(lane) { (lane / y_row * x_row + lane % y_row) as u32 } else { 0 });
        let copied: [f32; LANES] = from_fn(|lane| if is_copied(lane) { 1.0 } else { 0.0 });
        let copied = s.lt(s.splat(0.0), s.load(&copied));
        for i in (0..rows).step_by(together) {
            let x = &self.x[i * x_row..][..read];
            let y = &mut self.y[i * y_row..][..written];
            let row = match (x.first_chunk(), x.last_chunk()) {
                (Some(first), Some(second)) if are_halves => s.join(s.load_eight(first), s.load_eight(second)),
                _ => s.pick(s.load_part(x), &lanes),
            };
            let row = if width == y_row { row } else { s.select(copied, row, s.load_part(y)) };
            s.store_part(row, y);
        }
        rows
    }
}

/// The sum of all inputs, which have as many channels as the ring and lie as it does: each value is read and written once.
pub(super) fn sum<'a>(
    isa: Isa,
    inputs: usize,
    source: impl Fn(usize) -> Source<'a>,
    ring: Ring,
    own: &mut [f32],
    frames: Range<i64>,
) {
    let planes = ring.planes();
    let row = ring.row_len();
    for first in (0..inputs).step_by(TERMS) {
        let terms = first..inputs.min(first + TERMS);
        let mut n = frames.start;
        while n < frames.end {
            let mut end = ring.end_of_stretch(n, frames.end);
            let mut x: [&[f32]; TERMS] = [&[]; TERMS];
            let mut plane_len = [0; TERMS];
            for (term, slot) in terms.clone().enumerate() {
                let source = source(slot);
                end = source.ring.end_of_stretch(n, end);
                x[term] = &source.own[source.ring.slot(n) * row..];
                plane_len[term] = source.ring.plane_len();
            }
            let length = (end - n) as usize * row;
            let y = &mut own[ring.slot(n) * row..];
            for plane in 0..planes {
                let mut of_plane: [&[f32]; TERMS] = [&[]; TERMS];
                for term in 0..terms.len() {
                    of_plane[term] = &x[term][plane * plane_len[term]..][..length];
                }
                let y = &mut y[plane * ring.plane_len()..][..length];
                isa.run(Sum { adds: first > 0, x: &of_plane[..terms.len()], y });
            }
            n = end;
        }
    }
}

/// Signals summed at once.
const TERMS: usize = 8;

struct Sum<'a> {
    /// Whether `y` holds the sum of the terms before.
    adds: bool,
    x: &'a [&'a [f32]],
    y: &'a mut [f32],
}

impl Work for Sum<'_> {
    type Output = ();

    #[inline(always)]
    fn on<S: Simd>(self, s: S) {
        let (first, rest) = if self.adds { (None, self.x) } else { (self.x.first(), &self.x[1..]) };
        for at in (0..self.y.len()).step_by(LANES) {
            let lanes = at..self.y.len().min(at + LANES);
            let mut sum = s.load_part(first.map_or(&self.y[lanes.clone()], |x| &x[lanes.clone()]));
            for x in rest {
                sum = s.add(sum, s.load_part(&x[lanes.clone()]));
            }
            s.store_part(sum, &mut self.y[lanes]);
        }
    }
}

/// The entry nearest to what the codebooks before have left of `x`, for each codebook; the first of equals.
fn quantize(codebooks: &Tensor, x: &[f32], y: &mut [f32], residual: &mut [f32]) {
    let residual = &mut residual[..x.len()];
    residual.copy_from_slice(x);
    for (book, y) in y.iter_mut().enumerate() {
        let entries = codebooks.row(book).chunks_exact(x.len());
        let distance = |entry: &[f32]| {
            let squares = entry.iter().zip(&*residual).map(|(e, r)| f64::from(e - r).powi(2));
            squares.sum::<f64>()
        };
        let mut nearest = (0, f64::INFINITY);
        for (index, entry) in entries.enumerate() {
            let distance = distance(entry);
            if distance < nearest.1 {
                nearest = (index, distance);
            }
        }
        *y = nearest.0 as f32;
        let entry = &codebooks.row(book)[nearest.0 * x.len()..][..x.len()];
        residual.iter_mut().zip(entry).for_each(|(r, e)| *r -= e);
    }
}

/// The sum of the entries that the indices name.
fn dequantize(codebooks: &Tensor, x: &[f32], y: &mut [f32]) {
    y.fill(0.0);
    let last = codebooks.shape()[1] - 1;
    for (book, index) in x.iter().enumerate() {
        // A float cast saturates, and takes NaN to 0.
        let index = (*index as usize).min(last);
        let entry = &codebooks.row(book)[index * y.len()..][..y.len()];
        y.iter_mut().zip(entry).for_each(|(y, e)| *y += e);
    }
}
