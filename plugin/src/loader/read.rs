//! From a wish to a model: find the file, read it, convert it where needed, plan it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use runnel::StreamModel;

use super::{Facts, Loader, Phase, Shelf, Status, Step};
use crate::host::{Wish, Wisher};
use crate::hosted::LoadedModel;
use crate::library;
use crate::model_file::{self, Contents, Found, LONGEST_PATH, ModelReference, naming};
use crate::params::{Latency, Mode};

/// What became of a wish.
enum Outcome {
    /// No model is wished for.
    Nothing,
    /// The one in use.
    Same { path: PathBuf, contents: Contents },
    /// Another one.
    New { path: PathBuf, contents: Contents, model: Box<LoadedModel>, facts: Facts },
}

impl Loader {
    /// Reads the model that is wished for, if it was wished for since the last time.
    pub(super) fn read_model(&self, shelf: &mut Shelf) {
        let wish = self.params.model_path.wish();
        let (mode, latency) = (self.params.mode.value(), self.params.latency.value());
        if shelf.read == Some((wish.generation, mode, latency)) {
            return;
        }
        shelf.read = Some((wish.generation, mode, latency));
        let missed = shelf.missed.take();
        // A defect in a reader must not take the host down with it.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.read(&wish, mode, latency, shelf))).unwrap_or_else(|_| {
            let name = wish.reference.name();
            Err(Phase::Refused(format!("{name}: reading it failed unexpectedly; please report this file")))
        });
        let (path, contents) = match outcome {
            Ok(Outcome::Nothing) => {
                shelf.model_serial += 1;
                (shelf.model, shelf.source) = (None, None);
                self.params.steered.tell(vec![]);
                self.params.model_path.settle(wish.generation, ModelReference::default());
                self.tell(|status| *status = Status::default());
                return;
            }
            Ok(Outcome::Same { path, contents }) => {
                self.tell(|status| status.phase = Phase::Settled);
                (path, contents)
            }
            Ok(Outcome::New { path, contents, model, facts }) => {
                shelf.model_serial += 1;
                shelf.model = Some(Arc::from(model));
                shelf.source = Some((path.clone(), contents.clone(), mode, latency));
                self.params.steered.tell(facts.steered.clone());
                self.tell(|status| *status = Status { phase: Phase::Settled, playing: Some(facts), note: None });
                (path, contents)
            }
            Err(phase) => {
                shelf.marker = None;
                shelf.missed = match &phase {
                    Phase::Missing { .. } => wish.reference.known.as_ref().map(|known| known.contents.clone()),
                    _ => missed,
                };
                match &phase {
                    // Whoever asks for it by what the window shows means the file that was found.
                    Phase::Held { path } => {
                        let path = path.to_string_lossy().into_owned();
                        let reference = ModelReference { path, ..wish.reference };
                        self.params.model_path.settle(wish.generation, reference);
                    }
                    _ => self.params.model_path.refuse(wish.generation),
                }
                self.tell(|status| status.phase = phase);
                return;
            }
        };
        let note = match (wish.by, &wish.reference.known, missed) {
            (Wisher::State, Some(known), _) if known.contents != contents => {
                Some(format!("{} has changed since the project was saved; it may sound different.", path.display()))
            }
            (Wisher::Person, _, Some(missed)) if missed != contents => {
                Some(format!("{} is not the file that the project missed; it may sound different.", path.display()))
            }
            _ => None,
        };
        self.tell(|status| status.note = note);
        if wish.by == Wisher::Person {
            self.library.remember(&path);
        }
        self.params.model_path.settle(wish.generation, ModelReference::known(&path, contents, &self.folders));
    }

    fn read(&self, wish: &Wish, mode: Mode, latency: Latency, shelf: &mut Shelf) -> Result<Outcome, Phase> {
        let reference = &wish.reference;
        if reference.is_empty() {
            return Ok(Outcome::Nothing);
        }
        let told = |path: &str, step| self.tell(|s| s.phase = Phase::Loading { path: path.into(), step });
        told(&reference.name(), Step::Reading);
        let path = self.find(wish)?;
        let shown = path.display().to_string();
        told(&shown, Step::Reading);
        let contents = model_file::contents(&path).map_err(Phase::Refused)?;
        if shelf.source == Some((path.clone(), contents.clone(), mode, latency)) {
            return Ok(Outcome::Same { path, contents });
        }
        match wish.by {
            Wisher::State if self.markers.is_left_behind(&contents) => return Err(Phase::Held { path }),
            Wisher::State => {}
            Wisher::Person => self.markers.forgive(&contents),
        }
        shelf.marker = self.markers.set(&contents);
        let refused = |reason: String| Phase::Refused(naming(&path, &reason));
        let model = if path.is_file() && runnel::format::is_runnel(&path).unwrap_or(false) {
            runnel::format::load(&path).map_err(|e| refused(e.to_string()))?
        } else {
            let name = path.file_name().map(|n| n.to_string_lossy()).unwrap_or_default();
            let convert = || {
                told(&shown, Step::Converting);
                runnel::open(&path, &Default::default()).map_err(|e| e.to_string())
            };
            self.cache.get(&contents, &name, convert).map_err(refused)?
        };
        told(&shown, Step::Planning);
        let (model, facts) = plan(&path, &model, mode, latency).map_err(refused)?;
        let model = Box::new(model.remembering(self.params.memory.clone(), &contents));
        Ok(Outcome::New { path, contents, model, facts })
    }

    /// Where the model is. A person means the path that they gave, a project the model that it was saved with.
    fn find(&self, wish: &Wish) -> Result<PathBuf, Phase> {
        let Wish { reference, by, .. } = wish;
        match by {
            Wisher::Person if reference.path.len() > LONGEST_PATH => {
                Err(Phase::Refused("the path is longer than any can be; choose the file again".into()))
            }
            Wisher::Person => {
                let path = model_file::typed(&reference.path, &self.folders);
                let path = if path.is_dir() {
                    library::first_model(std::slice::from_ref(&path)).unwrap_or(path)
                } else {
                    path
                };
                Ok(std::path::absolute(&path).unwrap_or(path))
            }
            Wisher::State => match reference.find(&self.folders, &self.library.recent_folders()) {
                Found::At(path) => Ok(path),
                Found::Nowhere(looked_at) => Err(Phase::Missing { name: reference.name(), looked_at }),
            },
        }
    }
}

fn plan(path: &Path, model: &StreamModel, mode: Mode, latency: Latency) -> Result<(LoadedModel, Facts), String> {
    let (receptive_field, has_prior) = (model.forward.receptive_field_samples(), model.prior.is_some());
    let model = LoadedModel::new(model, mode, latency)?;
    let info = &model.info;
    let facts = Facts {
        name: info.name.clone(),
        description: info.description.clone(),
        path: path.to_owned(),
        model_rate: info.sampling_rate,
        latent_names: info.latent_names.clone(),
        has_prior,
        steered: model.steered(),
        receptive_field,
        format: None,
        latency_samples: 0,
        runs_at_multiples: model.runs_at_multiples(),
    };
    Ok((model, facts))
}
