//! The text form of a graph: one line per node, for dumps, tests and messages. Weights appear by shape.
//!
//! ```text
//! %0 input = input() : 1ch @1
//! %1 pqmf.forward = conv1d(%0) {weight [16, 1, 513], stride 16, dilation 1, left_padding 256, groups 1} : 16ch @1/16
//! ```

use std::fmt;

use super::{Excitation, Graph, Op, Pointwise, Reset};
use crate::tensor::Weight;

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, node) in self.nodes().iter().enumerate() {
            let inputs: Vec<_> = node.inputs.iter().map(|i| format!("%{i}")).collect();
            write!(f, "%{id} {} = {}({})", node.name, node.op.name(), inputs.join(", "))?;
            let details = details(&node.op);
            if !details.is_empty() {
                write!(f, " {{{details}}}")?;
            }
            writeln!(f, " : {}ch @{}", node.channels, node.rate)?;
        }
        Ok(())
    }
}

/// The op's own numbers, as the text form prints them between braces.
pub fn details(op: &Op) -> String {
    let shape = |w: &Weight| format!("{:?}", w.shape());
    let bias = |b: &Option<Weight>| if b.is_some() { ", bias" } else { "" };
    match op {
        Op::Conv1d(c) => format!(
            "weight {}{}, stride {}, dilation {}, left_padding {}, groups {}",
            shape(&c.weight),
            bias(&c.bias),
            c.stride,
            c.dilation,
            c.left_padding,
            c.groups
        ),
        Op::ConvTranspose1d(c) => format!(
            "weight {}{}, stride {}, left_trim {}, groups {}",
            shape(&c.weight),
            bias(&c.bias),
            c.stride,
            c.left_trim,
            c.groups
        ),
        Op::AdaIn { source, target } => match (source, target) {
            (None, None) => "fresh".into(),
            (Some(_), None) => "source learned".into(),
            (None, Some(_)) => "target learned".into(),
            (Some(_), Some(_)) => "learned".into(),
        },
        Op::Pointwise(Pointwise::LeakyRelu { slope }) => format!("slope {slope}"),
        Op::Pointwise(Pointwise::Affine { scale, offset }) => format!("scale {scale}, offset {offset}"),
        Op::Pointwise(Pointwise::Clamp { low, high }) => format!("low {low}, high {high}"),
        Op::Pointwise(Pointwise::LeakyHardTanh { low, high, low_slope, high_slope }) => {
            format!("low {low}, high {high}, low_slope {low_slope}, high_slope {high_slope}")
        }
        Op::Pointwise(Pointwise::Elu { alpha }) => format!("alpha {alpha}"),
        Op::Pointwise(Pointwise::Power { exponent }) => format!("exponent {exponent}"),
        Op::LayerNorm(norm) => format!(
            "{}groups {}, epsilon {}{}{}",
            if norm.centred { "" } else { "uncentred, " },
            norm.groups,
            norm.epsilon,
            if norm.weight.is_some() { ", weight" } else { "" },
            bias(&norm.bias)
        ),
        Op::Softmax { groups } => format!("groups {groups}"),
        Op::Slice { start, channels } => format!("start {start}, channels {channels}"),
        Op::DepthToTime { factor } | Op::Repeat { factor } => format!("factor {factor}"),
        Op::Gaussian { channels, key } => format!("channels {channels}, key {key}"),
        Op::NoiseSynth(s) => match s.excitation {
            Excitation::Random { key } => format!("response {}, key {key}", shape(&s.response)),
            Excitation::Fixed(_) => format!("response {}, fixed excitation", shape(&s.response)),
        },
        Op::Gru(g) => format!(
            "weight_ih {}, weight_hh {}{}{}",
            shape(&g.weight_ih),
            shape(&g.weight_hh),
            match g.reset {
                Reset::Product => "",
                Reset::State => ", resets its state",
            },
            if g.initial_hidden.is_some() { ", initial_hidden" } else { "" }
        ),
        Op::Lstm(l) => format!("weight_ih {}, weight_hh {}", shape(&l.weight_ih), shape(&l.weight_hh)),
        Op::Rnn(r) => {
            let function = r.activation.function().name();
            format!("weight_ih {}, weight_hh {}, {function}", shape(&r.weight_ih), shape(&r.weight_hh))
        }
        Op::PowerSpectrum { window, hop, left } => format!("size {}, hop {hop}, left {left}", window.len()),
        Op::Quantize { codebooks } | Op::Dequantize { codebooks } => format!("codebooks {}", shape(codebooks)),
        Op::Parameter(p) => {
            format!(
                "{:?}, default {:?}, {} to {}{}, every {}",
                p.name, p.default, p.minimum, p.maximum, p.unit, p.every
            )
        }
        Op::Input { .. }
        | Op::BatchNorm(_)
        | Op::Pointwise(_)
        | Op::Snake { .. }
        | Op::Add
        | Op::Mul
        | Op::Max
        | Op::Concat
        | Op::AlternateSign
        | Op::UnitNorm
        | Op::ToAngles
        | Op::FromAngles
        | Op::LatentEdit
        | Op::PRelu { .. } => String::new(),
    }
}
