//! Running a stream and its offline graph on the same signal.

use std::sync::Arc;

use runnel::random::Randomness;
use runnel::{Engine, Graph, Plan};
use runnel_offline::{Backend, Offline, Signal};

/// The frames a stream gives for `input` (`[channels][frames]`) cut into `blocks`; the first has this index.
pub(crate) fn stream(
    plan: &Arc<Plan>,
    input: &[f32],
    channels: usize,
    blocks: &[usize],
    randomness: Randomness,
) -> (i64, Vec<Vec<f32>>) {
    let mut engine = Engine::new(plan.clone(), randomness);
    let first = engine.next_frame();
    let frames = input.len() / channels;
    let mut output: Vec<Vec<f32>> = vec![vec![]; plan.output_channels()];
    let mut at = 0;
    for &block in blocks {
        let input: Vec<&[f32]> = (0..channels).map(|c| &input[c * frames + at..][..block]).collect();
        let due = engine.frames_out(block);
        let start = output[0].len();
        output.iter_mut().for_each(|c| c.resize(start + due, f32::NAN));
        let mut slices: Vec<&mut [f32]> = output.iter_mut().map(|c| &mut c[start..]).collect();
        assert_eq!(engine.process(&input, &mut slices), due);
        at += block;
    }
    assert_eq!(at, frames, "the partition covers the signal");
    (first, output)
}

/// The offline graph on `input` embedded in silence of `before` frames, then `after`.
pub(crate) fn embedded(
    graph: &Graph,
    input: &[f32],
    channels: usize,
    before: usize,
    after: usize,
    randomness: Randomness,
) -> Signal {
    let signal = Signal::new(channels, input.to_vec()).embed(before, after);
    Offline::new(graph, Backend::Flex).run(&signal, randomness)
}
