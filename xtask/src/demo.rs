//! The model that `render` plays when it is given none.

use anyhow::{Context, Result};

use crate::model::Opened;

/// The embedded demo model, as [`crate::model::open`] opens others.
///
/// # Errors
/// None: a test opens what is embedded.
pub(crate) fn demo_model() -> Result<Opened> {
    let trained = runnel_offline::demo::model();
    let streams = runnel::rewrite::rewrite(&trained).context("the demo model")?;
    Ok(Opened { streams, trained: Some(trained) })
}
