//! Presets that come with the plugin: sensible for any model.

use super::Settings;
use super::snapshot::Value;
use crate::params::RunnelParams;

/// Names, in the order of the menu, and what each is for.
pub const ALL: [(&str, &str); 6] = [
    ("As trained", "The model alone, nothing changed"),
    ("Half dry", "Half the input, half the model, aligned to the sample"),
    ("Wide", "Each side draws its own noise"),
    ("Slow drift", "The latents wander around what is played"),
    ("Frozen", "Holds the sound of this moment"),
    ("Clean", "No randomness: the same sound every time"),
];

/// The settings of a factory preset.
pub fn settings(name: &str, params: &RunnelParams) -> Option<Settings> {
    let trained = Settings::defaults(params);
    let on = Value::Switch(true);
    Some(match name {
        "As trained" => trained,
        "Half dry" => trained.with("mix", Value::Number(0.5)),
        "Wide" => trained.with("wide-noise", on),
        "Slow drift" => trained.with("jitter", Value::Number(0.35)).with("wide-noise", on),
        "Frozen" => trained.with("freeze", on),
        "Clean" => trained.with("noise", Value::Switch(false)).with("temperature", Value::Number(0.0)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::editor::hand::Hand;

    #[test]
    fn all_of_them_suit_the_parameters() {
        let params = RunnelParams::default();
        for (name, _) in ALL {
            settings(name, &params).unwrap().apply(&params, &Hand::idle()).unwrap();
        }
    }
}
