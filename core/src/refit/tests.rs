//! What a refit must do on models small enough to know the answer.

use std::f64::consts::TAU;
use std::sync::Arc;

use super::*;
use crate::graph::{Conv1d, ConvTranspose1d, Pointwise};
use crate::model::{Info, Provenance};
use crate::random::Randomness;
use crate::rewrite::rewrite;
use crate::tensor::{Tensor, Weight};

fn drawn(shape: &[usize], key: u32) -> Weight {
    let len = shape.iter().product::<usize>();
    Arc::new(Tensor::new(shape, (0..len).map(|i| Randomness::Seeded(2).uniform(key, i as i64, 0)).collect()))
}

fn conv(shape: &[usize; 3], stride: usize, dilation: usize, left_padding: i64, key: u32) -> Op {
    let (weight, bias) = (drawn(shape, key), Some(drawn(&shape[..1], key + 100)));
    Op::Conv1d(Conv1d { weight, bias, stride, dilation, left_padding, groups: 1 })
}

fn model(forward: Graph, latent: Option<Latent>) -> Model {
    let provenance = Provenance::default();
    let latent_names = latent.iter().flat_map(|l| (0..l.decode.input().channels).map(|i| i.to_string())).collect();
    let info = Info {
        name: "small".into(),
        description: "a small model".into(),
        sampling_rate: 44_100,
        latent_names,
        provenance,
        levels: Default::default(),
        refit: None,
    };
    Model { forward, latent, prior: None, info }
}

/// Down by four, a dilated branch beside its input, an edit point, and up again.
fn autoencoder() -> Model {
    let mut encode = Graph::new(1);
    let down = encode.push("down", conv(&[3, 1, 8], 4, 1, 3, 1), &[0]).expect("a node");
    let active = encode.push("active", Op::Pointwise(Pointwise::Tanh), &[down]).expect("a node");
    let branch = encode.push("branch", conv(&[3, 3, 3], 1, 3, 3, 2), &[active]).expect("a node");
    encode.push("sum", Op::Add, &[branch, down]).expect("a node");
    let mut decode = Graph::new(3);
    let up = ConvTranspose1d { weight: drawn(&[3, 1, 8], 3), bias: None, stride: 4, left_trim: 2, groups: 1 };
    decode.push("up", Op::ConvTranspose1d(up), &[0]).expect("a node");
    model(encode.then("latents", &decode).expect("a graph"), Some(Latent { encode, decode }))
}

fn clip(name: &str, value: impl Fn(usize) -> f32, samples: usize) -> Clip {
    Clip { name: name.into(), channels: vec![(0..samples).map(value).collect()] }
}

fn noise(samples: usize) -> Clip {
    clip("noise", |n| 0.5 * Randomness::Seeded(9).uniform(0, n as i64, 0), samples)
}

fn refitter(model: &Model, clips: &[Clip]) -> Result<Refitter, RefitError> {
    Refitter::new(model, clips, "test sounds", &mut |_| ())
}

#[test]
fn what_follows_from_the_past_is_refitted_without_loss() {
    let mut graph = Graph::new(1);
    graph.push("filter", conv(&[2, 1, 9], 1, 1, 4, 1), &[0]).expect("a node");
    // Any filter of two sines is one of four past samples.
    let sines = |n: usize| (0.5 * (0.7 * n as f64).sin() + 0.3 * (TAU * 0.031 * n as f64).cos()) as f32;
    let refitter = refitter(&model(graph, None), &[clip("sines", sines, 200_000)]).expect("a refitter");
    assert_eq!(refitter.exact_samples(), 4);
    let refitted = refitter.refit(0, &mut |_| ()).expect("a model");
    let record = refitted.info.refit.as_ref().expect("a record");
    assert_eq!((record.asked_samples, record.reached_samples, record.exact_samples), (0, 0, 4));
    // A few samples at the start of each sound have no past to follow from.
    assert!(record.to_original.waveform_db.expect("sound") < -25.0, "{record:?}");
    let [layer] = &record.layers[..] else { panic!("{record:?}") };
    assert!(layer.error < 5e-4 && layer.held_error > 0.01, "{layer:?}");
    assert_eq!((layer.lookahead_frames, layer.kept_frames), (4, 0));
}

#[test]
fn every_method_is_refitted_alike_and_the_file_tells() {
    let model = autoencoder();
    let refitter = refitter(&model, &[noise(150_000)]).expect("a refitter");
    let exact = refitter.exact_samples();
    for asked in (0..exact).step_by(3) {
        let refitted = refitter.refit(asked, &mut |_| ()).expect("a model");
        let record = refitted.info.refit.clone().expect("a record");
        let streams = rewrite(&refitted).expect("streams");
        assert!(streams.forward.latency_samples() <= asked, "{asked}");
        assert_eq!(record.reached_samples, streams.forward.latency_samples());
        let latent = refitted.latent.as_ref().expect("latents");
        let joined = latent.encode.then("latents", &latent.decode).expect("a graph");
        assert_eq!(joined, refitted.forward);
        assert!(refitted.info.description.contains("refitted"));
        let bytes = crate::format::to_bytes(&streams).expect("bytes");
        assert_eq!(crate::format::from_bytes(&bytes).expect("a model").info.refit, Some(record));
    }
}

/// The convolution whose newest tap is zero.
fn without_newest(op: Op) -> Op {
    let Op::Conv1d(conv) = op else { panic!("a convolution") };
    let mut weights = conv.weight.data().to_vec();
    weights.chunks_exact_mut(conv.weight.shape()[2]).for_each(|taps| *taps.last_mut().expect("a tap") = 0.0);
    Op::Conv1d(Conv1d { weight: Tensor::new(conv.weight.shape().to_vec(), weights).into(), ..conv })
}

#[test]
fn later_layers_give_what_their_sum_lacks() {
    let mut graph = Graph::new(1);
    let cut = graph.push("cut", conv(&[1, 1, 3], 1, 1, 1, 1), &[0]).expect("a node");
    let active = graph.push("active", Op::Pointwise(Pointwise::LeakyRelu { slope: 1.0 }), &[cut]).expect("a node");
    let mends = graph.push("mends", without_newest(conv(&[1, 1, 7], 1, 1, 5, 2)), &[active]).expect("a node");
    graph.push("sum", Op::Add, &[mends, cut]).expect("a node");
    // Any filter of three sines is one of six past samples; the layer that is cut has four.
    let sines = |n: usize| [0.3, 1.1, 2.3].map(|turn| 0.2 * (turn * n as f64).sin() as f32).iter().sum();
    let refitter = refitter(&model(graph, None), &[clip("sines", sines, 200_000)]).expect("a refitter");
    let record = refitter.refit(0, &mut |_| ()).expect("a model").info.refit.expect("a record");
    let [cut, mends] = &record.layers[..] else { panic!("{record:?}") };
    assert!(cut.is_cut() && !mends.is_cut());
    assert!(cut.error > 1e-4 && mends.error < 1e-6, "{record:?}");
    assert!(record.to_original.waveform_db.expect("sound") < -60.0, "{record:?}");
}

#[test]
fn what_is_fast_enough_stays_as_it_is() {
    let model = autoencoder();
    let refitter = refitter(&model, &[noise(150_000)]).expect("a refitter");
    for asked in [refitter.exact_samples(), refitter.exact_samples() + 1, u64::MAX] {
        assert_eq!(refitter.refit(asked, &mut |_| ()).expect("a model"), model);
    }
}

#[test]
fn less_latency_is_no_nearer() {
    let model = autoencoder();
    let refitter = refitter(&model, &[noise(150_000)]).expect("a refitter");
    let far = |asked| refitter.refit(asked, &mut |_| ()).expect("a model").info.refit.expect("a record").to_original;
    let (mild, hard) = (far(refitter.exact_samples() - 1), far(0));
    assert!(mild.waveform_db < hard.waveform_db && hard.waveform_db < Some(3.0), "{mild:?} {hard:?}");
}

#[test]
fn bad_calibration_audio_is_refused() {
    let model = autoencoder();
    let refused = |clips: &[Clip]| refitter(&model, clips).err().expect("refused").to_string();
    let broken = clip("broken.wav", |n| if n == 77 { f32::NAN } else { 0.1 }, 150_000);
    assert!(refused(&[noise(10), broken]).contains("broken.wav: sample 77 is not a number"));
    assert!(refused(&[]).contains("0 samples of calibration audio, this model needs at least"));
    assert!(refused(&[noise(5_000)]).contains("5000 samples of calibration audio, this model needs at least"));
    assert!(refused(&[clip("quiet", |_| 1e-6, 150_000)]).contains("silent"));
    let loud = refused(&[clip("loud", |n| if n % 2 == 0 { f32::MAX } else { -1.0 }, 150_000)]);
    assert!(loud.contains("out of range"), "{loud}");
}

#[test]
fn what_only_convolutions_could_give_up_is_the_least() {
    let mut graph = Graph::new(1);
    let window = Arc::new(Tensor::new([8], vec![1.0; 8]));
    graph.push("spectrum", Op::PowerSpectrum { window, hop: 4, left: 4 }, &[0]).expect("a node");
    graph.push("filter", conv(&[1, 5, 3], 1, 1, 1, 1), &[1]).expect("a node");
    let model = model(graph, None);
    let least = Bill::of(&model).expect("a bill").least_latency_samples;
    let refitter = refitter(&model, &[noise(300_000)]).expect("a refitter");
    assert!(0 < least && least < refitter.exact_samples(), "{least}");
    assert_eq!(refitter.refit(least, &mut |_| ()).expect("a model").info.refit.expect("one").reached_samples, least);
    let error = refitter.refit(least - 1, &mut |_| ()).expect_err("impossible").to_string();
    assert!(error.contains(&format!("the least that this model can be refitted to is {least}")), "{error}");
}

#[test]
fn a_converted_file_is_refitted_as_its_source() {
    let source = autoencoder();
    let converted = rewrite(&source).expect("streams").offline().expect("a model");
    let refitted = |model: &Model| {
        let refitter = refitter(model, &[noise(150_000)]).expect("a refitter");
        rewrite(&refitter.refit(refitter.exact_samples() / 2, &mut |_| ()).expect("a model")).expect("streams")
    };
    assert_eq!(rewrite(&converted).expect("streams"), rewrite(&source).expect("streams"));
    assert_eq!(refitted(&converted), refitted(&source));
}

#[test]
fn the_bill_tells_what_will_do() {
    let model = autoencoder();
    let bill = Bill::of(&model).expect("a bill");
    let Bill { exact_samples, least_audio_samples, .. } = bill;
    let most_bytes = bill.most_bytes(150_000);
    assert_eq!(refitter(&model, &[noise(150_000)]).expect("a refitter").exact_samples(), exact_samples);
    assert!(refitter(&model, &[noise(least_audio_samples)]).is_ok());
    assert!(matches!(refitter(&model, &[noise(least_audio_samples - 1)]), Err(RefitError::TooShort { .. })));
    // The signals of both networks at the first layer: 4 bytes of an input, three outputs each four samples, twice.
    let signals = |samples: f64| 2.0 * 4.0 * samples * (1.0 + 3.0 / 4.0);
    assert!(most_bytes as f64 > signals(150_000.0) && (most_bytes as f64) < 50.0 * signals(150_000.0), "{most_bytes}");
    assert!(bill.most_bytes(0) < bill.most_bytes(75_000) && bill.most_bytes(75_000) < most_bytes);
    // However much there is, no more is used than memory holds.
    let (hour, day) = (bill.most_bytes(200_000_000), bill.most_bytes(5_000_000_000));
    assert!(day - hour < 13 * 4_800_000_000 && hour < 12_000_000_000, "{hour} {day}");
}

#[test]
fn unwinding_out_of_progress_ends_a_refit() {
    let model = autoencoder();
    let mut told = 0;
    let mut stop = |_: Progress| {
        told += 1;
        if told == 3 {
            std::panic::resume_unwind(Box::new("enough"));
        }
    };
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        Refitter::new(&model, &[noise(150_000)], "test sounds", &mut stop).map(drop)
    }));
    assert!(ended.expect_err("ended").is::<&str>());
    assert_eq!(told, 3);
    assert!(refitter(&model, &[noise(150_000)]).is_ok());
}
