//! Which instruction set the kernels of a plan use.

use std::fmt;
use std::str::FromStr;

#[cfg(target_arch = "aarch64")]
use super::vector::neon::Neon;
use super::vector::portable::Portable;
use super::vector::{Simd, Work};
#[cfg(target_arch = "x86_64")]
use super::vector::{avx2::Avx2, avx512::Avx512};

/// An instruction set by its name, whether or not this machine has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstructionSet {
    /// What every machine of the target has.
    Portable,
    /// AVX2, FMA and F16C.
    Avx2,
    /// AVX-512 F, VL, DQ and BW.
    Avx512,
    /// NEON, of every 64-bit ARM.
    Neon,
}

impl InstructionSet {
    const ALL: [Self; 4] = [Self::Portable, Self::Avx2, Self::Avx512, Self::Neon];

    /// The sets this machine has, slowest first.
    pub fn available() -> Vec<Self> {
        Isa::available().into_iter().map(Isa::name).collect()
    }
}

impl fmt::Display for InstructionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Neon => "neon",
        })
    }
}

impl FromStr for InstructionSet {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|set| set.to_string() == name);
        named.ok_or_else(|| {
            format!("no instruction set is called {name}; use {}", Self::ALL.map(|s| s.to_string()).join(", "))
        })
    }
}

/// An instruction set that kernels are instantiated for. Holding a value is proof that this machine has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isa {
    Portable(Portable),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    #[cfg(target_arch = "aarch64")]
    Neon(Neon),
}

impl Isa {
    /// The set of this name, where this machine has it.
    pub(crate) fn new(set: InstructionSet) -> Option<Self> {
        match set {
            InstructionSet::Portable => Some(Self::Portable(Portable)),
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => Avx2::new().map(Self::Avx2),
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => Avx512::new().map(Self::Avx512),
            #[cfg(target_arch = "aarch64")]
            InstructionSet::Neon => Neon::new().map(Self::Neon),
            #[allow(unreachable_patterns, reason = "which sets remain depends on the target")]
            _ => None,
        }
    }

    /// The sets this machine has, slowest first.
    pub(crate) fn available() -> Vec<Self> {
        InstructionSet::ALL.into_iter().filter_map(Self::new).collect()
    }

    /// The fastest set this machine has.
    pub(crate) fn best() -> Self {
        Self::available().pop().unwrap_or(Self::Portable(Portable))
    }

    pub(crate) fn name(self) -> InstructionSet {
        match self {
            Self::Portable(_) => InstructionSet::Portable,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => InstructionSet::Avx2,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => InstructionSet::Avx512,
            #[cfg(target_arch = "aarch64")]
            Self::Neon(_) => InstructionSet::Neon,
        }
    }

    /// Sums of sixteen lanes that fit into registers beside what they are made of.
    pub(super) fn accumulators(self) -> usize {
        self.run(Accumulators)
    }

    /// Whether lanes are picked in one instruction.
    pub(super) fn picks(self) -> bool {
        self.run(Picks)
    }

    /// Runs `work`, compiled for this set.
    #[inline]
    pub(super) fn run<W: Work>(self, work: W) -> W::Output {
        match self {
            Self::Portable(set) => work.on(set),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(set) => set.run(work),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(set) => set.run(work),
            #[cfg(target_arch = "aarch64")]
            Self::Neon(set) => set.run(work),
        }
    }
}

struct Accumulators;

impl Work for Accumulators {
    type Output = usize;

    #[inline(always)]
    fn on<S: Simd>(self, _: S) -> usize {
        S::ACCUMULATORS
    }
}

struct Picks;

impl Work for Picks {
    type Output = bool;

    #[inline(always)]
    fn on<S: Simd>(self, _: S) -> bool {
        S::PICKS
    }
}
