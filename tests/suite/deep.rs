//! A model deep enough that its convolutions are split and its work is sliced: what generated graphs are too small for.

use std::sync::Arc;

use runnel::graph::{Conv1d, ConvTranspose1d, Op, Pointwise};
use runnel::random::Randomness;
use runnel::rewrite::rewrite_graph;
use runnel::{Graph, InstructionSet, Plan, PlanOptions, Tensor};

use crate::streams::{embedded, stream};

const FRAMES: usize = 2500;

#[test]
fn a_deep_model_streams_with_every_slack_and_instruction_set() {
    let graph = deep();
    let streamed = rewrite_graph(&graph).unwrap();
    let input: Vec<f32> = (0..FRAMES).map(|i| ((i * i) as f32 * 1e-3).sin() * 0.4).collect();
    let (left, right) = streamed.edge_samples();
    let silence = ((left.max(right) + streamed.latency_samples()) as usize + 5000).next_multiple_of(128);
    let offline = embedded(&graph, &input, 1, silence, silence, Randomness::Deterministic);
    let scale = offline.data.iter().fold(1.0f32, |m, v| m.max(v.abs()));
    let mixed = [1, 7, 64, 441, 500, 237].repeat(2);
    assert_eq!(mixed.iter().sum::<usize>(), FRAMES);
    for set in InstructionSet::available() {
        let mut earliest: Option<Vec<u32>> = None;
        for slack_samples in [0, 1, 40, 64, 200, 4096] {
            let options = PlanOptions { slack_samples, instruction_set: Some(set), ..PlanOptions::default() };
            let plan = Plan::with(&streamed, &options).unwrap();
            for blocks in [&vec![FRAMES], &vec![1; FRAMES], &mixed] {
                let place = format!("{set}, slack {slack_samples}, {} blocks", blocks.len());
                let (first, output) = stream(&plan, &input, 1, blocks, Randomness::Deterministic);
                for (i, y) in output[0].iter().enumerate() {
                    let expected = offline.row(0)[(first + i as i64 - offline.first) as usize];
                    assert!((y - expected).abs() <= 2e-5 * scale, "{place}, frame {i}: {y}, offline {expected}");
                }
                let bits: Vec<u32> = output[0].iter().skip(slack_samples as usize).map(|v| v.to_bits()).collect();
                let earliest = earliest.get_or_insert_with(|| bits.clone());
                assert!(bits.iter().zip(earliest).all(|(a, b)| a == b), "{place}: other bits");
            }
        }
    }
}

/// Down by 64 through wide layers, a residual branch with a gate beside it, and up again.
fn deep() -> Graph {
    let mut graph = Graph::new(1);
    let weight = |shape: [usize; 3], inputs: usize| {
        let scale = 1.7 / (inputs as f32).sqrt();
        let value = |i: usize| (((i * 7919 + 31) % 1013) as f32 / 506.0 - 1.0) * scale;
        Arc::new(Tensor::new(shape, (0..shape.iter().product()).map(value).collect()))
    };
    let bias = |len: usize| Some(Arc::new(Tensor::new([len], (0..len).map(|i| (i as f32).sin() * 0.05).collect())));
    let conv = |from: usize, to: usize, kernel_size: usize, stride, dilation| {
        Op::Conv1d(Conv1d {
            weight: weight([to, from, kernel_size], from * kernel_size),
            bias: bias(to),
            stride,
            dilation,
            left_padding: (kernel_size / 2 * dilation) as i64,
            groups: 1,
        })
    };
    let up = |from: usize, to: usize, stride: usize| {
        let weight = weight([from, to, 2 * stride], 2 * from);
        Op::ConvTranspose1d(ConvTranspose1d { weight, bias: bias(to), stride, left_trim: stride / 2, groups: 1 })
    };
    let mut push = |name: &str, op, inputs: &[usize]| graph.push(name, op, inputs).expect("it fits");
    let a = push("down.0", conv(1, 32, 17, 8, 1), &[0]);
    let b = push("down.1", conv(32, 160, 9, 4, 1), &[a]);
    let c = push("down.2", conv(160, 256, 4, 2, 1), &[b]);
    let d = push("branch.0", Op::Pointwise(Pointwise::LeakyRelu { slope: 0.2 }), &[c]);
    let e = push("branch.1", conv(256, 256, 3, 1, 3), &[d]);
    let f = push("branch.2", Op::Pointwise(Pointwise::Tanh), &[e]);
    let g = push("branch.3", conv(256, 256, 1, 1, 1), &[f]);
    let h = push("branch", Op::Add, &[c, g]);
    let gate = push("gate", conv(256, 256, 3, 1, 1), &[c]);
    let gate = push("gate.sigmoid", Op::Pointwise(Pointwise::Sigmoid), &[gate]);
    let i = push("gated", Op::Mul, &[h, gate]);
    let j = push("up.0", up(256, 160, 2), &[i]);
    let k = push("up.1", up(160, 32, 4), &[j]);
    push("up.2", up(32, 1, 8), &[k]);
    graph
}
