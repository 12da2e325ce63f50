//! Lengths that depend on how long the signal is.
//!
//! An offline run sees a signal of some length `T`. Everything a stream does is the same for all of them, so lengths are
//! kept as `slope · T + offset`, exactly. `T` is taken to be long, and a multiple of every stride that it meets: then
//! `⌊T / s⌋ = T / s`, comparisons are decided, and the shape arithmetic that exporters write folds away.

use std::cmp::Ordering;
use std::fmt;

/// An exact fraction, reduced, its denominator positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::import) struct Fraction {
    n: i64,
    d: i64,
}

/// `slope · T + offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::import) struct Dim {
    pub(in crate::import) slope: Fraction,
    pub(in crate::import) offset: Fraction,
}

impl Fraction {
    pub(in crate::import) const ZERO: Self = Self { n: 0, d: 1 };
    pub(in crate::import) const ONE: Self = Self { n: 1, d: 1 };

    /// `n / d`; `None` where it has no such form in 64 bits.
    pub(in crate::import) fn new(n: i128, d: i128) -> Option<Self> {
        let (mut a, mut b) = (n.unsigned_abs(), d.unsigned_abs());
        while b != 0 {
            (a, b) = (b, a % b);
        }
        let g = i128::try_from(a).ok().filter(|&g| g > 0 && d != 0)? * d.signum();
        Some(Self { n: i64::try_from(n / g).ok()?, d: i64::try_from(d / g).ok()? })
    }

    pub(in crate::import) fn whole(n: i64) -> Self {
        Self { n, d: 1 }
    }

    /// The simplest fraction that rounds to `x` as an f32: denominators up to 1024, or exact ones.
    pub(in crate::import) fn near(x: f64) -> Option<Self> {
        if !x.is_finite() || x.abs() > 9e15 {
            return None;
        }
        for d in 1..=1024_i64 {
            let n = (x * d as f64).round();
            if (n / d as f64 - x).abs() <= x.abs() * 6e-8 {
                return Self::new(n as i128, i128::from(d));
            }
        }
        let exact = (x * 2f64.powi(40)).round();
        (exact / 2f64.powi(40) == x).then(|| Self::new(exact as i128, 1 << 40)).flatten()
    }

    pub(in crate::import) fn numerator(self) -> i64 {
        self.n
    }

    pub(in crate::import) fn denominator(self) -> i64 {
        self.d
    }

    pub(in crate::import) fn to_f64(self) -> f64 {
        self.n as f64 / self.d as f64
    }

    pub(in crate::import) fn integer(self) -> Option<i64> {
        (self.d == 1).then_some(self.n)
    }

    pub(in crate::import) fn floor(self) -> i64 {
        self.n.div_euclid(self.d)
    }

    pub(in crate::import) fn plus(self, other: Self) -> Option<Self> {
        let [a, b, c, d] = [self.n, self.d, other.n, other.d].map(i128::from);
        Self::new(a * d + c * b, b * d)
    }

    pub(in crate::import) fn minus(self, other: Self) -> Option<Self> {
        self.plus(Self { n: other.n.checked_neg()?, d: other.d })
    }

    pub(in crate::import) fn times(self, other: Self) -> Option<Self> {
        Self::new(i128::from(self.n) * i128::from(other.n), i128::from(self.d) * i128::from(other.d))
    }

    pub(in crate::import) fn over(self, other: Self) -> Option<Self> {
        Self::new(i128::from(self.n) * i128::from(other.d), i128::from(self.d) * i128::from(other.n))
    }

    pub(in crate::import) fn order(self, other: Self) -> Ordering {
        (i128::from(self.n) * i128::from(other.d)).cmp(&(i128::from(other.n) * i128::from(self.d)))
    }
}

impl Dim {
    /// The length of the graph's input.
    pub(in crate::import) const TIME: Self = Self { slope: Fraction::ONE, offset: Fraction::ZERO };

    pub(in crate::import) fn fixed(n: i64) -> Self {
        Self { slope: Fraction::ZERO, offset: Fraction::whole(n) }
    }

    pub(in crate::import) fn fraction(f: Fraction) -> Self {
        Self { slope: Fraction::ZERO, offset: f }
    }

    /// The value, where it does not depend on `T`.
    pub(in crate::import) fn constant(self) -> Option<Fraction> {
        (self.slope == Fraction::ZERO).then_some(self.offset)
    }

    /// The whole number, where it does not depend on `T`.
    pub(in crate::import) fn known(self) -> Option<i64> {
        self.constant()?.integer()
    }

    pub(in crate::import) fn plus(self, other: Self) -> Option<Self> {
        Some(Self { slope: self.slope.plus(other.slope)?, offset: self.offset.plus(other.offset)? })
    }

    pub(in crate::import) fn minus(self, other: Self) -> Option<Self> {
        Some(Self { slope: self.slope.minus(other.slope)?, offset: self.offset.minus(other.offset)? })
    }

    /// The product, where one of them does not depend on `T`.
    pub(in crate::import) fn times(self, other: Self) -> Option<Self> {
        match (self.constant(), other.constant()) {
            (_, Some(f)) => Some(Self { slope: self.slope.times(f)?, offset: self.offset.times(f)? }),
            (Some(f), None) => other.times(Self::fraction(f)),
            (None, None) => None,
        }
    }

    /// The exact quotient, where that is of this form.
    pub(in crate::import) fn over(self, other: Self) -> Option<Self> {
        if let Some(f) = other.constant() {
            return Some(Self { slope: self.slope.over(f)?, offset: self.offset.over(f)? });
        }
        let ratio = self.slope.over(other.slope)?;
        (other.times(Self::fraction(ratio)) == Some(self)).then(|| Self::fraction(ratio))
    }

    /// The largest whole number that is not larger: `T` divides by what it must.
    pub(in crate::import) fn floor(self) -> Self {
        Self { slope: self.slope, offset: Fraction::whole(self.offset.floor()) }
    }

    pub(in crate::import) fn ceil(self) -> Option<Self> {
        Some(Self {
            slope: self.slope,
            offset: Fraction::whole(self.offset.n.checked_neg()?.div_euclid(self.offset.d).checked_neg()?),
        })
    }

    /// The order for long signals.
    pub(in crate::import) fn order(self, other: Self) -> Ordering {
        self.slope.order(other.slope).then(self.offset.order(other.offset))
    }

    /// The value for a signal of `frames`, rounded down.
    pub(in crate::import) fn at(self, frames: i64) -> Option<i64> {
        Some(self.slope.times(Fraction::whole(frames))?.plus(self.offset)?.floor())
    }
}

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.d == 1 { write!(f, "{}", self.n) } else { write!(f, "{}/{}", self.n, self.d) }
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.slope, self.offset.n) {
            (Fraction::ZERO, _) => write!(f, "{}", self.offset),
            (Fraction::ONE, 0) => f.write_str("T"),
            (Fraction::ONE, _) => write!(f, "T{:+}", self.offset.to_f64()),
            (slope, 0) => write!(f, "{slope}·T"),
            (slope, _) => write!(f, "{slope}·T{:+}", self.offset.to_f64()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_strided_convolution_folds() {
        // ⌊(T + 2·3 − 8) / 4⌋ + 1
        let length = Dim::TIME.plus(Dim::fixed(-2)).unwrap().over(Dim::fixed(4)).unwrap().floor();
        let length = length.plus(Dim::fixed(1)).unwrap();
        assert_eq!(length.to_string(), "1/4·T");
        assert_eq!(length.over(Dim::TIME), Some(Dim::fraction(Fraction::new(1, 4).unwrap())));
        assert_eq!(length.at(64), Some(16));
        assert_eq!(Dim::TIME.order(Dim::fixed(1 << 40)), Ordering::Greater);
    }

    #[test]
    fn floats_become_the_fractions_they_stand_for() {
        assert_eq!(Fraction::near(f64::from(1.0f32 / 3.0)), Fraction::new(1, 3));
        assert_eq!(Fraction::near(2.0), Some(Fraction::whole(2)));
        assert_eq!(Fraction::near(f64::from(44100.0f32 / 48000.0)), Fraction::new(147, 160));
        assert_eq!(Fraction::near(f64::NAN), None);
        assert_eq!(Fraction::new(i128::from(i64::MAX) * 3, 2), None);
        assert_eq!(Fraction::new(1, 0), None);
    }
}
