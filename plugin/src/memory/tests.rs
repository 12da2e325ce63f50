//! What is kept, what is taken over, and what is refused.

use runnel::{Learning, Plan, Randomness};

use super::*;
use crate::test_models::learner_stream;

fn engines(count: usize) -> Vec<Engine> {
    let plan = Plan::new(&learner_stream(48_000).forward).unwrap();
    (0..count).map(|_| Engine::new(plan.clone(), Randomness::Deterministic)).collect()
}

/// Each engine learns something of its own.
fn teach(engines: &mut [Engine], learning: Learning) {
    for (number, engine) in engines.iter_mut().enumerate() {
        engine.set_learning(learning);
        let input: Vec<f32> = (0..200).map(|i| ((i * (7 + number)) % 13) as f32 / 13.0).collect();
        engine.process(&[&input], &mut [&mut [0.0; 200]]);
        engine.set_learning(Learning::Off);
    }
}

fn state(memory: &Memory) -> String {
    memory.map(|kept| serde_json::to_string(kept).unwrap())
}

fn restored(state: &str) -> Memory {
    let memory = Memory::default();
    memory.set(serde_json::from_str(state).unwrap());
    memory
}

fn all(engines: &[Engine]) -> Vec<Learned> {
    engines.iter().map(Engine::learned).collect()
}

#[test]
fn a_project_keeps_every_bit() {
    let memory = Memory::default();
    let mut first = engines(2);
    let notebook = memory.take_over("model", &mut first).unwrap();
    assert_eq!(memory.knows(), Some([false, false]));
    assert!(state(&memory).len() < 50, "nothing is kept of nothing");
    teach(&mut first, Learning::Source);
    notebook.write(&first);
    let source_only = state(&memory);
    assert!(!source_only.contains("target"));
    teach(&mut first, Learning::Target);
    notebook.write(&first);

    let opened = restored(&state(&memory));
    assert_eq!(opened.generation(), 1);
    let mut second = engines(2);
    opened.take_over("model", &mut second).unwrap();
    assert_eq!(all(&second), all(&first));
    assert_eq!((opened.complaint(), opened.knows()), (None, Some([true, true])));
    assert_eq!(state(&opened), state(&memory));
    // The same again is no change.
    opened.set(serde_json::from_str(&state(&memory)).unwrap());
    assert_eq!(opened.generation(), 1);

    // One engine where there were two plays on with what the first had; two where there was one, both with it.
    let mut mono = engines(1);
    let notebook = opened.take_over("model", &mut mono).unwrap();
    assert_eq!(mono[0].learned(), first[0].learned());
    teach(&mut mono, Learning::Source);
    notebook.write(&mono);
    let mut wide = engines(2);
    opened.take_over("model", &mut wide).unwrap();
    assert_eq!(all(&wide), [mono[0].learned(), mono[0].learned()]);
}

#[test]
fn what_is_forgotten_is_not_kept() {
    let memory = Memory::default();
    let mut own = engines(1);
    let notebook = memory.take_over("model", &mut own).unwrap();
    let before = state(&memory);
    teach(&mut own, Learning::Target);
    notebook.write(&own);
    assert_ne!(state(&memory), before);
    own[0].forget_target();
    notebook.write(&own);
    assert_eq!(state(&memory), before);
}

#[test]
fn another_model_learns_anew() {
    let memory = Memory::default();
    let mut first = engines(1);
    teach(&mut first, Learning::Target);
    memory.take_over("model", &mut first).unwrap().write(&first);
    let kept = state(&memory);

    // A person chooses another model.
    let mut other = engines(1);
    memory.take_over("other", &mut other).unwrap();
    assert!(other[0].learned().is_empty());
    assert_eq!(memory.complaint(), None);

    // A project names a model that has changed since: what it learned waits, until something else is learned.
    let memory = restored(&kept);
    memory.take_over("other", &mut other).unwrap();
    assert!(other[0].learned().is_empty());
    assert!(memory.complaint().unwrap().contains("the model is another one"));
    assert_eq!(state(&memory), kept);
    let mut again = engines(1);
    memory.take_over("model", &mut again).unwrap();
    assert_eq!(all(&again), all(&first));
    assert_eq!(memory.complaint(), None);
}

#[test]
fn nodes_that_a_decoder_lacks_stay() {
    let mut kept = Kept { model: "model".into(), engines: vec![vec![]] };
    let encoder = KeptNode { name: "encoder".into(), source: None, target: None };
    kept.engines[0].push(encoder.clone());
    let memory = Memory::default();
    memory.set(kept);
    let mut own = engines(1);
    let notebook = memory.take_over("model", &mut own).unwrap();
    assert!(memory.complaint().is_some(), "none of the nodes is the model's");
    teach(&mut own, Learning::Source);
    notebook.write(&own);
    memory.map(|kept| {
        let names: Vec<_> = kept.engines[0].iter().map(|node| &node.name).collect();
        assert_eq!(names, ["encoder", "adain"]);
    });
}

#[test]
fn damage_is_said_and_changes_nothing() {
    let memory = Memory::default();
    let mut first = engines(1);
    teach(&mut first, Learning::Target);
    memory.take_over("model", &mut first).unwrap().write(&first);
    let kept = state(&memory);
    let values = first[0].learned().nodes[0].target.clone();
    let text = KeptMoments::of(&values).unwrap().values;
    let nan = Moments { mean: vec![f64::NAN; 2], ..values.clone() };
    let narrow = Moments { frames: 9, mean: vec![0.0], squares: vec![0.0] };
    let of = |moments: &Moments| KeptMoments::of(moments).unwrap().values;
    for wrong in ["", "AAAA", "?", &text[..8], &of(&nan), &of(&narrow), &text.replace(&text[..4], "AAA=")] {
        let memory = restored(&kept.replace(&text, wrong));
        let mut own = engines(1);
        memory.take_over("model", &mut own).unwrap();
        assert!(own[0].learned().is_empty(), "{wrong}");
        assert!(memory.complaint().unwrap().starts_with("What the project had learned is not used: adain"), "{wrong}");
    }
}
