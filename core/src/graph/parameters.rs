//! What a model's parameters must be, by themselves and together.

use super::Parameter;

/// Longest name, in characters, and longest unit.
const NAME: usize = 64;
const UNIT: usize = 16;
/// Channels of one parameter beyond which a model is refused.
const MOST_CHANNELS: usize = 4096;

/// Each name once, in the order given.
pub(crate) fn distinct<'a>(all: impl Iterator<Item = &'a Parameter>) -> Vec<&'a Parameter> {
    let mut distinct: Vec<&Parameter> = Vec::new();
    for parameter in all {
        if distinct.iter().all(|other| other.name != parameter.name) {
            distinct.push(parameter);
        }
    }
    distinct
}

/// Whether `parameter` is what the others of its name are; how often it is looked at may differ.
pub(crate) fn agrees<'a>(parameter: &Parameter, mut others: impl Iterator<Item = &'a Parameter>) -> Result<(), String> {
    let differs = |other: &Parameter| Parameter { every: parameter.every, ..other.clone() } != *parameter;
    match others.find(|other| other.name == parameter.name && differs(other)) {
        Some(_) => Err(format!(
            "a second parameter {:?} with another default, range or unit; give it another name",
            parameter.name
        )),
        None => Ok(()),
    }
}

impl Parameter {
    /// What is wrong with its own numbers.
    pub(super) fn check(&self) -> Result<(), String> {
        let Self { name, unit, default, minimum, maximum, every } = self;
        let printable = |text: &str, most: usize| text.chars().count() <= most && !text.chars().any(char::is_control);
        if name.trim().is_empty() || !printable(name, NAME) || !printable(unit, UNIT) {
            return Err(format!(
                "name {:?}, unit {:?}: a name of 1 to {NAME} printable characters is needed, and a unit of at most {UNIT}",
                clip(name),
                clip(unit)
            ));
        }
        if *every == 0 {
            return Err("every is 0".into());
        }
        if !(1..=MOST_CHANNELS).contains(&default.len()) {
            return Err(format!("{} default values, 1 to {MOST_CHANNELS} are needed", default.len()));
        }
        if !(minimum.is_finite() && maximum.is_finite() && minimum < maximum) {
            return Err(format!("a range of {minimum} to {maximum}"));
        }
        match default.iter().find(|value| !(*minimum..=*maximum).contains(value)) {
            Some(value) => Err(format!("the default {value} lies outside {minimum} to {maximum}")),
            None => Ok(()),
        }
    }
}

fn clip(text: &str) -> String {
    text.chars().take(NAME).collect()
}
