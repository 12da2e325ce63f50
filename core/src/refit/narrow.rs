//! A wide layer, solved in the strongest directions of what it reads: what is left out carries least power, and the held
//! weights keep reading it.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, Par, Side};

use super::RefitError;
use super::comb::Comb;
use super::signals::{Layer, Signal};
use crate::threads;

/// The correction of one group of a comb, through fewer inputs.
pub(super) struct Narrow {
    /// The sum of taps that corrects; zero yet.
    pub(super) comb: Comb,
    /// What it reads.
    pub(super) x: Vec<Signal>,
    /// What it shall give: what the held comb lacks.
    pub(super) y: Vec<Signal>,
    /// `[inputs of the comb, directions]`.
    directions: Mat<f64>,
}

/// Frames of a piece that directions are found from, at most.
const MOST_FRAMES: usize = 4096;

impl Narrow {
    /// For `group` of `held`, which shall give `y` over `x`, through `count` directions.
    pub(super) fn new(
        name: &str,
        held: &Comb,
        group: usize,
        (x, y): (&[Signal], &[Signal]),
        count: usize,
    ) -> Result<Self, RefitError> {
        let own = held.of_group(group);
        let inputs = group * held.inputs..(group + 1) * held.inputs;
        let outputs = group * held.outputs..(group + 1) * held.outputs;
        let unsolvable = || RefitError::Unsolvable { node: name.into() };
        let directions = directions(x, inputs.clone(), count).ok_or_else(unsolvable)?;
        let layers = own.ops().iter().map(|op| Layer::new(op, own.inputs)).collect::<Result<Vec<_>, _>>()?;
        let pieces: Vec<usize> = (0..x.len()).collect();
        let of_piece = |piece: usize| {
            let read = Signal { channels: x[piece].channels[inputs.clone()].to_vec() };
            let mut lacking = Signal { channels: y[piece].channels[outputs.clone()].to_vec() };
            for layer in &layers {
                let made = layer.run(&[&read], lacking.frames());
                for (lacking, made) in lacking.channels.iter_mut().zip(&made.channels) {
                    lacking.iter_mut().zip(made).for_each(|(lacking, made)| *lacking -= made);
                }
            }
            (seen(&read, &directions), lacking)
        };
        let (x, y) = threads::map(&pieces, || (), |(), &piece| of_piece(piece)).into_iter().unzip();
        let weights = vec![vec![0.0; own.offsets.len() * count * own.width()]];
        let bias = own.bias.as_ref().map(|bias| vec![0.0; bias.len()]);
        Ok(Self { comb: Comb { inputs: count, weights, bias, ..own }, x, y, directions })
    }

    /// Gives `group` of `held` what was found.
    pub(super) fn add_to(&self, held: &mut Comb, group: usize) {
        let (count, width) = (self.comb.inputs, held.width());
        for (row, own) in held.weights[group].chunks_exact_mut(width).enumerate() {
            let (tap, input) = (row / held.inputs, row % held.inputs);
            for direction in 0..count {
                let share = self.directions[(input, direction)];
                let found = &self.comb.weights[0][(tap * count + direction) * width..][..width];
                own.iter_mut().zip(found).for_each(|(weight, found)| *weight += share * found);
            }
        }
        if let (Some(bias), Some(found)) = (&mut held.bias, &self.comb.bias) {
            let own = &mut bias[group * held.outputs..][..held.outputs];
            own.iter_mut().zip(found).for_each(|(bias, found)| *bias += found);
        }
    }
}

/// The `count` directions of most power in `channels` of `x`, each of length 1; `None` where they are no numbers.
fn directions(x: &[Signal], channels: std::ops::Range<usize>, count: usize) -> Option<Mat<f64>> {
    let width = channels.len();
    let power = |piece: &Signal| {
        let step = piece.frames().div_ceil(MOST_FRAMES).max(1);
        let rows = piece.frames() / step;
        let read = Mat::from_fn(rows, width, |n, c| f64::from(piece.channels[channels.start + c][n * step]));
        let mut power = Mat::zeros(width, width);
        matmul(&mut power, Accum::Replace, read.transpose(), &read, 1.0, Par::Seq);
        power
    };
    let mut whole = Mat::<f64>::zeros(width, width);
    threads::map(x, || (), |(), piece| power(piece)).iter().for_each(|power| whole += power);
    if !whole.col_iter().all(|column| column.iter().all(|v| v.is_finite())) {
        return None;
    }
    let eigen = whole.self_adjoint_eigen(Side::Lower).ok()?;
    // Eigenvalues rise.
    Some(Mat::from_fn(width, count, |input, direction| eigen.U()[(input, width - 1 - direction)]))
}

/// What the directions see of `x`.
fn seen(x: &Signal, directions: &Mat<f64>) -> Signal {
    let read = Mat::from_fn(x.frames(), x.channels.len(), |n, c| x.channels[c][n]);
    let directions = Mat::from_fn(directions.nrows(), directions.ncols(), |i, j| directions[(i, j)] as f32);
    let mut seen = Mat::<f32>::zeros(x.frames(), directions.ncols());
    matmul(&mut seen, Accum::Replace, &read, &directions, 1.0, Par::Seq);
    Signal { channels: (0..seen.ncols()).map(|c| seen.col_as_slice(c).to_vec()).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Randomness;

    #[test]
    fn in_all_its_directions_nothing_is_lost() {
        let drawn = |key: u32, n: usize| Randomness::Seeded(4).uniform(key, n as i64, 0);
        let held = Comb {
            stride: 2,
            phases: 1,
            trim: 0,
            offsets: vec![-2, 0],
            spacing: 2,
            groups: 2,
            inputs: 3,
            outputs: 1,
            weights: (0..2).map(|g| (0..6).map(|i| f64::from(drawn(9, g * 6 + i))).collect()).collect(),
            bias: Some(vec![0.5, -0.25]),
        };
        // The second group lies in two directions; its third channel is a mixture.
        let mut channels: Vec<Vec<f32>> = (0..5).map(|c| (0..600).map(|n| drawn(c, n)).collect()).collect();
        channels.push((0..600).map(|n| 0.6 * channels[3][n] - 0.8 * channels[4][n]).collect());
        let x = Signal { channels };
        let y = Signal { channels: vec![vec![0.0; 300]; 2] };
        let mut narrow = Narrow::new("layer", &held, 1, (std::slice::from_ref(&x), &[y]), 2).expect("directions");
        let lacks = |n: usize| -> f64 {
            let at =
                |tap: usize, i: usize| held.weights[1][tap * 3 + i] * f64::from(x.channels[3 + i][2 * n + 2 * tap - 2]);
            0.25 - (0..2).flat_map(|tap| (0..3).map(move |i| (tap, i))).map(|(tap, i)| at(tap, i)).sum::<f64>()
        };
        for n in [1, 7, 299] {
            assert!((f64::from(narrow.y[0].channels[0][n]) - lacks(n)).abs() < 1e-5, "row {n}");
            // Two directions hold all of the power.
            let power = |channels: &[Vec<f32>]| channels.iter().map(|c| f64::from(c[n]).powi(2)).sum::<f64>();
            assert!((power(&narrow.x[0].channels) - power(&x.channels[3..])).abs() < 1e-5, "row {n}");
        }
        // Weights on directions are weights on channels.
        narrow.comb.weights[0] = vec![0.5, -1.0, 2.0, 0.25];
        narrow.comb.bias = Some(vec![3.0]);
        let mut changed = held.clone();
        narrow.add_to(&mut changed, 1);
        assert_eq!((&changed.weights[0], changed.bias.as_deref()), (&held.weights[0], Some(&[0.5, 2.75][..])));
        let added = |n: usize| -> f64 {
            let rise = |tap: usize, i: usize| {
                let rise = changed.weights[1][tap * 3 + i] - held.weights[1][tap * 3 + i];
                rise * f64::from(x.channels[3 + i][2 * n + 2 * tap - 2])
            };
            (0..2).flat_map(|tap| (0..3).map(move |i| (tap, i))).map(|(tap, i)| rise(tap, i)).sum()
        };
        for n in [1, 50, 299] {
            let at = |tap: usize, d: usize| {
                narrow.comb.weights[0][tap * 2 + d] * f64::from(narrow.x[0].channels[d][2 * n + 2 * tap - 2])
            };
            let seen: f64 = (0..2).flat_map(|tap| (0..2).map(move |d| (tap, d))).map(|(tap, d)| at(tap, d)).sum();
            assert!((added(n) - seen).abs() < 1e-5, "row {n}");
        }
    }
}
