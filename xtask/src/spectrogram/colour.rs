//! Colours: dark is quiet, bright is loud, and lightness grows evenly between.

const STOPS: [[f32; 3]; 8] = [
    [6.0, 6.0, 16.0],
    [28.0, 16.0, 68.0],
    [82.0, 18.0, 124.0],
    [142.0, 36.0, 124.0],
    [204.0, 62.0, 96.0],
    [246.0, 110.0, 76.0],
    [254.0, 180.0, 112.0],
    [252.0, 250.0, 200.0],
];

/// Levels that are told apart: more than an eye does, and few enough for a small file.
const STEPS: f32 = 63.0;

/// The colour of a level: 0 the quietest shown, 1 the loudest.
pub(super) fn of(level: f32) -> [u8; 3] {
    let level = (level.clamp(0.0, 1.0) * STEPS).round() / STEPS;
    let place = level * (STOPS.len() - 1) as f32;
    let below = (place as usize).min(STOPS.len() - 2);
    let part = place - below as f32;
    std::array::from_fn(|i| (STOPS[below][i] * (1.0 - part) + STOPS[below + 1][i] * part).round() as u8)
}
