//! Every convolution as a gather: an output frame sums a fixed set of taps over cached input frames.
//!
//! ```text
//! strided     y[n]        = Σ_k w[k] · x[n·stride + k·dilation − left]
//! transposed  y[q·s + p − left] = Σ_j w[p + j·s] · x[q − j]              s polyphase filters, bias added once
//! subpixel    y[q·r + p]  = Σ_k w_p[k] · x[q + k·dilation − left]        r filters, interleaved
//! ```
//!
//! Taps whose weights are all zero at either end of a filter are not read, so nothing waits for them.

use serde::{Deserialize, Serialize};

use crate::graph::{Conv1d, ConvTranspose1d, Op};
use crate::tensor::{Tensor, Weight};
use crate::timing::Reads;

/// A convolution over cached frames.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CachedConv<W = Weight> {
    /// How output frames relate to input frames.
    pub kind: ConvKind,
    /// `[out, in / groups, kernel_size]`; transposed: `[in, out / groups, kernel_size]`; subpixel: `out` counts every
    /// phase, phase fastest.
    pub weight: W,
    /// `[out]`.
    pub bias: Option<W>,
    /// Input frames between taps; 1 when transposed.
    pub dilation: usize,
    /// Input frames before the frame's own time that the first tap reads; transposed: output frames trimmed.
    pub left: i64,
    /// Blocks of channels that do not mix.
    pub groups: usize,
}

/// How output frames relate to input frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConvKind {
    /// One output frame per `stride` input frames.
    Strided {
        /// Input frames per output frame.
        stride: usize,
    },
    /// `stride` output frames per input frame, of a transposed convolution.
    Transposed {
        /// Output frames per input frame.
        stride: usize,
    },
    /// `factor` output frames per input frame, of a convolution whose channels become time.
    Subpixel {
        /// Output frames per input frame.
        factor: usize,
    },
}

/// One tap of one phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tap {
    /// Input frame read, relative to `q · stride` of [`Reads`].
    pub offset: i64,
    /// Index into the kernel.
    pub index: usize,
}

/// Which of a convolution's taps are summed. Frames of the older taps exist before the newest do, so their sum can be
/// made ahead of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All taps.
    Whole,
    /// All but the last ones of each phase; none where a phase has no more.
    Older {
        /// Taps left out.
        newest: usize,
    },
    /// The last ones of each phase.
    Newest {
        /// Taps kept.
        newest: usize,
    },
}

impl CachedConv {
    /// A matrix `[out, in]`, row-major, times each frame by itself; `bias` of `[out]` is added.
    pub(crate) fn matrix([out, inputs]: [usize; 2], weight: &[f32], bias: Option<&[f32]>) -> Self {
        Self {
            kind: ConvKind::Strided { stride: 1 },
            weight: Tensor::new([out, inputs, 1], weight.to_vec()).into(),
            bias: bias.map(|bias| Tensor::new([out], bias.to_vec()).into()),
            dilation: 1,
            left: 0,
            groups: 1,
        }
    }

    /// The kind's name in tables and messages.
    pub fn name(&self) -> &'static str {
        match self.kind {
            ConvKind::Strided { .. } => "conv",
            ConvKind::Transposed { .. } => "conv_transposed",
            ConvKind::Subpixel { .. } => "conv_subpixel",
        }
    }

    /// Channels of the output.
    pub fn out_channels(&self) -> usize {
        let shape = self.weight.shape();
        match self.kind {
            ConvKind::Strided { .. } => shape[0],
            ConvKind::Transposed { .. } => shape[1] * self.groups,
            ConvKind::Subpixel { factor } => shape[0] / factor,
        }
    }

    /// Input channels of one group.
    pub fn group_inputs(&self) -> usize {
        match self.kind {
            ConvKind::Strided { .. } | ConvKind::Subpixel { .. } => self.weight.shape()[1],
            ConvKind::Transposed { .. } => self.weight.shape()[0] / self.groups,
        }
    }

    /// Number of filters that output frames cycle through.
    pub fn phases(&self) -> usize {
        match self.kind {
            ConvKind::Strided { .. } => 1,
            ConvKind::Transposed { stride } => stride,
            ConvKind::Subpixel { factor } => factor,
        }
    }

    /// The coefficient from channel `input` of group `out / (out_channels / groups)` to channel `out`.
    pub fn coefficient(&self, phase: usize, out: usize, input: usize, tap: Tap) -> f32 {
        let [_, columns, kernel_size] = self.dims();
        let at = |row: usize, column: usize| self.weight.data()[(row * columns + column) * kernel_size + tap.index];
        match self.kind {
            ConvKind::Strided { .. } => at(out, input),
            ConvKind::Subpixel { factor } => at(out * factor + phase, input),
            ConvKind::Transposed { .. } => {
                let group = out / columns;
                at(group * self.group_inputs() + input, out % columns)
            }
        }
    }

    /// The bias of channel `out` in `phase`.
    pub fn offset(&self, phase: usize, out: usize) -> f32 {
        let index = match self.kind {
            ConvKind::Strided { .. } | ConvKind::Transposed { .. } => out,
            ConvKind::Subpixel { factor } => out * factor + phase,
        };
        self.bias.as_ref().map_or(0.0, |b| b.data()[index])
    }

    /// The taps of each phase, oldest input frame first, without the zero ones at either end.
    pub fn taps(&self) -> Vec<Vec<Tap>> {
        let [.., kernel_size] = self.dims();
        (0..self.phases())
            .map(|phase| {
                let all: Vec<Tap> = match self.kind {
                    ConvKind::Strided { .. } | ConvKind::Subpixel { .. } => (0..kernel_size)
                        .map(|index| Tap { offset: (index * self.dilation) as i64 - self.left, index })
                        .collect(),
                    ConvKind::Transposed { stride } => {
                        let mut taps: Vec<_> = (phase..kernel_size)
                            .step_by(stride)
                            .enumerate()
                            .map(|(j, index)| Tap { offset: -(j as i64), index })
                            .collect();
                        taps.reverse();
                        taps
                    }
                };
                let read = |tap: &Tap| self.is_read(phase, *tap);
                match (all.iter().position(read), all.iter().rposition(read)) {
                    (Some(first), Some(last)) => all[first..=last].to_vec(),
                    _ => vec![],
                }
            })
            .collect()
    }

    /// The taps of `part`, as [`Self::taps`].
    pub(crate) fn part_taps(&self, part: Part) -> Vec<Vec<Tap>> {
        let mut taps = self.taps();
        for taps in &mut taps {
            match part {
                Part::Whole => {}
                Part::Older { newest } => taps.truncate(taps.len().saturating_sub(newest)),
                Part::Newest { newest } => drop(taps.drain(..taps.len().saturating_sub(newest))),
            }
        }
        taps
    }

    /// Which input frames a frame reads.
    pub fn reads(&self) -> Reads {
        self.part_reads(Part::Whole)
    }

    /// Which input frames the taps of `part` read.
    pub(crate) fn part_reads(&self, part: Part) -> Reads {
        let taps = self.part_taps(part);
        let mut ranges: Vec<_> = taps.iter().map(|taps| Some((taps.first()?.offset, taps.last()?.offset))).collect();
        if part == Part::Whole && ranges.iter().all(Option::is_none) {
            // All weights are zero: the frame is its bias, and comes when the past does.
            ranges[0] = Some((-self.left.abs(), -self.left.abs()));
        }
        let (shift, stride) = match self.kind {
            ConvKind::Strided { stride } => (0, stride),
            ConvKind::Transposed { .. } => (self.left, 1),
            ConvKind::Subpixel { .. } => (0, 1),
        };
        Reads { phases: self.phases() as i64, shift, stride: stride as i64, ranges }
    }

    /// Multiply-adds of one output frame, averaged over phases.
    pub fn macs_per_frame(&self) -> f64 {
        let taps: usize = self.taps().iter().map(Vec::len).sum();
        (taps * self.out_channels() * self.group_inputs()) as f64 / self.phases() as f64
    }

    /// The trained convolution, before any interleaving.
    pub(super) fn trained(&self) -> Op {
        let (weight, bias, groups) = (self.weight.clone(), self.bias.clone(), self.groups);
        match self.kind {
            ConvKind::Transposed { stride } => {
                Op::ConvTranspose1d(ConvTranspose1d { weight, bias, stride, left_trim: self.left as usize, groups })
            }
            ConvKind::Strided { stride } => {
                Op::Conv1d(Conv1d { weight, bias, stride, dilation: self.dilation, left_padding: self.left, groups })
            }
            ConvKind::Subpixel { .. } => {
                Op::Conv1d(Conv1d { weight, bias, stride: 1, dilation: self.dilation, left_padding: self.left, groups })
            }
        }
    }

    fn dims(&self) -> [usize; 3] {
        let shape = self.weight.shape();
        [shape[0], shape[1], shape[2]]
    }

    fn is_read(&self, phase: usize, tap: Tap) -> bool {
        let inputs = self.group_inputs();
        (0..self.out_channels()).any(|out| (0..inputs).any(|i| self.coefficient(phase, out, i, tap) != 0.0))
    }
}
