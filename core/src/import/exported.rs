//! TorchScript of any nn~-style export: its methods' code, walked over signals, becomes graphs.
//!
//! A method that a host may call has a buffer beside it, such as `forward_params`: channels and samples per frame of what
//! it reads, and the same of what it makes. A module without any is taken for an effect of one channel.

mod neutone;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::io::{Read, Seek};
use std::path::Path;
use std::rc::Rc;

use super::archive::Archive;
use super::onnx::build::Build;
use super::onnx::dim::{Dim, Fraction};
use super::onnx::tensor::Beside;
use super::onnx::value::{Signal, packed_axes};
use super::script::compare::difference;
use super::script::program::{Program, plain};
use super::script::run::{Idiom, Run};
use super::script::value::{Object, Value};
use super::script::{self, Module};
use super::tidy::{renamed, tidy};
use super::{ImportError, LatentChoice, Options, provenance, rave};
use crate::graph::{Graph, Op};
use crate::model::{Info, Latent, Levels, Model};
use crate::timing::Rate;

/// Samples per second of a model whose file does not tell them.
const USUAL_RATE: u32 = 44_100;
/// Channels of a method's input or output, at most.
const MOST_CHANNELS: i64 = 1 << 12;
/// Samples per frame, at most.
const MOST_RATIO: i64 = 1 << 20;

/// Reads the export at `path`: RAVE's by its modules, any other by its code.
///
/// # Errors
/// When the archive is damaged, or the model cannot stream; names the place, the construct and the cure.
pub fn open(name: &str, path: &Path, options: &Options) -> Result<Model, ImportError> {
    let mut archive = Archive::open(path)?;
    let root = script::from_archive(&mut archive)?;
    if rave::knows(&root) {
        return rave::from_module(name, path, &root, options);
    }
    let misfits = [
        (options.latents != LatentChoice::Default, "no latents that are ordered by importance", "latents and fidelity"),
        (options.ema, "one set of weights", "the moving average"),
    ];
    if let Some((_, holds, choice)) = misfits.iter().find(|(misfit, ..)| *misfit) {
        let found = format!("{} is an export with {holds}", path.display());
        return Err(ImportError::unknown(found, format!("leave {choice} out")));
    }
    let graphs = graphs(&mut archive, &root, rave::idioms::idiom)?;
    let provenance = provenance::of_file(path)?;
    model(name, &root, graphs, provenance, options)
}

/// As [`open`], of an archive in memory or on disk, whatever model it is of.
///
/// # Errors
/// As [`open`].
pub fn from_archive<R: Read + Seek>(
    name: &str,
    archive: &mut Archive<R>,
    options: &Options,
) -> Result<Model, ImportError> {
    let root = script::from_archive(archive)?;
    let graphs = graphs(archive, &root, rave::idioms::idiom)?;
    model(name, &root, graphs, Default::default(), options)
}

/// The graph of one channel that the method `forward` of the class `Model` in `code` makes, without attributes.
///
/// # Errors
/// As [`open`].
pub fn from_code(code: &[u8]) -> Result<Graph, ImportError> {
    let root = Module {
        class: "Model".into(),
        qualified: "__torch__.Model".into(),
        attributes: Default::default(),
        constants: Default::default(),
    };
    let entries = |name: &str| Ok((name == "code/__torch__.py").then(|| code.to_vec()));
    let mut walk = Walk {
        program: Program::new(Box::new(entries)),
        object: Object::new(&root),
        idiom: rave::idioms::idiom,
        budget: (1 << 16) + 64 * code.len() as u64,
        draws: 0,
        constants: Rc::default(),
    };
    walk.method("forward", Signature { channels: 1, makes: None })
}

/// The graphs of an export's methods.
#[derive(Debug)]
pub(super) struct Graphs {
    pub(super) forward: Graph,
    pub(super) latent: Option<Latent>,
    /// Samples per second, where the code tells.
    rate: Option<i64>,
    /// What else a reader should know.
    remarks: Vec<String>,
}

/// What a method reads and makes.
#[derive(Clone, Copy, Debug)]
struct Signature {
    channels: usize,
    /// Channels and frames per input frame of the result, where the file tells.
    makes: Option<(usize, Fraction)>,
}

/// Walks the code of every method that a host may call; `idiom` stands in for some of it.
///
/// # Errors
/// When no method can stream.
pub(super) fn graphs<R: Read + Seek>(
    archive: &mut Archive<R>,
    root: &Module,
    idiom: Idiom,
) -> Result<Graphs, ImportError> {
    let budget = (1 << 21) + 64 * archive.bytes();
    let constants = script::constants(archive)?;
    let archive = RefCell::new(archive);
    let entries = |name: &str| {
        let mut archive = archive.borrow_mut();
        if archive.contains(name) { archive.read(name).map(Some) } else { Ok(None) }
    };
    let mut walk = Walk {
        program: Program::new(Box::new(entries)),
        object: Object::new(root),
        idiom,
        budget,
        draws: 0,
        constants: constants.iter().map(Value::constant_of).collect(),
    };
    if neutone::wraps(&root.class)
        && let Some(inner) = walk.object.child(neutone::INNER)
    {
        let (forward, rate) = walk.neutone(&inner)?;
        return Ok(Graphs { forward, latent: None, rate, remarks: vec![] });
    }
    let [forward, encode, decode] = ["forward", "encode", "decode"].map(|name| signature(root, name));
    let has_forward = walk.program.has_method(&root.qualified, "forward")?;
    let (encode, decode) = match (encode?, decode?) {
        (Some(encode), Some(decode)) => (walk.method("encode", encode)?, walk.method("decode", decode)?),
        (None, None) | (Some(_), None) | (None, Some(_)) => {
            if !has_forward {
                return Err(ImportError::unknown(
                    format!("TorchScript of class {}, which has no method forward", root.class),
                    "export a module that maps audio to audio, with nn_tilde or torch.jit.script",
                ));
            }
            let mono = Signature { channels: 1, makes: None };
            let forward = forward?;
            let assumed = forward.is_none();
            let forward = walk.method("forward", forward.unwrap_or(mono))?;
            let remarks = if assumed { vec!["one channel assumed".into()] } else { vec![] };
            return Ok(Graphs { forward, latent: None, rate: None, remarks });
        }
    };
    let decode = renamed(&decode, &encode)?;
    let halves = encode.then("latents", &decode)?;
    walk.draws = 0;
    let whole = match forward? {
        Some(signature) if has_forward => Some(walk.method("forward", signature)?),
        _ => None,
    };
    match whole.as_ref().and_then(|whole| Some((whole, difference(whole, &halves)?))) {
        None => Ok(Graphs { forward: halves, latent: Some(Latent { encode, decode }), rate: None, remarks: vec![] }),
        Some((whole, _)) => {
            let remarks = vec!["encode and decode left out, forward does more than both".into()];
            Ok(Graphs { forward: whole.clone(), latent: None, rate: None, remarks })
        }
    }
}

/// What makes a method's result.
type Walked<'w> = dyn Fn(&mut Run<'_, '_>) -> Result<Value, ImportError> + 'w;

struct Walk<'a> {
    program: Program<'a>,
    /// The model as the file holds it.
    object: Rc<Object>,
    idiom: Idiom,
    budget: u64,
    draws: u32,
    constants: Rc<[Value]>,
}

impl Walk<'_> {
    /// The graph of a method.
    fn method(&mut self, name: &str, signature: Signature) -> Result<Graph, ImportError> {
        let object = self.object.fresh();
        let axes = packed_axes(&[Some(1), Some(signature.channels), None]);
        self.twice(name, signature, &|run| {
            let input = Signal { node: 0, shift: 0, frames: Dim::TIME, axes: axes.clone() };
            let input = script::torch::made(run, input);
            run.method(&object, name, vec![input], vec![])
        })
    }

    /// The graph of the model that Neutone's wrapper holds, and its rate.
    fn neutone(&mut self, inner: &Object) -> Result<(Graph, Option<i64>), ImportError> {
        let object = inner.fresh();
        let build = Build::new(1, Beside::new(None), self.budget);
        let mut run = Run::new(&mut self.program, build, self.idiom, 0, Rc::clone(&self.constants));
        let ([channels, made], rate) = neutone::signature(&mut run, &object)?;
        let signature = Signature { channels, makes: Some((made, Fraction::whole(1))) };
        let graph = self.twice(neutone::METHOD, signature, &|run| neutone::call(run, &object, channels))?;
        Ok((graph, rate))
    }

    /// The graph of what `walk` makes of the input; a second time it must make the same.
    fn twice(&mut self, name: &str, signature: Signature, walk: &Walked<'_>) -> Result<Graph, ImportError> {
        let (first, draws) = self.once(name, signature, walk)?;
        let (second, _) = self.once(name, signature, walk)?;
        if let Some(what) = difference(&first, &second) {
            return Err(ImportError::Operator {
                node: name.into(),
                op: "method".into(),
                reason: format!(
                    "does something else when it is called again ({what}); a stream has one rule for all frames"
                ),
            });
        }
        self.draws = draws;
        Ok(first)
    }

    fn once(&mut self, name: &str, signature: Signature, walk: &Walked<'_>) -> Result<(Graph, u32), ImportError> {
        let build = Build::new(signature.channels, Beside::new(None), self.budget);
        let mut run = Run::new(&mut self.program, build, self.idiom, self.draws, Rc::clone(&self.constants));
        let result = walk(&mut run)?;
        let draws = run.draws();
        let refuse = |reason: String| ImportError::Operator { node: name.into(), op: "method".into(), reason };
        let Value::Tensor(tensor) = &result else {
            return Err(refuse("makes no tensor, or more than one; one signal is needed".into()));
        };
        let signal = run.signal(tensor)?;
        let signal = signal.filter(|signal| signal.time_axis().is_some());
        let signal = signal.ok_or_else(|| refuse("makes something that does not depend on its input".into()))?;
        if let Some((channels, rate)) = signature.makes
            && (signal.channels() != channels || signal.frames.slope != rate)
        {
            let (found, frames) = (signal.channels(), signal.frames);
            let teller = if name == neutone::METHOD { "is_output_mono".into() } else { format!("{name}_params") };
            return Err(refuse(format!(
                "makes {found} channels of {frames} frames, and its {teller} tells {channels} of {rate}·T"
            )));
        }
        let finished = finish(&mut run.build, &signal).map_err(refuse)?;
        Ok((finished, draws))
    }
}

/// The graph whose last node the signal is.
fn finish(build: &mut Build, signal: &Signal) -> Result<Graph, String> {
    let packed = build.packed(signal)?;
    let aligned = build.aligned(&packed)?;
    if aligned.node + 1 != build.graph.nodes().len() || aligned.node == 0 {
        let channels = aligned.channels();
        build.push(Op::Slice { start: 0, channels }, &[aligned.node])?;
    }
    tidy(&build.graph).map_err(|error| error.to_string())
}

/// What the file tells of a method; `None` where it tells nothing.
fn signature(root: &Module, method: &str) -> Result<Option<Signature>, ImportError> {
    let name = format!("{method}_params");
    let Some(told) = root.tensor(&name) else { return Ok(None) };
    let numbers = super::script::value::constant(told).to_ints().ok();
    let Some(&[channels, ratio, out_channels, out_ratio]) = numbers.as_deref() else {
        return Err(ImportError::malformed(name, "holds no four whole numbers: channels and ratio, in and out"));
    };
    let fits = |n: i64, most: i64| (1..=most).contains(&n);
    if !fits(channels, MOST_CHANNELS)
        || !fits(out_channels, MOST_CHANNELS)
        || !fits(ratio, MOST_RATIO)
        || !fits(out_ratio, MOST_RATIO)
    {
        let reason = format!(
            "is {:?}; channels from 1 to {MOST_CHANNELS} and ratios from 1 to {MOST_RATIO} are read",
            [channels, ratio, out_channels, out_ratio]
        );
        return Err(ImportError::malformed(name, reason));
    }
    let rate = Fraction::new(i128::from(ratio), i128::from(out_ratio));
    Ok(Some(Signature { channels: channels as usize, makes: rate.map(|rate| (out_channels as usize, rate)) }))
}

fn model(
    name: &str,
    root: &Module,
    graphs: Graphs,
    provenance: crate::model::Provenance,
    options: &Options,
) -> Result<Model, ImportError> {
    let Graphs { forward, latent, rate: told, mut remarks } = graphs;
    let root = if neutone::wraps(&root.class) { root.child(neutone::INNER).unwrap_or(root) } else { root };
    let told = told.or_else(|| ["sr", "sample_rate", "sampling_rate"].iter().find_map(|name| root.int(name)));
    let told = told.map(|rate| {
        let fits = u32::try_from(rate).ok().filter(|rate| (1..=10_000_000).contains(rate));
        fits.ok_or_else(|| ImportError::malformed("sr", format!("is {rate}, which is no sampling rate")))
    });
    let rate = match options.sampling_rate {
        Some(rate) => Some(rate),
        None => told.transpose()?,
    };
    if rate.is_none() {
        remarks.push(format!("{USUAL_RATE} Hz assumed, the file does not tell"));
    }
    let latents = latent.as_ref().map_or(0, |latent| latent.encode.output().channels);
    let info = Info {
        name: name.into(),
        description: describe(root, &forward, latent.as_ref(), rate, &remarks),
        sampling_rate: rate.unwrap_or(USUAL_RATE),
        latent_names: (1..=latents).map(|i| format!("latent {i}")).collect(),
        provenance,
        levels: Levels::default(),
        refit: None,
    };
    Ok(Model { forward, latent, prior: None, info })
}

fn describe(root: &Module, forward: &Graph, latent: Option<&Latent>, rate: Option<u32>, remarks: &[String]) -> String {
    let count = |n: usize| if n == 1 { "1 channel".into() } else { format!("{n} channels") };
    let class: String = plain(&root.qualified).chars().take(80).collect();
    let mut parts = vec![format!("TorchScript of {class}")];
    parts.extend(rate.map(|rate| format!("{rate} Hz")));
    let made = forward.output();
    let at = if made.rate == Rate::UNIT { String::new() } else { format!(" at {} of its rate", made.rate) };
    parts.push(format!("{} in, {}{at} out", count(forward.input().channels), count(made.channels)));
    if let Some(latent) = latent {
        let latents = latent.encode.output();
        parts.push(format!("{} latents at {} of the rate", latents.channels, latents.rate));
    }
    parts.extend(remarks.iter().cloned());
    parts.join(", ")
}
