//! Latents that a prior plays.

use super::*;
use crate::test_models::autoencoder_with_prior;

const FRAMES: usize = 24_000;

fn model(latency: Latency) -> LoadedModel {
    LoadedModel::new(&autoencoder_with_prior(48_000), Mode::Play, latency).unwrap()
}

fn silence() -> [Vec<f32>; 2] {
    [vec![0.0; FRAMES], vec![0.0; FRAMES]]
}

/// What a new path plays with the prior on, at this temperature and seed.
fn played(setup: Setup, model: &LoadedModel, temperature: f32, seed: u64, blocks: &[usize]) -> Vec<Vec<f32>> {
    let mut rig = Rig::empty(setup.format);
    rig.path.install(Box::new(Stage::new(1, setup, Some(model))));
    rig.path.set_offline(true);
    rig.hands = Hands { prior: true, prior_temperature: temperature, seed, ..Hands::default() };
    rig.play(&silence(), blocks)
}

#[test]
fn it_sounds_alike_on_both_sides_and_in_any_blocks() {
    for latency in [Latency::Least, Latency::Balanced, Latency::Relaxed] {
        let model = model(latency);
        let whole = played(Setup::plain(STEREO), &model, 1.0, 3, &[FRAMES]);
        assert!(whole[0].iter().any(|x| x.abs() > 0.05) && whole[0] == whole[1]);
        for blocks in [&[1][..], &[64], &[441], &[7, 900, 33]] {
            assert!(played(Setup::plain(STEREO), &model, 1.0, 3, blocks) == whole, "{latency:?}, {blocks:?}");
        }
        assert!(played(Setup::plain(STEREO), &model, 1.0, 4, &[512]) != whole, "another seed");
    }
}

#[test]
fn without_temperature_nothing_is_drawn() {
    let model = model(Latency::Balanced);
    let [one, other] = [1, 2].map(|seed| played(Setup::plain(STEREO), &model, 0.0, seed, &[512]));
    assert!(one == other && one[0].iter().any(|x| x.abs() > 0.05));
}

#[test]
fn a_thread_of_its_own_plays_the_same_later() {
    let model = model(Latency::Balanced);
    let here = played(Setup::plain(STEREO), &model, 1.0, 3, &[512]);
    let setup = Setup { own_thread: Some(512), ..Setup::plain(STEREO) };
    let elsewhere = played(setup, &model, 1.0, 3, &[512]);
    let detour = Stage::new(1, setup, Some(&model)).latency_samples()
        - Stage::new(1, Setup::plain(STEREO), Some(&model)).latency_samples();
    assert!(elsewhere[0][detour..] == here[0][..FRAMES - detour]);
}

#[test]
fn the_hands_reach_what_it_plays() {
    let model = model(Latency::Least);
    let free = played(Setup::plain(MONO), &model, 1.0, 3, &[512]);
    let mut rig = Rig::playing(MONO, &model);
    rig.hands = Hands { prior: true, seed: 3, scale: [0.0; LATENTS], ..Hands::default() };
    assert!(rig.play(&silence()[..1], &[512])[0].iter().all(|x| *x == 0.0), "no gain, no sound");
    rig.path.reset();
    rig.hands.scale = [1.0; LATENTS];
    assert!(rig.play(&silence()[..1], &[512])[0] == free[0], "a reset starts it anew");
}

#[test]
fn it_can_be_switched_at_any_time_in_any_blocks() {
    let model = model(Latency::Balanced);
    let switched = |blocks: &[usize]| {
        let mut rig = Rig::playing(MONO, &model);
        let mut out = Vec::new();
        for prior in [false, true, false, true] {
            rig.hands = Hands { prior, prior_temperature: 1.5, ..Hands::default() };
            out.push(rig.play(&[vec![0.0; 5_000]], blocks).remove(0));
        }
        out
    };
    let whole = switched(&[5_000]);
    let loud = |signal: &[f32]| signal.iter().any(|x| x.abs() > 0.05);
    let ends: Vec<_> = whole.iter().map(|part| loud(&part[2_500..])).collect();
    assert_eq!(ends, [false, true, false, true]);
    for blocks in [&[1][..], &[64], &[441], &[7, 900, 33]] {
        assert!(switched(blocks) == whole, "{blocks:?}");
    }
}
