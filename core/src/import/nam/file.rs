//! The outermost object of a `.nam` file.

use serde::Deserialize;
use serde_json::Value;

use super::super::{ImportError, npy};

/// A model as its file holds it, and the same for the models nested in it.
#[derive(Deserialize)]
pub(super) struct File {
    pub(super) version: String,
    pub(super) architecture: String,
    pub(super) config: Value,
    #[serde(default)]
    pub(super) weights: Vec<f32>,
    #[serde(default)]
    sample_rate: Option<f64>,
    #[serde(default)]
    pub(super) metadata: Value,
    /// Models of several sizes, where it is a container.
    #[serde(skip)]
    pub(super) submodels: Vec<Submodel>,
}

/// One size of a container.
pub(super) struct Submodel {
    /// Sizes below this are its.
    pub(super) max_value: f64,
    pub(super) model: File,
}

/// Models within models.
const MOST_DEPTH: usize = 4;
/// Newest patch of each minor version known; a later one may hold what is not read.
pub(super) const KNOWN: [(u32, u32); 3] = [(5, 4), (6, 0), (7, 0)];

impl File {
    /// The model of a file's text; `source` names it.
    ///
    /// # Errors
    /// When the text is no such model.
    pub(super) fn parse(bytes: &[u8], source: &str) -> Result<Self, ImportError> {
        let value = json(bytes, source)?;
        if value.get("architecture").is_none() {
            let found = format!("{source} is JSON, but names no architecture");
            return Err(ImportError::unknown(found, "choose a .nam file of Neural Amp Modeler"));
        }
        Self::new(value, source, 5..=7, 0)
    }

    /// The model of a folder's `config.json` and `weights.npy`.
    ///
    /// # Errors
    /// When either is damaged.
    pub(super) fn of_2022(config: &[u8], weights: &[u8]) -> Result<Self, ImportError> {
        let mut file = Self::new(json(config, "config.json")?, "config.json", 2..=7, 0)?;
        file.weights = npy::vector(weights, "weights.npy")?;
        file.check_weights("weights.npy")?;
        Ok(file)
    }

    /// The model that stands at `place` of another one.
    ///
    /// # Errors
    /// When it is none, or is nested too deeply.
    pub(super) fn nested(value: &Value, place: &str, depth: usize) -> Result<Self, ImportError> {
        Self::new(value.clone(), place, 5..=7, depth)
    }

    fn new(
        value: Value,
        place: &str,
        minors: std::ops::RangeInclusive<u32>,
        depth: usize,
    ) -> Result<Self, ImportError> {
        if depth > MOST_DEPTH {
            return Err(ImportError::malformed(place, format!("models within models, more than {MOST_DEPTH} deep")));
        }
        let mut file: Self =
            serde_json::from_value(value).map_err(|e| ImportError::malformed(place, format!("no NAM model: {e}")))?;
        let version = file.version();
        if !version.is_some_and(|(major, minor, _)| major == 0 && minors.contains(&minor)) {
            let found = format!("{place} is a model of NAM version {}", printable(&file.version));
            let cure =
                "versions 0.5 to 0.7 are read: update Runnel, or export it again with another version of the trainer";
            return Err(ImportError::unknown(found, cure));
        }
        file.check_weights(place)?;
        if file.architecture == "SlimmableContainer" {
            file.submodels = submodels(&file.config, place, depth)?;
        }
        Ok(file)
    }

    fn check_weights(&self, place: &str) -> Result<(), ImportError> {
        match self.weights.iter().position(|w| !w.is_finite()) {
            Some(at) => Err(ImportError::malformed(
                place,
                format!("weight {at} is {}; the file is damaged, export it again", self.weights[at]),
            )),
            None => Ok(()),
        }
    }

    /// Major, minor and patch version.
    pub(super) fn version(&self) -> Option<(u32, u32, u32)> {
        let mut parts = self.version.split('.').map(|part| part.parse().ok());
        let version = (parts.next()??, parts.next()??, parts.next()??);
        parts.next().is_none().then_some(version)
    }

    /// Samples per second, where the file says.
    ///
    /// # Errors
    /// When no sound has that rate.
    pub(super) fn rate(&self) -> Result<Option<u32>, ImportError> {
        match self.sample_rate {
            // What the trainer wrote for "unknown".
            None | Some(-1.0) => Ok(None),
            Some(rate) if (1.0..=1e6).contains(&rate) && rate.fract() == 0.0 => Ok(Some(rate as u32)),
            Some(rate) => {
                let reason = format!("{rate}; a whole number of samples per second up to 1000000 is needed");
                Err(ImportError::malformed("sample_rate", reason))
            }
        }
    }
}

fn json(bytes: &[u8], source: &str) -> Result<Value, ImportError> {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    serde_json::from_slice(text)
        .map_err(|e| ImportError::malformed(source, format!("damaged JSON: {e}; copy, download or export it again")))
}

fn submodels(config: &Value, place: &str, depth: usize) -> Result<Vec<Submodel>, ImportError> {
    let malformed = |reason: String| ImportError::malformed(format!("{place}: submodels"), reason);
    let entries = config.get("submodels").and_then(Value::as_array).filter(|entries| !entries.is_empty());
    let entries = entries.ok_or_else(|| malformed("a list of at least one model is needed".into()))?;
    let mut submodels: Vec<Submodel> = Vec::with_capacity(entries.len());
    for (i, entry) in entries.iter().enumerate() {
        let place = format!("{place}: submodels[{i}]");
        let (Some(max_value), Some(model)) = (entry.get("max_value").and_then(Value::as_f64), entry.get("model"))
        else {
            return Err(ImportError::malformed(place, "max_value and model are needed"));
        };
        if let Some(last) = submodels.last()
            && last.max_value >= max_value
        {
            return Err(malformed(format!(
                "max_value {max_value} after {}; ascending ones are needed",
                last.max_value
            )));
        }
        submodels.push(Submodel { max_value, model: File::nested(model, &place, depth + 1)? });
    }
    match submodels.last() {
        Some(last) if last.max_value < 1.0 => {
            Err(malformed(format!("the last max_value is {}; at least 1 is needed", last.max_value)))
        }
        _ => Ok(submodels),
    }
}

/// Text from a file, short and without control characters.
pub(super) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}
