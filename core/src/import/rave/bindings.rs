//! The bindings of `config.gin` that RAVE's networks depend on.

use super::layers::Stage;
use super::weights::malformed;
use crate::import::ImportError;
use crate::import::gin::{Config, Value};

/// The bindings of one class in one scope.
pub(super) struct Gin<'a> {
    pub(super) config: &'a Config,
    pub(super) scope: &'a str,
    pub(super) class: &'a str,
}

impl Gin<'_> {
    pub(super) fn value(&self, parameter: &str) -> Option<Value> {
        self.config.value(self.scope, self.class, parameter).filter(|value| *value != Value::None)
    }

    pub(super) fn count(&self, parameter: &str) -> Result<Option<usize>, ImportError> {
        self.value(parameter).map(|value| count(&format!("{}.{parameter}", self.class), &value)).transpose()
    }

    pub(super) fn ratios(&self) -> Result<Option<Vec<usize>>, ImportError> {
        let name = format!("{}.ratios", self.class);
        self.value("ratios").map(|value| counts(&name, &value)).transpose()
    }

    /// Ratios and dilations; a flat list of dilations serves every ratio.
    pub(super) fn stages(&self) -> Result<Vec<Stage>, ImportError> {
        let name = format!("{}.dilations", self.class);
        let value = self.value("dilations").ok_or_else(|| unbound(&name))?;
        let ratios = self.ratios()?.ok_or_else(|| unbound(&format!("{}.ratios", self.class)))?;
        let dilations = match value.list() {
            Some(entries) if entries.iter().all(|entry| entry.list().is_none()) => {
                vec![counts(&name, &value)?; ratios.len()]
            }
            _ => lists(&name, &value)?,
        };
        if dilations.len() != ratios.len() {
            let reason = format!("has {} lists for {} ratios; one per ratio is needed", dilations.len(), ratios.len());
            return Err(malformed(&format!("config.gin, {name}"), reason));
        }
        Ok(ratios.into_iter().zip(dilations).map(|(ratio, dilations)| Stage { ratio, dilations }).collect())
    }

    /// Refuses an activation that leaves no trace in the checkpoint and is not RAVE's own.
    pub(super) fn known_activation(&self) -> Result<(), ImportError> {
        for class in [self.class, "DilatedUnit"] {
            match self.config.value(self.scope, class, "activation") {
                None | Some(Value::None) => {}
                Some(Value::Reference(name)) if name.ends_with("Snake") => {}
                Some(other) => {
                    let reason = format!("is {other:?}; only the default leaky rectifier and Snake can be read");
                    return Err(malformed(&format!("config.gin, {class}.activation"), reason));
                }
            }
        }
        Ok(())
    }
}

/// The class that a parameter names, without its module, and the scope it is to be built in.
pub(super) fn reference(
    config: &Config,
    scope: &str,
    class: &str,
    parameter: &str,
) -> Result<(String, String), ImportError> {
    match config.value(scope, class, parameter) {
        Some(Value::Reference(name)) => {
            let (scope, path) = name.rsplit_once('/').unwrap_or(("", &name));
            Ok((path.rsplit('.').next().unwrap_or(path).to_string(), scope.to_string()))
        }
        _ => Err(unbound(&format!("{class}.{parameter}"))),
    }
}

pub(super) fn count(name: &str, value: &Value) -> Result<usize, ImportError> {
    const LIMIT: i64 = 1 << 24;
    match value {
        Value::Int(n) if (1..=LIMIT).contains(n) => Ok(*n as usize),
        Value::Float(x) if x.fract() == 0.0 && (1.0..=LIMIT as f64).contains(x) => Ok(*x as usize),
        other => Err(malformed(
            &format!("config.gin, {name}"),
            format!("is {other:?}; a number from 1 to {LIMIT} is needed"),
        )),
    }
}

fn counts(name: &str, value: &Value) -> Result<Vec<usize>, ImportError> {
    match value {
        Value::List(entries) => entries.iter().map(|entry| count(name, entry)).collect(),
        other => Err(malformed(&format!("config.gin, {name}"), format!("is {other:?}; a list is needed"))),
    }
}

pub(super) fn lists(name: &str, value: &Value) -> Result<Vec<Vec<usize>>, ImportError> {
    match value {
        Value::List(entries) => entries.iter().map(|entry| counts(name, entry)).collect(),
        other => Err(malformed(&format!("config.gin, {name}"), format!("is {other:?}; a list of lists is needed"))),
    }
}

fn unbound(name: &str) -> ImportError {
    malformed(
        "config.gin",
        format!("does not bind {name}; take the config.gin that training wrote into the run folder"),
    )
}
