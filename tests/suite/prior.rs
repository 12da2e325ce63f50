//! Priors: the network against the reference's recorded numbers, and what plays with it.

use std::path::PathBuf;
use std::sync::Arc;

use runnel::graph::{Conv1d, Op};
use runnel::import::{self, LatentChoice, Options};
use runnel::rewrite::rewrite;
use runnel::stream::PriorStream;
use runnel::{
    Engine, Graph, Plan, PlanOptions, PriorPlan, Randomness, StreamModel, Tensor, format, rewrite::rewrite_graph,
};
use safetensors::SafeTensors;

use crate::streams;

fn golden(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/rave/prior").join(file)
}

fn model(file: &str) -> StreamModel {
    rewrite(&import::open(&golden(file), &Options::default()).unwrap()).unwrap()
}

/// The recorded rows of `name`.
fn recorded(name: &str) -> Vec<Vec<f32>> {
    let bytes = std::fs::read(golden("reference.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = file.tensor(name).unwrap();
    let values: Vec<f32> =
        tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    values.chunks_exact(tensor.shape()[1]).map(<[f32]>::to_vec).collect()
}

fn one_hot(indices: &[Vec<f32>], resolution: usize) -> Vec<f32> {
    let is = |index: usize| move |x: &f32| if *x as usize == index { 1.0 } else { 0.0 };
    indices.iter().flat_map(|row| (0..resolution).flat_map(move |i| row.iter().map(is(i)))).collect()
}

/// What a model's prior plays over `samples` samples in `blocks`: the frames of latents that are the newest after a block,
/// and the sound.
fn play(
    model: &StreamModel,
    slack_samples: u64,
    temperature: f32,
    seed: u64,
    samples: usize,
    blocks: &[usize],
) -> (Vec<(usize, Vec<f32>)>, Vec<f32>) {
    let options = PlanOptions { slack_samples, ..PlanOptions::default() };
    let mut engine =
        Engine::new(Plan::with(&model.player().unwrap().unwrap(), &options).unwrap(), Randomness::Deterministic);
    engine.add_prior(&PriorPlan::new(model.prior.as_ref().unwrap(), &options).unwrap());
    let prior = engine.latent_edits()[0].prior.as_mut().unwrap();
    (prior.on, prior.temperature, prior.randomness) = (true, temperature, Randomness::Seeded(seed));
    let (start, ..) = engine.latent_edits()[0].newest();
    let mut latents: Vec<(usize, Vec<f32>)> = Vec::new();
    let mut heard = Vec::new();
    let mut sizes = blocks.iter().cycle();
    while heard.len() < samples {
        let block = (*sizes.next().unwrap()).min(samples - heard.len());
        let mut out = vec![0.0; block];
        engine.process(&[&vec![0.0; block]], &mut [&mut out]);
        heard.extend(out);
        let (count, before, _) = engine.latent_edits()[0].newest();
        let played = (count - start) as usize;
        if played > latents.last().map_or(0, |(frame, _)| frame + 1) {
            latents.push((played - 1, before.to_vec()));
        }
    }
    (latents, heard)
}

#[test]
fn both_exports_hold_the_same_prior() {
    let options = Options::default();
    let [export, streaming] = ["export.ts", "streaming.ts"].map(|file| import::open(&golden(file), &options).unwrap());
    let prior = export.prior.unwrap();
    assert_eq!((prior.network.input().channels, prior.resolution), (32, 8));
    assert_eq!(streaming.prior.unwrap(), prior);
    assert!(export.info.description.ends_with("4 of 8 latents, prior"), "{}", export.info.description);
    let run = import::open(&golden("prior_0a1b2c3d4e"), &options).unwrap();
    assert!(run.prior.is_none(), "a run folder holds none");
}

#[test]
fn logits_are_the_recorded_ones() {
    let model = import::open(&golden("streaming.ts"), &Options::default()).unwrap();
    let prior = model.prior.unwrap();
    let input = one_hot(&recorded("prior_indices"), prior.resolution);
    let expected = recorded("prior_logits");
    let (channels, frames) = (prior.network.input().channels, expected[0].len());
    let plan = Plan::new(&rewrite_graph(&prior.network).unwrap()).unwrap();
    for blocks in [&[frames][..], &[1; 48], &[7, 11, 30]] {
        let (first, logits) = streams::stream(&plan, &input, channels, blocks, Randomness::Deterministic);
        assert_eq!(first, 0, "nothing is waited for");
        assert!(largest(&logits, &expected) < 2e-5, "{}", largest(&logits, &expected));
    }
    let offline = streams::embedded(&prior.network, &input, channels, 64, 0, Randomness::Deterministic);
    let rows: Vec<_> = (0..channels).map(|c| offline.row(c)[64..].to_vec()).collect();
    assert!(largest(&rows, &expected) < 2e-5);
}

#[test]
fn without_temperature_it_plays_the_recorded_latents() {
    let model = model("export.ts");
    let expected = recorded("prior_latents");
    let frames = expected[0].len();
    for slack_samples in [0, 8, 32, 100] {
        let (latents, _) = play(&model, slack_samples, 0.0, 1, 32 * (frames + 20), &[1]);
        // Where there is time, several frames are played together.
        assert!(latents.len() > frames / 4 && latents[latents.len() - 1].0 >= frames, "{} frames", latents.len());
        for (n, frame) in latents.iter().filter(|(n, _)| *n < frames) {
            let expected: Vec<f32> = expected.iter().map(|row| row[*n]).collect();
            let close = frame.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5);
            assert!(close, "slack {slack_samples}, frame {n}: {frame:?}, {expected:?}");
        }
    }
}

#[test]
fn any_partition_draws_the_same_bits() {
    let model = model("export.ts");
    for slack_samples in [0, 8, 32, 500] {
        let whole = play(&model, slack_samples, 1.2, 5, 3000, &[3000]).1;
        assert!(whole.iter().any(|x| x.abs() > 0.01));
        for blocks in [&[1][..], &[7], &[31, 2, 64], &[441], &[2048]] {
            assert!(play(&model, slack_samples, 1.2, 5, 3000, blocks).1 == whole, "{slack_samples}, {blocks:?}");
        }
        assert!(play(&model, slack_samples, 1.2, 6, 3000, &[512]).1 != whole, "another seed");
    }
}

#[test]
fn a_saved_prior_is_the_same_when_it_is_loaded() {
    let model = model("streaming.ts");
    let bytes = format::to_bytes(&model).unwrap();
    assert_eq!(format::from_bytes(&bytes).unwrap(), model);
    let without = StreamModel { prior: None, ..model };
    let bytes = format::to_bytes(&without).unwrap();
    assert_eq!(format::from_bytes(&bytes).unwrap(), without);
}

#[test]
fn another_number_of_latents_is_refused() {
    let options = Options { latents: LatentChoice::Count(2), ..Options::default() };
    let refusal = import::open(&golden("export.ts"), &options).unwrap_err().to_string();
    assert!(refusal.contains("a prior of 4 latents for a decoder that reads 2; leave"), "{refusal}");
    let mut model = model("export.ts");
    model.prior = Some(PriorStream::new(rewrite_graph(&network(16, 0)).unwrap(), 8).unwrap());
    let refusal = format::from_bytes(&format::to_bytes(&model).unwrap()).unwrap_err();
    assert!(refusal.contains("prior makes 2 latents, decode reads 4"), "{refusal}");
}

#[test]
fn networks_that_are_no_priors_are_refused() {
    let refusal = |graph: &Graph, resolution| {
        PriorStream::new(rewrite_graph(graph).unwrap(), resolution).unwrap_err().to_string()
    };
    for resolution in [0, 1, 5, usize::MAX] {
        assert!(refusal(&network(16, 0), resolution).contains("a multiple of 2 indices or more"));
    }
    assert!(refusal(&network(16, 1), 4).contains("lag 1; a prior has one rate"));
    assert!(refusal(&network(4096, 0), 2).contains("2048 latents, at most"));
    let mut random = network(16, 0);
    random.push("noise", Op::Gaussian { channels: 16, key: 1 }, &[1]).unwrap();
    assert!(refusal(&random, 4).contains("noise: gaussian in a prior"), "{}", refusal(&random, 4));
}

/// One convolution that reads so far ahead.
fn network(channels: usize, ahead: i64) -> Graph {
    let weight = Arc::new(Tensor::new([channels, 1, 3], vec![0.5; 3 * channels]));
    let conv = Conv1d { weight, bias: None, stride: 1, dilation: 1, left_padding: 2 - ahead, groups: channels };
    let mut graph = Graph::new(channels);
    graph.push("conv", Op::Conv1d(conv), &[0]).unwrap();
    graph
}

fn largest(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    assert_eq!(a.len(), b.len());
    let pairs = a.iter().zip(b).flat_map(|(a, b)| a.iter().zip(b));
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, |most, e| if e.is_nan() { f32::INFINITY } else { most.max(e) })
}
