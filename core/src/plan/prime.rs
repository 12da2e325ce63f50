//! The network's response to silence, which every cache holds when a signal starts. Everything repeats after a hop, so
//! one hop of each step says it all.

use super::ring::Ring;
use super::step::{Step, Task};
use super::timetable::Needs;
use super::{PlanError, scratch_len};
use crate::kernels::{Call, Isa, Kernel, Source};
use crate::stream::StreamOp;

/// One hop of each step's response to silence, frames before 0.
pub(crate) struct Silence {
    steps: Vec<Response>,
}

struct Response {
    ring: Ring,
    values: Vec<f32>,
    /// Frames after which it repeats.
    period: i64,
}

/// What the response is computed with.
pub(crate) struct Parts<'a> {
    pub(crate) steps: &'a [Step],
    pub(crate) kernels: &'a [Kernel],
    pub(crate) isa: Isa,
    pub(crate) needs: &'a [Needs],
    pub(crate) mirrors: &'a [usize],
}

impl Silence {
    /// Computes the response of every step, in `limit` bytes.
    ///
    /// # Errors
    /// When that is too little.
    pub(crate) fn new(parts: &Parts<'_>, hop: i64, limit: u64) -> Result<Self, PlanError> {
        let &Parts { steps, kernels, isa, needs, mirrors } = parts;
        let scratch = &mut *vec![0.0; scratch_len(kernels)];
        // Alternating signs repeat every second frame.
        let odd = |step: &Step| matches!(step.task, Task::Op(StreamOp::AlternateSign)) && hop / step.ticks % 2 == 1;
        let hop = if steps.iter().any(odd) { 2 * hop } else { hop };
        let period = |step: &Step| hop / step.ticks;
        // Frames before and from 0 on that are read.
        let mut held: Vec<_> = steps.iter().map(|step| (period(step), 0)).collect();
        for step in steps {
            for input in &step.inputs {
                let (back, ahead) = &mut held[input.step];
                *back = (*back).max(-input.reads.kept(-period(step)));
                *ahead = (*ahead).max(input.reads.required(0));
            }
        }
        let mut responses: Vec<Response> = Vec::with_capacity(steps.len());
        let mut bytes = 0;
        for (id, step) in steps.iter().enumerate() {
            let (back, ahead) = held[id];
            let ring = step.ring(0, back + ahead, mirrors[id]);
            bytes += ring.as_ref().map_or(u64::MAX / 4, |r| 4 * r.len() as u64);
            let Some(ring) = ring.filter(|_| bytes <= limit) else {
                return Err(PlanError::TooLarge { node: step.name.clone(), bytes, limit });
            };
            let mut own = Response { values: vec![0.0; ring.len()], period: period(step), ring };
            if id > 0 {
                let source = |slot: usize| responses[step.inputs[slot].step].source();
                for start in (-own.period..0).step_by(needs[id].at_once as usize) {
                    let frames = start..0.min(start + needs[id].at_once);
                    let call = Call::untouched(frames, 0..kernels[id].slices(), scratch);
                    kernels[id].run(isa, step.inputs.len(), source, ring, &mut own.values, call);
                }
                (0..ahead).for_each(|frame| own.copy(frame - own.period, frame));
                (ahead - ring.frames()..-own.period).rev().for_each(|frame| own.copy(frame + own.period, frame));
                ring.reflect(&mut own.values, ahead - ring.frames()..ahead);
            }
            responses.push(own);
        }
        Ok(Self { steps: responses })
    }

    /// Writes the frames of step `id` before `end` into its ring.
    pub(crate) fn fill(&self, id: usize, ring: Ring, own: &mut [f32], end: i64) {
        let response = &self.steps[id];
        for frame in end - ring.frames()..end {
            let same = frame.rem_euclid(response.period) - response.period;
            ring.put(own, frame, &response.ring, &response.values, same);
        }
        ring.reflect(own, end - ring.frames()..end);
    }
}

impl Response {
    fn copy(&mut self, from: i64, to: i64) {
        for (ring, start) in self.ring.each_plane() {
            let (from, to) = (start + ring.at(from), start + ring.at(to));
            self.values.copy_within(from..from + ring.channels, to);
        }
    }

    fn source(&self) -> Source<'_> {
        Source { ring: self.ring, own: &self.values }
    }
}
