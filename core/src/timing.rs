//! All time arithmetic: rates, and the index of the last input sample a frame needs.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Output frames per frame of the graph's input: an exact, reduced fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    numerator: u64,
    denominator: u64,
}

impl Rate {
    /// The rate of the graph's input.
    pub const UNIT: Self = Self { numerator: 1, denominator: 1 };

    /// Frames per input frame, above.
    pub fn numerator(self) -> u64 {
        self.numerator
    }

    /// Input frames per `numerator` frames.
    pub fn denominator(self) -> u64 {
        self.denominator
    }

    /// The rate after taking every `stride`-th frame. `None` when the fraction no longer fits.
    pub fn down(self, stride: usize) -> Option<Self> {
        Self::reduced(self.numerator, self.denominator.checked_mul(stride as u64)?)
    }

    /// The rate after writing `stride` frames for each one. `None` when the fraction no longer fits.
    pub fn up(self, stride: usize) -> Option<Self> {
        Self::reduced(self.numerator.checked_mul(stride as u64)?, self.denominator)
    }

    /// This rate measured in frames of a signal at `input` rate: the rate of one graph after another.
    pub fn after(self, input: Self) -> Option<Self> {
        Self::reduced(self.numerator.checked_mul(input.numerator)?, self.denominator.checked_mul(input.denominator)?)
    }

    fn reduced(numerator: u64, denominator: u64) -> Option<Self> {
        let g = gcd(numerator, denominator);
        (g > 0).then(|| Self { numerator: numerator / g, denominator: denominator / g })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.denominator == 1 {
            write!(f, "{}", self.numerator)
        } else {
            write!(f, "{}/{}", self.numerator, self.denominator)
        }
    }
}

/// Greatest common divisor; `gcd(0, b) = b`.
pub fn gcd(a: u64, b: u64) -> u64 {
    if a == 0 { b } else { gcd(b % a, a) }
}
