//! ONNX: a model as other tools export it. The file is a graph of tensor operators; read here, each becomes a function of
//! constants and *signals*, tensors of which one axis is time.
//!
//! ```text
//! wire ──▶ proto ──▶ interpret ──▶ op/* ──▶ build (a Graph)
//! ```
//!
//! Lengths are kept as straight lines in the length of the input ([`dim`]), so that the shape arithmetic of exporters folds
//! away. Crops and pads in time are shifts of frames; frames keep their index.

pub(super) mod build;
pub(super) mod call;
pub(super) mod constant;
pub(super) mod dim;
mod input;
mod interpret;
pub(super) mod op;
pub(super) mod proto;
pub(super) mod tensor;
pub(super) mod value;
mod wire;

use std::path::Path;

use self::build::Build;
use self::interpret::Interpreter;
use self::tensor::Beside;
use self::value::{Signal, Value};
use super::tidy::tidy;
use super::{ImportError, Options, provenance};
use crate::graph::Graph;
use crate::model::{Info, Levels, Model};
use crate::timing::Rate;

/// A result inside an operator; the reason is completed with its place where it leaves.
type Outcome<T> = Result<T, String>;

/// Oldest version of the operators that is read.
const OLDEST_OPSET: i64 = 11;
/// Bytes of a file beyond which it is no protocol buffer.
const MOST_BYTES: u64 = i32::MAX as u64;
/// Functions of a file beyond which it is refused.
const MOST_FUNCTIONS: usize = 4096;
/// Samples per second of a model whose file does not tell them.
const USUAL_RATE: u32 = 44_100;

/// Reads the model at `path`; weights may lie in files beside it.
///
/// # Errors
/// When the file is damaged, or the model cannot stream; the message names the operator, the reason and the cure.
pub fn open(name: &str, path: &Path, options: &Options) -> Result<Model, ImportError> {
    let bytes = whole(path)?;
    let absolute = std::path::absolute(path).map_err(|e| ImportError::io(path, e))?;
    let folder = absolute.parent().map(Path::to_owned);
    read(name, &provenance::file_name(path), &bytes, Beside::new(folder), options)
}

/// Reads a model from the bytes of its file; weights beside it are out of reach.
///
/// # Errors
/// As [`open`].
pub fn from_bytes(name: &str, bytes: &[u8], options: &Options) -> Result<Model, ImportError> {
    read(name, name, bytes, Beside::new(None), options)
}

/// The file at `path` and the files of weights that it names beside itself.
///
/// # Errors
/// When the file cannot be read.
pub fn files(path: &Path) -> Result<Vec<std::path::PathBuf>, ImportError> {
    let bytes = whole(path)?;
    let model = proto::Model::read(&bytes)?;
    let mut files = vec![path.to_owned()];
    if let Some(graph) = model.graph {
        for tensor in proto::Graph::read(graph)?.initializers {
            let location = tensor.external.iter().flatten().find(|(key, _)| *key == "location");
            let beside = location.and_then(|(_, name)| tensor::beside(path, name));
            files.extend(beside.filter(|file| !files.contains(file)));
        }
    }
    Ok(files)
}

/// All bytes of the file at `path`.
fn whole(path: &Path) -> Result<Vec<u8>, ImportError> {
    let fail = |e| ImportError::io(path, e);
    let bytes = std::fs::metadata(path).map_err(fail)?.len();
    if bytes > MOST_BYTES {
        let found = format!("{} has {bytes} bytes, an ONNX file at most {MOST_BYTES}", path.display());
        return Err(ImportError::unknown(found, "export it with its weights in a file beside it"));
    }
    std::fs::read(path).map_err(fail)
}

fn read(name: &str, source: &str, bytes: &[u8], beside: Beside, options: &Options) -> Result<Model, ImportError> {
    let model = proto::Model::read(bytes)?;
    let message = model.graph.ok_or_else(|| {
        ImportError::unknown(
            format!("{source} holds no graph, so it is no ONNX model"),
            "copy, download or export it again",
        )
    })?;
    if model.opset < OLDEST_OPSET {
        let found = format!(
            "{source} uses operators of version {}, and {OLDEST_OPSET} is the oldest that is read",
            model.opset
        );
        return Err(ImportError::unknown(found, format!("export it with opset_version={OLDEST_OPSET} or newer")));
    }
    if model.functions.len() > MOST_FUNCTIONS {
        let reason = format!("holds {} functions, at most {MOST_FUNCTIONS} are read", model.functions.len());
        return Err(ImportError::malformed(source, reason));
    }
    let graph = proto::Graph::read(message)?;
    let input = input::choose(&graph, options)?;
    let budget = (1 << 21) + 64 * bytes.len() as u64;
    let mut build = Build::new(input.channels, beside, budget);
    build.opset = model.opset;
    build.exported_frames = input.exported_frames;
    build.held_frames = input.held_frames();
    let given = inputs(&mut build, &model, &input)?;
    let mut interpreter = Interpreter::new(&model, build);
    let wanted = *graph
        .outputs
        .first()
        .ok_or_else(|| ImportError::unknown(format!("{source} has no output"), "export it again"))?;
    let values = interpreter.run(&graph, given, &[wanted])?;
    let mut build = interpreter.build;
    build.place = "output".into();
    let refuse = |build: &Build, reason: String| ImportError::Operator {
        node: build.place.clone(),
        op: "Output".into(),
        reason,
    };
    let streams = |value: &Value| matches!(value, Value::Signal(signal) if signal.time_axis().is_some());
    let Some(Value::Signal(signal)) = values.into_iter().next().filter(streams) else {
        return Err(refuse(&build, format!("{wanted} does not depend on the input {}", input.name)));
    };
    finish(&mut build, &signal).map_err(|reason| refuse(&build, reason))?;
    let sampling_rate = sampling_rate(&model, options)?;
    let info = Info {
        name: name.into(),
        description: describe(&model, &build.graph, &input, &signal, sampling_rate, graph.outputs.len()),
        sampling_rate: sampling_rate.unwrap_or(USUAL_RATE),
        latent_names: vec![],
        levels: Levels::default(),
        refit: None,
        provenance: provenance::of_bytes(source, &[bytes]),
    };
    let forward = tidy(&build.graph).map_err(|e| refuse(&build, e.to_string()))?;
    Ok(Model { forward, latent: None, prior: None, info })
}

/// What each input stands for: the streamed one, and parameters for the others.
fn inputs<'a>(
    build: &mut Build,
    model: &proto::Model<'a>,
    streamed: &input::Chosen<'a>,
) -> Result<Vec<(&'a str, Value)>, ImportError> {
    let mut given = vec![(streamed.name, Value::Signal(streamed.signal()))];
    for held in &streamed.held {
        let told = model.metadata.iter().find(|(key, _)| key.strip_prefix("parameter.") == Some(held.name));
        let parameter = held.parameter(told.map(|(_, value)| *value), streamed.held_frames())?;
        build.place = held.name.into();
        let node = build.push(crate::graph::Op::Parameter(parameter), &[0]);
        let node = node.map_err(|reason| ImportError::malformed(format!("input {}", held.name), reason))?;
        given.push((held.name, Value::Signal(held.signal(node))));
    }
    Ok(given)
}

/// Makes the graph's last node the signal that the file's output is.
fn finish(build: &mut Build, signal: &Signal) -> Outcome<()> {
    let packed = build.packed(signal)?;
    let aligned = build.aligned(&packed)?;
    if aligned.node + 1 != build.graph.nodes().len() || aligned.node == 0 {
        let channels = aligned.channels();
        build.push(crate::graph::Op::Slice { start: 0, channels }, &[aligned.node])?;
    }
    Ok(())
}

/// Samples per second, where the file or the user tells them.
fn sampling_rate(model: &proto::Model<'_>, options: &Options) -> Result<Option<u32>, ImportError> {
    if options.sampling_rate.is_some() {
        return Ok(options.sampling_rate);
    }
    let told = model.metadata.iter().find(|(key, _)| matches!(*key, "sample_rate" | "sampling_rate" | "sr"));
    let Some((key, value)) = told else { return Ok(None) };
    let rate = value.parse::<f64>().ok().filter(|rate| (1.0..=10_000_000.0).contains(rate) && rate.fract() == 0.0);
    rate.map(|rate| Some(rate as u32)).ok_or_else(|| {
        ImportError::malformed(format!("metadata {key}"), format!("{value:?} is no sampling rate; tell the right one"))
    })
}

fn describe(
    model: &proto::Model<'_>,
    graph: &Graph,
    input: &input::Chosen<'_>,
    output: &Signal,
    sampling_rate: Option<u32>,
    outputs: usize,
) -> String {
    let producer = if model.producer.is_empty() {
        String::new()
    } else {
        format!(" by {}", model.producer.chars().take(40).collect::<String>())
    };
    let told = match sampling_rate {
        Some(rate) => format!("{rate} Hz"),
        None => format!("{USUAL_RATE} Hz assumed, the file does not tell"),
    };
    let last = graph.output();
    let count = |channels: usize| if channels == 1 { "1 channel".into() } else { format!("{channels} channels") };
    let rate = if last.rate == Rate::UNIT { String::new() } else { format!(" at {} of its rate", last.rate) };
    let more = if outputs > 1 { format!(", the first of {outputs} outputs") } else { String::new() };
    format!(
        "ONNX{producer}, opset {}, {told}; {} of {} in, {}{rate} out as {}{more}",
        model.opset,
        input.name.chars().take(40).collect::<String>(),
        count(graph.input().channels),
        count(last.channels),
        output.shape_text(),
    )
}
