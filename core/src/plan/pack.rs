//! Steps → kernels: every weight packed for the machine, once.

use super::step::{Step, Task};
use crate::kernels::{Isa, Kernel, PackedConv, PlaneConv};
use crate::threads;

/// The kernel of each step, its weights packed, by as many threads as help.
pub(super) fn kernels(steps: &[Step], hop: i64, isa: Isa) -> Vec<Kernel> {
    let is_in_planes = |step: &Step| step.in_planes && step.channels > 1;
    let touches_planes = |step: &Step| is_in_planes(step) || step.inputs.iter().any(|i| is_in_planes(&steps[i.step]));
    let kernel = |step: &Step| match &step.task {
        Task::Conv { conv, epilogue, .. } if touches_planes(step) => {
            Kernel::PlaneConv(PlaneConv::new(conv, epilogue.clone(), isa))
        }
        Task::Conv { conv, part, epilogue } => {
            let few_frames = step.ticks * FEW_FRAMES >= hop;
            Kernel::Conv(PackedConv::new(conv, *part, epilogue.clone(), few_frames, isa))
        }
        Task::LstmPair(layers) => Kernel::lstm_pair([&layers[0], &layers[1]], isa),
        Task::Gate(gate) => Kernel::Gate(*gate),
        Task::Op(op) => Kernel::new(op, isa),
    };
    threads::map(steps, || (), |(), step| kernel(step))
}

/// Frames per hop up to which a layer's cost is its weights' way from memory.
const FEW_FRAMES: i64 = 4;
