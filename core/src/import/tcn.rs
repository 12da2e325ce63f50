//! Steerable TCN effects (Steinmetz & Reiss, *Steerable discovery of neural audio effects*, 2021): a whole pickled module of
//! class `TCN`, causal, conditioned on a few values by feature-wise modulation. The only place that knows its classes.
//!
//! Each block is `act(film(conv(x))) + late(res(x))`. Its convolution is valid, so the signal is padded on the left once,
//! by the whole receptive field less one: what stands before the signal is the network's response to silence. The residual
//! path is cropped to `[-1 - length : -1]`, which drops the newest frame: it comes one frame late.

#[cfg(test)]
pub(super) mod tests;

use std::io::{Read, Seek};
use std::path::Path;
use std::sync::Arc;

use super::archive::Archive;
use super::module::Module;
use super::pickle::{Dialect, Pickle};
use super::provenance;
use super::weights::weight;
use super::{ImportError, StateDict};
use crate::graph::{BatchNorm, Conv1d, Graph, NodeId, Op, Parameter, Pointwise};
use crate::model::{Info, Levels, Model};
use crate::tensor::{Tensor, Weight};

/// What such files do not tell: the rate of their authors' training, in samples per second.
const SAMPLING_RATE: u32 = 44_100;
/// The range that their authors steer in.
const RANGE: f32 = 10.0;
/// Samples per look at what is steered.
const CONTROL_SAMPLES: usize = 64;
/// Most blocks, and most conditioning values.
const BLOCKS: usize = 256;
const CONDITIONS: usize = 64;

/// The model of the whole pickled module at `path`.
///
/// # Errors
/// When its class is not `TCN`, or a part is damaged or none that the class has; names the place.
pub fn open(name: &str, path: &Path) -> Result<Model, ImportError> {
    let (graph, description) = from_archive(&mut Archive::open(path)?)?;
    let info = Info {
        name: name.into(),
        description,
        sampling_rate: SAMPLING_RATE,
        latent_names: vec![],
        provenance: provenance::of_file(path)?,
        levels: Levels::default(),
        refit: None,
    };
    Ok(Model { forward: graph, latent: None, prior: None, info })
}

/// The graph of the pickled module in an open archive, and what it is, in one line.
///
/// # Errors
/// As [`open`].
pub fn from_archive<R: Read + Seek>(archive: &mut Archive<R>) -> Result<(Graph, String), ImportError> {
    let place = format!("{}, entry data.pkl", archive.file());
    let pickle = Pickle::parse(&archive.read("data.pkl")?, &place, Dialect::Checkpoint)?;
    let Some(module) = Module::root(&pickle) else {
        let found = format!("{} holds {}, not a module", archive.file(), pickle.describe(pickle.root()));
        return Err(ImportError::unknown(
            found,
            "save the model's state_dict, and describe its layers in a runnel.toml",
        ));
    };
    if module.class() != "TCN" {
        let found = format!("{} is {}", archive.file(), pickle.describe(pickle.root()));
        let cure = "of whole pickled modules only TCN is read, and nothing is executed; save its state_dict, and describe \
                    its layers in a runnel.toml beside it (docs/describing-a-model.md)";
        return Err(ImportError::unknown(found, cure));
    }
    let state = module.state_dict(archive)?;
    build(&module, &state)
}

fn build(module: &Module<'_>, state: &StateDict) -> Result<(Graph, String), ImportError> {
    let [("blocks", list)] = &module.children()?[..] else {
        return Err(module.malformed(format!("has {}; one list, blocks, is known", names(module)?)));
    };
    let blocks: Vec<_> =
        list.children()?.into_iter().map(|(_, block)| Block::read(block, state)).collect::<Result<_, _>>()?;
    let (Some(first), true) = (blocks.first(), blocks.len() <= BLOCKS) else {
        return Err(list.malformed(format!("{} blocks; 1 to {BLOCKS} are read", blocks.len())));
    };

    let mut graph = Graph::new(first.inputs());
    let conditions = blocks.iter().find_map(|block| block.film.as_ref()).map_or(0, |film| film.adaptor.shape()[1]);
    let condition = match conditions {
        0 => None,
        1..=CONDITIONS => Some(condition(&mut graph, conditions)?),
        _ => return Err(module.malformed(format!("{conditions} conditioning values; at most {CONDITIONS} are read"))),
    };
    let mut x = 0;
    for block in &blocks {
        x = block.build(&mut graph, x, condition)?;
    }
    let (width, count) = (first.conv.weight.shape()[0], blocks.len());
    let description = format!(
        "TCN, {count} blocks of {width} channels, {conditions} conditioning values, {SAMPLING_RATE} Hz (not told by the file)"
    );
    Ok((graph, description))
}

/// The values that the model is conditioned on, each a parameter, one after another as channels.
fn condition(graph: &mut Graph, count: usize) -> Result<NodeId, ImportError> {
    let mut values = Vec::with_capacity(count);
    for number in 1..=count {
        let parameter = Parameter {
            name: format!("Condition {number}"),
            unit: String::new(),
            default: vec![0.0],
            minimum: -RANGE,
            maximum: RANGE,
            every: CONTROL_SAMPLES,
        };
        values.push(graph.push(format!("condition.{number}"), Op::Parameter(parameter), &[0])?);
    }
    Ok(if let [only] = values[..] { only } else { graph.push("condition", Op::Concat, &values)? })
}

/// One block, checked.
struct Block {
    path: String,
    conv: Conv1d,
    film: Option<Film>,
    activation: Option<Pointwise>,
    residual: Conv1d,
}

/// `norm(x) · g + b`, with `[g, b] = adaptor · condition`.
struct Film {
    norm: Option<BatchNorm>,
    /// `[2 · channels, conditions, 1]`.
    adaptor: Weight,
    bias: Weight,
}

impl Block {
    fn read(module: Module<'_>, state: &StateDict) -> Result<Self, ImportError> {
        let (mut conv, mut film, mut activation, mut residual) = (None, None, None, None);
        for (name, part) in module.children()? {
            match (name, part.class()) {
                ("conv", "Conv1d") => conv = Some(convolution(&part, state)?),
                ("film", "FiLM") => film = Some(Film::read(&part, state)?),
                ("act", _) => activation = pointwise(&part, state)?,
                ("res", "Conv1d") => residual = Some(convolution(&part, state)?),
                _ => return Err(part.malformed("is no part of a TCN's block; conv, film, act and res are")),
            }
        }
        let (Some(conv), Some(mut residual)) = (conv, residual) else {
            return Err(module.malformed(format!("has {}; conv and res are needed", names(&module)?)));
        };
        let span = (conv.weight.shape()[2] - 1) * conv.dilation;
        if residual.weight.shape()[2] != 1 || span == 0 {
            return Err(module.malformed("a residual path of kernel size 1 beside a convolution of more is needed"));
        }
        residual.left_padding = 1;
        Ok(Self { path: module.path.clone(), conv, film, activation, residual })
    }

    fn inputs(&self) -> usize {
        self.conv.weight.shape()[1].saturating_mul(self.conv.groups)
    }

    /// Appends the block on `x`; the node that it ends in.
    fn build(&self, graph: &mut Graph, x: NodeId, condition: Option<NodeId>) -> Result<NodeId, ImportError> {
        let path = &self.path;
        let mut y = graph.push(format!("{path}.conv"), Op::Conv1d(self.conv.clone()), &[x])?;
        if let (Some(film), Some(condition)) = (&self.film, condition) {
            y = film.build(graph, &format!("{path}.film"), y, condition)?;
        }
        if let Some(activation) = self.activation {
            y = graph.push(format!("{path}.act"), Op::Pointwise(activation), &[y])?;
        }
        let residual = graph.push(format!("{path}.res"), Op::Conv1d(self.residual.clone()), &[x])?;
        Ok(graph.push(path.clone(), Op::Add, &[y, residual])?)
    }
}

impl Film {
    fn read(module: &Module<'_>, state: &StateDict) -> Result<Self, ImportError> {
        let (mut norm, mut adaptor) = (None, None);
        for (name, part) in module.children()? {
            match (name, part.class()) {
                // Without the flag it is there, but not used.
                ("bn", "BatchNorm1d") if module.bool("batch_norm") == Some(false) => {}
                ("bn", "BatchNorm1d") => norm = Some(batch_norm(&part, state)?),
                ("adaptor", "Linear") => adaptor = Some(part.path.clone()),
                _ => return Err(part.malformed("is no part of a TCN's FiLM; bn and adaptor are")),
            }
        }
        let Some(adaptor) = adaptor else { return Err(module.malformed("has no adaptor")) };
        let (matrix, bias) = (weight(state, &format!("{adaptor}.weight"))?, weight(state, &format!("{adaptor}.bias"))?);
        let [rows, conditions] = *matrix.shape() else {
            return Err(
                module.malformed(format!("its adaptor has shape {:?}; 2 dimensions are needed", matrix.shape()))
            );
        };
        if rows % 2 == 1 {
            return Err(module.malformed(format!("its adaptor makes {rows} values; a gain and an offset are needed")));
        }
        let adaptor = Arc::new(Tensor::new([rows, conditions, 1], matrix.data().to_vec()));
        Ok(Self { norm, adaptor, bias })
    }

    fn build(&self, graph: &mut Graph, path: &str, x: NodeId, condition: NodeId) -> Result<NodeId, ImportError> {
        let x = match &self.norm {
            Some(norm) => graph.push(format!("{path}.bn"), Op::BatchNorm(norm.clone()), &[x])?,
            None => x,
        };
        let adaptor = Conv1d {
            weight: self.adaptor.clone(),
            bias: Some(self.bias.clone()),
            stride: 1,
            dilation: 1,
            left_padding: 0,
            groups: 1,
        };
        let adapted = graph.push(format!("{path}.adaptor"), Op::Conv1d(adaptor), &[condition])?;
        let channels = self.adaptor.shape()[0] / 2;
        let mut half = |name: &str, start| {
            let slice = Op::Slice { start, channels };
            let half = graph.push(format!("{path}.{name}.control"), slice, &[adapted])?;
            graph.push(format!("{path}.{name}"), Op::Repeat { factor: CONTROL_SAMPLES }, &[half])
        };
        let (gain, offset) = (half("gain", 0)?, half("offset", channels)?);
        let scaled = graph.push(format!("{path}.scaled"), Op::Mul, &[x, gain])?;
        Ok(graph.push(path, Op::Add, &[scaled, offset])?)
    }
}

/// A causal convolution, once its input is padded.
fn convolution(module: &Module<'_>, state: &StateDict) -> Result<Conv1d, ImportError> {
    let size = |name: &str| module.size(name).ok_or_else(|| module.malformed(format!("{name} is not one size")));
    let (stride, padding, dilation) = (size("stride")?, size("padding")?, size("dilation")?);
    let groups = module.int("groups").and_then(|groups| usize::try_from(groups).ok()).unwrap_or(0);
    if (stride, padding) != (1, 0) || module.text("padding_mode").is_some_and(|mode| mode != "zeros") {
        return Err(module.malformed(format!("stride {stride}, padding {padding}; a TCN has 1 and 0")));
    }
    let kernel = weight(state, &format!("{}.weight", module.path))?;
    let name = format!("{}.bias", module.path);
    let bias = if state.contains_key(&name) { Some(weight(state, &name)?) } else { None };
    let &[_, _, kernel_size] = kernel.shape() else {
        return Err(module.malformed(format!("its weight has shape {:?}; 3 dimensions are needed", kernel.shape())));
    };
    let span = (kernel_size - 1).checked_mul(dilation).and_then(|span| i64::try_from(span).ok());
    let span =
        span.ok_or_else(|| module.malformed(format!("kernel size {kernel_size}, dilation {dilation} reach too far")))?;
    Ok(Conv1d { weight: kernel, bias, stride, dilation, left_padding: span, groups })
}

/// A batch norm without weights of its own, or with them.
fn batch_norm(module: &Module<'_>, state: &StateDict) -> Result<BatchNorm, ImportError> {
    let part = |name: &str| format!("{}.{name}", module.path);
    let optional = |name: &str| state.contains_key(&part(name)).then(|| weight(state, &part(name))).transpose();
    let epsilon = module.float("eps").filter(|eps| eps.is_finite() && *eps > 0.0);
    Ok(BatchNorm {
        mean: weight(state, &part("running_mean"))?,
        variance: weight(state, &part("running_var"))?,
        weight: optional("weight")?,
        bias: optional("bias")?,
        epsilon: epsilon.ok_or_else(|| module.malformed("its eps is no small positive number"))?,
    })
}

/// The activation that the module is; `None` for the identity.
fn pointwise(module: &Module<'_>, state: &StateDict) -> Result<Option<Pointwise>, ImportError> {
    Ok(Some(match module.class() {
        "PReLU" => {
            let slopes = weight(state, &format!("{}.weight", module.path))?;
            let [slope] = *slopes.data() else {
                return Err(module.malformed(format!("{} slopes; one for all channels is read", slopes.len())));
            };
            Pointwise::LeakyRelu { slope }
        }
        "ReLU" => Pointwise::LeakyRelu { slope: 0.0 },
        "LeakyReLU" => match module.float("negative_slope") {
            Some(slope) if slope.is_finite() => Pointwise::LeakyRelu { slope: slope as f32 },
            _ => return Err(module.malformed("its negative_slope is no number")),
        },
        "Tanh" => Pointwise::Tanh,
        "Sigmoid" => Pointwise::Sigmoid,
        "Identity" => return Ok(None),
        _ => {
            return Err(module.malformed("is no activation that is read; PReLU, ReLU, LeakyReLU, Tanh and Sigmoid are"));
        }
    }))
}

fn names(module: &Module<'_>) -> Result<String, ImportError> {
    let names: Vec<_> = module.children()?.into_iter().take(8).map(|(name, _)| name).collect();
    Ok(if names.is_empty() { "no parts".into() } else { names.join(", ") })
}
