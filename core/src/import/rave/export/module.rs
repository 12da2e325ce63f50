//! A module of the tree as a layer: one arm per class.

use crate::graph::{BatchNorm, Conv1d, ConvTranspose1d, Gru, Op, Pointwise, Reset, Statistics};
use crate::import::ImportError;
use crate::import::rave::description::{Layer, Noise, Padding, place};
use crate::import::rave::layers::{first_row, gru_place, snake};
use crate::import::rave::weights::{malformed, missing, scalar, tensor};
use crate::import::script::Module;
use crate::tensor::Weight;

/// A module and its dotted path.
pub(super) struct At<'a> {
    pub(super) path: String,
    pub(super) module: &'a Module,
}

impl<'a> At<'a> {
    pub(super) fn root(module: &'a Module) -> Self {
        Self { path: String::new(), module }
    }

    pub(super) fn key(&self, name: &str) -> String {
        if self.path.is_empty() { name.into() } else { format!("{}.{name}", self.path) }
    }

    pub(super) fn optional(&self, name: &str) -> Option<At<'a>> {
        self.module.child(name).map(|module| At { path: self.key(name), module })
    }

    pub(super) fn child(&self, name: &str) -> Result<At<'a>, ImportError> {
        self.optional(name).ok_or_else(|| {
            let reason = format!("the export has no such module in its {}; it is not stock RAVE 2", self.module.class);
            malformed(&self.key(name), reason)
        })
    }

    pub(super) fn tensor<const RANK: usize>(&self, name: &str) -> Result<Weight, ImportError> {
        let key = self.key(name);
        tensor::<RANK>(&key, self.module.tensor(name).ok_or_else(|| missing(&key, None))?)
    }

    pub(super) fn optional_vector(&self, name: &str) -> Result<Option<Weight>, ImportError> {
        self.module.tensor(name).map(|array| tensor::<1>(&self.key(name), array)).transpose()
    }

    pub(super) fn scalar_or_zero(&self, name: &str) -> Result<f64, ImportError> {
        self.module.tensor(name).map_or(Ok(0.0), |array| scalar(&self.key(name), array))
    }

    pub(super) fn int(&self, name: &str) -> Result<i64, ImportError> {
        self.module
            .int(name)
            .ok_or_else(|| malformed(&self.key(name), format!("the {} holds no such integer", self.module.class)))
    }

    /// A positive number that the class declares.
    pub(super) fn constant(&self, name: &str) -> Result<usize, ImportError> {
        let value = self.module.constant_int(name).or_else(|| self.module.int(name));
        value.and_then(|n| usize::try_from(n).ok()).filter(|&n| n > 0).ok_or_else(|| {
            let reason = format!("the {} declares {value:?}; a positive number is needed", self.module.class);
            malformed(&self.key(name), reason)
        })
    }

    pub(super) fn unknown(&self) -> ImportError {
        let place = if self.path.is_empty() { String::new() } else { format!(" at {}", self.path) };
        ImportError::Unknown {
            found: format!("a layer of class {}{place}", self.module.class),
            cure: "only the layers of stock RAVE 2 can be read".into(),
        }
    }

    /// The layers of this module, which may be one or many.
    pub(super) fn chain(&self, padding: Padding) -> Result<Vec<Layer>, ImportError> {
        let name = place(&self.path);
        let op = match class(self.module) {
            "CachedSequential" | "Sequential" => {
                let mut layers = Vec::new();
                for (name, _) in self.module.children() {
                    layers.extend(self.child(name)?.chain(padding)?);
                }
                return Ok(layers);
            }
            "Conv1d" | "CachedConv1d" => return Ok(vec![self.conv(padding, false)?]),
            "ConvTranspose1d" | "CachedConvTranspose1d" => self.conv_transpose()?,
            "UpsampleLayer" | "DilatedUnit" | "ResidualBlock" | "ResidualLayer" => {
                return self.child("net")?.chain(padding);
            }
            "Residual" => {
                let chain = self.child("aligned")?.child("branches")?.child("0")?.chain(padding)?;
                return Ok(vec![Layer::Residual { name, chain }]);
            }
            "ResidualStack" => {
                let branches = self.child("net")?.child("branches")?;
                let all = branches.module.children();
                let branches = all.iter().map(|(b, _)| branches.child(b)?.chain(padding)).collect::<Result<_, _>>()?;
                return Ok(vec![Layer::Sum { name, branches }]);
            }
            "GRU" if self.module.bool("enabled") == Some(false) => return Ok(vec![]),
            "GRU" => return self.child("gru")?.gru(),
            "Identity" => return Ok(vec![]),
            "LeakyReLU" => {
                let slope = self.module.constant_float("negative_slope").unwrap_or(0.01);
                Op::Pointwise(Pointwise::LeakyRelu { slope: slope as f32 })
            }
            "Snake" => snake(&self.tensor::<2>("alpha")?),
            "SampleNorm" => Op::UnitNorm,
            "BatchNorm1d" => Op::BatchNorm(BatchNorm {
                mean: self.tensor::<1>("running_mean")?,
                variance: self.tensor::<1>("running_var")?,
                weight: self.optional_vector("weight")?,
                bias: self.optional_vector("bias")?,
                epsilon: self.module.constant_float("eps").unwrap_or(1e-5),
            }),
            "AdaptiveInstanceNormalization" => self.adain()?,
            _ => return Err(self.unknown()),
        };
        Ok(vec![Layer::Op { name, op }])
    }

    /// A convolution by the chain's rule, or one all of whose padding lies in the past.
    pub(super) fn conv(&self, padding: Padding, past_only: bool) -> Result<Layer, ImportError> {
        let weight = self.tensor::<3>("weight")?;
        let kernel_size = weight.shape()[2];
        let dilation = self.constant("dilation")?;
        let left_padding = match (self.module.ints("_pad").as_deref(), past_only) {
            (Some(&[left, _]), _) => left,
            (_, true) => self.child("cache")?.int("padding")?,
            (_, false) => {
                let kept = self.child("cache")?.int("padding")?;
                let reach = Padding::Causal.left(kernel_size, dilation);
                if kept != reach {
                    let reason =
                        format!("keeps {kept} frames, kernel size {kernel_size} and dilation {dilation} reach {reach}");
                    return Err(malformed(&self.key("cache.padding"), reason));
                }
                padding.left(kernel_size, dilation)
            }
        };
        let op = Op::Conv1d(Conv1d {
            weight,
            bias: self.optional_vector("bias")?,
            stride: self.constant("stride")?,
            dilation,
            left_padding,
            groups: self.constant("groups")?,
        });
        Ok(Layer::Op { name: place(&self.path), op })
    }

    pub(super) fn conv_transpose(&self) -> Result<Op, ImportError> {
        let padding = self.module.constant_int("padding").and_then(|p| usize::try_from(p).ok());
        Ok(Op::ConvTranspose1d(ConvTranspose1d {
            weight: self.tensor::<3>("weight")?,
            bias: self.optional_vector("bias")?,
            stride: self.constant("stride")?,
            left_trim: padding
                .ok_or_else(|| malformed(&self.key("padding"), "is not declared; the export is damaged".into()))?,
            groups: self.constant("groups")?,
        }))
    }

    pub(super) fn adain(&self) -> Result<Op, ImportError> {
        let row = |name: &str| -> Result<Weight, ImportError> { Ok(first_row(&self.tensor::<3>(name)?)) };
        let learned = |updates: &str, mean: &str, deviation: &str| -> Result<Option<Statistics>, ImportError> {
            if self.scalar_or_zero(updates)? > 0.0 {
                Ok(Some(Statistics { mean: row(mean)?, deviation: row(deviation)? }))
            } else {
                Ok(None)
            }
        };
        Ok(Op::AdaIn {
            source: learned("num_update_x", "mean_x", "std_x")?,
            target: learned("num_update_y", "mean_y", "std_y")?,
        })
    }

    pub(super) fn gru(&self) -> Result<Vec<Layer>, ImportError> {
        if self.module.tensor("weight_ih_l0_reverse").is_some() {
            let reason = "reads its input backwards too; a bidirectional layer cannot stream";
            return Err(malformed(&self.path, reason.into()));
        }
        let mut layers = Vec::new();
        while self.module.tensor(&format!("weight_ih_l{}", layers.len())).is_some() {
            let key = |part: &str| format!("{part}_l{}", layers.len());
            let op = Op::Gru(Gru {
                weight_ih: self.tensor::<2>(&key("weight_ih"))?,
                weight_hh: self.tensor::<2>(&key("weight_hh"))?,
                bias_ih: self.tensor::<1>(&key("bias_ih"))?,
                bias_hh: self.tensor::<1>(&key("bias_hh"))?,
                reset: Reset::Product,
                initial_hidden: None,
            });
            layers.push(Layer::Op { name: gru_place(&self.path, layers.len()), op });
        }
        Ok(layers)
    }

    /// A noise synthesiser over `rows` channels.
    pub(super) fn noise(&self, padding: Padding, rows: usize, past_only: bool) -> Result<Noise, ImportError> {
        let net = self.child("net")?;
        let mut layers = Vec::new();
        for (name, module) in net.module.children() {
            let child = net.child(name)?;
            match class(module) {
                "Conv1d" | "CachedConv1d" => layers.push(child.conv(padding, past_only)?),
                _ => layers.extend(child.chain(padding)?),
            }
        }
        Noise::new(place(&self.path), layers, rows)
    }
}

/// The class without its module path.
pub(super) fn class(module: &Module) -> &str {
    module.class.rsplit('.').next().unwrap_or(&module.class)
}
