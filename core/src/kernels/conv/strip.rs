//! Sums over panels: strips of frames, some panels wide.

use std::ops::Range;

use super::pack::{Filter, Line};
use super::tile::{Begin, Finish, Strip, Tiles};
use super::{Layout, PackedConv, Target};
use crate::kernels::Source;
use crate::kernels::isa::Isa;
use crate::kernels::vector::LANES;
use crate::plan::Walk;

impl PackedConv {
    pub(super) fn sum_panels<L: Line>(
        &self,
        filter: &Filter,
        lines: &[L],
        input: Source<'_>,
        mut target: Target<'_>,
        panels: Range<usize>,
    ) {
        let quotients = self.quotients(filter, &target.frames);
        if quotients.is_empty() || filter.segments.is_empty() {
            return;
        }
        let together = panels_together(self.isa, (quotients.end - quotients.start) as usize);
        let (per_group, panels) = match self.layout {
            Layout::Phases => {
                let all = (filter.phases * self.channels()).div_ceil(LANES);
                (all, if panels.is_empty() { 0..0 } else { 0..all })
            }
            _ => (self.group_panels(), panels),
        };
        let mut panel = panels.start;
        while panel < panels.end {
            let (group, within) = (panel / per_group, panel % per_group);
            let count = largest_power_of_two(together.min(panels.end - panel).min(per_group - within));
            let lines = &lines[panel * filter.panel_lines..][..count * filter.panel_lines];
            let column = group * self.group_inputs;
            if self.layout == Layout::Phases {
                self.sum_phases(filter, lines, input, quotients.clone(), panel, count, &mut target);
            } else {
                let output = group * self.group_outputs + within * LANES;
                let outputs = count * LANES;
                let last_lanes = (self.group_outputs - (within + count - 1) * LANES).min(LANES);
                let first = self.frame(filter, quotients.start);
                let begin = target.begins.of(first, self.phases, output..output + outputs - LANES + last_lanes);
                let places = target.ring.walk(first, self.phases);
                let (own, finish) = (&mut *target.own, target.finish.of(first, self.phases, output));
                let strip = self.strip(filter, lines, input, column, quotients.clone());
                run(self.isa, count, Strip { own, places, output, last_lanes, begin, finish, ..strip });
            }
            panel += count;
        }
    }

    /// The `count` panels from `panel` on of all phases of the quotients: lanes are the frames of a quotient, one after
    /// another.
    #[expect(clippy::too_many_arguments, reason = "a strip and its place, by name")]
    fn sum_phases<L: Line>(
        &self,
        filter: &Filter,
        lines: &[L],
        input: Source<'_>,
        quotients: Range<i64>,
        panel: usize,
        count: usize,
        target: &mut Target<'_>,
    ) {
        let channels = self.channels();
        let outputs = panel * LANES..((panel + count) * LANES).min(filter.phases * channels);
        let last_lanes = outputs.len() - (count - 1) * LANES;
        let mut q = quotients.start;
        while q < quotients.end {
            let first = self.frame(filter, q);
            let whole = self.whole_quotients(filter, first, target);
            if whole > 0 {
                let strip = self.strip(filter, lines, input, 0, q..q + whole);
                let places = target.ring.walk(first, self.phases);
                run(self.isa, count, Strip { own: target.own, places, output: outputs.start, last_lanes, ..strip });
                q += whole;
                continue;
            }
            // Of this quotient some frames are not asked for, or lie at the ring's other end.
            let asked = first.max(target.frames.start)..(first + filter.phases as i64).min(target.frames.end);
            let ring = target.ring;
            let values = |frame: i64| (frame - first) as usize * channels;
            let pieces = ring.stretches(asked).filter_map(|piece| {
                let (from, to) = (values(piece.start).max(outputs.start), values(piece.end).min(outputs.end));
                let at = ring.at(piece.start) + from.saturating_sub(values(piece.start));
                (from < to).then(|| (at..at + to - from, from - outputs.start))
            });
            let mut sums = [0.0; MOST_PANELS * LANES];
            for (own, at) in pieces.clone() {
                sums[at..at + own.len()].copy_from_slice(&target.own[own]);
            }
            let strip = self.strip(filter, lines, input, 0, q..q + 1);
            run(self.isa, count, Strip { own: &mut sums, last_lanes, ..strip });
            for (own, at) in pieces {
                let length = own.len();
                target.own[own].copy_from_slice(&sums[at..at + length]);
            }
            q += 1;
        }
    }

    /// Quotients whose frames, from `first` on, are all asked for and lie in one piece.
    fn whole_quotients(&self, filter: &Filter, first: i64, target: &Target<'_>) -> i64 {
        if first < target.frames.start {
            return 0;
        }
        let piece = target.ring.stretches(first..target.frames.end).next().map_or(0, |piece| piece.end - piece.start);
        let (phases, own) = (self.phases as i64, filter.phases as i64);
        if piece < own { 0 } else { (piece - own) / phases + 1 }
    }

    /// Sums of some quotients that add to nothing yet.
    fn strip<'a, L>(
        &self,
        filter: &'a Filter,
        lines: &'a [L],
        input: Source<'a>,
        column: usize,
        quotients: Range<i64>,
    ) -> Strip<'a, L> {
        let oldest = filter.segments.first().map_or(0, |segment| segment.frame);
        Strip {
            input: input.own,
            row: input.ring.channels,
            rows: input.ring.walk(quotients.start * self.stride + oldest, self.stride as usize),
            column,
            frames: (quotients.end - quotients.start) as usize,
            segments: &filter.segments,
            lines,
            own: &mut [],
            places: Walk::STILL,
            output: 0,
            last_lanes: LANES,
            begin: Begin::There,
            finish: Finish::default(),
        }
    }
}

/// Panels of the widest strip.
const MOST_PANELS: usize = 8;

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

fn largest_power_of_two(n: usize) -> usize {
    1 << n.ilog2()
}

fn run<L: Line>(isa: Isa, panels: usize, strip: Strip<'_, L>) {
    match panels {
        1 => isa.run(Tiles::<_, 1>(strip)),
        2 => isa.run(Tiles::<_, 2>(strip)),
        4 => isa.run(Tiles::<_, 4>(strip)),
        MOST_PANELS => isa.run(Tiles::<_, MOST_PANELS>(strip)),
        _ => unreachable!("no strip of {panels} panels"),
    }
}
