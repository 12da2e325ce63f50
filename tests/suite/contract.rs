//! Equality, any partition, least latency, no failure in audio (design.md §1), over generated graphs.

use proptest::prelude::*;
use runnel::graph::Op;
use runnel::random::Randomness;
use runnel::rewrite::rewrite_graph;
use runnel::{Graph, Plan, StreamGraph};

use crate::dependence::last_input;
use crate::strategy;
use crate::streams::{embedded, stream};

const FRAMES: usize = 300;

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// The stream's frames, from the first to the last, are the offline model's on the signal embedded in silence.
    #[test]
    fn the_stream_is_the_offline_model(graph in strategy::graph(), seed in any::<u64>(), random in any::<bool>(), blocks in strategy::partition(FRAMES)) {
        let randomness = if random { Randomness::Seeded(seed) } else { Randomness::Deterministic };
        let channels = graph.input().channels;
        let input = strategy::signal(channels, FRAMES, seed);
        let streamed = rewrite_graph(&graph).unwrap();
        let plan = Plan::new(&streamed).unwrap();
        let (first, output) = stream(&plan, &input, channels, &blocks, randomness);

        let silence = silence_frames(&graph, &streamed);
        let offline = embedded(&graph, &input, channels, silence, silence, randomness);
        let scale = offline.data.iter().fold(1.0f32, |m, v| m.max(v.abs()));
        for (c, row) in output.iter().enumerate() {
            for (i, y) in row.iter().enumerate() {
                let expected = offline.row(c)[(first + i as i64 - offline.first) as usize];
                prop_assert!((y - expected).abs() <= 2e-5 * scale, "channel {c} frame {}: {y}, offline {expected}\n{graph}", first + i as i64);
            }
        }
    }

    /// Any two partitions give the same bits.
    #[test]
    fn any_partition_gives_the_same_bits(graph in strategy::graph(), seed in any::<u64>(), blocks in strategy::partition(FRAMES)) {
        let channels = graph.input().channels;
        let input = strategy::signal(channels, FRAMES, seed);
        let plan = Plan::new(&rewrite_graph(&graph).unwrap()).unwrap();
        let whole = stream(&plan, &input, channels, &[FRAMES], Randomness::Seeded(seed));
        let cut = stream(&plan, &input, channels, &blocks, Randomness::Seeded(seed));
        prop_assert_eq!(bits(&whole.1), bits(&cut.1));
    }

    /// The latency is what the offline graph's dependences need, and not a tick more.
    #[test]
    fn the_latency_is_the_least(graph in strategy::graph()) {
        let streamed = rewrite_graph(&graph).unwrap();
        let hop = streamed.hop_frames();
        let half = (silence_frames(&graph, &streamed) as i64).next_multiple_of(hop) + 2 * hop;
        let (first, last) = last_input(&graph, half);
        let (step_in, step_out) = (streamed.input().timeline.step, streamed.output().timeline.step);
        let frames = hop * step_in / step_out;
        // Frames of one hop in the middle; behind a recurrent node only frames from 0 on depend on anything.
        let least = (0..frames).filter_map(|n| {
            let depends = last[(n - first) as usize];
            (depends != i64::MIN).then(|| depends * step_in - n * step_out)
        }).max();
        prop_assert_eq!(streamed.latency_ticks(), least.unwrap_or(0).max(0), "{}", graph);
    }

    /// After `reset`, and in a second engine of the same plan, the bits are those of a fresh engine.
    #[test]
    fn reset_and_instances_are_fresh(graph in strategy::graph(), seed in any::<u64>()) {
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

    /// The way back from a stream to an offline graph keeps every signal.
    #[test]
    fn the_lifted_graph_is_the_same_model(graph in strategy::graph(), seed in any::<u64>()) {
        let channels = graph.input().channels;
        let input = strategy::signal(channels, 64, seed);
        let streamed = rewrite_graph(&graph).unwrap();
        let lifted = streamed.offline().unwrap();
        let silence = 4 * streamed.hop_frames() as usize;
        let a = embedded(&graph, &input, channels, silence, silence, Randomness::Seeded(seed));
        let b = embedded(&lifted, &input, channels, silence, silence, Randomness::Seeded(seed));
        let scale = a.data.iter().fold(1.0f32, |m, v| m.max(v.abs()));
        for (x, y) in a.data.iter().zip(&b.data) {
            prop_assert!((x - y).abs() <= 2e-5 * scale, "{x} {y}\n{graph}");
        }
    }
}

/// Frames of silence that hold the receptive field on either side, a multiple of every signal's period.
fn silence_frames(graph: &Graph, streamed: &StreamGraph) -> usize {
    let reach = streamed.nodes().iter().map(|n| n.timeline.past().max(n.timeline.lag())).max().unwrap_or(0);
    let frames = (reach / streamed.input().timeline.step + 2 * streamed.hop_frames()) as usize;
    let unit = 2 * streamed.hop_frames() as usize;
    assert!(graph.nodes().iter().all(|n| !matches!(n.op, Op::AlternateSign)) || unit % 2 == 0);
    frames.next_multiple_of(unit)
}

fn bits(signal: &[Vec<f32>]) -> Vec<Vec<u32>> {
    signal.iter().map(|c| c.iter().map(|v| v.to_bits()).collect()).collect()
}
