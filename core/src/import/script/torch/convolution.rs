//! Convolutions, pools, matrices and resampling.

use super::super::run::Run;
use super::super::value::Value;
use super::arguments::{Arguments, dims};
use super::pointwise::pair;
use super::{Made, int, ints, one, own, text};
use crate::import::onnx::constant::Constant;
use crate::import::onnx::proto::Attribute;
use crate::import::onnx::value::Value as Operand;

pub(super) fn run(run: &mut Run<'_, '_>, name: &str, a: &Arguments) -> Made<Option<Value>> {
    let made = match name {
        "conv1d" | "conv2d" => {
            let numbers = Numbers { stride: 3, padding: 4, dilation: 5, groups: 6, more: None };
            convolved(run, a, "Conv", &numbers)?
        }
        "conv_transpose1d" | "conv_transpose2d" => {
            let numbers = Numbers { stride: 3, padding: 4, dilation: 7, groups: 6, more: Some(5) };
            convolved(run, a, "ConvTranspose", &numbers)?
        }
        "_convolution" | "convolution" => {
            let transposed = a.flag(6, "transposed", false);
            let more = transposed.then_some(7);
            let numbers = Numbers { stride: 3, padding: 4, dilation: 5, groups: 8, more };
            convolved(run, a, if transposed { "ConvTranspose" } else { "Conv" }, &numbers)?
        }
        "avg_pool1d" | "max_pool1d" => pooled(run, name, a)?,
        "adaptive_avg_pool1d" | "adaptive_max_pool1d" => {
            if a.ints(1, "output_size")? != Some(vec![1]) {
                return Err("cuts the signal into as many parts, whatever its length".into());
            }
            let x = a.operand(run, 0, "input")?;
            let op = if name == "adaptive_avg_pool1d" { "GlobalAveragePool" } else { "GlobalMaxPool" };
            one(run, op, vec![Some(x)], vec![])?
        }
        "linear" => {
            let (x, weight) = (a.operand(run, 0, "input")?, a.constant(run, 1, "weight")?);
            if weight.shape.len() != 2 {
                return Err(format!("its weight has shape {:?}", weight.shape).into());
            }
            let y = one(run, "MatMul", vec![Some(x), Some(Operand::Constant(weight.transposed(&[1, 0])))], vec![])?;
            match a.optional(run, 2, "bias")? {
                Some(bias) => pair(run, "Add", y, bias)?,
                None => y,
            }
        }
        "matmul" | "mm" | "bmm" => {
            let (x, y) = (a.operand(run, 0, "input")?, a.operand(run, 1, "other")?);
            pair(run, "MatMul", x, y)?
        }
        "addmm" | "baddbmm" => {
            let (bias, x, y) = (a.operand(run, 0, "input")?, a.operand(run, 1, "mat1")?, a.operand(run, 2, "mat2")?);
            let product = pair(run, "MatMul", x, y)?;
            pair(run, "Add", product, bias)?
        }
        "scaled_dot_product_attention" => {
            return Err(
                "is attention: every frame would meet every other, also later ones without end; take it out, or \
                        train with a local one made of convolutions"
                    .into(),
            );
        }
        "upsample_nearest1d" | "upsample_linear1d" => resized(run, name, a)?,
        "_weight_norm" => Operand::Constant(weight_norm(run, a)?),
        _ => return Ok(None),
    };
    Ok(Some(own(made)))
}

/// Which argument is which.
struct Numbers {
    stride: usize,
    padding: usize,
    dilation: usize,
    groups: usize,
    /// Of a transposed convolution: what is put at the end.
    more: Option<usize>,
}

fn convolved(run: &mut Run<'_, '_>, a: &Arguments, op: &str, numbers: &Numbers) -> Made<Operand> {
    let mut x = a.operand(run, 0, "input")?;
    let weight = a.constant(run, 1, "weight")?;
    let axes = weight.shape.len().saturating_sub(2);
    let single = dims(&x).len() + 1 == weight.shape.len();
    if single {
        // One signal without an axis for the batch.
        x = one(run, "Unsqueeze", vec![Some(x)], vec![ints("axes", vec![0])])?;
    }
    let each = |i: usize, name: &str, absent: i64| -> Made<Vec<i64>> {
        Ok(match a.ints(i, name)? {
            None => vec![absent; axes],
            Some(list) if list.len() == 1 => vec![list[0]; axes],
            Some(list) => list,
        })
    };
    let (strides, dilations) = (each(numbers.stride, "stride", 1)?, each(numbers.dilation, "dilation", 1)?);
    let mut attributes = vec![int("group", a.int(numbers.groups, "groups", 1)?)];
    match a.text(numbers.padding, "padding").as_deref() {
        Some("same") => {
            // As `(kernel − 1) · dilation` zeros, one more of them after the signal where that is odd.
            let reach: Vec<i64> = std::iter::zip(&weight.shape[2..], &dilations)
                .map(|(&kernel, &dilation)| dilation.saturating_mul(kernel as i64 - 1))
                .collect();
            let before = reach.iter().map(|reach| reach / 2);
            attributes.push(ints("pads", before.chain(reach.iter().map(|reach| reach - reach / 2)).collect()));
        }
        Some("valid") => {}
        Some(mode) => return Err(format!("pads by {mode:?}").into()),
        None => {
            let pads = each(numbers.padding, "padding", 0)?;
            attributes.push(ints("pads", pads.repeat(2)));
        }
    }
    if let Some(more) = numbers.more {
        attributes.push(ints("output_padding", each(more, "output_padding", 0)?));
    }
    attributes.push(ints("strides", strides));
    attributes.push(ints("dilations", dilations));
    let bias = a.optional(run, 2, "bias")?;
    let y = one(run, op, vec![Some(x), Some(Operand::Constant(weight)), bias], attributes)?;
    if single { one(run, "Squeeze", vec![Some(y)], vec![ints("axes", vec![0])]) } else { Ok(y) }
}

fn pooled(run: &mut Run<'_, '_>, name: &str, a: &Arguments) -> Made<Operand> {
    let kernel = a.ints(1, "kernel_size")?.ok_or("names no kernel size")?;
    let stride = a.ints(2, "stride")?.filter(|stride| !stride.is_empty()).unwrap_or_else(|| kernel.clone());
    let pads = a.ints(3, "padding")?.unwrap_or_else(|| vec![0]).repeat(2);
    let mut attributes = vec![ints("kernel_shape", kernel), ints("strides", stride), ints("pads", pads)];
    let op = if name == "avg_pool1d" {
        attributes.push(int("ceil_mode", i64::from(a.flag(4, "ceil_mode", false))));
        attributes.push(int("count_include_pad", i64::from(a.flag(5, "count_include_pad", true))));
        "AveragePool"
    } else {
        attributes.push(ints("dilations", a.ints(4, "dilation")?.unwrap_or_else(|| vec![1])));
        attributes.push(int("ceil_mode", i64::from(a.flag(5, "ceil_mode", false))));
        "MaxPool"
    };
    let x = a.operand(run, 0, "input")?;
    one(run, op, vec![Some(x)], attributes)
}

fn resized(run: &mut Run<'_, '_>, name: &str, a: &Arguments) -> Made<Operand> {
    let x = a.operand(run, 0, "input")?;
    let own = dims(&x);
    let linear = name == "upsample_linear1d";
    let aligned = linear && a.flag(2, "align_corners", false);
    let list = a
        .get(if linear { 3 } else { 2 }, "scale_factors")
        .and_then(|value| value.items().or(Some(vec![value.clone()])));
    let mode: Vec<Attribute<'static>> = match (linear, aligned) {
        (false, _) => vec![
            text("mode", "nearest"),
            text("coordinate_transformation_mode", "asymmetric"),
            text("nearest_mode", "floor"),
        ],
        (true, false) => vec![text("mode", "linear"), text("coordinate_transformation_mode", "half_pixel")],
        (true, true) => vec![text("mode", "linear"), text("coordinate_transformation_mode", "align_corners")],
    };
    if let Some([scale]) = list.as_deref() {
        let mut scales = vec![1.0; own.len()];
        if let Some(last) = scales.last_mut() {
            *last = super::super::number::float(scale)? as f32;
        }
        let scales = Operand::Constant(Constant::floats(vec![scales.len()], scales));
        return one(run, "Resize", vec![Some(x), None, Some(scales)], mode);
    }
    let wanted = a.lengths(run, 1, "output_size")?;
    let mut sizes = own;
    if let (Some(last), [size]) = (sizes.last_mut(), &wanted[..]) {
        *last = *size;
    }
    one(run, "Resize", vec![Some(x), None, None, Some(super::layout::shape(sizes))], mode)
}

/// `g · v / ‖v‖`, the norm over all axes but one.
fn weight_norm(run: &mut Run<'_, '_>, a: &Arguments) -> Made<Constant> {
    let (v, g) = (a.constant(run, 0, "v")?, a.constant(run, 1, "g")?);
    let (values, gains) = (v.to_floats()?, g.to_floats()?);
    let axis = a.int(2, "dim", 0)?;
    let (size, inner) = match usize::try_from(axis).ok().filter(|&axis| axis < v.shape.len()) {
        Some(axis) => (v.shape[axis], v.shape[axis + 1..].iter().product::<usize>()),
        None => (1, values.len().max(1)),
    };
    if gains.len() != size || size == 0 || inner == 0 {
        return Err(format!("has {} gains for a weight of shape {:?}", gains.len(), v.shape).into());
    }
    run.build.spend(values.len())?;
    let mut sums = vec![0.0f64; size];
    values.iter().enumerate().for_each(|(i, v)| sums[i / inner % size] += f64::from(*v) * f64::from(*v));
    let scaled = values.iter().enumerate().map(|(i, v)| {
        let at = i / inner % size;
        (f64::from(*v) * f64::from(gains[at]) / sums[at].sqrt()) as f32
    });
    Ok(Constant::floats(v.shape.clone(), scaled.collect::<Vec<_>>()))
}
