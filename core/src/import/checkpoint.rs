//! Lightning checkpoints: `.ckpt` → [`super::StateDict`].

use std::path::Path;

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
    let _ = path;
    todo!()
}
