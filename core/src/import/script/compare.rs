//! Whether two graphs do the same, whatever their nodes are called and in whatever order they stand.

use std::collections::HashMap;

use crate::graph::{Excitation, Graph, NodeId, Op};

/// Largest relative difference of two weights that count as equal.
const ROUNDING: f32 = 1e-6;
/// Pairs of nodes that are looked at, at most.
const MOST_PAIRS: usize = 1 << 20;

/// The first place where the graphs differ, walking from their outputs; `None` where they are equal. Edit points of
/// latents, names, the order of terms, and the numbers of random parts do not count.
pub(in crate::import) fn difference(a: &Graph, b: &Graph) -> Option<String> {
    let mut pairing = Pairing { a, b, known: HashMap::new(), keys: HashMap::new() };
    pairing.differs(a.nodes().len() - 1, b.nodes().len() - 1)
}

struct Pairing<'a> {
    a: &'a Graph,
    b: &'a Graph,
    known: HashMap<(NodeId, NodeId), Option<String>>,
    keys: HashMap<u32, u32>,
}

impl Pairing<'_> {
    fn differs(&mut self, first: NodeId, second: NodeId) -> Option<String> {
        // Bottom up, so that no graph is too deep.
        let mut open = vec![(first, second)];
        while let Some(&pair) = open.last() {
            if self.known.len() > MOST_PAIRS || open.len() > MOST_PAIRS {
                return Some("more pairs of nodes than are compared".into());
            }
            if self.known.contains_key(&pair) {
                open.pop();
                continue;
            }
            let missing: Vec<_> =
                self.pairs(pair.0, pair.1).into_iter().filter(|pair| !self.known.contains_key(pair)).collect();
            if missing.is_empty() {
                let found = self.here(pair.0, pair.1);
                self.known.insert(pair, found);
                open.pop();
            } else {
                open.extend(missing);
            }
        }
        self.known[&(first, second)].clone()
    }

    /// The pairs of nodes that the answer for this pair needs.
    fn pairs(&self, first: NodeId, second: NodeId) -> Vec<(NodeId, NodeId)> {
        let (first, second) = (skip(self.a, first), skip(self.b, second));
        let (a, b) = (&self.a.node(first), &self.b.node(second));
        match (&a.op, &b.op) {
            (Op::Gaussian { .. }, _) | (_, Op::Gaussian { .. }) => vec![],
            _ if std::mem::discriminant(&a.op) != std::mem::discriminant(&b.op) || a.inputs.len() != b.inputs.len() => {
                vec![]
            }
            (Op::Add | Op::Mul | Op::Max, _) if a.inputs.len() <= 4 => {
                a.inputs.iter().flat_map(|&x| b.inputs.iter().map(move |&y| (x, y))).collect()
            }
            _ => a.inputs.iter().copied().zip(b.inputs.iter().copied()).collect(),
        }
    }

    fn here(&mut self, first: NodeId, second: NodeId) -> Option<String> {
        let (first, second) = (skip(self.a, first), skip(self.b, second));
        let (a, b) = (self.a.node(first), self.b.node(second));
        let at = |what: String| Some(format!("{} and {}: {what}", a.name, b.name));
        if a.inputs.len() != b.inputs.len() || std::mem::discriminant(&a.op) != std::mem::discriminant(&b.op) {
            return at(format!("{} and {}", a.op.name(), b.op.name()));
        }
        if a.channels != b.channels || a.rate != b.rate {
            return at(format!("{} channels @{} and {} @{}", a.channels, a.rate, b.channels, b.rate));
        }
        if let Some(key) = unlike(&a.op, &b.op) {
            match key {
                Unlike::Op(what) => return at(what),
                Unlike::Keys(x, y) if *self.keys.entry(x).or_insert(y) != y => {
                    return at(format!("random part {x} and {y}, elsewhere {}", self.keys[&x]));
                }
                Unlike::Keys(..) => {}
            }
        }
        if matches!(a.op, Op::Gaussian { .. }) {
            return None;
        }
        let commutes = matches!(a.op, Op::Add | Op::Mul | Op::Max) && a.inputs.len() <= 4;
        let mut left: Vec<NodeId> = b.inputs.clone();
        for (i, &input) in a.inputs.iter().enumerate() {
            let found = if commutes {
                left.iter().position(|&other| self.known[&(input, other)].is_none())
            } else {
                self.known[&(input, left[i])].is_none().then_some(0)
            };
            match found {
                Some(at) if commutes => drop(left.remove(at)),
                Some(_) => {}
                None => {
                    let candidates = if commutes { &left[..] } else { &left[i..=i] };
                    let mut deepest = candidates.iter().filter_map(|&other| self.known[&(input, other)].clone());
                    return deepest.next_back().or_else(|| at("inputs".into()));
                }
            }
        }
        None
    }
}

enum Unlike {
    Op(String),
    /// Alike but for the numbers of their random parts.
    Keys(u32, u32),
}

/// The node behind edit points.
fn skip(graph: &Graph, mut id: NodeId) -> NodeId {
    while let Op::LatentEdit = graph.node(id).op {
        id = graph.node(id).inputs[0];
    }
    id
}

/// How two ops of one kind differ.
fn unlike(a: &Op, b: &Op) -> Option<Unlike> {
    if a == b {
        return None;
    }
    let weights = |x: &crate::Weight, y: &crate::Weight| {
        let scale = x.data().iter().fold(1e-6f32, |m, v| m.max(v.abs()));
        x.shape() == y.shape() && x.data().iter().zip(y.data()).all(|(x, y)| (x - y).abs() <= scale * ROUNDING)
    };
    let biases = |x: &Option<crate::Weight>, y: &Option<crate::Weight>| match (x, y) {
        (Some(x), Some(y)) => weights(x, y),
        (Some(one), None) | (None, Some(one)) => one.data().iter().all(|&v| v == 0.0),
        (None, None) => true,
    };
    let same = match (a, b) {
        (Op::Conv1d(x), Op::Conv1d(y)) => {
            (x.stride, x.dilation, x.left_padding, x.groups) == (y.stride, y.dilation, y.left_padding, y.groups)
                && weights(&x.weight, &y.weight)
                && biases(&x.bias, &y.bias)
        }
        (Op::ConvTranspose1d(x), Op::ConvTranspose1d(y)) => {
            (x.stride, x.left_trim, x.groups) == (y.stride, y.left_trim, y.groups)
                && weights(&x.weight, &y.weight)
                && biases(&x.bias, &y.bias)
        }
        (Op::Snake { alpha: x }, Op::Snake { alpha: y }) => weights(x, y),
        (Op::Gaussian { channels: x, key: k }, Op::Gaussian { channels: y, key: l }) if x == y => {
            return Some(Unlike::Keys(*k, *l));
        }
        (Op::NoiseSynth(x), Op::NoiseSynth(y)) => {
            if let (Excitation::Random { key: k }, Excitation::Random { key: l }) = (&x.excitation, &y.excitation)
                && weights(&x.response, &y.response)
            {
                return Some(Unlike::Keys(*k, *l));
            }
            false
        }
        _ => false,
    };
    let details = crate::graph::text::details;
    (!same).then(|| Unlike::Op(format!("{} {{{}}} and {{{}}}", a.name(), details(a), details(b))))
}
