//! The `.runnel` file: a safetensors file that holds every weight once, with a header that describes the streams.
//!
//! The header is JSON under the metadata key `runnel`:
//!
//! ```text
//! { "version": 1 or 2,
//!   "info":    { name, description, sampling_rate, latent_names, provenance: { source, sha256, converter } },
//!   "methods": { "forward": { "latency_samples": 26568,
//!                             "nodes": [ { "name", "op": { … weights by tensor name … }, "inputs": [ids] }, … ] },
//!                "encode": …, "decode": …, "prior": … },
//!   "prior":   { "resolution": 32 } }
//! ```
//!
//! `prior` stands where the model has one. Version 2 has it, the ops `ada_in`, `lstm`, `p_relu`, `parameter`, `max`,
//! `layer_norm`, `softmax` and `rnn`, a `gru`'s `reset` and `initial_hidden`, and the functions from `silu` on; a file with
//! none of these is of version 1, so that older Runnels read it.
//!
//! `info` also holds `levels` and, in a file that was refitted to a shorter latency, `refit`: what was given up, and how
//! far that is from the trained model. Older Runnels read such a file, and play it, without knowing that.
//!
//! Weights are F32; those that `convert --weights f16` rounded are F16, and are the same values again when loaded.
//!
//! Any safetensors tool opens it. Loading checks everything once: sizes, types, finite weights, shapes, rates, and that
//! the latency the file tells is the latency its streams have.

mod tensors;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{self, Cursor, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};

use crate::graph::{Gru, NodeId, Pointwise, Reset};
use crate::model::Info;
use crate::stream::{LatentStreams, PriorStream, StreamError, StreamGraph, StreamModel, StreamOp};
use crate::tensor::{Tensor, Weight};

/// The newest version that is read. Models that version 1 can hold are written as version 1.
pub const VERSION: u32 = 2;

/// Why a `.runnel` file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file is damaged, or not a `.runnel` file.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the numbers and the cure.
        reason: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    info: Info,
    methods: BTreeMap<Method, StreamRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prior: Option<PriorRecord>,
}

#[derive(Serialize, Deserialize)]
struct PriorRecord {
    resolution: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Method {
    Forward,
    Encode,
    Decode,
    Prior,
}

#[derive(Serialize, Deserialize)]
struct StreamRecord {
    latency_samples: u64,
    nodes: Vec<NodeRecord>,
}

#[derive(Serialize, Deserialize)]
struct NodeRecord {
    name: String,
    op: StreamOp<String>,
    inputs: Vec<NodeId>,
}

/// Most nodes of one stream.
const MOST_NODES: usize = 1 << 16;
/// Values that nodes may use beyond twice those the file holds.
const MOST_REUSED: usize = 1 << 20;
/// Most bytes of a file.
const MOST_BYTES: u64 = 1 << 33;
const KEY: &str = "runnel";

/// Whether the file at `path` starts like a safetensors file.
///
/// # Errors
/// When it cannot be read.
pub fn is_safetensors(path: &Path) -> Result<bool, FormatError> {
    let io = |source| FormatError::Io { path: path.into(), source };
    let mut start = Vec::with_capacity(9);
    fs::File::open(path).map_err(io)?.take(9).read_to_end(&mut start).map_err(io)?;
    Ok(start.len() == 9 && start[8] == b'{')
}

/// Whether the file at `path` is a `.runnel` file, whole or damaged, rather than a safetensors file of others.
///
/// # Errors
/// When it cannot be read.
pub fn is_runnel(path: &Path) -> Result<bool, FormatError> {
    let io = |source| FormatError::Io { path: path.into(), source };
    if !is_safetensors(path)? {
        return Ok(false);
    }
    let len = fs::metadata(path).map_err(io)?.len();
    let of_others = |metadata: &safetensors::tensor::Metadata| {
        metadata.metadata().as_ref().is_none_or(|metadata| !metadata.contains_key(KEY))
    };
    Ok(!tensors::metadata(|| fs::File::open(path), len).is_ok_and(|(_, metadata)| of_others(&metadata)))
}

/// Writes `model` to `path`; an existing file is replaced only when the new one is whole.
///
/// # Errors
/// When the system refuses.
pub fn save(model: &StreamModel, path: &Path) -> Result<(), FormatError> {
    let bytes = to_bytes(model).map_err(|reason| FormatError::Malformed { path: path.into(), reason })?;
    replace(path, &bytes).map_err(|source| FormatError::Io { path: path.into(), source })
}

/// Reads the model at `path`.
///
/// # Errors
/// When the file cannot be read, is not a `.runnel` file, is damaged, or is newer than this converter.
pub fn load(path: &Path) -> Result<StreamModel, FormatError> {
    let io = |source| FormatError::Io { path: path.into(), source };
    let malformed = |reason: String| FormatError::Malformed { path: path.into(), reason };
    let len = fs::metadata(path).map_err(io)?.len();
    if len > MOST_BYTES {
        return Err(malformed(format!("{len} bytes, more than any model ({MOST_BYTES}); give a .runnel file")));
    }
    read(|| fs::File::open(path), len).map_err(malformed)
}

/// The bytes of `model`'s file.
///
/// # Errors
/// When safetensors refuses; it has no reason to.
pub fn to_bytes(model: &StreamModel) -> Result<Vec<u8>, String> {
    let mut names: HashMap<*const Tensor, String> = HashMap::new();
    let mut tensors: BTreeMap<String, Weight> = BTreeMap::new();
    let mut methods = BTreeMap::new();
    for (method, stream) in streams(model) {
        let nodes = stream.nodes().iter().map(|node| {
            let mut part = 0;
            let Ok(op) = node.op.map_weights(|weight| {
                let name = names.entry(Arc::as_ptr(weight)).or_insert_with(|| {
                    let mut name = format!("{}.{part}", node.name);
                    while tensors.contains_key(&name) {
                        name.push('\'');
                    }
                    tensors.insert(name.clone(), weight.clone());
                    name
                });
                part += 1;
                Ok::<_, std::convert::Infallible>(name.clone())
            });
            NodeRecord { name: node.name.clone(), op, inputs: node.inputs.clone() }
        });
        let nodes = nodes.collect();
        methods.insert(method, StreamRecord { latency_samples: stream.latency_samples(), nodes });
    }
    let prior = model.prior.as_ref().map(|prior| PriorRecord { resolution: prior.resolution() });
    let header = Header { version: version(model), info: model.info.clone(), methods, prior };
    let header = serde_json::to_string(&header).map_err(|e| e.to_string())?;
    let bytes: BTreeMap<_, _> = tensors.iter().map(|(name, weight)| (name, stored(weight))).collect();
    let views = tensors.iter().map(|(name, weight)| {
        let (dtype, data) = &bytes[name];
        TensorView::new(*dtype, weight.shape().to_vec(), data).map(|view| (name, view))
    });
    let views: Vec<_> = views.collect::<Result<_, _>>().map_err(|e| e.to_string())?;
    safetensors::serialize(views, Some(HashMap::from([(KEY.to_string(), header)]))).map_err(|e| e.to_string())
}

/// The model of a file's bytes.
///
/// # Errors
/// What is wrong with them, and the cure.
pub fn from_bytes(bytes: &[u8]) -> Result<StreamModel, String> {
    read(|| Ok(Cursor::new(bytes)), bytes.len() as u64)
}

/// The model of a file of `len` bytes, which each reading thread opens for itself.
fn read<F: Read + Seek>(open: impl Fn() -> io::Result<F> + Sync, len: u64) -> Result<StreamModel, String> {
    let (data_start, metadata) = tensors::metadata(&open, len)
        .map_err(|reason| format!("not a .runnel file ({reason}); convert the checkpoint again"))?;
    let header = metadata.metadata().as_ref().and_then(|m| m.get(KEY)).ok_or_else(|| {
        "a safetensors file, but without Runnel's header; give a .runnel file or a RAVE checkpoint".to_string()
    })?;
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let Version { version } = serde_json::from_str(header).map_err(|e| format!("header: {e}; convert again"))?;
    if version == 0 || version > VERSION {
        return Err(format!("version {version}, this Runnel reads 1 to {VERSION}; update Runnel, or convert again"));
    }
    let header: Header = serde_json::from_str(header).map_err(|e| format!("header: {e}; convert again"))?;
    if header.info.sampling_rate == 0 {
        return Err("header: sampling_rate is 0; convert again".into());
    }
    let weights = tensors::weights(&metadata, data_start, &open)?;
    let mut streams = BTreeMap::new();
    for (method, record) in header.methods {
        streams.insert(method, stream(record, &weights)?);
    }
    let forward = streams.remove(&Method::Forward).ok_or("header: no method forward; convert again")?;
    let latent = match (streams.remove(&Method::Encode), streams.remove(&Method::Decode)) {
        (Some(encode), Some(decode)) => {
            let latents = [encode.output().channels, decode.input().channels, header.info.latent_names.len()];
            if latents.iter().any(|&l| l != latents[0]) {
                return Err(format!(
                    "encode makes, decode reads and the header names {latents:?} latents; convert again"
                ));
            }
            Some(LatentStreams { encode, decode })
        }
        (None, None) => None,
        _ => return Err("header: only one of encode and decode; convert again".into()),
    };
    let prior = match (streams.remove(&Method::Prior), header.prior) {
        (Some(network), Some(PriorRecord { resolution })) => {
            let prior = PriorStream::new(network, resolution).map_err(|e| format!("{e}; convert again"))?;
            let reads = latent.as_ref().map_or(0, |latent| latent.decode.input().channels);
            if prior.latents() != reads {
                return Err(format!("prior makes {} latents, decode reads {reads}; convert again", prior.latents()));
            }
            Some(prior)
        }
        (None, None) => None,
        _ => return Err("header: only one of the prior's method and its resolution; convert again".into()),
    };
    Ok(StreamModel { forward, latent, prior, info: header.info })
}

fn streams(model: &StreamModel) -> Vec<(Method, &StreamGraph)> {
    let mut streams = vec![(Method::Forward, &model.forward)];
    if let Some(latent) = &model.latent {
        streams.extend([(Method::Encode, &latent.encode), (Method::Decode, &latent.decode)]);
    }
    streams.extend(model.prior.as_ref().map(|prior| (Method::Prior, prior.network())));
    streams
}

/// The oldest version that can hold `model`.
fn version(model: &StreamModel) -> u32 {
    let newest =
        streams(model).into_iter().flat_map(|(_, stream)| stream.nodes()).map(|node| version_of(&node.op)).max();
    match &model.prior {
        Some(_) => 2,
        None => newest.unwrap_or(1),
    }
}

fn version_of(op: &StreamOp) -> u32 {
    match op {
        StreamOp::Input { .. }
        | StreamOp::Conv(_)
        | StreamOp::ChannelAffine { .. }
        | StreamOp::Snake { .. }
        | StreamOp::Add
        | StreamOp::Mul
        | StreamOp::Concat
        | StreamOp::Slice { .. }
        | StreamOp::AlternateSign
        | StreamOp::DepthToTime { .. }
        | StreamOp::Repeat { .. }
        | StreamOp::Gaussian { .. }
        | StreamOp::NoiseSynth(_)
        | StreamOp::Gru(Gru { reset: Reset::Product, initial_hidden: None, .. })
        | StreamOp::PowerSpectrum { .. }
        | StreamOp::UnitNorm
        | StreamOp::ToAngles
        | StreamOp::FromAngles
        | StreamOp::Quantize { .. }
        | StreamOp::Dequantize { .. }
        | StreamOp::LatentEdit => 1,
        StreamOp::Pointwise(function) => match function {
            Pointwise::LeakyRelu { .. }
            | Pointwise::Tanh
            | Pointwise::Sigmoid
            | Pointwise::Softplus
            | Pointwise::ModSigmoid
            | Pointwise::Log1p
            | Pointwise::Affine { .. } => 1,
            Pointwise::Silu
            | Pointwise::HardSwish
            | Pointwise::Softsign
            | Pointwise::Clamp { .. }
            | Pointwise::LeakyHardTanh { .. }
            | Pointwise::FastTanh
            | Pointwise::Elu { .. }
            | Pointwise::Gelu
            | Pointwise::GeluTanh
            | Pointwise::Erf
            | Pointwise::Exp
            | Pointwise::Log
            | Pointwise::Sqrt
            | Pointwise::Reciprocal
            | Pointwise::Sin
            | Pointwise::Cos
            | Pointwise::Abs
            | Pointwise::Power { .. } => 2,
        },
        StreamOp::AdaIn { .. }
        | StreamOp::Gru(_)
        | StreamOp::Lstm(_)
        | StreamOp::Rnn(_)
        | StreamOp::PRelu { .. }
        | StreamOp::Parameter(_)
        | StreamOp::Max
        | StreamOp::LayerNorm(_)
        | StreamOp::Softmax { .. } => 2,
    }
}

/// A weight as the file holds it.
fn stored(weight: &Tensor) -> (Dtype, Vec<u8>) {
    match weight.half_bits() {
        Some(bits) => (Dtype::F16, bits.flat_map(u16::to_le_bytes).collect()),
        None => (Dtype::F32, weight.data().iter().flat_map(|v| v.to_le_bytes()).collect()),
    }
}

fn stream(record: StreamRecord, weights: &HashMap<String, Weight>) -> Result<StreamGraph, String> {
    if record.nodes.len() > MOST_NODES {
        return Err(format!("{} nodes, at most {MOST_NODES} are read", record.nodes.len()));
    }
    let mut nodes = Vec::with_capacity(record.nodes.len());
    for node in record.nodes {
        let named = |name: &String| {
            weights.get(name).cloned().ok_or_else(|| format!("{}: tensor {name} is missing; convert again", node.name))
        };
        nodes.push((node.name.clone(), node.op.map_weights(named)?, node.inputs));
    }
    // Every use of a weight is packed for the machine: a file must hold about as much as it makes of it.
    let held: usize = weights.values().map(|w| w.len()).sum();
    let used = nodes.iter().flat_map(|(_, op, _)| op.weights()).fold(0usize, |sum, w| sum.saturating_add(w.len()));
    if used > held.saturating_mul(2).saturating_add(MOST_REUSED) {
        return Err(format!("its nodes use {used} values, the file holds {held}; convert again"));
    }
    let stream = StreamGraph::new(nodes).map_err(|e: StreamError| format!("{e}; convert again"))?;
    if stream.latency_samples() != record.latency_samples {
        return Err(format!(
            "the header tells a latency of {} samples, its streams have {}; convert again",
            record.latency_samples,
            stream.latency_samples()
        ));
    }
    Ok(stream)
}

/// Writes beside `path`, then renames: a failed run leaves what was there.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or_else(|| io::Error::other("not a file name; name a file to write"))?;
    let mut part = name.to_os_string();
    part.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(part);
    let written = fs::File::create(&part).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.and_then(|()| fs::rename(&part, path)).inspect_err(|_| {
        // What could not be finished must not stay; that it cannot be removed either changes nothing.
        let _ = fs::remove_file(&part);
    })
}
