//! NEON: four registers of four lanes.
#![allow(unsafe_code, reason = "instructions of a set whose presence is proven")]

use std::arch::aarch64::*;
use std::array::from_fn;

use super::{EIGHT, LANES, Simd, Work};

/// Proof that this machine has NEON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Neon(());

impl Neon {
    /// The proof, where it holds.
    pub(crate) fn new() -> Option<Self> {
        std::arch::is_aarch64_feature_detected!("neon").then_some(Self(()))
    }

    /// Runs `work`, compiled for this set.
    #[inline]
    pub(in crate::kernels) fn run<W: Work>(self, work: W) -> W::Output {
        #[target_feature(enable = "neon")]
        fn enter<W: Work>(work: W, set: Neon) -> W::Output {
            work.on(set)
        }
        // SAFETY: `self` proves that the set is present.
        unsafe { enter(work, self) }
    }
}

/// One or more instructions of the set.
macro_rules! proven {
    ($instructions:expr) => {
        // SAFETY: only used in methods of `Neon`, a proof that the set is present; loads and stores go through
        // references to as many values as they touch, and ask for no alignment.
        unsafe { $instructions }
    };
}

impl Simd for Neon {
    type F = [float32x4_t; 4];
    type E = [float32x4_t; 2];
    type I = [uint32x4_t; 4];
    type M = [uint32x4_t; 4];
    const ACCUMULATORS: usize = 6;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        proven!([vdupq_n_f32(x); 4])
    }
    #[inline(always)]
    fn load(self, x: &[f32; LANES]) -> Self::F {
        proven!(from_fn(|i| vld1q_f32(x[4 * i..4 * i + 4].as_ptr())))
    }
    #[inline(always)]
    fn store(self, v: Self::F, y: &mut [f32; LANES]) {
        proven!((0..4).for_each(|i| vst1q_f32(y[4 * i..4 * i + 4].as_mut_ptr(), v[i])))
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        proven!(from_fn(|i| vaddq_f32(a[i], b[i])))
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        proven!(from_fn(|i| vsubq_f32(a[i], b[i])))
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        proven!(from_fn(|i| vmulq_f32(a[i], b[i])))
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        proven!(from_fn(|i| vdivq_f32(a[i], b[i])))
    }
    #[inline(always)]
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        proven!(from_fn(|i| vfmaq_f32(c[i], a[i], b[i])))
    }
    #[inline(always)]
    fn lt(self, a: Self::F, b: Self::F) -> Self::M {
        proven!(from_fn(|i| vcltq_f32(a[i], b[i])))
    }
    #[inline(always)]
    fn select(self, mask: Self::M, a: Self::F, b: Self::F) -> Self::F {
        proven!(from_fn(|i| vbslq_f32(mask[i], a[i], b[i])))
    }
    #[inline(always)]
    fn any(self, mask: Self::M) -> bool {
        proven!({
            let any = vorrq_u32(vorrq_u32(mask[0], mask[1]), vorrq_u32(mask[2], mask[3]));
            let halves = vreinterpretq_u64_u32(any);
            vgetq_lane_u64::<0>(halves) | vgetq_lane_u64::<1>(halves) != 0
        })
    }
    #[inline(always)]
    fn bits(self, x: Self::F) -> Self::I {
        proven!(from_fn(|i| vreinterpretq_u32_f32(x[i])))
    }
    #[inline(always)]
    fn floats(self, x: Self::I) -> Self::F {
        proven!(from_fn(|i| vreinterpretq_f32_u32(x[i])))
    }
    #[inline(always)]
    fn int(self, x: u32) -> Self::I {
        proven!([vdupq_n_u32(x); 4])
    }
    #[inline(always)]
    fn int_add(self, a: Self::I, b: Self::I) -> Self::I {
        proven!(from_fn(|i| vaddq_u32(a[i], b[i])))
    }
    #[inline(always)]
    fn int_sub(self, a: Self::I, b: Self::I) -> Self::I {
        proven!(from_fn(|i| vsubq_u32(a[i], b[i])))
    }
    #[inline(always)]
    fn and(self, a: Self::I, b: Self::I) -> Self::I {
        proven!(from_fn(|i| vandq_u32(a[i], b[i])))
    }
    #[inline(always)]
    fn xor(self, a: Self::I, b: Self::I) -> Self::I {
        proven!(from_fn(|i| veorq_u32(a[i], b[i])))
    }
    #[inline(always)]
    fn shift_left<const N: u32>(self, a: Self::I) -> Self::I {
        proven!(from_fn(|i| vshlq_u32(a[i], vdupq_n_s32(N.cast_signed()))))
    }
    #[inline(always)]
    fn shift_right<const N: u32>(self, a: Self::I) -> Self::I {
        proven!(from_fn(|i| vreinterpretq_u32_s32(vshlq_s32(
            vreinterpretq_s32_u32(a[i]),
            vdupq_n_s32(-N.cast_signed())
        ))))
    }
    #[inline(always)]
    fn splat_eight(self, x: f32) -> Self::E {
        proven!([vdupq_n_f32(x); 2])
    }
    #[inline(always)]
    fn load_eight(self, x: &[f32; EIGHT]) -> Self::E {
        proven!(from_fn(|i| vld1q_f32(x[4 * i..4 * i + 4].as_ptr())))
    }
    #[inline(always)]
    fn mul_add_eight(self, a: Self::E, b: Self::E, c: Self::E) -> Self::E {
        proven!(from_fn(|i| vfmaq_f32(c[i], a[i], b[i])))
    }
    #[inline(always)]
    fn join(self, first: Self::E, second: Self::E) -> Self::F {
        [first[0], first[1], second[0], second[1]]
    }
    #[inline(always)]
    fn swapped(self, v: Self::F) -> Self::F {
        [v[2], v[3], v[0], v[1]]
    }
    #[inline(always)]
    fn across(self, vectors: [Self::F; 4]) -> [f32; 4] {
        proven!({
            let [a, b, c, d] = vectors.map(|v| vaddq_f32(vaddq_f32(v[0], v[2]), vaddq_f32(v[1], v[3])));
            // Lanes 0 and 2, and lanes 1 and 3, of each.
            let [ab, cd] = [[a, b], [c, d]].map(|[a, b]| vaddq_f32(vzip1q_f32(a, b), vzip2q_f32(a, b)));
            let even = vcombine_f32(vget_low_f32(ab), vget_low_f32(cd));
            let odd = vcombine_f32(vget_high_f32(ab), vget_high_f32(cd));
            let mut sums = [0.0; 4];
            vst1q_f32(sums.as_mut_ptr(), vaddq_f32(even, odd));
            sums
        })
    }
}
