//! Which files `render` reads and writes, from what was and was not given.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::{Arguments, container};
use crate::audio::{Container, named_like_audio};
use crate::model::Method;

pub(super) struct Paths {
    pub(super) model: Option<PathBuf>,
    pub(super) input: Option<PathBuf>,
    pub(super) output: PathBuf,
    pub(super) container: Container,
    pub(super) spectrogram: Option<PathBuf>,
    /// Nothing was given: the demo, with its picture and its check.
    pub(super) is_demo: bool,
}

impl Paths {
    pub(super) fn of(arguments: &Arguments) -> Result<Self> {
        let (model, input) = match (&arguments.file, &arguments.input) {
            // A single file that is named like audio is the input of the demo model.
            (Some(only), None) if named_like_audio(only) => (None, Some(only.clone())),
            (Some(first), Some(second)) if named_like_audio(first) && !named_like_audio(second) => {
                bail!("{} is audio and comes second: render {} {}", first.display(), second.display(), first.display())
            }
            (model, input) => (model.clone(), input.clone()),
        };
        let is_demo = model.is_none() && input.is_none() && arguments.method == Method::Forward && !arguments.offline;
        let output = match &arguments.output {
            Some(path) => path.clone(),
            None => default_output(model.as_deref(), input.as_deref(), arguments.method),
        };
        let spectrogram = match &arguments.spectrogram {
            Some(path) if !path.extension().is_some_and(|e| e.eq_ignore_ascii_case("png")) => {
                bail!("cannot draw {}: the picture is a PNG; give it the extension .png", path.display())
            }
            Some(path) => Some(path.clone()),
            None => is_demo.then(|| output.with_extension("png")),
        };
        if spectrogram.as_ref() == Some(&output) {
            bail!("output and spectrogram are both {}; give them different names", output.display());
        }
        Ok(Self { container: container(&output, arguments.method)?, model, input, output, spectrogram, is_demo })
    }

    /// What the input is called in titles and reports.
    pub(super) fn input_name(&self) -> String {
        match &self.input {
            Some(path) => path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into()),
            None => "built-in clip".into(),
        }
    }
}

/// `IN-MODEL.wav` beside IN, or in the current folder.
fn default_output(model: Option<&Path>, input: Option<&Path>, method: Method) -> PathBuf {
    let stem = |path: &Path| path.file_stem().map_or("model".into(), |s| s.to_string_lossy().into_owned());
    let model = model.map_or("demo".into(), stem);
    let extension = if method.writes_audio() { "wav" } else { "safetensors" };
    match input {
        Some(input) => input.with_file_name(format!("{}-{model}.{extension}", stem(input))),
        None => format!("{}{model}.{extension}", if model == "demo" { "runnel-" } else { "demo-" }).into(),
    }
}
