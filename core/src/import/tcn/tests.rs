//! The golden module in `tests/golden/tcn`, made and recorded by `make_tcn.py`; and, under `RUNNEL_TCN`, a folder of real
//! ones: `NAME_full.pt`, with `ref/in44k.npy` and `ref/tcn_NAME.npy`.

use std::io::Cursor;
use std::path::PathBuf;

use proptest::prelude::*;
use safetensors::SafeTensors;

use super::*;
use crate::import::sample::{Pickler, changed, zip};
use crate::import::{self, Options, state};
use crate::{Engine, Plan, Randomness, rewrite};

fn golden(file: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/tcn")).join(file)
}

fn reference(name: &str) -> Vec<f32> {
    let bytes = std::fs::read(golden("ref.safetensors")).unwrap();
    let tensor = SafeTensors::deserialize(&bytes).unwrap().tensor(name).unwrap().data().to_vec();
    tensor.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
}

/// The model's output for `x`, aligned with it, with `values` held in its parameters.
pub(in crate::import) fn play(model: &Model, x: &[f32], values: &[f32]) -> Vec<f32> {
    let stream = rewrite::rewrite_graph(&model.forward).unwrap();
    assert_eq!(stream.latency_samples(), 0);
    let mut engine = Engine::new(Plan::new(&stream).unwrap(), Randomness::Deterministic);
    engine.parameters().iter_mut().zip(values).for_each(|(held, value)| held.set(0, *value));
    let mut y = vec![0.0; x.len()];
    engine.process(&[x], &mut [&mut y]);
    y
}

/// The largest difference, in proportion to the peak where that is above 1.
pub(in crate::import) fn error(y: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(y.len(), expected.len());
    let peak = expected.iter().fold(1.0f32, |peak, v| peak.max(v.abs()));
    y.iter().zip(expected).map(|(y, e)| (y - e).abs()).fold(0.0, f32::max) / peak
}

#[test]
fn a_module_plays_as_it_was_recorded() {
    let x = reference("x");
    for name in ["module", "normed"] {
        let model = import::open(&golden(&format!("{name}.pt")), &Options::default()).unwrap();
        assert_eq!((model.info.name.as_str(), model.info.sampling_rate), (name, 44_100));
        let names: Vec<_> = model.forward.parameters().into_iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["Condition 1", "Condition 2"]);
        let at_rest = error(&play(&model, &x, &[]), &reference(&format!("{name}.y")));
        assert!(at_rest < 1e-5, "{name}: {at_rest}");
        // Before the signal the stream holds the defaults, the recording its condition: one receptive field of difference.
        let (y, expected) = (play(&model, &x, &reference("condition")), reference(&format!("{name}.y_steered")));
        let field = 2 * (1 + 3 + 9) + 1;
        let steered = error(&y[field..], &expected[field..]);
        assert!(steered < 1e-5, "{name}: {steered}");
        assert!(error(&y, &reference(&format!("{name}.y"))) > 1e-2, "{name}: the condition changes something");
    }
}

#[test]
fn real_modules_play_as_they_were_recorded() {
    let Some(folder) = std::env::var_os("RUNNEL_TCN").map(PathBuf::from) else { return };
    let npy = |path: PathBuf| -> Vec<f32> {
        let bytes = std::fs::read(path).unwrap();
        let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        bytes[start..].as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
    };
    let x = npy(folder.join("ref/in44k.npy"));
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let Some(name) = stem.strip_suffix("_full") else { continue };
        let model = import::open(&path, &Options::default()).unwrap();
        let error = error(&play(&model, &x, &[]), &npy(folder.join(format!("ref/tcn_{name}.npy"))));
        println!("{name:12} {error:.1e} {}", model.info.description);
        assert!(error < 1e-5, "{name}: {error}");
        count += 1;
    }
    assert!(count > 0, "no module in {}", folder.display());
}

#[test]
fn a_residual_path_comes_one_frame_late() {
    let (graph, description) = from_archive(&mut Archive::open(&golden("module.pt")).unwrap()).unwrap();
    assert!(description.starts_with("TCN, 3 blocks of 5 channels, 2 conditioning values"), "{description}");
    for node in graph.nodes() {
        if let Op::Conv1d(conv) = &node.op {
            let expected = match node.name.rsplit('.').next().unwrap() {
                "res" => 1,
                "adaptor" => 0,
                _ => 2 * conv.dilation as i64,
            };
            assert_eq!(conv.left_padding, expected, "{}", node.name);
        }
    }
}

/// A pickled module of `class`, with what `inside` puts into its `_modules`.
fn module(class: &str, inside: impl Fn(Pickler) -> Pickler) -> Vec<u8> {
    let parts = |p: Pickler| inside(p.text("_modules").raw(b"}(")).raw(b"u");
    zip(&[("archive/data.pkl", &Pickler::new().module("some.project", class, parts).stop())])
}

fn refusal(bytes: Vec<u8>) -> String {
    let mut archive = Archive::new(Cursor::new(bytes), "x.pt").unwrap();
    from_archive(&mut archive).unwrap_err().to_string()
}

#[test]
fn other_modules_are_refused_with_the_cure() {
    let reason = refusal(module("WaveNet", |p| p));
    assert!(reason.contains("x.pt is an object of some.project.WaveNet"), "{reason}");
    assert!(reason.contains("runnel.toml") && reason.contains("nothing is executed"), "{reason}");
    let reason = refusal(module("TCN", |p| p));
    assert!(reason.contains("the model (some.project.TCN): has no parts; one list, blocks, is known"), "{reason}");
    let reason = refusal(module("TCN", |p| p.text("blocks").int(3)));
    assert!(reason.contains("blocks is an integer where a module belongs"), "{reason}");
    let reason = refusal(zip(&[("archive/data.pkl", &Pickler::new().int(3).stop())]));
    assert!(reason.contains("x.pt holds an integer, not a module"), "{reason}");
}

#[test]
fn what_kind_of_pt_it_is_decides_its_content() {
    assert_eq!(state::kind(&golden("module.pt")).unwrap(), state::Kind::Module);
    let folder = std::env::temp_dir().join(format!("runnel-bare-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for file in ["state.pt", "state.safetensors"] {
        let path = folder.join(file);
        std::fs::copy(golden(file), &path).unwrap();
        let reason = import::open(&path, &Options::default()).unwrap_err().to_string();
        assert!(reason.contains(file) && reason.contains("state dict"), "{reason}");
        assert!(reason.contains("runnel.toml") && reason.contains("docs/describing-a-model.md"), "{reason}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

proptest! {
    #[test]
    fn any_change_to_the_pickle_is_read_or_refused(at in 0..1usize << 16, len in 0..4usize, insert: [u8; 4], n in 0..5usize) {
        let file = std::fs::read(golden("module.pt")).unwrap();
        let mut archive = Archive::new(Cursor::new(file), "x.pt").unwrap();
        let pickle = changed(&archive.read("data.pkl").unwrap(), at, len, &insert[..n]);
        let storages: Vec<_> = (0..18).map(|i| archive.read(&format!("data/{i}")).unwrap()).collect();
        let names: Vec<_> = (0..18).map(|i| format!("archive/data/{i}")).collect();
        let mut entries = vec![("archive/data.pkl", pickle.as_slice())];
        entries.extend(names.iter().zip(&storages).map(|(name, bytes)| (name.as_str(), bytes.as_slice())));
        let _ = from_archive(&mut Archive::new(Cursor::new(zip(&entries)), "x.pt").unwrap());
    }
}
