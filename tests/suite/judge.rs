//! What a stream's output is judged by.

use proptest::prelude::*;
use runnel_offline::Signal;

/// Sees that a stream's `output`, whose first frame is `first`, is the `offline` one within 2e-5 of the greatest value.
pub(crate) fn follows(output: &[Vec<f32>], first: i64, offline: &Signal) -> Result<(), TestCaseError> {
    let scale = offline.data.iter().fold(1.0f32, |m, v| m.max(v.abs()));
    for (c, row) in output.iter().enumerate() {
        for (i, y) in row.iter().enumerate() {
            let frame = first + i as i64;
            let expected = offline.row(c)[(frame - offline.first) as usize];
            prop_assert!((y - expected).abs() <= 2e-5 * scale, "channel {c} frame {frame}: {y}, offline {expected}");
        }
    }
    Ok(())
}
