//! What can be wrong with a file.

use std::path::{Path, PathBuf};

use crate::graph::GraphError;

/// Why a file was refused. The message names the place, the numbers and the cure.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file is damaged, hostile, or not of the format its content claims.
    #[error("{place}: {reason}")]
    Malformed {
        /// The place in the file: an archive entry, a byte offset, a line.
        place: String,
        /// What is wrong, with the numbers and the cure.
        reason: String,
    },
    /// The file is sound, but not a model that can be read.
    #[error("{found}; {cure}")]
    Unknown {
        /// What was found instead.
        found: String,
        /// What to do.
        cure: String,
    },
    /// The file is sound, and one of its operators cannot become part of a stream.
    #[error("{node} ({op}) {reason}")]
    Operator {
        /// The operator's name in the file, or what it makes.
        node: String,
        /// What it does.
        op: String,
        /// Why not, with the numbers, and the cure where there is one.
        reason: String,
    },
    /// The model's parts do not fit together.
    #[error("{0}")]
    Graph(#[from] GraphError),
}

impl ImportError {
    /// The operating system refused `path`.
    pub fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    /// Something at `place` is damaged or hostile.
    pub fn malformed(place: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Malformed { place: place.into(), reason: reason.into() }
    }

    /// The file is sound, but not what is needed.
    pub fn unknown(found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self::Unknown { found: found.into(), cure: cure.into() }
    }
}
