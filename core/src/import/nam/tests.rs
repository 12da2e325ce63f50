//! What is wrong with a file is said with its place, its numbers and the cure.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::from_bytes;
use crate::Model;
use crate::import::{ImportError, Options};

fn read(model: &Value, size: Option<f32>) -> Result<Model, ImportError> {
    from_bytes("x", "x.nam", model.to_string().as_bytes(), &Options { size, ..Options::default() })
}

/// A WaveNet of one array of two layers, two channels wide.
fn wavenet() -> Value {
    let array = json!({
        "input_size": 1, "condition_size": 1, "channels": 2, "kernel_size": 2, "dilations": [1, 3], "activation": "Tanh",
        "head_size": 1, "head_bias": true
    });
    // rechannel, two layers of conv, mixin and matrix, head, scale
    let count = 2 + 2 * (2 * 2 * 2 + 2 + 2 + 4 + 2) + 3 + 1;
    let weights: Vec<f64> = (0..count).map(|i| f64::from(i % 7) / 8.0 - 0.4).collect();
    json!({
        "version": "0.7.0", "architecture": "WaveNet", "config": { "layers": [array], "head_scale": 0.5 },
        "weights": weights, "sample_rate": 44100, "metadata": { "loudness": -20.25, "name": "A\u{7}b" }
    })
}

fn lstm() -> Value {
    let count = 4 * 2 * (1 + 2) + 4 * 2 + 2 + 2 + 2 + 1;
    let weights: Vec<f64> = (0..count).map(|i| f64::from(i % 5) / 4.0 - 0.4).collect();
    let config = json!({ "num_layers": 1, "input_size": 1, "hidden_size": 2 });
    json!({ "version": "0.5.4", "architecture": "LSTM", "config": config, "weights": weights })
}

#[test]
fn facts_are_told() {
    let model = read(&wavenet(), None).unwrap();
    assert_eq!(model.info.sampling_rate, 44_100);
    assert_eq!(model.info.levels.loudness_db, Some(-20.25));
    let expected =
        "NAM 0.7.0 WaveNet, 2 channels, 2 layers, receptive field 5 samples, 44100 Hz, loudness -20.2 dB, \"Ab\"";
    assert_eq!(model.info.description, expected);
    let model = read(&lstm(), None).unwrap();
    assert_eq!(model.info.sampling_rate, 48_000);
    assert!(model.info.description.contains("48000 Hz assumed"), "{}", model.info.description);
}

/// Replaces what stands at a JSON pointer.
fn changed(mut model: Value, at: &str, value: Value) -> Value {
    *model.pointer_mut(at).unwrap_or_else(|| panic!("{at} exists")) = value;
    model
}

/// A second array, which reads `input_size` channels of the first one's two.
fn two_arrays(input_size: usize) -> Value {
    let mut model = wavenet();
    let mut second = model["config"]["layers"][0].clone();
    second["input_size"] = input_size.into();
    model["config"]["layers"].as_array_mut().unwrap().push(second);
    model
}

#[test]
fn what_is_wrong_is_named() {
    let more = |by: i64| {
        let mut weights = wavenet()["weights"].as_array().unwrap().clone();
        weights.resize((weights.len() as i64 + by) as usize, json!(0.5));
        changed(wavenet(), "/weights", weights.into())
    };
    let array = "/config/layers/0";
    let at = |key: &str| format!("{array}/{key}");
    for (model, reasons) in [
        (more(1), &["describes 42 weights", "holds 43"][..]),
        (more(-1), &["head_scale", "needs 1 weights", "holds 41"]),
        (more(-10), &["array0.layer1", "holds 32"]),
        (changed(wavenet(), "/version", json!("0.8.0")), &["version 0.8.0", "update Runnel"]),
        (changed(wavenet(), "/version", json!("7")), &["version 7", "update Runnel"]),
        (changed(wavenet(), "/architecture", json!("Transformer")), &["Transformer", "known are WaveNet"]),
        (changed(wavenet(), &at("activation"), json!("Snake")), &["layers[0]: layer 0", "Snake", "known are Tanh"]),
        (changed(wavenet(), &at("activation"), json!(["Tanh"])), &["1 options for 2 layers"]),
        (
            changed(wavenet(), &at("activation"), json!({"type": "PReLU", "negative_slopes": [0.5, 0.5, 0.5]})),
            &["3 negative_slopes for 2 channels"],
        ),
        (changed(wavenet(), &at("kernel_size"), json!(0)), &["kernel size 0"]),
        (changed(wavenet(), &at("kernel_size"), json!(1u64 << 60)), &["weights from number 2 on"]),
        (changed(wavenet(), &at("dilations"), json!([1, 1u64 << 60])), &["array0.layer1.conv", "reach beyond"]),
        (changed(wavenet(), &at("dilations"), json!([])), &["no layers"]),
        (changed(wavenet(), &at("channels"), json!(1u64 << 40)), &["needs 1099511627776 weights"]),
        (changed(wavenet(), &at("channels"), json!(-1)), &["config", "-1"]),
        (changed(wavenet(), &at("condition_size"), json!(2)), &["array0.layer0.input_mixin", "2, 1 are needed"]),
        (two_arrays(1), &["array1.rechannel", "1 inputs of which 2 arrive"]),
        (changed(wavenet(), "/sample_rate", json!(0.5)), &["sample_rate", "0.5"]),
        (changed(wavenet(), "/weights/3", json!(1e300)), &["weight 3 is inf"]),
        (changed(lstm(), "/config/num_layers", json!(1u64 << 62)), &["layer1", "holds 39"]),
        (changed(lstm(), "/config/hidden_size", json!(0)), &["hidden size 0"]),
        (json!({"architecture": "WaveNet"}), &["missing field"]),
        (json!({"a": 1}), &["names no architecture"]),
    ] {
        let message = read(&model, None).unwrap_err().to_string();
        assert!(reasons.iter().all(|reason| message.contains(reason)), "{reasons:?} in {message}");
    }
}

#[test]
fn sizes_are_for_models_that_have_them() {
    for size in [-0.1, 1.1, f32::NAN] {
        assert!(read(&wavenet(), Some(size)).unwrap_err().to_string().contains("from 0, the smallest"));
    }
    assert!(read(&wavenet(), Some(0.5)).unwrap_err().to_string().contains("leave the size out"));
    let sub = |max_value: f64, model: Value| json!({ "max_value": max_value, "model": model });
    let container = |submodels: Vec<Value>| {
        let config = json!({ "submodels": submodels });
        json!({ "version": "0.7.0", "architecture": "SlimmableContainer", "config": config })
    };
    let both = container(vec![sub(0.5, lstm()), sub(1.0, wavenet())]);
    for (size, expected) in [(None, "WaveNet"), (Some(0.49), "LSTM"), (Some(0.5), "WaveNet")] {
        assert!(read(&both, size).unwrap().info.description.contains(expected));
    }
    for (submodels, reason) in [
        (vec![], "at least one"),
        (vec![sub(0.5, lstm())], "at least 1 is needed"),
        (vec![sub(1.0, lstm()), sub(1.0, wavenet())], "ascending"),
        (vec![json!({ "max_value": 1.0 })], "max_value and model"),
    ] {
        let message = read(&container(submodels), None).unwrap_err().to_string();
        assert!(message.contains(reason), "{message}");
    }
    let deep = (0..8).fold(wavenet(), |model, _| container(vec![sub(1.0, model)]));
    assert!(read(&deep, None).unwrap_err().to_string().contains("deep"));
}

proptest! {
    /// Any value anywhere gives a model or an error, soon.
    #[test]
    fn nothing_panics(path in 0..40usize, value in prop::sample::select(vec![
        json!(null), json!(0), json!(-1), json!(3), json!(u64::MAX), json!(1e300), json!("x"), json!([]), json!({}),
        json!(true), json!([1, 2]), json!({"active": true}), json!("gated"),
    ]), recurrent in any::<bool>()) {
        let mut model = if recurrent { lstm() } else { wavenet() };
        let mut places = vec![];
        collect(&model, String::new(), &mut places);
        *model.pointer_mut(&places[path % places.len()]).unwrap() = value;
        let _ = read(&model, None);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0..2000usize) {
        let _ = from_bytes("x", "x.nam", &bytes, &Options::default());
        let text = wavenet().to_string();
        prop_assert!(from_bytes("x", "x.nam", &text.as_bytes()[..cut % text.len()], &Options::default()).is_err());
    }
}

/// Pointers to everything but single weights.
fn collect(value: &Value, at: String, places: &mut Vec<String>) {
    match value {
        Value::Object(entries) => entries.iter().for_each(|(key, value)| collect(value, format!("{at}/{key}"), places)),
        Value::Array(entries) if entries.len() < 5 => {
            entries.iter().enumerate().for_each(|(i, value)| collect(value, format!("{at}/{i}"), places));
        }
        _ => {}
    }
    if !at.is_empty() {
        places.push(at);
    }
}
