//! Models from files, on a thread of their own.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use runnel::import::Options;
use runnel::{Plan, PlanOptions, StreamGraph, StreamModel};

use crate::session::Stage;

/// What of a model is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// Audio to audio.
    Forward,
    /// Audio to latents, held.
    Encode,
    /// Latents, sampled, to audio.
    Decode,
}

impl Method {
    /// All of them, by the names that patches use.
    pub(crate) const ALL: [(&str, Self); 3] =
        [("forward", Self::Forward), ("encode", Self::Encode), ("decode", Self::Decode)];

    /// The method of this name.
    ///
    /// # Errors
    /// When there is none; names those that there are.
    pub(crate) fn named(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find_map(|(known, method)| (known == name).then_some(method))
            .ok_or_else(|| format!("no method is called {name}; there are forward, encode and decode"))
    }

    fn of(self, model: &StreamModel) -> Result<StreamGraph, String> {
        let halves = match self {
            Self::Forward => return Ok(model.forward.clone()),
            Self::Encode => model.held_encoder(),
            Self::Decode => model.sampled_decoder(),
        };
        halves.ok_or("it has no latents; use the method forward")?.map_err(|e| e.to_string())
    }
}

/// What is to be loaded.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    /// A `.runnel` file or a checkpoint.
    pub(crate) path: PathBuf,
    /// What of it is played.
    pub(crate) method: Method,
    /// Latency beyond the least, over which the work is spread.
    pub(crate) slack_samples: u64,
}

/// Reads, converts and plans a model.
///
/// # Errors
/// In words, with the path.
pub(crate) fn load(wish: &Wish) -> Result<Stage, String> {
    let path = wish.path.display();
    let refused = |reason: String| {
        let path = path.to_string();
        if reason.starts_with(&path) { reason } else { format!("{path}: {reason}") }
    };
    let model = runnel::open(&wish.path, &Options::default()).map_err(|e| refused(e.to_string()))?;
    let stream = wish.method.of(&model).map_err(refused)?;
    if stream.output().rate != stream.input().rate {
        return Err(refused(format!(
            "{} samples leave it for each that enters; one for one is played",
            stream.output().rate
        )));
    }
    let options = PlanOptions { slack_samples: wish.slack_samples, ..PlanOptions::default() };
    let plan = Plan::with(&stream, &options).map_err(|e| refused(e.to_string()))?;
    Ok(Stage::new(plan, model.info, &stream))
}

/// A thread that loads models, and drops those that are no longer played.
#[derive(Debug)]
pub(crate) struct Loader {
    jobs: Sender<Job>,
    loaded: Receiver<Result<Box<Stage>, String>>,
    /// Models that were asked for and have not come.
    awaited: usize,
}

#[derive(Debug)]
enum Job {
    Load(Wish),
    Drop(#[expect(dead_code, reason = "dropped where it arrives")] Box<Stage>),
}

impl Loader {
    /// A loader at rest.
    pub(crate) fn new() -> Self {
        let (jobs, todo) = channel();
        let (done, loaded) = channel();
        thread::spawn(move || {
            for job in todo {
                if let Job::Load(wish) = job
                    && done.send(load(&wish).map(Box::new)).is_err()
                {
                    return;
                }
            }
        });
        Self { jobs, loaded, awaited: 0 }
    }

    /// Asks for a model.
    pub(crate) fn ask(&mut self, wish: Wish) {
        self.awaited += usize::from(self.jobs.send(Job::Load(wish)).is_ok());
    }

    /// A model that has come, or why it does not.
    pub(crate) fn take(&mut self) -> Option<Result<Box<Stage>, String>> {
        let loaded = self.loaded.try_recv().ok()?;
        self.awaited -= 1;
        Some(loaded)
    }

    /// Whether models are still to come.
    pub(crate) fn is_busy(&self) -> bool {
        self.awaited > 0
    }

    /// Drops a stage where nobody waits for it.
    pub(crate) fn drop_elsewhere(&self, stage: Box<Stage>) {
        // Without the thread, it is dropped here.
        let _ = self.jobs.send(Job::Drop(stage));
    }
}
