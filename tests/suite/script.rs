//! TorchScript, from files to streams: the models in `tests/golden/script`, made and recorded by `make_script.py`.

use std::path::{Path, PathBuf};

use runnel::graph::Op;
use runnel::import::{self, Options};
use runnel::rewrite::rewrite_graph;
use runnel::{Engine, Plan, Randomness};
use safetensors::SafeTensors;

use crate::onnx::{recorded, streams_are_what_was_recorded};

/// Models that cannot stream, and words of the reason that each is refused for.
const REFUSED: [(&str, &[&str]); 17] = [
    ("attention", &["line 12", "torch.matmul", "attention"]),
    ("bidirectional", &["layer, ", "torch.gru", "runs both ways in time", "forward layer"]),
    ("cached", &["copy_", "streaming export", "use_cached_conv(False)"]),
    ("counted", &["called again", "one rule for all frames"]),
    ("decided", &["torch.sum", "whole signal"]),
    ("endless", &["steps", "no end"]),
    ("flip", &["torch.flip", "turns the signal in time"]),
    ("global_pool", &["torch.mean", "whole signal", "batch norm"]),
    ("huge", &["torch.ones", "out of proportion"]),
    ("instance_norm", &["instance_norm", "whole signal"]),
    ("kept", &["last (method)", "for the next call to read"]),
    ("liar", &["forward_params", "1/2"]),
    ("listed", &["heard (method)", "for the next call to read"]),
    ("raised", &["error of the model's own", "two channels are needed"]),
    ("table", &["dictionary"]),
    ("uniform", &["torch.rand_like", "torch.randn"]),
    ("worn", &["called again", "one rule for all frames"]),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/script")
}

/// Every stream is what PyTorch computed, from the first frame to the last, whatever the blocks.
#[test]
fn streams_are_what_pytorch_computes() {
    let recordings = recorded(&folder());
    assert!(recordings.len() >= 11, "{} models", recordings.len());
    streams_are_what_was_recorded(&folder(), "ts", recordings);
}

#[test]
fn what_cannot_stream_is_refused_by_name() {
    for (name, words) in REFUSED {
        let path = folder().join(format!("refused/{name}.ts"));
        let message = import::open(&path, &Options::default()).expect_err(name).to_string();
        for word in words {
            assert!(message.contains(word), "{name}: {message:?} lacks {word:?}");
        }
    }
}

/// A model whose forward is its encoder and then its decoder has latents; its file tells its rate.
#[test]
fn the_method_table_makes_an_autoencoder() {
    let model = import::open(&folder().join("autoencoder.ts"), &Options::default()).unwrap();
    let latent = model.latent.expect("it has encode and decode");
    assert_eq!((latent.encode.input().channels, latent.encode.output().channels), (2, 3));
    assert_eq!((latent.decode.input().channels, latent.decode.output().channels), (3, 2));
    assert_eq!(latent.encode.output().rate.to_string(), "1/16");
    assert_eq!((model.info.sampling_rate, model.info.latent_names.len()), (48_000, 3));
    let told = Options { sampling_rate: Some(16_000), ..Options::default() };
    assert_eq!(import::open(&folder().join("autoencoder.ts"), &told).unwrap().info.sampling_rate, 16_000);
}

/// Of a file with several methods one is chosen; its attributes' floats are parameters where the code only computes with
/// them, and what a host writes there is heard as in PyTorch.
#[test]
fn a_method_is_chosen_and_its_attributes_are_held() {
    let path = folder().join("effects.ts");
    let open = |method: Option<&str>| {
        import::open(&path, &Options { method: method.map(str::to_owned), ..Options::default() })
    };
    for method in [None, Some("reverb")] {
        let message = open(method).expect_err("no such method").to_string();
        assert!(message.contains("choose one of its methods"), "{message}");
        assert!(message.contains("choose, shape, sides"), "{message}");
    }
    assert_eq!(open(Some("sides")).unwrap().forward.input().channels, 2);
    let fixed = open(Some("choose")).unwrap();
    let names = |model: &runnel::Model| -> Vec<String> {
        model.forward.parameters().iter().map(|parameter| parameter.name.clone()).collect()
    };
    assert_eq!(names(&fixed), ["drive"]);
    assert!(fixed.info.description.contains("above stays 0.7"), "{}", fixed.info.description);

    let model = open(Some("shape")).unwrap();
    assert_eq!(names(&model), ["drive", "factors 1", "factors 2", "factors 3"]);
    let bytes = std::fs::read(folder().join("recorded.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let read = |name: &str| -> Vec<f32> {
        let tensor = tensors.tensor(name).unwrap();
        tensor.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
    };
    let x = read("effects.x");
    let plan = Plan::new(&rewrite_graph(&model.forward).unwrap()).unwrap();
    assert_eq!(plan.latency_samples(), 0);
    for (wanted, values) in [("effects.shape", [1.5, 0.8, -0.3, 0.0]), ("effects.moved", [0.5, 0.25, 0.5, -0.75])] {
        let mut engine = Engine::new(plan.clone(), Randomness::Deterministic);
        engine.parameters().iter_mut().zip(values).for_each(|(held, value)| held.set(0, value));
        let mut y = vec![f32::NAN; x.len()];
        engine.process(&[&x], &mut [&mut y]);
        for (frame, (y, wanted)) in y.iter().zip(read(wanted)).enumerate() {
            assert!((y - wanted).abs() < 1e-6, "{frame}: {y}, {wanted} wanted");
        }
    }
}

/// A Neutone model's own values are parameters; its rate is the first that it was made for.
#[test]
fn neutone_models_keep_their_parameters() {
    let model = import::open(&folder().join("neutone.ts"), &Options::default()).unwrap();
    assert_eq!((model.forward.input().channels, model.forward.output().channels), (1, 2));
    assert_eq!(model.info.sampling_rate, 48_000);
    let parameter = |node: &runnel::graph::Node| match &node.op {
        Op::Parameter(it) => Some((it.name.clone(), it.default.clone(), it.minimum, it.maximum)),
        _ => None,
    };
    let mut parameters: Vec<_> = model.forward.nodes().iter().filter_map(parameter).collect();
    parameters.sort_by(|a, b| a.0.cmp(&b.0));
    let expected = [("drive", 0.75), ("mix", 0.25)].map(|(name, default)| (name.to_owned(), vec![default], 0.0, 1.0));
    assert_eq!(parameters, expected);
}

/// A recorded model, traced, is the same graph as the scripted one.
#[test]
fn traced_and_scripted_modules_are_equal() {
    for (one, other) in [("tcn", "traced"), ("shuffle", "traced_shuffle")] {
        let [a, b] = [one, other].map(|name| {
            let path = folder().join(format!("{name}.ts"));
            import::open(&path, &Options::default()).unwrap().forward.to_string()
        });
        let ops = |text: &str| -> Vec<String> {
            text.lines().map(|line| line.split(" = ").nth(1).unwrap_or_default().to_owned()).collect()
        };
        assert_eq!(ops(&a), ops(&b), "{a}\n{b}");
    }
}
