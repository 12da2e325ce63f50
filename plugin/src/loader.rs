//! Reads models away from the audio thread, hands them to it, and takes back what it no longer plays.
//!
//! Each plugin instance has a loader with a thread of its own: the framework's worker is shared by all instances, and one
//! slow model would hold up the others. The thread looks around every few milliseconds, because waking it from the audio
//! thread would be a system call.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rtrb::{Consumer, Producer, RingBuffer};

use crate::audio::{Exchange, Setup, Stage};
use crate::hosted::{Format, LoadedModel};
use crate::notes::Notes;
use crate::params::{Latency, Mode, RunnelParams};

/// How often the thread looks around.
const INTERVAL: Duration = Duration::from_millis(20);
/// Stages in flight, either way.
const QUEUE: usize = 4;

/// One instance's loader. The audio thread never touches it.
pub struct Loader {
    params: Arc<RunnelParams>,
    /// Held while a model is read, so that an activation waits for the thread's work instead of doing it again.
    shelf: Mutex<Shelf>,
    status: Mutex<Status>,
    on_change: OnceLock<Box<dyn Fn() + Send + Sync>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    queues: Mutex<Option<Queues>>,
    stop: AtomicBool,
}

/// What people are told about the model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    /// What is going on.
    pub phase: Phase,
    /// The model in use, which a refused one does not replace.
    pub playing: Option<Facts>,
}

/// What the loader does, or last did.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Phase {
    /// The chosen model is in use, or none is chosen.
    #[default]
    Settled,
    /// Reading this file.
    Loading(String),
    /// The file was refused for this reason.
    Refused(String),
}

/// Facts about the model in use.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// The model's name.
    pub name: String,
    /// What it is, in one line.
    pub description: String,
    /// Samples per second it was trained at.
    pub model_rate: u32,
    /// What the host sends, once it has said so.
    pub format: Option<Format>,
    /// Latency in host samples.
    pub latency_samples: usize,
}

#[derive(Default)]
struct Shelf {
    /// What the host sends, and the longest block of it.
    host: Option<(Format, usize)>,
    /// The generation of the path that was read last, and what it was planned for.
    read: Option<(u64, Mode, Latency)>,
    model: Option<Arc<LoadedModel>>,
    /// Counts models, none included.
    model_serial: u64,
    /// Counts stages.
    stage_serial: u64,
    /// The model and setup of the newest stage.
    handed: Option<(u64, Setup)>,
}

struct Queues {
    outgoing: Producer<Box<Stage>>,
    returned: Consumer<Box<Stage>>,
}

impl Loader {
    /// A loader, asleep, and the audio thread's ends of its queues.
    pub fn new(params: Arc<RunnelParams>) -> (Arc<Self>, Exchange) {
        let (outgoing, incoming) = RingBuffer::new(QUEUE);
        let (retired, returned) = RingBuffer::new(QUEUE);
        let loader = Self {
            params,
            shelf: Mutex::default(),
            status: Mutex::default(),
            on_change: OnceLock::new(),
            thread: Mutex::default(),
            queues: Mutex::new(Some(Queues { outgoing, returned })),
            stop: AtomicBool::new(false),
        };
        (Arc::new(loader), Exchange { incoming, retired })
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
    }

    /// A stage for this format with the model that the state names, read now if it has not been.
    pub fn activate(&self, format: Format, most_frames: usize) -> Box<Stage> {
        let mut shelf = lock(&self.shelf);
        shelf.host = Some((format, most_frames));
        self.read_model(&mut shelf);
        let setup = self.setup(format, most_frames);
        self.make_stage(&mut shelf, setup, Stage::new)
    }

    /// Makes the thread look around at once. Not for the audio thread.
    pub fn wake(&self) {
        if let Some(thread) = &*lock(&self.thread) {
            thread.thread().unpark();
        }
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
        let (format, most_frames) = shelf.host?;
        let setup = self.setup(format, most_frames);
        let params = self.params.clone();
        let warming = |serial, setup, model: Option<&LoadedModel>| {
            Stage::warming(serial, setup, model, move || params.hands(&Notes::default()))
        };
        (shelf.handed != Some((shelf.model_serial, setup))).then(|| self.make_stage(&mut shelf, setup, warming))
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
        shelf.handed = Some((shelf.model_serial, setup));
        let format = setup.format;
        let stage = Box::new(new(shelf.stage_serial, setup, shelf.model.as_deref()));
        self.tell(|status| {
            if let Some(facts) = &mut status.playing {
                (facts.format, facts.latency_samples) = (Some(format), stage.latency_samples());
            }
        });
        stage
    }

    /// Reads the model that the state names, if it was chosen since the last time.
    fn read_model(&self, shelf: &mut Shelf) {
        let generation = self.params.model_path.generation();
        let (mode, latency) = (self.params.mode.value(), self.params.latency.value());
        if shelf.read == Some((generation, mode, latency)) {
            return;
        }
        shelf.read = Some((generation, mode, latency));
        let path = self.params.model_path.text();
        self.tell(|status| status.phase = Phase::Loading(path.clone()));
        match read(&path, mode, latency) {
            Ok(model) => {
                shelf.model_serial += 1;
                shelf.model = model.map(Arc::new);
                let playing = shelf.model.as_deref().map(Facts::new);
                self.tell(|status| *status = Status { phase: Phase::Settled, playing });
            }
            Err(reason) => self.tell(|status| status.phase = Phase::Refused(reason)),
        }
    }

    fn tell(&self, change: impl FnOnce(&mut Status)) {
        change(&mut lock(&self.status));
        if let Some(notify) = self.on_change.get() {
            notify();
        }
    }
}

impl Facts {
    fn new(model: &LoadedModel) -> Self {
        Self {
            name: model.info.name.clone(),
            description: model.info.description.clone(),
            model_rate: model.info.sampling_rate,
            format: None,
            latency_samples: 0,
        }
    }
}

/// The model at `path`; none for an empty path. A defect in a reader must not take the host down with it.
fn read(path: &str, mode: Mode, latency: Latency) -> Result<Option<LoadedModel>, String> {
    let path = path.trim();
    if path.is_empty() {
        return Ok(None);
    }
    let read = || {
        let model = runnel::open(Path::new(path), &Default::default()).map_err(|e| e.to_string())?;
        LoadedModel::new(&model, mode, latency)
    };
    let result = catch_unwind(AssertUnwindSafe(read));
    result.unwrap_or_else(|_| Err(format!("{path}: reading it failed unexpectedly; please report this file"))).map(Some)
}

/// What a panic left behind is whole: every lock here guards plain values that are written in one piece.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use runnel::format;

    use super::*;
    use crate::test_models::lookahead_stream;

    const FORMAT: Format = Format { sampling_rate: 48_000, inputs: 2, outputs: 2 };

    /// A loader for a folder of its own, which goes when this is dropped.
    struct Rig {
        folder: std::path::PathBuf,
        loader: Arc<Loader>,
        exchange: Exchange,
    }

    impl Rig {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("runnel-loader-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            let (loader, exchange) = Loader::new(Arc::new(RunnelParams::default()));
            Self { folder, loader, exchange }
        }

        fn model(&self, name: &str, ahead: usize) -> String {
            let path = self.folder.join(name);
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
            let _ = std::fs::remove_dir_all(&self.folder);
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
        let noise = rig.folder.join("noise.runnel");
        std::fs::write(&noise, b"\x10\0\0\0\0\0\0\0{ no header at all").unwrap();
        let missing = rig.folder.join("missing.runnel");
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
}
