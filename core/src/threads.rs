//! A few threads over many pieces of work. For loading and planning, never for audio.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Threads, at most: what memory keeps busy.
const MOST_THREADS: usize = 4;

/// `f` of each item, in order. Each thread makes a `start` of its own and takes the next item when it is done with one.
pub(crate) fn map<T: Sync, S, R: Send + Sync>(
    items: &[T],
    start: impl Fn() -> S + Sync,
    f: impl Fn(&mut S, &T) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let slots: Vec<OnceLock<R>> = items.iter().map(|_| OnceLock::new()).collect();
    let work = || {
        let mut own = start();
        while let Some((item, slot)) = items.iter().zip(&slots).nth(next.fetch_add(1, Ordering::Relaxed)) {
            slot.get_or_init(|| f(&mut own, item));
        }
    };
    thread::scope(|scope| {
        let others = thread::available_parallelism().map_or(1, |n| n.get()).min(MOST_THREADS) - 1;
        (0..others).for_each(|_| drop(scope.spawn(work)));
        work();
    });
    slots.into_iter().map(|slot| slot.into_inner().expect("every item is taken once")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_the_order_of_their_items() {
        let items: Vec<usize> = (0..1000).collect();
        let squares = map(&items, || 2, |power, item| item.pow(*power));
        assert!(squares.iter().enumerate().all(|(i, square)| *square == i * i));
        assert!(map(&[] as &[u8], || (), |(), item| *item).is_empty());
    }
}
