//! The `.runnel` file: what is saved is what is loaded, and one test for each way to be malformed.

use std::sync::Arc;

use proptest::prelude::*;
use runnel::graph::{Conv1d, Gru, LayerNorm, Lstm, Op, Parameter, Pointwise, Reset, Rnn, RnnActivation};
use runnel::model::Provenance;
use runnel::rewrite::rewrite;
use runnel::{Graph, Info, Latent, Model, StreamModel, Tensor, format};
use serde_json::Value;

use crate::strategy;

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_saved_model_is_the_model(strategy::Case(graph) in strategy::graph()) {
        let model = rewrite(&Model { forward: graph, latent: None, prior: None, info: info(0) }).unwrap();
        let loaded = format::from_bytes(&format::to_bytes(&model).unwrap()).unwrap();
        prop_assert_eq!(loaded, model);
    }

    #[test]
    fn any_change_is_read_or_refused(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = saved();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = format::from_bytes(&bytes);
    }
}

#[test]
fn a_weight_is_held_once() {
    let file = saved();
    let tensors = safetensors::SafeTensors::deserialize(&file).unwrap();
    // Two convolutions, each with a weight; three methods use them.
    assert_eq!(tensors.names().len(), 2, "{:?}", tensors.names());
    let model = format::from_bytes(&file).unwrap();
    let latent = model.latent.unwrap();
    let (a, b) = (model.forward.weights().next().unwrap(), latent.encode.weights().next().unwrap());
    assert!(Arc::ptr_eq(a, b));
}

#[test]
fn every_truncation_is_refused() {
    let file = saved();
    for len in 0..file.len() {
        assert!(format::from_bytes(&file[..len]).is_err(), "{len} of {} bytes", file.len());
    }
}

#[test]
fn safetensors_of_others_are_refused() {
    let data = [0u8; 4];
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1], &data).unwrap();
    let other = safetensors::serialize([("a", view)], None).unwrap();
    refused(&other, "without Runnel's header");
}

#[test]
fn a_file_of_the_future_is_refused() {
    refused(&changed(|header| header["version"] = 3.into()), "update Runnel");
}

#[test]
fn only_what_version_1_lacks_needs_version_2() {
    let version = |file: &[u8]| {
        let (_, metadata) = safetensors::SafeTensors::read_metadata(file).unwrap();
        let header: Value = serde_json::from_str(&metadata.metadata().as_ref().unwrap()["runnel"]).unwrap();
        header["version"].as_u64()
    };
    assert_eq!(version(&saved()), Some(1));
    let of = |op: Op| {
        let name = op.name();
        let mut graph = Graph::new(1);
        let inputs = if op == Op::Max { &[0, 0][..] } else { &[0] };
        graph.push("op", op, inputs).unwrap();
        let model = rewrite(&Model { forward: graph, latent: None, prior: None, info: info(0) }).unwrap();
        let file = format::to_bytes(&model).unwrap();
        assert_eq!(format::from_bytes(&file).unwrap(), model, "{name}");
        version(&file)
    };
    let weight = |shape: &[usize]| Arc::new(Tensor::new(shape, vec![0.5; shape.iter().product()]));
    let gru = |reset, initial_hidden| Gru { reset, initial_hidden, ..gru() };
    let known = [
        Op::Pointwise(Pointwise::Tanh),
        Op::Repeat { factor: 2 },
        Op::Gaussian { channels: 1, key: 0 },
        Op::Gru(gru(Reset::Product, None)),
    ];
    for known in known {
        assert_eq!(of(known.clone()), Some(1), "{known:?}");
    }
    let lstm = Lstm {
        weight_ih: weight(&[4, 1]),
        weight_hh: weight(&[4, 1]),
        bias: weight(&[4]),
        initial_hidden: weight(&[1]),
        initial_cell: weight(&[1]),
    };
    let rnn = Rnn {
        weight_ih: weight(&[1, 1]),
        weight_hh: weight(&[1, 1]),
        bias: weight(&[1]),
        initial_hidden: weight(&[1]),
        activation: RnnActivation::Relu,
    };
    let parameter = Parameter {
        name: "drive".into(),
        unit: String::new(),
        default: vec![0.5],
        minimum: 0.0,
        maximum: 1.0,
        every: 2,
    };
    let ops = [
        Op::AdaIn { source: None, target: None },
        Op::Lstm(lstm),
        Op::Gru(gru(Reset::State, None)),
        Op::Gru(gru(Reset::Product, Some(weight(&[1])))),
        Op::Rnn(rnn),
        Op::PRelu { slope: weight(&[1]) },
        Op::Parameter(parameter),
        Op::Max,
        Op::LayerNorm(LayerNorm { weight: None, bias: None, epsilon: 0.1, centred: true, groups: 1 }),
        Op::Softmax { groups: 1 },
    ];
    let functions = [
        Pointwise::Silu,
        Pointwise::HardSwish,
        Pointwise::Softsign,
        Pointwise::Clamp { low: -1.0, high: 1.0 },
        Pointwise::LeakyHardTanh { low: -1.0, high: 1.0, low_slope: 0.1, high_slope: 0.1 },
        Pointwise::FastTanh,
        Pointwise::Elu { alpha: 0.5 },
        Pointwise::Gelu,
        Pointwise::GeluTanh,
        Pointwise::Erf,
        Pointwise::Exp,
        Pointwise::Log,
        Pointwise::Sqrt,
        Pointwise::Reciprocal,
        Pointwise::Sin,
        Pointwise::Cos,
        Pointwise::Abs,
        Pointwise::Power { exponent: 2.0 },
    ];
    for new in ops.into_iter().chain(functions.map(Op::Pointwise)) {
        assert_eq!(of(new.clone()), Some(2), "{new:?}");
    }
}

/// A file of version 1 says no more of a GRU than its four tensors.
#[test]
fn a_usual_gru_is_written_as_it_always_was() {
    let mut graph = Graph::new(1);
    graph.push("gru", Op::Gru(gru()), &[0]).unwrap();
    let model = rewrite(&Model { forward: graph, latent: None, prior: None, info: info(0) }).unwrap();
    let file = format::to_bytes(&model).unwrap();
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&file).unwrap();
    let header: Value = serde_json::from_str(&metadata.metadata().as_ref().unwrap()["runnel"]).unwrap();
    let written = &header["methods"]["forward"]["nodes"][1]["op"]["gru"];
    let keys: Vec<_> = written.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["bias_hh", "bias_ih", "weight_hh", "weight_ih"]);
}

#[test]
fn a_missing_tensor_is_named() {
    let renamed = changed(|header| header["methods"]["forward"]["nodes"][1]["op"]["conv"]["weight"] = "lost".into());
    refused(&renamed, "encoder: tensor lost is missing");
}

#[test]
fn a_wrong_latency_is_refused() {
    let lying = changed(|header| header["methods"]["forward"]["latency_samples"] = 0.into());
    refused(&lying, "tells a latency of 0 samples, its streams have 2");
}

#[test]
fn nodes_that_do_not_fit_are_named() {
    refused(&changed(|header| header["methods"]["forward"]["nodes"][1]["inputs"] = vec![7].into()), "reads node 7");
    let nodes = |header: &mut Value| header["methods"]["forward"]["nodes"][0]["op"]["input"]["channels"] = 3.into();
    refused(&changed(nodes), "encoder");
    let enormous =
        |header: &mut Value| header["methods"]["forward"]["nodes"][0]["op"]["input"]["channels"] = (1u64 << 40).into();
    refused(&changed(enormous), "channels");
}

#[test]
fn strides_without_a_common_hop_are_refused() {
    let stride = |header: &mut Value| {
        header["methods"]["forward"]["nodes"][1]["op"]["conv"]["kind"] =
            serde_json::json!({ "strided": { "stride": 1u64 << 50 } });
    };
    refused(&changed(stride), "no common hop");
}

#[test]
fn a_model_without_its_other_half_is_refused() {
    refused(&changed(|header| drop(header["methods"].as_object_mut().unwrap().remove("decode"))), "only one of");
    refused(&changed(|header| drop(header["methods"].as_object_mut().unwrap().remove("forward"))), "no method forward");
    refused(&changed(|header| header["info"]["latent_names"] = Value::Array(vec![])), "latents");
}

#[test]
fn weights_that_are_not_numbers_are_refused() {
    let mut model = saved();
    let last = model.len() - 4;
    model[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    refused(&model, "is NaN");
}

#[test]
fn a_failed_run_leaves_what_was_there() {
    let folder = std::env::temp_dir().join(format!("runnel-file-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("taken.runnel")).unwrap();
    let model = streamed();
    assert!(format::save(&model, &folder.join("taken.runnel")).is_err(), "a folder is not replaced");
    assert!(format::save(&model, &folder.join("missing/model.runnel")).is_err());
    let path = folder.join("model.runnel");
    format::save(&model, &path).unwrap();
    assert_eq!(format::load(&path).unwrap(), model);
    let left: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "nothing unfinished stays: {left:?}");
    std::fs::remove_dir_all(&folder).unwrap();
}

fn refused(file: &[u8], why: &str) {
    let error = format::from_bytes(file).expect_err(why);
    assert!(error.contains(why), "{error:?} does not say {why:?}");
}

/// The saved model with its description changed.
fn changed(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let file = saved();
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&file).unwrap();
    let mut header: Value = serde_json::from_str(&metadata.metadata().as_ref().unwrap()["runnel"]).unwrap();
    change(&mut header);
    let tensors = safetensors::SafeTensors::deserialize(&file).unwrap();
    let metadata = [("runnel".to_string(), header.to_string())].into();
    safetensors::serialize(tensors.tensors(), Some(metadata)).unwrap()
}

fn saved() -> Vec<u8> {
    format::to_bytes(&streamed()).unwrap()
}

/// Two small convolutions with the latents between them.
fn streamed() -> StreamModel {
    let conv = |value: f32| {
        let weight = Arc::new(Tensor::new([1, 1, 3], vec![value, 0.5, 0.25]));
        Op::Conv1d(Conv1d { weight, bias: None, stride: 1, dilation: 1, left_padding: 1, groups: 1 })
    };
    let half = |name: &str, value: f32| {
        let mut graph = Graph::new(1);
        graph.push(name, conv(value), &[0]).unwrap();
        graph
    };
    let (encode, decode) = (half("encoder", 0.1), half("decoder", 0.2));
    let forward = encode.then("latents", &decode).unwrap();
    rewrite(&Model { forward, latent: Some(Latent { encode, decode }), prior: None, info: info(1) }).unwrap()
}

/// One unit, in PyTorch's form.
fn gru() -> Gru {
    let weight = |shape: &[usize], value: f32| Arc::new(Tensor::new(shape, vec![value; shape.iter().product()]));
    Gru {
        weight_ih: weight(&[3, 1], 0.5),
        weight_hh: weight(&[3, 1], 0.25),
        bias_ih: weight(&[3], 0.5),
        bias_hh: weight(&[3], 0.25),
        reset: Reset::Product,
        initial_hidden: None,
    }
}

fn info(latents: usize) -> Info {
    Info {
        name: "test".into(),
        description: "a test".into(),
        sampling_rate: 48_000,
        latent_names: (1..=latents).map(|i| format!("latent {i}")).collect(),
        levels: runnel::Levels::default(),
        refit: None,
        provenance: Provenance { source: "none".into(), sha256: String::new(), converter: "runnel".into() },
    }
}
