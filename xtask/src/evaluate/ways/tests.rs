use runnel::graph::{Conv1d, Graph, Op};
use runnel::model::Model;
use runnel::{Tensor, rewrite};

use super::*;
use crate::demo::demo_model;
use crate::synth::test_signal;
use crate::verify::largest_difference;

const WINDOWS: [NonZeroUsize; 2] = [NonZeroUsize::new(512).unwrap(), NonZeroUsize::new(1000).unwrap()];

/// One centred convolution of these taps.
fn conv(taps: &[f32]) -> Opened {
    let mut model: Model = runnel_offline::demo::model();
    model.latent = None;
    model.forward = Graph::new(1);
    let conv = Op::Conv1d(Conv1d {
        weight: Arc::new(Tensor::new([1, 1, taps.len()], taps.to_vec())),
        bias: None,
        stride: 1,
        dilation: 1,
        left_padding: taps.len() as i64 / 2,
        groups: 1,
    });
    model.forward.push("conv", conv, &[0]).unwrap();
    let streams = rewrite::rewrite(&model).unwrap();
    Opened { streams, trained: Some(model) }
}

fn differences(opened: &Opened, frames: usize) -> Vec<(Way, f32)> {
    let subject = Subject::new("model", opened, &WINDOWS).unwrap();
    let groups = vec![test_signal(frames, 1, 5)];
    let offline = subject.play(Way::Offline, &groups).unwrap();
    let difference = |way| {
        let played = subject.play(way, &groups).unwrap();
        assert_eq!(played[0].len(), frames, "{way}");
        (way, largest_difference(&played, &offline))
    };
    subject.ways().iter().copied().map(difference).collect()
}

#[test]
fn a_model_without_memory_is_the_same_in_every_way() {
    for frames in [1, 511, 3000] {
        for (way, difference) in differences(&conv(&[0.75]), frames) {
            assert!(difference < 1e-6, "{way}, {frames} frames: {difference}");
        }
    }
}

#[test]
fn blocks_differ_only_where_the_model_looks_over_their_edges() {
    let opened = conv(&[0.1, -0.4, 0.5, 0.3, 0.2]);
    let subject = Subject::new("model", &opened, &WINDOWS).unwrap();
    let groups = vec![test_signal(3000, 1, 5)];
    let [offline, cut] = [Way::Offline, Way::CutBlocks(512)].map(|way| subject.play(way, &groups).unwrap());
    for n in 0..3000 {
        let near = n >= 510 && (n % 512 < 2 || n % 512 >= 510);
        let difference = (offline[0][n] - cut[0][n]).abs();
        assert!(near || difference < 1e-6, "sample {n}: {difference}");
        // There is noise from 600 to 1800; elsewhere little is cut off.
        assert!(!near || !(600..1800).contains(&n) || difference > 1e-6, "sample {n} is not cut");
    }
}

#[test]
fn only_the_stream_is_the_demo_model() {
    let opened = demo_model().unwrap();
    for (way, difference) in differences(&opened, 8000) {
        match way {
            Way::Offline => assert_eq!(difference, 0.0),
            Way::Stream { .. } => assert!(difference < 1e-5, "{difference}"),
            Way::CutBlocks(_) | Way::OverlapAdd(_) => assert!(difference > 1e-3, "{way}: {difference}"),
        }
    }
}

#[test]
fn lengths_lie_on_the_grid_and_joins_where_pieces_meet() {
    let streams = [Way::Offline, Way::Stream { slack: 0 }, Way::Stream { slack: 800 }];
    let pieces = [Way::CutBlocks(800), Way::CutBlocks(1600), Way::OverlapAdd(800), Way::OverlapAdd(1600)];
    assert_eq!(Way::all(&WINDOWS, 400), [&streams[..], &pieces].concat());
    let opened = demo_model().unwrap();
    let subject = Subject::new("demo", &opened, &WINDOWS).unwrap();
    assert_eq!(Way::CutBlocks(600).joins(&subject, 1800), [600, 1200]);
    assert_eq!(Way::OverlapAdd(600).joins(&subject, 1000), [300, 600, 900]);
    for slack in [0, 512] {
        let latency = subject.latency_samples(slack) as usize;
        let joins = Way::Stream { slack }.joins(&subject, 5000);
        let calls = (1..20).map(|call| call * CALL_SAMPLES).filter(|end| (latency + 1..latency + 5000).contains(end));
        assert!(calls.clone().count() > 8 && calls.clone().all(|end| joins.contains(&(end - latency))), "{joins:?}");
        assert!(joins.contains(&256) && joins.is_sorted());
    }
}

#[test]
fn what_is_no_model_of_audio_is_refused() {
    let mut opened = conv(&[1.0]);
    let latent = runnel_offline::demo::model().latent.unwrap();
    opened.streams.forward = rewrite::rewrite_graph(&latent.decode).unwrap();
    let refusal = Subject::new("half", &opened, &WINDOWS).err().unwrap().to_string();
    assert!(refusal.contains("cannot evaluate half: it gives 64 frames for every 1 it reads"), "{refusal}");
    let mut three = Graph::new(3);
    three.push("sum", Op::Add, &[0, 0]).unwrap();
    opened.streams.forward = rewrite::rewrite_graph(&three).unwrap();
    let refusal = Subject::new("three", &opened, &WINDOWS).err().unwrap().to_string();
    assert!(refusal.contains("reads 3 channels"), "{refusal}");
}
