//! A refit while the trained model plays: on a thread of its own, one at a time in a process, kept for the next time.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use runnel::refit::{self, Bill, RefitError, Refitter};
use runnel::{Model, StreamModel};

use super::{Loader, Refit, lock};
use crate::calibration::Sounds;
use crate::dial::Dial;
use crate::host::Wisher;
use crate::model_file::{Contents, naming};

/// Seconds of calibration audio at most.
const SECONDS: usize = 300;
/// Bytes that a refit may take.
pub(super) const MOST_BYTES: u64 = 4 << 30;
/// How often a refit that waits for another one looks around.
const INTERVAL: Duration = Duration::from_millis(20);

/// A model to be refitted.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Order {
    pub(super) path: PathBuf,
    pub(super) contents: Contents,
    pub(super) dial: Dial,
    pub(super) sounds: Sounds,
}

/// Who wants it, and since which wish.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) by: Wisher,
    pub(super) generation: u64,
    /// What plays meanwhile.
    pub(super) meanwhile: Dial,
}

/// The refits of one instance.
#[derive(Debug, Default)]
pub(super) struct Refits {
    job: Mutex<Option<Job>>,
    /// Threads that are told to end.
    ending: Mutex<Vec<JoinHandle<()>>>,
    /// What could not be written to the cache.
    unkept: Mutex<Option<(Order, StreamModel)>>,
    finished: AtomicU64,
}

#[derive(Debug)]
struct Job {
    order: Order,
    cancelled: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// Unwinds from wherever a refit is, to where it began.
struct Cancelled;

impl Order {
    /// What its file is called in the cache, after the name of the trained model's.
    pub(super) fn variant(&self) -> String {
        let milliseconds = self.dial.milliseconds().unwrap_or(0);
        format!("-{milliseconds}ms-{:016x}-{}", self.sounds.identity(), refit::VERSION)
    }

    /// What it is marked by while it runs: nobody reads a model of these contents.
    fn mark(&self) -> Contents {
        Contents { size: 0, hash: format!("refit-{}{}", self.contents.hash, self.variant()) }
    }
}

impl Refits {
    /// How many have succeeded: a model that was not there may be there now.
    pub(super) fn finished(&self) -> u64 {
        self.finished.load(Ordering::Acquire)
    }

    /// Ends what runs; does not wait for it.
    pub(super) fn cancel(&self) -> bool {
        let job = lock(&self.job).take();
        let ran = job.is_some();
        if let Some(Job { cancelled, thread, .. }) = job {
            cancelled.store(true, Ordering::Release);
            let mut ending = lock(&self.ending);
            ending.retain(|thread| !thread.is_finished());
            ending.push(thread);
        }
        ran
    }

    /// Ends what runs, and waits until it has ended.
    pub(super) fn stop(&self) {
        self.cancel();
        let ending = std::mem::take(&mut *lock(&self.ending));
        ending.into_iter().for_each(|thread| drop(thread.join()));
    }

    /// Waits for what runs.
    pub(super) fn wait(&self) {
        while lock(&self.job).as_ref().is_some_and(|job| !job.thread.is_finished()) {
            thread::sleep(INTERVAL);
        }
    }

    /// What was made of this order and could not be kept in the cache.
    pub(super) fn unkept(&self, order: &Order) -> Option<StreamModel> {
        lock(&self.unkept).as_ref().filter(|(made, _)| made == order).map(|(_, model)| model.clone())
    }
}

impl Loader {
    /// Begins to refit, unless that runs already; anything else that runs is ended.
    pub(super) fn refit(&self, order: Order, asked: Asked) {
        if lock(&self.refits.job).as_ref().is_some_and(|job| job.order == order && !job.thread.is_finished()) {
            return;
        }
        self.refits.cancel();
        match asked.by {
            Wisher::State if self.markers.is_left_behind(&order.mark()) => {
                let reason = "it was not begun by itself, for the host ended during it the last time; choose it again \
                              to try";
                return self.tell(|status| status.refit = refused(order.dial, reason));
            }
            Wisher::State => {}
            Wisher::Person => self.markers.forgive(&order.mark()),
        }
        let Some(loader) = self.own.upgrade() else { return };
        let cancelled = Arc::<AtomicBool>::default();
        let (mine, stops) = (order.clone(), cancelled.clone());
        // Held until the job is in its place: a quick one must find itself there.
        let mut job = lock(&self.refits.job);
        self.tell(|status| status.refit = working(&order, "Waiting", (0, 0), None));
        let run = move || loader.run_refit(&mine, asked, &stops);
        match thread::Builder::new().name("runnel-refit".into()).spawn(run) {
            Ok(thread) => *job = Some(Job { order, cancelled, thread }),
            Err(e) => self.tell(|status| status.refit = refused(order.dial, &format!("no thread for it: {e}"))),
        }
    }

    fn run_refit(&self, order: &Order, asked: Asked, cancelled: &AtomicBool) {
        let marker = self.markers.set(&order.mark());
        let pause = || {
            if cancelled.load(Ordering::Acquire) {
                resume_unwind(Box::new(Cancelled));
            }
        };
        let made = catch_unwind(AssertUnwindSafe(|| self.make_refit(order, &pause)));
        drop(marker);
        // Who cancels takes the job away first: no word of a cancelled one comes after that.
        let job = lock(&self.refits.job);
        if cancelled.load(Ordering::Acquire) {
            return;
        }
        let reason = match made {
            Ok(Ok(())) => {
                self.refits.finished.fetch_add(1, Ordering::Release);
                self.tell(|status| status.refit = Refit::Idle);
                drop(job);
                return self.wake();
            }
            Ok(Err(reason)) => reason,
            Err(_) => format!("{}: refitting it failed unexpectedly; please report this file", order.path.display()),
        };
        if asked.by == Wisher::Person {
            self.params.model_path.turn_back(asked.generation, asked.meanwhile);
        }
        self.tell(|status| status.refit = refused(order.dial, &reason));
    }

    fn make_refit(&self, order: &Order, pause: &dyn Fn()) -> Result<(), String> {
        let _turn = turn(pause);
        if self.cache.refitted(order).is_some() {
            // Another instance was faster.
            return Ok(());
        }
        let told = |stage, done, bytes| self.tell(|status| status.refit = working(order, stage, done, bytes));
        told("Reading", (0, 0), None);
        let trained = self.trained(&order.path, &order.contents, &mut || ())?;
        let reasoned = |reason: String| naming(&order.path, &reason);
        let model = trained.offline().map_err(|e| reasoned(e.to_string()))?;
        drop(trained);
        pause();
        let rate = model.info.sampling_rate;
        let asked = order.dial.samples(rate).unwrap_or(u64::MAX);
        let (samples, most_bytes) = affordable(&model, asked)?;
        told("Reading sounds", (0, 0), Some(most_bytes));
        let clips = order.sounds.clips(rate, samples, &mut || pause())?;
        let mut progress = |now: refit::Progress| {
            pause();
            told(now.stage, (now.done, now.total), Some(most_bytes));
        };
        let failed = |e: RefitError| match e {
            RefitError::Impossible { least, .. } => impossible(least, rate),
            e => e.to_string(),
        };
        let refitter = Refitter::new(&model, &clips, &order.sounds.to_string(), &mut progress).map_err(failed)?;
        drop(clips);
        let refitted = refitter.refit(asked, &mut progress).map_err(failed)?;
        drop(refitter);
        let stream = runnel::rewrite::rewrite(&refitted).map_err(|e| reasoned(e.to_string()))?;
        if !self.cache.keep_refitted(order, &stream) {
            *lock(&self.refits.unkept) = Some((order.clone(), stream));
        }
        Ok(())
    }
}

/// The only refit of this process, other instances included: each takes gigabytes.
fn turn(pause: &dyn Fn()) -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    loop {
        match TURN.try_lock() {
            Ok(turn) => return turn,
            Err(TryLockError::Poisoned(turn)) => return turn.into_inner(),
            Err(TryLockError::WouldBlock) => thread::sleep(INTERVAL),
        }
        pause();
    }
}

/// As many samples of calibration audio as memory allows, and the bytes that a refit on them takes at most.
fn affordable(model: &Model, asked: u64) -> Result<(usize, u64), String> {
    let rate = model.info.sampling_rate;
    let bill = Bill::of(model).map_err(|e| e.to_string())?;
    if asked < bill.least_latency_samples {
        return Err(impossible(bill.least_latency_samples, rate));
    }
    let mut samples = (SECONDS * rate as usize).max(bill.least_audio_samples);
    while bill.most_bytes(samples) > MOST_BYTES {
        if samples / 2 < bill.least_audio_samples {
            return Err(format!(
                "it would take {:.1} GB of memory, {:.1} are the most here; `convert --latency` has no such limit",
                bill.most_bytes(samples) as f64 / 1e9,
                MOST_BYTES as f64 / 1e9
            ));
        }
        samples /= 2;
    }
    Ok((samples, bill.most_bytes(samples)))
}

fn impossible(least: u64, rate: u32) -> String {
    let milliseconds = least as f64 * 1e3 / f64::from(rate);
    format!("the least that this model can be refitted to is {least} samples, {milliseconds:.1} ms")
}

fn refused(dial: Dial, reason: &str) -> Refit {
    Refit::Refused { dial, reason: reason.to_owned() }
}

fn working(order: &Order, stage: &'static str, (done, total): (u64, u64), most_bytes: Option<u64>) -> Refit {
    Refit::Working { dial: order.dial, stage, done, total, on: order.sounds.to_string(), most_bytes }
}
