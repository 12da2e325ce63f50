//! The closed set of ops that stream.

use serde::{Deserialize, Serialize};

use super::conv::{CachedConv, ConvKind};
use crate::graph::{self, BatchNorm, Gru, LayerNorm, Lstm, NoiseSynth, Op, Parameter, Pointwise, Rnn, Statistics};
use crate::tensor::Weight;
use crate::timing::Reads;

/// One op of a stream. `W` is how weights are named: shared tensors in memory, names in a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamOp<W = Weight> {
    /// The stream's input.
    Input {
        /// Channels.
        channels: usize,
    },
    /// Every kind of convolution.
    Conv(CachedConv<W>),
    /// `scale · x + offset` per channel: what is left of a normalisation that no convolution took in.
    ChannelAffine {
        /// `[channels]`.
        scale: W,
        /// `[channels]`.
        offset: W,
    },
    /// A function of each value by itself.
    Pointwise(Pointwise),
    /// [`Op::Snake`].
    Snake {
        /// `[channels]`.
        alpha: W,
    },
    /// [`Op::Add`].
    Add,
    /// [`Op::Mul`].
    Mul,
    /// [`Op::Concat`].
    Concat,
    /// [`Op::Slice`].
    Slice {
        /// First channel kept.
        start: usize,
        /// Number of channels kept.
        channels: usize,
    },
    /// [`Op::AlternateSign`].
    AlternateSign,
    /// [`Op::DepthToTime`].
    DepthToTime {
        /// Frames made of each frame.
        factor: usize,
    },
    /// [`Op::Repeat`].
    Repeat {
        /// Frames made of each frame.
        factor: usize,
    },
    /// [`Op::Gaussian`].
    Gaussian {
        /// Channels drawn.
        channels: usize,
        /// Names this source among the model's random parts.
        key: u32,
    },
    /// [`Op::NoiseSynth`].
    NoiseSynth(NoiseSynth<W>),
    /// [`Op::Gru`].
    Gru(Gru<W>),
    /// [`Op::PowerSpectrum`].
    PowerSpectrum {
        /// `[size]`.
        window: W,
        /// Input frames per output frame.
        hop: usize,
        /// Input frames before the frame's own time.
        left: usize,
    },
    /// [`Op::UnitNorm`].
    UnitNorm,
    /// [`Op::ToAngles`].
    ToAngles,
    /// [`Op::FromAngles`].
    FromAngles,
    /// [`Op::Quantize`].
    Quantize {
        /// `[codebooks, entries, channels]`.
        codebooks: W,
    },
    /// [`Op::Dequantize`].
    Dequantize {
        /// `[codebooks, entries, channels]`.
        codebooks: W,
    },
    /// [`Op::LatentEdit`].
    LatentEdit,
    /// [`Op::AdaIn`]; what an engine learns takes the place of what the file holds.
    AdaIn {
        /// Of the source.
        source: Option<Statistics<W>>,
        /// Of the target.
        target: Option<Statistics<W>>,
    },
    /// [`Op::Lstm`].
    Lstm(Lstm<W>),
    /// [`Op::PRelu`].
    PRelu {
        /// `[channels]`.
        slope: W,
    },
    /// [`Op::Parameter`].
    Parameter(Parameter),
    /// [`Op::Max`].
    Max,
    /// [`Op::LayerNorm`].
    LayerNorm(LayerNorm<W>),
    /// [`Op::Softmax`].
    Softmax {
        /// Blocks of channels that one sum runs over.
        groups: usize,
    },
    /// [`Op::Rnn`].
    Rnn(Rnn<W>),
}

impl<W> StreamOp<W> {
    /// The same op with every weight replaced by `f` of it.
    ///
    /// # Errors
    /// The first error of `f`.
    pub fn map_weights<V, E>(&self, mut f: impl FnMut(&W) -> Result<V, E>) -> Result<StreamOp<V>, E> {
        Ok(match self {
            Self::Input { channels } => StreamOp::Input { channels: *channels },
            Self::Conv(c) => StreamOp::Conv(CachedConv {
                kind: c.kind,
                weight: f(&c.weight)?,
                bias: c.bias.as_ref().map(&mut f).transpose()?,
                dilation: c.dilation,
                left: c.left,
                groups: c.groups,
            }),
            Self::ChannelAffine { scale, offset } => StreamOp::ChannelAffine { scale: f(scale)?, offset: f(offset)? },
            Self::Pointwise(p) => StreamOp::Pointwise(*p),
            Self::Snake { alpha } => StreamOp::Snake { alpha: f(alpha)? },
            Self::Add => StreamOp::Add,
            Self::Mul => StreamOp::Mul,
            Self::Concat => StreamOp::Concat,
            Self::Slice { start, channels } => StreamOp::Slice { start: *start, channels: *channels },
            Self::AlternateSign => StreamOp::AlternateSign,
            Self::DepthToTime { factor } => StreamOp::DepthToTime { factor: *factor },
            Self::Repeat { factor } => StreamOp::Repeat { factor: *factor },
            Self::Gaussian { channels, key } => StreamOp::Gaussian { channels: *channels, key: *key },
            Self::NoiseSynth(s) => StreamOp::NoiseSynth(NoiseSynth {
                response: f(&s.response)?,
                excitation: match &s.excitation {
                    graph::Excitation::Random { key } => graph::Excitation::Random { key: *key },
                    graph::Excitation::Fixed(noise) => graph::Excitation::Fixed(f(noise)?),
                },
            }),
            Self::Gru(g) => StreamOp::Gru(Gru {
                weight_ih: f(&g.weight_ih)?,
                weight_hh: f(&g.weight_hh)?,
                bias_ih: f(&g.bias_ih)?,
                bias_hh: f(&g.bias_hh)?,
                reset: g.reset,
                initial_hidden: g.initial_hidden.as_ref().map(&mut f).transpose()?,
            }),
            Self::PowerSpectrum { window, hop, left } => {
                StreamOp::PowerSpectrum { window: f(window)?, hop: *hop, left: *left }
            }
            Self::UnitNorm => StreamOp::UnitNorm,
            Self::ToAngles => StreamOp::ToAngles,
            Self::FromAngles => StreamOp::FromAngles,
            Self::Quantize { codebooks } => StreamOp::Quantize { codebooks: f(codebooks)? },
            Self::Dequantize { codebooks } => StreamOp::Dequantize { codebooks: f(codebooks)? },
            Self::LatentEdit => StreamOp::LatentEdit,
            Self::AdaIn { source, target } => {
                let mut side = |held: &Option<Statistics<W>>| match held {
                    Some(s) => Ok(Some(Statistics { mean: f(&s.mean)?, deviation: f(&s.deviation)? })),
                    None => Ok(None),
                };
                StreamOp::AdaIn { source: side(source)?, target: side(target)? }
            }
            Self::Lstm(l) => StreamOp::Lstm(Lstm {
                weight_ih: f(&l.weight_ih)?,
                weight_hh: f(&l.weight_hh)?,
                bias: f(&l.bias)?,
                initial_hidden: f(&l.initial_hidden)?,
                initial_cell: f(&l.initial_cell)?,
            }),
            Self::PRelu { slope } => StreamOp::PRelu { slope: f(slope)? },
            Self::Parameter(p) => StreamOp::Parameter(p.clone()),
            Self::Max => StreamOp::Max,
            Self::LayerNorm(n) => StreamOp::LayerNorm(LayerNorm {
                weight: n.weight.as_ref().map(&mut f).transpose()?,
                bias: n.bias.as_ref().map(&mut f).transpose()?,
                epsilon: n.epsilon,
                centred: n.centred,
                groups: n.groups,
            }),
            Self::Softmax { groups } => StreamOp::Softmax { groups: *groups },
            Self::Rnn(r) => StreamOp::Rnn(Rnn {
                weight_ih: f(&r.weight_ih)?,
                weight_hh: f(&r.weight_hh)?,
                bias: f(&r.bias)?,
                initial_hidden: f(&r.initial_hidden)?,
                activation: r.activation,
            }),
        })
    }

    /// The op's weights.
    pub fn weights(&self) -> Vec<&W> {
        match self {
            Self::Conv(c) => std::iter::once(&c.weight).chain(&c.bias).collect(),
            Self::ChannelAffine { scale, offset } => vec![scale, offset],
            Self::Snake { alpha } => vec![alpha],
            Self::NoiseSynth(s) => match &s.excitation {
                graph::Excitation::Random { .. } => vec![&s.response],
                graph::Excitation::Fixed(noise) => vec![&s.response, noise],
            },
            Self::Gru(g) => {
                [&g.weight_ih, &g.weight_hh, &g.bias_ih, &g.bias_hh].into_iter().chain(&g.initial_hidden).collect()
            }
            Self::Lstm(l) => vec![&l.weight_ih, &l.weight_hh, &l.bias, &l.initial_hidden, &l.initial_cell],
            Self::Rnn(r) => vec![&r.weight_ih, &r.weight_hh, &r.bias, &r.initial_hidden],
            Self::PRelu { slope } => vec![slope],
            Self::PowerSpectrum { window, .. } => vec![window],
            Self::Quantize { codebooks } | Self::Dequantize { codebooks } => vec![codebooks],
            Self::LayerNorm(n) => n.weight.iter().chain(&n.bias).collect(),
            Self::Max
            | Self::Softmax { .. }
            | Self::Input { .. }
            | Self::Pointwise(_)
            | Self::Add
            | Self::Mul
            | Self::Concat
            | Self::Slice { .. }
            | Self::AlternateSign
            | Self::DepthToTime { .. }
            | Self::Repeat { .. }
            | Self::Gaussian { .. }
            | Self::UnitNorm
            | Self::ToAngles
            | Self::FromAngles
            | Self::LatentEdit
            | Self::Parameter(_) => vec![],
            Self::AdaIn { source, target } => {
                source.iter().chain(target).flat_map(|s| [&s.mean, &s.deviation]).collect()
            }
        }
    }
}

impl StreamOp {
    /// The op's name in tables and messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Conv(c) => c.name(),
            Self::ChannelAffine { .. } => "channel_affine",
            other => other.trained_without_interleaving().name(),
        }
    }

    /// Which frames of an input frame `n` reads; the same for every input.
    pub fn reads(&self) -> Reads {
        match self {
            Self::Conv(c) => c.reads(),
            Self::DepthToTime { factor } | Self::Repeat { factor } => Reads::repeated(*factor),
            Self::NoiseSynth(s) => Reads::repeated(s.response.shape()[0]),
            Self::PowerSpectrum { window, hop, left } => {
                let nonzero = |w: &&f32| **w != 0.0;
                let skipped = window.data().iter().take_while(|w| !nonzero(w)).count().min(window.len() - 1);
                let unread =
                    window.data().iter().rev().take_while(|w| !nonzero(w)).count().min(window.len() - 1 - skipped);
                let left = *left as i64;
                Reads::strided(*hop, skipped as i64 - left, (window.len() - 1 - unread) as i64 - left)
            }
            Self::Input { .. }
            | Self::ChannelAffine { .. }
            | Self::Pointwise(_)
            | Self::Snake { .. }
            | Self::Add
            | Self::Mul
            | Self::Concat
            | Self::Slice { .. }
            | Self::AlternateSign
            | Self::Gaussian { .. }
            | Self::Gru(_)
            | Self::UnitNorm
            | Self::ToAngles
            | Self::FromAngles
            | Self::Quantize { .. }
            | Self::Dequantize { .. }
            | Self::LatentEdit
            | Self::AdaIn { .. }
            | Self::Lstm(_)
            | Self::Rnn(_)
            | Self::PRelu { .. } => Reads::same(),
            Self::Parameter(_) => Reads::nothing(),
            Self::Max | Self::LayerNorm(_) | Self::Softmax { .. } => Reads::same(),
        }
    }

    /// Multiply-adds of one frame, for inputs of these channels; 0 where none are to be counted.
    pub fn macs_per_frame(&self, inputs: &[usize]) -> f64 {
        match self {
            Self::Conv(c) => c.macs_per_frame(),
            Self::Gru(g) => (g.weight_ih.len() + g.weight_hh.len()) as f64,
            Self::Lstm(l) => (l.weight_ih.len() + l.weight_hh.len()) as f64,
            Self::Rnn(r) => (r.weight_ih.len() + r.weight_hh.len()) as f64,
            Self::ChannelAffine { scale, .. } => scale.len() as f64,
            Self::Quantize { codebooks } => codebooks.len() as f64,
            Self::LayerNorm(_) => 3.0 * inputs[0] as f64,
            Self::PowerSpectrum { window, .. } => {
                let n = window.len() as f64;
                2.0 * n * n.log2()
            }
            Self::NoiseSynth(s) => {
                let [size, bands] = [s.response.shape()[0], s.response.shape()[1]];
                (inputs[0] / bands * (bands + size / 2)) as f64
            }
            _ => 0.0,
        }
    }

    /// The trained ops, one after another, whose signal this op's is.
    pub(super) fn trained(&self) -> Vec<Op> {
        if let Self::Conv(CachedConv { kind: ConvKind::Subpixel { factor }, .. }) = self {
            return vec![self.trained_without_interleaving(), Op::DepthToTime { factor: *factor }];
        }
        vec![self.trained_without_interleaving()]
    }

    fn trained_without_interleaving(&self) -> Op {
        match self {
            Self::Input { channels } => Op::Input { channels: *channels },
            Self::Conv(c) => c.trained(),
            Self::ChannelAffine { scale, offset } => Op::BatchNorm(BatchNorm {
                mean: crate::Tensor::zeros([scale.len()]).into(),
                variance: crate::Tensor::new([scale.len()], vec![1.0; scale.len()]).into(),
                weight: Some(scale.clone()),
                bias: Some(offset.clone()),
                epsilon: 0.0,
            }),
            Self::Pointwise(p) => Op::Pointwise(*p),
            Self::Snake { alpha } => Op::Snake { alpha: alpha.clone() },
            Self::Add => Op::Add,
            Self::Mul => Op::Mul,
            Self::Concat => Op::Concat,
            Self::Slice { start, channels } => Op::Slice { start: *start, channels: *channels },
            Self::AlternateSign => Op::AlternateSign,
            Self::DepthToTime { factor } => Op::DepthToTime { factor: *factor },
            Self::Repeat { factor } => Op::Repeat { factor: *factor },
            Self::Gaussian { channels, key } => Op::Gaussian { channels: *channels, key: *key },
            Self::NoiseSynth(s) => Op::NoiseSynth(s.clone()),
            Self::Gru(g) => Op::Gru(g.clone()),
            Self::PowerSpectrum { window, hop, left } => {
                Op::PowerSpectrum { window: window.clone(), hop: *hop, left: *left }
            }
            Self::UnitNorm => Op::UnitNorm,
            Self::ToAngles => Op::ToAngles,
            Self::FromAngles => Op::FromAngles,
            Self::Quantize { codebooks } => Op::Quantize { codebooks: codebooks.clone() },
            Self::Dequantize { codebooks } => Op::Dequantize { codebooks: codebooks.clone() },
            Self::LatentEdit => Op::LatentEdit,
            Self::AdaIn { source, target } => Op::AdaIn { source: source.clone(), target: target.clone() },
            Self::Lstm(l) => Op::Lstm(l.clone()),
            Self::Rnn(r) => Op::Rnn(r.clone()),
            Self::PRelu { slope } => Op::PRelu { slope: slope.clone() },
            Self::Parameter(p) => Op::Parameter(p.clone()),
            Self::Max => Op::Max,
            Self::LayerNorm(n) => Op::LayerNorm(n.clone()),
            Self::Softmax { groups } => Op::Softmax { groups: *groups },
        }
    }
}
