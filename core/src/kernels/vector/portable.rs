//! Plain Rust, for machines without a set of their own; the compiler makes of it what the target has.

use std::array::from_fn;

use super::{EIGHT, LANES, Simd};

/// Every machine has this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Portable;

impl Simd for Portable {
    type F = [f32; LANES];
    type E = [f32; EIGHT];
    type I = [u32; LANES];
    type M = [bool; LANES];
    const ACCUMULATORS: usize = 2;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        [x; LANES]
    }
    #[inline(always)]
    fn load(self, x: &[f32; LANES]) -> Self::F {
        *x
    }
    #[inline(always)]
    fn store(self, v: Self::F, y: &mut [f32; LANES]) {
        *y = v;
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        from_fn(|l| a[l] + b[l])
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        from_fn(|l| a[l] - b[l])
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        from_fn(|l| a[l] * b[l])
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        from_fn(|l| a[l] / b[l])
    }
    #[inline(always)]
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        from_fn(|l| a[l] * b[l] + c[l])
    }
    #[inline(always)]
    fn lt(self, a: Self::F, b: Self::F) -> Self::M {
        from_fn(|l| a[l] < b[l])
    }
    #[inline(always)]
    fn select(self, mask: Self::M, a: Self::F, b: Self::F) -> Self::F {
        from_fn(|l| if mask[l] { a[l] } else { b[l] })
    }
    #[inline(always)]
    fn any(self, mask: Self::M) -> bool {
        mask.contains(&true)
    }
    #[inline(always)]
    fn bits(self, x: Self::F) -> Self::I {
        x.map(f32::to_bits)
    }
    #[inline(always)]
    fn floats(self, x: Self::I) -> Self::F {
        x.map(f32::from_bits)
    }
    #[inline(always)]
    fn int(self, x: u32) -> Self::I {
        [x; LANES]
    }
    #[inline(always)]
    fn int_add(self, a: Self::I, b: Self::I) -> Self::I {
        from_fn(|l| a[l].wrapping_add(b[l]))
    }
    #[inline(always)]
    fn int_sub(self, a: Self::I, b: Self::I) -> Self::I {
        from_fn(|l| a[l].wrapping_sub(b[l]))
    }
    #[inline(always)]
    fn and(self, a: Self::I, b: Self::I) -> Self::I {
        from_fn(|l| a[l] & b[l])
    }
    #[inline(always)]
    fn xor(self, a: Self::I, b: Self::I) -> Self::I {
        from_fn(|l| a[l] ^ b[l])
    }
    #[inline(always)]
    fn shift_left<const N: u32>(self, a: Self::I) -> Self::I {
        a.map(|a| a << N)
    }
    #[inline(always)]
    fn shift_right<const N: u32>(self, a: Self::I) -> Self::I {
        a.map(|a| (a.cast_signed() >> N).cast_unsigned())
    }
    #[inline(always)]
    fn splat_eight(self, x: f32) -> Self::E {
        [x; EIGHT]
    }
    #[inline(always)]
    fn load_eight(self, x: &[f32; EIGHT]) -> Self::E {
        *x
    }
    #[inline(always)]
    fn mul_add_eight(self, a: Self::E, b: Self::E, c: Self::E) -> Self::E {
        from_fn(|l| a[l] * b[l] + c[l])
    }
    #[inline(always)]
    fn join(self, first: Self::E, second: Self::E) -> Self::F {
        from_fn(|l| if l < EIGHT { first[l] } else { second[l - EIGHT] })
    }
    #[inline(always)]
    fn swapped(self, v: Self::F) -> Self::F {
        from_fn(|l| v[(l + EIGHT) % LANES])
    }
}
