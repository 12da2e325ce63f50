//! What a player holds: the stream follows the offline model through every movement, and no schedule is heard in it.

use std::sync::Arc;

use proptest::prelude::*;
use runnel::graph::Parameter;
use runnel::rewrite::rewrite_graph;
use runnel::{Engine, Plan, PlanOptions, Randomness};
use runnel_offline::{Backend, Offline, Signal};

use crate::contract::silence_frames;
use crate::judge::follows;
use crate::strategy;

const FRAMES: usize = 400;
/// Input frames between two looks at the player's hands.
const GRID: usize = 64;

/// One look: what each channel of each parameter is set to, as shares of its range.
type Looks = Vec<f32>;

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_stream_follows_the_hands(strategy::Case(graph) in strategy::steered_graph(), seed in any::<u64>(), looks in looks(), slack in strategy::slack(), blocks in strategy::partition(FRAMES)) {
        let channels = graph.input().channels;
        let input = strategy::signal(channels, FRAMES, seed);
        let streamed = rewrite_graph(&graph).unwrap();
        let plan = Plan::with(&streamed, &PlanOptions { slack_samples: slack, ..PlanOptions::default() }).unwrap();
        let (first, output) = steered(&plan, &input, channels, &blocks, &looks);

        let silence = silence_frames(&streamed, slack);
        let mut offline = Offline::new(&graph, Backend::Flex);
        for (look, share) in looks.iter().enumerate() {
            for parameter in graph.parameters() {
                let values: Vec<_> = (0..parameter.default.len()).map(|c| value(parameter, *share, c)).collect();
                offline.hold(&parameter.name, (look * GRID) as i64, &values);
            }
        }
        let signal = Signal::new(channels, input.clone()).embed(silence, silence);
        follows(&output, first, &offline.run(&signal, Randomness::Seeded(7)))?;
    }

    #[test]
    fn movements_give_the_same_bits_however_they_are_cut_and_planned(strategy::Case(graph) in strategy::steered_graph(), seed in any::<u64>(), looks in looks(), slack in strategy::slack(), blocks in strategy::partition(FRAMES)) {
        let channels = graph.input().channels;
        let input = strategy::signal(channels, FRAMES, seed);
        let streamed = rewrite_graph(&graph).unwrap();
        let plan = Plan::new(&streamed).unwrap();
        let (first, whole) = steered(&plan, &input, channels, &[FRAMES], &looks);
        let (_, cut) = steered(&plan, &input, channels, &blocks, &looks);
        prop_assert_eq!(bits(&whole, 0), bits(&cut, 0));
        for options in [PlanOptions { slack_samples: slack, ..PlanOptions::default() }, PlanOptions { every_node: true, ..PlanOptions::default() }] {
            let plan = Plan::with(&streamed, &options).unwrap();
            let (late_first, late) = steered(&plan, &input, channels, &blocks, &looks);
            let (whole, late) = (bits(&whole, 0), bits(&late, (first - late_first) as usize));
            for (whole, late) in whole.iter().zip(late) {
                prop_assert_eq!(&whole[..late.len()], &late[..]);
            }
        }
    }
}

fn looks() -> impl Strategy<Value = Looks> {
    prop::collection::vec(0.0f32..1.0, FRAMES / GRID + 1)
}

/// The value of channel `c` at this share of the range.
fn value(parameter: &Parameter, share: f32, c: usize) -> f32 {
    let share = (share + 0.37 * c as f32).fract();
    parameter.minimum + share * (parameter.maximum - parameter.minimum)
}

/// As [`crate::streams::stream`], with a look every [`GRID`] frames; blocks are cut there.
fn steered(plan: &Arc<Plan>, input: &[f32], channels: usize, blocks: &[usize], looks: &Looks) -> (i64, Vec<Vec<f32>>) {
    let mut engine = Engine::new(plan.clone(), Randomness::Seeded(7));
    let first = engine.next_frame();
    let mut output: Vec<Vec<f32>> = vec![vec![]; plan.output_channels()];
    let mut at = 0;
    for &block in blocks {
        let end = at + block;
        while at < end {
            if at % GRID == 0 {
                for (held, parameter) in engine.parameters().iter_mut().zip(plan.parameters()) {
                    (0..parameter.default.len()).for_each(|c| held.set(c, value(parameter, looks[at / GRID], c)));
                }
            }
            let taken = (end - at).min(GRID - at % GRID);
            let due = engine.frames_out(taken);
            let start = output[0].len();
            output.iter_mut().for_each(|c| c.resize(start + due, f32::NAN));
            let input: Vec<&[f32]> = (0..channels).map(|c| &input[c * FRAMES + at..][..taken]).collect();
            engine.process(&input, &mut output.iter_mut().map(|c| &mut c[start..]).collect::<Vec<_>>());
            at += taken;
        }
    }
    (first, output)
}

fn bits(signal: &[Vec<f32>], from: usize) -> Vec<Vec<u32>> {
    signal.iter().map(|c| c.iter().skip(from).map(|v| v.to_bits()).collect()).collect()
}
