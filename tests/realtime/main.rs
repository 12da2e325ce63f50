//! `process` and `reset` allocate and free nothing. A binary of its own: it installs the watching allocator, which
//! aborts the process at the first allocation inside `assert_no_alloc`.

#[path = "../suite/strategy.rs"]
mod strategy;

use assert_no_alloc::{AllocDisabler, assert_no_alloc};
use proptest::prelude::*;
use runnel::random::Randomness;
use runnel::rewrite::{rewrite, rewrite_graph};
use runnel::{Engine, Learning, Plan, PlanOptions, PriorPlan, import};

#[global_allocator]
static WATCH: AllocDisabler = AllocDisabler;

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn audio_allocates_nothing(strategy::Case(graph) in strategy::graph(), seed in any::<u64>(), blocks in strategy::partition(5000)) {
        let channels = graph.input().channels;
        let input = strategy::signal(channels, 5000, seed);
        let plan = Plan::new(&rewrite_graph(&graph).unwrap()).unwrap();
        let mut engine = Engine::new(plan.clone(), Randomness::Seeded(seed));
        let mut output = vec![vec![0.0; engine.frames_out(5000)]; plan.output_channels()];
        for _ in 0..2 {
            let mut at = 0;
            for &block in &blocks {
                let input: Vec<&[f32]> = (0..channels).map(|c| &input[c * 5000 + at..][..block]).collect();
                let mut slices: Vec<&mut [f32]> = output.iter_mut().map(|c| &mut c[..]).collect();
                assert_no_alloc(|| engine.process(&input, &mut slices));
                at += block;
            }
            assert_no_alloc(|| engine.reset());
        }
    }

    #[test]
    fn learning_allocates_nothing(strategy::Case(graph) in strategy::learner(), seed in any::<u64>()) {
        const BLOCK: usize = 500;
        let channels = graph.input().channels;
        let input = strategy::signal(channels, BLOCK, seed);
        let plan = Plan::new(&rewrite_graph(&graph).unwrap()).unwrap();
        let mut engine = Engine::new(plan.clone(), Randomness::Seeded(seed));
        let mut output = vec![vec![0.0; engine.frames_out(BLOCK) + BLOCK]; plan.output_channels()];
        let mut slices: Vec<&mut [f32]> = output.iter_mut().map(|c| &mut c[..]).collect();
        let input: Vec<&[f32]> = input.chunks_exact(BLOCK).collect();
        let mut kept = engine.learned();
        for learning in [Learning::Target, Learning::Source, Learning::Off] {
            assert_no_alloc(|| {
                engine.set_learning(learning);
                engine.process(&input, &mut slices);
                let sides = kept.nodes.iter_mut().zip(engine.moments());
                sides.for_each(|(kept, [source, _])| kept.source.mean.copy_from_slice(&source.mean));
            });
        }
        assert_no_alloc(|| {
            engine.reset();
            engine.forget_source();
            engine.restore(&kept).unwrap();
            engine.forget_target();
            engine.process(&input, &mut slices);
        });
    }
}

#[test]
fn a_prior_allocates_nothing() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/rave/prior/export.ts");
    let model = rewrite(&import::open(path.as_ref(), &Default::default()).unwrap()).unwrap();
    let mut engine = Engine::new(Plan::new(&model.player().unwrap().unwrap()).unwrap(), Randomness::Seeded(1));
    engine.add_prior(&PriorPlan::new(model.prior.as_ref().unwrap(), &PlanOptions::default()).unwrap());
    let mut output = [0.0; 100];
    for temperature in [1.0, 0.0] {
        for prior in engine.latent_edits().iter_mut().filter_map(|edit| edit.prior.as_mut()) {
            (prior.on, prior.temperature, prior.randomness) = (true, temperature, Randomness::Seeded(1));
        }
        for _ in 0..30 {
            assert_no_alloc(|| engine.process(&[&[0.0; 100]], &mut [&mut output]));
        }
        assert!(output.iter().any(|x| *x != 0.0));
        assert_no_alloc(|| engine.reset());
    }
}
