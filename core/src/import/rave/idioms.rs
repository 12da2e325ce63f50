//! Methods and functions of an export's code that are one operation of a graph: they learn while they play, look entries
//! up, turn angles, or filter noise. Everything else of an export is read by its code.

use std::rc::Rc;
use std::sync::Arc;

use super::noise::response;
use crate::graph::{Excitation, NoiseSynth, Op, Pointwise, Statistics};
use crate::import::ImportError;
use crate::import::onnx::dim::{Dim, Fraction};
use crate::import::onnx::value::{Axis, Signal, packed_axes};
use crate::import::script::run::Run;
use crate::import::script::torch::made;
use crate::import::script::value::{Object, Value};
use crate::tensor::{Tensor, Weight};

/// Added to a noise synthesiser's net before its non-linearity.
const NOISE_FLOOR: f32 = -5.0;
/// Bands times samples of one noise frame, at most.
const MOST_RESPONSE: usize = 1 << 22;

/// The operation that `name` is, done to `arguments`; `None` where its code is to be read.
pub(in crate::import) fn idiom(
    run: &mut Run<'_, '_>,
    name: &str,
    arguments: &[Value],
) -> Option<Result<Value, ImportError>> {
    let result = match (name, arguments) {
        ("rave.pqmf.reverse_half", [x]) => alternate(run, &x.signal()?),
        ("rave.blocks.AdaptiveInstanceNormalization.forward", [Value::Object(module), x]) => {
            adain(run, module, &x.signal()?)
        }
        ("rave.blocks.NoiseGenerator.forward" | "rave.blocks.NoiseGeneratorV2.forward", [Value::Object(module), x]) => {
            noise(run, module, x)
        }
        ("rave.blocks.unit_norm_vector_to_angles", [x]) => packed(run, &x.signal()?, Op::ToAngles),
        ("rave.blocks.angles_to_unit_norm_vector", [x]) => packed(run, &x.signal()?, Op::FromAngles),
        ("rave.quantization.ResidualVectorQuantization.encode", [Value::Object(module), x]) => {
            codebooks(module).and_then(|books| packed(run, &x.signal()?, Op::Quantize { codebooks: books }))
        }
        ("rave.quantization.ResidualVectorQuantization.decode", [Value::Object(module), x]) => {
            codebooks(module).and_then(|books| packed(run, &x.signal()?, Op::Dequantize { codebooks: books }))
        }
        ("torchaudio.functional.functional.spectrogram", [x, rest @ ..]) => spectrogram(run, &x.signal()?, rest),
        _ => return None,
    };
    Some(result.unwrap_or_else(|| {
        Err(run.refusal(name, "does not fit what it reads; the export is damaged or not stock RAVE"))
    }))
}

type Done = Option<Result<Value, ImportError>>;

/// One operation on the channels of each frame, in their order; the result's channels are axis 1.
fn packed(run: &mut Run<'_, '_>, x: &Signal, op: Op) -> Done {
    let x = run.build.packed(x).ok()?;
    let time = x.time_axis()?;
    if time != 2 || x.axes.len() != 3 || x.axes[0] != Axis::Unit {
        return None;
    }
    let node = match run.build.push(op, &[x.node]) {
        Ok(node) => node,
        Err(reason) => return Some(Err(run.refusal("RAVE", reason))),
    };
    let channels = run.build.graph.node(node).channels;
    Some(Ok(made(run, Signal { node, axes: packed_axes(&[Some(1), Some(channels), None]), ..x })))
}

/// Odd bands of even frames, in each channel.
fn alternate(run: &mut Run<'_, '_>, x: &Signal) -> Done {
    let x = run.build.packed(x).ok()?;
    if x.axes.len() != 3 || x.time_axis() != Some(2) || !x.sizes()[1].is_multiple_of(2) || x.shift % 2 != 0 {
        return None;
    }
    let node = run.build.push(Op::AlternateSign, &[x.node]).ok()?;
    Some(Ok(made(run, Signal { node, ..x })))
}

fn adain(run: &mut Run<'_, '_>, module: &Object, x: &Signal) -> Done {
    let x = run.build.packed(x).ok()?;
    let channels = x.channels();
    let values = |name: &str| Some(module.attribute(name)?.constant()?.to_floats().ok()?.to_vec());
    let row = |name: &str| -> Option<Weight> {
        let row = values(name)?.get(..channels)?.to_vec();
        Some(Arc::new(Tensor::new([channels], row)))
    };
    let learned = |updates: &str, mean: &str, deviation: &str| -> Option<Option<Statistics>> {
        if *values(updates)?.first()? > 0.0 {
            Some(Some(Statistics { mean: row(mean)?, deviation: row(deviation)? }))
        } else {
            Some(None)
        }
    };
    let op = Op::AdaIn {
        source: learned("num_update_x", "mean_x", "std_x")?,
        target: learned("num_update_y", "mean_y", "std_y")?,
    };
    let node = run.build.push(op, &[x.node]).ok()?;
    Some(Ok(made(run, Signal { node, ..x })))
}

/// `net`, then a filter for each frame and channel from its bands, and noise through it.
fn noise(run: &mut Run<'_, '_>, module: &Object, x: &Value) -> Done {
    let net = module.child("net")?;
    let amplitudes = match run.method(&net, "forward", vec![x.clone()], vec![]) {
        Ok(value) => run.build.packed(&value.signal()?).ok()?,
        Err(error) => return Some(Err(error)),
    };
    let number = |name: &str| match module.attribute(name) {
        Some(Value::Int(n)) => usize::try_from(n).ok().filter(|&n| n > 0),
        Some(tensor @ Value::Tensor(_)) => {
            usize::try_from(*tensor.constant()?.to_ints().ok()?.first()?).ok().filter(|&n| n > 0)
        }
        _ => None,
    };
    let size = number("target_size")?;
    let rows = number("data_size")?.checked_mul(number("n_channels").unwrap_or(1))?;
    let width = amplitudes.channels();
    if width % rows != 0 || width / rows < 2 || size.checked_mul(width / rows)? > MOST_RESPONSE {
        return None;
    }
    let floor = run.build.pointwise(&amplitudes, Pointwise::Affine { scale: 1.0, offset: NOISE_FLOOR }).ok()?;
    let shaped = run.build.pointwise(&floor, Pointwise::ModSigmoid).ok()?;
    let key = run.draw();
    let synth = NoiseSynth { response: response(width / rows, size), excitation: Excitation::Random { key } };
    let node = match run.build.push(Op::NoiseSynth(synth), &[shaped.node]) {
        Ok(node) => node,
        Err(reason) => return Some(Err(run.refusal("noise", reason))),
    };
    let made_of = Signal {
        node,
        shift: shaped.shift.checked_mul(i64::try_from(size).ok()?)?,
        frames: shaped.frames.times(Dim::fraction(Fraction::whole(size as i64)))?,
        axes: packed_axes(&[Some(1), Some(rows), None]),
    };
    Some(Ok(made(run, made_of)))
}

/// torchaudio's power spectrum of one channel: `[1, 1, bins, frames]`, a frame more than the signal has hops.
fn spectrogram(run: &mut Run<'_, '_>, x: &Signal, rest: &[Value]) -> Done {
    let [pad, window, size, hop, _, power, normalized, center, _, onesided, ..] = rest else { return None };
    let number = |value: &Value| if let Value::Int(n) = value { usize::try_from(*n).ok() } else { None };
    let truth = |value: &Value| matches!(value, Value::Bool(true));
    let (size, hop) = (number(size)?, number(hop)?);
    let held = window.constant()?.to_floats().ok()?;
    let power = matches!(power, Value::Float(p) if *p == 2.0) || matches!(power, Value::Int(2));
    if !power || !truth(center) || !truth(onesided) || number(pad) != Some(0) || x.channels() != 1 {
        return None;
    }
    if size < 2 || size % 2 != 0 || held.len() > size || hop == 0 || size > 1 << 16 || x.time_axis().is_none() {
        return None;
    }
    let x = run.build.aligned(x).ok()?;
    let mut centred = vec![0.0; size];
    let start = (size - held.len()) / 2;
    centred[start..start + held.len()].copy_from_slice(&held);
    let energy: f64 = held.iter().map(|&w| f64::from(w) * f64::from(w)).sum();
    let op = Op::PowerSpectrum { window: Arc::new(Tensor::new([size], centred)), hop, left: size / 2 };
    let node = match run.build.push(op, &[x.node]) {
        Ok(node) => node,
        Err(reason) => return Some(Err(run.refusal("spectrogram", reason))),
    };
    let spectrum = Signal {
        node,
        shift: 0,
        frames: x.frames.over(Dim::fixed(hop as i64))?.floor().plus(Dim::fixed(1))?,
        axes: packed_axes(&[Some(1), Some(1), Some(size / 2 + 1), None]),
    };
    let scale = if truth(normalized) { (1.0 / energy) as f32 } else { 1.0 };
    let spectrum = run.build.affine(&spectrum, &[scale], &[0.0]).ok()?;
    Some(Ok(made(run, spectrum)))
}

/// `[codebooks, entries, channels]`.
fn codebooks(module: &Rc<Object>) -> Option<Weight> {
    let layers = module.child("layers")?;
    let mut values: Vec<f32> = vec![];
    let mut shape: Option<Vec<usize>> = None;
    let mut count = 0;
    while let Some(layer) = layers.child(&count.to_string()) {
        for projection in ["project_in", "project_out"] {
            if layer.child(projection).is_some_and(|p| p.short_class() != "Identity") {
                return None;
            }
        }
        let book = layer.child("_codebook")?.attribute("embed")?.constant()?;
        if book.shape.len() != 2 || shape.as_ref().is_some_and(|shape| *shape != book.shape) {
            return None;
        }
        values.extend_from_slice(&book.to_floats().ok()?);
        shape = Some(book.shape.clone());
        count += 1;
    }
    let shape = shape?;
    Some(Arc::new(Tensor::new([count, shape[0], shape[1]], values)))
}
