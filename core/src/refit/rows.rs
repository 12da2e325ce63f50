//! Which rows of a layer are read: those that no edge of a piece reaches, and no more than the unknowns need.

use std::ops::Range;

use super::calibration::{Part, Purpose};
use super::comb::Comb;
use super::signals::Signal;

/// The rows of one comb, piece by piece.
pub(super) struct Rows<'a> {
    parts: &'a [Part],
    inside: Vec<Range<i64>>,
    /// Rows from one run to the next; at least a run's own.
    period: i64,
}

/// Rows read together, where not all are.
const RUN_ROWS: i64 = 256;

impl<'a> Rows<'a> {
    /// Of `comb` over `x`, `margins` samples from the ends of each piece, evenly thinned to about `most`.
    pub(super) fn new(comb: &Comb, x: &[Signal], parts: &'a [Part], margins: (u64, u64), most: usize) -> Self {
        let inside = |(part, x): (&Part, &Signal)| {
            let rows = x.frames() as u64 / comb.stride as u64;
            let of = |samples: u64| (samples * rows).div_ceil(part.samples as u64) as i64;
            of(margins.0)..rows as i64 - of(margins.1)
        };
        let inside: Vec<Range<i64>> = parts.iter().zip(x).map(inside).collect();
        let all: i64 = inside.iter().map(|rows| (rows.end - rows.start).max(0)).sum();
        Self { parts, inside, period: (RUN_ROWS * all / most.max(1) as i64).max(RUN_ROWS) }
    }

    /// Those of one piece.
    pub(super) fn of(&self, piece: usize) -> impl Iterator<Item = Range<i64>> {
        let Range { start, end } = self.inside[piece];
        (start..end).step_by(self.period as usize).map(move |run| run..(run + RUN_ROWS).min(end))
    }

    /// Pieces to judge on.
    pub(super) fn judged(&self) -> Vec<usize> {
        self.with(Purpose::Judge)
    }

    /// Pieces to solve on, in three lists.
    pub(super) fn solved(&self) -> [Vec<usize>; 3] {
        let all = self.with(Purpose::Solve);
        [0, 1, 2].map(|first| all.iter().copied().skip(first).step_by(3).collect())
    }

    fn with(&self, purpose: Purpose) -> Vec<usize> {
        (0..self.parts.len()).filter(|&piece| self.parts[piece].purpose == purpose).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_lie_inside_the_margins_and_no_more_are_read_than_needed() {
        let purposes = [Purpose::Solve, Purpose::Judge, Purpose::Solve, Purpose::Solve, Purpose::Solve];
        let parts: Vec<Part> = purposes.iter().map(|&purpose| Part { purpose, samples: 40_000 }).collect();
        let x = vec![Signal { channels: vec![vec![0.0; 10_000]] }; 5];
        let comb = Comb {
            stride: 2,
            phases: 1,
            trim: 0,
            offsets: vec![0],
            spacing: 1,
            groups: 1,
            inputs: 1,
            outputs: 1,
            weights: vec![vec![0.0]],
            bias: None,
        };
        let rows = |most: usize| Rows::new(&comb, &x, &parts, (81, 160), most);
        // A row is 8 samples: 11 at the start and 20 at the end are reached from outside.
        let all: Vec<i64> = rows(usize::MAX >> 16).of(3).flatten().collect();
        assert_eq!(all, (11..4_980).collect::<Vec<i64>>());
        let thin: Vec<Range<i64>> = rows(5_000).of(3).collect();
        assert_eq!((thin[0].clone(), thin[1].clone()), (11..267, 1_283..1_539));
        let thinned = rows(5_000);
        let count = (0..5).flat_map(|piece| thinned.of(piece)).map(|run| run.end - run.start).sum::<i64>();
        assert!((5_000..7_000).contains(&count), "{count}");
        assert_eq!((rows(10).judged(), rows(10).solved()), (vec![1], [vec![0, 4], vec![2], vec![3]]));
    }
}
