//! A new model hears what is played before it is heard itself, on a thread of its own, so that a change of models costs the
//! host's call next to nothing. When it has heard enough it comes over, and makes up for the few samples that it missed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rtrb::{Consumer, Producer, RingBuffer};

use crate::hands::Hands;
use crate::hosted::{CHUNK, Format, HostedModel};
use crate::interleaved;
use crate::telemetry::Telemetry;

/// Audio that waits for the thread, at most.
const QUEUE_SECONDS: usize = 4;
/// The longest that a model is let hear before it is heard, where it remembers without end.
const MOST_SECONDS: u32 = 4;
/// How often the thread looks for samples.
const INTERVAL: Duration = Duration::from_millis(1);

/// A hosted model that is not heard yet.
#[derive(Debug)]
pub struct Warming {
    latency_samples: usize,
    tail_samples: Option<u32>,
    inputs: usize,
    /// Samples that it has yet to hear.
    left: usize,
    samples: Producer<f32>,
    back: Consumer<Warm>,
    warm: Option<Warm>,
    caught_up: bool,
    /// Samples that it has to hear in the host's call, where the thread did not keep up.
    alone: usize,
    input: Vec<Vec<f32>>,
    gap: bool,
    stop: Arc<AtomicBool>,
    give_up: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread gives back: the model, and what it has not heard yet.
#[derive(Debug)]
struct Warm {
    model: HostedModel,
    samples: Consumer<f32>,
}

impl Warming {
    /// Starts a thread that plays `model` to itself, with `hands` on it.
    pub fn new(model: HostedModel, format: Format, hands: impl Fn() -> Hands + Send + 'static) -> Self {
        let (samples, received) = RingBuffer::new(QUEUE_SECONDS * format.sampling_rate as usize * format.inputs);
        let (here, back) = RingBuffer::new(1);
        let stop = Arc::new(AtomicBool::new(false));
        let (latency_samples, tail_samples) = (model.latency_samples(), model.tail_samples());
        let most = MOST_SECONDS * format.sampling_rate;
        let give_up = Arc::new(AtomicBool::new(false));
        let flags = [stop.clone(), give_up.clone()];
        let warm = Warm { model, samples: received };
        let work = move || warm.hear(&flags, format, here, &hands);
        Self {
            latency_samples,
            tail_samples,
            inputs: format.inputs,
            left: tail_samples.unwrap_or(most).min(most) as usize,
            samples,
            back,
            warm: None,
            caught_up: false,
            alone: 0,
            input: vec![vec![0.0; CHUNK]; format.inputs],
            gap: false,
            stop,
            give_up,
            thread: thread::Builder::new().name("runnel-warming".into()).spawn(work).ok(),
        }
    }

    /// As [`HostedModel::latency_samples`].
    pub fn latency_samples(&self) -> usize {
        self.latency_samples
    }

    /// As [`HostedModel::tail_samples`].
    pub fn tail_samples(&self) -> Option<u32> {
        self.tail_samples
    }

    /// Whether it is about to be heard, and from now on costs the host's call what it costs.
    pub fn is_here(&self) -> bool {
        self.warm.is_some() && self.alone == 0
    }

    /// Whether what it plays is what belongs to the samples that came in.
    pub fn is_heard(&self) -> bool {
        self.caught_up && self.alone == 0
    }

    /// Back to the start of a signal, once it is here.
    pub fn reset(&mut self) {
        if let Some(warm) = &mut self.warm {
            warm.skip();
            warm.model.reset();
            (self.caught_up, self.alone) = (true, 0);
        }
    }

    /// As [`HostedModel::process`], once it is heard; silent before.
    pub fn process(
        &mut self,
        input: &[Vec<f32>],
        output: &mut [Vec<f32>],
        frames: usize,
        hands: &Hands,
        telemetry: Option<&Telemetry>,
    ) {
        if let (true, Some(warm)) = (self.caught_up, &mut self.warm) {
            self.alone = self.alone.saturating_sub(frames);
            return warm.model.process(input, output, frames, hands, telemetry);
        }
        output.iter_mut().for_each(|channel| channel[..frames].fill(0.0));
        if interleaved::put(&mut self.samples, &input[..self.inputs], frames) {
            self.left = self.left.saturating_sub(frames);
        } else {
            // The thread does not keep up, as when a host renders faster than time passes.
            self.gap = true;
        }
        if self.gap {
            self.give_up.store(true, Ordering::Release);
        }
        if self.left == 0 || self.gap {
            self.stop.store(true, Ordering::Release);
            self.warm = self.warm.take().or_else(|| self.back.pop().ok());
        }
        if let (Some(warm), true) = (&mut self.warm, self.gap) {
            warm.skip();
            (self.caught_up, self.alone) = (true, self.latency_samples);
        } else if let Some(warm) = &mut self.warm {
            // Half as much again as comes in, until nothing waits.
            let most = frames + frames.div_ceil(2);
            self.caught_up = warm.catch_up(most, &mut self.input, output, hands);
        }
    }
}

impl Drop for Warming {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.give_up.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

impl Warm {
    /// Plays what comes until it is stopped and nearly nothing waits, or until it is to give up; then goes back.
    fn hear(
        mut self,
        [stop, give_up]: &[Arc<AtomicBool>; 2],
        format: Format,
        mut here: Producer<Self>,
        hands: &dyn Fn() -> Hands,
    ) {
        let mut input = vec![vec![0.0; CHUNK]; format.inputs];
        let mut output = vec![vec![0.0; CHUNK]; format.outputs];
        loop {
            let stopped = stop.load(Ordering::Acquire);
            let waiting = self.samples.slots() / format.inputs;
            if stopped && waiting <= CHUNK || give_up.load(Ordering::Acquire) {
                break;
            }
            if waiting == 0 {
                thread::park_timeout(INTERVAL);
            } else {
                self.catch_up(waiting.min(CHUNK), &mut input, &mut output, &hands());
            }
        }
        let _ = here.push(self);
    }

    /// Plays up to `most` frames of those that wait; whether none waits any more.
    fn catch_up(&mut self, most: usize, input: &mut [Vec<f32>], output: &mut [Vec<f32>], hands: &Hands) -> bool {
        let inputs = input.len();
        let mut left = most.min(self.samples.slots() / inputs);
        while left > 0 {
            let frames = left.min(CHUNK);
            left -= frames;
            interleaved::take(&mut self.samples, input, 0, frames);
            self.model.process(input, output, frames, hands, None);
        }
        self.samples.is_empty()
    }

    fn skip(&mut self) {
        interleaved::skip(&mut self.samples, usize::MAX);
    }
}
