//! Stacks of dilated convolutions whose activations are summed for a head (van den Oord et al., *WaveNet*, 2016), with
//! every option of the format.
//!
//! ```text
//! z = post(conv(pre(x))) + post(mixin(pre(condition)))      each pre and post a modulation, where there is one
//! a = post(activation(pre(z)))
//! head += head1x1(a), or a;   x += layer1x1(a)
//! ```

mod config;
mod layer;

use self::config::{Array, Config, Head};
use self::layer::Layer;
use super::super::ImportError;
use super::activation::Activation;
use super::description::Found;
use super::file::File;
use super::network::{Network, config};
use super::size;
use super::weights::{Shape, Weights, Width};
use crate::graph::{NodeId, Op, Pointwise};

pub(super) fn build(network: &mut Network<'_>, file: &File, depth: usize) -> Result<Found, ImportError> {
    let mut config: Config = config(&file.config, "config")?;
    let head = config.head.take();
    let arrays = config.arrays()?;
    let Some(last) = arrays.last() else {
        return Err(ImportError::malformed("layers", "no layer arrays; at least one is needed"));
    };
    let kept = slimmed(network, &arrays)?;
    let whole = arrays.iter().zip(&kept).all(|(array, kept)| array.channels == *kept);

    let mut reach = 1usize;
    let condition = match file.config.get("condition_dsp") {
        Some(condition) if !condition.is_null() => {
            let nested = File::nested(condition, "condition_dsp", depth + 1)?;
            if let (Some(own), Some(outer)) = (nested.rate()?, network.rate)
                && own != outer
            {
                let reason = format!("runs at {own} Hz, the model around it at {outer}; they must agree");
                return Err(ImportError::malformed("condition_dsp", reason));
            }
            let found = network.nested("condition.", size::chosen(&nested, network.size)?, depth + 1)?;
            reach = found.receptive_field.unwrap_or(1);
            found.output
        }
        _ => 0,
    };

    let mut weights = Weights::new(&file.weights, network.place());
    let mut x = 0;
    let mut sum: Option<NodeId> = None;
    let mut head_width = Width::from(last.head.out_channels);
    for (i, array) in arrays.iter().enumerate() {
        let channels = Width { full: array.channels, kept: kept[i] };
        head_width = array.head.out_channels.into();
        if let (Some(next), false) = (kept.get(i + 1), whole) {
            // The next array's sum begins with it.
            head_width.kept = *next;
        }
        let input = match i {
            0 => array.input_size.into(),
            _ => Width { full: array.input_size, kept: kept[i - 1] },
        };
        let outputs = array.build(
            network,
            &mut weights,
            &format!("array{i}"),
            Ends { x, condition, sum, input, channels, head_width },
        )?;
        (x, sum) = (outputs.0, Some(outputs.1));
        reach = reach.saturating_add(array.reach());
    }
    let output = sum.expect("at least one array");
    let head_convs = match &head {
        Some(head) if !whole => {
            let reason = format!(
                "{} convolutions after the stack cannot be slimmed; ask for the largest size, 1",
                head.kernel_sizes.len()
            );
            return Err(ImportError::malformed("head", reason));
        }
        Some(head) => head.read(&mut weights, head_width.full)?,
        None => vec![],
    };
    // The weights' own, rather than the configuration's.
    let scale = weights.take(1, "head_scale")?[0];
    weights.finish()?;
    let scaled = Op::Pointwise(Pointwise::Affine { scale, offset: 0.0 });
    let mut output = network.push("scaled", scaled, &[output])?;
    for (i, (activation, width, conv)) in head_convs.into_iter().enumerate() {
        reach = reach.saturating_add(conv.weight.shape()[2] - 1);
        let name = format!("head{i}.activation");
        output = network.push(&name, activation.op(width, &name)?, &[output])?;
        output = network.push(&format!("head{i}.conv"), Op::Conv1d(conv), &[output])?;
    }
    let channels: Vec<_> = kept.iter().map(usize::to_string).collect();
    let layers: usize = arrays.iter().map(|array| array.layers.len()).sum();
    let what = format!("WaveNet, {} channels, {layers} layers", channels.join("/"));
    Ok(Found { output, what, receptive_field: Some(reach) })
}

/// Channels of each array at the network's size.
fn slimmed(network: &mut Network<'_>, arrays: &[Array]) -> Result<Vec<usize>, ImportError> {
    let mut kept = Vec::with_capacity(arrays.len());
    for (i, array) in arrays.iter().enumerate() {
        let allowed = array.allowed_channels(&format!("array{i}"))?;
        network.has_sizes |= !allowed.is_empty();
        kept.push(match network.size {
            Some(size) if !allowed.is_empty() => size::channels(&allowed, size),
            _ => array.channels,
        });
    }
    Ok(kept)
}

/// What an array is connected to.
#[derive(Clone, Copy)]
struct Ends {
    x: NodeId,
    condition: NodeId,
    /// What the head's sum begins with.
    sum: Option<NodeId>,
    input: Width,
    channels: Width,
    /// Channels of its part of the head.
    head_width: Width,
}

impl Array {
    /// Builds the array; gives its signal for the next one, and its part of the head.
    fn build(
        &self,
        network: &mut Network<'_>,
        weights: &mut Weights<'_>,
        name: &str,
        ends: Ends,
    ) -> Result<(NodeId, NodeId), ImportError> {
        let rechannel = format!("{name}.rechannel");
        let conv = weights.conv(Shape::pointwise(ends.input, ends.channels, false), &rechannel)?;
        let mut x = network.push(&rechannel, Op::Conv1d(conv), &[ends.x])?;
        let bottleneck = self.bottleneck_of(ends.channels);
        let mut heads: Vec<NodeId> = ends.sum.into_iter().collect();
        for (i, options) in self.layers.iter().enumerate() {
            let name = format!("{name}.layer{i}");
            let layer = Layer::read(self, options, weights, ends.channels, bottleneck, &name)?;
            let (next, head) = layer.build(network, &name, x, ends.condition)?;
            x = next;
            heads.push(head);
        }
        let sum = match heads[..] {
            [] => return Err(ImportError::malformed(name, "no layers; at least one is needed")),
            [only] => only,
            _ => network.push(&format!("{name}.sum"), Op::Add, &heads)?,
        };
        let head = format!("{name}.head");
        let conv = weights.conv(self.head_shape(bottleneck, ends.head_width), &head)?;
        Ok((x, network.push(&head, Op::Conv1d(conv), &[sum])?))
    }
}

impl Head {
    /// The convolutions after the stack, and what comes before each.
    fn read(
        &self,
        weights: &mut Weights<'_>,
        inputs: usize,
    ) -> Result<Vec<(Activation, Width, crate::graph::Conv1d)>, ImportError> {
        let activation = Activation::parse(&self.activation, "head.activation")?;
        let mut width = inputs;
        let mut convs = Vec::new();
        for (i, kernel_size) in self.kernel_sizes.iter().copied().enumerate() {
            let out = if i + 1 == self.kernel_sizes.len() { self.out_channels } else { self.channels };
            let shape = Shape { kernel_size, ..Shape::pointwise(width, out, true) };
            convs.push((activation.clone(), width.into(), weights.conv(shape, &format!("head{i}"))?));
            width = out;
        }
        Ok(convs)
    }
}
