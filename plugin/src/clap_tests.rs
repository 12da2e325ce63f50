//! The plugin in a CLAP host: state, latency, and models that come while it runs. Allocations in `process` abort here.

mod odd;
mod soak;

use std::io::Cursor;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use clack_extensions::latency::{HostLatency, HostLatencyImpl, PluginLatency};
use clack_extensions::state::PluginState;
use clack_host::events::event_types::MidiEvent;
use clack_host::prelude::*;
use runnel::StreamModel;
use serde_json::Value;

use crate::test_models::{autoencoder_stream, lookahead_stream};

#[derive(Default)]
struct Shared {
    restarts: AtomicU32,
}

impl SharedHandler<'_> for Shared {
    fn request_restart(&self) {
        self.restarts.fetch_add(1, Ordering::SeqCst);
    }
    fn request_process(&self) {}
    fn request_callback(&self) {}
}

struct MainThread;

impl MainThreadHandler<'_> for MainThread {
    fn initialized(&self, _: InitializedPluginHandle<'_>) {}
}

impl HostLatencyImpl for MainThread {
    fn changed(&self) {}
}

struct Host;

impl HostHandlers for Host {
    type Shared<'a> = Shared;
    type MainThread<'a> = MainThread;
    type AudioProcessor<'a> = ();
    fn declare_extensions(extensions: &mut HostExtensions<Self>, _: &Shared) {
        extensions.register::<HostLatency>();
    }
}

struct Rig {
    instance: PluginInstance<Host>,
    audio: Option<StoppedPluginAudioProcessor<Host>>,
    // Unloads last.
    _entry: PluginEntry,
}

impl Rig {
    #[allow(unsafe_code)]
    fn new() -> Self {
        // SAFETY: the entry is this crate's own, made by the framework's macro.
        let entry = unsafe { PluginEntry::load_from_raw(&crate::clap_entry, c"/runnel.clap") }.unwrap();
        let info = HostInfo::new("runnel tests", "", "", "0").unwrap();
        let id = entry.get_plugin_factory().unwrap().plugin_descriptors().next().unwrap().id().unwrap().to_owned();
        let instance = PluginInstance::new(|_| Shared::default(), |_| MainThread, &entry, &id, &info).unwrap();
        Self { instance, audio: None, _entry: entry }
    }

    fn activate(&mut self) {
        self.activate_at(48_000, 4096);
    }

    fn activate_at(&mut self, sampling_rate: u32, most_frames: usize) {
        let configuration = PluginAudioConfiguration {
            sample_rate: sampling_rate.into(),
            min_frames_count: 1,
            max_frames_count: most_frames as u32,
        };
        self.audio = Some(self.instance.activate(|_, _| (), configuration).unwrap());
    }

    fn restart(&mut self) {
        self.instance.deactivate(self.audio.take().unwrap());
        self.activate();
    }

    fn latency(&mut self) -> usize {
        let handle = self.instance.plugin_handle();
        handle.get_extension::<PluginLatency>().unwrap().get(&handle) as usize
    }

    fn state(&mut self) -> Vec<u8> {
        let mut state = vec![];
        let handle = self.instance.plugin_handle();
        handle.get_extension::<PluginState>().unwrap().save(&handle, &mut state).unwrap();
        state
    }

    fn load(&mut self, state: &[u8]) {
        let handle = self.instance.plugin_handle();
        handle.get_extension::<PluginState>().unwrap().load(&handle, &mut Cursor::new(state)).unwrap();
    }

    /// Plays an impulse at frame 100 in these blocks; the left output.
    fn impulse(&mut self, blocks: &[usize]) -> Vec<f32> {
        self.play(blocks, &|frame| f32::from(frame == 100), &[])
    }

    /// Plays `signal`, frame by frame, in these blocks, with the MIDI messages in the first; the left output.
    fn play(&mut self, blocks: &[usize], signal: &(dyn Fn(usize) -> f32 + Sync), midi: &[[u8; 3]]) -> Vec<f32> {
        let audio = self.audio.take().unwrap();
        let play = || play(audio, blocks, signal, midi);
        let (audio, heard) = std::thread::scope(|scope| scope.spawn(play).join().unwrap());
        self.audio = Some(audio);
        self.instance.call_on_main_thread_callback();
        heard
    }

    fn take_restarts(&self) -> u32 {
        self.instance.access_shared_handler(|shared| shared.restarts.swap(0, Ordering::SeqCst))
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(audio) = self.audio.take() {
            self.instance.deactivate(audio);
        }
    }
}

fn play(
    audio: StoppedPluginAudioProcessor<Host>,
    blocks: &[usize],
    signal: &dyn Fn(usize) -> f32,
    midi: &[[u8; 3]],
) -> (StoppedPluginAudioProcessor<Host>, Vec<f32>) {
    let mut audio = audio.start_processing().unwrap();
    let (mut input_ports, mut output_ports) = (AudioPorts::with_capacity(2, 1), AudioPorts::with_capacity(2, 1));
    let (mut heard, mut at) = (vec![], 0);
    for &frames in blocks {
        let mut input = vec![(at..at + frames).map(signal).collect::<Vec<f32>>(); 2];
        let mut output = vec![vec![9.0f32; frames]; 2];
        let inputs = input_ports.with_input_buffers([AudioPortBuffer {
            latency: 0,
            channels: AudioPortBufferType::f32_input_only(input.iter_mut().map(InputChannel::variable)),
        }]);
        let mut outputs = output_ports.with_output_buffers([AudioPortBuffer {
            latency: 0,
            channels: AudioPortBufferType::f32_output_only(output.iter_mut().map(|b| b.as_mut_slice())),
        }]);
        let events: Vec<_> = midi.iter().filter(|_| at == 0).map(|&message| MidiEvent::new(0, 0, message)).collect();
        let events = InputEvents::from_buffer(&events);
        audio.process(&inputs, &mut outputs, &events, &mut OutputEvents::void(), None, None).unwrap();
        heard.extend_from_slice(&output[0]);
        at += frames;
    }
    (audio.stop_processing(), heard)
}

/// What the state says; the framework puts its length before the JSON.
fn json(state: &[u8]) -> Value {
    serde_json::from_slice(&state[8..]).unwrap()
}

/// The state with other parameters and another model.
fn with_model(state: &[u8], path: &str) -> Vec<u8> {
    with(state, path, |params| {
        params["mix"]["f32"] = 0.25.into();
        params["seed"]["i32"] = 77.into();
    })
}

/// The state with another model, and its parameters edited.
fn with(state: &[u8], path: &str, edit: impl Fn(&mut Value)) -> Vec<u8> {
    let mut json = json(state);
    edit(&mut json["params"]);
    json["fields"]["model-path"] = Value::String(serde_json::to_string(path).unwrap());
    let json = serde_json::to_vec(&json).unwrap();
    [&(json.len() as u64).to_le_bytes()[..], &json].concat()
}

/// A file with a model of this latency, gone when dropped.
struct ModelFile(std::path::PathBuf);

impl ModelFile {
    fn new(name: &str, ahead: usize) -> Self {
        Self::of(name, &lookahead_stream(ahead, 1, 48_000))
    }

    fn of(name: &str, model: &StreamModel) -> Self {
        let path = std::env::temp_dir().join(format!("runnel-clap-{name}-{}.runnel", std::process::id()));
        runnel::format::save(model, &path).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for ModelFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Where the loudest sample is.
fn peak(heard: &[f32]) -> usize {
    (0..heard.len()).max_by(|&a, &b| heard[a].abs().total_cmp(&heard[b].abs())).unwrap()
}

#[test]
fn a_project_opens_with_its_model() {
    let file = ModelFile::new("opens", 700);
    let mut rig = Rig::new();
    let state = with_model(&rig.state(), file.path());
    rig.load(&state);
    rig.activate();
    assert_eq!(rig.latency(), 700);
    let heard = rig.impulse(&[1, 7, 64, 441, 4096, 13, 512]);
    assert_eq!((peak(&heard), heard[800]), (800, 1.0));
    let (again, mut state) = (json(&rig.state()), json(&state));
    let known: Value = serde_json::from_str(again["fields"]["model-known"].as_str().unwrap()).unwrap();
    assert!(known["hash"].is_string(), "the contents are known from now on");
    state["fields"]["model-known"] = again["fields"]["model-known"].clone();
    assert_eq!(again, state, "the same state comes back");
}

#[test]
fn a_project_sounds_as_it_did() {
    let file = ModelFile::of("sounds", &autoencoder_stream(48_000));
    let noise = |frame: usize| ((frame * 7919 % 4093) as f32 / 4093.0 - 0.5) * 0.7;
    let mut rig = Rig::new();
    let state = with(&rig.state(), file.path(), |params| {
        params["seed"]["i32"] = 1234.into();
        params["jitter"]["f32"] = 0.8.into();
        params["latent-bias_1"]["f32"] = 0.5.into();
        params["latent-scale_2"]["f32"] = 3.0.into();
    });
    rig.load(&state);
    rig.activate();
    let heard = rig.play(&[480; 40], &noise, &[]);
    let saved = rig.state();
    let sound_of = |state: &[u8], blocks: &[usize]| {
        let mut rig = Rig::new();
        rig.load(state);
        rig.activate();
        rig.play(blocks, &noise, &[])
    };
    assert_eq!(sound_of(&saved, &[480; 40]), heard);
    assert_eq!(sound_of(&saved, &[1, 4096, 63, 2048, 4096, 800, 4000, 4096]), heard);
    for (id, kind, value) in [("seed", "i32", 1235.into()), ("latent-scale_2", "f32", Value::from(2.5))] {
        let other = with(&saved, file.path(), |params| params[id][kind] = value.clone());
        assert_ne!(sound_of(&other, &[480; 40]), heard, "{id} is heard");
    }
}

#[test]
fn controllers_are_heard() {
    let file = ModelFile::of("controllers", &autoencoder_stream(48_000));
    let mut rig = Rig::new();
    let state = with(&rig.state(), file.path(), |params| params["source-latent_3"]["i32"] = 1.into());
    rig.load(&state);
    rig.activate();
    let sound = |rig: &mut Rig, midi: [u8; 3]| {
        rig.restart();
        rig.play(&[512; 8], &|_| 0.1, &[midi])
    };
    let still = sound(&mut rig, [0xE0, 0, 0x40]);
    assert_eq!(sound(&mut rig, [0xE1, 0, 0x40]), still);
    assert_ne!(sound(&mut rig, [0xE0, 0x7F, 0x7F]), still, "pitch bend moves the first latent");
}

#[test]
fn a_model_that_comes_while_playing_is_told_by_a_restart() {
    let file = ModelFile::new("comes", 900);
    let mut rig = Rig::new();
    rig.activate();
    assert_eq!(rig.latency(), 0);
    assert_eq!(peak(&rig.impulse(&[512])), 100);
    assert_eq!(rig.take_restarts(), 0);
    let state = with_model(&rig.state(), file.path());
    rig.load(&state);
    let start = Instant::now();
    while rig.take_restarts() == 0 {
        assert!(start.elapsed() < Duration::from_secs(20), "the host hears nothing of the model");
        rig.impulse(&[512; 4]);
    }
    // The model has come by the queue and plays; its latency is told when the host activates again, and announced once more.
    for _ in 0..2 {
        rig.restart();
        rig.instance.call_on_main_thread_callback();
    }
    assert_eq!(rig.latency(), 900);
    assert_eq!(peak(&rig.impulse(&[64; 30])), 1000);
    rig.take_restarts();
    rig.restart();
    rig.impulse(&[64; 30]);
    assert_eq!(rig.take_restarts(), 0, "and then there is rest");
}
