//! Sixteen lanes of f32, the one thing that instruction sets differ in. An algorithm is written once over [`Simd`] and
//! becomes code for every set through [`super::isa::Isa::run`].

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
#[cfg(target_arch = "aarch64")]
pub(super) mod neon;
pub(super) mod portable;

use super::half;

/// Lanes of a vector, outputs of a panel.
pub(crate) const LANES: usize = 16;
/// Lanes of half a vector.
pub(super) const EIGHT: usize = 8;

/// One cache line of values.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct CacheLine(pub(super) [f32; LANES]);

/// An algorithm over any instruction set. Implementations of `on` are `#[inline(always)]`, so that all of it is compiled
/// for the set.
pub(super) trait Work {
    type Output;
    fn on<S: Simd>(self, s: S) -> Self::Output;
}

/// An instruction set; a value is the proof that this machine has it. All sets but the portable one fuse `mul_add`, so
/// they give the same bits as each other.
pub(super) trait Simd: Copy {
    /// Sixteen f32.
    type F: Copy;
    /// Eight f32.
    type E: Copy;
    /// Sixteen u32.
    type I: Copy;
    /// Sixteen yes or no.
    type M: Copy;

    /// Sums of sixteen lanes that fit into registers beside what they are made of.
    const ACCUMULATORS: usize;

    fn splat(self, x: f32) -> Self::F;
    fn load(self, x: &[f32; LANES]) -> Self::F;
    fn store(self, v: Self::F, y: &mut [f32; LANES]);
    /// Sixteen IEEE half-precision values, widened exactly.
    #[inline(always)]
    fn load_half(self, x: &[u16; LANES]) -> Self::F {
        self.load(&x.map(half::widen))
    }

    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a · b + c`.
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// `a < b`; no where either is NaN.
    fn lt(self, a: Self::F, b: Self::F) -> Self::M;
    /// `a` where the mask says yes, `b` elsewhere.
    fn select(self, mask: Self::M, a: Self::F, b: Self::F) -> Self::F;
    /// Whether the mask says yes anywhere.
    fn any(self, mask: Self::M) -> bool;
    /// `a` where it is less than `b`, else `b`: NaN in `b` stays.
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        self.select(self.lt(a, b), a, b)
    }
    /// `a` where it is greater than `b`, else `b`: NaN in `b` stays.
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        self.select(self.lt(b, a), a, b)
    }

    fn bits(self, x: Self::F) -> Self::I;
    fn floats(self, x: Self::I) -> Self::F;
    fn int(self, x: u32) -> Self::I;
    /// Sums wrap.
    fn int_add(self, a: Self::I, b: Self::I) -> Self::I;
    fn int_sub(self, a: Self::I, b: Self::I) -> Self::I;
    fn and(self, a: Self::I, b: Self::I) -> Self::I;
    fn xor(self, a: Self::I, b: Self::I) -> Self::I;
    fn shift_left<const N: u32>(self, a: Self::I) -> Self::I;
    /// The sign moves in from the left.
    fn shift_right<const N: u32>(self, a: Self::I) -> Self::I;

    fn splat_eight(self, x: f32) -> Self::E;
    fn load_eight(self, x: &[f32; EIGHT]) -> Self::E;
    /// `a · b + c`.
    fn mul_add_eight(self, a: Self::E, b: Self::E, c: Self::E) -> Self::E;
    /// Both, one after the other.
    fn join(self, first: Self::E, second: Self::E) -> Self::F;
    /// The second half before the first.
    fn swapped(self, v: Self::F) -> Self::F;

    /// The sum of all lanes of each: the second half is added to the first until one lane is left.
    #[inline(always)]
    fn across(self, vectors: [Self::F; 4]) -> [f32; 4] {
        vectors.map(|v| {
            let mut lanes = [0.0; LANES];
            self.store(v, &mut lanes);
            let mut count = LANES;
            while count > 1 {
                count /= 2;
                for l in 0..count {
                    lanes[l] += lanes[l + count];
                }
            }
            lanes[0]
        })
    }

    /// Whether [`Self::pick`] is one instruction.
    const PICKS: bool = false;
    /// In each lane, the lane of `v` that `lanes` names there.
    #[inline(always)]
    fn pick(self, v: Self::F, lanes: &[u32; LANES]) -> Self::F {
        let mut values = [0.0; LANES];
        self.store(v, &mut values);
        self.load(&lanes.map(|lane| values[lane as usize % LANES]))
    }

    /// Up to sixteen values; zero in the lanes beyond.
    #[inline(always)]
    fn load_part(self, x: &[f32]) -> Self::F {
        if let Ok(x) = x.try_into() {
            return self.load(x);
        }
        let mut lanes = [0.0; LANES];
        lanes[..x.len()].copy_from_slice(x);
        self.load(&lanes)
    }

    /// As many lanes as `y` has room for, sixteen at most.
    #[inline(always)]
    fn store_part(self, v: Self::F, y: &mut [f32]) {
        if let Ok(y) = y.try_into() {
            return self.store(v, y);
        }
        let mut lanes = [0.0; LANES];
        self.store(v, &mut lanes);
        y.copy_from_slice(&lanes[..y.len()]);
    }
}
