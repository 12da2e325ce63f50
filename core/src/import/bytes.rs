//! Whole files in memory, for formats that are one text.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::ImportError;

/// Most bytes of such a file.
const MOST: u64 = 1 << 28;

/// All bytes of the file at `path`.
///
/// # Errors
/// When it cannot be read, is no regular file, or is larger than any such model.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, ImportError> {
    let fail = |error| ImportError::io(path, error);
    let metadata = std::fs::metadata(path).map_err(fail)?;
    if !metadata.is_file() {
        return Err(ImportError::unknown(format!("{} is no regular file", path.display()), "name a file"));
    }
    let mut bytes = Vec::new();
    File::open(path).map_err(fail)?.take(MOST + 1).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 > MOST {
        let found = format!("{} holds {} bytes, more than any such model ({MOST})", path.display(), metadata.len());
        return Err(ImportError::unknown(found, "name a model"));
    }
    Ok(bytes)
}
