//! What the framework does otherwise than it says, and the cures, in one place. Checked against nice-plug 0.4.2; look
//! here first when its version changes.
//!
//! 1. A VST3 plugin is told the process mode one call late. Cure: nothing asks for the mode. The audio path is the same
//!    offline and in real time, and a model is read before [`activate`](nice_plug::prelude::Plugin::activate) returns.
//! 2. Loading a state neither activates nor resets the plugin. Cure: [`ModelPath`] counts its changes, and both
//!    activation and the loader's thread look at the count.
//! 3. A CLAP plugin may change its latency only inside an activation. Cure: [`tell_latency`].
//! 4. Files dropped on the editor never arrive: its window layer ignores them. Cure: the editor has a field for the path.
//!
//! Denormals are taken care of by halves: results are flushed, operands are not. The audio path lets none in.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use nice_plug::params::persist::PersistentField;
use nice_plug::prelude::{Plugin, PluginApi, ProcessContext};

/// The path of the model a user chose, kept in the host's state; empty for none.
#[derive(Debug, Default)]
pub struct ModelPath {
    path: Mutex<String>,
    generation: AtomicU64,
}

impl ModelPath {
    /// How often the path was set. Loads the value before [`Self::text`] is asked, so that no change is missed.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The path.
    pub fn text(&self) -> String {
        self.path.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Chooses another model, or the same one again.
    pub fn choose(&self, path: String) {
        *self.path.lock().unwrap_or_else(PoisonError::into_inner) = path;
        self.generation.fetch_add(1, Ordering::Release);
    }
}

impl PersistentField<'_, String> for ModelPath {
    fn set(&self, path: String) {
        self.choose(path);
    }

    fn map<F: Fn(&String) -> R, R>(&self, f: F) -> R {
        f(&self.path.lock().unwrap_or_else(PoisonError::into_inner))
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
