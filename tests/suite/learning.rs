//! Nodes that learn: what they learn is defined by the frames that they meet, and by nothing else.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use proptest::prelude::*;
use runnel::engine::RestoreError;
use runnel::graph::{Op, Statistics};
use runnel::import::{self, Options};
use runnel::rewrite::rewrite_graph;
use runnel::stream::StreamOp;
use runnel::{Engine, Graph, InstructionSet, Learned, Learning, Plan, PlanOptions, Randomness, StreamGraph};
use runnel_offline::{Backend, Offline, Signal};

use crate::strategy;

const FRAMES: usize = 400;

/// What a player asks for.
#[derive(Clone, Copy, Debug)]
enum Move {
    Learn(Learning),
    ForgetSource,
    ForgetTarget,
}

impl Move {
    fn on(self, engine: &mut Engine) {
        match self {
            Self::Learn(learning) => engine.set_learning(learning),
            Self::ForgetSource => engine.forget_source(),
            Self::ForgetTarget => engine.forget_target(),
        }
    }
}

/// Moves and the input frames before which they are made, in order.
fn moves() -> impl Strategy<Value = Vec<(usize, Move)>> {
    let a_move = prop_oneof![
        2 => Just(Move::Learn(Learning::Source)),
        2 => Just(Move::Learn(Learning::Target)),
        2 => Just(Move::Learn(Learning::Off)),
        1 => Just(Move::ForgetSource),
        1 => Just(Move::ForgetTarget),
    ];
    prop::collection::vec((0..FRAMES, a_move), 1..8).prop_map(|mut moves| {
        moves.sort_by_key(|(at, _)| *at);
        moves
    })
}

/// The output of a stream of `input` (`[channels][frames]`), played in these blocks and cut at the moves as well, and
/// what was learned.
fn play(engine: &mut Engine, input: &[f32], blocks: &[usize], moves: &[(usize, Move)]) -> (Vec<u32>, Learned) {
    let channels = engine.plan().input_channels();
    let frames = input.len() / channels;
    let mut output = vec![];
    let mut left = moves;
    let mut at = 0;
    for &block in blocks {
        let end = at + block;
        while at < end {
            while let Some(((_, now), rest)) = left.split_first().filter(|((from, _), _)| *from <= at) {
                now.on(engine);
                left = rest;
            }
            let next = left.first().map_or(end, |(from, _)| end.min(*from));
            let due = engine.frames_out(next - at);
            let mut made = vec![vec![0.0; due]; engine.plan().output_channels()];
            let slices: Vec<&[f32]> = (0..channels).map(|c| &input[c * frames + at..][..next - at]).collect();
            engine.process(&slices, &mut made.iter_mut().map(|c| &mut c[..]).collect::<Vec<_>>());
            output.extend((0..due).flat_map(|t| made.iter().map(move |c| c[t].to_bits()).collect::<Vec<_>>()));
            at = next;
        }
    }
    (output, engine.learned())
}

/// The nodes that learn.
fn learners(streamed: &StreamGraph) -> Vec<usize> {
    let learns = |id: &usize| matches!(streamed.nodes()[*id].op, StreamOp::AdaIn { .. });
    (0..streamed.nodes().len()).filter(learns).collect()
}

/// The end of the frames that node `id` has computed.
fn end(engine: &Engine, id: usize) -> i64 {
    let mut end = i64::MIN;
    engine.visit_frames(id, |n, _| end = n + 1);
    end
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the blocks are, the same frames are learned, and the same bits come out.
    #[test]
    fn any_partition_learns_the_same(
        strategy::Case(graph) in strategy::learner(),
        seed in any::<u64>(),
        slack_samples in strategy::slack(),
        set in prop::sample::select(InstructionSet::available()),
        blocks in strategy::partition(FRAMES),
        moves in moves(),
    ) {
        let input = strategy::signal(graph.input().channels, FRAMES, seed);
        let streamed = rewrite_graph(&graph).unwrap();
        let options = PlanOptions { slack_samples, instruction_set: Some(set), ..PlanOptions::default() };
        let plan = Plan::with(&streamed, &options).unwrap();
        let fresh = || Engine::new(plan.clone(), Randomness::Seeded(seed));
        let whole = play(&mut fresh(), &input, &[FRAMES], &moves);
        let mut used = fresh();
        prop_assert!(play(&mut used, &input, &blocks, &moves) == whole);

        // What was learned is kept by a reset, can be carried to another engine, and can be forgotten.
        used.set_learning(Learning::Off);
        used.reset();
        let learned = used.learned();
        prop_assert_eq!(&learned, &whole.1);
        let mut other = fresh();
        other.restore(&learned).unwrap();
        other.reset();
        let again = play(&mut used, &input, &blocks, &[]);
        prop_assert!(play(&mut other, &input, &blocks, &[]) == again);
        used.forget_source();
        used.forget_target();
        used.reset();
        prop_assert!(used.learned().is_empty());
        let never = play(&mut fresh(), &input, &blocks, &[]);
        prop_assert!(play(&mut used, &input, &blocks, &[]) == never);
    }

    /// Every frame of a node that learns is what the textbook makes of the frames before it.
    #[test]
    fn each_frame_is_its_definition(
        strategy::Case(graph) in strategy::learner(),
        seed in any::<u64>(),
        moves in moves(),
    ) {
        let input = strategy::signal(graph.input().channels, FRAMES, seed);
        let streamed = rewrite_graph(&graph).unwrap();
        let plan = Plan::with(&streamed, &PlanOptions { every_node: true, ..PlanOptions::default() }).unwrap();
        let mut engine = Engine::new(plan, Randomness::Seeded(seed));
        let learners = learners(&streamed);
        // What each node read and made, and from which frame on each move held there.
        let mut read = vec![BTreeMap::new(); learners.len()];
        let mut made = read.clone();
        let mut held: Vec<Vec<(i64, Move)>> = vec![vec![]; learners.len()];
        let mut left = &moves[..];
        for at in 0..FRAMES {
            let now = left.partition_point(|(from, _)| *from <= at);
            for (_, now) in &left[..now] {
                now.on(&mut engine);
                for (&id, held) in learners.iter().zip(&mut held) {
                    held.push((end(&engine, id), *now));
                }
            }
            left = &left[now..];
            let frame: Vec<&[f32]> = input.chunks_exact(FRAMES).map(|c| &c[at..at + 1]).collect();
            let due = engine.frames_out(1);
            let mut output = vec![vec![0.0; due]; engine.plan().output_channels()];
            engine.process(&frame, &mut output.iter_mut().map(|c| &mut c[..]).collect::<Vec<_>>());
            for (i, &id) in learners.iter().enumerate() {
                match streamed.nodes()[id].inputs[0] {
                    0 => drop(read[i].insert(at as i64, frame.iter().map(|c| c[0]).collect())),
                    before => engine.visit_frames(before, |n, x| drop(read[i].insert(n, x.to_vec()))),
                }
                engine.visit_frames(id, |n, y| drop(made[i].insert(n, y.to_vec())));
            }
        }
        for (i, &id) in learners.iter().enumerate() {
            let StreamOp::AdaIn { source, target } = &streamed.nodes()[id].op else { unreachable!() };
            check(&[source, target], &read[i], &made[i], &held[i])?;
        }
    }

    /// What is no number is not learned.
    #[test]
    fn nan_is_not_learned(strategy::Case(graph) in strategy::learner(), seed in any::<u64>(), target in any::<bool>()) {
        let channels = graph.input().channels;
        let mut input = strategy::signal(channels, FRAMES, seed);
        (0..channels).for_each(|c| {
            input[c * FRAMES + 50..][..9].fill(f32::NAN);
            input[c * FRAMES + 90] = f32::INFINITY;
            input[c * FRAMES + 100] = f32::MAX;
        });
        let plan = Plan::new(&rewrite_graph(&graph).unwrap()).unwrap();
        let mut engine = Engine::new(plan, Randomness::Seeded(seed));
        let learning = Move::Learn(if target { Learning::Target } else { Learning::Source });
        let (_, learned) = play(&mut engine, &input, &[FRAMES], &[(0, learning)]);
        for side in learned.nodes.iter().flat_map(|node| [&node.source, &node.target]) {
            prop_assert!(side.mean.iter().chain(&side.squares).all(|v| v.is_finite()), "{side:?}");
        }
    }
}

/// Compares what a node made with the textbook: statistics in two passes over all frames learned since they were last
/// forgotten, what the file holds while those are fewer than two.
fn check(
    file: &[&Option<Statistics>; 2],
    read: &BTreeMap<i64, Vec<f32>>,
    made: &BTreeMap<i64, Vec<f32>>,
    held: &[(i64, Move)],
) -> Result<(), TestCaseError> {
    let mut heard: [Vec<&[f32]>; 2] = [vec![], vec![]];
    let mut learning = Learning::Off;
    let mut held = held.iter().peekable();
    for (&n, x) in read {
        while let Some((_, now)) = held.next_if(|(from, _)| *from <= n) {
            match now {
                Move::Learn(now) => learning = *now,
                Move::ForgetSource => heard[0].clear(),
                Move::ForgetTarget => heard[1].clear(),
            }
        }
        match learning {
            Learning::Source if n >= 0 => heard[0].push(x),
            Learning::Target if n >= 0 => heard[1].push(x),
            _ => {}
        }
        let Some(y) = made.get(&n) else { continue };
        for c in 0..x.len() {
            let known = |side: usize| {
                let frames = &heard[side];
                let from_file = file[side].as_ref().map(|s| [&s.mean, &s.deviation].map(|w| f64::from(w.data()[c])));
                if n < 0 || frames.len() < 2 {
                    return from_file;
                }
                let mean = frames.iter().map(|x| f64::from(x[c])).sum::<f64>() / frames.len() as f64;
                let squares = frames.iter().map(|x| (f64::from(x[c]) - mean).powi(2)).sum::<f64>();
                Some([mean, (squares / (frames.len() - 1) as f64).sqrt()])
            };
            let passes = n >= 0 && learning == Learning::Target;
            match (known(0), known(1)) {
                (Some([mean_x, std_x]), Some([mean_y, std_y])) if !passes => {
                    let gain = std_y / (std_x + 1e-5);
                    let terms = [gain * f64::from(x[c]), mean_y, -gain * mean_x];
                    let (expected, size) = (terms.iter().sum::<f64>(), terms.iter().map(|t| t.abs()).sum::<f64>());
                    let error = (f64::from(y[c]) - expected).abs();
                    prop_assert!(error <= 1e-6 * size + 1e-9, "frame {n}: {}, not {expected}", y[c]);
                }
                _ => prop_assert_eq!(y[c].to_bits(), x[c].to_bits(), "frame {}", n),
            }
        }
    }
    Ok(())
}

/// A trained model learns a target, then a source, then carries over: as the offline model does that learns the same
/// frames.
#[test]
fn a_model_learns_what_the_offline_model_learns() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/rave/v2/v2_0a1b2c3d4e");
    let graph = import::open(&folder, &Options::default()).unwrap().forward;
    for held in [true, false] {
        learns_as_offline(&if held { graph.clone() } else { fresh(&graph) });
    }
}

fn learns_as_offline(graph: &Graph) {
    let streamed = rewrite_graph(graph).unwrap();
    let channels = streamed.input().channels;
    let hop = streamed.hop_frames() as usize;
    let frames = 60 * hop;
    let loudness = |t: usize| if t < 20 * hop { 0.1 } else { 0.6 };
    let input: Vec<f32> = strategy::signal(channels, frames, 5);
    let input: Vec<f32> = input.iter().enumerate().map(|(i, x)| x * loudness(i % frames)).collect();
    let plan = Plan::new(&streamed).unwrap();
    let mut engine = Engine::new(plan, Randomness::Deterministic);
    let first = engine.next_frame();
    let learners = learners(&streamed);
    assert!(!learners.is_empty());
    let moves = [
        (3 * hop, Move::Learn(Learning::Target)),
        (20 * hop, Move::Learn(Learning::Source)),
        (45 * hop + 7, Move::Learn(Learning::Off)),
    ];
    let mut switches: BTreeMap<String, Vec<(i64, Learning)>> = BTreeMap::new();
    let mut output = vec![];
    let mut from = 0;
    for (until, then) in moves.into_iter().chain([(frames, Move::Learn(Learning::Off))]) {
        let part: Vec<f32> = input.chunks_exact(frames).flat_map(|c| &c[from..until]).copied().collect();
        output.extend(play(&mut engine, &part, &[until - from], &[]).0);
        then.on(&mut engine);
        let Move::Learn(learning) = then else { unreachable!() };
        for &id in &learners {
            let name = streamed.nodes()[id].name.clone();
            switches.entry(name).or_default().push((end(&engine, id), learning));
        }
        from = until;
    }
    let lesson = |name: &str, n: i64| {
        let switch = switches[name].iter().rfind(|(from, _)| *from <= n);
        switch.map_or(Learning::Off, |(_, learning)| *learning)
    };
    let (left, right) = streamed.edge_samples();
    let silence = ((left.max(right) + streamed.latency_samples()) as usize + 1).next_multiple_of(2 * hop);
    let signal = Signal::new(channels, input).embed(silence, silence);
    let offline = Offline::new(graph, Backend::Flex).run_learning(&signal, Randomness::Deterministic, &lesson);
    let unlearned = Offline::new(graph, Backend::Flex).run(&signal, Randomness::Deterministic);
    let scale = offline.data.iter().fold(1.0f32, |m, v| m.max(v.abs()));
    let width = engine.plan().output_channels();
    let (mut greatest, mut learned) = (0.0f32, 0.0f32);
    for (i, y) in output.iter().enumerate() {
        let (c, at) = (i % width, (first + (i / width) as i64 - offline.first) as usize);
        greatest = greatest.max((f32::from_bits(*y) - offline.row(c)[at]).abs());
        learned = learned.max((unlearned.row(c)[at] - offline.row(c)[at]).abs());
    }
    assert!(greatest <= 1e-4 * scale, "{greatest} of {scale}");
    assert!(learned >= 0.05 * scale, "learning changes next to nothing: {learned} of {scale}");
}

/// The graph with nothing learned.
fn fresh(graph: &Graph) -> Graph {
    let mut fresh = Graph::new(graph.input().channels);
    for node in &graph.nodes()[1..] {
        let op = match &node.op {
            Op::AdaIn { .. } => Op::AdaIn { source: None, target: None },
            op => op.clone(),
        };
        fresh.push(node.name.clone(), op, &node.inputs).unwrap();
    }
    fresh
}

#[test]
fn what_another_model_learned_is_refused() {
    let graph = |name: &str, channels: usize| {
        let mut graph = Graph::new(channels);
        graph.push(name, Op::AdaIn { source: None, target: None }, &[0]).unwrap();
        let plan = Plan::new(&rewrite_graph(&graph).unwrap()).unwrap();
        Engine::new(plan, Randomness::Deterministic)
    };
    let learned = |engine: &mut Engine| {
        let input = vec![0.5; 10 * engine.plan().input_channels()];
        play(engine, &input, &[10], &[(0, Move::Learn(Learning::Source))]).1
    };
    let one = learned(&mut graph("a", 1));
    assert_eq!(one.nodes[0].source.frames, 10);
    let mut own = graph("a", 1);
    own.restore(&one).unwrap();
    assert_eq!(own.learned(), one);
    assert_eq!(own.knows(), Some([true, false]));
    own.restore(&Learned::default()).unwrap();
    let strange = Err(RestoreError::Strange { found: 1, needed: 1 });
    assert_eq!(graph("b", 1).restore(&one), strange);
    let wider = Err(RestoreError::Channels { node: "a".into(), found: 1, needed: 2 });
    assert_eq!(graph("a", 2).restore(&one), wider);
    for hurt in [f64::NAN, f64::INFINITY, -1.0] {
        let mut damaged = one.clone();
        damaged.nodes[0].source.squares[0] = hurt;
        assert_eq!(own.restore(&damaged), Err(RestoreError::Damaged { node: "a".into() }));
    }
    assert_eq!(own.learned(), one);
    let full = Learned {
        nodes: vec![runnel::engine::LearnedNode {
            source: runnel::engine::Moments { frames: u64::MAX, ..one.nodes[0].source.clone() },
            ..one.nodes[0].clone()
        }],
    };
    own.restore(&full).unwrap();
    assert_eq!(learned(&mut own).nodes[0].source.frames, u64::MAX);
}

#[test]
fn a_model_without_such_nodes_learns_nothing() {
    let mut graph = Graph::new(1);
    graph.push("out", Op::Pointwise(runnel::graph::Pointwise::Tanh), &[0]).unwrap();
    let plan: Arc<Plan> = Plan::new(&rewrite_graph(&graph).unwrap()).unwrap();
    let mut engine = Engine::new(plan, Randomness::Deterministic);
    engine.set_learning(Learning::Source);
    assert_eq!(engine.knows(), None);
    assert!(engine.learned().is_empty() && engine.learned().nodes.is_empty());
}
