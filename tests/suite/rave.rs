//! RAVE, from its files to its graphs: the golden models in `tests/golden/rave`, made and recorded by `make_rave.py`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use runnel::graph::{Excitation, Graph, NoiseSynth, Op};
use runnel::import::{self, Options};
use runnel::{Latent, Randomness, Tensor, Weight};
use runnel_offline::{Backend, Offline, Signal};
use safetensors::SafeTensors;

const MODELS: [&str; 3] = ["v1", "v2", "discrete"];

fn sources(model: &str) -> [PathBuf; 3] {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/rave").join(model);
    [folder.join(format!("{model}_0a1b2c3d4e")), folder.join("export.ts"), folder.join("streaming.ts")]
}

fn latent(path: &Path) -> Latent {
    import::open(path, &Options::default()).unwrap().latent.unwrap()
}

#[test]
fn a_run_its_export_and_its_streaming_export_are_one_model() {
    for model in MODELS {
        let [run, rest @ ..] = sources(model);
        let run = latent(&run);
        for other in rest {
            let from = other.display().to_string();
            let other = latent(&other);
            for (run, other) in [(&run.encode, &other.encode), (&run.decode, &other.decode)] {
                assert_eq!(run.to_string(), other.to_string(), "{from}");
                for (a, b) in run.nodes().iter().zip(other.nodes()) {
                    for (a, b) in weights(&a.op).iter().zip(weights(&b.op)) {
                        let largest = a.data().iter().fold(0.0_f32, |most, v| most.max(v.abs()));
                        let apart = a.data().iter().zip(b.data()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                        assert!(apart <= 1e-6 * largest, "{from}: weights differ by {apart} of {largest}");
                    }
                }
            }
        }
    }
}

#[test]
fn offline_is_what_the_reference_computes() {
    for model in MODELS {
        let reference = sources(model)[0].with_file_name("reference.safetensors");
        let bytes = std::fs::read(reference).unwrap();
        let recorded = SafeTensors::deserialize(&bytes).unwrap();
        let (x, z, y) = (signal(&recorded, "x"), signal(&recorded, "z"), signal(&recorded, "y"));
        let noise = recorded.tensor("noise").ok().map(|_| signal(&recorded, "noise"));
        for path in sources(model) {
            let from = path.display();
            let Latent { encode, decode } = latent(&path);
            let decode = noise.as_ref().map_or(decode.clone(), |noise| with_noise(&decode, noise));
            let coded = run(&encode, &x);
            let error = largest_difference(&coded, &z);
            assert!(error <= 2e-5, "{from}: latents differ by {error}");
            let error = largest_difference(&run(&decode, &coded), &y);
            assert!(error <= 2e-5, "{from}: output differs by {error}");
        }
    }
}

fn run(graph: &Graph, input: &Signal) -> Signal {
    Offline::new(graph, Backend::Flex).run(input, Randomness::Deterministic)
}

/// `graph` with recorded noise instead of drawn.
fn with_noise(graph: &Graph, noise: &Signal) -> Graph {
    let recorded: Weight = Arc::new(Tensor::new([noise.channels, noise.frames()], noise.data.clone()));
    let mut fixed = Graph::new(graph.input().channels);
    for node in &graph.nodes()[1..] {
        let op = match &node.op {
            Op::NoiseSynth(synth) => {
                let excitation = Excitation::Fixed(recorded.clone());
                Op::NoiseSynth(NoiseSynth { response: synth.response.clone(), excitation })
            }
            op => op.clone(),
        };
        fixed.push(node.name.clone(), op, &node.inputs).unwrap();
    }
    fixed
}

/// The tensor of this name, `[channels, frames]`.
fn signal(recorded: &SafeTensors, name: &str) -> Signal {
    let view = recorded.tensor(name).unwrap();
    let values = view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    Signal::new(view.shape()[0], values)
}

fn largest_difference(a: &Signal, b: &Signal) -> f32 {
    assert_eq!((a.channels, a.frames()), (b.channels, b.frames()));
    a.data.iter().zip(&b.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// The weights that a fold, a transposition or a rearrangement could get wrong.
fn weights(op: &Op) -> Vec<&Weight> {
    match op {
        Op::Conv1d(c) => std::iter::once(&c.weight).chain(&c.bias).collect(),
        Op::ConvTranspose1d(c) => std::iter::once(&c.weight).chain(&c.bias).collect(),
        Op::BatchNorm(b) => [&b.mean, &b.variance].into_iter().chain(&b.weight).chain(&b.bias).collect(),
        Op::AdaIn { source, target } => source.iter().chain(target).flat_map(|s| [&s.mean, &s.deviation]).collect(),
        Op::Snake { alpha } => vec![alpha],
        Op::NoiseSynth(s) => vec![&s.response],
        Op::Quantize { codebooks } | Op::Dequantize { codebooks } => vec![codebooks],
        _ => vec![],
    }
}
