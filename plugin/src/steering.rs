//! A model's own parameters behind the host's, which are a fixed number of shares from 0 to 1, whatever the model has.

use std::sync::{Arc, Mutex, PoisonError};

use runnel::graph::Parameter;

/// Host parameters for a model's own; those beyond the model's are inert.
pub const STEERED: usize = 8;

/// One channel of a model's parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Steered {
    /// What the model calls it, with the channel's number where there are several.
    pub name: String,
    /// What it counts; may be empty.
    pub unit: String,
    /// Its range, and where it stands by itself.
    pub range: Range,
}

/// Where a share leads: 0 to the least value, 1 to the greatest, and ½, where a new instance stands, to the model's own
/// default; straight in between.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    minimum: f32,
    default: f32,
    maximum: f32,
}

impl Range {
    /// That of one channel of `parameter`.
    pub fn of(parameter: &Parameter, channel: usize) -> Self {
        Self { minimum: parameter.minimum, default: parameter.default[channel], maximum: parameter.maximum }
    }

    /// The value of a share.
    pub fn value(self, share: f32) -> f32 {
        let way = 2.0 * share.clamp(0.0, 1.0) - 1.0;
        let end = if way < 0.0 { self.minimum } else { self.maximum };
        self.default + way.abs() * (end - self.default)
    }

    /// The share of a value.
    pub fn share(self, value: f32) -> f32 {
        let value = value.clamp(self.minimum, self.maximum);
        let end = if value < self.default { self.minimum } else { self.maximum };
        let way = if end == self.default { 0.0 } else { (value - self.default).abs() / (end - self.default).abs() };
        if value < self.default { 0.5 - way / 2.0 } else { 0.5 + way / 2.0 }
    }
}

/// The channels of `parameters`, one after another, as many as the host can steer.
pub fn steered(parameters: &[Parameter]) -> Vec<Steered> {
    let channels = parameters.iter().flat_map(|parameter| {
        let several = parameter.default.len() > 1;
        (0..parameter.default.len()).map(move |channel| Steered {
            name: if several { format!("{} {}", parameter.name, channel + 1) } else { parameter.name.clone() },
            unit: parameter.unit.clone(),
            range: Range::of(parameter, channel),
        })
    });
    channels.take(STEERED).collect()
}

/// What the loaded model has, for those who show values. Never asked by the audio thread.
#[derive(Clone, Debug, Default)]
pub struct SteeredModel(Arc<Mutex<Vec<Steered>>>);

impl SteeredModel {
    /// Told by the loader.
    pub fn tell(&self, steered: Vec<Steered>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = steered;
    }

    /// `Drive: 3.50 dB` for a share of the model's parameter `number`; a percentage without one.
    pub fn text(&self, number: usize, share: f32) -> String {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).get(number) {
            Some(steered) => {
                format!("{}: {:.2} {}", steered.name, steered.range.value(share), steered.unit).trim_end().into()
            }
            None => format!("{:.0} %", share * 100.0),
        }
    }

    /// The share that `text`, such as [`Self::text`] gives, stands for.
    pub fn share(&self, number: usize, text: &str) -> Option<f32> {
        let own = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let steered = own.get(number);
        let text = text.rsplit(':').next().unwrap_or(text).trim();
        let text = steered.map_or(text.trim_end_matches('%'), |steered| text.trim_end_matches(&steered.unit));
        let value = text.trim().parse::<f32>().ok().filter(|value| value.is_finite())?;
        Some(steered.map_or(value / 100.0, |steered| steered.range.share(value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(name: &str, unit: &str, default: &[f32]) -> Parameter {
        Parameter {
            name: name.into(),
            unit: unit.into(),
            default: default.to_vec(),
            minimum: -2.0,
            maximum: 10.0,
            every: 64,
        }
    }

    #[test]
    fn half_way_is_the_default_and_the_ends_are_the_ends() {
        let parameter = parameter("a", "", &[4.0, -2.0, 10.0]);
        for (channel, default) in [4.0, -2.0, 10.0].into_iter().enumerate() {
            let range = Range::of(&parameter, channel);
            assert_eq!([0.0, 0.5, 1.0].map(|share| range.value(share)), [-2.0, default, 10.0]);
            for value in [-2.0, 0.0, 4.0, 7.0, 10.0] {
                assert!((range.value(range.share(value)) - value).abs() < 1e-5, "{default} {value}");
            }
        }
    }

    #[test]
    fn values_are_shown_and_typed_as_the_model_has_them() {
        let model = SteeredModel::default();
        assert_eq!(model.text(0, 0.25), "25 %");
        assert_eq!(model.share(0, "25 %"), Some(0.25));
        model.tell(steered(&[parameter("Drive", "dB", &[4.0]), parameter("x:y", "", &[0.0, 0.0])]));
        assert_eq!(model.text(0, 1.0), "Drive: 10.00 dB");
        assert_eq!(model.text(2, 0.0), "x:y 2: -2.00");
        assert_eq!(model.text(3, 0.0), "0 %");
        for number in 0..4 {
            for share in [0.0, 0.5, 0.75, 1.0] {
                let again = model.share(number, &model.text(number, share)).unwrap();
                assert!((again - share).abs() < 1e-3, "{number} {share} {again}");
            }
        }
        assert_eq!((model.share(0, "loud"), model.share(0, "NaN")), (None, None));
        assert_eq!(model.share(0, "7"), Some(0.75));
    }

    #[test]
    fn there_are_never_more_than_the_host_has() {
        assert_eq!(steered(&[parameter("a", "", &[0.0; 5]), parameter("b", "", &[0.0; 5])]).len(), STEERED);
    }
}
