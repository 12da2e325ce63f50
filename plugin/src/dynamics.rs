//! A gate that makes silence of silence, and a limiter that bends peaks back.

use crate::delay::Delay;

/// Level below which the input counts as silent: −80 dB.
const SILENT: f32 = 1e-4;
/// How long the input stays open after it fell silent, and how long the gate takes to close and to open.
const HOLD_SECONDS: f32 = 0.2;
const CLOSE_SECONDS: f32 = 0.1;
const OPEN_SECONDS: f32 = 0.005;
/// Level from which the limiter bends.
const KNEE: f32 = 0.8;

/// Follows the input, and closes when it is silent, as late as the signal that it opens for.
#[derive(Debug)]
pub struct Gate {
    hold: u32,
    held: u32,
    opening: f32,
    closing: f32,
    gain: f32,
    delay: Delay,
}

impl Gate {
    /// A gate, closed, for a signal that comes `latency_samples` late.
    pub fn new(sampling_rate: u32, latency_samples: usize) -> Self {
        let rate = sampling_rate as f32;
        Self {
            hold: (HOLD_SECONDS * rate) as u32,
            held: 0,
            opening: 1.0 / (OPEN_SECONDS * rate),
            closing: 1.0 / (CLOSE_SECONDS * rate),
            gain: 0.0,
            delay: Delay::new(latency_samples),
        }
    }

    /// Closed again.
    pub fn reset(&mut self) {
        (self.held, self.gain) = (0, 0.0);
        self.delay.reset();
    }

    /// The gain of the sample that leaves, told the level of the one that enters.
    pub fn next(&mut self, level: f32) -> f32 {
        self.held = if level > SILENT { self.hold } else { self.held.saturating_sub(1) };
        self.gain =
            if self.held > 0 { (self.gain + self.opening).min(1.0) } else { (self.gain - self.closing).max(0.0) };
        self.delay.next(self.gain)
    }
}

/// `x` up to the knee; beyond, never more than full scale.
pub fn limited(x: f32) -> f32 {
    let over = x.abs() - KNEE;
    if over <= 0.0 { x } else { x.signum() * (KNEE + (1.0 - KNEE) * (over / (1.0 - KNEE)).tanh()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limiter_leaves_what_is_low_and_bounds_what_is_high() {
        let mut last = f32::NEG_INFINITY;
        for i in -4000..=4000 {
            let x = i as f32 / 1000.0;
            let y = limited(x);
            assert!(y.abs() <= 1.0 && y >= last && (x.abs() > KNEE || y == x), "{x} {y}");
            last = y;
        }
    }

    #[test]
    fn the_gate_opens_in_time_and_closes_on_silence() {
        let latency = 1000;
        let mut gate = Gate::new(48_000, latency);
        let open: Vec<f32> = (0..4000).map(|_| gate.next(0.5)).collect();
        assert_eq!((open[latency - 1], open[latency + 240]), (0.0, 1.0));
        let closed: Vec<f32> = (0..48_000).map(|_| gate.next(0.0)).collect();
        assert_eq!((closed[latency], closed[latency + 9_600 + 4_800]), (1.0, 0.0));
    }
}
