//! Normal equations of one group of a comb, in f64, and their solution.

use std::ops::Range;

use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::linalg::solvers::Solve;
use faer::{Accum, Mat, Par, Side};

use super::comb::Comb;
use super::signals::Signal;

/// Sums of products over rows: all that least squares needs. The last column is the constant that a bias multiplies,
/// where one is solved for.
#[derive(Clone, Debug)]
pub(super) struct Moments {
    /// `[unknowns, unknowns]`; the upper triangle is not kept.
    gram: Mat<f64>,
    /// `[unknowns, outputs]`.
    cross: Mat<f64>,
    /// Of each output: its sum, and the sum of its squares.
    sums: Vec<[f64; 2]>,
    rows: u64,
    has_bias: bool,
}

/// Rows gathered at once.
const BLOCK_ROWS: i64 = 512;

impl Moments {
    /// Nothing summed yet, for one group of `comb`.
    pub(super) fn new(comb: &Comb) -> Self {
        let unknowns = comb.offsets.len() * comb.inputs + usize::from(bias_is_free(comb));
        Self {
            gram: Mat::zeros(unknowns, unknowns),
            cross: Mat::zeros(unknowns, comb.width()),
            sums: vec![[0.0; 2]; comb.width()],
            rows: 0,
            has_bias: bias_is_free(comb),
        }
    }

    /// Adds `rows` of `group`: `comb` over `x` shall give `y`.
    pub(super) fn add_rows(&mut self, comb: &Comb, group: usize, x: &Signal, y: &Signal, rows: Range<i64>) {
        let mut start = rows.start;
        while start < rows.end {
            let end = rows.end.min(start + BLOCK_ROWS);
            let (read, wanted) = (self.read(comb, group, x, start..end), wanted(comb, group, y, start..end));
            for (sums, output) in self.sums.iter_mut().zip(wanted.col_iter()) {
                output.iter().for_each(|v| *sums = [sums[0] + v, sums[1] + v * v]);
            }
            let (lower, whole) = (BlockStructure::TriangularLower, BlockStructure::Rectangular);
            triangular::matmul(&mut self.gram, lower, Accum::Add, read.transpose(), whole, &read, whole, 1.0, Par::Seq);
            matmul(&mut self.cross, Accum::Add, read.transpose(), &wanted, 1.0, Par::Seq);
            self.rows += (end - start) as u64;
            start = end;
        }
    }

    /// Adds the rows that `other` has summed.
    pub(super) fn add(&mut self, other: &Self) {
        self.gram += &other.gram;
        self.cross += &other.cross;
        self.sums.iter_mut().zip(&other.sums).for_each(|(a, b)| *a = [a[0] + b[0], a[1] + b[1]]);
        self.rows += other.rows;
    }

    /// Rows summed.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Power of what is wanted around its mean, all outputs together.
    pub(super) fn spread(&self) -> f64 {
        self.sums.iter().map(|[sum, squares]| squares - sum * sum / self.rows.max(1) as f64).sum()
    }

    /// Power of the error of `weights`, all outputs together.
    pub(super) fn error(&self, weights: &Mat<f64>) -> f64 {
        let made = self.whole_gram() * weights;
        let of_output = |(k, [_, squares]): (usize, &[f64; 2])| {
            let rows = 0..weights.nrows();
            squares + rows.map(|r| weights[(r, k)] * (made[(r, k)] - 2.0 * self.cross[(r, k)])).sum::<f64>()
        };
        self.sums.iter().enumerate().map(of_output).sum::<f64>().max(0.0)
    }

    /// The weights `w` of least `Σ |x·w − y|² + ridge · g · |w − centre|²`, `g` the mean power of what is read; a bias is
    /// not held to the centre. `None` where the equations are no numbers.
    pub(super) fn solve(&self, centre: &Mat<f64>, ridge: f64) -> Option<Mat<f64>> {
        let free = self.gram.nrows() - usize::from(self.has_bias);
        let mean = (0..free).map(|i| self.gram[(i, i)]).sum::<f64>() / free.max(1) as f64;
        let mut gram = self.whole_gram();
        let missing = &self.cross - &gram * centre;
        let least = f64::MIN_POSITIVE.max(1e-12 * self.rows as f64);
        (0..free).for_each(|i| gram[(i, i)] += ridge * mean + least);
        if self.has_bias {
            gram[(free, free)] += least;
        }
        let solved = centre + gram.llt(Side::Lower).ok()?.solve(&missing);
        let finite = solved.col_iter().all(|column| column.iter().all(|v| v.is_finite()));
        finite.then_some(solved)
    }

    fn whole_gram(&self) -> Mat<f64> {
        Mat::from_fn(self.gram.nrows(), self.gram.ncols(), |i, j| self.gram[(i.max(j), i.min(j))])
    }

    fn read(&self, comb: &Comb, group: usize, x: &Signal, rows: Range<i64>) -> Mat<f64> {
        let mut read = Mat::zeros((rows.end - rows.start) as usize, self.gram.nrows());
        for (tap, offset) in comb.offsets.iter().enumerate() {
            for input in 0..comb.inputs {
                let channel = &x.channels[group * comb.inputs + input];
                let column = read.col_as_slice_mut(tap * comb.inputs + input);
                for (value, row) in column.iter_mut().zip(rows.clone()) {
                    *value = at(channel, row * comb.stride + offset);
                }
            }
        }
        if self.has_bias {
            read.col_as_slice_mut(self.gram.nrows() - 1).fill(1.0);
        }
        read
    }
}

/// The weights of `group`, as the equations have them.
pub(super) fn weights_of(comb: &Comb, group: usize) -> Mat<f64> {
    let (rows, width) = (comb.offsets.len() * comb.inputs, comb.width());
    Mat::from_fn(rows + usize::from(bias_is_free(comb)), width, |row, column| match &comb.bias {
        Some(bias) if row == rows => bias[group * comb.outputs + column],
        _ => comb.weights[group][row * width + column],
    })
}

/// Gives `comb` these weights in `group`.
pub(super) fn set_weights(comb: &mut Comb, group: usize, weights: &Mat<f64>) {
    let (rows, width) = (comb.offsets.len() * comb.inputs, comb.width());
    for (at, value) in comb.weights[group].iter_mut().enumerate() {
        *value = weights[(at / width, at % width)];
    }
    if bias_is_free(comb)
        && let Some(bias) = &mut comb.bias
    {
        (0..comb.outputs).for_each(|output| bias[group * comb.outputs + output] = weights[(rows, output)]);
    }
}

/// Whether a bias is solved for: where several phases share it, it stays, or their means would differ.
fn bias_is_free(comb: &Comb) -> bool {
    comb.bias.is_some() && comb.phases == 1
}

/// What the weights shall give: the original output, without a bias that stays.
fn wanted(comb: &Comb, group: usize, y: &Signal, rows: Range<i64>) -> Mat<f64> {
    let mut wanted = Mat::zeros((rows.end - rows.start) as usize, comb.width());
    for phase in 0..comb.phases {
        for output in 0..comb.outputs {
            let channel = &y.channels[group * comb.outputs + output];
            let column = wanted.col_as_slice_mut(phase * comb.outputs + output);
            let kept =
                comb.bias.as_ref().filter(|_| !bias_is_free(comb)).map_or(0.0, |b| b[group * comb.outputs + output]);
            for (value, row) in column.iter_mut().zip(rows.clone()) {
                *value = at(channel, row * comb.phases as i64 + phase as i64 - comb.trim) - kept;
            }
        }
    }
    wanted
}

fn at(channel: &[f32], frame: i64) -> f64 {
    usize::try_from(frame).ok().and_then(|frame| channel.get(frame)).map_or(0.0, |&v| f64::from(v))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Randomness;

    fn drawn(key: u32, frames: usize) -> Vec<f32> {
        (0..frames).map(|n| Randomness::Seeded(5).uniform(key, n as i64, 0)).collect()
    }

    fn comb(bias: bool) -> Comb {
        Comb {
            stride: 2,
            phases: 1,
            trim: 0,
            offsets: vec![-2, -1, 0],
            spacing: 1,
            groups: 1,
            inputs: 2,
            outputs: 1,
            weights: vec![vec![0.0; 6]],
            bias: bias.then(|| vec![0.0]),
        }
    }

    /// Gaussian elimination of the normal equations, summed as the book has them.
    fn textbook(rows: &[Vec<f64>], wanted: &[f64], centre: &[f64], ridge: f64, held: usize) -> Vec<f64> {
        let n = centre.len();
        let dot = |i: usize, j: usize| rows.iter().map(|r| r[i] * r[j]).sum::<f64>();
        let mean = (0..held).map(|i| dot(i, i)).sum::<f64>() / held as f64;
        let mut system: Vec<Vec<f64>> = (0..n)
            .map(|i| {
                let weight = if i < held { ridge * mean } else { 0.0 };
                let mut line: Vec<f64> = (0..n).map(|j| dot(i, j) + if i == j { weight } else { 0.0 }).collect();
                line.push(rows.iter().zip(wanted).map(|(r, y)| r[i] * y).sum::<f64>() + weight * centre[i]);
                line
            })
            .collect();
        for i in 0..n {
            let pivot = (i..n).max_by(|&a, &b| system[a][i].abs().total_cmp(&system[b][i].abs())).expect("a row");
            system.swap(i, pivot);
            for other in (0..n).filter(|&other| other != i) {
                let factor = system[other][i] / system[i][i];
                for k in i..=n {
                    system[other][k] -= factor * system[i][k];
                }
            }
        }
        (0..n).map(|i| system[i][n] / system[i][i]).collect()
    }

    #[test]
    fn the_solution_is_the_textbooks() {
        for (bias, ridge) in [(false, 1e-6), (true, 1e-6), (true, 0.1), (false, 10.0)] {
            let comb = comb(bias);
            let x = Signal { channels: vec![drawn(1, 5_000), drawn(2, 5_000)] };
            let y = Signal { channels: vec![drawn(3, 2_500)] };
            let centre: Vec<f64> = drawn(4, 6 + usize::from(bias)).into_iter().map(f64::from).collect();
            let mut whole = Moments::new(&comb);
            let mut part = Moments::new(&comb);
            part.add_rows(&comb, 0, &x, &y, 1..2_100);
            whole.add_rows(&comb, 0, &x, &y, 2_100..2_500);
            whole.add(&part);
            let solved = whole.solve(&Mat::from_fn(centre.len(), 1, |i, _| centre[i]), ridge).expect("numbers");
            let rows: Vec<Vec<f64>> = (1..2_500i64)
                .map(|n| {
                    let taps = [-2, -1, 0].into_iter().flat_map(|o| [0, 1].map(|c| at(&x.channels[c], 2 * n + o)));
                    taps.chain(bias.then_some(1.0)).collect()
                })
                .collect();
            let wanted: Vec<f64> = y.channels[0][1..].iter().map(|&v| f64::from(v)).collect();
            let book = textbook(&rows, &wanted, &centre, ridge, 6);
            for (i, book) in book.iter().enumerate() {
                assert!((solved[(i, 0)] - book).abs() < 1e-7, "{bias} {ridge}: {} and {book}", solved[(i, 0)]);
            }
            let residual: f64 = (rows.iter().zip(&wanted))
                .map(|(r, y)| (r.iter().zip(&book).map(|(a, b)| a * b).sum::<f64>() - y).powi(2))
                .sum();
            let mean = wanted.iter().sum::<f64>() / wanted.len() as f64;
            let power: f64 = wanted.iter().map(|v| (v - mean).powi(2)).sum();
            assert!((whole.error(&solved) / whole.spread() - residual / power).abs() < 1e-9);
        }
    }

    #[test]
    fn with_less_data_than_unknowns_the_centre_decides() {
        let comb = comb(true);
        let x = Signal { channels: vec![vec![0.0; 20], vec![0.0; 20]] };
        let mut moments = Moments::new(&comb);
        moments.add_rows(&comb, 0, &x, &Signal { channels: vec![vec![0.5; 10]] }, 2..8);
        let solved = moments.solve(&Mat::from_fn(7, 1, |i, _| i as f64), 1e-3).expect("numbers");
        assert!((0..6).all(|i| (solved[(i, 0)] - i as f64).abs() < 1e-9) && (solved[(6, 0)] - 0.5).abs() < 1e-6);
    }
}
