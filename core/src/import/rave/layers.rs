//! State dict → layers. What stands at a place is read off the keys found there; strides follow from kernel sizes;
//! only dilations and the padding rule come from the configuration.

use std::sync::Arc;

use super::description::{Layer, Padding, place};
use super::weights::{Weights, malformed};
use crate::graph::{BatchNorm, Conv1d, ConvTranspose1d, Gru, Op, Pointwise, Reset, Statistics};
use crate::import::ImportError;
use crate::tensor::{Tensor, Weight};

/// The slope of every leaky rectifier in RAVE.
pub(super) const SLOPE: f32 = 0.2;

/// PyTorch's default, which RAVE keeps.
const BATCH_NORM_EPSILON: f64 = 1e-5;

/// Builds layers from one half of a checkpoint.
pub(super) struct Walk<'a> {
    pub(super) weights: &'a Weights,
    pub(super) padding: Padding,
}

/// What the configuration says of one stage of RAVE v2.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    /// Frames of the faster side per frame of the slower.
    pub(super) ratio: usize,
    /// One per dilated unit.
    pub(super) dilations: Vec<usize>,
}

/// How a convolution that is not of stride 1 changes the rate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Resampling {
    Down,
    Up,
}

impl Walk<'_> {
    /// RAVE v2's `net` at `path`: dilated units, and between them convolutions that change the rate, after each stage's
    /// units on the way down, before them on the way up. Where `open` is set, the chain ends before the waveform's
    /// convolution, which stands elsewhere.
    pub(super) fn v2(
        &self,
        path: &str,
        direction: Resampling,
        stages: &[Stage],
        open: bool,
    ) -> Result<Vec<Layer>, ImportError> {
        let count = self.weights.count(path)?;
        let at = |i: usize| format!("{path}.{i}");
        let kernels: Vec<_> = (0..count).filter(|&i| self.weights.has_kernel(&at(i))).collect();
        let (Some(&first), Some(&last)) = (kernels.first(), kernels.last()) else {
            return Err(malformed(path, "holds no convolution; the checkpoint is not of a RAVE 2 model".into()));
        };
        let mut chain = Vec::new();
        // The stage that a unit belongs to, after so many changes of rate.
        let stage_after = |resampled: usize| match direction {
            Resampling::Down => stages.get(resampled),
            Resampling::Up => resampled.checked_sub(1).and_then(|stage| stages.get(stage)),
        };
        let (mut resampled, mut units) = (0, 0);
        for i in 0..count {
            let path = at(i);
            let unit_path = format!("{path}.aligned.branches.0");
            let contradicts = |found: String| {
                let said: Vec<_> = stages.iter().map(|s| (s.ratio, &s.dilations)).collect();
                malformed(
                    &path,
                    format!(
                        "{found}, but the ratios and dilations in config.gin are {said:?}; the file is of another run"
                    ),
                )
            };
            if i == first || (i == last && !open) {
                chain.push(self.conv(&path, 1, 1, 1)?);
            } else if self.weights.has_kernel(&path) {
                let ratio = self.weights.kernel_shape(&path)?[2] / 2;
                if stage_after(resampled).is_some_and(|stage| stage.dilations.len() != units) {
                    return Err(contradicts(format!("comes after {units} dilated units")));
                }
                if stages.get(resampled).is_none_or(|stage| stage.ratio != ratio) {
                    return Err(contradicts(format!("changes the rate by {ratio} as number {resampled}")));
                }
                (resampled, units) = (resampled + 1, 0);
                chain.push(self.resampling(&path, direction)?);
            } else if self.weights.has_under(&unit_path) {
                let dilation = stage_after(resampled).and_then(|stage| stage.dilations.get(units));
                let &dilation = dilation.ok_or_else(|| contradicts(format!("is dilated unit {units} of a stage")))?;
                units += 1;
                chain.push(self.dilated_unit(&path, &unit_path, dilation)?);
            } else {
                chain.extend(self.plain(&path)?);
            }
        }
        if resampled != stages.len() {
            let reason = format!(
                "changes the rate {resampled} times, config.gin gives {} ratios; the file is of another run",
                stages.len()
            );
            return Err(malformed(path, reason));
        }
        // The rectifier before a convolution that stands elsewhere leaves no key to count.
        if open && !matches!(chain.last(), Some(Layer::Op { op: Op::Snake { .. }, .. })) {
            chain.extend(self.plain(&at(count))?);
        }
        Ok(chain)
    }

    /// RAVE v1's encoder at `path`: odd kernels, batch norm or sample norm, a last convolution that does not mix mean
    /// and scale.
    pub(super) fn v1_encoder(&self, path: &str) -> Result<Vec<Layer>, ImportError> {
        let count = self.weights.count(path)?;
        let at = |i: usize| format!("{path}.{i}");
        let kernels: Vec<_> = (0..count).filter(|&i| self.weights.has_kernel(&at(i))).collect();
        let mut chain = Vec::new();
        let mut channels = None;
        for i in 0..count {
            let path = at(i);
            if self.weights.has_kernel(&path) {
                let shape = self.weights.kernel_shape(&path)?;
                let inner = Some(&i) != kernels.first() && Some(&i) != kernels.last();
                let stride = if inner { (shape[2] / 2).max(1) } else { 1 };
                let groups = channels.map_or(1, |c: usize| (c / shape[1]).max(1));
                channels = Some(shape[0]);
                chain.push(self.conv(&path, stride, 1, groups)?);
            } else if !self.anything(&path) && !self.anything(&at(i + 1)) {
                chain.push(Layer::Op { name: place(&path), op: Op::UnitNorm });
            } else {
                chain.extend(self.plain(&path)?);
            }
        }
        Ok(chain)
    }

    /// RAVE v1's decoder at `path`: upsampling layers and residual stacks in turn. `dilations` holds one list per
    /// residual layer, one entry per convolution.
    pub(super) fn v1_decoder(&self, path: &str, dilations: &[Vec<usize>]) -> Result<Vec<Layer>, ImportError> {
        let mut chain = Vec::new();
        for i in 0..self.weights.count(path)? {
            let path = format!("{path}.{i}");
            let upsampling = format!("{path}.net.1");
            let stack = format!("{path}.net.branches");
            if self.weights.has_kernel(&path) {
                chain.push(self.conv(&path, 1, 1, 1)?);
            } else if self.weights.has_kernel(&upsampling) {
                chain.extend(self.plain(&format!("{path}.net.0"))?);
                // A ratio of 1 is a plain convolution, with an odd kernel.
                let ratio_of_one = self.weights.kernel_shape(&upsampling)?[2] % 2 == 1;
                chain.push(if ratio_of_one {
                    self.conv(&upsampling, 1, 1, 1)?
                } else {
                    self.resampling(&upsampling, Resampling::Up)?
                });
            } else if self.weights.has_under(&stack) {
                let branches = (0..self.weights.count(&stack)?)
                    .map(|b| self.v1_residual_block(&format!("{stack}.{b}.net"), dilations))
                    .collect::<Result<Vec<_>, _>>()?;
                chain.push(Layer::Sum { name: place(&path), branches });
            } else {
                chain.extend(self.plain(&path)?);
            }
        }
        Ok(chain)
    }

    /// The net of a noise synthesiser: convolutions of `strides`, with `left` of kernel size and stride zeros before
    /// them, and activations between.
    pub(super) fn noise(
        &self,
        path: &str,
        strides: &[usize],
        left: impl Fn(usize, usize) -> i64,
    ) -> Result<Vec<Layer>, ImportError> {
        let mut chain = Vec::new();
        let mut strides = strides.iter();
        for i in 0..self.weights.count(path)? {
            let path = format!("{path}.{i}");
            if !self.weights.has_kernel(&path) {
                chain.extend(self.plain(&path)?);
                continue;
            }
            let stride = *strides.next().ok_or_else(|| {
                malformed(
                    &path,
                    "is one convolution more than config.gin gives ratios; the file is of another run".into(),
                )
            })?;
            let kernel_size = self.weights.kernel_shape(&path)?[2];
            chain.push(self.conv_with(&path, stride, 1, 1, left(kernel_size, stride))?);
        }
        if strides.next().is_some() {
            return Err(malformed(
                path,
                "has fewer convolutions than config.gin gives ratios; the file is of another run".into(),
            ));
        }
        Ok(chain)
    }

    /// The convolution at `path`, padded by the rule of this half.
    pub(super) fn conv(&self, path: &str, stride: usize, dilation: usize, groups: usize) -> Result<Layer, ImportError> {
        let kernel_size = self.weights.kernel_shape(path)?[2];
        self.conv_with(path, stride, dilation, groups, self.padding.left(kernel_size, dilation))
    }

    fn conv_with(
        &self,
        path: &str,
        stride: usize,
        dilation: usize,
        groups: usize,
        left_padding: i64,
    ) -> Result<Layer, ImportError> {
        let weight = self.weights.kernel(path)?;
        let bias = self.weights.optional_vector(&format!("{path}.bias"))?;
        let op = Op::Conv1d(Conv1d { weight, bias, stride, dilation, left_padding, groups });
        Ok(Layer::Op { name: place(path), op })
    }

    /// A convolution of kernel size `2 · ratio`.
    fn resampling(&self, path: &str, direction: Resampling) -> Result<Layer, ImportError> {
        let kernel_size = self.weights.kernel_shape(path)?[2];
        if kernel_size % 2 != 0 {
            let reason =
                format!("has kernel size {kernel_size}; RAVE's rate-changing convolutions have twice their ratio");
            return Err(malformed(path, reason));
        }
        let stride = kernel_size / 2;
        if direction == Resampling::Down {
            return self.conv(path, stride, 1, 1);
        }
        let weight = self.weights.kernel(path)?;
        let bias = self.weights.optional_vector(&format!("{path}.bias"))?;
        let op = Op::ConvTranspose1d(ConvTranspose1d { weight, bias, stride, left_trim: stride / 2, groups: 1 });
        Ok(Layer::Op { name: place(path), op })
    }

    /// `x + conv₁(a(conv_d(a(x))))`.
    fn dilated_unit(&self, path: &str, unit_path: &str, dilation: usize) -> Result<Layer, ImportError> {
        let net = format!("{unit_path}.net");
        let mut chain = Vec::new();
        let mut convs = 0;
        for i in 0..self.weights.count(&net)? {
            let path = format!("{net}.{i}");
            if self.weights.has_kernel(&path) {
                chain.push(self.conv(&path, 1, if convs == 0 { dilation } else { 1 }, 1)?);
                convs += 1;
            } else {
                chain.extend(self.plain(&path)?);
            }
        }
        Ok(Layer::Residual { name: place(path), chain })
    }

    fn v1_residual_block(&self, path: &str, dilations: &[Vec<usize>]) -> Result<Vec<Layer>, ImportError> {
        let mut block = Vec::new();
        for layer in 0..self.weights.count(path)? {
            let path = format!("{path}.{layer}");
            let net = format!("{path}.net.aligned.branches.0");
            let mut dilations_left = dilations.get(layer).map_or(&[][..], Vec::as_slice).iter();
            let mut chain = Vec::new();
            for i in 0..self.weights.count(&net)? {
                let path = format!("{net}.{i}");
                if self.weights.has_kernel(&path) {
                    let dilation = *dilations_left.next().ok_or_else(|| {
                        malformed(
                            &path,
                            format!("has no dilation in config.gin's {dilations:?}; the file is of another run"),
                        )
                    })?;
                    chain.push(self.conv(&path, 1, dilation, 1)?);
                } else {
                    chain.extend(self.plain(&path)?);
                }
            }
            block.push(Layer::Residual { name: place(&path), chain });
        }
        Ok(block)
    }

    /// What is not a convolution: norms, recurrences, activations. A place without keys is a leaky rectifier.
    fn plain(&self, path: &str) -> Result<Vec<Layer>, ImportError> {
        let name = place(path);
        let key = |end: &str| format!("{path}.{end}");
        let op = if self.weights.has(&key("alpha")) {
            snake(&self.weights.tensor::<2>(&key("alpha"))?)
        } else if self.weights.has(&key("mean_x")) {
            self.adain(path)?
        } else if self.weights.has(&key("running_mean")) {
            Op::BatchNorm(BatchNorm {
                mean: self.weights.tensor::<1>(&key("running_mean"))?,
                variance: self.weights.tensor::<1>(&key("running_var"))?,
                weight: self.weights.optional_vector(&key("weight"))?,
                bias: self.weights.optional_vector(&key("bias"))?,
                epsilon: BATCH_NORM_EPSILON,
            })
        } else if self.weights.has_under(&key("gru")) {
            return self.gru(&key("gru"));
        } else if self.anything(path) {
            return Err(malformed(
                path,
                "is a layer that RAVE 2 does not have; only stock RAVE layers can be read".into(),
            ));
        } else {
            Op::Pointwise(Pointwise::LeakyRelu { slope: SLOPE })
        };
        Ok(vec![Layer::Op { name, op }])
    }

    fn adain(&self, path: &str) -> Result<Op, ImportError> {
        let key = |end: &str| format!("{path}.{end}");
        let row = |end: &str| -> Result<Weight, ImportError> { Ok(first_row(&self.weights.tensor::<3>(&key(end))?)) };
        let learned = |updates: &str, mean: &str, deviation: &str| -> Result<Option<Statistics>, ImportError> {
            if self.weights.scalar_or_zero(&key(updates))? > 0.0 {
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

    fn gru(&self, path: &str) -> Result<Vec<Layer>, ImportError> {
        if self.weights.has(&format!("{path}.weight_ih_l0_reverse")) {
            return Err(malformed(path, "reads its input backwards too; a bidirectional layer cannot stream".into()));
        }
        let mut layers = Vec::new();
        while self.weights.has(&format!("{path}.weight_ih_l{}", layers.len())) {
            let key = |part: &str| format!("{path}.{part}_l{}", layers.len());
            let op = Op::Gru(Gru {
                weight_ih: self.weights.tensor::<2>(&key("weight_ih"))?,
                weight_hh: self.weights.tensor::<2>(&key("weight_hh"))?,
                bias_ih: self.weights.tensor::<1>(&key("bias_ih"))?,
                bias_hh: self.weights.tensor::<1>(&key("bias_hh"))?,
                reset: Reset::Product,
                initial_hidden: None,
            });
            layers.push(Layer::Op { name: gru_place(path, layers.len()), op });
        }
        Ok(layers)
    }

    fn anything(&self, path: &str) -> bool {
        self.weights.has_under(path)
    }
}

/// One value per channel, stored as `[channels, 1]`.
pub(super) fn snake(alpha: &Weight) -> Op {
    Op::Snake { alpha: Arc::new(Tensor::new([alpha.len()], alpha.data().to_vec())) }
}

/// The first stream's statistics of `[streams, channels, 1]`.
pub(super) fn first_row(buffer: &Weight) -> Weight {
    let row = buffer.row(0).to_vec();
    Arc::new(Tensor::new([row.len()], row))
}

/// The name of one layer of the recurrence at `path`.
pub(super) fn gru_place(path: &str, layer: usize) -> String {
    format!("{}.l{layer}", place(path))
}
