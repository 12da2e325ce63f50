//! Refitted graphs are graphs like any: no later than asked for, and exact as streams.

use proptest::prelude::*;
use runnel::model::{Info, Provenance};
use runnel::refit::{Clip, RefitError, Refitter};
use runnel::rewrite::rewrite_graph;
use runnel::{Graph, Model, Plan, Randomness};

use crate::contract::silence_frames;
use crate::judge::follows;
use crate::strategy;
use crate::streams::{embedded, stream};

const FRAMES: usize = 200;
/// Calibration audio beyond which a generated graph is left out: its receptive field is long.
const MOST_SAMPLES: usize = 200_000;

fn model(forward: &Graph) -> Model {
    let info = Info {
        name: String::new(),
        description: String::new(),
        sampling_rate: 44_100,
        latent_names: vec![],
        provenance: Provenance::default(),
        levels: runnel::Levels::default(),
        refit: None,
    };
    Model { forward: forward.clone(), latent: None, prior: None, info }
}

fn refitter(graph: &Graph, seed: u64) -> Result<Refitter, RefitError> {
    let of = |samples: usize| {
        let sound = strategy::signal(graph.input().channels, samples, seed);
        let channels = sound.chunks_exact(samples.max(1)).map(<[f32]>::to_vec).collect();
        Refitter::new(&model(graph), &[Clip { name: "drawn".into(), channels }], "drawn", &mut |_| ())
    };
    match of(1) {
        Err(RefitError::TooShort { least, .. }) if least <= MOST_SAMPLES => of(least),
        other => other,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_refitted_graph_is_in_time_and_streams(strategy::Case(graph) in strategy::graph(), seed in any::<u64>(), share in 0.0..1.2_f64, blocks in strategy::partition(FRAMES)) {
        let refitter = match refitter(&graph, seed) {
            Ok(refitter) => refitter,
            // Activations beyond numbers, and signals that are no longer ones, are refused.
            Err(RefitError::TooShort { .. } | RefitError::Unsolvable { .. } | RefitError::Silent { .. }) => return Ok(()),
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        };
        let asked = (refitter.exact_samples() as f64 * share) as u64;
        let mut limit = asked;
        let refitted = match refitter.refit(asked, &mut |_| ()) {
            Ok(model) => model.forward,
            Err(RefitError::Impossible { asked: told, least }) => {
                prop_assert!(told == asked && least > asked);
                limit = least;
                refitter.refit(least, &mut |_| ()).expect("the least that it tells of").forward
            }
            Err(RefitError::Unsolvable { .. }) => return Ok(()),
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        };
        let streamed = rewrite_graph(&refitted).unwrap();
        if asked >= refitter.exact_samples() {
            prop_assert_eq!(&refitted, &graph);
        } else {
            prop_assert!(streamed.latency_samples() <= limit, "{} samples of {limit}", streamed.latency_samples());
        }
        let channels = graph.input().channels;
        let input = strategy::signal(channels, FRAMES, seed);
        let plan = Plan::new(&streamed).unwrap();
        let (first, output) = stream(&plan, &input, channels, &blocks, Randomness::Deterministic);
        let silence = silence_frames(&streamed, 0);
        let offline = embedded(&refitted, &input, channels, silence, silence, Randomness::Deterministic);
        follows(&output, first, &offline)?;
    }
}
