//! The plugin's parameters and what else the host keeps for it. Ids never change: projects are saved with them.

use nice_plug::prelude::*;
use runnel::Randomness;

use crate::host::ModelPath;

/// Everything the host's state holds.
#[derive(Params)]
pub struct RunnelParams {
    /// The model to play.
    #[persist = "model-path"]
    pub model_path: ModelPath,
    /// 0 is the input, 1 is the model.
    #[id = "mix"]
    pub mix: FloatParam,
    /// Gain of what the model hears.
    #[id = "input-gain"]
    pub input_gain: FloatParam,
    /// Gain of the mix.
    #[id = "output-gain"]
    pub output_gain: FloatParam,
    /// Whether the model's random parts sound.
    #[id = "noise"]
    pub noise: BoolParam,
    /// What the random parts are drawn from.
    #[id = "seed"]
    pub seed: IntParam,
    /// The input, late by the latency and otherwise untouched.
    #[id = "bypass"]
    pub bypass: BoolParam,
}

impl Default for RunnelParams {
    fn default() -> Self {
        Self {
            model_path: ModelPath::default(),
            mix: FloatParam::new("Dry/wet", 1.0, FloatRange::Linear { min: 0.0, max: 1.0 })
                .with_smoother(SmoothingStyle::Linear(20.0))
                .with_unit(" %")
                .with_value_to_string(formatters::v2s_f32_percentage(0))
                .with_string_to_value(formatters::s2v_f32_percentage()),
            input_gain: gain("Input gain"),
            output_gain: gain("Output gain"),
            noise: BoolParam::new("Noise", true),
            seed: IntParam::new("Seed", 0, IntRange::Linear { min: 0, max: 9999 }),
            bypass: BoolParam::new("Bypass", false)
                .with_value_to_string(formatters::v2s_bool_bypass())
                .with_string_to_value(formatters::s2v_bool_bypass())
                .make_bypass(),
        }
    }
}

impl RunnelParams {
    /// What the model's random parts draw from.
    pub fn randomness(&self) -> Randomness {
        if self.noise.value() { Randomness::Seeded(self.seed.value() as u64) } else { Randomness::Deterministic }
    }
}

/// A gain from −30 to +30 dB.
fn gain(name: &str) -> FloatParam {
    let (min, max) = (util::db_to_gain(-30.0), util::db_to_gain(30.0));
    let range = FloatRange::Skewed { min, max, factor: FloatRange::gain_skew_factor(-30.0, 30.0) };
    FloatParam::new(name, 1.0, range)
        .with_smoother(SmoothingStyle::Logarithmic(20.0))
        .with_unit(" dB")
        .with_value_to_string(formatters::v2s_f32_gain_to_db(1))
        .with_string_to_value(formatters::s2v_f32_gain_to_db())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_keeps_the_model_path() {
        let params = RunnelParams::default();
        params.model_path.choose("/models/ä “quoted”.runnel".into());
        let fields = params.serialize_fields();
        assert_eq!(fields["model-path"], "\"/models/ä “quoted”.runnel\"");
        let restored = RunnelParams::default();
        restored.deserialize_fields(&fields);
        assert_eq!(restored.model_path.text(), params.model_path.text());
        assert_ne!(restored.model_path.generation(), 0, "a restored path counts as a change");
    }

    #[test]
    fn ids_never_change() {
        let ids: Vec<_> = RunnelParams::default().param_map().into_iter().map(|(id, ..)| id).collect();
        assert_eq!(ids, ["mix", "input-gain", "output-gain", "noise", "seed", "bypass"]);
    }
}
