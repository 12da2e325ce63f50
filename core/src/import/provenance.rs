//! Where a model came from.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::ImportError;
use crate::model::Provenance;

/// The provenance of the model read from `source`.
///
/// # Errors
/// When the file can no longer be read.
pub(super) fn provenance(source: &Path) -> Result<Provenance, ImportError> {
    Ok(Provenance {
        source: source.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
        sha256: sha256(source)?,
        converter: format!("runnel {}", env!("CARGO_PKG_VERSION")),
    })
}

fn sha256(path: &Path) -> Result<String, ImportError> {
    let mut hasher = Sha256::new();
    let mut file = File::open(path).map_err(|source| ImportError::io(path, source))?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ImportError::io(path, error)),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
