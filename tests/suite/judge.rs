//! What a stream's output is judged by.

use std::cell::LazyCell;

use proptest::prelude::*;
use runnel_offline::Signal;

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
