//! Sums of one output whose products are summed in sixteen chains, as rows sum them in sixteen lanes.

use super::{Panel, Run};
use crate::kernels::vector::{LANES, Simd};

impl Run<'_> {
    /// Products of one output in sixteen chains, the second half of which joins the first until one is left.
    #[inline(always)]
    pub(super) fn chains<S: Simd>(&self, s: S, panel: &Panel, slot: usize) -> S::F {
        let sum = match self.conv.inputs {
            1 => self.in_registers::<S, 1>(s, panel, slot),
            2 => self.in_registers::<S, 2>(s, panel, slot),
            4 => self.in_registers::<S, 4>(s, panel, slot),
            8 => self.in_registers::<S, 8>(s, panel, slot),
            16 => self.in_registers::<S, 16>(s, panel, slot),
            _ => return self.in_memory(s, panel, slot),
        };
        s.add(s.splat(panel.bias[0]), sum)
    }

    /// The sum where each tap reads `I` inputs, a part of the chains: which ones a tap joins follows from its place alone.
    #[inline(always)]
    fn in_registers<S: Simd, const I: usize>(&self, s: S, panel: &Panel, slot: usize) -> S::F {
        let zero = s.splat(0.0);
        let mut chains = [zero; LANES];
        let weights = panel.weights.as_chunks::<I>().0;
        // Taps that join other chains than those before, until the first chains come again.
        let together = self.conv.chains / I;
        for (taps, weights) in self.conv.pieces.chunks(together).zip(weights.chunks(together)) {
            for t in 0..LANES / I {
                if let (Some(tap), Some(weights)) = (taps.get(t), weights.get(t)) {
                    let inputs = self.inputs(panel, tap, slot, 1);
                    for i in 0..I {
                        // SAFETY: a tap is a piece of `I` inputs.
                        let x = s.load(unsafe { inputs.get(i, 0) });
                        chains[t * I + i] = s.mul_add(x, s.splat(weights[i]), chains[t * I + i]);
                    }
                }
            }
        }
        let mut half = LANES / 2;
        while half > 0 {
            // Chains that no product joined are zero.
            if half < self.conv.chains {
                for l in 0..half {
                    chains[l] = s.add(chains[l], chains[l + half]);
                }
            }
            half /= 2;
        }
        // As if such a chain had been added: that makes a negative zero positive.
        if self.conv.chains < LANES { s.add(chains[0], zero) } else { chains[0] }
    }

    /// The sum with the bias, however many inputs a tap reads, and in however many blocks.
    #[inline(always)]
    fn in_memory<S: Simd>(&self, s: S, panel: &Panel, slot: usize) -> S::F {
        let mut sum = s.splat(panel.bias[0]);
        let mut chains = [s.splat(0.0); LANES];
        let mut weights = panel.weights.iter();
        for piece in &self.conv.pieces {
            let inputs = self.inputs(panel, piece, slot, 1);
            let products = (0..piece.to - piece.from).zip(&mut weights);
            for ((i, weight), chain) in products.zip(&mut chains[piece.chain..]) {
                // SAFETY: `i` is an input of the piece.
                let x = s.load(unsafe { inputs.get(i, 0) });
                *chain = s.mul_add(x, s.splat(*weight), *chain);
            }
            if piece.closes {
                let mut count = LANES;
                while count > 1 {
                    count /= 2;
                    for l in 0..count {
                        chains[l] = s.add(chains[l], chains[l + count]);
                    }
                }
                sum = s.add(sum, chains[0]);
                chains = [s.splat(0.0); LANES];
            }
        }
        sum
    }
}
