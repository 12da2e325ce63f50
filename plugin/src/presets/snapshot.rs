//! All settings at one moment, to be put back later.

use std::collections::{BTreeMap, HashMap};

use nice_plug::params::enums::Enum;
use nice_plug::prelude::{BoolParam, EnumParam, FloatParam, IntParam, Param, ParamPtr, Params};
use serde::{Deserialize, Serialize};

use crate::editor::hand::Hand;
use crate::params::RunnelParams;

/// Values by the ids of the parameters, as people write them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Settings(BTreeMap<String, Value>);

/// A parameter's plain value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// On or off.
    Switch(bool),
    /// An amount or a count.
    Number(f64),
    /// One of several, by its id.
    Choice(String),
}

impl Settings {
    /// The settings as they are.
    pub fn capture(params: &RunnelParams) -> Self {
        Self(slots(params).map(|(id, slot)| (id, slot.value(false))).collect())
    }

    /// The settings of a new instance.
    pub fn defaults(params: &RunnelParams) -> Self {
        Self(slots(params).map(|(id, slot)| (id, slot.value(true))).collect())
    }

    /// The same with another value.
    pub fn with(mut self, id: &str, value: Value) -> Self {
        self.0.insert(id.to_owned(), value);
        self
    }

    /// Sets what differs, each as one gesture, so that the host can record and undo it.
    ///
    /// # Errors
    /// In words, and nothing is set, when a value does not suit its parameter.
    pub fn apply(&self, params: &RunnelParams, hand: &Hand) -> Result<(), String> {
        let given = slots(params).filter_map(|(id, slot)| Some((self.0.get(&id)?, id, slot)));
        let targets: Vec<_> = given
            .map(|(value, id, slot)| {
                let target = slot.normalized(value).ok_or_else(|| format!("{value:?} is no setting of “{id}”"))?;
                Ok((slot, target))
            })
            .collect::<Result<_, String>>()?;
        for (slot, target) in targets {
            slot.turn(hand, target);
        }
        Ok(())
    }
}

/// A parameter of any type.
trait Slot {
    fn pointer(&self) -> ParamPtr;
    fn value(&self, default: bool) -> Value;
    fn normalized(&self, value: &Value) -> Option<f32>;
    fn turn(&self, hand: &Hand, target: f32);
}

macro_rules! slot {
    ([$($generic:ident)?] $param:ty, $value:expr, $plain:expr) => {
        impl $(<$generic: Enum + PartialEq + Copy + 'static>)? Slot for $param {
            fn pointer(&self) -> ParamPtr {
                self.as_ptr()
            }

            fn value(&self, default: bool) -> Value {
                $value(if default { self.default_plain_value() } else { self.unmodulated_plain_value() })
            }

            fn normalized(&self, value: &Value) -> Option<f32> {
                $plain(value).map(|plain| self.preview_normalized(plain))
            }

            fn turn(&self, hand: &Hand, target: f32) {
                if self.unmodulated_normalized_value() != target {
                    hand.set(self, target);
                }
            }
        }
    };
}

slot!([] FloatParam, |x: f32| Value::Number(shortest(x)), |value: &Value| match value {
    Value::Number(x) if x.is_finite() => Some(*x as f32),
    _ => None,
});
slot!([] IntParam, |x: i32| Value::Number(f64::from(x)), |value: &Value| match value {
    Value::Number(x) if x.is_finite() => Some(x.round() as i32),
    _ => None,
});
slot!([] BoolParam, Value::Switch, |value: &Value| match value {
    Value::Switch(on) => Some(*on),
    _ => None,
});
slot!([T] EnumParam<T>, |choice: T| Value::Choice(choice_id(choice)), |value: &Value| match value {
    Value::Choice(id) => (0..T::variants().len()).map(T::from_index).find(|&choice| choice_id(choice) == *id),
    _ => None,
});

/// All parameters of the sound by their ids: bypass, latency and thread belong to the track and the machine, and to learn
/// is an act.
fn slots(params: &RunnelParams) -> impl Iterator<Item = (String, &dyn Slot)> {
    let ids: HashMap<ParamPtr, String> = params.param_map().into_iter().map(|(id, at, _)| (at, id)).collect();
    let p = params;
    let own: [&dyn Slot; 16] = [
        &p.mix,
        &p.input_gain,
        &p.output_gain,
        &p.noise,
        &p.seed,
        &p.mode,
        &p.channels,
        &p.wide_noise,
        &p.noise_amount,
        &p.temperature,
        &p.limiter,
        &p.gate,
        &p.freeze,
        &p.jitter,
        &p.prior,
        &p.prior_temperature,
    ];
    let latents = p.latents.iter().flat_map(|latent| [&latent.bias as &dyn Slot, &latent.scale]);
    let sources = p.sources.iter().flat_map(|source| [&source.latent as &dyn Slot, &source.depth]);
    let steering = p.steering.iter().map(|steering| &steering.share as &dyn Slot);
    own.into_iter().chain(latents).chain(sources).chain(steering).map(move |slot| (ids[&slot.pointer()].clone(), slot))
}

fn choice_id<T: Enum>(choice: T) -> String {
    let index = choice.to_index();
    T::ids().map_or(T::variants()[index], |ids| ids[index]).to_owned()
}

/// The number that people would write for this one.
fn shortest(x: f32) -> f64 {
    x.to_string().parse().unwrap_or_else(|_| f64::from(x))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOT_SOUND: [&str; 7] =
        ["bypass", "latency", "worker", "learn-source", "learn-target", "reset-source", "reset-target"];

    #[test]
    fn every_parameter_of_the_sound_is_captured() {
        let params = RunnelParams::default();
        let mut ids: Vec<_> = params.param_map().into_iter().map(|(id, ..)| id).collect();
        ids.retain(|id| !NOT_SOUND.contains(&id.as_str()));
        ids.sort();
        let Settings(captured) = Settings::capture(&params);
        assert_eq!(captured.into_keys().collect::<Vec<_>>(), ids);
    }

    #[test]
    fn values_are_written_as_people_write_them() {
        let params = RunnelParams::default();
        let Settings(captured) = Settings::capture(&params);
        assert_eq!(captured["mix"], Value::Number(1.0));
        assert_eq!(captured["noise"], Value::Switch(true));
        assert_eq!(captured["mode"], Value::Choice("forward".into()));
        assert_eq!(captured, Settings::defaults(&params).0);
    }

    #[test]
    fn values_go_back_and_forth() {
        let params = RunnelParams::default();
        for (id, slot) in slots(&params) {
            let there = slot.normalized(&slot.value(true)).unwrap();
            assert!((there - slot.normalized(&slot.value(false)).unwrap()).abs() < 1e-6, "{id}");
        }
        assert_eq!(params.mode.normalized(&Value::Choice("play".into())), Some(1.0));
        assert_eq!(params.mix.normalized(&Value::Number(9.0)), Some(1.0), "beyond the range is its end");
    }

    #[test]
    fn what_does_not_suit_is_refused() {
        let params = RunnelParams::default();
        let bad = [
            ("mix", Value::Switch(true)),
            ("mix", Value::Number(f64::NAN)),
            ("mode", Value::Choice("backward".into())),
            ("noise", Value::Number(1.0)),
        ];
        for (id, value) in bad {
            let refused = Settings::default().with(id, value).apply(&params, &Hand::idle());
            assert!(refused.unwrap_err().contains(id));
        }
        let unknown = Settings::default().with("from the future", Value::Number(1.0));
        assert!(unknown.apply(&params, &Hand::idle()).is_ok());
        for id in NOT_SOUND {
            assert!(Settings::default().with(id, Value::Number(7.0)).apply(&params, &Hand::idle()).is_ok());
        }
    }
}
