//! What a player holds in one of a model's parameters.

use crate::graph::Parameter;
use crate::kernels::Kernel;

/// One parameter of a running model. What is set counts from the next frame of the input on, whatever the schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    parameter: Parameter,
    values: Vec<f32>,
    /// The steps that it reaches.
    steps: Vec<usize>,
}

impl Held {
    /// At its default.
    pub(crate) fn new(parameter: &Parameter, kernels: &[Kernel]) -> Self {
        let is_this = |kernel: &Kernel| kernel.parameter().is_some_and(|other| other.name == parameter.name);
        Self {
            values: parameter.default.clone(),
            steps: kernels.iter().enumerate().filter(|(_, kernel)| is_this(kernel)).map(|(step, _)| step).collect(),
            parameter: parameter.clone(),
        }
    }

    /// Its name, range and defaults.
    pub fn parameter(&self) -> &Parameter {
        &self.parameter
    }

    /// What is held, one value for each channel.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Holds `value` in `channel`, within the parameter's range; what is not a number changes nothing.
    ///
    /// # Panics
    /// When there is no such channel.
    pub fn set(&mut self, channel: usize, value: f32) {
        if !value.is_nan() {
            self.values[channel] = value.clamp(self.parameter.minimum, self.parameter.maximum);
        }
    }

    /// Whether it is held in this step.
    pub(crate) fn reaches(&self, step: usize) -> bool {
        self.steps.contains(&step)
    }
}
