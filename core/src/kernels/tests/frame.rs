//! What is no sum: angles.

use proptest::prelude::*;

use crate::kernels::angles;

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
