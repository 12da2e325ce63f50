//! Running a stream and its offline graph on the same signal.

use std::cell::LazyCell;
use std::sync::Arc;

use proptest::prelude::*;
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

/// Sees that a stream's `output`, whose first frame is `first`, is the offline one of `input`: within 2e-5 of the greatest
/// value. Products of signals can be so badly conditioned that no arithmetic reaches that: there, within eight times as much
/// as the offline output moves when the input changes in its last two bits.
pub(crate) fn follows(
    output: &[Vec<f32>],
    first: i64,
    input: &[f32],
    offline: impl Fn(&[f32]) -> Signal,
) -> Result<(), TestCaseError> {
    let expected = offline(input);
    let scale = expected.data.iter().fold(1.0f32, |m, v| m.max(v.abs()));
    let moves = LazyCell::new(|| {
        let nudged: Vec<f32> = input.iter().map(|x| x * (1.0 + f32::EPSILON * 2.0)).collect();
        let moved = offline(&nudged);
        moved.data.iter().zip(&expected.data).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()))
    });
    for (c, row) in output.iter().enumerate() {
        for (i, y) in row.iter().enumerate() {
            let frame = first + i as i64;
            let wanted = expected.row(c)[(frame - expected.first) as usize];
            let difference = (y - wanted).abs();
            prop_assert!(
                difference <= 2e-5 * scale || difference <= 8.0 * *moves,
                "channel {c} frame {frame}: {y}, offline {wanted}; the last bits of the input move it by {}",
                *moves
            );
        }
    }
    Ok(())
}
