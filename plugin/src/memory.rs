//! What a project keeps of what its model has learned, and what a new stage of the same model takes over.

mod base64;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nice_plug::params::persist::PersistentField;
use runnel::engine::{LearnedNode, Moments};
use runnel::{Engine, Learned};
use serde::{Deserialize, Serialize};

use crate::notebook::Notebook;

/// What was learned, shared by the state, the loader and the window. The audio thread never touches it.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    held: Mutex<Held>,
    generation: AtomicU64,
}

#[derive(Debug, Default)]
struct Held {
    kept: Kept,
    /// Whether a state brought it, and no model has taken it over yet.
    from_state: bool,
    /// Where the model in use writes, and what its file's contents are.
    notebook: Option<(Arc<Notebook>, String)>,
    complaint: Option<String>,
}

/// What the host's state holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// Hash of the contents of the model that learned.
    #[serde(default)]
    model: String,
    /// One for each engine; none where nothing was learned.
    #[serde(default)]
    engines: Vec<Vec<KeptNode>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct KeptNode {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<KeptMoments>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<KeptMoments>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct KeptMoments {
    frames: u64,
    /// Means, then squares: f64 of the lower byte first, in base 64.
    values: String,
}

impl Memory {
    /// How often a state brought something.
    pub fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Acquire)
    }

    /// Whether the model in use knows its source and its target; `None` where it cannot learn.
    pub fn knows(&self) -> Option<[bool; 2]> {
        self.held().notebook.as_ref().map(|(notebook, _)| notebook.knows())
    }

    /// Gives `engines` of the model with these contents what it has learned, and has them noted from now on in what is
    /// returned; `None` where they cannot learn. What another model learned is dropped, or stays aside where a state
    /// brought it.
    pub fn take_over(&self, model: &str, engines: &mut [Engine]) -> Option<Arc<Notebook>> {
        let mut held = self.held();
        held.fold();
        held.notebook = None;
        let taken = match &held.kept {
            kept if kept.engines.is_empty() => Ok(()),
            kept if kept.model == model => restore(&kept.engines, engines),
            _ if held.from_state => Err("the model is another one".into()),
            _ => {
                held.kept = Kept::default();
                Ok(())
            }
        };
        held.from_state &= taken.is_err();
        held.complaint = taken.err().map(|reason| format!("What the project had learned is not used: {reason}."));
        let notebook = Arc::new(Notebook::new(engines)?);
        held.notebook = Some((notebook.clone(), model.to_owned()));
        Some(notebook)
    }

    /// Why what a state brought is not used, if it is not.
    pub fn complaint(&self) -> Option<String> {
        self.held().complaint.clone()
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PersistentField<'_, Kept> for Memory {
    fn set(&self, kept: Kept) {
        let mut held = self.held();
        held.fold();
        if held.kept == kept {
            return;
        }
        *held = Held { from_state: true, kept, ..Held::default() };
        self.0.generation.fetch_add(1, Ordering::Release);
    }

    fn map<F: Fn(&Kept) -> R, R>(&self, f: F) -> R {
        let mut held = self.held();
        held.fold();
        f(&held.kept)
    }
}

impl Held {
    /// Takes in what the model in use has learned, if anything. Nodes that it lacks, as a decoder lacks those of the
    /// encoder, stay.
    fn fold(&mut self) {
        let Some((notebook, model)) = &self.notebook else { return };
        let Some(engines) = notebook.read() else { return };
        if self.kept.model != *model {
            self.kept = Kept { model: model.clone(), engines: vec![] };
        }
        self.from_state = false;
        self.kept.engines.truncate(engines.len());
        for (number, learned) in engines.iter().enumerate() {
            if number == self.kept.engines.len() {
                self.kept.engines.push(vec![]);
            }
            let nodes = &mut self.kept.engines[number];
            nodes.retain(|node| learned.node(&node.name).is_none());
            nodes.extend(learned.nodes.iter().filter_map(KeptNode::of));
        }
        if self.kept.engines.iter().all(Vec::is_empty) {
            self.kept = Kept::default();
        }
    }
}

impl KeptNode {
    /// `None` where nothing was learned.
    fn of(node: &LearnedNode) -> Option<Self> {
        let [source, target] = [&node.source, &node.target].map(KeptMoments::of);
        (source.is_some() || target.is_some()).then(|| Self { name: node.name.clone(), source, target })
    }
}

impl KeptMoments {
    fn of(moments: &Moments) -> Option<Self> {
        let bytes: Vec<u8> = moments.mean.iter().chain(&moments.squares).flat_map(|v| v.to_le_bytes()).collect();
        (moments.frames > 0).then(|| Self { frames: moments.frames, values: base64::encode(&bytes) })
    }

    fn moments(&self) -> Option<Moments> {
        let bytes = base64::decode(&self.values)?;
        let (values, rest) = bytes.as_chunks();
        let values: Vec<f64> = values.iter().map(|b| f64::from_le_bytes(*b)).collect();
        let (mean, squares) = values.split_at(values.len() / 2);
        (rest.is_empty() && mean.len() == squares.len()).then(|| Moments {
            frames: self.frames,
            mean: mean.to_vec(),
            squares: squares.to_vec(),
        })
    }
}

/// Gives each engine what is kept for it; one that is new gets what the first has. Where one refuses, none has anything.
fn restore(kept: &[Vec<KeptNode>], engines: &mut [Engine]) -> Result<(), String> {
    let taken = engines.iter_mut().enumerate().try_for_each(|(number, engine)| {
        let nodes = kept.get(number).unwrap_or(&kept[0]);
        let learned = learned(nodes, &engine.learned())?;
        engine.restore(&learned).map_err(|e| e.to_string())
    });
    for engine in engines {
        if taken.is_err() {
            engine.forget_source();
            engine.forget_target();
        }
        engine.reset();
    }
    taken
}

/// What `nodes` hold for an engine that has learned `own` until now. A side that was not kept is not learned.
fn learned(nodes: &[KeptNode], own: &Learned) -> Result<Learned, String> {
    let nothing = |side: &Moments| Moments {
        frames: 0,
        mean: vec![0.0; side.mean.len()],
        squares: vec![0.0; side.squares.len()],
    };
    let nodes = nodes.iter().map(|node| {
        let channels = own.node(&node.name);
        let side = |kept: &Option<KeptMoments>| match kept {
            Some(kept) => kept.moments().ok_or_else(|| format!("{}: its statistics are damaged", node.name)),
            None => Ok(channels.map(|node| nothing(&node.source)).unwrap_or_default()),
        };
        Ok(LearnedNode { name: node.name.clone(), source: side(&node.source)?, target: side(&node.target)? })
    });
    Ok(Learned { nodes: nodes.collect::<Result<_, String>>()? })
}

#[cfg(test)]
mod tests;
