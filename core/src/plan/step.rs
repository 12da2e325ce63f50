//! StreamGraph → steps: what the engine runs, one after another. Functions and residual sums that follow a convolution
//! become its epilogue; a heavy convolution becomes two steps, so that the taps on frames that are already there are
//! summed before the newest frame arrives.

use super::ring::Ring;
use super::{PlanOptions, gate, planes};
use crate::graph::Lstm;
use crate::kernels::{Epilogue, Function, Gate};
use crate::stream::{CachedConv, ConvKind, Part, StreamGraph, StreamNode, StreamOp};
use crate::tensor::{Tensor, Weight};
use crate::timing::Reads;

/// One piece of work with a signal of its own.
#[derive(Debug)]
pub(crate) struct Step {
    /// The stream's node whose signal this is; `None` for sums of older taps.
    pub(crate) node: Option<usize>,
    /// The name of the node that it belongs to.
    pub(crate) name: String,
    pub(crate) task: Task,
    /// What it reads, in the order that its kernel expects.
    pub(crate) inputs: Vec<StepInput>,
    /// Channels of its signal.
    pub(crate) channels: usize,
    /// Ticks per frame.
    pub(crate) ticks: i64,
    /// Whether its channels lie in planes.
    pub(crate) in_planes: bool,
}

/// What a step does.
#[derive(Debug)]
pub(crate) enum Task {
    /// A convolution, or some of its taps. Reads its input, then the older taps' sums where it adds to them, then the
    /// epilogue's addend.
    Conv { conv: CachedConv, part: Part, epilogue: Epilogue },
    /// Channels times the sigmoid of others.
    Gate(Gate),
    /// Two LSTMs, of which the second reads the first.
    LstmPair(Box<[Lstm; 2]>),
    /// Any other op.
    Op(StreamOp),
}

/// An input of a step.
#[derive(Debug)]
pub(crate) struct StepInput {
    /// Index of the step read.
    pub(crate) step: usize,
    /// Which of its frames.
    pub(crate) reads: Reads,
}

impl Step {
    /// Whether its frames from 0 on are no mere response to silence: they are drawn, remembered, learned from, or
    /// a player's hands reach them.
    pub(crate) fn is_personal(&self) -> bool {
        use StreamOp::{AdaIn, Gaussian, Gru, LatentEdit, NoiseSynth, Parameter, Rnn};
        let op = match &self.task {
            Task::Conv { .. } | Task::Gate(_) => return false,
            Task::LstmPair(_) => return true,
            Task::Op(op) => op,
        };
        let is_recurrent = matches!(op, Gru(_) | StreamOp::Lstm(_) | Rnn(_));
        is_recurrent || matches!(op, Gaussian { .. } | NoiseSynth(_) | LatentEdit | AdaIn { .. } | Parameter(_))
    }

    /// Whether its frames are taken at their own time, neither earlier nor later, so that no schedule is heard in them.
    pub(crate) fn is_prompt(&self) -> bool {
        matches!(&self.task, Task::Op(StreamOp::Parameter(_)))
    }

    /// A ring of its frames, or `None` where it cannot be addressed.
    pub(crate) fn ring(&self, start: usize, frames: i64, mirror: usize) -> Option<Ring> {
        let ring = Ring::new(start, frames, mirror, self.channels)?;
        if self.in_planes { ring.in_planes() } else { Some(ring) }
    }

    /// What it does, in tables.
    pub(crate) fn op_name(&self) -> &'static str {
        match &self.task {
            Task::Conv { part: Part::Older { .. }, .. } => "conv, older taps",
            Task::Conv { part: Part::Newest { .. }, .. } => "conv, newest tap",
            Task::Conv { conv, .. } => conv.name(),
            Task::Gate(_) => "gate",
            Task::LstmPair(_) => "two lstms",
            Task::Op(op) => op.name(),
        }
    }
}

/// Bytes of weights from which on a convolution is split.
const SPLIT_BYTES: usize = 1 << 18;
/// A split must not straddle a block of the kernel's summation.
const SPLIT_CHANNELS: usize = 32;

/// The steps of `stream`, inputs before readers. Step 0 is the input, the last step the output. Where every node is asked
/// for, nothing is fused; then, and where samples come singly, all signals are rows.
pub(crate) fn steps(stream: &StreamGraph, options: &PlanOptions) -> Vec<Step> {
    let nodes = stream.nodes();
    let fusions = fusions(nodes, options.every_node);
    let mut step_of = vec![usize::MAX; nodes.len()];
    let mut steps: Vec<Step> = Vec::with_capacity(nodes.len());
    for (id, node) in nodes.iter().enumerate() {
        let same = |from: usize, step_of: &[usize]| StepInput { step: step_of[from], reads: Reads::same() };
        match &fusions[id] {
            Fused::Into => continue,
            Fused::None => steps.push(Step {
                node: Some(id),
                name: node.name.clone(),
                task: Task::Op(node.op.clone()),
                inputs: match &node.op {
                    // The audio input is its clock.
                    StreamOp::Parameter(_) => {
                        let reads = Reads::at_its_time(node.timeline.step, nodes[0].timeline.step);
                        vec![StepInput { step: 0, reads }]
                    }
                    _ => (node.inputs.iter().zip(&node.reads))
                        .map(|(&i, reads)| StepInput { step: step_of[i], reads: reads.clone() })
                        .collect(),
                },
                channels: node.channels,
                ticks: node.timeline.step,
                in_planes: false,
            }),
            Fused::Gate { gate, of } => steps.push(Step {
                node: Some(id),
                name: node.name.clone(),
                task: Task::Gate(*gate),
                inputs: vec![same(*of, &step_of)],
                channels: node.channels,
                ticks: node.timeline.step,
                in_planes: false,
            }),
            Fused::LstmPair { first } => {
                let (StreamOp::Lstm(one), StreamOp::Lstm(two)) = (&nodes[*first].op, &node.op) else {
                    unreachable!("pairs are LSTMs")
                };
                steps.push(Step {
                    node: Some(id),
                    name: node.name.clone(),
                    task: Task::LstmPair(Box::new([one.clone(), two.clone()])),
                    inputs: vec![same(nodes[*first].inputs[0], &step_of)],
                    channels: node.channels,
                    ticks: node.timeline.step,
                    in_planes: false,
                });
            }
            Fused::Conv { conv, addend, epilogue } => {
                let trained = &nodes[*conv];
                let StreamOp::Conv(cached) = &trained.op else { unreachable!("fusions start at convolutions") };
                let mut push = |part: Part, node, epilogue: Epilogue, more: Vec<StepInput>| {
                    let own = StepInput { step: step_of[trained.inputs[0]], reads: cached.part_reads(part) };
                    steps.push(Step {
                        node,
                        name: trained.name.clone(),
                        task: Task::Conv { conv: cached.clone(), part, epilogue },
                        inputs: std::iter::once(own).chain(more).collect(),
                        channels: trained.channels,
                        ticks: trained.timeline.step,
                        in_planes: false,
                    });
                    steps.len() - 1
                };
                let mut more = Vec::new();
                let mut part = Part::Whole;
                if let Some(newest) = newest_taps(cached) {
                    let older = push(Part::Older { newest }, None, Epilogue::default(), vec![]);
                    more.push(StepInput { step: older, reads: Reads::same() });
                    part = Part::Newest { newest };
                }
                more.extend(addend.map(|from| same(from, &step_of)));
                push(part, Some(id), epilogue.clone(), more);
            }
        }
        step_of[id] = steps.len() - 1;
    }
    if !options.every_node && options.block_samples != 1 {
        planes::lay(&mut steps);
    }
    steps
}

/// What becomes of a node.
enum Fused {
    /// It is a step of its own.
    None,
    /// A later node's step computes it.
    Into,
    /// It ends a gate, which reads the node `of`.
    Gate { gate: Gate, of: usize },
    /// It is an LSTM that alone reads the LSTM `first`.
    LstmPair { first: usize },
    /// It ends a chain that starts at the convolution `conv`.
    Conv { conv: usize, addend: Option<usize>, epilogue: Epilogue },
}

/// Chains of a convolution, a function, a sum and a function, each read by the next alone; what is added may be one
/// channel times a column. And gates, and pairs of LSTMs.
fn fusions(nodes: &[StreamNode], every_node: bool) -> Vec<Fused> {
    let mut readers: Vec<Vec<usize>> = vec![vec![]; nodes.len()];
    for (id, node) in nodes.iter().enumerate() {
        node.inputs.iter().for_each(|&i| readers[i].push(id));
    }
    let only_reader = |id: usize| if let ([one], false) = (&readers[id][..], every_node) { Some(*one) } else { None };
    let mut fusions: Vec<_> = nodes.iter().map(|_| Fused::None).collect();
    // Sums whose last term is one channel times a column.
    let mut columns: Vec<Option<usize>> = vec![None; nodes.len()];
    for (id, node) in nodes.iter().enumerate() {
        if let (StreamOp::Add, [term, column]) = (&node.op, &node.inputs[..])
            && term != column
            && only_reader(*column) == Some(id)
            && only_reader(*term) == Some(id)
            && matches!(nodes[*term].op, StreamOp::Conv(_))
            && nodes[*term].channels == nodes[*column].channels
            && column_of(&nodes[*column].op).is_some()
        {
            columns[id] = Some(*column);
            fusions[*column] = Fused::Into;
        }
    }
    for id in 0..nodes.len() {
        if let Some(found) = gate::of_product(nodes, id, only_reader) {
            found.within.into_iter().for_each(|id| fusions[id] = Fused::Into);
            fusions[id] = Fused::Gate { gate: found.gate, of: found.of };
        }
    }
    for first in 0..nodes.len() {
        if let (StreamOp::Lstm(_), Fused::None) = (&nodes[first].op, &fusions[first])
            && let Some(second) = only_reader(first)
            && matches!(nodes[second].op, StreamOp::Lstm(_))
        {
            fusions[first] = Fused::Into;
            fusions[second] = Fused::LstmPair { first };
        }
    }
    for conv in 0..nodes.len() {
        if !matches!((&nodes[conv].op, &fusions[conv]), (StreamOp::Conv(_), Fused::None)) {
            continue;
        }
        let mut chain = vec![conv];
        let mut epilogue = Epilogue::default();
        let mut addend = None;
        let function = |last: usize| only_reader(last).and_then(|id| Some((id, Function::of(&nodes[id].op)?)));
        if let Some((id, f)) = function(conv) {
            epilogue.function = Some(f);
            chain.push(id);
        }
        let last = chain[chain.len() - 1];
        if let Some(id) = only_reader(last)
            && matches!((&nodes[id].op, &fusions[id]), (StreamOp::Add, Fused::None))
            && let [a, b] = nodes[id].inputs[..]
            && nodes[id].channels == nodes[conv].channels
        {
            addend = Some(if a == last { b } else { a });
            if let Some(column) = columns[id] {
                addend = Some(nodes[column].inputs[0]);
                epilogue.column = column_of(&nodes[column].op);
            }
            epilogue.add = true;
            chain.push(id);
            if let Some((id, f)) = function(id) {
                epilogue.then = Some(f);
                chain.push(id);
            }
        }
        let last = chain.pop().expect("the convolution at least");
        chain.into_iter().for_each(|id| fusions[id] = Fused::Into);
        fusions[last] = Fused::Conv { conv, addend, epilogue };
    }
    fusions
}

/// The weights of a convolution that multiplies one channel, and nothing else.
fn column_of(op: &StreamOp) -> Option<Weight> {
    let StreamOp::Conv(conv) = op else { return None };
    let plain = conv.kind == (ConvKind::Strided { stride: 1 }) && conv.left == 0 && conv.bias.is_none();
    let [out, 1, 1] = conv.weight.shape() else { return None };
    // Where all are zero, nothing is read.
    let reads = conv.weight.data().iter().any(|w| *w != 0.0);
    (plain && reads && conv.groups == 1).then(|| Tensor::new([*out], conv.weight.data().to_vec()).into())
}

/// The taps that wait for the newest frames, where a convolution is split.
fn newest_taps(conv: &CachedConv) -> Option<usize> {
    let taps = conv.taps().iter().map(Vec::len).max().unwrap_or(0);
    let newest = if let ConvKind::Strided { stride: 2 } = conv.kind { 2 } else { 1 };
    let heavy = conv.weight.len() * size_of::<f32>() >= SPLIT_BYTES && conv.group_inputs() % SPLIT_CHANNELS == 0;
    (heavy && taps > newest).then_some(newest)
}
