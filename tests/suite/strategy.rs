//! Generated graphs, signals and partitions. A graph is a list of layers with random weights; layers that do not fit
//! where they stand are bent until they do, so that every list is a graph and shrinking just drops layers.

use std::fmt;
use std::sync::Arc;

use proptest::prelude::*;
use runnel::graph::{
    BatchNorm, Conv1d, ConvTranspose1d, Excitation, Graph, Gru, LayerNorm, Lstm, NodeId, NoiseSynth, Op, Parameter,
    Pointwise, Reset, Rnn, RnnActivation, Statistics,
};
use runnel::{Tensor, Weight};

/// A convolution; its groups divide the channels it meets.
#[derive(Clone, Debug)]
pub(crate) struct Conv {
    out: usize,
    kernel_size: usize,
    dilation: usize,
    /// Left padding as a share of the span, in eighths; beyond 8 it is all past.
    left: usize,
    grouped: bool,
    bias: bool,
    /// Taps that are exactly zero at both ends.
    zero: (usize, usize),
}

/// One generated layer.
#[derive(Clone, Debug)]
pub(crate) enum Layer {
    Conv(Conv, usize),
    Transposed {
        out: usize,
        stride: usize,
        extra: usize,
        trim: usize,
        grouped: bool,
        bias: bool,
    },
    Subpixel(Conv, usize),
    Activation(usize),
    Norm,
    AlternateSign,
    Repeat(usize),
    /// `x + f(x)`, `f` of centred and lopsided convolutions.
    Residual(Vec<Conv>),
    /// `x + up(f(down(x)))`.
    DownUp(Conv, usize),
    /// `x + down(f(up(x)))`.
    UpDown(Conv, usize),
    /// `tanh(f(x)) · sigmoid(g(x))`.
    Gated(Conv, Conv),
    /// One half of `f(x)`, or its tanh, times the sigmoid of the other; whether it is the second half, and whether it is
    /// read again.
    Halves(Conv, [bool; 3]),
    /// `[f(x), g(x)]`, then a mixing convolution.
    Concat(Conv, Conv),
    /// `f(x)` times one channel.
    Loudness(Conv, Conv),
    /// Whether it resets its state, and whether it starts from another than zero.
    Gru(usize, [bool; 2]),
    Gaussian,
    Noise(usize),
    /// Whether source and target are learned.
    AdaIn([bool; 2]),
    Lstm(usize),
    TwoLstms(usize, usize),
    Rnn(usize, RnnActivation),
    /// `act(f(x) + column · x₀)`.
    Column(Conv, usize),
    /// The greatest of `f(x)`, `g(x)` and one channel.
    Max(Conv, Conv),
    /// A normalisation over channels, in blocks of one or all; centred or not.
    NormOfFrame(bool, bool),
    Softmax(bool),
    Steered(Steering),
}

/// What a player's parameter does to a signal: a convolution of it, at its own rate, is added or multiplied.
#[derive(Clone, Debug)]
pub(crate) struct Steering {
    every: usize,
    channels: usize,
    conv: Conv,
    multiplies: bool,
    wide: bool,
    /// Which of a few names; those of one name are one.
    name: usize,
}

/// Output channels: mostly few, now and then several panels of a kernel.
fn width() -> impl Strategy<Value = usize> {
    prop_oneof![5 => 1..6usize, 1 => 6..40usize]
}

fn conv() -> impl Strategy<Value = Conv> {
    (width(), 1..6usize, 1..4usize, 0..10usize, any::<bool>(), any::<bool>(), (0..3usize, 0..3usize)).prop_map(
        |(out, kernel_size, dilation, left, grouped, bias, zero)| Conv {
            out,
            kernel_size,
            dilation,
            left,
            grouped,
            bias,
            zero: if kernel_size > 4 { zero } else { (0, 0) },
        },
    )
}

fn layer() -> impl Strategy<Value = Layer> {
    prop_oneof![
        4 => (conv(), 1..5usize).prop_map(|(c, s)| Layer::Conv(c, s)),
        3 => (1..5usize, 1..6usize, 0..8usize, 0..6usize, any::<bool>(), any::<bool>())
            .prop_map(|(out, stride, extra, trim, grouped, bias)| Layer::Transposed { out, stride, extra, trim, grouped, bias }),
        1 => (conv(), 2..5usize).prop_map(|(c, f)| Layer::Subpixel(c, f)),
        4 => (0..22usize).prop_map(Layer::Activation),
        1 => Just(Layer::Norm),
        1 => Just(Layer::AlternateSign),
        1 => (2..4usize).prop_map(Layer::Repeat),
        3 => prop::collection::vec(conv(), 1..3).prop_map(Layer::Residual),
        2 => (conv(), 2..5usize).prop_map(|(c, s)| Layer::DownUp(c, s)),
        2 => (conv(), 2..4usize).prop_map(|(c, s)| Layer::UpDown(c, s)),
        1 => (conv(), conv()).prop_map(|(a, b)| Layer::Gated(a, b)),
        1 => (conv(), any::<[bool; 3]>()).prop_map(|(c, how)| Layer::Halves(c, how)),
        1 => (conv(), conv()).prop_map(|(a, b)| Layer::Concat(a, b)),
        1 => (conv(), conv()).prop_map(|(a, b)| Layer::Loudness(a, b)),
        1 => (1..4usize, any::<[bool; 2]>()).prop_map(|(hidden, kind)| Layer::Gru(hidden, kind)),
        1 => Just(Layer::Gaussian),
        1 => (1..5usize).prop_map(Layer::Noise),
        1 => any::<[bool; 2]>().prop_map(Layer::AdaIn),
        1 => prop_oneof![1..4usize, 15..18usize].prop_map(Layer::Lstm),
        1 => (1..10usize, prop_oneof![1..4usize, 15..18usize]).prop_map(|(first, second)| Layer::TwoLstms(first, second)),
        1 => (prop_oneof![1..4usize, 15..18usize], prop_oneof![Just(RnnActivation::Tanh), Just(RnnActivation::Relu)])
            .prop_map(|(hidden, activation)| Layer::Rnn(hidden, activation)),
        2 => (conv(), 0..22usize).prop_map(|(c, a)| Layer::Column(c, a)),
        1 => (conv(), conv()).prop_map(|(a, b)| Layer::Max(a, b)),
        1 => any::<(bool, bool)>().prop_map(|(blocks, centred)| Layer::NormOfFrame(blocks, centred)),
        1 => any::<bool>().prop_map(Layer::Softmax),
        1 => steering().prop_map(Layer::Steered),
    ]
}

fn steering() -> impl Strategy<Value = Steering> {
    (1..6usize, 1..4usize, conv(), any::<bool>(), any::<bool>(), 0..3usize).prop_map(
        |(every, channels, conv, multiplies, wide, name)| Steering { every, channels, conv, multiplies, wide, name },
    )
}

/// A generated graph; a failing test prints its text form.
#[derive(Clone)]
pub(crate) struct Case(pub(crate) Graph);

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{}", self.0)
    }
}

/// A graph of up to eight layers.
pub(crate) fn graph() -> impl Strategy<Value = Case> {
    (1..4usize, prop::collection::vec(layer(), 1..8), any::<u64>())
        .prop_map(|(channels, layers, seed)| Case(build(channels, &layers, seed)))
}

/// As [`graph`], with a node that learns before the last layers.
#[allow(dead_code, reason = "not every test binary learns")]
pub(crate) fn learner() -> impl Strategy<Value = Case> {
    let some = || prop::collection::vec(layer(), 0..4);
    (1..4usize, some(), any::<[bool; 2]>(), some(), any::<u64>()).prop_map(
        |(channels, mut layers, held, rest, seed)| {
            layers.push(Layer::AdaIn(held));
            layers.extend(rest);
            Case(build(channels, &layers, seed))
        },
    )
}

/// A graph with a parameter at least, behind up to four layers and before as many.
#[allow(dead_code, reason = "not every test binary steers")]
pub(crate) fn steered_graph() -> impl Strategy<Value = Case> {
    let layers = || prop::collection::vec(layer(), 0..4);
    (1..4usize, layers(), steering(), layers(), any::<u64>()).prop_map(
        |(channels, mut layers, steering, after, seed)| {
            layers.push(Layer::Steered(steering));
            layers.extend(after);
            Case(build(channels, &layers, seed))
        },
    )
}

/// Samples of slack, with whole hops among them.
#[allow(dead_code, reason = "not every test binary plans with slack")]
pub(crate) fn slack() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0u64), 1..100u64, 100..5000u64]
}

/// Block lengths that cover `frames`.
pub(crate) fn partition(frames: usize) -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![Just(1usize), Just(7), 1..70usize, Just(0)], 1..40).prop_map(move |mut blocks| {
        let mut left = frames;
        for block in &mut blocks {
            *block = (*block).min(left);
            left -= *block;
        }
        blocks.push(left);
        blocks
    })
}

/// Uniform noise in [−1, 1), `[channels][frames]`.
pub(crate) fn signal(channels: usize, frames: usize, seed: u64) -> Vec<f32> {
    let mut random = Random(seed | 1);
    (0..channels * frames).map(|_| random.uniform()).collect()
}

/// The graph of these layers, weights drawn from `seed`.
fn build(channels: usize, layers: &[Layer], seed: u64) -> Graph {
    let mut b = Builder { graph: Graph::new(channels), at: 0, random: Random(seed | 1), up: 1, down: 1 };
    for layer in layers {
        b.layer(layer);
    }
    if b.at == 0 {
        b.conv(&Conv { out: 1, kernel_size: 3, dilation: 1, left: 4, grouped: false, bias: true, zero: (0, 0) }, 1);
    }
    b.graph
}

/// Highest rate over the input, and lowest under it, that a generated graph reaches.
const MOST: usize = 48;

const LEAKY_HARD_TANH: Pointwise = Pointwise::LeakyHardTanh { low: -0.4, high: 0.6, low_slope: 0.1, high_slope: 0.2 };

struct Builder {
    graph: Graph,
    at: NodeId,
    random: Random,
    up: usize,
    down: usize,
}

impl Builder {
    fn layer(&mut self, layer: &Layer) {
        let x = self.at;
        match layer {
            Layer::Conv(conv, stride) => self.strided(conv, *stride),
            Layer::Transposed { out, stride, extra, trim, grouped, bias } => {
                self.transposed(*out, *stride, *extra, *trim, *grouped, *bias);
            }
            Layer::Subpixel(conv, factor) => {
                if self.up * factor <= MOST {
                    self.up *= factor;
                    let each = if conv.grouped { self.channels() } else { conv.out };
                    let wide = Conv { out: each * factor, ..conv.clone() };
                    self.conv(&wide, 1);
                    self.push(Op::DepthToTime { factor: *factor }, &[self.at]);
                }
            }
            Layer::Activation(kind) => {
                let op = match kind {
                    0 => Op::Pointwise(Pointwise::LeakyRelu { slope: 0.2 }),
                    1 => Op::Pointwise(Pointwise::Tanh),
                    2 => Op::Pointwise(Pointwise::Sigmoid),
                    3 => Op::Pointwise(Pointwise::Softplus),
                    4 => Op::Pointwise(Pointwise::Affine { scale: 0.7, offset: 0.3 }),
                    5 => Op::PRelu { slope: self.vector(self.channels(), -0.5, 0.5) },
                    6 => Op::Pointwise(Pointwise::Silu),
                    7 => Op::Pointwise(Pointwise::HardSwish),
                    8 => Op::Pointwise(Pointwise::Softsign),
                    9 => Op::Pointwise(Pointwise::Clamp { low: -0.4, high: 0.6 }),
                    10 => Op::Pointwise(LEAKY_HARD_TANH),
                    11 => Op::Pointwise(Pointwise::FastTanh),
                    12 => Op::Pointwise(Pointwise::Elu { alpha: 0.8 }),
                    13 => Op::Pointwise(Pointwise::Gelu),
                    14 => Op::Pointwise(Pointwise::GeluTanh),
                    15 => Op::Pointwise(Pointwise::Erf),
                    16 => Op::Pointwise(Pointwise::Sin),
                    17 => Op::Pointwise(Pointwise::Cos),
                    18 => Op::Pointwise(Pointwise::Abs),
                    // What is not defined everywhere, on what is positive.
                    19 | 20 => {
                        self.push(Op::Pointwise(Pointwise::Softplus), &[x]);
                        self.push(Op::Pointwise(Pointwise::Affine { scale: 1.0, offset: 0.5 }), &[self.at]);
                        let functions = if *kind == 19 {
                            [Pointwise::Log, Pointwise::Exp, Pointwise::Reciprocal]
                        } else {
                            [Pointwise::Sqrt, Pointwise::Power { exponent: 1.3 }, Pointwise::Log]
                        };
                        for function in &functions[..2] {
                            self.push(Op::Pointwise(*function), &[self.at]);
                        }
                        return self.push(Op::Pointwise(functions[2]), &[self.at]);
                    }
                    _ => Op::Snake { alpha: self.vector(self.channels(), 0.5, 1.0) },
                };
                self.push(op, &[x]);
            }
            Layer::Norm => {
                let n = self.channels();
                let norm = BatchNorm {
                    mean: self.vector(n, -0.5, 0.5),
                    variance: self.vector(n, 0.3, 2.0),
                    weight: Some(self.vector(n, 0.5, 1.5)),
                    bias: Some(self.vector(n, -0.5, 0.5)),
                    epsilon: 1e-5,
                };
                self.push(Op::BatchNorm(norm), &[x]);
            }
            Layer::AlternateSign => self.push(Op::AlternateSign, &[x]),
            Layer::Repeat(factor) => {
                if self.up * factor <= MOST {
                    self.up *= factor;
                    self.push(Op::Repeat { factor: *factor }, &[x]);
                }
            }
            Layer::Residual(convs) => {
                for conv in convs {
                    self.push(Op::Pointwise(Pointwise::LeakyRelu { slope: 0.2 }), &[self.at]);
                    self.conv(conv, 1);
                }
                self.back_to(x);
            }
            Layer::DownUp(conv, stride) => {
                if self.down * stride <= MOST {
                    self.strided_by(conv, *stride);
                    self.transposed(conv.out, *stride, conv.kernel_size, conv.left, false, conv.bias);
                    self.back_to(x);
                }
            }
            Layer::UpDown(conv, stride) => {
                if self.up * stride <= MOST {
                    self.transposed(conv.out, *stride, conv.kernel_size, conv.left, false, conv.bias);
                    self.strided_by(conv, *stride);
                    self.back_to(x);
                }
            }
            Layer::Gated(f, g) => {
                let f = self.branch(x, &Conv { out: g.out, grouped: g.grouped, ..f.clone() });
                self.push(Op::Pointwise(Pointwise::Tanh), &[f]);
                let f = self.at;
                let g = self.branch(x, g);
                self.push(Op::Pointwise(Pointwise::Sigmoid), &[g]);
                self.push(Op::Mul, &[f, self.at]);
            }
            Layer::Halves(f, [bends, turned, again]) => {
                let f = self.branch(x, &Conv { out: 2 * f.out, grouped: false, ..f.clone() });
                let channels = self.channels() / 2;
                let [passes, opens] = if *turned { [channels, 0] } else { [0, channels] };
                self.push(Op::Slice { start: passes, channels }, &[f]);
                if *bends {
                    self.push(Op::Pointwise(Pointwise::Tanh), &[self.at]);
                }
                let passing = self.at;
                self.push(Op::Slice { start: opens, channels }, &[f]);
                self.push(Op::Pointwise(Pointwise::Sigmoid), &[self.at]);
                self.push(Op::Mul, &[passing, self.at]);
                if *again {
                    self.push(Op::Add, &[passing, self.at]);
                }
            }
            Layer::Concat(f, g) => {
                let (f, g) = (self.branch(x, f), self.branch(x, g));
                self.push(Op::Concat, &[f, g]);
                self.mix();
            }
            Layer::Loudness(f, g) => {
                let (f, g) = (self.branch(x, f), self.branch(x, &Conv { out: 1, grouped: false, ..g.clone() }));
                // A gain that grows would grow the rounding that came before it.
                self.push(Op::Pointwise(Pointwise::Sigmoid), &[g]);
                self.push(Op::Mul, &[f, self.at]);
            }
            Layer::Gru(hidden, [resets_state, starts_elsewhere]) => {
                let n = self.channels();
                let gru = Gru {
                    weight_ih: self.weight(vec![3 * hidden, n], 1.0),
                    weight_hh: self.weight(vec![3 * hidden, *hidden], 1.0),
                    bias_ih: self.vector(3 * hidden, -0.5, 0.5),
                    bias_hh: self.vector(3 * hidden, -0.5, 0.5),
                    reset: if *resets_state { Reset::State } else { Reset::Product },
                    initial_hidden: starts_elsewhere.then(|| self.vector(*hidden, -0.9, 0.9)),
                };
                self.push(Op::Gru(gru), &[x]);
            }
            Layer::Lstm(hidden) => self.lstm(*hidden),
            Layer::TwoLstms(first, second) => {
                self.lstm(*first);
                self.lstm(*second);
            }
            Layer::Rnn(hidden, activation) => {
                let n = self.channels();
                let rnn = Rnn {
                    weight_ih: self.weight(vec![*hidden, n], 1.0),
                    // A rectified state grows without end where its matrix lets it.
                    weight_hh: self.weight(vec![*hidden, *hidden], 0.5),
                    bias: self.vector(*hidden, -0.5, 0.5),
                    initial_hidden: self.vector(*hidden, -0.9, 0.9),
                    activation: *activation,
                };
                self.push(Op::Rnn(rnn), &[x]);
            }
            Layer::Column(conv, kind) => {
                let term = self.branch(x, conv);
                let weight = self.weight(vec![self.channels(), 1, 1], 0.5);
                let column = Conv1d { weight, bias: None, stride: 1, dilation: 1, left_padding: 0, groups: 1 };
                self.push(Op::Slice { start: 0, channels: 1 }, &[x]);
                self.push(Op::Conv1d(column), &[self.at]);
                self.push(Op::Add, &[term, self.at]);
                self.layer(&Layer::Activation(*kind));
            }
            Layer::Gaussian => {
                let key = self.graph.nodes().len() as u32;
                self.push(Op::Gaussian { channels: self.channels(), key }, &[x]);
                self.push(Op::Add, &[x, self.at]);
            }
            Layer::Noise(size) => {
                if self.up * size <= MOST {
                    self.up *= size;
                    let response = self.weight(vec![*size, 1], 1.0);
                    let excitation = Excitation::Random { key: self.graph.nodes().len() as u32 };
                    self.push(Op::NoiseSynth(NoiseSynth { response, excitation }), &[x]);
                }
            }
            Layer::AdaIn(learned) => {
                let n = self.channels();
                let [source, target] = learned.map(|learned| {
                    learned.then(|| Statistics { mean: self.vector(n, -0.5, 0.5), deviation: self.vector(n, 0.5, 1.5) })
                });
                self.push(Op::AdaIn { source, target }, &[x]);
            }
            Layer::Max(f, g) => {
                let (f, g) = (self.branch(x, &Conv { out: g.out, grouped: g.grouped, ..f.clone() }), self.branch(x, g));
                let one = self.branch(
                    f,
                    &Conv { out: 1, kernel_size: 2, dilation: 1, left: 0, grouped: false, bias: true, zero: (0, 0) },
                );
                self.push(Op::Max, &[f, g, one]);
            }
            Layer::NormOfFrame(blocks, centred) => {
                // Blocks of one channel would be all zero.
                let n = self.channels();
                let norm = LayerNorm {
                    weight: centred.then(|| self.vector(n, 0.5, 1.5)),
                    bias: (*blocks || *centred).then(|| self.vector(n, -0.5, 0.5)),
                    epsilon: 0.1,
                    centred: *centred,
                    groups: if *blocks && n.is_multiple_of(2) { 2 } else { 1 },
                };
                self.push(Op::LayerNorm(norm), &[x]);
            }
            Layer::Softmax(blocks) => {
                let groups = if *blocks && self.channels().is_multiple_of(2) { 2 } else { 1 };
                self.push(Op::Softmax { groups }, &[x]);
            }
            Layer::Steered(steering) => self.steered(x, steering),
        }
    }

    fn lstm(&mut self, hidden: usize) {
        let lstm = Lstm {
            weight_ih: self.weight(vec![4 * hidden, self.channels()], 1.0),
            weight_hh: self.weight(vec![4 * hidden, hidden], 1.0),
            bias: self.vector(4 * hidden, -0.5, 0.5),
            initial_hidden: self.vector(hidden, -0.9, 0.9),
            initial_cell: self.vector(hidden, -1.5, 1.5),
        };
        self.push(Op::Lstm(lstm), &[self.at]);
    }

    fn steered(&mut self, x: NodeId, steering: &Steering) {
        let Steering { every, channels, conv, multiplies, wide, name } = steering;
        if self.down * every > MOST {
            return;
        }
        // Those of one name are alike.
        let name = format!("steering {name} of {channels}");
        let default = (0..*channels).map(|c| 0.25 + 0.5 * c as f32).collect();
        let (minimum, maximum) = (-2.0, 2.0);
        let parameter = Parameter { name, unit: String::new(), default, minimum, maximum, every: *every };
        self.push(Op::Parameter(parameter), &[x]);
        let out = if *wide { self.graph.node(x).channels } else { 1 };
        self.conv(&Conv { out, grouped: false, ..conv.clone() }, 1);
        if *multiplies {
            self.push(Op::Pointwise(Pointwise::Tanh), &[self.at]);
        }
        self.push(Op::Repeat { factor: *every }, &[self.at]);
        self.push(if *multiplies { Op::Mul } else { Op::Add }, &[x, self.at]);
    }

    /// `x +` what stands at the end of a branch from it, mixed to `x`'s channels.
    fn back_to(&mut self, x: NodeId) {
        let channels = self.graph.node(x).channels;
        if self.channels() != channels {
            let mix =
                Conv { out: channels, kernel_size: 1, dilation: 1, left: 0, grouped: false, bias: false, zero: (0, 0) };
            self.conv(&mix, 1);
        }
        if self.graph.node(self.at).rate == self.graph.node(x).rate && self.at != x {
            self.push(Op::Add, &[x, self.at]);
        }
    }

    fn branch(&mut self, x: NodeId, conv: &Conv) -> NodeId {
        self.at = x;
        self.conv(conv, 1);
        self.at
    }

    /// A dense convolution over all channels, as every mixing of branches is followed by in practice.
    fn mix(&mut self) {
        let mix = Conv {
            out: self.channels(),
            kernel_size: 1,
            dilation: 1,
            left: 0,
            grouped: false,
            bias: true,
            zero: (0, 0),
        };
        self.conv(&mix, 1);
    }

    fn strided(&mut self, conv: &Conv, stride: usize) {
        if self.down * stride <= MOST {
            self.down *= stride;
            self.conv(conv, stride);
        }
    }

    /// As `strided`, on a way back to the rate it came from.
    fn strided_by(&mut self, conv: &Conv, stride: usize) {
        self.conv(conv, stride);
    }

    fn conv(&mut self, conv: &Conv, stride: usize) {
        let inputs = self.channels();
        let groups = if conv.grouped && inputs > 1 { inputs } else { 1 };
        let out = conv.out.next_multiple_of(groups);
        let span = (conv.kernel_size - 1) * conv.dilation;
        let mut weight = self.weight(vec![out, inputs / groups, conv.kernel_size], 1.5);
        let (first, last) = (conv.zero.0, conv.kernel_size - conv.zero.1);
        for (i, w) in Arc::make_mut(&mut weight).data_mut().iter_mut().enumerate() {
            if !(first..last).contains(&(i % conv.kernel_size)) {
                *w = 0.0;
            }
        }
        let bias = conv.bias.then(|| self.vector(out, -0.5, 0.5));
        let left_padding = if conv.left > 8 { span + conv.left } else { span * conv.left / 8 } as i64;
        let conv = Conv1d { weight, bias, stride, dilation: conv.dilation, left_padding, groups };
        self.push(Op::Conv1d(conv), &[self.at]);
    }

    fn transposed(&mut self, out: usize, stride: usize, extra: usize, trim: usize, grouped: bool, bias: bool) {
        if self.up * stride > MOST {
            return;
        }
        self.up *= stride;
        let inputs = self.channels();
        let groups = if grouped && inputs > 1 { inputs } else { 1 };
        let out = out.next_multiple_of(groups);
        let kernel_size = stride + extra;
        let weight = self.weight(vec![inputs, out / groups, kernel_size], 1.5);
        let bias = bias.then(|| self.vector(out, -0.5, 0.5));
        let conv = ConvTranspose1d { weight, bias, stride, left_trim: trim.min(kernel_size - 1), groups };
        self.push(Op::ConvTranspose1d(conv), &[self.at]);
    }

    fn push(&mut self, op: Op, inputs: &[NodeId]) {
        let name = format!("{}.{}", self.graph.nodes().len(), op.name());
        self.at = self.graph.push(name, op, inputs).expect("a generated layer fits");
    }

    fn channels(&self) -> usize {
        self.graph.node(self.at).channels
    }

    /// Weights that keep a signal's level, none of them near zero.
    fn weight(&mut self, shape: Vec<usize>, gain: f32) -> Weight {
        let len: usize = shape.iter().product();
        let level = gain / (len as f32 / shape[0] as f32).sqrt();
        let mut draw = || {
            let u = self.random.uniform();
            (u + 0.2 * u.signum()) * level
        };
        Arc::new(Tensor::new(shape, (0..len).map(|_| draw()).collect()))
    }

    fn vector(&mut self, len: usize, low: f32, high: f32) -> Weight {
        let values = (0..len).map(|_| low + (self.random.uniform() + 1.0) / 2.0 * (high - low)).collect();
        Arc::new(Tensor::new([len], values))
    }
}

/// xorshift64*, enough for weights.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    }
}
