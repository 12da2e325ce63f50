//! The power spectrum of a windowed stretch of one channel.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

use super::Source;
use crate::plan::Ring;
use crate::tensor::Weight;

/// A power spectrum by FFT.
pub(crate) struct Spectrum {
    window: Weight,
    hop: i64,
    left: i64,
    transform: Arc<dyn RealToComplex<f32>>,
}

impl Spectrum {
    pub(super) fn new(window: &Weight, hop: usize, left: usize) -> Self {
        let transform = RealFftPlanner::new().plan_fft_forward(window.len());
        Self { window: window.clone(), hop: hop as i64, left: left as i64, transform }
    }

    /// Values of scratch: the windowed stretch, its transform, and the transform's own scratch.
    pub(super) fn scratch_len(&self) -> usize {
        self.window.len() + 2 * (self.window.len() / 2 + 1) + 2 * self.transform.get_scratch_len()
    }

    /// Computes `frames` into the ring slice `own`.
    pub(super) fn run(&self, input: Source<'_>, ring: Ring, own: &mut [f32], frames: Range<i64>, scratch: &mut [f32]) {
        let size = self.window.len();
        let (stretch, rest) = scratch.split_at_mut(size);
        let (bins, rest) = rest.split_at_mut(2 * (size / 2 + 1));
        let bins: &mut [Complex<f32>] = as_complex(bins);
        let own_scratch = as_complex(&mut rest[..2 * self.transform.get_scratch_len()]);
        for n in frames {
            for (i, (x, w)) in stretch.iter_mut().zip(self.window.data()).enumerate() {
                *x = if *w == 0.0 { 0.0 } else { w * input.row(n * self.hop - self.left + i as i64)[0] };
            }
            // The lengths are the transform's own, so it cannot refuse them.
            let _ = self.transform.process_with_scratch(stretch, bins, own_scratch);
            ring.row_mut(own, n).iter_mut().zip(bins.iter()).for_each(|(y, bin)| *y = bin.norm_sqr());
        }
    }
}

impl fmt::Debug for Spectrum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spectrum").field("size", &self.window.len()).field("hop", &self.hop).finish_non_exhaustive()
    }
}

#[allow(unsafe_code, reason = "the only way to share one scratch among kernels")]
fn as_complex(values: &mut [f32]) -> &mut [Complex<f32>] {
    // SAFETY: `Complex<f32>` is `repr(C)` of two f32, so it has their alignment and twice their size; the length is
    // halved, and the borrow is passed on.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), values.len() / 2) }
}
