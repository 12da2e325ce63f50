//! Models of Neural Amp Modeler against recorded outputs: the folder `tests/golden/nam`, and the folder that
//! `RUNNEL_NAM_MODELS` names. Such a folder holds models at any depth, and `ref`: the input `in48k.npy`, and the output
//! `NAME.WHO.npy` that `WHO` recorded of the model called `NAME`, or `NAME.slimX.WHO.npy` of its size `X`.

use std::path::{Path, PathBuf};

use runnel::Plan;
use runnel::format;
use runnel::import::{self, Options};
use runnel::random::Randomness;
use runnel::rewrite::rewrite;

use crate::{OFFLINE_ERROR, partitions, streams, verify};

/// Error power against the recorded signal's, in dB: of networks that remember, and of others.
const MOST_ERROR_DB: [f64; 2] = [-90.0, -110.0];
/// Samples of the comparisons with our own offline model.
const SHORT: usize = 3000;

#[test]
fn every_amp_plays_as_it_was_recorded() {
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/nam");
    let more = std::env::var_os("RUNNEL_NAM_MODELS").map(PathBuf::from);
    let mut failures = vec![];
    for folder in std::iter::once(golden).chain(more) {
        let models = models(&folder);
        let recorded = recordings(&folder.join("ref"));
        assert!(recorded.len() > 9, "{} recordings below {}", recorded.len(), folder.display());
        let input = npy(&folder.join("ref/in48k.npy"));
        for recording in recorded {
            failures.extend(check(&recording, &models, &input).err().map(|e| format!("{}: {e}", recording.display())));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn check(recording: &Path, models: &[PathBuf], input: &[f32]) -> Result<(), String> {
    let stem = recording.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let (name, _who) = stem.rsplit_once('.').ok_or("a recording is called NAME.WHO.npy")?;
    let (name, size) = match name.rsplit_once(".slim") {
        Some((name, size)) => (name, Some(size.parse().map_err(|e| format!("size {size}: {e}"))?)),
        None => (name, None),
    };
    let path = models.iter().find(|path| path.file_stem().is_some_and(|stem| stem == name)).ok_or("no such model")?;
    let model = import::open(path, &Options { size, ..Options::default() }).map_err(|e| e.to_string())?;
    let streamed = rewrite(&model).map_err(|e| e.to_string())?;
    let loaded = format::from_bytes(&format::to_bytes(&streamed)?)?;
    if loaded != streamed {
        return Err("a saved model differs when it is loaded".into());
    }
    if streamed.forward.latency_samples() != 0 {
        return Err(format!("latency {}", streamed.forward.latency_samples()));
    }
    let plan = Plan::new(&streamed.forward).map_err(|e| e.to_string())?;
    let (_, output) = streams::stream(&plan, input, 1, &[input.len()], Randomness::Deterministic);
    let error = error_db(&output[0], &npy(recording));
    let short = &input[..input.len().min(SHORT)];
    let verified = verify(&model.forward, &streamed.forward, short);
    println!("{stem:48} {error:7.1} dB {verified:9.1e}  {}", model.info.description);
    partitions(&streamed.forward, short)?;
    let most = MOST_ERROR_DB[usize::from(streamed.forward.receptive_field_samples().0.is_some())];
    if error > most || error.is_nan() {
        return Err(format!("differs from the recorded output by {error:.1} dB, at most {most} is allowed"));
    }
    if verified > OFFLINE_ERROR {
        return Err(format!("differs from the offline model by {verified}"));
    }
    Ok(())
}

/// Power of the error relative to that of `expected`.
fn error_db(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let power = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
    let pairs = found.iter().zip(expected).map(|(a, b)| (f64::from(*a), f64::from(*b)));
    let error = power(&mut pairs.clone().map(|(a, b)| a - b));
    10.0 * (error / power(&mut pairs.map(|(_, b)| b))).log10()
}

/// Files called `.nam`, and folders with `weights.npy`, at any depth.
fn models(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return vec![] };
    let paths = entries.filter_map(Result::ok).map(|e| e.path());
    let found = paths.flat_map(|path| {
        let is_model = path.extension().is_some_and(|e| e == "nam") || path.join("weights.npy").is_file();
        if is_model { vec![path] } else { models(&path) }
    });
    found.collect()
}

fn recordings(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return vec![] };
    let mut found: Vec<_> = entries.filter_map(Result::ok).map(|e| e.path()).collect();
    found.retain(|path| path.extension().is_some_and(|e| e == "npy") && !path.ends_with("in48k.npy"));
    found.sort();
    found
}

/// The values of a NumPy file of one row of f32.
fn npy(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert!(bytes[..100].windows(5).any(|w| w == b"'<f4'"), "{}", path.display());
    let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    bytes[start..].chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}
