//! Opens whatever a user has: a `.runnel` file, or any checkpoint that the importers read.

use std::path::Path;

use crate::format::{self, FormatError};
use crate::import::{self, ImportError, Options};
use crate::rewrite::{self, RewriteError};
use crate::stream::StreamModel;

/// Why a file cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A `.runnel` file that cannot be read.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// A checkpoint that cannot be imported.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// A model that cannot be rewritten.
    #[error(transparent)]
    Rewrite(#[from] RewriteError),
}

/// The stream of the model at `path`; a checkpoint is imported with `options` and rewritten.
///
/// # Errors
/// When the file is neither, or damaged.
pub fn open(path: &Path, options: &Options) -> Result<StreamModel, OpenError> {
    if path.is_file() && format::is_runnel(path)? {
        return Ok(format::load(path)?);
    }
    Ok(rewrite::rewrite(&import::open(path, options)?)?)
}
