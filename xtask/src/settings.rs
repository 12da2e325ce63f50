//! What a player would hold in a model's parameters: given as NAME=VALUE, or drawn.

use std::str::FromStr;

use anyhow::{Result, bail};
use runnel::graph::Parameter;
use runnel::random::Randomness;
use runnel::{Engine, StreamGraph};
use runnel_offline::Offline;

/// One `--set NAME=VALUE`, not yet matched with a model.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Setting {
    name: String,
    values: Vec<f32>,
}

/// What each parameter of a stream is held at; those not named stay at their defaults.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Settings {
    held: Vec<(String, Vec<f32>)>,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let needed = || format!("{text:?}: NAME=VALUE is needed, or NAME=VALUE,VALUE for several channels");
        let (name, values) = text.rsplit_once('=').ok_or_else(needed)?;
        let value = |v: &str| v.trim().parse::<f32>().ok().filter(|v| v.is_finite());
        let values = values.split(',').map(value).collect::<Option<Vec<_>>>().ok_or_else(needed)?;
        Ok(Self { name: name.trim().into(), values })
    }
}

impl Settings {
    /// `settings` for the parameters of `stream`.
    ///
    /// # Errors
    /// When there is no parameter of a name, or a value lies outside its range; says what there is.
    pub(crate) fn of(settings: &[Setting], stream: &StreamGraph) -> Result<Self> {
        let parameters = stream.parameters();
        let mut held = Vec::new();
        for Setting { name, values } in settings {
            let Some(parameter) = parameters.iter().find(|p| p.name.eq_ignore_ascii_case(name)) else {
                let known: Vec<_> = parameters.iter().map(|p| describe(p)).collect();
                match known[..] {
                    [] => bail!("cannot set {name:?}: the model has no parameters"),
                    _ => bail!("cannot set {name:?}: the model has {}", known.join("; ")),
                }
            };
            let channels = parameter.default.len();
            let values = if values.len() == 1 { vec![values[0]; channels] } else { values.clone() };
            let fits = values.iter().all(|v| (parameter.minimum..=parameter.maximum).contains(v));
            if values.len() != channels {
                bail!(
                    "cannot set {name:?}: {} values for {channels}; the model has {}",
                    values.len(),
                    describe(parameter)
                );
            }
            if !fits {
                bail!("cannot set {name:?} to {values:?}, out of its range; the model has {}", describe(parameter));
            }
            held.push((parameter.name.clone(), values));
        }
        Ok(Self { held })
    }

    /// A value within its range for each channel of each parameter of `stream`.
    pub(crate) fn drawn(stream: &StreamGraph, seed: u64) -> Self {
        let draw = |number: usize, p: &&Parameter| {
            let share = |c| Randomness::Seeded(seed).uniform(number as u32, 0, c) * 0.5 + 0.5;
            let value = |c| p.minimum + share(c) * (p.maximum - p.minimum);
            (p.name.clone(), (0..p.default.len()).map(value).collect())
        };
        Self { held: stream.parameters().iter().enumerate().map(|(number, p)| draw(number, p)).collect() }
    }

    /// Holds them in `engine`.
    pub(crate) fn set(&self, engine: &mut Engine) {
        for held in engine.parameters() {
            if let Some((_, values)) = self.held.iter().find(|(name, _)| *name == held.parameter().name) {
                values.iter().enumerate().for_each(|(c, value)| held.set(c, *value));
            }
        }
    }

    /// Holds them in `offline`, from frame 0 on, as an engine does that was just made.
    pub(crate) fn hold(&self, offline: &mut Offline) {
        self.held.iter().for_each(|(name, values)| offline.hold(name, 0, values));
    }
}

/// `drive: 0 to 10 dB, 5 without being set`.
pub(crate) fn describe(parameter: &Parameter) -> String {
    let Parameter { name, unit, default, minimum, maximum, .. } = parameter;
    let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
    let default: Vec<_> = default.iter().map(ToString::to_string).collect();
    let channels = if default.len() > 1 { format!("{} channels, ", default.len()) } else { String::new() };
    format!("{name:?}: {channels}{minimum} to {maximum}{unit}, {} unless set", default.join(","))
}

#[cfg(test)]
mod tests {
    use runnel::graph::{Graph, Op};
    use runnel::rewrite::rewrite_graph;

    use super::*;

    fn stream() -> StreamGraph {
        let parameter = |name: &str, default| Parameter {
            name: name.into(),
            unit: "dB".into(),
            default,
            minimum: -3.0,
            maximum: 9.0,
            every: 1,
        };
        let mut graph = Graph::new(2);
        let drive = graph.push("drive", Op::Parameter(parameter("Drive", vec![0.5])), &[0]).unwrap();
        let tone = graph.push("tone", Op::Parameter(parameter("tone", vec![1.0, 2.0])), &[0]).unwrap();
        let driven = graph.push("driven", Op::Mul, &[0, drive]).unwrap();
        graph.push("out", Op::Add, &[driven, tone]).unwrap();
        rewrite_graph(&graph).unwrap()
    }

    fn settings(texts: &[&str]) -> Result<Settings> {
        let settings: Vec<Setting> = texts.iter().map(|t| t.parse().unwrap()).collect();
        Settings::of(&settings, &stream())
    }

    #[test]
    fn names_and_values_are_matched_with_the_model() {
        let held = settings(&["drive=3", " tone = 1, -2 "]).unwrap().held;
        assert_eq!(held, [("Drive".to_owned(), vec![3.0]), ("tone".to_owned(), vec![1.0, -2.0])]);
        assert_eq!(settings(&["tone=4"]).unwrap().held[0].1, [4.0, 4.0]);
        for (text, told) in [
            ("gain=1", "\"Drive\": -3 to 9 dB, 0.5 unless set; \"tone\": 2 channels"),
            ("drive=10", "cannot set \"drive\" to [10.0], out of its range; the model has \"Drive\": -3 to 9 dB"),
            ("drive=1,2", "2 values for 1"),
        ] {
            let message = settings(&[text]).unwrap_err().to_string();
            assert!(message.contains(told), "{message}");
        }
        for text in ["drive", "drive=", "drive=loud", "drive=NaN", "drive=inf", "drive=1,"] {
            assert!(text.parse::<Setting>().unwrap_err().contains("NAME=VALUE"), "{text}");
        }
    }

    #[test]
    fn what_is_drawn_lies_in_range_and_differs() {
        let drawn = Settings::drawn(&stream(), 1).held;
        let values: Vec<_> = drawn.iter().flat_map(|(_, values)| values).collect();
        assert!(values.iter().all(|v| (-3.0..=9.0).contains(*v)), "{values:?}");
        assert!(values.windows(2).all(|pair| pair[0] != pair[1]), "{values:?}");
    }
}
