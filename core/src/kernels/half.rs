//! IEEE half precision, as a way to store weights that fit into it exactly.

use std::ops::Range;

/// The half with exactly this value, if there is one; the sign of zero counts.
#[inline]
pub(super) fn narrow(x: f32) -> Option<u16> {
    /// 2^-14 and 2^16: between them halves have the exponents of f32, less a constant, and ten bits after the point.
    const NORMAL: Range<u32> = (127 - 14) << 23..(127 + 16) << 23;
    let magnitude = x.to_bits() & 0x7fff_ffff;
    let half = if NORMAL.contains(&magnitude) {
        (magnitude & 0x1fff == 0).then_some(((magnitude >> 13) - ((127 - 15) << 10)) as u16)?
    } else {
        // Below, halves are multiples of 2^-24; NaN and what is too large are none.
        let multiples = x.abs() * (1 << 24) as f32;
        (magnitude < NORMAL.start && multiples.fract() == 0.0).then_some(multiples as u16)?
    };
    Some((x.to_bits() >> 16) as u16 & 0x8000 | half)
}

/// The half's value.
#[inline(always)]
pub(super) fn widen(half: u16) -> f32 {
    let magnitude = u32::from(half & 0x7fff);
    // An exponent of 2^-14 too high by 127 − 15, put right by a product; exact for subnormal halves too.
    let value = f32::from_bits(magnitude << 13) * f32::from_bits((254 - 15) << 23);
    let bits = if magnitude < 0x7c00 { value.to_bits() } else { (magnitude << 13) | 0x7f80_0000 };
    f32::from_bits(bits | u32::from(half & 0x8000) << 16)
}
