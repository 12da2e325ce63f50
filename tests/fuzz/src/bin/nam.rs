//! Any bytes as a `.nam` file; what is read must become a stream, and a small one must play.
#![no_main]

use libfuzzer_sys::fuzz_target;
use runnel::import::{Options, nam};
use runnel::rewrite::rewrite;
use runnel::{Engine, Plan, Randomness};

fuzz_target!(|bytes: &[u8]| {
    let size = bytes.first().filter(|b| b.is_ascii_whitespace()).map(|_| 0.3);
    let options = Options { size, ..Options::default() };
    let Ok(model) = runnel_fuzz::limited(bytes, |bytes| nam::from_bytes("x", "x.nam", bytes, &options)) else { return };
    let Ok(model) = rewrite(&model) else { return };
    let reach: i64 = model.forward.nodes().iter().map(|n| n.timeline.past().max(0)).sum();
    if reach > 10_000 || model.forward.nodes().len() > 1000 {
        return;
    }
    let Ok(plan) = Plan::new(&model.forward) else { return };
    let input = vec![vec![0.5; 16]; plan.input_channels()];
    let mut output = vec![vec![0.0; 16]; plan.output_channels()];
    Engine::new(plan, Randomness::Deterministic).process(
        &input.iter().map(|c| &c[..]).collect::<Vec<_>>(),
        &mut output.iter_mut().map(|c| &mut c[..]).collect::<Vec<_>>(),
    );
});
