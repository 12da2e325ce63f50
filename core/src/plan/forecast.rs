//! What a plan is forecast to cost over time.

/// The forecast cost of each 16-tick bin of one period, for a nominal core: see [`crate::Plan::forecast`].
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// Audio samples of a bin.
    pub tick_samples: f64,
    /// Microseconds of each bin.
    pub costs_us: Vec<f32>,
}

impl Forecast {
    /// Mean cost of a bin, in microseconds.
    pub fn mean_us(&self) -> f32 {
        self.costs_us.iter().sum::<f32>() / self.costs_us.len() as f32
    }

    /// Cost of the dearest bin, in microseconds.
    pub fn peak_us(&self) -> f32 {
        self.costs_us.iter().copied().fold(0.0, f32::max)
    }

    /// Cost of each call of `samples` samples over one period, in microseconds; the last call may reach into the next
    /// period.
    pub fn per_block(&self, samples: usize) -> Vec<f32> {
        let count = self.costs_us.len();
        let bins = (samples as f64 / self.tick_samples).max(1.0).round() as usize;
        (0..count.div_ceil(bins)).map(|b| (b * bins..(b + 1) * bins).map(|i| self.costs_us[i % count]).sum()).collect()
    }

    /// The dearest call of `samples` samples relative to the mean call, wherever calls start.
    pub fn peak_over_mean(&self, samples: usize) -> f32 {
        let count = self.costs_us.len();
        let bins = (samples as f64 / self.tick_samples).max(1.0).round() as usize;
        let call = |start: usize| (start..start + bins).map(|i| self.costs_us[i % count]).sum::<f32>();
        let peak = (0..count).map(call).fold(0.0, f32::max);
        peak / (self.mean_us() * bins as f32)
    }
}
