//! Hyperspherical angles, as RAVE's spherical latents use them: each angle over π (the last over 2π, unwrapped by the
//! sign of the last coordinate), scaled to [−1, 1). Computed in f64: the quotients lie close to ±1.

use std::f64::consts::PI;

/// `y.len() + 1 == x.len()` coordinates to angles. The angle of a zero vector is 0.
pub(super) fn to_angles(x: &[f32], y: &mut [f32]) {
    let mut tail = f64::from(x[x.len() - 1]).powi(2);
    for i in (0..y.len()).rev() {
        let coordinate = f64::from(x[i]);
        tail += coordinate * coordinate;
        let cosine = if tail > 0.0 { (coordinate / tail.sqrt()).clamp(-1.0, 1.0) } else { 1.0 };
        let mut turn = cosine.acos() / PI;
        if i + 1 == y.len() {
            turn = if x[x.len() - 1] < 0.0 { 1.0 - turn / 2.0 } else { turn / 2.0 };
        }
        y[i] = (2.0 * (turn - 0.5)) as f32;
    }
}

/// Angles to `x.len() + 1 == y.len()` coordinates of a unit vector.
pub(super) fn from_angles(x: &[f32], y: &mut [f32]) {
    let mut sines = 1.0;
    for (i, angle) in x.iter().enumerate() {
        let last = i + 1 == x.len();
        let turn = (f64::from(*angle) / 2.0 + 0.5).rem_euclid(1.0);
        let radians = turn * if last { 2.0 * PI } else { PI };
        y[i] = (sines * radians.cos()) as f32;
        sines *= radians.sin();
    }
    y[x.len()] = sines as f32;
}
