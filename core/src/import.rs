//! Reads what people have: a file or run folder → [`Model`]. Executes nothing from a file; every size is checked once,
//! here, at the border.

pub mod archive;
mod bytes;
pub mod checkpoint;
pub mod described;
mod error;
pub mod exported;
pub mod gin;
mod literal;
mod locate;
mod magic;
mod module;
pub mod nam;
mod npy;
pub mod onnx;
pub mod pickle;
mod provenance;
pub mod rave;
#[cfg(test)]
mod sample;
pub mod script;
mod state;
pub mod tcn;
mod tensor;
mod tidy;
mod weights;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use error::ImportError;
use locate::Source;

use crate::model::Model;

/// What a user may choose while importing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// How many latents to keep.
    pub latents: LatentChoice,
    /// Use the exponential moving average of the weights, where the checkpoint has one.
    pub ema: bool,
    /// Samples per second of an ONNX model, whose file need not tell them; 44 100 when absent there too.
    pub sampling_rate: Option<u32>,
    /// Which axis of an ONNX model's input is time, where its shape does not say.
    pub time_axis: Option<usize>,
    /// Which of a model's sizes to take, from 0, the smallest, to 1; the largest when absent.
    pub size: Option<f32>,
    /// Which method of an export that has several; `encode` and `decode`, or `forward`, when absent.
    pub method: Option<String>,
}

impl Options {
    /// Whether `source`, which `path` led to, has a use for every choice that was made.
    fn fit(&self, source: &Source, path: &Path) -> Result<(), ImportError> {
        let is_rave = matches!(source, Source::Run { .. } | Source::Export { .. });
        let is_nam = matches!(source, Source::Nam { .. } | Source::NamFolder { .. });
        let is_export = matches!(source, Source::Export { .. });
        let is_onnx = matches!(source, Source::Onnx { .. });
        let misfits = [
            (self.latents != LatentChoice::Default && !is_rave, "no latents to choose from", "latents and fidelity"),
            (self.ema && !is_rave, "no moving average of weights", "the moving average"),
            (self.size.is_some() && !is_nam, "a model of one size", "the size"),
            (
                self.sampling_rate.is_some() && !is_onnx && !is_export,
                "a model that tells its rate",
                "the sampling rate",
            ),
            (self.time_axis.is_some() && !is_onnx, "no ONNX model, whose time axis may be told", "the time axis"),
            (self.method.is_some() && !is_export, "no TorchScript, of which a method may be chosen", "the method"),
        ];
        match misfits.iter().find(|(misfit, ..)| *misfit) {
            Some((_, holds, choice)) => {
                Err(ImportError::unknown(format!("{} holds {holds}", path.display()), format!("leave {choice} out")))
            }
            None => Ok(()),
        }
    }
}

/// How many latents of a variational model stay after the principal components are sorted by importance.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum LatentChoice {
    /// What the export kept, or RAVE's own default fidelity of 0.95.
    #[default]
    Default,
    /// The power of two that reaches this fidelity, as RAVE's export computes it; in 0.1 ..= 0.999.
    Fidelity(f32),
    /// Exactly this many.
    Count(usize),
}

/// A tensor as a file stores it: shape and values, strides already resolved, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Sizes, outermost first; empty for a scalar.
    pub shape: Vec<usize>,
    /// Values.
    pub values: Values,
}

/// The values of an [`Array`]. Halves, doubles and brain floats arrive as f32; other integers and booleans as i64.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Floating point.
    Float(Vec<f32>),
    /// Integers.
    Int(Vec<i64>),
}

impl Array {
    /// The values, if they are floating point.
    pub fn floats(&self) -> Option<&[f32]> {
        match &self.values {
            Values::Float(values) => Some(values),
            Values::Int(_) => None,
        }
    }

    /// The values, if they are integers or booleans.
    pub fn ints(&self) -> Option<&[i64]> {
        match &self.values {
            Values::Int(values) => Some(values),
            Values::Float(_) => None,
        }
    }
}

/// Parameters and buffers by their dotted names.
pub type StateDict = BTreeMap<String, Array>;

/// Reads the model at `path`: a run folder, a checkpoint with its configuration beside or above it, an export, a pickled
/// TCN, or weights with a description beside them (or that description, or their folder).
///
/// # Errors
/// When it is none of these, or damaged; the message says what was found, and the cure.
pub fn open(path: &Path, options: &Options) -> Result<Model, ImportError> {
    let source = locate::locate(path)?;
    options.fit(&source, path)?;
    match source {
        Source::Nam { name, path } => nam::from_file(&name, &path, options),
        Source::NamFolder { name, folder } => nam::from_folder(&name, &folder, options),
        Source::Run { name, checkpoint, config } => rave::from_run(&name, &checkpoint, &config, options),
        Source::Export { name, path } => exported::open(&name, &path, options),
        Source::Onnx { name, path } => onnx::open(&name, &path, options),
        Source::Module { name, path } => tcn::open(&name, &path),
        Source::Described { name, described } => described::open(&name, &described),
    }
}

/// The files that [`open`] reads for `path`, the checkpoint first.
///
/// # Errors
/// When `path` leads to no checkpoint; the message says what was found, and the cure.
pub fn files(path: &Path) -> Result<Vec<PathBuf>, ImportError> {
    Ok(match locate::locate(path)? {
        Source::Run { checkpoint, config, .. } => vec![checkpoint, config],
        Source::Export { path, .. } | Source::Module { path, .. } | Source::Nam { path, .. } => vec![path],
        Source::Described { described, .. } => described.weights.into_iter().chain([described.description]).collect(),
        Source::NamFolder { folder, .. } => vec![folder.join("weights.npy"), folder.join("config.json")],
        Source::Onnx { path, .. } => onnx::files(&path)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_that_a_file_has_no_use_for_are_refused() {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden");
        let none = Options::default();
        let choices = [
            Options { latents: LatentChoice::Count(2), ..none.clone() },
            Options { ema: true, ..none.clone() },
            Options { size: Some(0.5), ..none.clone() },
            Options { sampling_rate: Some(48_000), ..none.clone() },
            Options { time_axis: Some(2), ..none.clone() },
            Options { method: Some("encode".into()), ..none.clone() },
        ];
        let useful = [
            ("rave/v1", [0, 1].as_slice()),
            ("nam/slimmable.nam", &[2]),
            ("onnx/film.onnx", &[3, 4]),
            ("tcn/module.pt", &[]),
        ];
        for (file, useful) in useful {
            for (number, choice) in choices.iter().enumerate() {
                let refused = open(&golden.join(file), choice).err().map(|e| e.to_string());
                let misfits = refused.as_ref().is_some_and(|reason| reason.contains("leave"));
                assert_eq!(misfits, !useful.contains(&number), "{file} with {choice:?}: {refused:?}");
            }
        }
    }
}
