//! Which signals lie in planes: those of few channels whose frames come many at a time. There a vector holds frames of one
//! channel, where a row would leave most of its lanes empty.

use super::step::{Step, StepInput, Task};
use crate::kernels::PlaneConv;
use crate::stream::StreamOp;

/// Ticks of a frame, at most: more would not fill vectors in calls of 64 ticks.
const MOST_TICKS: i64 = 4;

/// Lays signals in planes wherever all steps that write and read them work so.
pub(super) fn lay(steps: &mut [Step]) {
    // Steps that work in planes, if their signals lie so.
    let mut works: Vec<_> = steps.iter().map(|step| works_in_planes(steps, step)).collect();
    let mut lies = works.clone();
    let is_one = |id: usize| steps[id].channels == 1;
    loop {
        let mut changed = false;
        for (id, step) in steps.iter().enumerate() {
            works[id] &= is_one(id) || lies[id];
            works[id] &= read_alike(step).all(|signal| is_one(signal) || lies[signal]);
            for signal in step.inputs.iter().map(|input| input.step).chain([id]) {
                changed |= !works[id] && !is_one(signal) && lies[signal];
                lies[signal] &= works[id] || is_one(signal);
            }
        }
        if !changed {
            break;
        }
    }
    // One channel is a plane as it is, and joins those that it meets.
    (0..steps.len()).filter(|&id| is_one(id)).for_each(|id| lies[id] = false);
    for (id, step) in steps.iter().enumerate() {
        let signals = read_alike(step).chain([id]);
        let meets = works[id] && signals.clone().any(|signal| !is_one(signal));
        signals.filter(|&signal| is_one(signal)).for_each(|signal| lies[signal] |= meets);
    }
    steps.iter_mut().zip(lies).for_each(|(step, lies)| step.in_planes = lies);
}

/// The signals that must lie in planes where the step's own does.
fn read_alike(step: &Step) -> impl Iterator<Item = usize> + Clone {
    let reads_either = matches!(step.task, Task::Op(StreamOp::Repeat { .. }));
    step.inputs.iter().filter(move |_| !reads_either).map(|input| input.step)
}

/// Whether there is a kernel for it that works in planes.
fn works_in_planes(steps: &[Step], step: &Step) -> bool {
    let fit = |input: &StepInput| [1, step.channels].contains(&steps[input.step].channels);
    step.ticks <= MOST_TICKS
        && match &step.task {
            Task::Conv { conv, part, .. } => PlaneConv::fits(conv, *part),
            Task::Gate(_) => true,
            Task::Op(StreamOp::Pointwise(_) | StreamOp::Add | StreamOp::Mul | StreamOp::Max) => {
                step.inputs.iter().all(fit)
            }
            Task::Op(StreamOp::Input { .. } | StreamOp::Slice { .. } | StreamOp::Concat | StreamOp::Repeat { .. }) => {
                true
            }
            Task::Op(_) | Task::LstmPair(_) => false,
        }
}
