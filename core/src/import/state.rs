//! Files of weights that do not say what their layers are: state dicts, of `torch.save` or as safetensors.

use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};

use super::archive::{Archive, Format};
use super::module::Module;
use super::pickle::{Dialect, Pickle, clip};
use super::{Array, ImportError, StateDict, Values, checkpoint};

/// Most bytes of a safetensors file, and most dimensions of a tensor.
const BYTES: u64 = 1 << 33;
const RANK: usize = 16;
/// Most entries of a folder that are looked at.
const ENTRIES: usize = 10_000;
/// How files of weights are named, where a folder is searched for them.
const ENDS: [&str; 4] = ["safetensors", "pt", "pth", "ckpt"];

/// What the pickle of a `torch.save` archive is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A whole module, of this class.
    Module,
    /// Tensors by name and nothing else; the first few names.
    Bare(String),
    /// What training saves: a dictionary with a state dict in it, or anything else.
    Other,
}

/// The tensors in the file at `path`, whichever way they are kept.
///
/// # Errors
/// When it holds none, or is damaged.
pub(super) fn read(path: &Path) -> Result<StateDict, ImportError> {
    if crate::format::is_safetensors(path).map_err(|e| malformed(path, e))? {
        return read_safetensors(path);
    }
    let mut archive = Archive::open(path)?;
    if archive.format() == Format::TorchScript {
        let found = format!("{} is TorchScript, no file of weights", path.display());
        return Err(ImportError::unknown(found, "save the model's state_dict() instead"));
    }
    let pickle = parse(&mut archive)?;
    match Module::root(&pickle) {
        Some(module) => module.state_dict(&mut archive),
        None => Ok(checkpoint::from_archive(&mut archive, |_| true)?.state),
    }
}

/// What `torch.save` wrote into the file at `path`.
///
/// # Errors
/// When its pickle is damaged.
pub(super) fn kind(path: &Path) -> Result<Kind, ImportError> {
    let pickle = parse(&mut Archive::open(path)?)?;
    if Module::root(&pickle).is_some() {
        return Ok(Kind::Module);
    }
    let entries = pickle.entries(pickle.root()).unwrap_or_default();
    let is_tensor =
        |&(_, value)| pickle.call(value).is_some_and(|(name, _)| name.starts_with("torch._utils._rebuild_"));
    if entries.is_empty() || !entries.iter().all(is_tensor) {
        return Ok(Kind::Other);
    }
    let names: Vec<_> = entries.iter().take(3).filter_map(|&(key, _)| pickle.text(key)).map(clip).collect();
    Ok(Kind::Bare(format!("{} tensors ({}, …)", entries.len(), names.join(", "))))
}

/// The files in `folder` that are named as weights, and are no converted models.
///
/// # Errors
/// When the folder cannot be read.
pub(super) fn files_in(folder: &Path) -> Result<Vec<PathBuf>, ImportError> {
    let entries = std::fs::read_dir(folder).map_err(|error| ImportError::io(folder, error))?;
    let named = |path: &PathBuf| path.extension().is_some_and(|end| ENDS.iter().any(|e| end.eq_ignore_ascii_case(e)));
    let mut files: Vec<_> = entries
        .take(ENTRIES)
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| named(path) && path.is_file() && !crate::format::is_runnel(path).unwrap_or(false))
        .collect();
    files.sort();
    Ok(files)
}

fn parse<R: Read + Seek>(archive: &mut Archive<R>) -> Result<Pickle, ImportError> {
    let place = format!("{}, entry data.pkl", archive.file());
    Pickle::parse(&archive.read("data.pkl")?, &place, Dialect::Checkpoint)
}

fn read_safetensors(path: &Path) -> Result<StateDict, ImportError> {
    let size = std::fs::metadata(path).map_err(|error| ImportError::io(path, error))?.len();
    if size > BYTES {
        return Err(malformed(path, format!("{size} bytes; at most {BYTES} are read")));
    }
    let bytes = std::fs::read(path).map_err(|error| ImportError::io(path, error))?;
    from_safetensors(&bytes).map_err(|reason| malformed(path, reason))
}

/// The tensors of a safetensors file's bytes.
///
/// # Errors
/// What is wrong with them, and the cure.
pub(super) fn from_safetensors(bytes: &[u8]) -> Result<StateDict, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| format!("{e}; copy or save the file again"))?;
    let mut state = StateDict::new();
    for (name, view) in file.tensors() {
        let data = view.data();
        let values = match view.dtype() {
            Dtype::F16 => Values::Float(decode(data, |b| f16::from_le_bytes(b).to_f32())),
            Dtype::BF16 => Values::Float(decode(data, |b| bf16::from_le_bytes(b).to_f32())),
            Dtype::F32 => Values::Float(decode(data, f32::from_le_bytes)),
            Dtype::F64 => Values::Float(decode(data, |b| f64::from_le_bytes(b) as f32)),
            Dtype::BOOL => Values::Int(decode(data, |[b]| i64::from(b != 0))),
            Dtype::U8 => Values::Int(decode(data, |[b]| i64::from(b))),
            Dtype::I8 => Values::Int(decode(data, |b| i64::from(i8::from_le_bytes(b)))),
            Dtype::I16 => Values::Int(decode(data, |b| i64::from(i16::from_le_bytes(b)))),
            Dtype::I32 => Values::Int(decode(data, |b| i64::from(i32::from_le_bytes(b)))),
            Dtype::I64 => Values::Int(decode(data, i64::from_le_bytes)),
            other => {
                return Err(format!("{}: numbers of type {other:?} cannot be read; save it in float32", clip(&name)));
            }
        };
        if view.shape().len() > RANK {
            return Err(format!("{}: {} dimensions; at most {RANK} are read", clip(&name), view.shape().len()));
        }
        state.insert(name, Array { shape: view.shape().to_vec(), values });
    }
    Ok(state)
}

fn decode<const N: usize, T>(bytes: &[u8], decode: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|&element| decode(element)).collect()
}

fn malformed(path: &Path, reason: impl std::fmt::Display) -> ImportError {
    ImportError::malformed(path.display().to_string(), reason.to_string())
}
