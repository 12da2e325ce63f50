//! One layer, refitted: least squares over calibration audio, the ridge by what it gains on audio that it was not
//! solved on.

use faer::Mat;

use super::RefitError;
use super::calibration::Part;
use super::comb::Comb;
use super::moments::{Moments, set_weights, weights_of};
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

/// Ridges tried, in units of the mean power of what is read.
pub(super) const RIDGES: [f64; 5] = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1];
/// Unknowns of one output beyond which a layer is left as it is: its equations would take gigabytes.
pub(super) const MOST_UNKNOWNS: usize = 8192;

/// `held` refitted so that over `x` it gives `y`, piece by piece, in the rows that no edge of a piece reaches.
pub(super) fn fit(
    name: &str,
    held: Comb,
    x: &[Signal],
    y: &[Signal],
    parts: &[Part],
    margins: (u64, u64),
    ridges: &[f64],
) -> Result<Fit, RefitError> {
    let mut fit = Fit { comb: held.clone(), ridge: 0.0, error: 0.0, held_error: 0.0, rows: 0 };
    for group in 0..held.groups {
        let sum = |pieces: &Vec<usize>| {
            let mut moments = Moments::new(&held);
            for &piece in pieces {
                moments.add_rows(&held, group, &x[piece], &y[piece], rows(&held, &x[piece], parts[piece], margins));
            }
            moments
        };
        let mut moments = threads::map(&stripes(parts), || (), |(), pieces| sum(pieces));
        let judged = moments.pop().expect("a stripe to judge");
        let mut whole = Moments::new(&held);
        moments.iter().for_each(|moments| whole.add(moments));
        drop(moments);

        let centre = weights_of(&held, group);
        let solve = |moments: &Moments, ridge: f64| -> Result<Mat<f64>, RefitError> {
            moments.solve(&centre, ridge).ok_or_else(|| RefitError::Unsolvable { node: name.into() })
        };
        let mut best = (f64::INFINITY, ridges[0]);
        for &ridge in ridges {
            let error = judged.error(&solve(&whole, ridge)?);
            if error < best.0 {
                best = (error, ridge);
            }
        }
        whole.add(&judged);
        set_weights(&mut fit.comb, group, &solve(&whole, best.1)?);
        let share = 1.0 / held.groups as f64;
        fit.ridge = best.1;
        fit.error += share * best.0;
        fit.held_error += share * judged.error(&centre);
        fit.rows = whole.rows();
    }
    Ok(fit)
}

/// Three lists of pieces to solve on, and one to judge on.
fn stripes(parts: &[Part]) -> Vec<Vec<usize>> {
    let of = |part: fn(&Part) -> bool| (0..parts.len()).filter(move |&piece| part(&parts[piece]));
    let solved: Vec<usize> = of(|part| matches!(part, Part::Solve { .. })).collect();
    let mut stripes: Vec<Vec<usize>> = (0..3).map(|i| solved.iter().copied().skip(i).step_by(3).collect()).collect();
    stripes.push(of(|part| matches!(part, Part::Judge { .. })).collect());
    stripes
}

/// The rows of `comb` over `x` that lie inside the margins.
fn rows(comb: &Comb, x: &Signal, part: Part, margins: (u64, u64)) -> std::ops::Range<i64> {
    let samples = part.samples() as u64;
    let rows = x.frames() as u64 / comb.stride as u64;
    let of = |samples_in: u64| (samples_in * rows).div_ceil(samples) as i64;
    of(margins.0)..rows as i64 - of(margins.1)
}
