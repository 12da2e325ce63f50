//! Hosts and projects that are not as they should be: nothing crashes, nothing that was fine is lost.

use super::*;

fn refuses(rig: &mut Rig, state: &[u8]) {
    let handle = rig.instance.plugin_handle();
    let loaded = handle.get_extension::<PluginState>().unwrap().load(&handle, &mut Cursor::new(state));
    assert!(loaded.is_err(), "{} bytes are taken for a state", state.len());
}

fn with_length(json: &[u8]) -> Vec<u8> {
    [&(json.len() as u64).to_le_bytes()[..], json].concat()
}

#[test]
fn states_of_noise_change_nothing() {
    let file = ModelFile::new("noise", 300);
    let mut rig = Rig::new();
    let state = with_model(&rig.state(), file.path());
    rig.load(&state);
    rig.activate();
    rig.impulse(&[512; 4]);
    let before = rig.state();
    let noise: Vec<u8> = (0u32..10 << 20).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    refuses(&mut rig, &noise[..0]);
    refuses(&mut rig, &noise[..5]);
    refuses(&mut rig, &with_length(&noise));
    refuses(&mut rig, &with_length(b"{\"version\":1}"));
    refuses(&mut rig, &with_length(&before[8..before.len() - 1]));
    assert_eq!(rig.state(), before);
    assert_eq!((rig.latency(), peak(&rig.impulse(&[512; 4]))), (300, 400));
}

#[test]
fn a_newer_state_gives_what_is_known() {
    let file = ModelFile::new("newer", 300);
    let mut rig = Rig::new();
    let mut newer = json(&with_model(&rig.state(), file.path()));
    newer["version"] = "99.1.0".into();
    newer["params"]["not-yet-thought-of"] = serde_json::json!({ "f32": 0.5 });
    newer["params"]["jitter"] = serde_json::json!({ "i32": 3 });
    newer["fields"]["of-a-later-time"] = "{}".into();
    newer["params"].as_object_mut().unwrap().remove("gate");
    rig.load(&with_length(&serde_json::to_vec(&newer).unwrap()));
    rig.activate();
    assert_eq!((rig.latency(), peak(&rig.impulse(&[512; 4]))), (300, 400));
    assert_eq!(json(&rig.state())["params"]["seed"]["i32"], 77);
}

#[test]
fn a_model_that_is_deleted_plays_on() {
    let file = ModelFile::new("deleted", 300);
    let mut rig = Rig::new();
    let state = with_model(&rig.state(), file.path());
    rig.load(&state);
    rig.activate();
    rig.impulse(&[512; 2]);
    drop(file);
    assert_eq!(peak(&rig.impulse(&[512; 4])), 400);
    rig.restart();
    assert_eq!((rig.latency(), peak(&rig.impulse(&[512; 4]))), (300, 400));
}

#[test]
fn blocks_without_samples_and_samples_that_are_no_numbers_pass() {
    let file = ModelFile::of("numbers", &autoencoder_stream(48_000));
    let mut rig = Rig::new();
    let state = with_model(&rig.state(), file.path());
    rig.load(&state);
    rig.activate();
    let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-40, -1e-45, f32::MAX, f32::MIN, 0.0];
    let heard = rig.play(&[0, 64, 0, 0, 1, 0, 4096], &|frame| odd[frame % odd.len()], &[]);
    assert_eq!(heard.len(), 64 + 1 + 4096);
    assert!(heard.iter().all(|y| y.is_finite()));
    rig.restart();
    let heard = rig.play(&[1024; 3], &|_| 0.0, &[]);
    assert!(heard.iter().all(|y| y.abs() < 10.0), "nothing of it stays");
}

#[test]
fn many_instances_play_at_once() {
    let file = ModelFile::new("many", 300);
    let mut rigs: Vec<_> = (0..32).map(|_| Rig::new()).collect();
    for rig in &mut rigs {
        let state = with_model(&rig.state(), file.path());
        rig.load(&state);
        rig.activate();
    }
    for rig in &mut rigs {
        assert_eq!((rig.latency(), peak(&rig.impulse(&[512; 4]))), (300, 400));
    }
}
