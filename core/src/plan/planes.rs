//! Which signals lie in planes: those of few channels whose frames come many at a time. There a vector holds frames of one
//! channel, where a row would leave most of its lanes empty.

use super::step::{Step, Task};
use crate::kernels::PlaneConv;
use crate::stream::StreamOp;

/// Ticks of a frame, at most: more would not fill vectors in calls of 64 ticks.
const MOST_TICKS: i64 = 4;

/// Lays signals in planes wherever all steps that write and read them work so. The input and the output of more than one
/// channel stay rows.
pub(super) fn lay(steps: &mut [Step]) {
    let last = steps.len() - 1;
    // Steps that work in planes, if their signals lie so.
    let mut works: Vec<_> = steps.iter().map(|step| works_in_planes(steps, step)).collect();
    let mut lies: Vec<_> = (0..=last).map(|id| works[id] && id != last).collect();
    let is_one = |id: usize| steps[id].channels == 1;
    loop {
        let mut changed = false;
        for (id, step) in steps.iter().enumerate() {
            works[id] &= is_one(id) || lies[id];
            works[id] &= step.inputs.iter().all(|input| is_one(input.step) || lies[input.step]);
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
    (0..=last).filter(|&id| is_one(id)).for_each(|id| lies[id] = false);
    for (id, step) in steps.iter().enumerate() {
        let signals = step.inputs.iter().map(|input| input.step).chain([id]);
        let meets = works[id] && signals.clone().any(|signal| !is_one(signal));
        signals.filter(|&signal| is_one(signal)).for_each(|signal| lies[signal] |= meets);
    }
    steps.iter_mut().zip(lies).for_each(|(step, lies)| step.in_planes = lies);
}

/// Whether there is a kernel for it that works in planes.
fn works_in_planes(steps: &[Step], step: &Step) -> bool {
    let alike = || step.inputs.iter().all(|input| steps[input.step].channels == step.channels);
    step.ticks <= MOST_TICKS
        && match &step.task {
            Task::Conv { conv, part, .. } => PlaneConv::fits(conv, *part),
            Task::Op(StreamOp::Pointwise(_) | StreamOp::Add | StreamOp::Mul | StreamOp::Max) => alike(),
            Task::Op(_) | Task::LstmPair(_) => false,
        }
}
