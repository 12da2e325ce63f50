//! Lightning checkpoints: `.ckpt` → [`super::StateDict`].
//!
//! Only the tensors of `state_dict` and of the moving average are read; optimizer states, hyper-parameters and
//! callbacks stay unread records, whatever classes they name.

use std::io::{Read, Seek};
use std::path::Path;

use super::archive::{Archive, Format};
use super::pickle::{Dialect, Id, Pickle, Value, clip};
use super::tensor::{Storages, View};
use super::{ImportError, StateDict};

/// What a training checkpoint holds that a model needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Parameters and buffers.
    pub state: StateDict,
    /// Their exponential moving averages, where the run kept any.
    pub ema: Option<StateDict>,
}

/// Reads the checkpoint at `path`.
///
/// # Errors
/// When the file cannot be read, is not a checkpoint, or is damaged.
pub fn read(path: &Path) -> Result<Checkpoint, ImportError> {
    read_where(path, |_| true)
}

/// Reads only the tensors whose dotted names `keep` accepts: a discriminator beside the model is not even loaded.
///
/// # Errors
/// As [`read`].
pub fn read_where(path: &Path, keep: impl Fn(&str) -> bool) -> Result<Checkpoint, ImportError> {
    from_archive(&mut Archive::open(path)?, keep)
}

/// Reads the checkpoint in an open archive, as [`read_where`].
///
/// # Errors
/// As [`read`].
pub fn from_archive<R: Read + Seek>(
    archive: &mut Archive<R>,
    keep: impl Fn(&str) -> bool,
) -> Result<Checkpoint, ImportError> {
    if archive.format() == Format::TorchScript {
        let found = format!("{} is TorchScript, not a training checkpoint", archive.file());
        return Err(ImportError::unknown(found, "read it as an exported model (.ts)"));
    }
    let place = format!("{}, entry data.pkl", archive.file());
    let pickle = Pickle::parse(&archive.read("data.pkl")?, &place, Dialect::Checkpoint)?;
    let state = views(&pickle, state_dict(&pickle, archive.file())?, &format!("{place}, state_dict"), &keep)?;
    let ema = match ema(&pickle) {
        Some(id) => Some(views(&pickle, id, &format!("{place}, callbacks.EMA"), &keep)?),
        None => None,
    };
    let both = state.iter().chain(ema.iter().flatten());
    let mut storages = Storages::new(archive, both.map(|(_, view)| view));
    Ok(Checkpoint { state: arrays(&mut storages, state)?, ema: ema.map(|ema| arrays(&mut storages, ema)).transpose()? })
}

/// Where the parameters are: under `state_dict`, or the whole file is one.
fn state_dict(pickle: &Pickle, file: &str) -> Result<Id, ImportError> {
    let root = pickle.root();
    if let Some(id) = pickle.entry(root, "state_dict") {
        return Ok(id);
    }
    let cure = "choose a checkpoint of a training run, such as version_0/checkpoints/best.ckpt";
    match pickle.entries(root) {
        Some([]) => Err(ImportError::unknown(format!("{file} holds an empty dictionary"), cure)),
        Some(entries) if entries.iter().all(|&(_, value)| is_tensor(pickle, value)) => Ok(root),
        Some(entries) => {
            let keys = entries.iter().take(8).filter_map(|&(key, _)| pickle.text(key)).map(clip);
            let keys = keys.collect::<Vec<_>>().join(", ");
            Err(ImportError::unknown(format!("{file} holds no state_dict, but: {keys}"), cure))
        }
        None => Err(ImportError::unknown(
            format!("{file} holds {} instead of a state_dict", pickle.describe(root)),
            "a whole pickled object needs its program; save its state_dict",
        )),
    }
}

fn is_tensor(pickle: &Pickle, id: Id) -> bool {
    pickle.call(id).is_some_and(|(name, _)| name.starts_with("torch._utils._rebuild_"))
}

/// The weights that a callback named `EMA` averaged; empty before the first training step.
fn ema(pickle: &Pickle) -> Option<Id> {
    let id = pickle.entry(pickle.entry(pickle.root(), "callbacks")?, "EMA")?;
    pickle.entries(id).filter(|entries| !entries.is_empty())?;
    Some(id)
}

type Views = std::collections::BTreeMap<String, View>;

fn views(pickle: &Pickle, id: Id, place: &str, keep: &impl Fn(&str) -> bool) -> Result<Views, ImportError> {
    let Some(entries) = pickle.entries(id) else {
        return Err(ImportError::malformed(place, format!("{} where a dictionary belongs", pickle.describe(id))));
    };
    let mut views = Views::new();
    for &(key, value) in entries {
        let Some(name) = pickle.text(key) else {
            return Err(ImportError::malformed(place, format!("{} as the name of a tensor", pickle.describe(key))));
        };
        // Modules may save `_extra_state` of any kind beside their tensors.
        if !keep(name) || name.ends_with("_extra_state") || matches!(pickle.value(value), Value::None) {
            continue;
        }
        let place = format!("{place}, {}", clip(name));
        let Some(view) = View::of(pickle, value, &place)? else {
            let reason = format!("{} where a tensor belongs; nothing was executed", pickle.describe(value));
            return Err(ImportError::malformed(place, reason));
        };
        views.insert(name.to_owned(), view);
    }
    Ok(views)
}

fn arrays<R: Read + Seek>(storages: &mut Storages<'_, R>, views: Views) -> Result<StateDict, ImportError> {
    views.into_iter().map(|(name, view)| Ok((name, storages.read(&view)?))).collect()
}
