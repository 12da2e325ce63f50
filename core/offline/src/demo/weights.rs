//! The demo model's weights: a safetensors file in, a [`Model`] out.

use runnel::graph::{Conv1d, ConvTranspose1d, Op, Pointwise};
use runnel::model::Provenance;
use runnel::sound::SAMPLING_RATE;
use runnel::{Graph, GraphError, Info, Latent, Model, NodeId, Tensor, Weight};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::recipe::{DECODE, ENCODE, LATENTS, Part, SLOPE};

/// Weights of both halves, in the order of the recipes.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    pub(crate) encode: Vec<Affine>,
    pub(crate) decode: Vec<Affine>,
}

/// Weight and bias of one convolution.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Affine {
    pub(crate) weight: Weight,
    pub(crate) bias: Weight,
}

/// Why a file is not the demo model's weights.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The container is broken.
    #[error("the demo model's weights: {0}")]
    Container(#[from] safetensors::SafeTensorError),
    /// A tensor of another model, or of another version of this one.
    #[error("the demo model's {name}: {found:?} {shape:?} found, F32 {needed:?} is needed; train it again")]
    Shape {
        /// The tensor.
        name: String,
        /// Type found.
        found: Dtype,
        /// Shape found.
        shape: Vec<usize>,
        /// Shape the model has.
        needed: Vec<usize>,
    },
}

impl Weights {
    /// Reads the file that [`Weights::to_bytes`] makes.
    ///
    /// # Errors
    /// When it is none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WeightsError> {
        let file = SafeTensors::deserialize(bytes)?;
        let tensor = |name: String, needed: &[usize]| {
            let view = file.tensor(&name)?;
            if view.shape() != needed || view.dtype() != Dtype::F32 {
                let (found, shape) = (view.dtype(), view.shape().to_vec());
                return Err(WeightsError::Shape { name, found, shape, needed: needed.to_vec() });
            }
            let (values, _) = view.data().as_chunks::<4>();
            let values = values.iter().map(|b| f32::from_le_bytes(*b)).collect();
            Ok(Weight::new(Tensor::new(needed, values)))
        };
        let half = |half: &str, parts: &[Part]| {
            let shapes = parts.iter().flat_map(|p| p.weights().into_iter().map(|w| (w, p.bias(w))));
            let affine = |(i, (weight, bias)): (usize, ([usize; 3], usize))| {
                Ok(Affine {
                    weight: tensor(format!("{half}.{i}.weight"), &weight)?,
                    bias: tensor(format!("{half}.{i}.bias"), &[bias])?,
                })
            };
            shapes.enumerate().map(affine).collect::<Result<Vec<_>, WeightsError>>()
        };
        Ok(Self { encode: half("encode", ENCODE)?, decode: half("decode", DECODE)? })
    }

    /// The weights as a safetensors file.
    ///
    /// # Errors
    /// When they do not fit in one.
    pub fn to_bytes(&self) -> Result<Vec<u8>, WeightsError> {
        let mut named = vec![];
        for (half, layers) in [("encode", &self.encode), ("decode", &self.decode)] {
            for (i, layer) in layers.iter().enumerate() {
                for (part, tensor) in [("weight", &layer.weight), ("bias", &layer.bias)] {
                    let bytes: Vec<u8> = tensor.data().iter().flat_map(|v| v.to_le_bytes()).collect();
                    named.push((format!("{half}.{i}.{part}"), tensor.shape().to_vec(), bytes));
                }
            }
        }
        let views = named
            .iter()
            .map(|(name, shape, bytes)| Ok((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes)?)));
        let views = views.collect::<Result<Vec<_>, WeightsError>>()?;
        Ok(safetensors::serialize(views, None)?)
    }

    /// The model of these weights.
    ///
    /// # Errors
    /// When the weights do not fit together.
    pub fn model(&self) -> Result<Model, GraphError> {
        let encode = half("encode", 1, ENCODE, &self.encode)?;
        let decode = half("decode", LATENTS, DECODE, &self.decode)?;
        Ok(Model {
            forward: encode.then("latents", &decode)?,
            latent: Some(Latent { encode, decode }),
            prior: None,
            info: Info {
                name: "demo".into(),
                description: format!("Runnel's demo autoencoder, mono, {SAMPLING_RATE} Hz, {LATENTS} latents"),
                sampling_rate: SAMPLING_RATE,
                latent_names: (0..LATENTS).map(|i| format!("latent {i}")).collect(),
                levels: runnel::Levels::default(),
                refit: None,
                provenance: Provenance {
                    source: "train-demo".into(),
                    sha256: String::new(),
                    converter: env!("CARGO_PKG_VERSION").into(),
                },
            },
        })
    }
}

fn half(name: &str, channels: usize, parts: &[Part], layers: &[Affine]) -> Result<Graph, GraphError> {
    let mut graph = Graph::new(channels);
    let mut layers = layers.iter();
    let mut last = 0;
    for (i, part) in parts.iter().enumerate() {
        let place = format!("{name}.{i}");
        let mut next = || layers.next().expect("weights for each convolution of the recipe");
        last = match *part {
            Part::Conv { .. } => graph.push(place, centred(next(), 1, 1), &[last])?,
            Part::Down { stride, .. } => graph.push(place, centred(next(), stride, 1), &[last])?,
            Part::Up { kernel_size, stride, .. } => {
                let Affine { weight, bias } = next().clone();
                let left_trim = (kernel_size - stride) / 2;
                let up = ConvTranspose1d { weight, bias: Some(bias), stride, left_trim, groups: 1 };
                graph.push(place, Op::ConvTranspose1d(up), &[last])?
            }
            Part::Residual { dilation, .. } => {
                let mut push =
                    |part: &str, op: Op, inputs: &[NodeId]| graph.push(format!("{place}.{part}"), op, inputs);
                let a = push("activation.0", activation(), &[last])?;
                let b = push("conv.0", centred(next(), 1, dilation), &[a])?;
                let c = push("activation.1", activation(), &[b])?;
                let d = push("conv.1", centred(next(), 1, 1), &[c])?;
                push("add", Op::Add, &[last, d])?
            }
            Part::Activation => graph.push(place, activation(), &[last])?,
            Part::Tanh => graph.push(place, Op::Pointwise(Pointwise::Tanh), &[last])?,
        };
    }
    Ok(graph)
}

fn activation() -> Op {
    Op::Pointwise(Pointwise::LeakyRelu { slope: SLOPE })
}

fn centred(layer: &Affine, stride: usize, dilation: usize) -> Op {
    let reach = (layer.weight.shape()[2] - 1) * dilation + 1 - stride;
    Op::Conv1d(Conv1d {
        weight: layer.weight.clone(),
        bias: Some(layer.bias.clone()),
        stride,
        dilation,
        left_padding: (reach / 2) as i64,
        groups: 1,
    })
}
