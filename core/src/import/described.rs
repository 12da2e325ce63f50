//! A state dict and a description of its layers: `runnel.toml` beside the weights. For models that no format covers; the
//! language is in `docs/describing-a-model.md`.

mod fields;
mod layer;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::DeTable;

use super::provenance;
use super::{ImportError, StateDict, state};
use crate::graph::{Graph, NodeId, Op};
use crate::model::{Info, Levels, Model};
use fields::{Fields, Text};
use layer::Weights;

/// The name that a description has where only its folder or its weights are given.
pub const FILE_NAME: &str = "runnel.toml";

/// Most bytes of a description, and most layers in it.
const BYTES: u64 = 1 << 20;
const LAYERS: usize = 4096;
/// Values that layers may use beyond twice those that the weights file holds.
const REUSED: usize = 1 << 20;
const RATES: std::ops::RangeInclusive<i64> = 1..=10_000_000;

/// A description and the weights that it is about.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Described {
    pub(super) description: PathBuf,
    /// None where it names none and none lies beside it: a model of numbers that it gives itself.
    pub(super) weights: Option<PathBuf>,
}

/// What a description says.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// What the model is called, where it says so.
    pub name: Option<String>,
    /// What it is, in one line, where it says so.
    pub description: Option<String>,
    /// Samples per second.
    pub sampling_rate: u32,
    /// One name per latent, where it has an edit point.
    pub latent_names: Vec<String>,
    /// Its layers.
    pub graph: Graph,
}

/// The model that `described` says.
///
/// # Errors
/// Names the line of the description, or the tensor, that is wrong, and the cure.
pub(super) fn open(name: &str, described: &Described) -> Result<Model, ImportError> {
    let text = read(&described.description)?;
    let state = match &described.weights {
        Some(weights) => state::read(weights)?,
        None => StateDict::new(),
    };
    let said = describe(&described.description.display().to_string(), &text, &state)?;
    let layers = said.graph.nodes().iter().skip(1).filter(|node| !matches!(node.op, Op::Parameter(_))).count();
    let info = Info {
        name: said.name.unwrap_or_else(|| name.into()),
        description: said
            .description
            .unwrap_or_else(|| format!("described, {layers} layers, {} Hz", said.sampling_rate)),
        sampling_rate: said.sampling_rate,
        latent_names: said.latent_names,
        provenance: provenance::of_file(described.weights.as_ref().unwrap_or(&described.description))?,
        levels: Levels::default(),
        refit: None,
    };
    Ok(Model { forward: said.graph, latent: None, prior: None, info })
}

/// What the description `text` of the file called `file` says of the weights in `state`.
///
/// # Errors
/// Names the line and column, what stands there, and what is needed.
pub fn describe(file: &str, text: &str, state: &StateDict) -> Result<Description, ImportError> {
    let text = Text { file, text };
    let table = text.parse()?;
    let top = Fields::new(text, &table);
    top.text("weights")?;
    let channels = top.size("channels")?.unwrap_or(1);
    if !(1..=1 << 10).contains(&channels) {
        return Err(top.wrong("channels", format!("{channels} channels; 1 to 1024 are read")));
    }
    let rate = top.int("rate")?.ok_or_else(|| top.missing("rate", "samples per second, such as 44100"))?;
    if !RATES.contains(&rate) {
        return Err(top.wrong("rate", format!("{rate} Hz; {} to {} are read", RATES.start(), RATES.end())));
    }
    let (name, description) = (top.text("name")?, top.text("description")?);
    let latent_names = top.texts("latents")?.unwrap_or_default();
    let parameters = top.tables("parameter")?;
    let layers = top.tables("layer")?;
    top.finish("a description")?;
    if layers.is_empty() {
        return Err(top.missing("layer", "at least one [[layer]]"));
    }
    if parameters.len() + layers.len() > LAYERS {
        return Err(top.wrong("layer", format!("{} layers; at most {LAYERS} are read", layers.len())));
    }

    let mut network = Network {
        graph: Graph::new(channels),
        ids: HashMap::from([("input".to_owned(), 0)]),
        weights: Weights { state, used: 0, most: 2 * values_of(state) + REUSED },
        read: vec![false],
    };
    for fields in &parameters {
        network.push(fields, &|name| layer::parameter(fields, name), "a parameter", "of", "input")?;
    }
    let mut last = "input".to_owned();
    for fields in &layers {
        let kind = fields.text("op")?.ok_or_else(|| fields.missing("op", "an op's name, such as \"conv1d\""))?;
        let number = network.graph.nodes().len() as u32;
        let op = layer::op(fields, &kind, number, &mut network.weights)?;
        last = network.push(fields, &|_| Ok(op.clone()), &kind, "inputs", &last)?;
    }
    if let Some(unread) = (1..network.read.len() - 1).find(|&id| !network.read[id]) {
        let node = network.graph.node(unread);
        let fields = parameters.iter().chain(&layers).nth(unread - 1).expect("one table for each node");
        return Err(
            fields.wrong("name", format!("{:?} is read by no layer; name it in `inputs`, or leave it out", node.name))
        );
    }
    let edited = network.graph.nodes().iter().find(|node| node.op == Op::LatentEdit).map_or(0, |node| node.channels);
    if !latent_names.is_empty() && latent_names.len() != edited {
        return Err(
            top.wrong("latents", format!("{} names; {edited} channels reach a latent_edit", latent_names.len()))
        );
    }
    let latent_names =
        if latent_names.is_empty() { (1..=edited).map(|i| format!("latent {i}")).collect() } else { latent_names };
    Ok(Description { name, description, sampling_rate: rate as u32, latent_names, graph: network.graph })
}

/// The description in `folder`, and the weights `of` (or those that it names, or the only ones beside it).
///
/// # Errors
/// When the description cannot be read, or several files may be its weights.
pub(super) fn locate(description: &Path, of: Option<&Path>) -> Result<Described, ImportError> {
    let described = |weights| Ok(Described { description: description.into(), weights });
    if of.is_some() {
        return described(of.map(Path::to_owned));
    }
    let folder = description.parent().unwrap_or(Path::new(""));
    if let Some(named) = named_weights(description)? {
        return described(Some(folder.join(named)));
    }
    let mut beside = state::files_in(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })?;
    match beside.len() {
        0 | 1 => described(beside.pop()),
        count => Err(ImportError::unknown(
            format!("{count} files of weights lie beside {}", description.display()),
            "choose one of them, or name one in it: weights = \"FILE\"",
        )),
    }
}

/// The description beside `weights`, if there is one, and it is about them.
///
/// # Errors
/// When there is one that cannot be read.
pub(super) fn beside(weights: &Path) -> Result<Option<PathBuf>, ImportError> {
    let description = weights.with_file_name(FILE_NAME);
    if !description.is_file() {
        return Ok(None);
    }
    let named = named_weights(&description)?;
    let is_these = named.is_none_or(|named| weights.file_name().is_some_and(|own| own == named.as_str()));
    Ok(is_these.then_some(description))
}

/// The weights that a description names: a file in its own folder.
fn named_weights(description: &Path) -> Result<Option<String>, ImportError> {
    let (file, text) = (description.display().to_string(), read(description)?);
    let text = Text { file: &file, text: &text };
    let table = text.parse()?;
    let top = Fields::new(text, &table);
    let name = top.text("weights")?;
    match &name {
        Some(name) if name.is_empty() || name.contains(['/', '\\', ':']) || name.starts_with("..") => {
            Err(top.wrong("weights", format!("{name:?}; the name of a file in the same folder is needed")))
        }
        _ => Ok(name),
    }
}

fn read(path: &Path) -> Result<String, ImportError> {
    let metadata = std::fs::metadata(path).map_err(|error| ImportError::io(path, error))?;
    if metadata.len() > BYTES {
        let reason = format!("{} bytes; a description of at most {BYTES} is read", metadata.len());
        return Err(ImportError::malformed(path.display().to_string(), reason));
    }
    std::fs::read_to_string(path).map_err(|error| ImportError::io(path, error))
}

fn values_of(state: &StateDict) -> usize {
    state.values().fold(0usize, |sum, array| sum.saturating_add(array.shape.iter().product()))
}

/// The graph as it grows.
struct Network<'a> {
    graph: Graph,
    ids: HashMap<String, NodeId>,
    weights: Weights<'a>,
    /// Whether some layer reads each node.
    read: Vec<bool>,
}

impl Network<'_> {
    /// Appends the node of one table; its name.
    fn push(
        &mut self,
        fields: &Fields<'_>,
        op: &dyn Fn(&str) -> Result<Op, ImportError>,
        kind: &str,
        inputs_key: &'static str,
        default_input: &str,
    ) -> Result<String, ImportError> {
        let name = fields.text("name")?.ok_or_else(|| fields.missing("name", "a name that other layers read it by"))?;
        let inputs = fields.texts(inputs_key)?.unwrap_or_else(|| vec![default_input.to_owned()]);
        let op = op(&name)?;
        fields.finish(kind)?;
        let id = |input: &String| {
            let id = self.ids.get(input).copied();
            id.ok_or_else(|| fields.wrong(inputs_key, format!("{input:?} is no layer before this one")))
        };
        let inputs: Vec<_> = inputs.iter().map(id).collect::<Result<_, _>>()?;
        // The input itself has this name.
        let taken = self.ids.contains_key(&name);
        let id = if taken { Err("a second layer of this name".to_owned()) } else { Ok(()) }
            .and_then(|()| self.graph.push(name.clone(), op, &inputs).map_err(|error| error.reason))
            .map_err(|reason| fields.at_all(format!("{name} ({kind}): {reason}")))?;
        inputs.iter().for_each(|&input| self.read[input] = true);
        self.read.push(false);
        self.ids.insert(name.clone(), id);
        Ok(name)
    }
}

/// The tables of a parsed text.
type Table<'a> = DeTable<'a>;

/// One-dimensional numbers that a description gives itself.
fn literal(values: Vec<f32>) -> crate::Weight {
    Arc::new(crate::Tensor::new([values.len()], values))
}
