//! Reads models away from the audio thread, hands them to it, and takes back what it no longer plays.
//!
//! Each plugin instance has a loader with a thread of its own: the framework's worker is shared by all instances, and one
//! slow model would hold up the others. The thread looks around every few milliseconds, because waking it from the audio
//! thread would be a system call.

mod cache;
mod marker;
mod read;
mod refit;
mod status;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rtrb::{Consumer, Producer, RingBuffer};

use crate::audio::{Exchange, Setup, Stage};
use crate::folders::Folders;
use crate::hosted::{Format, LoadedModel};
use crate::library::Library;
use crate::model_file::Contents;
use crate::notes::Notes;
use crate::params::{Latency, Mode, RunnelParams};
use cache::Cache;
use marker::{Marker, Markers};
use refit::Refits;
pub use status::{Facts, Phase, Refit, Status, Step};

/// How often the thread looks around.
const INTERVAL: Duration = Duration::from_millis(20);
/// Stages in flight, either way.
const QUEUE: usize = 4;

/// One instance's loader. The audio thread never touches it.
pub struct Loader {
    params: Arc<RunnelParams>,
    folders: Folders,
    library: Library,
    cache: Cache,
    markers: Markers,
    refits: Refits,
    /// What threads of its own hold it by.
    own: Weak<Self>,
    /// Held while a model is read, so that an activation waits for the thread's work instead of doing it again.
    shelf: Mutex<Shelf>,
    status: Mutex<Status>,
    on_change: OnceLock<Box<dyn Fn() + Send + Sync>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    queues: Mutex<Option<Queues>>,
    stop: AtomicBool,
}

#[derive(Default)]
struct Shelf {
    /// What the host sends, and the longest block of it.
    host: Option<(Format, usize)>,
    /// The generation of the wish that was looked at last, what its model was to be planned for, and how many refits had
    /// succeeded by then.
    read: Option<(u64, Mode, Latency, u64)>,
    model: Option<Arc<LoadedModel>>,
    /// What the model was read from, and planned for.
    source: Option<Source>,
    /// What a project misses.
    missed: Option<Contents>,
    /// From before a model is read until its engines are made.
    marker: Option<Marker>,
    /// Counts models, none included.
    model_serial: u64,
    /// Counts stages.
    stage_serial: u64,
    /// The model and setup of the newest stage, and the generation of what its model had learned.
    handed: Option<(u64, Setup, u64)>,
}

/// What a model was read from, and planned for.
#[derive(Clone, Debug, PartialEq)]
struct Source {
    path: PathBuf,
    contents: Contents,
    mode: Mode,
    latency: Latency,
    /// By which order it was refitted; none as the file has it.
    refit: Option<refit::Order>,
}

struct Queues {
    outgoing: Producer<Box<Stage>>,
    returned: Consumer<Box<Stage>>,
}

impl Loader {
    /// A loader, asleep, and the audio thread's ends of its queues.
    pub fn new(params: Arc<RunnelParams>) -> (Arc<Self>, Exchange) {
        Self::with_folders(params, Folders::of_user())
    }

    /// As [`Self::new`], in these folders.
    pub fn with_folders(params: Arc<RunnelParams>, folders: Folders) -> (Arc<Self>, Exchange) {
        let (outgoing, incoming) = RingBuffer::new(QUEUE);
        let (retired, returned) = RingBuffer::new(QUEUE);
        let loader = Arc::new_cyclic(|own| Self {
            params,
            library: Library::new(&folders),
            cache: Cache::new(&folders),
            markers: Markers::new(&folders),
            folders,
            shelf: Mutex::default(),
            status: Mutex::default(),
            on_change: OnceLock::new(),
            thread: Mutex::default(),
            queues: Mutex::new(Some(Queues { outgoing, returned })),
            refits: Refits::default(),
            own: own.clone(),
            stop: AtomicBool::new(false),
        });
        (loader, Exchange { incoming, retired })
    }

    /// Starts the thread, unless it runs.
    pub fn start(self: &Arc<Self>) {
        if let Some(queues) = lock(&self.queues).take() {
            let loader = self.clone();
            let thread = thread::Builder::new().name("runnel-loader".into()).spawn(move || loader.run(queues));
            *lock(&self.thread) = thread.ok();
        }
    }

    /// Ends the thread and waits for it.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = lock(&self.thread).take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
        self.refits.stop();
    }

    /// A stage for this format with the model that the state names, read now if it has not been.
    pub fn activate(&self, format: Format, most_frames: usize) -> Box<Stage> {
        let mut shelf = lock(&self.shelf);
        shelf.host = Some((format, most_frames));
        self.read_model(&mut shelf);
        let setup = self.setup(format, most_frames);
        self.make_stage(&mut shelf, setup, Stage::new)
    }

    /// As [`Self::activate`], for a host that renders offline: where the state asks for a refit that is not there yet, it
    /// is waited for, so that a render is the same from its first sample to its last, and the next time.
    pub fn activate_offline(&self, format: Format, most_frames: usize) -> Box<Stage> {
        let stage = self.activate(format, most_frames);
        let before = lock(&self.shelf).read;
        self.refits.wait();
        if before.is_some_and(|(.., finished)| finished != self.refits.finished()) {
            return self.activate(format, most_frames);
        }
        stage
    }

    /// Makes the thread look around at once. Not for the audio thread.
    pub fn wake(&self) {
        if let Some(thread) = &*lock(&self.thread) {
            thread.thread().unpark();
        }
    }

    /// The models opened last.
    pub fn library(&self) -> &Library {
        &self.library
    }

    /// What people are told about the model.
    pub fn status(&self) -> Status {
        lock(&self.status).clone()
    }

    /// Has `notify` called whenever the status changes. Only the first call counts.
    pub fn on_change(&self, notify: impl Fn() + Send + Sync + 'static) {
        let _ = self.on_change.set(Box::new(notify));
    }

    fn run(&self, mut queues: Queues) {
        let mut ready = None;
        while !self.stop.load(Ordering::Acquire) {
            while queues.returned.pop().is_ok() {}
            if let Some(stage) = self.newer_stage() {
                ready = Some(stage);
            }
            if let Some(stage) = ready.take() {
                ready = queues.outgoing.push(stage).err().map(|rtrb::PushError::Full(stage)| stage);
            }
            thread::park_timeout(INTERVAL);
        }
    }

    /// A stage, if the model that the state names is not the one last handed over.
    fn newer_stage(&self) -> Option<Box<Stage>> {
        let mut shelf = lock(&self.shelf);
        self.read_model(&mut shelf);
        let Some((format, most_frames)) = shelf.host else {
            shelf.marker = None;
            return None;
        };
        let setup = self.setup(format, most_frames);
        let params = self.params.clone();
        let warming = |serial, setup, model: Option<&LoadedModel>| {
            Stage::warming(serial, setup, model, move || params.hands(&Notes::default()))
        };
        let wanted = (shelf.model_serial, setup, self.params.memory.generation());
        (shelf.handed != Some(wanted)).then(|| self.make_stage(&mut shelf, setup, warming))
    }

    /// How a stage plays its model, by the parameters.
    fn setup(&self, format: Format, most_frames: usize) -> Setup {
        let own_thread = self.params.worker.value().then_some(most_frames);
        Setup { format, channels: self.params.channels.value(), own_thread }
    }

    fn make_stage(
        &self,
        shelf: &mut Shelf,
        setup: Setup,
        new: impl FnOnce(u64, Setup, Option<&LoadedModel>) -> Stage,
    ) -> Box<Stage> {
        shelf.stage_serial += 1;
        shelf.handed = Some((shelf.model_serial, setup, self.params.memory.generation()));
        let format = setup.format;
        let stage = Box::new(new(shelf.stage_serial, setup, shelf.model.as_deref()));
        self.tell(|status| {
            if let Some(facts) = &mut status.playing {
                (facts.format, facts.latency_samples) = (Some(format), stage.latency_samples());
            }
            if let Some(complaint) = self.params.memory.complaint() {
                status.note = Some(complaint);
            }
        });
        shelf.marker = None;
        stage
    }

    fn tell(&self, change: impl FnOnce(&mut Status)) {
        change(&mut lock(&self.status));
        if let Some(notify) = self.on_change.get() {
            notify();
        }
    }
}

/// What a panic left behind is whole: every lock here guards plain values that are written in one piece.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
