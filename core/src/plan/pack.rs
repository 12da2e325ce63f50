//! Steps → kernels: every weight packed for the machine, once.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::step::{Step, Task};
use crate::kernels::{Isa, Kernel, PackedConv};

/// The kernel of each step, its weights packed, by as many threads as help.
pub(super) fn kernels(steps: &[Step], hop: i64, isa: Isa) -> Vec<Kernel> {
    let kernel = |step: &Step| match &step.task {
        Task::Conv { conv, part, epilogue } => {
            let few_frames = step.ticks * FEW_FRAMES >= hop;
            Kernel::Conv(PackedConv::new(conv, *part, epilogue.clone(), few_frames, isa))
        }
        Task::Op(op) => Kernel::new(op, isa),
    };
    let next = AtomicUsize::new(0);
    let slots: Vec<OnceLock<Kernel>> = steps.iter().map(|_| OnceLock::new()).collect();
    let pack = || {
        while let Some((step, slot)) = steps.iter().zip(&slots).nth(next.fetch_add(1, Ordering::Relaxed)) {
            slot.get_or_init(|| kernel(step));
        }
    };
    thread::scope(|scope| {
        let others = thread::available_parallelism().map_or(1, |n| n.get()).min(MOST_THREADS) - 1;
        (0..others).for_each(|_| drop(scope.spawn(pack)));
        pack();
    });
    slots.into_iter().map(|slot| slot.into_inner().expect("every step is packed once")).collect()
}

/// Threads that pack weights, at most: what memory keeps busy.
const MOST_THREADS: usize = 4;
/// Frames per hop up to which a layer's cost is its weights' way from memory.
const FEW_FRAMES: i64 = 4;
