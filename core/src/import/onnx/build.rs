//! The graph under construction, and the few moves that every operator makes on it.

use std::collections::HashMap;
use std::sync::Arc;

use super::Outcome;
use super::dim::{Dim, Fraction};
use super::tensor::Beside;
use super::value::{Axis, Signal, packed_axes};
use crate::graph::{BatchNorm, Conv1d, Graph, NodeId, Op, Pointwise};
use crate::tensor::{Tensor, Weight};

/// Nodes beyond which a model is refused.
const MOST_NODES: usize = 1 << 14;

/// What operators read and write besides their inputs.
pub(in crate::import) struct Build {
    pub(in crate::import) graph: Graph,
    pub(in crate::import) beside: Beside,
    /// Frames of the input, in a file that was exported for that length only.
    pub(in crate::import) exported_frames: Option<i64>,
    /// Frames of the input for each frame of what is held.
    pub(in crate::import) held_frames: usize,
    /// Version of the standard operators.
    pub(in crate::import) opset: i64,
    /// Values that may still be made: constants folded, weights written.
    budget: u64,
    /// The operator that is being built.
    pub(in crate::import) place: String,
    /// How many nodes have each name.
    names: HashMap<String, usize>,
}

impl Build {
    /// A graph of `channels` inputs, and room for `budget` values.
    pub(in crate::import) fn new(channels: usize, beside: Beside, budget: u64) -> Self {
        Self {
            graph: Graph::new(channels),
            beside,
            exported_frames: None,
            held_frames: 1,
            opset: 0,
            budget,
            place: String::new(),
            names: HashMap::from([("input".into(), 1)]),
        }
    }

    /// Takes room for `values` values.
    ///
    /// # Errors
    /// When the file is too small for so many.
    pub(in crate::import) fn spend(&mut self, values: usize) -> Outcome<()> {
        match self.budget.checked_sub(values as u64) {
            Some(left) => {
                self.budget = left;
                Ok(())
            }
            None => Err(format!("makes {values} values more, out of proportion to the file's size")),
        }
    }

    /// Grows the room with what was read beside the file.
    pub(in crate::import) fn earn(&mut self, values: u64) {
        self.budget = self.budget.saturating_add(values);
    }

    /// A weight of this shape.
    pub(in crate::import) fn weight(&mut self, shape: &[usize], values: Vec<f32>) -> Outcome<Weight> {
        self.spend(values.len())?;
        Ok(Arc::new(Tensor::new(shape, values)))
    }

    /// Appends a node, named after the operator.
    pub(in crate::import) fn push(&mut self, op: Op, inputs: &[NodeId]) -> Outcome<NodeId> {
        if self.graph.nodes().len() >= MOST_NODES {
            return Err(format!("the model becomes more than {MOST_NODES} nodes"));
        }
        let name = loop {
            let count = self.names.entry(self.place.clone()).or_default();
            *count += 1;
            let name = if *count == 1 { self.place.clone() } else { format!("{}.{count}", self.place) };
            if *count == 1 || !self.names.contains_key(&name) {
                break name;
            }
        };
        self.names.entry(name.clone()).or_insert(1);
        self.graph.push(name, op, inputs).map_err(|e| e.reason)
    }

    /// The function of each value of `x`.
    pub(in crate::import) fn pointwise(&mut self, x: &Signal, function: Pointwise) -> Outcome<Signal> {
        let node = self.push(Op::Pointwise(function), &[x.node])?;
        Ok(Signal { node, ..x.clone() })
    }

    /// `scale · x + offset`, with one value for all or one per entry of a frame, in the tensor's order.
    pub(in crate::import) fn affine(&mut self, x: &Signal, scale: &[f32], offset: &[f32]) -> Outcome<Signal> {
        if let ([scale], [offset]) = (scale, offset) {
            if (*scale, *offset) == (1.0, 0.0) {
                return Ok(x.clone());
            }
            return self.pointwise(x, Pointwise::Affine { scale: *scale, offset: *offset });
        }
        let channels = x.channels();
        let mut by_channel = |values: &[f32]| {
            let mut ordered = vec![values[0]; channels];
            if values.len() > 1 {
                x.order().zip(values).for_each(|(channel, value)| ordered[channel] = *value);
            }
            self.weight(&[channels], ordered)
        };
        let norm = BatchNorm {
            weight: Some(by_channel(scale)?),
            bias: Some(by_channel(offset)?),
            mean: by_channel(&[0.0])?,
            variance: by_channel(&[1.0])?,
            epsilon: 0.0,
        };
        let node = self.push(Op::BatchNorm(norm), &[x.node])?;
        Ok(Signal { node, ..x.clone() })
    }

    /// Each output channel is a sum of weighted channels of `node`: `[out, in]`, row-major.
    pub(in crate::import) fn mix(
        &mut self,
        node: NodeId,
        out: usize,
        matrix: Vec<f32>,
        bias: Option<Vec<f32>>,
    ) -> Outcome<NodeId> {
        let inputs = self.graph.node(node).channels;
        let weight = self.weight(&[out, inputs, 1], matrix)?;
        let bias = bias.map(|bias| self.weight(&[out], bias)).transpose()?;
        let conv = Conv1d { weight, bias, stride: 1, dilation: 1, left_padding: 0, groups: 1 };
        self.push(Op::Conv1d(conv), &[node])
    }

    /// The channels of `node` that `picks` names, in that order.
    pub(in crate::import) fn select(&mut self, node: NodeId, picks: &[usize]) -> Outcome<NodeId> {
        let channels = self.graph.node(node).channels;
        let runs_on = picks.windows(2).all(|pair| pair[1] == pair[0] + 1);
        match picks {
            [] => Err("leaves no channel".into()),
            [0, ..] if runs_on && picks.len() == channels => Ok(node),
            [start, ..] if runs_on => self.push(Op::Slice { start: *start, channels: picks.len() }, &[node]),
            _ => {
                self.spend(picks.len().saturating_mul(channels))?;
                let mut matrix = vec![0.0; picks.len() * channels];
                picks.iter().enumerate().for_each(|(out, pick)| matrix[out * channels + pick] = 1.0);
                self.mix(node, picks.len(), matrix, None)
            }
        }
    }

    /// The same tensor on a node whose channels stand in the tensor's order.
    pub(in crate::import) fn packed(&mut self, x: &Signal) -> Outcome<Signal> {
        let picks: Vec<_> = x.order().collect();
        let node = self.select(x.node, &picks)?;
        let sizes: Vec<_> =
            x.axes.iter().zip(x.sizes()).map(|(axis, size)| (*axis != Axis::Time).then_some(size)).collect();
        Ok(Signal { node, axes: packed_axes(&sizes), ..x.clone() })
    }

    /// The same tensor on a node whose channels stand in the order of the axes `order`, the first outermost.
    pub(in crate::import) fn packed_as(&mut self, x: &Signal, order: &[usize]) -> Outcome<Signal> {
        let moved = self.packed(&transposed(x, order))?;
        let mut back = vec![0; order.len()];
        order.iter().enumerate().for_each(|(to, &from)| back[from] = to);
        Ok(transposed(&moved, &back))
    }

    /// The tensor that takes, on each axis but time, the entries that `maps` names.
    pub(in crate::import) fn gathered(&mut self, x: &Signal, maps: &[Option<Vec<usize>>]) -> Outcome<Signal> {
        let size = |axis: usize| maps[axis].as_ref().map_or(x.sizes()[axis], Vec::len);
        let sizes: Vec<_> = (0..x.axes.len()).map(size).collect();
        let count = sizes.iter().try_fold(1usize, |count, &n| count.checked_mul(n)).unwrap_or(usize::MAX);
        if count == 0 {
            return Err("leaves no channel".into());
        }
        // A place is as large as two values, and is held twice while an axis joins.
        self.spend(count.saturating_mul(4))?;
        let stride = |axis: usize| if let Axis::Channels { stride, .. } = x.axes[axis] { stride } else { 0 };
        let mut picks = vec![0];
        for axis in 0..sizes.len() {
            let entry = |i: usize| stride(axis) * maps[axis].as_ref().map_or(i, |map| map[i]);
            let mut places = Vec::with_capacity(picks.len() * sizes[axis]);
            picks.iter().for_each(|&at| places.extend((0..sizes[axis]).map(|i| at + entry(i))));
            picks = places;
        }
        let node = self.select(x.node, &picks)?;
        let sizes: Vec<_> = x.axes.iter().zip(sizes).map(|(axis, n)| (*axis != Axis::Time).then_some(n)).collect();
        Ok(Signal { node, axes: packed_axes(&sizes), ..x.clone() })
    }

    /// The tensor with its axes of size 1 repeated to `sizes`.
    pub(in crate::import) fn expanded(&mut self, x: &Signal, sizes: &[usize]) -> Outcome<Signal> {
        if x.sizes() == sizes {
            return Ok(x.clone());
        }
        let maps: Vec<_> = x.sizes().iter().zip(sizes).map(|(own, to)| (own != to).then(|| vec![0; *to])).collect();
        self.gathered(x, &maps)
    }

    /// The same tensor on a node whose frame 0 is the tensor's first.
    pub(in crate::import) fn aligned(&mut self, x: &Signal) -> Outcome<Signal> {
        if x.shift == 0 {
            return Ok(x.clone());
        }
        self.every(x, 1)
    }

    /// Every `stride`-th frame, from the first on; the length is the caller's to say.
    pub(in crate::import) fn every(&mut self, x: &Signal, stride: usize) -> Outcome<Signal> {
        let channels = self.graph.node(x.node).channels;
        let weight = self.weight(&[channels, 1, 1], vec![1.0; channels])?;
        let conv = Conv1d { weight, bias: None, stride, dilation: 1, left_padding: -x.shift, groups: channels };
        let node = self.push(Op::Conv1d(conv), &[x.node])?;
        Ok(Signal { node, shift: 0, ..x.clone() })
    }

    /// The held tensor `x` as a signal: its `axis` becomes time, of so many frames, the first of them frame `shift`.
    pub(in crate::import) fn in_time(&mut self, x: &Signal, axis: usize, frames: Dim, shift: i64) -> Outcome<Signal> {
        let mut axes = x.axes.clone();
        axes[axis] = Axis::Time;
        let rate = frames.slope.times(Fraction::whole(self.held_frames as i64));
        let rate = rate.filter(|rate| rate.numerator() > 0).ok_or("its length does not fit 64 bits")?;
        let mut node = x.node;
        if rate.numerator() > 1 {
            node = self.push(Op::Repeat { factor: rate.numerator() as usize }, &[node])?;
        }
        let signal = Signal { node, shift: 0, frames, axes };
        let signal = match rate.denominator() {
            1 => signal,
            stride => self.every(&signal, stride as usize)?,
        };
        Ok(Signal { shift, ..signal })
    }

    /// Values that are the same in every frame, as a signal of the rate of `like`; `values` are its channels.
    pub(in crate::import) fn steady(&mut self, values: &[f32], like: NodeId) -> Outcome<NodeId> {
        let inputs = self.graph.node(like).channels;
        self.spend(values.len().saturating_mul(inputs))?;
        self.mix(like, values.len(), vec![0.0; values.len() * inputs], Some(values.to_vec()))
    }

    /// `dim` as a number, where the file was exported for one length only.
    pub(in crate::import) fn number(&self, dim: Dim) -> Option<i64> {
        dim.known().or_else(|| dim.at(self.exported_frames?))
    }

    /// Whether two sizes are equal, as far as the file can say.
    pub(in crate::import) fn same(&self, a: Dim, b: Dim) -> bool {
        a == b || self.number(a).is_some_and(|a| Some(a) == self.number(b))
    }
}

/// The axes in another order; the node stays.
pub(in crate::import) fn transposed(x: &Signal, order: &[usize]) -> Signal {
    Signal { axes: order.iter().map(|&axis| x.axes[axis]).collect(), ..x.clone() }
}
