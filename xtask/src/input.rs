//! Input files: why one cannot be opened, and what to do.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Result, anyhow, bail};

/// Opens a regular file.
///
/// # Errors
/// When it does not exist, may not be read, or is a folder, a pipe or a device (which could be read forever).
pub(crate) fn open(path: &Path) -> Result<File> {
    let metadata = std::fs::metadata(path).map_err(|e| explain(&e, path))?;
    if metadata.is_dir() {
        bail!("cannot read {}: it is a folder; name a file in it", path.display());
    }
    if !metadata.is_file() {
        bail!("cannot read {}: it is a pipe or a device; give a regular file", path.display());
    }
    File::open(path).map_err(|e| explain(&e, path))
}

/// The system's reason for refusing `path`, with its cure.
pub(crate) fn explain(error: &std::io::Error, path: &Path) -> anyhow::Error {
    let reason = match error.kind() {
        ErrorKind::NotFound => "it does not exist; check its name and folder".into(),
        ErrorKind::PermissionDenied => "no permission to read it; change its permissions or copy it".into(),
        ErrorKind::NotADirectory => "a part of its path is not a folder; check its name and folder".into(),
        _ => error.to_string(),
    };
    anyhow!("cannot read {}: {reason}", path.display())
}
