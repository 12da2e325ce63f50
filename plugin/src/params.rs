//! The plugin's parameters and what else the host keeps for it. Ids never change: projects are saved with them.

use std::sync::Arc;

use nice_plug::prelude::*;
use runnel::{Amounts, Learning};

use crate::hands::Hands;
use crate::host::{ModelKnown, ModelPath};
use crate::memory::Memory;
use crate::notes::Notes;
use crate::steering::{STEERED, SteeredModel};

/// Latent channels that have parameters, whatever the model has; those beyond the model's are inert.
pub const LATENTS: usize = 16;

/// Everything the host's state holds.
#[derive(Params)]
pub struct RunnelParams {
    /// The model to play.
    #[persist = "model-path"]
    pub model_path: ModelPath,
    /// By what it is found where the path leads nowhere.
    #[persist = "model-known"]
    pub model_known: ModelKnown,
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
    /// What drives the decoder.
    #[id = "mode"]
    pub mode: EnumParam<Mode>,
    /// How much latency beyond the least buys a level load.
    #[id = "latency"]
    pub latency: EnumParam<Latency>,
    /// Whether the model runs on a thread of its own.
    #[id = "worker"]
    pub worker: BoolParam,
    /// Which channels a mono model hears.
    #[id = "channels"]
    pub channels: EnumParam<Channels>,
    /// Whether both sides of a mono model draw their own noise.
    #[id = "wide-noise"]
    pub wide_noise: BoolParam,
    /// Gain of the noise that the decoder adds.
    #[id = "noise-amount"]
    pub noise_amount: FloatParam,
    /// Gain of what is drawn around the posterior's mean.
    #[id = "temperature"]
    pub temperature: FloatParam,
    /// Whether peaks beyond full scale are bent back.
    #[id = "limiter"]
    pub limiter: BoolParam,
    /// Whether silence in means silence out.
    #[id = "gate"]
    pub gate: BoolParam,
    /// Whether the latents stay as they are.
    #[id = "freeze"]
    pub freeze: BoolParam,
    /// How far a smooth random walk carries the latents.
    #[id = "jitter"]
    pub jitter: FloatParam,
    /// Whether the model's prior plays the latents, where it has one and they are played.
    #[id = "prior"]
    pub prior: BoolParam,
    /// What the prior's logits are divided by.
    #[id = "prior-temperature"]
    pub prior_temperature: FloatParam,
    /// What is done to each latent.
    #[nested(array, group = "Latents")]
    pub latents: [LatentParams; LATENTS],
    /// Which latents notes and controllers move, in the order of [`Source::ALL`].
    #[nested(array, group = "Notes and controllers")]
    pub sources: [SourceParams; Source::ALL.len()],
    /// What the model has learned.
    #[persist = "learned"]
    pub memory: Memory,
    /// Whether the model learns its source from what it hears.
    #[id = "learn-source"]
    pub learn_source: BoolParam,
    /// Whether the model learns its target from what it hears; it does not learn its source then.
    #[id = "learn-target"]
    pub learn_target: BoolParam,
    /// The source is forgotten when this turns on.
    #[id = "reset-source"]
    pub reset_source: BoolParam,
    /// The target is forgotten when this turns on.
    #[id = "reset-target"]
    pub reset_target: BoolParam,
    /// The model's own parameters.
    #[nested(array, group = "Model")]
    pub steering: [SteeringParams; STEERED],
    /// What the loaded model calls them.
    pub steered: SteeredModel,
}

/// What is done to one latent: `scale · z + bias`.
#[derive(Params)]
pub struct LatentParams {
    /// Added after the gain.
    #[id = "latent-bias"]
    pub bias: FloatParam,
    /// Gain; 1 leaves it.
    #[id = "latent-scale"]
    pub scale: FloatParam,
}

/// Where one source of notes and controllers goes.
#[derive(Params)]
pub struct SourceParams {
    /// The latent it moves, from 1; 0 for none.
    #[id = "source-latent"]
    pub latent: IntParam,
    /// Added to that latent at the source's full scale.
    #[id = "source-depth"]
    pub depth: FloatParam,
}

/// One of the model's own parameters, as a share of its range; see [`crate::steering::Range`].
#[derive(Params)]
pub struct SteeringParams {
    /// ½ is the model's default.
    #[id = "parameter"]
    pub share: FloatParam,
}

/// What drives the decoder.
#[derive(Clone, Copy, Debug, Enum, PartialEq, Eq)]
pub enum Mode {
    /// The input, through the encoder.
    #[id = "forward"]
    #[name = "Forward"]
    Forward,
    /// Parameters, notes and controllers alone.
    #[id = "play"]
    #[name = "Play the latents"]
    Play,
}

/// Latency beyond the least that the engine may use to level its work.
#[derive(Clone, Copy, Debug, Enum, PartialEq, Eq)]
pub enum Latency {
    /// None.
    #[id = "least"]
    #[name = "Least"]
    Least,
    /// A quarter of a latent frame.
    #[id = "balanced"]
    #[name = "Balanced"]
    Balanced,
    /// A whole latent frame.
    #[id = "relaxed"]
    #[name = "Relaxed"]
    Relaxed,
}

/// Which channels a mono model hears on a stereo track.
#[derive(Clone, Copy, Debug, Enum, PartialEq, Eq)]
pub enum Channels {
    /// Each by itself: the model runs twice.
    #[id = "stereo"]
    #[name = "Stereo"]
    Stereo,
    /// The mean of both, played on both sides.
    #[id = "mono"]
    #[name = "Mono"]
    Mono,
}

/// A source of notes and controllers that can move a latent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The last note's pitch, −1 to 1 around middle C, five octaves each way.
    Pitch,
    /// The last note's velocity while it is held.
    Velocity,
    /// Pitch bend, −1 to 1.
    Bend,
    /// Modulation wheel.
    Modulation,
    /// Pressure, of the channel or the note.
    Pressure,
    /// Controller 74, MPE's third dimension.
    Timbre,
}

impl Source {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Pitch, Self::Velocity, Self::Bend, Self::Modulation, Self::Pressure, Self::Timbre];

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pitch => "Note",
            Self::Velocity => "Velocity",
            Self::Bend => "Pitch bend",
            Self::Modulation => "Modulation wheel",
            Self::Pressure => "Pressure",
            Self::Timbre => "Timbre (CC 74)",
        }
    }
}

impl Default for RunnelParams {
    fn default() -> Self {
        let model_path = ModelPath::default();
        let steered = SteeredModel::default();
        Self {
            model_known: model_path.known(),
            model_path,
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
            mode: EnumParam::new("Mode", Mode::Forward).non_automatable(),
            latency: EnumParam::new("Latency", Latency::Balanced).non_automatable(),
            worker: BoolParam::new("Own thread", false).non_automatable(),
            channels: EnumParam::new("Channels", Channels::Stereo).non_automatable(),
            wide_noise: BoolParam::new("Wide noise", false),
            noise_amount: percent("Noise amount", 1.0, 2.0),
            temperature: percent("Temperature", 1.0, 2.0),
            limiter: BoolParam::new("Limiter", false),
            gate: BoolParam::new("Gate", false),
            freeze: BoolParam::new("Freeze", false),
            jitter: percent("Jitter", 0.0, 1.0),
            prior: BoolParam::new("Prior", false),
            prior_temperature: FloatParam::new("Prior temperature", 1.0, PRIOR_TEMPERATURE).with_step_size(0.01),
            latents: std::array::from_fn(LatentParams::new),
            sources: Source::ALL.map(SourceParams::new),
            memory: Memory::default(),
            learn_source: BoolParam::new("Learn source", false),
            learn_target: BoolParam::new("Learn target", false),
            reset_source: BoolParam::new("Reset source", false),
            reset_target: BoolParam::new("Reset target", false),
            steering: std::array::from_fn(|number| SteeringParams::new(number, &steered)),
            steered,
        }
    }
}

/// Finer where more happens: half of the way is 1.25.
const PRIOR_TEMPERATURE: FloatRange = FloatRange::Skewed { min: 0.0, max: 5.0, factor: 0.5 };

impl LatentParams {
    fn new(index: usize) -> Self {
        let number = index + 1;
        let bias = FloatRange::Linear { min: -3.0, max: 3.0 };
        let scale = FloatRange::Linear { min: 0.0, max: 5.0 };
        Self {
            bias: FloatParam::new(format!("Latent {number} bias"), 0.0, bias).with_step_size(0.01),
            scale: FloatParam::new(format!("Latent {number} scale"), 1.0, scale).with_step_size(0.01),
        }
    }
}

impl SteeringParams {
    fn new(number: usize, steered: &SteeredModel) -> Self {
        let (shown, typed) = (steered.clone(), steered.clone());
        let share =
            FloatParam::new(format!("Parameter {}", number + 1), 0.5, FloatRange::Linear { min: 0.0, max: 1.0 })
                .with_value_to_string(Arc::new(move |share| shown.text(number, share)))
                .with_string_to_value(Arc::new(move |text| typed.share(number, text)));
        Self { share }
    }
}

impl SourceParams {
    fn new(source: Source) -> Self {
        let latents = IntRange::Linear { min: 0, max: LATENTS as i32 };
        let name = source.name();
        Self {
            latent: IntParam::new(format!("{name} moves latent"), 0, latents)
                .with_value_to_string(Arc::new(|n| if n == 0 { "none".into() } else { n.to_string() })),
            depth: FloatParam::new(format!("{name} depth"), 1.0, FloatRange::Linear { min: -3.0, max: 3.0 })
                .with_step_size(0.01),
        }
    }
}

impl RunnelParams {
    /// What is asked of the model, notes and controllers included.
    pub fn hands(&self, notes: &Notes) -> Hands {
        let mut bias = std::array::from_fn(|i| self.latents[i].bias.value());
        notes.move_latents(self, &mut bias);
        Hands {
            bias,
            scale: std::array::from_fn(|i| self.latents[i].scale.value()),
            steering: std::array::from_fn(|i| self.steering[i].share.value()),
            frozen: self.freeze.value(),
            jitter: self.jitter.value(),
            prior: self.prior.value(),
            prior_temperature: self.prior_temperature.value(),
            seed: self.seed.value() as u64,
            noisy: self.noise.value(),
            wide_noise: self.wide_noise.value(),
            amounts: Amounts { temperature: self.temperature.value(), noise: self.noise_amount.value() },
            learning: match (self.learn_source.value(), self.learn_target.value()) {
                (_, true) => Learning::Target,
                (true, false) => Learning::Source,
                (false, false) => Learning::Off,
            },
            forgets_source: self.reset_source.value(),
            forgets_target: self.reset_target.value(),
        }
    }
}

/// An amount, 1 being 100 %.
fn percent(name: &str, default: f32, max: f32) -> FloatParam {
    FloatParam::new(name, default, FloatRange::Linear { min: 0.0, max })
        .with_unit(" %")
        .with_value_to_string(formatters::v2s_f32_percentage(0))
        .with_string_to_value(formatters::s2v_f32_percentage())
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
        let own = [
            "mix",
            "input-gain",
            "output-gain",
            "noise",
            "seed",
            "bypass",
            "mode",
            "latency",
            "worker",
            "channels",
            "wide-noise",
            "noise-amount",
            "temperature",
            "limiter",
            "gate",
            "freeze",
            "jitter",
            "prior",
            "prior-temperature",
        ];
        let latents = (1..=LATENTS).flat_map(|n| [format!("latent-bias_{n}"), format!("latent-scale_{n}")]);
        let sources = (1..=6).flat_map(|n| [format!("source-latent_{n}"), format!("source-depth_{n}")]);
        let learning = ["learn-source", "learn-target", "reset-source", "reset-target"].map(String::from);
        let steering = (1..=8).map(|n| format!("parameter_{n}"));
        let own = own.map(String::from).into_iter();
        let expected: Vec<String> = own.chain(latents).chain(sources).chain(learning).chain(steering).collect();
        assert_eq!(ids, expected);
    }
}
