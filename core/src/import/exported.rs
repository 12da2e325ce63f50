//! TorchScript of any nn~-style export: its methods' code, walked over signals, becomes graphs.
//!
//! Its table (`table`) tells which methods there are; a module without one is taken for an effect of one channel. Each
//! method is walked (`walk`); numbers that a host may write become parameters (`attributes`).

mod attributes;
mod neutone;
mod table;
#[cfg(test)]
mod tests;
mod walk;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{Read, Seek};
use std::path::Path;
use std::rc::Rc;

use self::table::Signature;
use self::walk::Walk;
use super::archive::Archive;
use super::script::compare::difference;
use super::script::program::{Program, plain};
use super::script::run::Idiom;
use super::script::value::{Object, Value};
use super::script::{self, Module};
use super::tidy::renamed;
use super::{ImportError, LatentChoice, Options, provenance, rave};
use crate::graph::Graph;
use crate::model::{Info, Latent, Levels, Model};
use crate::timing::Rate;

/// Samples per second of a model whose file does not tell them.
const USUAL_RATE: u32 = 44_100;
/// Methods that a message names, at most.
const MOST_SHOWN: usize = 20;
/// Reads the export at `path`: RAVE's by its modules, any other by its code.
///
/// # Errors
/// When the archive is damaged, or the model cannot stream; names the place, the construct and the cure.
pub fn open(name: &str, path: &Path, options: &Options) -> Result<Model, ImportError> {
    let mut archive = Archive::open(path)?;
    let root = script::from_archive(&mut archive)?;
    if rave::knows(&root) {
        if options.method.is_some() {
            let found = format!("{} is a RAVE export, whose encode, decode and forward are all kept", path.display());
            return Err(ImportError::unknown(found, "leave the method out"));
        }
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
    let graphs = graphs(&mut archive, &root, rave::idioms::idiom, options.method.as_deref())?;
    let provenance = provenance::of_file(path)?;
    let name = options.method.as_ref().map_or(name.to_owned(), |method| format!("{name} {method}"));
    model(&name, &root, graphs, provenance, options)
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
    let graphs = graphs(archive, &root, rave::idioms::idiom, options.method.as_deref())?;
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
        numbers: vec![],
        fixed: BTreeSet::new(),
    };
    walk.method("forward", Signature::MONO)
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

/// Walks the code of the methods that a host may call, or of `method` alone; `idiom` stands in for some of it.
///
/// # Errors
/// When they cannot stream.
pub(super) fn graphs<R: Read + Seek>(
    archive: &mut Archive<R>,
    root: &Module,
    idiom: Idiom,
    method: Option<&str>,
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
        numbers: vec![],
        fixed: BTreeSet::new(),
    };
    if neutone::wraps(&root.class)
        && let Some(inner) = walk.object.child(neutone::INNER)
    {
        if method.is_some() {
            let found = "a Neutone model, which has one method for its host";
            return Err(ImportError::unknown(found, "leave the method out"));
        }
        let (forward, rate) = walk.neutone(&inner)?;
        return Ok(Graphs { forward, latent: None, rate, remarks: vec![] });
    }
    let (methods, attributes) = table::names(root, &mut walk.program)?;
    walk.numbers = attributes::numbers(&walk.object, &attributes);
    let mut graphs = match method {
        Some(method) => alone(&mut walk, root, method, &methods)?,
        None if ["encode", "decode"].iter().all(|name| methods.contains(name)) => autoencoder(&mut walk, root)?,
        None if walk.program.has_method(&root.qualified, "forward")? => alone(&mut walk, root, "forward", &methods)?,
        None if methods.len() == 1 => alone(&mut walk, root, methods[0], &methods)?,
        None => return Err(no_method(root, "forward", &methods)),
    };
    graphs.remarks.extend(walk.fixed);
    Ok(graphs)
}

/// The graph of one method.
fn alone(walk: &mut Walk<'_>, root: &Module, method: &str, methods: &[&str]) -> Result<Graphs, ImportError> {
    if !walk.program.has_method(&root.qualified, method)? {
        return Err(no_method(root, method, methods));
    }
    let told = table::signature(root, method)?;
    let mut remarks = vec![];
    if method != "forward" {
        remarks.push(format!("method {method}"));
    }
    if told.is_none() {
        remarks.push("one channel assumed".into());
    }
    let forward = walk.method(method, told.unwrap_or(Signature::MONO))?;
    Ok(Graphs { forward, latent: None, rate: None, remarks })
}

/// The graphs of `encode` and `decode`, and of both in a row; of `forward`, where that does more.
fn autoencoder(walk: &mut Walk<'_>, root: &Module) -> Result<Graphs, ImportError> {
    let signature = |name: &str| table::signature(root, name).map(|told| told.unwrap_or(Signature::MONO));
    let encode = walk.method("encode", signature("encode")?)?;
    let decode = walk.method("decode", signature("decode")?)?;
    let decode = renamed(&decode, &encode)?;
    let halves = encode.then("latents", &decode)?;
    walk.draws = 0;
    let whole = match table::signature(root, "forward")? {
        Some(signature) if walk.program.has_method(&root.qualified, "forward")? => {
            Some(walk.method("forward", signature)?)
        }
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

fn no_method(root: &Module, method: &str, methods: &[&str]) -> ImportError {
    let found = format!("TorchScript of class {}, which has no method {}", root.class, clipped(method));
    let cure = if methods.is_empty() {
        "export a module that maps audio to audio, with nn_tilde or torch.jit.script".into()
    } else {
        let shown: Vec<_> = methods.iter().take(MOST_SHOWN).map(|name| clipped(name)).collect();
        let more = if methods.len() > MOST_SHOWN { ", …" } else { "" };
        format!("choose one of its methods with `convert --method`: {}{more}", shown.join(", "))
    };
    ImportError::unknown(found, cure)
}

fn clipped(name: &str) -> String {
    name.chars().take(60).collect()
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
