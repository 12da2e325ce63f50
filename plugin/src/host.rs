//! What the framework does otherwise than it says, and the cures, in one place. Checked against nice-plug 0.4.2; look
//! here first when its version changes.
//!
//! 1. A VST3 plugin is told the process mode one call late. Cure: nothing asks for the mode. The audio path is the same
//!    offline and in real time, and a model is read before [`activate`](nice_plug::prelude::Plugin::activate) returns.
//! 2. Loading a state neither activates nor resets the plugin. Cure: [`ModelPath`] counts its changes, and both
//!    activation and the loader's thread look at the count.
//! 3. A CLAP plugin may change its latency only inside an activation. Cure: [`tell_latency`].
//! 4. Files dropped on the editor never arrive: the framework's window ignores them. Cure: a window of our own,
//!    `editor/window.rs`.
//!
//! Denormals are taken care of by halves: results are flushed, operands are not. The audio path lets none in.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nice_plug::params::persist::PersistentField;
use nice_plug::prelude::{Plugin, PluginApi, ProcessContext};

use crate::dial::Dial;
use crate::model_file::{Known, ModelReference};

/// The model a person or a project asks for; its path is kept in the host's state, empty for none.
#[derive(Clone, Debug, Default)]
pub struct ModelPath(Arc<Desired>);

/// What the host's state keeps of the model beside its path: by what it is found where the path leads nowhere.
#[derive(Debug)]
pub struct ModelKnown(ModelPath);

#[derive(Debug, Default)]
struct Desired {
    choice: Mutex<Choice>,
    generation: AtomicU64,
}

/// A wish for a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    /// Counts wishes.
    pub generation: u64,
    /// The model.
    pub reference: ModelReference,
    /// Who wishes it.
    pub by: Wisher,
}

/// Who wishes for a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wisher {
    /// A person, who has just said so.
    #[default]
    Person,
    /// A project or preset that was opened.
    State,
}

#[derive(Debug, Default)]
struct Choice {
    /// What the window shows.
    text: String,
    /// What the state keeps.
    kept: ModelReference,
    /// What the state falls back to when `kept` is refused.
    good: ModelReference,
    by: Wisher,
    /// What a state that is being read says of a path that it has not named yet.
    ahead: Option<Known>,
}

impl ModelPath {
    /// The rest of what the state keeps.
    pub fn known(&self) -> ModelKnown {
        ModelKnown(self.clone())
    }

    /// How often a model was wished for. Loads the value before [`Self::text`] is asked, so that no change is missed.
    pub fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Acquire)
    }

    /// The path, as it was entered or found.
    pub fn text(&self) -> String {
        self.choice().text.clone()
    }

    /// The latest wish.
    pub fn wish(&self) -> Wish {
        let choice = self.choice();
        Wish { generation: self.generation(), reference: choice.kept.clone(), by: choice.by }
    }

    /// Chooses another model, or the same one again.
    pub fn choose(&self, path: String) {
        let mut choice = self.choice();
        choice.kept = ModelReference::at(path.as_str());
        (choice.text, choice.by) = (path, Wisher::Person);
        self.0.generation.fetch_add(1, Ordering::Release);
    }

    /// The latency that the model is to be played at.
    pub fn dial(&self) -> Dial {
        self.choice().kept.dial()
    }

    /// Chooses the latency that the model is to be played at. Nothing, of a model that was not read yet.
    pub fn turn(&self, dial: Dial) {
        let mut choice = self.choice();
        let Some(known) = &mut choice.kept.known else { return };
        known.refit_ms = dial;
        (choice.text, choice.by) = (choice.kept.path.clone(), Wisher::Person);
        self.0.generation.fetch_add(1, Ordering::Release);
    }

    /// The latency of the wish of this generation cannot be had: the state keeps this one.
    pub fn turn_back(&self, generation: u64, dial: Dial) {
        let mut choice = self.choice();
        if generation == self.generation() {
            let Choice { kept, good, .. } = &mut *choice;
            [kept, good].into_iter().filter_map(|r| r.known.as_mut()).for_each(|known| known.refit_ms = dial);
        }
    }

    /// The wish of this generation came true, as this model.
    pub fn settle(&self, generation: u64, reference: ModelReference) {
        let mut choice = self.choice();
        if generation == self.generation() {
            choice.text.clone_from(&reference.path);
            choice.good.clone_from(&reference);
            choice.kept = reference;
        }
    }

    /// The wish of this generation did not come true: the state keeps what it kept before, if anything.
    pub fn refuse(&self, generation: u64) {
        let mut choice = self.choice();
        if generation == self.generation() && !choice.good.is_empty() {
            choice.kept = choice.good.clone();
        }
    }

    /// A state asks for this model.
    fn restore(&self, choice: &mut Choice, reference: ModelReference) {
        let (text, good) = (reference.path.clone(), reference.clone());
        *choice = Choice { text, good, kept: reference, by: Wisher::State, ahead: None };
        self.0.generation.fetch_add(1, Ordering::Release);
    }

    fn choice(&self) -> MutexGuard<'_, Choice> {
        self.0.choice.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PersistentField<'_, String> for ModelPath {
    fn set(&self, path: String) {
        let mut choice = self.choice();
        let known = choice.ahead.take().filter(|known| known.is_of(&path));
        self.restore(&mut choice, ModelReference { path, known });
    }

    fn map<F: Fn(&String) -> R, R>(&self, f: F) -> R {
        f(&self.choice().kept.path)
    }
}

/// A state's fields come in any order: what is known of a path may come before it.
impl PersistentField<'_, Option<Known>> for ModelKnown {
    fn set(&self, known: Option<Known>) {
        let mut choice = self.0.choice();
        let path = choice.kept.path.clone();
        match known {
            Some(known) if choice.by == Wisher::State && known.is_of(&path) => {
                self.0.restore(&mut choice, ModelReference { path, known: Some(known) });
            }
            known => choice.ahead = known,
        }
    }

    fn map<F: Fn(&Option<Known>) -> R, R>(&self, f: F) -> R {
        f(&self.0.choice().kept.known)
    }
}

/// Tells the host, from within `process`, that the latency is another one now.
///
/// VST3 hosts read the number again. CLAP hosts are asked to activate the plugin again, which then sets it.
pub fn tell_latency<P: Plugin>(context: &impl ProcessContext<P>, samples: u32) {
    match context.plugin_api() {
        PluginApi::Clap => context.request_restart(),
        _ => context.set_latency_samples(samples),
    }
}
