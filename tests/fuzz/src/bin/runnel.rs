//! Any bytes as a `.runnel` file; what is read must plan and run.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use runnel::{Engine, Plan, Randomness, format};

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    runnel_fuzz::mutate_header(data, size, max_size, seed, fuzzer_mutate)
});

fuzz_target!(|bytes: &[u8]| {
    let Ok(model) = runnel_fuzz::limited(bytes, format::from_bytes) else { return };
    // A file of a few bytes may ask for long caches and high rates; those that ask for little must run.
    let small = |stream: &runnel::StreamGraph| {
        let reach: i64 = stream.nodes().iter().map(|n| n.timeline.lag().max(0) + n.timeline.past().max(0)).sum();
        let work = stream.all_macs_per_sample();
        stream.hop_ticks() < 256 && reach < 10_000 && work < 1e4 && stream.nodes().iter().all(|n| n.channels < 256)
    };
    if !small(&model.forward) {
        return;
    }
    let Ok(plan) = Plan::new(&model.forward) else { return };
    let mut engine = Engine::new(plan.clone(), Randomness::Seeded(1));
    let input = vec![vec![0.5; 16]; plan.input_channels()];
    let mut output = vec![vec![0.0; engine.frames_out(16)]; plan.output_channels()];
    engine.process(
        &input.iter().map(|c| &c[..]).collect::<Vec<_>>(),
        &mut output.iter_mut().map(|c| &mut c[..]).collect::<Vec<_>>(),
    );
});
