//! What a path leads to: the checkpoint and configuration of a training run, or an export.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::ImportError;
use super::archive::{self, Format};
use super::described::{self, Described, FILE_NAME};
use super::provenance::file_name;
use super::state::{self, Kind};

/// A model's files.
#[derive(Debug, PartialEq)]
pub(super) enum Source {
    /// A training run.
    Run { name: String, checkpoint: PathBuf, config: PathBuf },
    /// A TorchScript export.
    Export { name: String, path: PathBuf },
    /// An ONNX model.
    Onnx { name: String, path: PathBuf },
    /// A model of Neural Amp Modeler.
    Nam { name: String, path: PathBuf },
    /// The same in the layout of 2022: `config.json` and `weights.npy`.
    NamFolder { name: String, folder: PathBuf },
    /// A whole pickled module.
    Module { name: String, path: PathBuf },
    /// Weights, and what is said of their layers.
    Described { name: String, described: Described },
}

/// Folders between a run and its checkpoints: `version_0/checkpoints`, and one to spare.
const DEPTH: usize = 3;
/// Most folder entries looked at.
const ENTRIES: usize = 10_000;

/// Finds the model that `path` leads to, by content rather than by extension.
///
/// # Errors
/// Says what stands there instead.
pub(super) fn locate(path: &Path) -> Result<Source, ImportError> {
    let metadata = std::fs::metadata(path).map_err(|error| ImportError::io(path, error))?;
    if metadata.is_file() && is_onnx(path)? {
        return Ok(Source::Onnx { name: stem(path), path: path.into() });
    }
    if metadata.is_file() && is_json(path)? {
        return Ok(Source::Nam { name: stem(path), path: path.into() });
    }
    if !metadata.is_dir() {
        return file(path, metadata.is_file());
    }
    let description = path.join(FILE_NAME);
    if description.is_file() {
        return described(&description, None, run_name(path));
    }
    if path.join("config.json").is_file() && path.join("weights.npy").is_file() {
        let name = file_name(path);
        return Ok(Source::NamFolder { name, folder: path.into() });
    }
    let mut checkpoints = Vec::new();
    collect(path, DEPTH, &mut ENTRIES.clone(), &mut checkpoints)?;
    match checkpoints.into_iter().max() {
        Some((_, checkpoint)) => run(checkpoint),
        None => Err(ImportError::unknown(
            format!("{} is a folder without a .ckpt in it", path.display()),
            "choose a run folder (config.gin and version_0/checkpoints/*.ckpt), a .ckpt, an exported .ts, or a folder with \
             weights and a runnel.toml that describes them",
        )),
    }
}

/// Whether the file is an ONNX model: it is named so, or begins with a version and then a field of a model. The
/// length that a safetensors file begins with may look the same, but a brace follows it.
fn is_onnx(path: &Path) -> Result<bool, ImportError> {
    if path.extension().is_some_and(|end| end.eq_ignore_ascii_case("onnx")) {
        return Ok(true);
    }
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(9).read_to_end(&mut start));
    read.map_err(|error| ImportError::io(path, error))?;
    let begins = matches!(start[..], [0x08, 3..=20, 0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a | 0x42, ..]);
    Ok(begins && start.get(8) != Some(&b'{'))
}

/// The model that one file leads to.
fn file(path: &Path, regular: bool) -> Result<Source, ImportError> {
    let name = stem(path);
    if path.extension().is_some_and(|end| end.eq_ignore_ascii_case("toml")) && regular {
        let folder = std::path::absolute(path).ok().and_then(|path| path.parent().map(run_name));
        let name =
            if file_name(path) == FILE_NAME { folder.filter(|name| !name.is_empty()).unwrap_or(name) } else { name };
        return described(path, None, name);
    }
    let bare = |found: String| {
        let found = format!("{} holds {found}: weights, without the layers they belong to", path.display());
        let cure = "describe the layers in a runnel.toml beside it (docs/describing-a-model.md shows how), or, for a RAVE \
                    checkpoint, put its config.gin beside it";
        ImportError::unknown(found, cure)
    };
    let safetensors = regular && crate::format::is_safetensors(path).is_ok_and(|is| is);
    let archive = if safetensors { None } else { Some(archive::format(path)?) };
    if archive == Some(Format::TorchScript) {
        return Ok(Source::Export { name, path: path.into() });
    }
    if let Some(description) = described::beside(path)? {
        return described(&description, Some(path), name);
    }
    if safetensors {
        return Err(bare("a safetensors state dict".into()));
    }
    match state::kind(path)? {
        Kind::Module => Ok(Source::Module { name, path: path.into() }),
        Kind::Bare(found) => run(path.into()).map_err(|_| bare(format!("a state dict of {found}"))),
        Kind::Other => run(path.into()),
    }
}

fn described(description: &Path, weights: Option<&Path>, name: String) -> Result<Source, ImportError> {
    Ok(Source::Described { name, described: described::locate(description, weights)? })
}

/// Whether the file is a JSON object: an opening brace, then a name or the end. The length that a safetensors file begins
/// with may look the same, but has zeros in it.
fn is_json(path: &Path) -> Result<bool, ImportError> {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(256).read_to_end(&mut start));
    read.map_err(|error| ImportError::io(path, error))?;
    let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&start).trim_ascii_start();
    let rest = text.strip_prefix(b"{").map(<[u8]>::trim_ascii_start);
    Ok(!start.contains(&0) && rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'"' | b'}'))))
}

/// A checkpoint and the nearest configuration beside or above it.
fn run(checkpoint: PathBuf) -> Result<Source, ImportError> {
    let absolute = std::path::absolute(&checkpoint).map_err(|error| ImportError::io(&checkpoint, error))?;
    for folder in absolute.ancestors().skip(1).take(DEPTH + 1) {
        let config = folder.join("config.gin");
        if config.is_file() {
            return Ok(Source::Run { name: run_name(folder), checkpoint, config });
        }
    }
    Err(ImportError::unknown(
        format!("{} has no config.gin beside it, nor in the {DEPTH} folders above", checkpoint.display()),
        "choose the run folder as training left it, or put its config.gin beside the checkpoint",
    ))
}

/// The checkpoints at or below `folder`, each with its time of change: an export takes the newest.
fn collect(
    folder: &Path,
    depth: usize,
    entries_left: &mut usize,
    found: &mut Vec<(SystemTime, PathBuf)>,
) -> Result<(), ImportError> {
    let fail = |error| ImportError::io(folder, error);
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        *entries_left = entries_left.checked_sub(1).ok_or_else(|| {
            let found = format!("{} holds more than {ENTRIES} entries", folder.display());
            ImportError::unknown(found, "choose the run folder itself, or its .ckpt")
        })?;
        let path = entry.path();
        let Ok(metadata) = std::fs::metadata(&path) else { continue };
        if metadata.is_dir() && depth > 0 {
            collect(&path, depth - 1, entries_left, found)?;
        } else if metadata.is_file() && path.extension().is_some_and(|end| end == "ckpt") {
            found.push((metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH), path));
        }
    }
    Ok(())
}

/// A run folder's name without the hash that training appends.
fn run_name(folder: &Path) -> String {
    let name = file_name(folder);
    match name.rsplit_once('_') {
        Some((name, hash)) if hash.len() == 10 && hash.bytes().all(|b| b.is_ascii_hexdigit()) => name.into(),
        _ => name,
    }
}

fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_named_without_its_hash() {
        assert_eq!(run_name(Path::new("/runs/violin_0f4e3a9b21")), "violin");
        assert_eq!(run_name(Path::new("/runs/violin_test")), "violin_test");
        assert_eq!(run_name(Path::new("/runs/violin")), "violin");
    }

    #[test]
    fn a_checkpoint_finds_the_configuration_above_it() {
        let root = std::env::temp_dir().join(format!("runnel-locate-{}", std::process::id()));
        let folder = root.join("violin_0f4e3a9b21/version_0/checkpoints");
        std::fs::create_dir_all(&folder).unwrap();
        let checkpoint = folder.join("best.ckpt");
        std::fs::write(&checkpoint, b"").unwrap();
        let message = run(checkpoint.clone()).unwrap_err().to_string();
        assert!(message.contains("has no config.gin"), "{message}");
        let config = root.join("violin_0f4e3a9b21/config.gin");
        std::fs::write(&config, "").unwrap();
        let expected = Source::Run { name: "violin".into(), checkpoint, config };
        assert_eq!(locate(&root).unwrap(), expected);
        assert_eq!(locate(&folder).unwrap(), expected);
        std::fs::remove_dir_all(&root).unwrap();
    }
}
