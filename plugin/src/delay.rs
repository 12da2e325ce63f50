//! Delay by a whole number of samples.

/// One channel's delay line.
#[derive(Debug)]
pub struct Delay {
    line: Vec<f32>,
    at: usize,
}

impl Delay {
    /// A delay of `samples`, silent so far.
    pub fn new(samples: usize) -> Self {
        Self { line: vec![0.0; samples], at: 0 }
    }

    /// Silent again.
    pub fn reset(&mut self) {
        self.line.fill(0.0);
        self.at = 0;
    }

    /// Takes the next sample and gives the one from as long ago as the delay is.
    pub fn next(&mut self, x: f32) -> f32 {
        let Some(slot) = self.line.get_mut(self.at) else { return x };
        let y = std::mem::replace(slot, x);
        self.at += 1;
        if self.at == self.line.len() {
            self.at = 0;
        }
        y
    }
}
