//! AVX-512: one register of sixteen lanes.
#![allow(unsafe_code, reason = "instructions of a set whose presence is proven")]

use std::arch::x86_64::*;

use super::avx2::across_halves;
use super::{EIGHT, LANES, Simd, Work};

/// Proof that this machine has AVX-512 F, VL, DQ and BW, FMA and F16C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Avx512(());

impl Avx512 {
    /// The proof, where it holds.
    pub(crate) fn new() -> Option<Self> {
        let present = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        present.then_some(Self(()))
    }

    /// Runs `work`, compiled for this set.
    #[inline]
    pub(in crate::kernels) fn run<W: Work>(self, work: W) -> W::Output {
        #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,fma,f16c")]
        fn enter<W: Work>(work: W, set: Avx512) -> W::Output {
            work.on(set)
        }
        // SAFETY: `self` proves that the set is present.
        unsafe { enter(work, self) }
    }
}

/// One or more instructions of the set.
macro_rules! proven {
    ($instructions:expr) => {
        // SAFETY: only used in methods of `Avx512`, a proof that the set is present; loads and stores go through
        // references to as many values as they touch, and ask for no alignment.
        unsafe { $instructions }
    };
}

impl Simd for Avx512 {
    type F = __m512;
    type E = __m256;
    type I = __m512i;
    type M = __mmask16;
    const ACCUMULATORS: usize = 16;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        proven!(_mm512_set1_ps(x))
    }
    #[inline(always)]
    fn load(self, x: &[f32; LANES]) -> Self::F {
        proven!(_mm512_loadu_ps(x.as_ptr()))
    }
    #[inline(always)]
    fn store(self, v: Self::F, y: &mut [f32; LANES]) {
        proven!(_mm512_storeu_ps(y.as_mut_ptr(), v));
    }
    #[inline(always)]
    fn load_half(self, x: &[u16; LANES]) -> Self::F {
        proven!(_mm512_cvtph_ps(_mm256_loadu_si256(x.as_ptr().cast())))
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        proven!(_mm512_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        proven!(_mm512_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        proven!(_mm512_mul_ps(a, b))
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        proven!(_mm512_div_ps(a, b))
    }
    #[inline(always)]
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        proven!(_mm512_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn lt(self, a: Self::F, b: Self::F) -> Self::M {
        proven!(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b))
    }
    #[inline(always)]
    fn select(self, mask: Self::M, a: Self::F, b: Self::F) -> Self::F {
        proven!(_mm512_mask_blend_ps(mask, b, a))
    }
    #[inline(always)]
    fn any(self, mask: Self::M) -> bool {
        mask != 0
    }
    #[inline(always)]
    fn bits(self, x: Self::F) -> Self::I {
        proven!(_mm512_castps_si512(x))
    }
    #[inline(always)]
    fn floats(self, x: Self::I) -> Self::F {
        proven!(_mm512_castsi512_ps(x))
    }
    #[inline(always)]
    fn int(self, x: u32) -> Self::I {
        proven!(_mm512_set1_epi32(x.cast_signed()))
    }
    #[inline(always)]
    fn int_add(self, a: Self::I, b: Self::I) -> Self::I {
        proven!(_mm512_add_epi32(a, b))
    }
    #[inline(always)]
    fn int_sub(self, a: Self::I, b: Self::I) -> Self::I {
        proven!(_mm512_sub_epi32(a, b))
    }
    #[inline(always)]
    fn and(self, a: Self::I, b: Self::I) -> Self::I {
        proven!(_mm512_and_si512(a, b))
    }
    #[inline(always)]
    fn xor(self, a: Self::I, b: Self::I) -> Self::I {
        proven!(_mm512_xor_si512(a, b))
    }
    #[inline(always)]
    fn shift_left<const N: u32>(self, a: Self::I) -> Self::I {
        proven!(_mm512_sll_epi32(a, _mm_cvtsi32_si128(N.cast_signed())))
    }
    #[inline(always)]
    fn shift_right<const N: u32>(self, a: Self::I) -> Self::I {
        proven!(_mm512_sra_epi32(a, _mm_cvtsi32_si128(N.cast_signed())))
    }
    #[inline(always)]
    fn splat_eight(self, x: f32) -> Self::E {
        proven!(_mm256_set1_ps(x))
    }
    #[inline(always)]
    fn load_eight(self, x: &[f32; EIGHT]) -> Self::E {
        proven!(_mm256_loadu_ps(x.as_ptr()))
    }
    #[inline(always)]
    fn mul_add_eight(self, a: Self::E, b: Self::E, c: Self::E) -> Self::E {
        proven!(_mm256_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn join(self, first: Self::E, second: Self::E) -> Self::F {
        proven!(_mm512_insertf32x8::<1>(_mm512_castps256_ps512(first), second))
    }
    #[inline(always)]
    fn swapped(self, v: Self::F) -> Self::F {
        proven!(_mm512_shuffle_f32x4::<0b01_00_11_10>(v, v))
    }
    #[inline(always)]
    fn across(self, vectors: [Self::F; 4]) -> [f32; 4] {
        let [a, b, c, d] = vectors;
        proven!(across_halves([
            _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps::<1>(a)),
            _mm256_add_ps(_mm512_castps512_ps256(b), _mm512_extractf32x8_ps::<1>(b)),
            _mm256_add_ps(_mm512_castps512_ps256(c), _mm512_extractf32x8_ps::<1>(c)),
            _mm256_add_ps(_mm512_castps512_ps256(d), _mm512_extractf32x8_ps::<1>(d))
        ]))
    }
    const PICKS: bool = true;
    #[inline(always)]
    fn pick(self, v: Self::F, lanes: &[u32; LANES]) -> Self::F {
        proven!(_mm512_permutexvar_ps(_mm512_loadu_si512(lanes.as_ptr().cast()), v))
    }
    #[inline(always)]
    fn load_part(self, x: &[f32]) -> Self::F {
        let mask = first_lanes(x.len());
        proven!(_mm512_maskz_loadu_ps(mask, x.as_ptr()))
    }
    #[inline(always)]
    fn store_part(self, v: Self::F, y: &mut [f32]) {
        let mask = first_lanes(y.len());
        proven!(_mm512_mask_storeu_ps(y.as_mut_ptr(), mask, v));
    }
}

/// The mask of so many lanes, sixteen at most; lanes without it are neither read nor written.
#[inline(always)]
fn first_lanes(lanes: usize) -> __mmask16 {
    debug_assert!(lanes <= LANES);
    ((1u32 << lanes.min(LANES)) - 1) as __mmask16
}
