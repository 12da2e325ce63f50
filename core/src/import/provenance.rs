//! Where a model came from.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::ImportError;
use crate::model::Provenance;

/// The provenance of the model read from the file `source`.
///
/// # Errors
/// When the file can no longer be read.
pub(super) fn of_file(source: &Path) -> Result<Provenance, ImportError> {
    let mut hasher = Sha256::new();
    let mut file = File::open(source).map_err(|error| ImportError::io(source, error))?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ImportError::io(source, error)),
        }
    }
    Ok(provenance(file_name(source), hasher))
}

/// The provenance of the model read from `parts`, one after another, of what is called `source`.
pub(super) fn of_bytes(source: &str, parts: &[&[u8]]) -> Provenance {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    provenance(source.into(), hasher)
}

/// The last part of `path`.
pub(super) fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn provenance(source: String, hasher: Sha256) -> Provenance {
    Provenance {
        source,
        sha256: hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
        converter: concat!("runnel ", env!("CARGO_PKG_VERSION")).into(),
    }
}
