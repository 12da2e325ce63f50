//! Equality, any partition, least latency, no failure in audio (design.md §1), over generated graphs.

use proptest::prelude::*;
use runnel::random::Randomness;
use runnel::rewrite::rewrite_graph;
use runnel::{InstructionSet, Plan, PlanOptions, StreamGraph};
use runnel_offline::{Backend, Offline, Signal};

use crate::dependence::last_input;
use crate::judge::follows;
use crate::strategy;
use crate::streams::{embedded, stream};

const FRAMES: usize = 300;

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// The stream's frames, from the first to the last, are the offline model's on the signal embedded in silence.
    #[test]
    fn the_stream_is_the_offline_model(strategy::Case(graph) in strategy::graph(), seed in any::<u64>(), random in any::<bool>(), slack in strategy::slack(), blocks in strategy::partition(FRAMES)) {
        let randomness = if random { Randomness::Seeded(seed) } else { Randomness::Deterministic };
        let channels = graph.input().channels;
        let input = strategy::signal(channels, FRAMES, seed);
        let streamed = rewrite_graph(&graph).unwrap();
        let plan = Plan::with(&streamed, &PlanOptions { slack_samples: slack, ..PlanOptions::default() }).unwrap();
        prop_assert_eq!(plan.latency_samples(), streamed.latency_samples() + slack);
        let (first, output) = stream(&plan, &input, channels, &blocks, randomness);

        let silence = silence_frames(&streamed, slack);
        follows(&output, first, &embedded(&graph, &input, channels, silence, silence, randomness))?;
    }

    /// Any two partitions give the same bits, and so does any slack, later.
    #[test]
    fn any_partition_gives_the_same_bits(strategy::Case(graph) in strategy::graph(), seed in any::<u64>(), block_samples in 0..3000usize, slack in strategy::slack(), set in prop::sample::select(InstructionSet::available()), blocks in strategy::partition(FRAMES)) {
        let channels = graph.input().channels;
        let input = strategy::signal(channels, FRAMES, seed);
        let streamed = rewrite_graph(&graph).unwrap();
        let instruction_set = Some(set);
        let plan = Plan::with(&streamed, &PlanOptions { instruction_set, ..PlanOptions::default() }).unwrap();
        let whole = stream(&plan, &input, channels, &[FRAMES], Randomness::Seeded(seed));
        let cut = stream(&plan, &input, channels, &blocks, Randomness::Seeded(seed));
        prop_assert_eq!(bits(&whole.1), bits(&cut.1));
        let plan = Plan::with(&streamed, &PlanOptions { block_samples, instruction_set, ..PlanOptions::default() }).unwrap();
        for blocks in [&blocks[..], &[FRAMES]] {
            let together = stream(&plan, &input, channels, blocks, Randomness::Seeded(seed));
            prop_assert_eq!(bits(&whole.1), bits(&together.1));
        }
        let plan = Plan::with(&streamed, &PlanOptions { slack_samples: slack, instruction_set, ..PlanOptions::default() }).unwrap();
        let late = stream(&plan, &input, channels, &blocks, Randomness::Seeded(seed));
        let plan = Plan::with(&streamed, &PlanOptions { every_node: true, instruction_set, ..PlanOptions::default() }).unwrap();
        let unfused = stream(&plan, &input, channels, &blocks, Randomness::Seeded(seed));
        prop_assert_eq!(bits(&whole.1), bits(&unfused.1));
        let from = (whole.0 - late.0) as usize;
        for (whole, late) in bits(&whole.1).iter().zip(bits(&late.1)) {
            let (whole, late) = (whole.iter(), late.iter().skip(from));
            prop_assert!(whole.zip(late).all(|(a, b)| a == b));
        }
    }

    /// The latency is what the offline graph's dependences need, and not a tick more.
    #[test]
    fn the_latency_is_the_least(strategy::Case(graph) in strategy::graph()) {
        let streamed = rewrite_graph(&graph).unwrap();
        // One hop in the middle: recurrent nodes start at frame 0, and the ends miss what lies outside the input.
        let start = silence_frames(&streamed, 0) as i64;
        let (first, last) = last_input(&graph, 2 * start + streamed.hop_frames());
        let (step_in, step_out) = (streamed.input().timeline.step, streamed.output().timeline.step);
        let hop = start * step_in / step_out..(start + streamed.hop_frames()) * step_in / step_out;
        let least = hop.filter_map(|n| {
            let depends = last[(n - first) as usize];
            (depends != i64::MIN).then(|| depends * step_in - n * step_out)
        }).max();
        prop_assert_eq!(streamed.latency_ticks(), least.unwrap_or(0).max(0));
    }

    /// After `reset`, and in a second engine of the same plan, the bits are those of a fresh engine.
    #[test]
    fn reset_and_instances_are_fresh(strategy::Case(graph) in strategy::graph(), seed in any::<u64>()) {
        let channels = graph.input().channels;
        let input = strategy::signal(channels, FRAMES, seed);
        let plan = Plan::new(&rewrite_graph(&graph).unwrap()).unwrap();
        let fresh = stream(&plan, &input, channels, &[FRAMES], Randomness::Seeded(seed));
        let mut used = runnel::Engine::new(plan.clone(), Randomness::Seeded(seed));
        let slices: Vec<&[f32]> = (0..channels).map(|c| &input[c * FRAMES..][..FRAMES]).collect();
        let run = |engine: &mut runnel::Engine| {
            let mut output = vec![vec![0.0; engine.frames_out(FRAMES)]; plan.output_channels()];
            engine.process(&slices, &mut output.iter_mut().map(|c| &mut c[..]).collect::<Vec<_>>());
            output
        };
        run(&mut used);
        used.reset();
        prop_assert_eq!(bits(&run(&mut used)), bits(&fresh.1));
    }

    /// What is not a number leaves the stream within one receptive field after it left the input, or a recurrent state
    /// is reset.
    #[test]
    fn nan_does_not_stay(strategy::Case(graph) in strategy::graph(), seed in any::<u64>(), slack in strategy::slack(), blocks in strategy::partition(FRAMES)) {
        let channels = graph.input().channels;
        let streamed = rewrite_graph(&graph).unwrap();
        let (Some(past), _) = streamed.receptive_field_samples() else { return Ok(()) };
        let input = strategy::signal(channels, FRAMES, seed);
        let mut hurt = input.clone();
        (0..channels).for_each(|c| hurt[c * FRAMES + 20..][..10].fill(f32::NAN));
        let plan = Plan::with(&streamed, &PlanOptions { slack_samples: slack, ..PlanOptions::default() }).unwrap();
        let (first, clean) = stream(&plan, &input, channels, &blocks, Randomness::Seeded(seed));
        let (_, hurt) = stream(&plan, &hurt, channels, &blocks, Randomness::Seeded(seed));
        let (step_in, step_out) = (streamed.input().timeline.step, streamed.output().timeline.step);
        let past_ticks = past as i64 * streamed.ticks_per_sample();
        let clear = (30 * step_in + past_ticks).div_euclid(step_out) + 1 - first;
        for (clean, hurt) in bits(&clean).iter().zip(bits(&hurt)) {
            prop_assert!(clean.iter().zip(&hurt).skip(clear.max(0) as usize).all(|(a, b)| a == b));
        }
    }

    /// Two implementations of every operation agree on what the offline model is.
    #[test]
    fn the_two_oracles_agree(strategy::Case(graph) in strategy::graph(), seed in any::<u64>()) {
        let input = Signal::new(graph.input().channels, strategy::signal(graph.input().channels, 48, seed));
        let run = |backend| Offline::new(&graph, backend).run(&input, Randomness::Seeded(seed));
        let (a, b) = (run(Backend::Flex), run(Backend::NdArray));
        let scale = a.data.iter().fold(1.0f32, |m, v| m.max(v.abs()));
        for (x, y) in a.data.iter().zip(&b.data) {
            prop_assert!((x - y).abs() <= 1e-5 * scale, "{x} {y}");
        }
    }

    /// The way back from a stream to an offline graph keeps every signal.
    #[test]
    fn the_lifted_graph_is_the_same_model(strategy::Case(graph) in strategy::graph(), seed in any::<u64>()) {
        let channels = graph.input().channels;
        let input = strategy::signal(channels, 64, seed);
        let streamed = rewrite_graph(&graph).unwrap();
        let lifted = streamed.offline().unwrap();
        let silence = 4 * streamed.hop_frames() as usize;
        let a = embedded(&graph, &input, channels, silence, silence, Randomness::Seeded(seed));
        let b = embedded(&lifted, &input, channels, silence, silence, Randomness::Seeded(seed));
        let scale = a.data.iter().fold(1.0f32, |m, v| m.max(v.abs()));
        for (x, y) in a.data.iter().zip(&b.data) {
            prop_assert!((x - y).abs() <= 2e-5 * scale, "{x} {y}");
        }
    }
}

/// Frames of silence on either side of which no layer's zero padding reaches the stream's output, a multiple of every
/// signal's period.
pub(crate) fn silence_frames(streamed: &StreamGraph, slack: u64) -> usize {
    let (left, right) = streamed.edge_samples();
    let samples = left.max(right) + streamed.latency_samples() + slack;
    let frames = samples as i64 * streamed.ticks_per_sample() / streamed.input().timeline.step + 1;
    (frames as usize).next_multiple_of(2 * streamed.hop_frames() as usize)
}

fn bits(signal: &[Vec<f32>]) -> Vec<Vec<u32>> {
    signal.iter().map(|c| c.iter().map(|v| v.to_bits()).collect()).collect()
}
