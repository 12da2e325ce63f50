//! From a wish to a model: find the file, read it, convert it where needed, plan it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use runnel::StreamModel;

use super::cache::name_of;
use super::refit::{Asked, Order};
use super::{Facts, Loader, Phase, Refit, Shelf, Source, Status, Step, lock};
use crate::calibration::Sounds;
use crate::dial::Dial;
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
    Same(Answer),
    /// Another one.
    New { answer: Answer, model: Box<LoadedModel>, facts: Box<Facts> },
}

/// How a wish is answered.
struct Answer {
    source: Source,
    /// The latency that is wished for, where the model can have it.
    dial: Dial,
    /// What is still to be refitted for it.
    pending: Option<Order>,
}

impl Loader {
    /// Reads the model that is wished for, if it was wished for since the last time.
    pub(super) fn read_model(&self, shelf: &mut Shelf) {
        let wish = self.params.model_path.wish();
        let (mode, latency) = (self.params.mode.value(), self.params.latency.value());
        let read = Some((wish.generation, mode, latency, self.refits.finished()));
        if shelf.read == read {
            return;
        }
        shelf.read = read;
        let missed = shelf.missed.take();
        // A defect in a reader must not take the host down with it.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.read(&wish, mode, latency, shelf))).unwrap_or_else(|_| {
            let name = wish.reference.name();
            Err(Phase::Refused(format!("{name}: reading it failed unexpectedly; please report this file")))
        });
        let answer = match outcome {
            Ok(Outcome::Nothing) => {
                self.refits.cancel();
                shelf.model_serial += 1;
                (shelf.model, shelf.source) = (None, None);
                self.params.steered.tell(vec![]);
                self.params.model_path.settle(wish.generation, ModelReference::default());
                self.tell(|status| *status = Status::default());
                return;
            }
            Ok(Outcome::Same(answer)) => {
                self.tell(|status| status.phase = Phase::Settled);
                answer
            }
            Ok(Outcome::New { answer, model, facts }) => {
                shelf.model_serial += 1;
                shelf.model = Some(Arc::from(model));
                shelf.source = Some(answer.source.clone());
                self.params.steered.tell(facts.steered.clone());
                self.tell(|status| {
                    (status.phase, status.playing, status.note) = (Phase::Settled, Some(*facts), None);
                });
                answer
            }
            Err(phase) => {
                shelf.marker = None;
                if wish.by == Wisher::State && self.refits.cancel() {
                    self.tell(|status| status.refit = Refit::Idle);
                }
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
        let Answer { source: Source { path, contents, refit, .. }, dial, pending } = answer;
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
        self.params.model_path.settle(wish.generation, ModelReference::known(&path, contents, dial, &self.folders));
        match pending {
            Some(order) => {
                let meanwhile = refit.map_or(Dial::Exact, |order| order.dial);
                self.refit(order, Asked { by: wish.by, generation: wish.generation, meanwhile });
            }
            None => {
                self.refits.cancel();
                self.tell(|status| status.refit = Refit::Idle);
            }
        }
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
        let (dial, sounds) = (reference.dial(), Sounds::beside(&path));
        let order = Order { path: path.clone(), contents: contents.clone(), dial, sounds: sounds.clone() };
        let order = Some(order).filter(|_| !dial.is_exact());
        let exact = Source { path: path.clone(), contents: contents.clone(), mode, latency, refit: None };
        let refitted = Source { refit: order.clone(), ..exact.clone() };
        let answer = |source: &Source, pending| Answer { source: source.clone(), dial, pending };
        if shelf.source.as_ref() == Some(&refitted) {
            return Ok(Outcome::Same(answer(&refitted, None)));
        }
        let ready = order.as_ref().and_then(|order| self.refits.unkept(order).or_else(|| self.cache.refitted(order)));
        // Until it is ready, the trained one plays; so it does where nothing can be gained.
        let trained = |facts: &Facts| match facts.dials.contains(&dial) {
            true => answer(&exact, order.clone()),
            false => Answer { dial: Dial::Exact, ..answer(&exact, None) },
        };
        if ready.is_none() && shelf.source.as_ref() == Some(&exact) {
            let playing = lock(&self.status).playing.clone();
            return Ok(Outcome::Same(playing.as_ref().map_or_else(|| answer(&exact, None), trained)));
        }
        match wish.by {
            Wisher::State if self.markers.is_left_behind(&contents) => return Err(Phase::Held { path }),
            Wisher::State => {}
            Wisher::Person => self.markers.forgive(&contents),
        }
        shelf.marker = self.markers.set(&contents);
        let (model, is_refit) = match ready {
            Some(model) => (model, true),
            None => {
                let converting = &mut || told(&shown, Step::Converting);
                (self.trained(&path, &contents, converting).map_err(Phase::Refused)?, false)
            }
        };
        told(&shown, Step::Planning);
        let planned = plan(&exact, &model, is_refit, sounds);
        let (model, facts) = planned.map_err(|reason| Phase::Refused(naming(&path, &reason)))?;
        let model = Box::new(model.remembering(self.params.memory.clone(), &contents));
        let answer = if is_refit { answer(&refitted, None) } else { trained(&facts) };
        Ok(Outcome::New { answer, model, facts: Box::new(facts) })
    }

    /// The model of a file with these contents, from the cache where it was converted before.
    pub(super) fn trained(
        &self,
        path: &Path,
        contents: &Contents,
        converting: &mut dyn FnMut(),
    ) -> Result<StreamModel, String> {
        let named = |reason: String| naming(path, &reason);
        if path.is_file() && runnel::format::is_runnel(path).unwrap_or(false) {
            return runnel::format::load(path).map_err(|e| named(e.to_string()));
        }
        let convert = || {
            converting();
            runnel::open(path, &Default::default()).map_err(|e| e.to_string())
        };
        self.cache.get(contents, &name_of(path), convert).map_err(named)
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

fn plan(source: &Source, model: &StreamModel, is_refit: bool, sounds: Sounds) -> Result<(LoadedModel, Facts), String> {
    let (receptive_field, has_prior) = (model.forward.receptive_field_samples(), model.prior.is_some());
    let own_samples = model.forward.latency_samples();
    let model = LoadedModel::new(model, source.mode, source.latency)?;
    let info = &model.info;
    let exact_samples = info.refit.as_ref().map_or(own_samples, |record| record.exact_samples);
    // A file that was refitted itself has lost what it was trained with.
    let dials = match info.refit.is_some() == is_refit {
        true => Dial::offered(exact_samples, info.sampling_rate).collect(),
        false => vec![],
    };
    let facts = Facts {
        name: info.name.clone(),
        description: info.description.clone(),
        path: source.path.clone(),
        model_rate: info.sampling_rate,
        latent_names: info.latent_names.clone(),
        has_prior,
        steered: model.steered(),
        receptive_field,
        format: None,
        latency_samples: 0,
        exact_samples,
        refit: info.refit.clone(),
        dials,
        sounds,
        runs_at_multiples: model.runs_at_multiples(),
    };
    Ok((model, facts))
}
