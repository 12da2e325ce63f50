//! Real checkpoints against the reference's recorded outputs: every model folder under `tests/golden/rave`, and under
//! `RUNNEL_MODELS` where that names a folder of more. A model folder holds run folders and exports of one model, and
//! `reference.safetensors`: the input `x`, and what the deterministic offline reference made of it: `y` (or `y_offline`),
//! `z` (`z_offline`), `enc_raw` (encoder output before quantisation), `noise` (`det_noise`; what its synthesis filtered).
//!
//! Prints one line per model; `cargo test --release --test models -- --nocapture` shows it.

#[path = "../suite/dependence.rs"]
mod dependence;
mod nam;
#[path = "../suite/streams.rs"]
mod streams;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use runnel::graph::{Excitation, NoiseSynth, Op};
use runnel::import::{self, Options};
use runnel::random::Randomness;
use runnel::rewrite::{rewrite, rewrite_graph};
use runnel::{Graph, Model, Plan, StreamGraph, Tensor, Weight, format};
use safetensors::SafeTensors;

/// Against the reference's recorded output: two implementations' rounding.
const REFERENCE_ERROR: f32 = 2e-5;
/// Against our own offline evaluator.
const OFFLINE_ERROR: f32 = 1e-5;

#[test]
fn every_model_streams_as_it_was_recorded() {
    let mut folders = models(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/rave"));
    folders.extend(std::env::var_os("RUNNEL_MODELS").iter().flat_map(|more| models(Path::new(more))));
    println!(
        "{:16} {:>7} {:>7} {:>8} {:>9} {:>9} {:>9} {:>9}",
        "model", "sources", "latency", "edges", "y ref", "z ref", "y verify", "weights"
    );
    let failures: Vec<String> = folders.iter().filter_map(|folder| check(folder).err()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn models(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return vec![] };
    let mut models: Vec<_> = entries.filter_map(Result::ok).map(|e| e.path()).filter(|p| p.is_dir()).collect();
    models.sort();
    models
}

/// The run folder and the exports of a model folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return vec![] };
    let exported = |p: &PathBuf| p.extension().is_some_and(|e| e == "ts") && !p.to_string_lossy().contains("_det");
    let mut sources: Vec<_> =
        entries.filter_map(Result::ok).map(|e| e.path()).filter(|p| p.is_dir() || exported(p)).collect();
    sources.sort_by_key(|path| (path.is_file(), path.clone()));
    sources
}

fn check(folder: &Path) -> Result<(), String> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let fail = |what: String| format!("{name}: {what}");
    let sources = sources(folder);
    let mut imported = Vec::new();
    for source in &sources {
        let model =
            import::open(source, &Options::default()).map_err(|e| fail(format!("{}: {e}", source.display())))?;
        imported.push(model);
    }
    let Some(first) = imported.first() else { return Ok(()) };
    let mut weights = 0.0f32;
    for (other, source) in imported.iter().zip(&sources).skip(1) {
        let difference = difference(first, other).map_err(|e| fail(format!("{}: {e}", source.display())))?;
        weights = weights.max(difference);
    }
    let streamed = rewrite(first).map_err(|e| fail(e.to_string()))?;
    let bytes = format::to_bytes(&streamed).map_err(&fail)?;
    let loaded = format::from_bytes(&bytes).map_err(&fail)?;
    if loaded != streamed {
        return Err(fail("a saved model differs when it is loaded".into()));
    }
    let latency = streamed.forward.latency_samples();
    let least = least_latency(&first.forward, &streamed.forward);
    if latency as i64 != least {
        return Err(fail(format!("latency {latency}, least {least}")));
    }
    let edges = streamed.forward.edge_samples();

    let reference = ["ref.safetensors", "reference.safetensors"].map(|name| folder.join(name));
    let reference = reference.iter().find(|path| path.exists()).cloned().unwrap_or_default();
    let mut errors = [f32::NAN; 2];
    let input;
    if let Ok(bytes) = std::fs::read(&reference) {
        let reference = SafeTensors::deserialize(&bytes).map_err(|e| fail(e.to_string()))?;
        let recorded = |long: &str, short: &str| reference.tensor(long).or_else(|_| reference.tensor(short));
        let noise = recorded("det_noise", "noise").ok().map(|t| values(&t));
        let forward = rewrite_graph(&with_noise(&first.forward, noise.as_deref())).map_err(|e| fail(e.to_string()))?;
        input = values(&reference.tensor("x").map_err(|e| fail(e.to_string()))?);
        let expected = values(&recorded("y_offline", "y").map_err(|e| fail(e.to_string()))?);
        // A recurrent decoder remembers how the encoder's edge was padded, and a codebook may have two entries equally
        // near: such decoders are given the recorded latents.
        let apart = forward.receptive_field_samples().0.is_none() || unquantized(&first.forward).is_some();
        errors[0] = match (&first.latent, apart, recorded("z_offline", "z")) {
            (Some(latent), true, Ok(z)) => {
                let decode = rewrite_graph(&latent.decode).map_err(|e| fail(e.to_string()))?;
                against_reference(&decode, &values(&z), &expected)
            }
            _ => against_reference(&forward, &input, &expected),
        };
        let (encoded, latents) = match unquantized(&first.forward) {
            Some(encode) => (Some(rewrite_graph(&encode).map_err(|e| fail(e.to_string()))?), "enc_raw"),
            None => (streamed.latent.as_ref().map(|latent| latent.encode.clone()), "z_offline"),
        };
        if let (Some(encode), Ok(z)) = (encoded, recorded(latents, if latents == "z_offline" { "z" } else { latents }))
        {
            errors[1] = against_reference(&encode, &input, &values(&z));
        }
    } else {
        let channels = streamed.forward.input().channels;
        input = (0..channels * 20_000).map(|i| ((i * i) as f32 * 0.001).sin() * 0.3).collect();
    }

    let verified = match (unquantized(&first.forward), &first.latent, &streamed.latent) {
        (Some(encode), Some(latent), Some(streams)) => {
            let codes: Vec<f32> = (0..streams.decode.input().channels * 80).map(|i| (i * 7 % 30) as f32).collect();
            let encode_stream = rewrite_graph(&encode).map_err(|e| fail(e.to_string()))?;
            verify(&encode, &encode_stream, &input).max(verify(&latent.decode, &streams.decode, &codes))
        }
        _ => verify(&first.forward, &streamed.forward, &input),
    };
    println!(
        "{name:16} {:7} {latency:7} {:>8} {:9.1e} {:9.1e} {verified:9.1e} {weights:9.1e}",
        imported.len(),
        format!("{}+{}", edges.0, edges.1),
        errors[0],
        errors[1]
    );
    partitions(&streamed.forward, &input).map_err(&fail)?;
    if errors[0] > REFERENCE_ERROR {
        return Err(fail(format!("differs from the recorded output by {}", errors[0])));
    }
    if verified > OFFLINE_ERROR {
        return Err(fail(format!("differs from the offline model by {verified}")));
    }
    Ok(())
}

/// The greatest relative difference of two models' weights, or where their graphs differ.
fn difference(a: &Model, b: &Model) -> Result<f32, String> {
    let (text_a, text_b) = (a.forward.to_string(), b.forward.to_string());
    if let Some((a, b)) = text_a.lines().zip(text_b.lines()).find(|(a, b)| a != b) {
        return Err(format!("another graph:\n  {a}\n  {b}"));
    }
    if text_a != text_b {
        return Err("another number of nodes".into());
    }
    let gathered = |model: &Model| rewrite_graph(&model.forward).map_err(|e| e.to_string());
    let (a, b) = (gathered(a)?, gathered(b)?);
    let mut greatest = 0.0f32;
    for (a, b) in a.weights().zip(b.weights()) {
        let scale = a.data().iter().fold(1e-30f32, |m, v| m.max(v.abs()));
        greatest = a.data().iter().zip(b.data()).fold(greatest, |m, (a, b)| m.max((a - b).abs() / scale));
    }
    if greatest > 1e-6 { Err(format!("weights differ by {greatest}")) } else { Ok(greatest) }
}

fn values(view: &safetensors::tensor::TensorView<'_>) -> Vec<f32> {
    view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

/// The graph with every random excitation replaced by the recorded one.
fn with_noise(graph: &Graph, noise: Option<&[f32]>) -> Graph {
    let Some(noise) = noise else { return graph.clone() };
    let mut changed = Graph::new(graph.input().channels);
    for node in &graph.nodes()[1..] {
        let op = match &node.op {
            Op::NoiseSynth(synth) => {
                let size = synth.response.shape()[0];
                let table: Weight = Arc::new(Tensor::new([noise.len() / size, size], noise.to_vec()));
                Op::NoiseSynth(NoiseSynth { response: synth.response.clone(), excitation: Excitation::Fixed(table) })
            }
            op => op.clone(),
        };
        changed.push(node.name.clone(), op, &node.inputs).expect("the same shapes");
    }
    changed
}

/// The graph up to what its codebooks quantise, where it has codebooks.
fn unquantized(graph: &Graph) -> Option<Graph> {
    let quantize = graph.nodes().iter().position(|n| matches!(n.op, Op::Quantize { .. }))?;
    let mut encode = Graph::new(graph.input().channels);
    for node in &graph.nodes()[1..=graph.node(quantize).inputs[0]] {
        encode.push(node.name.clone(), node.op.clone(), &node.inputs).expect("a graph's own beginning");
    }
    Some(encode)
}

/// The least latency in samples, by dependence through the offline graph.
fn least_latency(graph: &Graph, streamed: &StreamGraph) -> i64 {
    let (left, right) = streamed.edge_samples();
    let hop = streamed.hop_frames();
    let half = ((left.max(right) as i64) / hop + 2) * hop;
    let (first, last) = dependence::last_input(graph, half + hop);
    (0..hop).map(|t| last[(t - first) as usize] - t).max().unwrap_or(0).max(0)
}

/// The greatest error of the stream of `input` against `expected`, an offline run on the plain signal, outside its edges.
fn against_reference(streamed: &StreamGraph, input: &[f32], expected: &[f32]) -> f32 {
    let plan = Plan::new(streamed).expect("a plan");
    let channels = plan.input_channels();
    let frames = input.len() / channels;
    let flush = (streamed.latency_ticks() / streamed.input().timeline.step + streamed.hop_frames() + 1) as usize;
    let mut padded = Vec::new();
    for c in 0..channels {
        padded.extend_from_slice(&input[c * frames..][..frames]);
        padded.resize(padded.len() + flush, 0.0);
    }
    let (first, output) = streams::stream(&plan, &padded, channels, &[frames + flush], Randomness::Deterministic);
    let frames_out = expected.len() / output.len();
    let (left, right) = streamed.edge_samples();
    let step = streamed.output().timeline.step as usize;
    let inside = (left as usize).div_ceil(step)..frames_out.saturating_sub((right as usize).div_ceil(step));
    let mut greatest = if inside.is_empty() { f32::NAN } else { 0.0f32 };
    for (c, row) in output.iter().enumerate() {
        for n in inside.clone() {
            let (y, expected) = (row[(n as i64 - first) as usize], expected[c * frames_out + n]);
            greatest = greatest.max(if y.is_finite() { (y - expected).abs() } else { f32::INFINITY });
        }
    }
    greatest
}

/// The greatest error of the stream against the offline evaluator on the signal embedded in silence, on every sample.
fn verify(graph: &Graph, streamed: &StreamGraph, input: &[f32]) -> f32 {
    let plan = Plan::new(streamed).expect("a plan");
    let channels = plan.input_channels();
    let frames = input.len() / channels;
    let (left, right) = streamed.edge_samples();
    let unit = 2 * streamed.hop_frames() as usize;
    let silence = (left.max(right) + streamed.latency_samples()) as usize;
    let silence = (silence + 1).next_multiple_of(unit);
    let offline = streams::embedded(graph, input, channels, silence, silence, Randomness::Deterministic);
    let (first, output) = streams::stream(&plan, input, channels, &[frames], Randomness::Deterministic);
    let mut greatest = 0.0f32;
    for (c, row) in output.iter().enumerate() {
        for (i, y) in row.iter().enumerate() {
            let expected = offline.row(c)[(first + i as i64 - offline.first) as usize];
            greatest = greatest.max(if y.is_finite() { (y - expected).abs() } else { f32::INFINITY });
        }
    }
    greatest
}

fn partitions(streamed: &StreamGraph, input: &[f32]) -> Result<(), String> {
    let plan = Plan::new(streamed).expect("a plan");
    let channels = plan.input_channels();
    let frames = input.len() / channels;
    let bits = |blocks: &[usize]| {
        let (_, output) = streams::stream(&plan, input, channels, blocks, Randomness::Seeded(1));
        output.iter().flatten().map(|v| v.to_bits()).collect::<Vec<_>>()
    };
    let whole = bits(&[frames]);
    for block in [1, 7, 64, 441, 512, 2048, 0] {
        let mut blocks = Vec::new();
        let mut left = frames;
        let mut state = 12345u32;
        while left > 0 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let block = if block == 0 { (state >> 16) as usize % 3000 } else { block }.min(left);
            blocks.push(block);
            left -= block;
        }
        if bits(&blocks) != whole {
            return Err(format!("other bits in blocks of {block} (0: random)"));
        }
    }
    Ok(())
}
