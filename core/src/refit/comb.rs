//! A convolution as least squares sees it: each row of taps gives all phases and channels of one step.
//!
//! ```text
//! y[q·phases + p − trim][o] = bias[o] + Σ_t Σ_i weight[t, i][p, o] · x[q·stride + offsets[t]][i]
//! ```

use std::sync::Arc;

use crate::graph::{Conv1d, ConvTranspose1d, Op};
use crate::tensor::{Tensor, Weight};

/// One convolution, by taps.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Comb {
    /// Input frames per row.
    pub(super) stride: i64,
    /// Output frames per row: more than one for a transposed convolution.
    pub(super) phases: usize,
    /// Output frames cut before frame 0.
    pub(super) trim: i64,
    /// Input frames read, relative to the row's own, rising.
    pub(super) offsets: Vec<i64>,
    /// Input frames between taps, as it was trained.
    pub(super) spacing: i64,
    /// Blocks of channels that do not mix.
    pub(super) groups: usize,
    /// Input channels of a group.
    pub(super) inputs: usize,
    /// Output channels of a group.
    pub(super) outputs: usize,
    /// Of each group: `[(tap, input), (phase, output)]`, row-major.
    pub(super) weights: Vec<Vec<f64>>,
    /// `[group · output]`.
    pub(super) bias: Option<Vec<f64>>,
}

impl Comb {
    /// The comb of a convolution; `None` for every other op.
    pub(super) fn of(op: &Op) -> Option<Self> {
        match op {
            Op::Conv1d(conv) => Some(Self::of_conv(conv)),
            Op::ConvTranspose1d(conv) => Some(Self::of_transposed(conv)),
            _ => None,
        }
    }

    /// Frames ahead that can be given up: input frames, or output frames of a transposed convolution; 0 for one that
    /// reads nothing ahead.
    pub(super) fn lookahead(&self) -> i64 {
        if self.phases > 1 { self.trim } else { self.offsets.last().map_or(0, |&newest| newest.max(0)) }
    }

    /// Outputs of one row and group.
    pub(super) fn width(&self) -> usize {
        self.phases * self.outputs
    }

    /// The same sums without what lies more than `bound` frames ahead: its taps up to there, the two newest frames, and
    /// `extra` older taps. What was read beyond is read from the newest frame instead.
    pub(super) fn held(&self, bound: i64, extra: i64) -> Self {
        let (trim, newest) = if self.phases > 1 { (bound, 0) } else { (self.trim, bound) };
        let oldest = self.offsets.first().copied().unwrap_or(0).min(newest);
        let mut offsets: Vec<i64> = self.offsets.iter().copied().filter(|&offset| offset <= newest).collect();
        offsets.extend((1..=extra).map(|tap| oldest - tap * self.spacing));
        offsets.extend([newest - 1, newest]);
        offsets.sort_unstable();
        offsets.dedup();
        let nearest = |wanted: i64| (0..offsets.len()).min_by_key(|&tap| (offsets[tap] - wanted).abs()).unwrap_or(0);
        let (phases, width) = (self.phases as i64, self.width());
        let mut held = Self { trim, weights: vec![], offsets: offsets.clone(), ..self.clone() };
        for old in &self.weights {
            let mut new = vec![0.0; offsets.len() * self.inputs * width];
            for (tap, offset) in self.offsets.iter().enumerate() {
                for phase in 0..phases {
                    // The frame of this phase belongs to another row, and another phase, under another trim.
                    let frame = phase - self.trim + trim;
                    let (rows, moved) = (frame.div_euclid(phases), frame.rem_euclid(phases) as usize);
                    let into = nearest(offset - rows * self.stride);
                    for input in 0..self.inputs {
                        let from = (tap * self.inputs + input) * width + phase as usize * self.outputs;
                        let to = (into * self.inputs + input) * width + moved * self.outputs;
                        (0..self.outputs).for_each(|o| new[to + o] += old[from + o]);
                    }
                }
            }
            held.weights.push(new);
        }
        held
    }

    /// The same taps, each of which reads something: what a refit may make of them.
    pub(super) fn filled(mut self) -> Self {
        self.weights.iter_mut().for_each(|weights| weights.fill(1.0));
        self
    }

    /// The same without the newest taps, if those read nothing: refitted, they would, and later than now. `None` where only
    /// a phase of them reads nothing.
    pub(super) fn without_idle(self) -> Option<Self> {
        let row = self.inputs * self.width();
        let reads = |tap: usize, phase: usize| {
            let of_phase = |at: usize| at % self.width() / self.outputs == phase;
            let mut weights = self.weights.iter().flat_map(|weights| weights[tap * row..][..row].iter().enumerate());
            weights.any(|(at, &weight)| of_phase(at) && weight != 0.0)
        };
        let newest = (0..self.offsets.len()).rfind(|&tap| (0..self.phases).any(|phase| reads(tap, phase)))?;
        let whole = self.phases == 1 || newest + 1 == self.offsets.len() && (0..self.phases).all(|p| reads(newest, p));
        whole.then(|| self.taps(&(0..=newest).collect::<Vec<_>>()))
    }

    /// The convolutions whose sum this is, in PyTorch's layout: one, or a second one for taps between those of the first.
    pub(super) fn ops(&self) -> Vec<Op> {
        let first = self.offsets[0];
        let (even, between): (Vec<usize>, Vec<usize>) =
            (0..self.offsets.len()).partition(|&tap| (self.offsets[tap] - first) % self.spacing == 0);
        if between.is_empty() {
            return vec![self.op()];
        }
        let rest = Self { spacing: 1, bias: None, ..self.taps(&between) };
        vec![self.taps(&even).op(), rest.op()]
    }

    /// One group by itself.
    pub(super) fn of_group(&self, group: usize) -> Self {
        let own = |bias: &Vec<f64>| bias[group * self.outputs..][..self.outputs].to_vec();
        Self {
            groups: 1,
            weights: vec![self.weights[group].clone()],
            bias: self.bias.as_ref().map(own),
            ..self.clone()
        }
    }

    /// The same rows, of which nothing is read.
    pub(super) fn untapped(&self) -> Self {
        self.taps(&[])
    }

    /// The part of the sums that these taps make.
    fn taps(&self, taps: &[usize]) -> Self {
        let row = self.inputs * self.width();
        let of_group = |weights: &Vec<f64>| taps.iter().flat_map(|tap| &weights[tap * row..][..row]).copied().collect();
        Self {
            offsets: taps.iter().map(|&tap| self.offsets[tap]).collect(),
            weights: self.weights.iter().map(of_group).collect(),
            ..self.clone()
        }
    }

    fn op(&self) -> Op {
        let bias = self.bias.as_ref().map(|bias| tensor(&[bias.len()], bias.iter().map(|&v| v as f32).collect()));
        let groups = self.groups;
        if self.phases > 1 {
            let (weight, stride) = (self.transposed_weight(), self.phases);
            return Op::ConvTranspose1d(ConvTranspose1d {
                weight,
                bias,
                stride,
                left_trim: self.trim as usize,
                groups,
            });
        }
        let taps = self.offsets.len();
        let mut weight = vec![0.0; groups * self.outputs * self.inputs * taps];
        for (group, own) in self.weights.iter().enumerate() {
            for (row, values) in own.chunks_exact(self.outputs).enumerate() {
                let (tap, input) = (row / self.inputs, row % self.inputs);
                for (output, &value) in values.iter().enumerate() {
                    weight[((group * self.outputs + output) * self.inputs + input) * taps + tap] = value as f32;
                }
            }
        }
        Op::Conv1d(Conv1d {
            weight: tensor(&[groups * self.outputs, self.inputs, taps], weight),
            bias,
            stride: self.stride as usize,
            dilation: self.spacing as usize,
            left_padding: -self.offsets[0],
            groups,
        })
    }

    fn of_conv(conv: &Conv1d) -> Self {
        let &[rows, inputs, taps] = conv.weight.shape() else { unreachable!("a graph checks shapes") };
        let outputs = rows / conv.groups;
        let mut weights = vec![vec![0.0; taps * inputs * outputs]; conv.groups];
        for (at, &value) in conv.weight.data().iter().enumerate() {
            let (row, input, tap) = (at / taps / inputs, at / taps % inputs, at % taps);
            weights[row / outputs][(tap * inputs + input) * outputs + row % outputs] = f64::from(value);
        }
        Self {
            stride: conv.stride as i64,
            phases: 1,
            trim: 0,
            offsets: (0..taps).map(|tap| (tap * conv.dilation) as i64 - conv.left_padding).collect(),
            spacing: conv.dilation as i64,
            groups: conv.groups,
            inputs,
            outputs,
            weights,
            bias: doubles(conv.bias.as_ref()),
        }
    }

    fn of_transposed(conv: &ConvTranspose1d) -> Self {
        let &[rows, outputs, kernel_size] = conv.weight.shape() else { unreachable!("a graph checks shapes") };
        let (inputs, phases) = (rows / conv.groups, conv.stride);
        let taps = kernel_size.div_ceil(phases);
        let mut weights = vec![vec![0.0; taps * inputs * phases * outputs]; conv.groups];
        for (at, &value) in conv.weight.data().iter().enumerate() {
            let (row, output, index) = (at / kernel_size / outputs, at / kernel_size % outputs, at % kernel_size);
            // The oldest tap first.
            let tap = taps - 1 - index / phases;
            let to = (tap * inputs + row % inputs) * phases + index % phases;
            weights[row / inputs][to * outputs + output] = f64::from(value);
        }
        Self {
            stride: 1,
            phases,
            trim: conv.left_trim as i64,
            offsets: (0..taps as i64).map(|tap| tap + 1 - taps as i64).collect(),
            spacing: 1,
            groups: conv.groups,
            inputs,
            outputs,
            weights,
            bias: doubles(conv.bias.as_ref()),
        }
    }

    fn transposed_weight(&self) -> Weight {
        let (taps, width) = (self.offsets.len(), self.width());
        let kernel_size = taps * self.phases;
        let mut weight = vec![0.0; self.groups * self.inputs * self.outputs * kernel_size];
        for (group, own) in self.weights.iter().enumerate() {
            for (at, &value) in own.iter().enumerate() {
                let (row, phase, output) = (at / width, at % width / self.outputs, at % self.outputs);
                let (tap, input) = (taps - 1 - row / self.inputs, row % self.inputs);
                let place = (group * self.inputs + input) * self.outputs + output;
                weight[place * kernel_size + tap * self.phases + phase] = value as f32;
            }
        }
        tensor(&[self.groups * self.inputs, self.outputs, kernel_size], weight)
    }
}

fn doubles(weight: Option<&Weight>) -> Option<Vec<f64>> {
    weight.map(|weight| weight.data().iter().map(|&v| f64::from(v)).collect())
}

fn tensor(shape: &[usize], values: Vec<f32>) -> Weight {
    Arc::new(Tensor::new(shape, values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Randomness;

    fn drawn(shape: &[usize], key: u32) -> Weight {
        let len = shape.iter().product::<usize>();
        tensor(shape, (0..len).map(|i| Randomness::Seeded(1).uniform(key, i as i64, 0)).collect())
    }

    fn conv() -> Conv1d {
        let (weight, bias) = (drawn(&[4, 3, 5], 1), Some(drawn(&[4], 2)));
        Conv1d { weight, bias, stride: 2, dilation: 3, left_padding: 6, groups: 2 }
    }

    fn transposed() -> ConvTranspose1d {
        ConvTranspose1d { weight: drawn(&[4, 3, 8], 3), bias: None, stride: 4, left_trim: 2, groups: 2 }
    }

    #[test]
    fn a_comb_is_its_convolution_again() {
        for op in [Op::Conv1d(conv()), Op::ConvTranspose1d(transposed())] {
            assert_eq!(Comb::of(&op).expect("a convolution").ops(), [op]);
        }
    }

    #[test]
    fn what_may_be_read_is_held_and_nothing_else() {
        let comb = Comb::of(&Op::Conv1d(conv())).expect("a convolution");
        assert_eq!((comb.lookahead(), comb.offsets.clone()), (6, vec![-6, -3, 0, 3, 6]));
        let held = comb.held(0, 1);
        assert_eq!(held.offsets, [-9, -6, -3, -1, 0]);
        let sum = |comb: &Comb, taps: &[usize]| -> f64 { taps.iter().map(|t| comb.weights[1][t * 3 * 2]).sum() };
        for (new, old) in [(0, &[][..]), (1, &[0]), (2, &[1]), (3, &[]), (4, &[2, 3, 4])] {
            assert!((sum(&held, &[new]) - sum(&comb, old)).abs() < 1e-12, "tap {new}");
        }
        assert_eq!(comb.held(4, 0).offsets, [-6, -3, 0, 3, 4]);
        let of_ops = |bound| comb.held(bound, 0).ops().iter().map(|op| Comb::of(op).expect("one").offsets).collect();
        let of_ops: [Vec<Vec<i64>>; 3] = [4, 3, 2].map(of_ops);
        assert_eq!(of_ops[0], [vec![-6, -3, 0, 3], vec![4]]);
        assert_eq!(of_ops[1], [vec![-6, -3, 0, 3], vec![2]]);
        assert_eq!(of_ops[2], [vec![-6, -3, 0], vec![1, 2]]);

        let comb = Comb::of(&Op::ConvTranspose1d(transposed())).expect("a convolution");
        let held = comb.held(0, 1);
        assert_eq!((held.trim, held.offsets.clone(), held.lookahead()), (0, vec![-2, -1, 0], 0));
        // Phase 1 was phase 3 of the same row, phase 3 phase 1 of the next one.
        let at = |comb: &Comb, tap: usize, phase: usize| comb.weights[0][tap * 2 * 12 + phase * 3];
        assert_eq!(at(&held, 1, 1), at(&comb, 0, 3));
        assert_eq!(at(&held, 2, 1), at(&comb, 1, 3));
        assert!((at(&held, 2, 3) - at(&comb, 0, 1) - at(&comb, 1, 1)).abs() < 1e-12);
        assert_eq!(at(&held, 0, 3), 0.0);
    }
}
