//! What is no sum: angles, and a host's channels.

use proptest::prelude::*;

use crate::kernels::isa::Isa;
use crate::kernels::{angles, interleave, separate};

proptest! {
    #[test]
    fn angles_are_undone(x in prop::collection::vec(-1.0f32..1.0, 2..20)) {
        let norm = x.iter().map(|v| v * v).sum::<f32>().sqrt();
        prop_assume!(norm > 1e-3);
        let mut turns = vec![0.0; x.len() - 1];
        let mut back = vec![0.0; x.len()];
        angles::to_angles(&x, &mut turns);
        angles::from_angles(&turns, &mut back);
        for (x, back) in x.iter().zip(&back) {
            prop_assert!((x / norm - back).abs() < 1e-5);
        }
    }
}

#[test]
fn a_zero_vector_has_angles() {
    let mut turns = [f32::NAN; 3];
    angles::to_angles(&[0.0; 4], &mut turns);
    assert_eq!(turns, [-1.0; 3]);
}

#[test]
fn a_hosts_channels_become_rows_and_channels_again() {
    let (from, to) = (2, 3);
    for isa in Isa::available() {
        for width in 1..7 {
            for frames in 0..40 {
                let value = |c: usize, i: usize| (100 * c + i) as f32;
                let channels: Vec<Vec<f32>> =
                    (0..width).map(|c| (0..from + frames).map(|i| value(c, i)).collect()).collect();
                let mut rows = vec![f32::NAN; frames * width];
                interleave(isa, &channels.iter().map(|c| &c[..]).collect::<Vec<_>>(), from, &mut rows);
                for (i, row) in rows.chunks(width).enumerate() {
                    assert!(row.iter().enumerate().all(|(c, x)| *x == value(c, from + i)), "{width} channels, row {i}");
                }
                let mut back = vec![vec![-1.0; to + frames + 1]; width];
                separate(isa, &rows, &mut back.iter_mut().map(|c| &mut c[..]).collect::<Vec<_>>(), to);
                for (back, channel) in back.iter().zip(&channels) {
                    assert_eq!(back[to..to + frames], channel[from..], "{width} channels, {frames} frames");
                    assert!(back[..to].iter().chain(&back[to + frames..]).all(|x| *x == -1.0), "only what was asked");
                }
            }
        }
    }
}
