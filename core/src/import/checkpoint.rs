//! Lightning checkpoints: `.ckpt` → [`super::StateDict`].
//!
//! Only the tensors of `state_dict` and of the moving average are read; optimizer states, hyper-parameters and
//! callbacks stay unread records, whatever classes they name.

use std::collections::BTreeMap;
use std::io::{Read, Seek};
use std::path::Path;

use super::archive::{Archive, Format};
use super::pickle::{Dialect, Id, Pickle, Value, clip};
use super::tensor::{Storages, View};
use super::{ImportError, StateDict};

/// Longest name of a tensor, in bytes.
const NAME: usize = 1024;

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

type Views = BTreeMap<String, View>;

fn views(pickle: &Pickle, id: Id, place: &str, keep: &impl Fn(&str) -> bool) -> Result<Views, ImportError> {
    let Some(entries) = pickle.entries(id) else {
        return Err(ImportError::malformed(place, format!("{} where a dictionary belongs", pickle.describe(id))));
    };
    let mut views = Views::new();
    for &(key, value) in entries {
        let Some(name) = pickle.text(key) else {
            return Err(ImportError::malformed(place, format!("{} as the name of a tensor", pickle.describe(key))));
        };
        if name.len() > NAME {
            let reason = format!("a tensor's name of {} bytes, more than {NAME}", name.len());
            return Err(ImportError::malformed(place, reason));
        }
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

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::super::Values;
    use super::super::sample::{MATRIX, Pickler, Tensor, changed, checkpoint, f32s, script, zip};
    use super::*;

    const SIX: [f32; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];

    fn read(entries: impl Fn(Pickler) -> Pickler) -> Result<Checkpoint, ImportError> {
        let storage = f32s(&SIX);
        let mut archive = Archive::new(checkpoint(entries, &[("archive/data/0", &storage)]), "x.ckpt")?;
        from_archive(&mut archive, |name| !name.starts_with("discriminator."))
    }

    fn refusal(entries: impl Fn(Pickler) -> Pickler) -> String {
        read(entries).unwrap_err().to_string()
    }

    /// `state_dict` with the tensor `w`.
    fn state(pickler: Pickler) -> Pickler {
        pickler.text("state_dict").raw(b"}").text("w").tensor(MATRIX).raw(b"s")
    }

    #[test]
    fn state_and_moving_average_are_read_and_the_rest_is_not() {
        let checkpoint = read(|pickler| {
            let pickler = pickler.text("epoch").int(3).text("state_dict").global("collections", "OrderedDict");
            let pickler = pickler.raw(b")R(").text("encoder.w").tensor(MATRIX).text("discriminator.w");
            // Their storage 9 is not in the archive: they must not even be asked for.
            let absent = Tensor { key: "9", ..MATRIX };
            let pickler = pickler.tensor(absent).raw(b"u}").text("_metadata").raw(b"}sb");
            let pickler = pickler.text("callbacks").raw(b"}").text("EMA").raw(b"}").text("encoder.w");
            let pickler = pickler.tensor(Tensor { shape: &[6], strides: &[1], ..MATRIX }).raw(b"ss");
            pickler.text("optimizer_states").tensor(absent)
        })
        .unwrap();
        assert_eq!(checkpoint.state.keys().collect::<Vec<_>>(), ["encoder.w"]);
        assert_eq!(checkpoint.state["encoder.w"].shape, [2, 3]);
        assert_eq!(checkpoint.state["encoder.w"].values, Values::Float(SIX.to_vec()));
        assert_eq!(checkpoint.ema.unwrap()["encoder.w"].shape, [6]);
    }

    #[test]
    fn an_average_of_nothing_is_none() {
        let checkpoint = read(|p| state(p).text("callbacks").raw(b"}").text("EMA").raw(b"}s")).unwrap();
        assert_eq!(checkpoint.ema, None);
    }

    #[test]
    fn a_bare_state_dict_is_read() {
        assert_eq!(read(|pickler| pickler.text("w").tensor(MATRIX)).unwrap().state.len(), 1);
    }

    #[test]
    fn hyper_parameters_of_any_class_are_passed_over() {
        let checkpoint = read(|pickler| {
            let pickler = state(pickler).text("hyper_parameters").global("my.project", "AttributeDict").raw(b")R(");
            let pickler = pickler.text("path").global("pathlib", "PosixPath").raw(b"(").text("/data").raw(b"tR");
            let pickler = pickler.text("seed").raw(b"\x8a\x09\x01\x01\x01\x01\x01\x01\x01\x01\x01");
            let pickler = pickler.raw(b"K\x01K\x02\x86N").text("blob").raw(b"C\x03abc").text("set");
            pickler.global("__builtin__", "set").raw(b"]K\x01a\x85R").text("fn").global("my.project", "f").raw(b"u")
        });
        assert_eq!(checkpoint.unwrap().state.len(), 1);
    }

    #[test]
    fn a_system_call_among_the_hyper_parameters_is_refused() {
        let reason = refusal(|pickler| {
            state(pickler).text("hyper_parameters").global("posix", "system").raw(b"(").text("id").raw(b"tR")
        });
        assert!(reason.contains("posix.system") && reason.contains("nothing was executed"), "{reason}");
    }

    #[test]
    fn an_object_where_a_tensor_belongs_is_refused_by_name() {
        let reason = refusal(|pickler| {
            pickler.text("state_dict").raw(b"}").text("w").global("my.project", "Weights").raw(b")Rs")
        });
        assert!(reason.contains("state_dict, w: an object of my.project.Weights where a tensor belongs"), "{reason}");
    }

    #[test]
    fn what_holds_no_state_dict_is_described() {
        let reason = refusal(|pickler| pickler.text("epoch").int(3));
        assert!(reason.contains("holds no state_dict, but: epoch"), "{reason}");
        assert!(refusal(|pickler| pickler).contains("holds an empty dictionary"));
        let reason = refusal(|pickler| pickler.text("state_dict").int(3));
        assert!(reason.contains("state_dict: an integer where a dictionary belongs"), "{reason}");
        assert!(
            refusal(|p| p.text("state_dict").raw(b"}K\x01").tensor(MATRIX).raw(b"s"))
                .contains("an integer as the name")
        );
    }

    #[test]
    fn a_whole_pickled_module_is_described() {
        let pickle = Pickler::new().module("__main__", "TCN", |p| p.text("training").raw(b"\x89")).stop();
        let archive = zip(&[("archive/data.pkl", &pickle)]);
        let mut archive = Archive::new(Cursor::new(archive), "x.pt").unwrap();
        let reason = from_archive(&mut archive, |_| true).unwrap_err().to_string();
        assert!(
            reason.contains("holds an object of __main__.TCN") && reason.contains("save its state_dict"),
            "{reason}"
        );
    }

    #[test]
    fn torch_script_is_called_what_it_is() {
        let mut archive = Archive::new(script(b"\x80\x02N.", &[]), "x.ts").unwrap();
        let reason = from_archive(&mut archive, |_| true).unwrap_err().to_string();
        assert!(reason.contains("x.ts is TorchScript"), "{reason}");
    }

    #[test]
    fn endless_names_are_refused() {
        let long = "w".repeat(2000);
        let reason = refusal(|pickler| pickler.text("state_dict").raw(b"}").text(&long).tensor(MATRIX).raw(b"s"));
        assert!(reason.contains("name of 2000 bytes"), "{reason}");
    }

    /// A whole small checkpoint: its pickle, and the archive.
    fn whole() -> Vec<u8> {
        checkpoint(
            |p| state(p).text("callbacks").raw(b"}").text("EMA").raw(b"}").text("w").tensor(MATRIX).raw(b"ss"),
            &[("archive/data/0", &f32s(&SIX))],
        )
        .into_inner()
    }

    proptest! {
        #[test]
        fn any_change_to_the_archive_is_read_or_refused(at in 0..1usize << 16, len in 0..4usize, insert: [u8; 4], n in 0..5usize) {
            let _ = Archive::new(Cursor::new(changed(&whole(), at, len, &insert[..n])), "x.ckpt")
                .and_then(|mut archive| from_archive(&mut archive, |_| true));
        }

        #[test]
        fn any_change_to_the_pickle_is_read_or_refused(at in 0..1usize << 16, len in 0..4usize, insert: [u8; 4], n in 0..5usize) {
            let mut archive = Archive::new(Cursor::new(whole()), "x.ckpt").unwrap();
            let pickle = changed(&archive.read("data.pkl").unwrap(), at, len, &insert[..n]);
            let bytes = zip(&[("archive/data.pkl", &pickle), ("archive/data/0", &f32s(&SIX))]);
            let _ = from_archive(&mut Archive::new(Cursor::new(bytes), "x.ckpt").unwrap(), |_| true);
        }
    }
}
