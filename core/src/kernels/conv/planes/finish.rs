//! What follows sums in planes while they are in registers.

use crate::graph::Pointwise;
use crate::kernels::epilogue::{Epilogue, Left};
use crate::kernels::function::Function;
use crate::kernels::math;
use crate::kernels::vector::Simd;

/// The functions of an epilogue that the sums meet in registers.
#[derive(Debug)]
pub(super) struct Finish {
    pub(super) function: InPlace,
    pub(super) then: InPlace,
}

impl Finish {
    /// What of an epilogue of so many outputs follows in registers, and what is left then.
    pub(super) fn of(epilogue: &Epilogue, outputs: usize) -> (Self, Left) {
        let [function, then] = [&epilogue.function, &epilogue.then].map(|f| InPlace::of(f.as_ref(), outputs));
        match (function, then) {
            (Some(function), Some(then)) => (Self { function, then }, Left::Nothing),
            (Some(function), None) => (Self { function, then: InPlace::Nothing }, Left::Then),
            (None, _) => (Self { function: InPlace::Nothing, then: InPlace::Nothing }, Left::All),
        }
    }
}

/// A function of sums that are in registers.
#[derive(Debug)]
pub(super) enum InPlace {
    Nothing,
    LeakyRelu {
        /// `[outputs]`.
        slopes: Vec<f32>,
    },
    Tanh,
}

impl InPlace {
    /// The function of so many outputs, if it is one of these.
    fn of(function: Option<&Function>, outputs: usize) -> Option<Self> {
        match function {
            None => Some(Self::Nothing),
            Some(Function::Pointwise(Pointwise::LeakyRelu { slope })) => {
                Some(Self::LeakyRelu { slopes: vec![*slope; outputs] })
            }
            Some(Function::PRelu { slope }) => Some(Self::LeakyRelu { slopes: slope.data().to_vec() }),
            Some(Function::Pointwise(Pointwise::Tanh)) => Some(Self::Tanh),
            Some(_) => None,
        }
    }

    /// Puts the function of the outputs from `first` on in their place.
    #[inline(always)]
    pub(super) fn of_each<S: Simd, const N: usize>(&self, s: S, first: usize, sums: &mut [S::F; N]) {
        match self {
            Self::Nothing => {}
            Self::LeakyRelu { slopes } => {
                let slopes = &slopes[first..][..N];
                for n in 0..N {
                    sums[n] = math::leaky_relu(s, sums[n], slopes[n]);
                }
            }
            Self::Tanh => {
                for n in 0..N {
                    sums[n] = math::tanh(s, sums[n]);
                }
            }
        }
    }
}
