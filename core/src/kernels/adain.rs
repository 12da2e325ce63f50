//! Adaptive instance normalisation: see [`crate::graph::Op::AdaIn`].

use std::ops::Range;

use super::Source;
use super::isa::Isa;
use super::vector::{LANES, Simd, Work};
use crate::engine::Adaptation;
use crate::graph::Statistics;
use crate::plan::Ring;

/// Adaptive instance normalisation with what the file holds, and what an engine learned in its place.
#[derive(Debug)]
pub(crate) struct AdaIn {
    source: Option<Statistics>,
    target: Option<Statistics>,
    /// What the file holds of both; `None` where it lacks one.
    transfer: Option<Transfer>,
}

/// `scale · x + offset` per channel: what carries the source's statistics over to the target's.
#[derive(Clone, Debug)]
pub(crate) struct Transfer {
    scale: Vec<f32>,
    offset: Vec<f32>,
}

impl AdaIn {
    pub(super) fn new(source: Option<&Statistics>, target: Option<&Statistics>) -> Self {
        let transfer = source.zip(target).map(|(source, target)| {
            let mut transfer = Transfer::none(source.mean.len());
            transfer.carry(|c| source.of(c), |c| target.of(c));
            transfer
        });
        Self { source: source.cloned(), target: target.cloned(), transfer }
    }

    /// What the file holds of the source and of the target.
    pub(crate) fn held(&self) -> [Option<&Statistics>; 2] {
        [self.source.as_ref(), self.target.as_ref()]
    }

    /// Bytes of weights.
    pub(super) fn weight_bytes(&self) -> usize {
        self.transfer.as_ref().map_or(0, |t| 2 * size_of_val(t.scale.as_slice()))
    }

    /// Computes `frames` into the ring slice `own`. Frames before the signal meet what the file holds.
    pub(super) fn run(
        &self,
        isa: Isa,
        x: Source<'_>,
        ring: Ring,
        own: &mut [f32],
        frames: Range<i64>,
        mut adaptation: Option<&mut Adaptation>,
    ) {
        let mut places = ring.walk(frames.start, 1);
        let mut rows = x.ring.walk(frames.start, 1);
        for n in frames {
            let ([to], [from]) = (places.next(0), rows.next(0));
            let (y, x) = (&mut own[to..to + ring.channels], &x.own[from..from + ring.channels]);
            let transfer = match &mut adaptation {
                Some(adaptation) if n >= 0 => adaptation.meet(x),
                _ => self.transfer.as_ref(),
            };
            match transfer {
                Some(transfer) => isa.run(Carry { transfer, x, y }),
                None => y.copy_from_slice(x),
            }
        }
    }
}

impl Transfer {
    /// Carries nothing yet.
    pub(crate) fn none(channels: usize) -> Self {
        Self { scale: vec![1.0; channels], offset: vec![0.0; channels] }
    }

    /// Carries from the source's to the target's mean and deviation, given per channel. Computed in f64, rounded once, and
    /// kept finite.
    pub(crate) fn carry(&mut self, source: impl Fn(usize) -> [f64; 2], target: impl Fn(usize) -> [f64; 2]) {
        let rounded = |value: f64| (value as f32).clamp(f32::MIN, f32::MAX);
        for (c, (scale, offset)) in self.scale.iter_mut().zip(&mut self.offset).enumerate() {
            let ([from, deviation], [to, wanted]) = (source(c), target(c));
            let gain = wanted / (deviation + 1e-5);
            (*scale, *offset) = (rounded(gain), rounded(to - gain * from));
        }
    }
}

struct Carry<'a> {
    transfer: &'a Transfer,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Work for Carry<'_> {
    type Output = ();

    #[inline(always)]
    fn on<S: Simd>(self, s: S) {
        let parameters = self.transfer.scale.chunks(LANES).zip(self.transfer.offset.chunks(LANES));
        for ((y, x), (scale, offset)) in self.y.chunks_mut(LANES).zip(self.x.chunks(LANES)).zip(parameters) {
            s.store_part(s.mul_add(s.load_part(scale), s.load_part(x), s.load_part(offset)), y);
        }
    }
}
