//! One layer, refitted: least squares over calibration audio, the ridge by what it gains on audio that it was not
//! solved on.

use faer::Mat;

use super::RefitError;
use super::calibration::Part;
use super::comb::Comb;
use super::moments::{Moments, set_weights, weights_of};
use super::narrow::Narrow;
use super::rows::Rows;
use super::signals::Signal;
use crate::threads;

/// A refitted layer, and how well it does.
#[derive(Clone, Debug)]
pub(super) struct Fit {
    pub(super) comb: Comb,
    pub(super) ridge: f64,
    /// Power of the error over that of the original's output around its mean, where the layer was not solved; then the
    /// same of the held weights.
    pub(super) error: f64,
    pub(super) held_error: f64,
    pub(super) rows: u64,
}

/// How much a fit may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    /// Ridges tried, in units of the mean power of what is read.
    pub(super) ridges: &'static [f64],
    /// Unknowns of one output; a layer of more is solved in as many directions of what it reads.
    pub(super) most_unknowns: usize,
    /// Rows for each unknown, beyond the first thousands; no more are read where there are.
    pub(super) rows_per_unknown: usize,
}

/// For a layer of the result.
pub(super) const THOROUGH: Effort =
    Effort { ridges: &[1e-5, 1e-4, 1e-3, 1e-2, 1e-1], most_unknowns: 2048, rows_per_unknown: 128 };

/// Rows that are read however few the unknowns are.
const FEWEST_ROWS: usize = 16_384;

/// `held` refitted so that over `x` it gives `y`, piece by piece, in the rows that no edge of a piece reaches.
pub(super) fn fit(
    name: &str,
    held: Comb,
    x: &[Signal],
    y: &[Signal],
    parts: &[Part],
    margins: (u64, u64),
    effort: &Effort,
) -> Result<Fit, RefitError> {
    let mut fit = Fit { comb: held.clone(), ridge: 0.0, error: 0.0, held_error: 0.0, rows: 0 };
    let directions = (effort.most_unknowns / held.offsets.len()).max(1).min(held.inputs);
    let most = FEWEST_ROWS + effort.rows_per_unknown * directions * held.offsets.len();
    let rows = Rows::new(&held, x, parts, margins, most);
    for group in 0..held.groups {
        let solved = if directions < held.inputs {
            let mut narrow = Narrow::new(name, &held, group, (x, y), directions)?;
            let solved = solve(name, &mut narrow.comb, 0, (&narrow.x, &narrow.y), &rows, effort.ridges)?;
            narrow.add_to(&mut fit.comb, group);
            solved
        } else {
            solve(name, &mut fit.comb, group, (x, y), &rows, effort.ridges)?
        };
        let untapped = held.untapped();
        let power = sum(&untapped, group, (x, y), &rows, &rows.judged()).spread().max(f64::MIN_POSITIVE);
        fit.ridge = solved.ridge;
        fit.error += solved.error / power / held.groups as f64;
        fit.held_error += solved.held_error / power / held.groups as f64;
        fit.rows = solved.rows;
    }
    Ok(fit)
}

/// What one group was solved with; the powers of its errors on the rows to judge on.
struct Solved {
    ridge: f64,
    error: f64,
    held_error: f64,
    rows: u64,
}

/// Gives one group of `comb` the weights of that ridge which serves best on the pieces to judge on, solved on all.
fn solve(
    name: &str,
    comb: &mut Comb,
    group: usize,
    signals: (&[Signal], &[Signal]),
    rows: &Rows,
    ridges: &[f64],
) -> Result<Solved, RefitError> {
    let [a, b, c] = rows.solved();
    let mut moments =
        threads::map(&[a, b, c, rows.judged()], || (), |(), pieces| sum(comb, group, signals, rows, pieces));
    let judged = moments.pop().expect("a list of pieces to judge on");
    let mut whole = Moments::new(comb);
    moments.iter().for_each(|moments| whole.add(moments));
    drop(moments);

    let centre = weights_of(comb, group);
    let solve = |moments: &Moments, ridge: f64| -> Result<Mat<f64>, RefitError> {
        moments.solve(&centre, ridge).ok_or_else(|| RefitError::Unsolvable { node: name.into() })
    };
    let errors = threads::map(ridges, || (), |(), &ridge| Ok((judged.error(&solve(&whole, ridge)?), ridge)));
    let errors = errors.into_iter().collect::<Result<Vec<_>, RefitError>>()?;
    let (error, ridge) = errors.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).expect("a ridge");
    whole.add(&judged);
    set_weights(comb, group, &solve(&whole, ridge)?);
    Ok(Solved { ridge, error, held_error: judged.error(&centre), rows: whole.rows() })
}

/// The moments of one group over some pieces.
fn sum(comb: &Comb, group: usize, (x, y): (&[Signal], &[Signal]), rows: &Rows, pieces: &[usize]) -> Moments {
    let mut moments = Moments::new(comb);
    for &piece in pieces {
        rows.of(piece).for_each(|run| moments.add_rows(comb, group, &x[piece], &y[piece], run));
    }
    moments
}
