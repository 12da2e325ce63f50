//! One layer: its weights in the order of the file, its nodes in the order of the signal.

use super::super::super::ImportError;
use super::super::film::{Film, Slot};
use super::super::gating::Gating;
use super::super::network::Network;
use super::super::weights::{Shape, Weights, Width};
use super::config::{Array, LayerOptions};
use crate::graph::{Conv1d, NodeId, Op};

/// The parts of a layer.
pub(super) struct Layer<'a> {
    options: &'a LayerOptions,
    width: Width,
    conv: Conv1d,
    mixin: Conv1d,
    layer1x1: Option<Conv1d>,
    head1x1: Option<Conv1d>,
    conv_pre: Option<Film>,
    conv_post: Option<Film>,
    mixin_pre: Option<Film>,
    mixin_post: Option<Film>,
    activation_pre: Option<Film>,
    activation_post: Option<Film>,
    layer1x1_post: Option<Film>,
    head1x1_post: Option<Film>,
}

impl<'a> Layer<'a> {
    /// Reads a layer of `array`, which has so many channels, and so many after an activation.
    pub(super) fn read(
        array: &Array,
        options: &'a LayerOptions,
        weights: &mut Weights<'_>,
        channels: Width,
        bottleneck: Width,
        name: &str,
    ) -> Result<Self, ImportError> {
        let part = |part: &str| format!("{name}.{part}");
        let condition = array.condition_size;
        let z = bottleneck.times(options.gating.halves());
        let conv = Shape {
            kernel_size: options.kernel_size,
            dilation: options.dilation,
            groups: array.groups_input,
            ..Shape::pointwise(channels, z, true)
        };
        let mixin = Shape { groups: array.groups_input_mixin, ..Shape::pointwise(condition, z, false) };
        let layer1x1 = Shape { groups: array.layer1x1.groups, ..Shape::pointwise(bottleneck, channels, true) };
        let (head1x1, outputs) = array.head1x1;
        let head1x1_shape = Shape { groups: head1x1.groups, ..Shape::pointwise(bottleneck, outputs, true) };
        // Fields in the order of the file.
        Ok(Self {
            options,
            width: bottleneck,
            conv: weights.conv(conv, &part("conv"))?,
            mixin: weights.conv(mixin, &part("input_mixin"))?,
            layer1x1: match array.layer1x1.active {
                true => Some(weights.conv(layer1x1, &part("layer1x1"))?),
                false => None,
            },
            head1x1: match head1x1.active {
                true => Some(weights.conv(head1x1_shape, &part("head1x1"))?),
                false => None,
            },
            conv_pre: array.films.conv_pre_film.read(weights, condition, channels, &part("conv_pre_film"))?,
            conv_post: array.films.conv_post_film.read(weights, condition, z, &part("conv_post_film"))?,
            mixin_pre: array.films.input_mixin_pre_film.read(
                weights,
                condition,
                condition.into(),
                &part("input_mixin_pre_film"),
            )?,
            mixin_post: array.films.input_mixin_post_film.read(
                weights,
                condition,
                z,
                &part("input_mixin_post_film"),
            )?,
            activation_pre: array.films.activation_pre_film.read(
                weights,
                condition,
                z,
                &part("activation_pre_film"),
            )?,
            activation_post: array.films.activation_post_film.read(
                weights,
                condition,
                bottleneck,
                &part("activation_post_film"),
            )?,
            layer1x1_post: array.films.layer1x1_post_film.read(
                weights,
                condition,
                channels,
                &part("layer1x1_post_film"),
            )?,
            head1x1_post: if head1x1.active { array.films.head1x1_post_film } else { Slot::Absent }.read(
                weights,
                condition,
                outputs.into(),
                &part("head1x1_post_film"),
            )?,
        })
    }

    /// Builds the layer; gives the next layer's input, and what it adds to the head.
    pub(super) fn build(
        self,
        network: &mut Network<'_>,
        name: &str,
        x: NodeId,
        condition: NodeId,
    ) -> Result<(NodeId, NodeId), ImportError> {
        let part = |part: &str| format!("{name}.{part}");
        let modulated = |network: &mut Network<'_>, film: Option<Film>, what: &str, x: NodeId| match film {
            Some(film) => film.push(network, &part(what), x, condition),
            None => Ok(x),
        };
        let read = modulated(network, self.conv_pre, "conv_pre_film", x)?;
        let conv = network.push(&part("conv"), Op::Conv1d(self.conv), &[read])?;
        let conv = modulated(network, self.conv_post, "conv_post_film", conv)?;
        let mixed = modulated(network, self.mixin_pre, "input_mixin_pre_film", condition)?;
        let mixed = network.push(&part("input_mixin"), Op::Conv1d(self.mixin), &[mixed])?;
        let mixed = modulated(network, self.mixin_post, "input_mixin_post_film", mixed)?;
        let z = network.push(&part("sum"), Op::Add, &[conv, mixed])?;
        let z = modulated(network, self.activation_pre, "activation_pre_film", z)?;
        let LayerOptions { activation, gating, .. } = self.options;
        let a = gating.push(network, &part("activation"), activation, z, self.width)?;
        let a = modulated(network, self.activation_post, "activation_post_film", a)?;
        let head = match self.head1x1 {
            Some(conv) => {
                let head = network.push(&part("head1x1"), Op::Conv1d(conv), &[a])?;
                modulated(network, self.head1x1_post, "head1x1_post_film", head)?
            }
            None => a,
        };
        let Some(conv) = self.layer1x1 else { return Ok((x, head)) };
        let mut step = network.push(&part("layer1x1"), Op::Conv1d(conv), &[a])?;
        // The player leaves this modulation out of the other modes, though it reads its weights.
        if matches!(gating, Gating::Blended(_)) {
            step = modulated(network, self.layer1x1_post, "layer1x1_post_film", step)?;
        }
        Ok((network.push(&part("residual"), Op::Add, &[x, step])?, head))
    }
}
