//! AVX2 and FMA: two registers of eight lanes.
#![allow(unsafe_code, reason = "instructions of a set whose presence is proven")]

use std::arch::x86_64::*;

use super::{EIGHT, LANES, Simd, Work};

/// Proof that this machine has AVX2, FMA and F16C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// The proof, where it holds.
    pub(crate) fn new() -> Option<Self> {
        let present =
            is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c");
        present.then_some(Self(()))
    }

    /// Runs `work`, compiled for this set.
    #[inline]
    pub(in crate::kernels) fn run<W: Work>(self, work: W) -> W::Output {
        #[target_feature(enable = "avx2,fma,f16c")]
        fn enter<W: Work>(work: W, set: Avx2) -> W::Output {
            work.on(set)
        }
        // SAFETY: `self` proves that the set is present.
        unsafe { enter(work, self) }
    }
}

/// One or more instructions of the set.
macro_rules! proven {
    ($instructions:expr) => {
        // SAFETY: only used in methods of `Avx2`, a proof that the set is present; loads and stores go through
        // references to as many values as they touch, and ask for no alignment.
        unsafe { $instructions }
    };
}

impl Simd for Avx2 {
    type F = [__m256; 2];
    type E = __m256;
    type I = [__m256i; 2];
    type M = [__m256; 2];
    const ACCUMULATORS: usize = 6;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        proven!([_mm256_set1_ps(x); 2])
    }
    #[inline(always)]
    fn load(self, x: &[f32; LANES]) -> Self::F {
        proven!([_mm256_loadu_ps(x.as_ptr()), _mm256_loadu_ps(x[8..].as_ptr())])
    }
    #[inline(always)]
    fn store(self, v: Self::F, y: &mut [f32; LANES]) {
        proven!({
            _mm256_storeu_ps(y.as_mut_ptr(), v[0]);
            _mm256_storeu_ps(y[8..].as_mut_ptr(), v[1]);
        })
    }
    #[inline(always)]
    fn load_half(self, x: &[u16; LANES]) -> Self::F {
        proven!([
            _mm256_cvtph_ps(_mm_loadu_si128(x.as_ptr().cast())),
            _mm256_cvtph_ps(_mm_loadu_si128(x[8..].as_ptr().cast()))
        ])
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        proven!([_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])])
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        proven!([_mm256_sub_ps(a[0], b[0]), _mm256_sub_ps(a[1], b[1])])
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        proven!([_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])])
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        proven!([_mm256_div_ps(a[0], b[0]), _mm256_div_ps(a[1], b[1])])
    }
    #[inline(always)]
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        proven!([_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])])
    }
    #[inline(always)]
    fn lt(self, a: Self::F, b: Self::F) -> Self::M {
        proven!([_mm256_cmp_ps::<_CMP_LT_OQ>(a[0], b[0]), _mm256_cmp_ps::<_CMP_LT_OQ>(a[1], b[1])])
    }
    #[inline(always)]
    fn select(self, mask: Self::M, a: Self::F, b: Self::F) -> Self::F {
        proven!([_mm256_blendv_ps(b[0], a[0], mask[0]), _mm256_blendv_ps(b[1], a[1], mask[1])])
    }
    #[inline(always)]
    fn any(self, mask: Self::M) -> bool {
        proven!(_mm256_movemask_ps(_mm256_or_ps(mask[0], mask[1])) != 0)
    }
    #[inline(always)]
    fn bits(self, x: Self::F) -> Self::I {
        proven!([_mm256_castps_si256(x[0]), _mm256_castps_si256(x[1])])
    }
    #[inline(always)]
    fn floats(self, x: Self::I) -> Self::F {
        proven!([_mm256_castsi256_ps(x[0]), _mm256_castsi256_ps(x[1])])
    }
    #[inline(always)]
    fn int(self, x: u32) -> Self::I {
        proven!([_mm256_set1_epi32(x.cast_signed()); 2])
    }
    #[inline(always)]
    fn int_add(self, a: Self::I, b: Self::I) -> Self::I {
        proven!([_mm256_add_epi32(a[0], b[0]), _mm256_add_epi32(a[1], b[1])])
    }
    #[inline(always)]
    fn int_sub(self, a: Self::I, b: Self::I) -> Self::I {
        proven!([_mm256_sub_epi32(a[0], b[0]), _mm256_sub_epi32(a[1], b[1])])
    }
    #[inline(always)]
    fn and(self, a: Self::I, b: Self::I) -> Self::I {
        proven!([_mm256_and_si256(a[0], b[0]), _mm256_and_si256(a[1], b[1])])
    }
    #[inline(always)]
    fn xor(self, a: Self::I, b: Self::I) -> Self::I {
        proven!([_mm256_xor_si256(a[0], b[0]), _mm256_xor_si256(a[1], b[1])])
    }
    #[inline(always)]
    fn shift_left<const N: u32>(self, a: Self::I) -> Self::I {
        proven!([
            _mm256_sll_epi32(a[0], _mm_cvtsi32_si128(N.cast_signed())),
            _mm256_sll_epi32(a[1], _mm_cvtsi32_si128(N.cast_signed()))
        ])
    }
    #[inline(always)]
    fn shift_right<const N: u32>(self, a: Self::I) -> Self::I {
        proven!([
            _mm256_sra_epi32(a[0], _mm_cvtsi32_si128(N.cast_signed())),
            _mm256_sra_epi32(a[1], _mm_cvtsi32_si128(N.cast_signed()))
        ])
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
        [first, second]
    }
    #[inline(always)]
    fn swapped(self, v: Self::F) -> Self::F {
        [v[1], v[0]]
    }
    #[inline(always)]
    fn across(self, vectors: [Self::F; 4]) -> [f32; 4] {
        let [a, b, c, d] = vectors;
        proven!(across_halves([
            _mm256_add_ps(a[0], a[1]),
            _mm256_add_ps(b[0], b[1]),
            _mm256_add_ps(c[0], c[1]),
            _mm256_add_ps(d[0], d[1])
        ]))
    }
    #[inline(always)]
    fn pick(self, v: Self::F, lanes: &[u32; LANES]) -> Self::F {
        let mut picked = v;
        for (picked, lanes) in picked.iter_mut().zip(lanes.as_chunks::<EIGHT>().0) {
            *picked = proven!({
                let lanes = _mm256_loadu_si256(lanes.as_ptr().cast());
                // The fourth bit, which says which half, becomes the sign.
                let second = _mm256_castsi256_ps(_mm256_slli_epi32::<28>(lanes));
                _mm256_blendv_ps(_mm256_permutevar8x32_ps(v[0], lanes), _mm256_permutevar8x32_ps(v[1], lanes), second)
            });
        }
        picked
    }
}

/// The sum of the eight lanes of each: the second half is added to the first until one lane is left.
///
/// # Safety
/// The machine must have AVX2.
#[inline(always)]
pub(super) unsafe fn across_halves(vectors: [__m256; 4]) -> [f32; 4] {
    let [a, b, c, d] = vectors;
    // SAFETY: the caller's; the store goes to as many values as it touches.
    unsafe {
        let a = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
        let b = _mm_add_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps::<1>(b));
        let c = _mm_add_ps(_mm256_castps256_ps128(c), _mm256_extractf128_ps::<1>(c));
        let d = _mm_add_ps(_mm256_castps256_ps128(d), _mm256_extractf128_ps::<1>(d));
        // Lanes 0 and 2, and lanes 1 and 3, of each.
        let ab = _mm_add_ps(_mm_unpacklo_ps(a, b), _mm_unpackhi_ps(a, b));
        let cd = _mm_add_ps(_mm_unpacklo_ps(c, d), _mm_unpackhi_ps(c, d));
        let mut sums = [0.0; 4];
        _mm_storeu_ps(sums.as_mut_ptr(), _mm_add_ps(_mm_movelh_ps(ab, cd), _mm_movehl_ps(cd, ab)));
        sums
    }
}
