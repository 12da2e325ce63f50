//! What becomes of good, bad and missing models.

mod refit;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use nice_plug::prelude::Params;
use runnel::format;

use super::*;
use crate::audio::{AudioPath, Controls};
use crate::folders::TestFolder;
use crate::hands::Hands;
use crate::model_file;
use crate::test_models::{learner_stream, lookahead_stream};

type State = BTreeMap<String, String>;

const FORMAT: Format = Format { sampling_rate: 48_000, inputs: 2, outputs: 2 };

/// A loader for a folder of its own, which goes when this is dropped.
struct Rig {
    folder: TestFolder,
    loader: Arc<Loader>,
    exchange: Exchange,
}

impl Rig {
    fn new(name: &str) -> Self {
        let folder = TestFolder::new(&format!("loader-{name}"));
        let (loader, exchange) = Self::loader(&folder);
        Self { folder, loader, exchange }
    }

    /// As another host would open a project.
    fn open_project(&mut self, state: &State) -> Status {
        self.loader.stop();
        (self.loader, self.exchange) = Self::loader(&self.folder);
        self.loader.params.deserialize_fields(state);
        self.loader.activate(FORMAT, 512);
        self.loader.status()
    }

    fn loader(folder: &TestFolder) -> (Arc<Loader>, Exchange) {
        let folders = Folders::below(folder.0.join("home"));
        Loader::with_folders(Arc::new(RunnelParams::default()), folders)
    }

    fn choose(&self, path: &str) -> Status {
        self.loader.params.model_path.choose(path.into());
        self.loader.activate(FORMAT, 512);
        self.loader.status()
    }

    fn state(&self) -> State {
        self.loader.params.serialize_fields()
    }

    fn model(&self, name: &str, ahead: usize) -> String {
        let path = self.folder.0.join(name);
        format::save(&lookahead_stream(ahead, 1, 48_000), &path).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn next_stage(&mut self) -> Box<Stage> {
        let start = Instant::now();
        loop {
            match self.exchange.incoming.pop() {
                Ok(stage) => return stage,
                Err(_) if start.elapsed() > Duration::from_secs(20) => panic!("no stage came"),
                Err(_) => thread::sleep(Duration::from_millis(1)),
            }
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.loader.stop();
    }
}

#[test]
fn an_activation_reads_the_model_at_once() {
    let rig = Rig::new("activate");
    rig.loader.params.model_path.choose(rig.model("ä b.runnel", 70));
    let stage = rig.loader.activate(FORMAT, 512);
    assert_eq!(stage.latency_samples(), 70);
    let playing = rig.loader.status().playing.unwrap();
    assert_eq!((playing.latency_samples, playing.format), (70, Some(FORMAT)));
}

#[test]
fn a_model_chosen_later_comes_by_the_queue() {
    let mut rig = Rig::new("queue");
    rig.loader.activate(FORMAT, 512);
    rig.loader.start();
    for ahead in [30, 40] {
        rig.loader.params.model_path.choose(rig.model("model.runnel", ahead));
        assert_eq!(rig.next_stage().latency_samples(), ahead);
    }
    rig.loader.params.model_path.choose(String::new());
    assert_eq!(rig.next_stage().latency_samples(), 0);
    assert_eq!(rig.loader.status(), Status::default());
}

#[test]
fn a_refused_model_is_named_and_the_old_one_stays() {
    let rig = Rig::new("refused");
    rig.loader.params.model_path.choose(rig.model("good.runnel", 30));
    rig.loader.activate(FORMAT, 512);
    let noise = rig.folder.0.join("noise.runnel");
    std::fs::write(&noise, b"\x10\0\0\0\0\0\0\0{ no header at all").unwrap();
    let missing = rig.folder.0.join("missing.runnel");
    for path in [noise, missing] {
        let path = path.to_str().unwrap().to_owned();
        rig.loader.params.model_path.choose(path.clone());
        assert_eq!(rig.loader.activate(FORMAT, 512).latency_samples(), 30);
        let status = rig.loader.status();
        let Phase::Refused(reason) = status.phase else { panic!("{:?}", status.phase) };
        assert!(reason.contains(&path), "{reason}");
        assert!(status.playing.is_some());
    }
}

#[test]
fn what_comes_back_is_dropped() {
    let mut rig = Rig::new("back");
    let stage = rig.loader.activate(FORMAT, 512);
    rig.exchange.retired.push(stage).unwrap();
    rig.loader.start();
    let start = Instant::now();
    while rig.exchange.retired.slots() < QUEUE {
        assert!(start.elapsed() < Duration::from_secs(20), "the stage stays in the queue");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_project_knows_its_model_again_wherever_it_is() {
    let mut rig = Rig::new("again");
    let status = rig.choose(&rig.model("drums.runnel", 30));
    let facts = status.playing.unwrap();
    assert_eq!(facts.path, rig.folder.0.join("drums.runnel"));
    assert_eq!(facts.receptive_field, (Some(0), 30));
    let state = rig.state();
    let json: serde_json::Value = serde_json::from_str(&state["model-known"]).unwrap();
    assert_eq!(json["name"], "drums.runnel");
    let status = rig.open_project(&state);
    assert_eq!((status.phase, status.note), (Phase::Settled, None));
    assert_eq!(rig.state(), state, "the same state comes back");

    // Moved into the library, whose folder it was not in.
    let library = rig.loader.folders.library.clone();
    std::fs::create_dir_all(&library).unwrap();
    std::fs::rename(rig.folder.0.join("drums.runnel"), library.join("drums.runnel")).unwrap();
    let status = rig.open_project(&state);
    assert_eq!(status.playing.unwrap().path, library.join("drums.runnel"));
    assert_eq!(rig.loader.params.model_path.text(), library.join("drums.runnel").to_str().unwrap());
}

#[test]
fn a_missing_model_is_named_kept_and_located() {
    let mut rig = Rig::new("missing");
    let path = rig.model("drums.runnel", 30);
    rig.choose(&path);
    let state = rig.state();
    let elsewhere = rig.folder.0.join("other name.runnel");
    std::fs::rename(&path, &elsewhere).unwrap();
    let status = rig.open_project(&state);
    let Phase::Missing { name, looked_at } = &status.phase else { panic!("{:?}", status.phase) };
    assert_eq!((name.as_str(), &looked_at[0]), ("drums.runnel", &Path::new(&path).to_owned()));
    assert_eq!(rig.state(), state, "saved again, it is still looked for");
    // A wrong guess changes nothing.
    let noise = rig.folder.0.join("noise.runnel");
    std::fs::write(&noise, b"noise").unwrap();
    assert!(matches!(rig.choose(noise.to_str().unwrap()).phase, Phase::Refused(_)));
    assert_eq!(rig.state(), state);
    let status = rig.choose(elsewhere.to_str().unwrap());
    assert_eq!((status.phase, status.note), (Phase::Settled, None));
    assert_ne!(rig.state(), state);

    rig.open_project(&state);
    let other = rig.model("other.runnel", 40);
    let status = rig.choose(&other);
    assert_eq!(status.phase, Phase::Settled, "another model is accepted");
    assert!(status.note.unwrap().contains("other.runnel is not the file that the project missed"));
    assert_eq!(rig.choose(&path.replace("drums", "none")).playing.unwrap().latency_samples, 40);
}

#[test]
fn an_old_project_and_one_of_a_changed_model() {
    let mut rig = Rig::new("changed");
    let path = rig.model("drums.runnel", 30);
    let old = State::from([("model-path".into(), serde_json::to_string(&path).unwrap())]);
    let status = rig.open_project(&old);
    assert_eq!((status.phase, status.note), (Phase::Settled, None));
    let state = rig.state();
    rig.model("drums.runnel", 40);
    let status = rig.open_project(&state);
    assert!(status.note.unwrap().contains("drums.runnel has changed since the project was saved"));
    assert_eq!(status.playing.unwrap().latency_samples, 40);
}

#[test]
fn a_refused_model_is_not_saved_over_the_one_that_plays() {
    let rig = Rig::new("kept");
    rig.choose(&rig.model("good.runnel", 30));
    let state = rig.state();
    rig.choose(rig.folder.0.join("none.runnel").to_str().unwrap());
    assert_eq!(rig.state(), state);
    assert!(rig.loader.params.model_path.text().ends_with("none.runnel"), "the window shows what was asked for");
}

#[test]
fn a_model_that_ended_a_host_is_loaded_only_when_asked_for() {
    let mut rig = Rig::new("held");
    let path = rig.model("drums.runnel", 30);
    rig.choose(&path);
    let state = rig.state();
    let marks = rig.loader.folders.config.join("loading");
    assert_eq!(std::fs::read_dir(&marks).unwrap().count(), 0, "a model that was planned leaves no mark");
    let hash = model_file::contents(Path::new(&path)).unwrap().hash;
    std::fs::write(marks.join(format!("{hash}.1-0-0")), "").unwrap();
    for _ in 0..2 {
        let status = rig.open_project(&state);
        assert_eq!(status.phase, Phase::Held { path: path.clone().into() });
        assert_eq!(status.playing, None);
        assert_eq!(rig.state(), state, "nothing is lost");
    }
    // Even where it was moved, the window's path leads to it.
    let library = rig.loader.folders.library.clone();
    std::fs::create_dir_all(&library).unwrap();
    std::fs::rename(&path, library.join("drums.runnel")).unwrap();
    assert!(matches!(rig.open_project(&state).phase, Phase::Held { .. }));
    let shown = rig.loader.params.model_path.text();
    assert_eq!(rig.choose(&shown).phase, Phase::Settled);
    assert_eq!(rig.open_project(&state).phase, Phase::Settled);
    assert_eq!(std::fs::read_dir(&marks).unwrap().count(), 0);
}

#[test]
fn the_model_in_use_is_not_read_again() {
    let mut rig = Rig::new("same");
    let path = rig.model("drums.runnel", 30);
    rig.choose(&path);
    let serial = lock(&rig.loader.shelf).model_serial;
    assert_eq!(rig.choose(&path).phase, Phase::Settled);
    assert_eq!(lock(&rig.loader.shelf).model_serial, serial);
    assert!(rig.exchange.incoming.pop().is_err());
}

#[test]
fn what_was_opened_is_remembered() {
    let mut rig = Rig::new("remembered");
    let (a, b) = (rig.model("a.runnel", 30), rig.model("b.runnel", 31));
    rig.choose(&a);
    rig.choose(&format!(" \"{b}\" "));
    rig.choose("/nowhere/c.runnel");
    let state = rig.state();
    rig.open_project(&state);
    assert_eq!(rig.loader.library().recent(), [Path::new(&b), Path::new(&a)]);
}

#[test]
fn a_project_keeps_what_its_model_learned() {
    let mut rig = Rig::new("learned");
    let path = rig.folder.0.join("learner.runnel");
    format::save(&learner_stream(48_000), &path).unwrap();
    rig.choose(path.to_str().unwrap());
    assert_eq!(rig.loader.params.memory.knows(), Some([false, false]));
    let learns = |stage: Box<Stage>, learning: runnel::Learning| {
        let (_, incoming) = RingBuffer::new(1);
        let (retired, _) = RingBuffer::new(1);
        let mut path = AudioPath::new(FORMAT, Exchange { incoming, retired }, Arc::default());
        path.install(stage);
        let level = [1.0; 256];
        for hands in [Hands { learning, ..Hands::default() }, Hands::default()] {
            let (mut left, mut right): (Vec<f32>, Vec<f32>) = (0..256).map(|i| ((i * 7 % 13) as f32, 0.5)).unzip();
            let hands = &hands;
            let (mix, input_gain, output_gain) = (&level, &level, &level);
            let [bypassed, limited, gated] = [false; 3];
            let controls = Controls { mix, input_gain, output_gain, bypassed, limited, gated, hands };
            path.process(&mut [&mut left, &mut right], 0..256, controls);
        }
    };
    learns(rig.loader.activate(FORMAT, 512), runnel::Learning::Target);
    assert_eq!(rig.loader.params.memory.knows(), Some([false, true]));
    let state = rig.state();
    let status = rig.open_project(&state);
    assert_eq!((status.phase, status.note), (Phase::Settled, None));
    assert_eq!(rig.loader.params.memory.knows(), Some([false, true]));
    assert_eq!(rig.state(), state);

    // The same project again, with something learned on top: the state's word counts, without another look at the model.
    learns(rig.loader.activate(FORMAT, 512), runnel::Learning::Source);
    assert_eq!(rig.loader.params.memory.knows(), Some([true, true]));
    rig.loader.start();
    rig.loader.params.deserialize_fields(&state);
    rig.next_stage();
    assert_eq!(rig.loader.params.memory.knows(), Some([false, true]));

    // Another model under the same name.
    let mut other = learner_stream(48_000);
    other.info.description = "retrained".into();
    format::save(&other, &path).unwrap();
    let note = rig.open_project(&state).note.unwrap();
    assert!(note.contains("What the project had learned is not used: the model is another one."), "{note}");
    assert_eq!(rig.loader.params.memory.knows(), Some([false, false]));
}

#[test]
fn noise_in_a_state_is_refused_in_words() {
    let mut rig = Rig::new("noise");
    let noise = "\u{1}ä/".repeat(3_000_000);
    let state = State::from([("model-path".into(), serde_json::to_string(&noise).unwrap())]);
    let status = rig.open_project(&state);
    assert!(matches!(status.phase, Phase::Missing { .. }), "{:?}", status.phase);
    assert!(status.phase.to_string().len() < 1000);
    assert!(matches!(rig.choose(&noise).phase, Phase::Refused(_)));
    assert!(matches!(rig.choose("a\0b").phase, Phase::Refused(_)));
    let folder = rig.folder.0.to_str().unwrap().to_owned();
    let Phase::Refused(reason) = rig.choose(&folder).phase else { panic!("a folder of nothing was accepted") };
    assert!(reason.contains(&folder), "{reason}");
}

#[cfg(unix)]
#[test]
fn a_device_is_no_model() {
    let rig = Rig::new("device");
    for path in ["/dev/zero", "/dev/stdin", "/dev/tty"] {
        assert!(matches!(rig.choose(path).phase, Phase::Refused(_)), "{path}");
    }
}
