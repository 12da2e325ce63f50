//! The external in Pd itself, without sound card or window. Says so, and does nothing, where no `pd` is installed.

use std::path::{Path, PathBuf};
use std::process::Command;

use runnel::{Engine, Plan, Randomness, StreamGraph};

const RATE: u32 = 44_100;
const FRAMES: usize = 20_000;

/// A folder with the external and a signal, in which patches are played.
struct Pd {
    folder: tempfile::TempDir,
    signal: Vec<f32>,
}

impl Pd {
    /// `None` where Pd is not installed.
    fn new() -> Option<Self> {
        if Command::new("pd").arg("-version").output().is_err() {
            eprintln!("pd is not installed: not tested (Debian: apt-get install puredata-core)");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let program = std::env::current_exe().unwrap();
        let built = program.parent().unwrap();
        let (library, external) = if cfg!(target_os = "macos") {
            ("librunnel_pd.dylib", "runnel~.pd_darwin")
        } else {
            ("librunnel_pd.so", "runnel~.pd_linux")
        };
        std::fs::copy(built.join(library), folder.path().join(external)).unwrap();
        let signal: Vec<f32> = (0..FRAMES).map(|i| ((i * 7919 % 4093) as f32 / 4093.0 - 0.5) * 0.5).collect();
        let bytes: Vec<u8> = signal.iter().flat_map(|x| x.to_le_bytes()).collect();
        std::fs::write(folder.path().join("in.raw"), bytes).unwrap();
        Some(Self { folder, signal })
    }

    /// Sends the signal through `objects` in blocks of `block`: the first reads inlet 0, the last is recorded, and each
    /// reads all outlets of the one before it. `messages` go to the first at these milliseconds. What came out, and what
    /// the console said.
    fn play(&self, block: usize, objects: &[(&str, usize)], messages: &[(f64, &str)]) -> (Vec<f32>, String) {
        let recorded = 1e3 * FRAMES as f64 / f64::from(RATE);
        let end = messages.iter().map(|(at, _)| *at).fold(recorded, f64::max) + 50.0;
        let mut patch = Patch::default();
        patch.object(&format!("block~ {block}"));
        patch.object(&format!("table in {FRAMES}"));
        patch.object(&format!("table out {FRAMES}"));
        let start = patch.object("loadbang");
        let order = patch.object("t b b b b");
        patch.connect(start, 0, order, 0);
        let filer = patch.object("soundfiler");
        let read = patch.message("read -raw 0 1 4 l in.raw in");
        let switch = patch.message("\\; pd dsp 1");
        let player = patch.object("tabplay~ in");
        let recorder = patch.object("tabwrite~ out");
        let wait = patch.object(&format!("delay {end}"));
        let save = patch.object("t b b");
        let write = patch.message("write -wave -bytes 4 out.wav out");
        let quit = patch.message("\\; pd quit");
        patch.connect(order, 3, read, 0);
        patch.connect(read, 0, filer, 0);
        patch.connect(order, 2, switch, 0);
        patch.connect(order, 1, player, 0);
        patch.connect(order, 1, recorder, 0);
        patch.connect(order, 0, wait, 0);
        patch.connect(wait, 0, save, 0);
        patch.connect(save, 1, write, 0);
        patch.connect(write, 0, filer, 0);
        patch.connect(save, 0, quit, 0);
        let (mut before, mut outlets) = (player, 1);
        let mut first = None;
        for (text, made) in objects {
            let object = patch.object(text);
            (0..outlets).for_each(|channel| patch.connect(before, channel, object, channel));
            first.get_or_insert(object);
            (before, outlets) = (object, *made);
        }
        patch.connect(before, 0, recorder, 0);
        for (at, text) in messages {
            let (delay, message) = (patch.object(&format!("delay {at}")), patch.message(text));
            patch.connect(order, 0, delay, 0);
            patch.connect(delay, 0, message, 0);
            patch.connect(message, 0, first.unwrap(), 0);
        }
        let path = self.folder.path().join("patch.pd");
        std::fs::write(&path, patch.text()).unwrap();
        let arguments = ["-nogui", "-batch", "-nosound", "-noprefs", "-stderr", "-r", "44100", "-open"];
        let ran = Command::new("pd").args(arguments).arg(&path).current_dir(self.folder.path()).output().unwrap();
        let console = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(ran.status.success(), "{console}");
        (samples(&self.folder.path().join("out.wav")), console)
    }
}

/// A patch as text: objects are numbered in the order in which they are made.
#[derive(Default)]
struct Patch {
    objects: Vec<String>,
    connections: Vec<String>,
}

impl Patch {
    fn object(&mut self, text: &str) -> usize {
        self.objects.push(format!("#X obj 10 10 {text};"));
        self.objects.len() - 1
    }

    fn message(&mut self, text: &str) -> usize {
        self.objects.push(format!("#X msg 10 10 {text};"));
        self.objects.len() - 1
    }

    fn connect(&mut self, from: usize, outlet: usize, to: usize, inlet: usize) {
        self.connections.push(format!("#X connect {from} {outlet} {to} {inlet};"));
    }

    fn text(&self) -> String {
        let head = "#N canvas 0 0 600 400 12;".to_string();
        let lines: Vec<_> = std::iter::once(&head).chain(&self.objects).chain(&self.connections).cloned().collect();
        lines.join("\n") + "\n"
    }
}

/// The samples of a wave file of 32-bit floats.
fn samples(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap();
    let data = bytes.windows(4).position(|w| w == b"data").unwrap() + 8;
    bytes[data..].chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/rave/v1").canonicalize().unwrap()
}

fn engine(stream: &StreamGraph) -> Engine {
    Engine::new(Plan::new(stream).unwrap(), Randomness::Seeded(0))
}

fn run(stream: &StreamGraph, input: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let mut output = vec![vec![0.0; input[0].len()]; stream.output().channels];
    let input: Vec<&[f32]> = input.iter().map(|c| &c[..]).collect();
    engine(stream).process(&input, &mut output.iter_mut().map(|c| &mut c[..]).collect::<Vec<_>>());
    output
}

fn difference(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn forward_is_what_a_render_gives_in_any_blocks() {
    let Some(pd) = Pd::new() else { return };
    let model = model();
    let stream = runnel::open(&model, &Default::default()).unwrap().forward;
    let expected = &run(&stream, std::slice::from_ref(&pd.signal))[0];
    for block in [1, 64, 512] {
        let (heard, console) = pd.play(block, &[(&format!("runnel~ {}", model.display()), 1)], &[(1.0, "info")]);
        assert!(heard.iter().any(|y| y.abs() > 1e-3), "{console}");
        assert!(difference(&heard, expected) < 1e-6, "blocks of {block}: {console}");
        assert!(console.contains(&format!("latency {} samples", stream.latency_samples())), "{console}");
    }
}

#[test]
fn encode_and_decode_are_connected_by_signals() {
    let Some(pd) = Pd::new() else { return };
    let path = model();
    let model = runnel::open(&path, &Default::default()).unwrap();
    let (encode, decode) = (model.held_encoder().unwrap().unwrap(), model.sampled_decoder().unwrap().unwrap());
    let expected = &run(&decode, &run(&encode, std::slice::from_ref(&pd.signal)))[0];
    let objects = [
        (format!("runnel~ {} encode", path.display()), encode.output().channels),
        (format!("runnel~ {} decode", path.display()), 1),
    ];
    let objects: Vec<_> = objects.iter().map(|(text, outlets)| (&text[..], *outlets)).collect();
    let (heard, console) = pd.play(64, &objects, &[]);
    assert!(difference(&heard, expected) < 1e-6, "{console}");
}

#[test]
fn models_load_and_restart_while_sound_runs() {
    let Some(pd) = Pd::new() else { return };
    let model = model();
    let name = model.display();
    let load = format!("load {name}");
    let messages = [
        (5.0, &load[..]),
        (20.0, "load /no/such/model.runnel"),
        (40.0, "reset"),
        (60.0, "latents 1 -1"),
        (80.0, "seed 5"),
        (90.0, "noise 0"),
        (100.0, "slack 64"),
        (120.0, "bypass 1"),
        (150.0, "bypass 0"),
        (160.0, "bypass please"),
        (170.0, &load[..]),
        (300.0, "reset"),
        // Without a sound card time runs ahead of the thread that loads.
        (120_000.0, "info"),
    ];
    let (heard, console) = pd.play(64, &[(&format!("runnel~ {name}"), 1)], &messages);
    assert!(heard.iter().all(|y| y.is_finite()) && heard.iter().any(|y| y.abs() > 1e-3));
    assert!(console.contains("/no/such/model.runnel"), "{console}");
    assert!(console.contains("bypass takes 1 or 0"), "{console}");
}

#[test]
fn what_cannot_be_made_is_said() {
    let Some(pd) = Pd::new() else { return };
    let (heard, console) = pd.play(64, &[("runnel~ /no/such/model.runnel", 1)], &[]);
    assert!(heard.iter().all(|y| *y == 0.0) && console.contains("/no/such/model.runnel"), "{console}");
    let (_, console) = pd.play(64, &[(&format!("runnel~ {} dance", model().display()), 1)], &[]);
    assert!(console.contains("there are forward, encode and decode"), "{console}");
}
