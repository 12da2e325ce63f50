//! What each op makes of its inputs' channels and rates; whether its weights fit together.

use super::{Excitation, Op, Pointwise};
use crate::tensor::Weight;
use crate::timing::Rate;

/// Channels and rate of the output of `op` over inputs of these channels and rates, or why it cannot read them.
pub(crate) fn infer(op: &Op, inputs: &[(usize, Rate)]) -> Result<(usize, Rate), String> {
    let (channels, rate) = infer_unbounded(op, inputs)?;
    if channels <= MOST_CHANNELS {
        Ok((channels, rate))
    } else {
        Err(format!("{channels} channels, at most {MOST_CHANNELS} are read"))
    }
}

/// Channels of one signal beyond which a model is refused.
const MOST_CHANNELS: usize = 1 << 16;

fn infer_unbounded(op: &Op, inputs: &[(usize, Rate)]) -> Result<(usize, Rate), String> {
    match op {
        Op::Input { .. } => return Err("only node 0 is an input".into()),
        Op::Add | Op::Mul | Op::Max | Op::Concat if inputs.len() < 2 => {
            return Err(format!("reads {} signals, needs at least 2", inputs.len()));
        }
        Op::Add | Op::Mul | Op::Max | Op::Concat => {}
        _ if inputs.len() != 1 => return Err(format!("reads {} signals, needs 1", inputs.len())),
        _ => {}
    }
    let (channels, rate) = inputs[0];
    if let Some(&(_, other)) = inputs.iter().find(|&&(_, r)| r != rate) {
        return Err(format!("its inputs have rates {rate} and {other}; resample one of them"));
    }
    let too_fast = || "the rate no longer fits 64 bits".to_string();
    match op {
        Op::Input { .. } => unreachable!("refused above"),
        Op::Conv1d(c) => {
            let [out, per_group, kernel_size] = dims(&c.weight, "weight")?;
            divides(c.groups, out, channels)?;
            equal("input channels per group", per_group, channels / c.groups)?;
            positive("kernel_size", kernel_size)?;
            positive("stride", c.stride)?;
            positive("dilation", c.dilation)?;
            span(kernel_size, c.dilation, c.left_padding)?;
            if let Some(bias) = &c.bias {
                vector(bias, "bias", out)?;
            }
            Ok((out, rate.down(c.stride).ok_or_else(too_fast)?))
        }
        Op::ConvTranspose1d(c) => {
            let [inputs, per_group, kernel_size] = dims(&c.weight, "weight")?;
            let out = per_group.saturating_mul(c.groups);
            divides(c.groups, out, inputs)?;
            equal("input channels", inputs, channels)?;
            positive("kernel_size", kernel_size)?;
            positive("stride", c.stride)?;
            span(kernel_size, 1, c.left_trim as i64)?;
            if let Some(bias) = &c.bias {
                vector(bias, "bias", out)?;
            }
            Ok((out, rate.up(c.stride).ok_or_else(too_fast)?))
        }
        Op::BatchNorm(b) => {
            vector(&b.mean, "mean", channels)?;
            vector(&b.variance, "variance", channels)?;
            for (part, name) in [(&b.weight, "weight"), (&b.bias, "bias")] {
                if let Some(part) = part {
                    vector(part, name, channels)?;
                }
            }
            Ok((channels, rate))
        }
        Op::AdaIn { source, target } => {
            if let Some(s) = source {
                vector(&s.mean, "the source's mean", channels)?;
                vector(&s.deviation, "the source's deviation", channels)?;
            }
            if let Some(s) = target {
                vector(&s.mean, "the target's mean", channels)?;
                vector(&s.deviation, "the target's deviation", channels)?;
            }
            Ok((channels, rate))
        }
        Op::Snake { alpha } => {
            vector(alpha, "alpha", channels)?;
            Ok((channels, rate))
        }
        Op::Pointwise(Pointwise::Clamp { low, high } | Pointwise::LeakyHardTanh { low, high, .. })
            if low.is_nan() || high.is_nan() || low > high =>
        {
            Err(format!("bounds {low} and {high}; the lower one first is needed"))
        }
        Op::Pointwise(_) | Op::AlternateSign | Op::UnitNorm | Op::LatentEdit => Ok((channels, rate)),
        Op::Add | Op::Mul | Op::Max => {
            let widest = inputs.iter().map(|i| i.0).max().unwrap_or(channels);
            match inputs.iter().find(|i| i.0 != widest && i.0 != 1) {
                Some(odd) => Err(format!("its inputs have {} and {widest} channels; equal, or 1, is needed", odd.0)),
                None => Ok((widest, rate)),
            }
        }
        Op::Concat => Ok((inputs.iter().fold(0, |sum, i| sum.saturating_add(i.0)), rate)),
        Op::Slice { start, channels: kept } => {
            positive("channels", *kept)?;
            if start.checked_add(*kept).is_none_or(|end| end > channels) {
                return Err(format!("channels {start}..{start}+{kept} of {channels}"));
            }
            Ok((*kept, rate))
        }
        Op::DepthToTime { factor } => {
            positive("factor", *factor)?;
            if channels % factor != 0 {
                return Err(format!("{channels} channels do not divide by {factor}"));
            }
            Ok((channels / factor, rate.up(*factor).ok_or_else(too_fast)?))
        }
        Op::Repeat { factor } => {
            positive("factor", *factor)?;
            Ok((channels, rate.up(*factor).ok_or_else(too_fast)?))
        }
        Op::Gaussian { channels, .. } => {
            positive("channels", *channels)?;
            Ok((*channels, rate))
        }
        Op::NoiseSynth(synth) => {
            let [size, bands] = dims(&synth.response, "response")?;
            positive("size", size)?;
            positive("bands", bands)?;
            if channels % bands != 0 {
                return Err(format!("{channels} amplitudes do not divide by {bands} bands"));
            }
            if let Excitation::Fixed(noise) = &synth.excitation {
                let [c, s] = dims(noise, "excitation")?;
                equal("excitation channels", c, channels / bands)?;
                equal("excitation size", s, size)?;
            }
            Ok((channels / bands, rate.up(size).ok_or_else(too_fast)?))
        }
        Op::Gru(g) => {
            let [gates, width] = dims(&g.weight_ih, "weight_ih")?;
            let [gates_h, hidden] = dims(&g.weight_hh, "weight_hh")?;
            equal("input channels", width, channels)?;
            positive("hidden", hidden)?;
            equal("rows of weight_hh", gates_h, 3 * hidden)?;
            equal("rows of weight_ih", gates, 3 * hidden)?;
            vector(&g.bias_ih, "bias_ih", gates)?;
            vector(&g.bias_hh, "bias_hh", gates)?;
            if let Some(initial) = &g.initial_hidden {
                vector(initial, "initial_hidden", hidden)?;
            }
            Ok((hidden, rate))
        }
        Op::PowerSpectrum { window, hop, left } => {
            let [size] = dims(window, "window")?;
            span(size.max(1), 1, i64::try_from(*left).unwrap_or(i64::MAX))?;
            equal("input channels", channels, 1)?;
            positive("hop", *hop)?;
            if size < 2 || size % 2 != 0 {
                return Err(format!("window of {size} values; an even number is needed"));
            }
            Ok((size / 2 + 1, rate.down(*hop).ok_or_else(too_fast)?))
        }
        Op::ToAngles if channels < 2 => Err("one channel has no angle".into()),
        Op::ToAngles => Ok((channels - 1, rate)),
        Op::FromAngles => Ok((channels + 1, rate)),
        Op::Quantize { codebooks } => {
            let [books, entries, width] = dims(codebooks, "codebooks")?;
            positive("codebooks", books)?;
            positive("entries", entries)?;
            equal("codebook width", width, channels)?;
            Ok((books, rate))
        }
        Op::Dequantize { codebooks } => {
            let [books, entries, width] = dims(codebooks, "codebooks")?;
            positive("entries", entries)?;
            positive("codebook width", width)?;
            equal("codebooks", books, channels)?;
            Ok((width, rate))
        }
        Op::Lstm(l) => {
            let [gates, width] = dims(&l.weight_ih, "weight_ih")?;
            let [gates_h, hidden] = dims(&l.weight_hh, "weight_hh")?;
            equal("input channels", width, channels)?;
            positive("hidden", hidden)?;
            equal("rows of weight_hh", gates_h, 4 * hidden)?;
            equal("rows of weight_ih", gates, 4 * hidden)?;
            vector(&l.bias, "bias", gates)?;
            vector(&l.initial_hidden, "initial_hidden", hidden)?;
            vector(&l.initial_cell, "initial_cell", hidden)?;
            Ok((hidden, rate))
        }
        Op::Rnn(r) => {
            let [rows, width] = dims(&r.weight_ih, "weight_ih")?;
            let [rows_h, hidden] = dims(&r.weight_hh, "weight_hh")?;
            equal("input channels", width, channels)?;
            positive("hidden", hidden)?;
            equal("rows of weight_hh", rows_h, hidden)?;
            equal("rows of weight_ih", rows, hidden)?;
            vector(&r.bias, "bias", hidden)?;
            vector(&r.initial_hidden, "initial_hidden", hidden)?;
            Ok((hidden, rate))
        }
        Op::PRelu { slope } => {
            vector(slope, "slope", channels)?;
            Ok((channels, rate))
        }
        Op::LayerNorm(norm) => {
            blocks(norm.groups, channels)?;
            for (part, name) in [(&norm.weight, "weight"), (&norm.bias, "bias")] {
                if let Some(part) = part {
                    vector(part, name, channels)?;
                }
            }
            Ok((channels, rate))
        }
        Op::Softmax { groups } => {
            blocks(*groups, channels)?;
            Ok((channels, rate))
        }
        Op::Parameter(parameter) => {
            parameter.check()?;
            Ok((parameter.default.len(), rate.down(parameter.every).ok_or_else(too_fast)?))
        }
    }
}

fn dims<const N: usize>(weight: &Weight, what: &str) -> Result<[usize; N], String> {
    weight.shape().try_into().map_err(|_| format!("{what} has shape {:?}, {N} dimensions are needed", weight.shape()))
}

fn vector(weight: &Weight, what: &str, len: usize) -> Result<(), String> {
    if weight.shape() == [len] {
        Ok(())
    } else {
        Err(format!("{what} has shape {:?}, [{len}] is needed", weight.shape()))
    }
}

fn equal(what: &str, found: usize, needed: usize) -> Result<(), String> {
    if found == needed { Ok(()) } else { Err(format!("{what}: {found}, {needed} are needed")) }
}

fn positive(what: &str, value: usize) -> Result<(), String> {
    if value > 0 { Ok(()) } else { Err(format!("{what} is 0")) }
}

fn divides(groups: usize, out: usize, inputs: usize) -> Result<(), String> {
    positive("groups", groups)?;
    positive("output channels", out)?;
    if out.is_multiple_of(groups) && inputs.is_multiple_of(groups) {
        Ok(())
    } else {
        Err(format!("{inputs} input and {out} output channels do not divide into {groups} groups"))
    }
}

fn blocks(groups: usize, channels: usize) -> Result<(), String> {
    positive("groups", groups)?;
    if channels.is_multiple_of(groups) {
        Ok(())
    } else {
        Err(format!("{channels} channels do not divide into {groups} groups"))
    }
}

/// Reach of a kernel, bounded so that frame arithmetic cannot overflow.
fn span(kernel_size: usize, dilation: usize, left: i64) -> Result<(), String> {
    const LIMIT: usize = 1 << 24;
    let reach = (kernel_size - 1).checked_mul(dilation);
    if reach.is_some_and(|r| r <= LIMIT) && left.unsigned_abs() <= LIMIT as u64 {
        Ok(())
    } else {
        Err(format!("kernel_size {kernel_size}, dilation {dilation}, left {left} reach beyond {LIMIT} frames"))
    }
}
