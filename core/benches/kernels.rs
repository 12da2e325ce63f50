//! Kernels by shape, through the public API: a stream of one node, planned, and called with as many frames as a hop
//! gives it.
//!
//! ```text
//! cargo bench -p runnel -- --save-baseline before
//! cargo bench -p runnel -- --baseline before
//! ```

use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use runnel::graph::Pointwise;
use runnel::stream::{CachedConv, ConvKind, StreamOp};
use runnel::{Engine, Plan, Randomness, StreamGraph, Tensor, Weight};

/// A convolution of a model, and the frames of it that one call computes.
struct Shape {
    name: &'static str,
    kind: ConvKind,
    inputs: usize,
    outputs: usize,
    kernel_size: usize,
    dilation: usize,
    groups: usize,
    /// Input frames per call.
    frames: &'static [usize],
}

const STRIDED: ConvKind = ConvKind::Strided { stride: 1 };

const fn shape(name: &'static str, channels: [usize; 2], taps: [usize; 2], frames: &'static [usize]) -> Shape {
    let ([inputs, outputs], [kernel_size, dilation]) = (channels, taps);
    Shape { name, kind: STRIDED, inputs, outputs, kernel_size, dilation, groups: 1, frames }
}

/// Those of RAVE v2 and of a dilated TCN, with the frames that 16, 64 or 2048 samples give them, and some that are thin.
const SHAPES: &[Shape] = &[
    shape("rave/in 128→1024 k7", [128, 1024], [7, 1], &[1]),
    Shape {
        kind: ConvKind::Transposed { stride: 4 }, ..shape("rave/up 1024→512 k8 s4", [1024, 512], [8, 1], &[1, 2])
    },
    shape("rave/res 512 k3 d1", [512, 512], [3, 1], &[1, 4]),
    shape("rave/res 512 k3 d9", [512, 512], [3, 9], &[1, 4]),
    Shape { kind: ConvKind::Transposed { stride: 4 }, ..shape("rave/up 512→256 k8 s4", [512, 256], [8, 1], &[1, 4]) },
    shape("rave/res 256 k3 d3", [256, 256], [3, 3], &[1, 16]),
    shape("rave/res 128 k3 d3", [128, 128], [3, 3], &[1, 64]),
    shape("rave/res 64 k3 d3", [64, 64], [3, 3], &[1, 4, 128]),
    Shape { kind: ConvKind::Strided { stride: 4 }, ..shape("rave/down 64→128 k8 s4", [64, 128], [8, 1], &[4, 128]) },
    shape("rave/out 64→32 k7", [64, 32], [7, 1], &[1, 128]),
    shape("pointwise 512", [512, 512], [1, 1], &[1, 4]),
    shape("tcn/32 k13 d1", [32, 32], [13, 1], &[16, 64]),
    shape("tcn/32 k13 d10", [32, 32], [13, 10], &[16, 64]),
    shape("wavenet/16 k3 d512", [16, 16], [3, 512], &[16, 64]),
    Shape { groups: 64, ..shape("depthwise 64 k3", [64, 64], [3, 1], &[1, 128]) },
    Shape { groups: 4, ..shape("grouped 64 g4 k3", [64, 64], [3, 1], &[1, 128]) },
    Shape { kind: ConvKind::Strided { stride: 16 }, ..shape("pqmf/1→16 k513", [1, 16], [513, 1], &[16, 2048]) },
];

fn convolutions(criterion: &mut Criterion) {
    for shape in SHAPES {
        let mut group = criterion.benchmark_group(shape.name);
        for &frames in shape.frames {
            let mut caller = Caller::new(shape.op(), shape.inputs, shape.outputs, frames);
            group.throughput(Throughput::Elements((shape.macs_per_input_frame() * frames as f64) as u64));
            group.bench_function(BenchmarkId::from_parameter(frames), |bencher| bencher.iter(|| caller.call()));
        }
        group.finish();
    }
}

fn functions(criterion: &mut Criterion) {
    const CHANNELS: usize = 64;
    const FRAMES: usize = 64;
    let alpha = || weight(&[CHANNELS]);
    let functions = [
        ("leaky_relu", StreamOp::Pointwise(Pointwise::LeakyRelu { slope: 0.2 })),
        ("tanh", StreamOp::Pointwise(Pointwise::Tanh)),
        ("sigmoid", StreamOp::Pointwise(Pointwise::Sigmoid)),
        ("softplus", StreamOp::Pointwise(Pointwise::Softplus)),
        ("snake", StreamOp::Snake { alpha: alpha() }),
    ];
    let mut group = criterion.benchmark_group("functions");
    group.throughput(Throughput::Elements((CHANNELS * FRAMES) as u64));
    for (name, op) in functions {
        let mut caller = Caller::new(op, CHANNELS, CHANNELS, FRAMES);
        group.bench_function(name, |bencher| bencher.iter(|| caller.call()));
    }
    group.finish();
}

impl Shape {
    fn op(&self) -> StreamOp {
        let weight_shape = match self.kind {
            ConvKind::Transposed { .. } => [self.inputs, self.outputs / self.groups, self.kernel_size],
            _ => [self.outputs, self.inputs / self.groups, self.kernel_size],
        };
        let left = match self.kind {
            ConvKind::Transposed { .. } => 0,
            _ => ((self.kernel_size - 1) * self.dilation) as i64,
        };
        StreamOp::Conv(CachedConv {
            kind: self.kind,
            weight: weight(&weight_shape),
            bias: Some(weight(&[self.outputs])),
            dilation: self.dilation,
            left,
            groups: self.groups,
        })
    }

    fn macs_per_input_frame(&self) -> f64 {
        let of_weight = self.inputs * self.outputs / self.groups * self.kernel_size;
        match self.kind {
            ConvKind::Strided { stride } => of_weight as f64 / stride as f64,
            _ => of_weight as f64,
        }
    }
}

/// An engine of one node, and what it is called with. The copies in and out of it are part of what is measured.
struct Caller {
    engine: Engine,
    input: Vec<Vec<f32>>,
    output: Vec<Vec<f32>>,
}

impl Caller {
    fn new(op: StreamOp, inputs: usize, outputs: usize, frames: usize) -> Self {
        let nodes =
            vec![("input".to_owned(), StreamOp::Input { channels: inputs }, vec![]), ("node".to_owned(), op, vec![0])];
        let stream = StreamGraph::new(nodes).expect("a stream of one node");
        let engine = Engine::new(Plan::new(&stream).expect("a plan"), Randomness::Deterministic);
        let due = engine.frames_out(frames).max(frames);
        Self { input: vec![vec![0.25; frames]; inputs], output: vec![vec![0.0; due]; outputs], engine }
    }

    fn call(&mut self) {
        let input: Vec<_> = self.input.iter().map(Vec::as_slice).collect();
        let mut output: Vec<_> = self.output.iter_mut().map(Vec::as_mut_slice).collect();
        self.engine.process(&input, &mut output);
    }
}

fn weight(shape: &[usize]) -> Weight {
    let len = shape.iter().product();
    let value = |i: usize| ((i * 7919 % 1009) as f32 / 1009.0 - 0.5) * 0.1;
    Arc::new(Tensor::new(shape, (0..len).map(value).collect()))
}

criterion_group! {
    name = kernels;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = convolutions, functions
}
criterion_main!(kernels);
