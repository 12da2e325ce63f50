//! What a timetable promises, on a model with a deep bottom.

use std::sync::Arc;

use super::{Plan, PlanError, PlanOptions, Step, cost::Cost, kernels, step, window};
use crate::graph::{Conv1d, ConvTranspose1d, Graph, Op, Pointwise};
use crate::kernels::{InstructionSet, Isa, Kernel};
use crate::rewrite::rewrite_graph;
use crate::stream::StreamGraph;
use crate::tensor::Tensor;

/// Down by 256 through wide layers, a residual pair, and up again; heavy enough to be split.
fn deep() -> StreamGraph {
    let mut graph = Graph::new(1);
    let weight = |shape: [usize; 3]| {
        let len = shape.iter().product::<usize>();
        Arc::new(Tensor::new(shape, (0..len).map(|i| ((i * 7919 % 101) as f32 - 50.0) / 5000.0).collect()))
    };
    let conv = |from, to, kernel_size, stride, dilation| {
        let left_padding = (kernel_size / 2 * dilation) as i64;
        Op::Conv1d(Conv1d {
            weight: weight([to, from, kernel_size]),
            bias: None,
            stride,
            dilation,
            left_padding,
            groups: 1,
        })
    };
    let up = |from, to, stride| {
        let (weight, left_trim) = (weight([from, to, 2 * stride]), stride / 2);
        Op::ConvTranspose1d(ConvTranspose1d { weight, bias: None, stride, left_trim, groups: 1 })
    };
    let relu = || Op::Pointwise(Pointwise::LeakyRelu { slope: 0.2 });
    let mut push = |name: &str, op, input: &[usize]| graph.push(name, op, input).expect("it fits");
    let a = push("down.0", conv(1, 32, 33, 16, 1), &[0]);
    let b = push("down.1", conv(32, 256, 9, 4, 1), &[a]);
    let c = push("down.2", conv(256, 384, 8, 4, 1), &[b]);
    let d = push("branch.0", relu(), &[c]);
    let e = push("branch.1", conv(384, 384, 3, 1, 3), &[d]);
    let f = push("branch.2", relu(), &[e]);
    let g = push("branch.3", conv(384, 384, 1, 1, 1), &[f]);
    let h = push("branch", Op::Add, &[c, g]);
    let i = push("up.0", up(384, 256, 4), &[h]);
    let j = push("up.1", up(256, 32, 4), &[i]);
    push("up.2", up(32, 1, 16), &[j]);
    rewrite_graph(&graph).expect("it streams")
}

fn forecast(slack_samples: u64) -> super::Forecast {
    let options = PlanOptions { slack_samples, ..PlanOptions::default() };
    Plan::with(&deep(), &options).expect("it fits").forecast().clone()
}

#[test]
fn heavy_convolutions_are_split_and_functions_join_them() {
    let steps = step::steps(&deep(), &PlanOptions::default());
    let names: Vec<_> = steps.iter().map(|s| (s.name.as_str(), s.op_name())).collect();
    assert!(names.contains(&("branch.1", "conv, older taps")) && names.contains(&("branch.1", "conv, newest tap")));
    assert!(names.contains(&("branch.3", "conv")), "one tap cannot be split: {names:?}");
    assert!(!names.iter().any(|(name, _)| ["branch.2", "branch"].contains(name)), "fused: {names:?}");
}

#[test]
fn no_batch_is_due_before_it_can_be_done() {
    let stream = deep();
    let steps = step::steps(&stream, &PlanOptions::default());
    let kernels = kernels(&steps, stream.hop_ticks(), Isa::best());
    let total = kernels.iter().map(Kernel::weight_bytes).sum();
    let cost =
        |(step, kernel): (&Step, &Kernel)| Cost::new(step, kernel.weight_bytes(), total, &[], stream.hop_ticks());
    let costs: Vec<_> = steps.iter().zip(&kernels).map(cost).collect();
    for slack in [0, 1, 100, 256, 1024] {
        let latency = stream.latency_ticks() + slack;
        let batches = window::batches(&steps, &costs, 1024, 1024, latency, slack);
        // Everything done at its deadline, in the order of the steps: what is read must be there.
        for (id, step) in steps.iter().enumerate().skip(1) {
            let frames = 1024 / step.ticks;
            let covered: i64 = batches[id].iter().map(|b| b.end - b.start).sum();
            assert_eq!(covered, frames, "{}", step.name);
            for batch in &batches[id] {
                for input in &step.inputs {
                    let newest = input.reads.required(batch.end) - 1;
                    let there = if input.step == 0 {
                        newest * steps[0].ticks
                    } else {
                        let (own, frames) = (&batches[input.step], 1024 / steps[input.step].ticks);
                        let of = |b: &window::Batch| {
                            let rounds = (newest - b.start).div_euclid(frames);
                            (newest - rounds * frames < b.end).then_some(b.deadline + rounds * 1024)
                        };
                        own.iter().find_map(of).expect("every frame is in a batch")
                    };
                    assert!(there <= batch.deadline, "{} waits for {}", step.name, steps[input.step].name);
                }
            }
        }
    }
}

#[test]
fn slack_levels_the_load() {
    let peaks: Vec<_> = [0, 64, 256].map(|slack| forecast(slack).peak_over_mean(64)).into();
    assert!(peaks[0] > peaks[1] && peaks[1] > peaks[2], "{peaks:?}");
    assert!(peaks[2] < 1.5, "a hop of slack makes it level: {peaks:?}");
}

#[test]
fn more_than_a_hop_of_slack_saves_reads_of_the_weights() {
    let per_sample = |slack| {
        let forecast = forecast(slack);
        forecast.mean_us() / forecast.tick_samples as f32
    };
    assert!(per_sample(2048) < 0.9 * per_sample(256));
}

#[test]
fn what_cannot_be_planned_is_said() {
    let too_much = PlanOptions { slack_samples: 1 << 40, ..PlanOptions::default() };
    assert!(matches!(Plan::with(&deep(), &too_much), Err(PlanError::TooSlack { .. })));
    let other = if cfg!(target_arch = "aarch64") { InstructionSet::Avx2 } else { InstructionSet::Neon };
    let unavailable = PlanOptions { slack_samples: 0, instruction_set: Some(other), ..PlanOptions::default() };
    let refused = Plan::with(&deep(), &unavailable).expect_err("another machine's").to_string();
    assert!(refused.contains(&other.to_string()), "{refused}");
}
