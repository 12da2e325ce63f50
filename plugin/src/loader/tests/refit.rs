//! What becomes of a choice of latency.

use std::fs;

use hound::{SampleFormat, WavSpec, WavWriter};
use runnel::random::Randomness;

use super::*;
use crate::dial::Dial;

/// Samples that [`Rig::ahead`] looks ahead: 300 ms.
const AHEAD: usize = 14_400;

impl Rig {
    /// A model that looks 300 ms ahead, with ten seconds of noise to calibrate on.
    fn ahead(&self, name: &str) -> String {
        self.noise("calibration/noise.wav", 480_000);
        self.model(name, AHEAD)
    }

    fn noise(&self, name: &str, frames: i64) {
        let path = self.folder.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let spec =
            WavSpec { channels: 1, sample_rate: 48_000, bits_per_sample: 32, sample_format: SampleFormat::Float };
        let mut writer = WavWriter::create(path, spec).unwrap();
        (0..frames).for_each(|n| writer.write_sample(0.5 * Randomness::Seeded(3).uniform(0, n, 0)).unwrap());
        writer.finalize().unwrap();
    }

    fn turn(&self, dial: Dial) -> Status {
        self.loader.params.model_path.turn(dial);
        self.loader.activate(FORMAT, 512);
        self.loader.status()
    }

    /// The status once nothing is being refitted, and what is played then.
    fn refitted(&self) -> (Status, usize) {
        self.loader.refits.wait();
        let stage = self.loader.activate(FORMAT, 512);
        (self.loader.status(), stage.latency_samples())
    }

    fn cached(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.loader.folders.cache.join("converted")) else { return vec![] };
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn kept(state: &State) -> serde_json::Value {
    serde_json::from_str::<serde_json::Value>(&state["model-known"]).unwrap()["refit_ms"].clone()
}

#[test]
fn a_choice_is_refitted_while_the_trained_model_plays_then_swapped_in_and_kept() {
    let mut rig = Rig::new("refit");
    let status = rig.choose(&rig.ahead("m.runnel"));
    let facts = status.playing.unwrap();
    assert_eq!(facts.dials, Dial::ALL);
    assert_eq!((facts.exact_samples, facts.refit), (AHEAD as u64, None));
    assert!(facts.sounds.to_string().starts_with("1 file of "));
    assert_eq!(kept(&rig.state()), serde_json::Value::Null, "an exact model is kept as ever");

    let before = rig.loader.status().playing.unwrap();
    let status = rig.turn(Dial::Ms100);
    assert_eq!(status.playing.unwrap(), before, "it plays on");
    assert_eq!(kept(&rig.state()), 100, "saved meanwhile, the choice is kept");
    let (status, latency) = rig.refitted();
    assert_eq!((status.phase, status.refit), (Phase::Settled, Refit::Idle));
    let facts = status.playing.unwrap();
    let record = facts.refit.unwrap();
    assert_eq!((record.asked_samples, record.exact_samples), (4_800, AHEAD as u64));
    assert!(latency <= 4_800 && latency as u64 == record.reached_samples, "{latency}");
    assert!(record.calibrated_on.starts_with("1 file of "), "{}", record.calibrated_on);
    assert_eq!((facts.exact_samples, facts.dials), (AHEAD as u64, Dial::ALL.to_vec()), "another choice stays possible");
    let cached = rig.cached();
    assert_eq!(cached.len(), 1);

    // The same project, opened again: nothing is refitted.
    let state = rig.state();
    let status = rig.open_project(&state);
    assert_eq!((status.refit, status.playing.unwrap().refit.unwrap()), (Refit::Idle, record));
    assert_eq!((rig.state(), rig.cached()), (state, cached));
    // And back.
    let status = rig.turn(Dial::Exact);
    assert_eq!(status.playing.unwrap().refit, None);
    assert_eq!(rig.refitted().1, AHEAD);
    assert_eq!(kept(&rig.state()), serde_json::Value::Null);
}

#[test]
fn a_project_without_the_result_refits_again_and_a_render_waits_for_it() {
    let mut rig = Rig::new("refit-again");
    rig.choose(&rig.ahead("m.runnel"));
    rig.turn(Dial::Ms170);
    rig.refitted();
    let state = rig.state();
    fs::remove_dir_all(&rig.loader.folders.cache).unwrap();
    let status = rig.open_project(&state);
    assert_eq!(status.playing.unwrap().refit, None, "the trained model plays meanwhile");
    assert_eq!(rig.state(), state);
    let (status, latency) = rig.refitted();
    assert!(status.playing.unwrap().refit.is_some() && latency <= 8_160, "{latency}");

    fs::remove_dir_all(&rig.loader.folders.cache).unwrap();
    rig.loader.stop();
    (rig.loader, rig.exchange) = Rig::loader(&rig.folder);
    rig.loader.params.deserialize_fields(&state);
    assert_eq!(rig.loader.activate_offline(FORMAT, 512).latency_samples(), latency);
}

#[test]
fn what_was_refitted_is_told_from_all_else() {
    let rig = Rig::new("refit-key");
    let path = rig.ahead("m.runnel");
    rig.choose(&path);
    let mut count = 0;
    let mut refits = |dial: Dial, what: &str| {
        rig.turn(dial);
        assert!(rig.refitted().0.playing.unwrap().refit.is_some());
        count += 1;
        assert_eq!(rig.cached().len(), count, "{what}");
        rig.turn(Dial::Exact);
    };
    refits(Dial::Ms100, "the first");
    refits(Dial::Ms60, "another latency");
    rig.noise("calibration/more.wav", 480_000);
    refits(Dial::Ms60, "other sounds");
    rig.model("m.runnel", AHEAD + 1);
    rig.choose(&path);
    refits(Dial::Ms60, "another model");
}

#[test]
fn a_latency_that_cannot_be_is_refused_with_the_least() {
    let rig = Rig::new("refit-least");
    rig.noise("calibration/noise.wav", 480_000);
    let path = rig.folder.0.join("m.runnel");
    format::save(&crate::test_models::spectral_stream(16_000, 48_000), &path).unwrap();
    let facts = rig.choose(path.to_str().unwrap()).playing.unwrap();
    assert_eq!(facts.dials, Dial::ALL);
    rig.turn(Dial::Ms60);
    let (status, latency) = rig.refitted();
    let Refit::Refused { dial: Dial::Ms60, .. } = &status.refit else { panic!("{:?}", status.refit) };
    let told = status.refit.to_string();
    assert!(
        told.starts_with(
            "Not refitted to 60 ms: the least that this model can be refitted to is 4999 samples, 104.1 ms"
        ),
        "{told}"
    );
    assert_eq!((latency, status.playing.unwrap()), (facts.latency_samples, facts), "what played plays on");
    assert_eq!(kept(&rig.state()), serde_json::Value::Null, "a choice that cannot be is not kept");
    assert_eq!(rig.loader.params.model_path.dial(), Dial::Exact);
    rig.turn(Dial::Exact);
    assert_eq!(rig.loader.status().refit, Refit::Idle, "another choice, another word");
}

#[test]
fn a_second_choice_ends_the_first_and_so_does_the_end() {
    let rig = Rig::new("refit-cancel");
    rig.choose(&rig.ahead("m.runnel"));
    let started = |dial: Dial| {
        rig.turn(dial);
        let start = Instant::now();
        loop {
            match rig.loader.status().refit {
                Refit::Working { dial: now, done: 1.., .. } if now == dial => return,
                Refit::Working { .. } if start.elapsed() < Duration::from_secs(20) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    // Long enough to be seen at work.
    rig.noise("calibration/long.wav", 9_600_000);
    started(Dial::Ms60);
    assert_eq!(rig.turn(Dial::Exact).refit, Refit::Idle);
    assert_eq!(kept(&rig.state()), serde_json::Value::Null);
    started(Dial::Ms100);
    rig.turn(Dial::Ms250);
    rig.loader.stop();
    assert_eq!(rig.cached(), Vec::<String>::new(), "none of them was finished");
    let marks = fs::read_dir(rig.loader.folders.config.join("loading")).unwrap().count();
    assert_eq!(marks, 0, "what was ended in order leaves no mark");
}

#[test]
fn a_file_that_was_refitted_says_so_and_is_played_as_it_is() {
    let rig = Rig::new("refit-file");
    rig.choose(&rig.ahead("m.runnel"));
    rig.turn(Dial::Ms100);
    let (_, latency) = rig.refitted();
    let kept = rig.loader.folders.cache.join("converted").join(&rig.cached()[0]);
    let file = rig.folder.0.join("fast.runnel");
    fs::copy(kept, &file).unwrap();
    let facts = rig.choose(file.to_str().unwrap()).playing.unwrap();
    assert_eq!((facts.dials, facts.latency_samples), (vec![], latency));
    assert_eq!(facts.refit.unwrap().exact_samples, AHEAD as u64);
    assert!(facts.description.contains("refitted from 300 to"), "{}", facts.description);
    let status = rig.turn(Dial::Ms60);
    assert_eq!((status.refit, rig.loader.params.model_path.dial()), (Refit::Idle, Dial::Exact));
}

#[test]
fn a_refit_that_ended_a_host_is_begun_only_when_asked_for() {
    let mut rig = Rig::new("refit-held");
    rig.choose(&rig.ahead("m.runnel"));
    rig.turn(Dial::Ms100);
    rig.refitted();
    let state = rig.state();
    let made = rig.cached().remove(0);
    fs::remove_dir_all(&rig.loader.folders.cache).unwrap();
    let hash = model_file::contents(&rig.folder.0.join("m.runnel")).unwrap().hash;
    let variant = made.trim_end_matches(".runnel").split_once("-100ms").unwrap().1;
    let marks = rig.loader.folders.config.join("loading");
    fs::write(marks.join(format!("refit-{hash}-100ms{variant}.1-0-0")), "").unwrap();
    let status = rig.open_project(&state);
    assert!(status.refit.to_string().contains("the host ended during it the last time"), "{}", status.refit);
    assert_eq!((status.phase, rig.state()), (Phase::Settled, state), "the model plays, and nothing is lost");
    rig.turn(Dial::Ms100);
    assert!(rig.refitted().0.playing.unwrap().refit.is_some());
}

#[test]
fn sounds_that_will_not_do_are_named() {
    let rig = Rig::new("refit-sounds");
    let path = rig.ahead("m.runnel");
    let sound = rig.folder.0.join("calibration/noise.wav");
    fs::write(&sound, "noise").unwrap();
    rig.choose(&path);
    let refused = || {
        rig.turn(Dial::Ms100);
        rig.refitted().0.refit.to_string()
    };
    assert!(refused().contains("noise.wav cannot be calibrated on: "), "{}", refused());
    rig.noise("calibration/noise.wav", 20_000);
    assert!(refused().contains("20000 samples of calibration audio, this model needs at least"), "{}", refused());
}
