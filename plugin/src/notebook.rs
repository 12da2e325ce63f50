//! What a model's engines have learned, written by the thread that runs them and read by others: nobody waits for anybody.
//!
//! Values lie between two looks at a counter (Lameter's *seqlock*): a reader that finds it odd, or moved, reads again.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering, fence};

use runnel::engine::Moments;
use runnel::{Engine, Learned};

/// Times that a reader tries before it gives up.
const TRIES: usize = 1000;

/// The notes of one hosted model.
#[derive(Debug)]
pub struct Notebook {
    /// Empty notes of each engine: names and channels.
    engines: Vec<Learned>,
    /// Odd while it is written; 0 before the first time.
    version: AtomicU64,
    /// Frames, then means and squares, of the source and the target of each node of each engine.
    values: Box<[AtomicU64]>,
    /// Whether the source is known, and the target.
    knows: AtomicU8,
}

impl Notebook {
    /// Nothing written, for these engines; `None` where they cannot learn.
    pub fn new(engines: &[Engine]) -> Option<Self> {
        engines.first()?.knows()?;
        let mut empty: Vec<Learned> = engines.iter().map(Engine::learned).collect();
        sides_mut(&mut empty).for_each(|side| *side = Moments { frames: 0, ..side.clone() });
        let len = sides_mut(&mut empty).map(|side| 1 + 2 * side.mean.len()).sum();
        let notebook = Self {
            engines: empty,
            version: AtomicU64::new(0),
            values: (0..len).map(|_| AtomicU64::new(0)).collect(),
            knows: AtomicU8::new(0),
        };
        notebook.look(engines);
        Some(notebook)
    }

    /// Told by the thread that runs the engines: whether they know source and target.
    pub fn look(&self, engines: &[Engine]) {
        let [source, target] = engines.first().and_then(Engine::knows).unwrap_or_default();
        self.knows.store(u8::from(source) | u8::from(target) << 1, Ordering::Relaxed);
    }

    /// Written by the thread that runs the engines: all that they have learned.
    pub fn write(&self, engines: &[Engine]) {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version + 1, Ordering::Relaxed);
        fence(Ordering::Release);
        let sides = engines.iter().flat_map(Engine::moments).flatten();
        let values = sides.flat_map(|side| {
            let parts = side.mean.iter().chain(&side.squares).map(|v| v.to_bits());
            std::iter::once(side.frames).chain(parts)
        });
        self.values.iter().zip(values).for_each(|(slot, value)| slot.store(value, Ordering::Relaxed));
        self.version.store(version + 2, Ordering::Release);
    }

    /// Whether source and target are known.
    pub fn knows(&self) -> [bool; 2] {
        let knows = self.knows.load(Ordering::Relaxed);
        [knows & 1 != 0, knows & 2 != 0]
    }

    /// What each engine has learned; `None` where nothing was written.
    pub fn read(&self) -> Option<Vec<Learned>> {
        for _ in 0..TRIES {
            let before = self.version.load(Ordering::Acquire);
            if before == 0 {
                return None;
            }
            let engines = self.copy();
            fence(Ordering::Acquire);
            if before.is_multiple_of(2) && self.version.load(Ordering::Relaxed) == before {
                return Some(engines);
            }
            std::thread::yield_now();
        }
        None
    }

    fn copy(&self) -> Vec<Learned> {
        let mut engines = self.engines.clone();
        let mut values = self.values.iter().map(|slot| slot.load(Ordering::Relaxed));
        for side in sides_mut(&mut engines) {
            side.frames = values.next().unwrap_or(0);
            for value in side.mean.iter_mut().chain(&mut side.squares) {
                *value = f64::from_bits(values.next().unwrap_or(0));
            }
        }
        engines
    }
}

fn sides_mut(engines: &mut [Learned]) -> impl Iterator<Item = &mut Moments> {
    engines.iter_mut().flat_map(|engine| &mut engine.nodes).flat_map(|node| [&mut node.source, &mut node.target])
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::thread;

    use runnel::{Plan, Randomness};

    use super::*;
    use crate::test_models::learner_stream;

    #[test]
    fn a_reader_never_sees_two_moments_at_once() {
        let plan = Plan::new(&learner_stream(48_000).forward).unwrap();
        let mut engines = [Engine::new(plan, Randomness::Deterministic)];
        let notebook = Arc::new(Notebook::new(&engines).unwrap());
        assert_eq!((notebook.read(), notebook.knows()), (None, [false, false]));
        let done = Arc::new(AtomicBool::new(false));
        let reader = thread::spawn({
            let (notebook, done) = (notebook.clone(), done.clone());
            move || {
                let mut seen = 0;
                while !done.load(Ordering::Acquire) {
                    for node in notebook.read().iter().flatten().flat_map(|learned| &learned.nodes) {
                        let count = node.source.frames as f64;
                        let values = node.source.mean.iter().chain(&node.source.squares);
                        assert!(values.chain(&node.target.squares).all(|v| *v == count), "{node:?}");
                        seen += 1;
                    }
                }
                seen
            }
        });
        for count in 1..20_000u64 {
            let mut learned = engines[0].learned();
            for side in sides_mut(std::slice::from_mut(&mut learned)) {
                side.frames = count;
                side.mean.fill(count as f64);
                side.squares.fill(count as f64);
            }
            engines[0].restore(&learned).unwrap();
            notebook.look(&engines);
            notebook.write(&engines);
        }
        done.store(true, Ordering::Release);
        assert!(reader.join().unwrap() > 0);
        assert_eq!(notebook.read(), Some(vec![engines[0].learned()]));
        assert_eq!(notebook.knows(), [true, true]);
    }
}
