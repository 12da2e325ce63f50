//! A model on a thread of its own, for machines where it is too heavy inside the host's call. Samples go there and come
//! back through queues, a fixed time later; what comes too late is dropped, so that what follows is in its place.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rtrb::{Consumer, Producer, RingBuffer};

use crate::hands::Hands;
use crate::hosted::{CHUNK, Format, HostedModel};
use crate::interleaved;
use crate::telemetry::Telemetry;

/// Least samples that the detour takes; blocks of the host that are longer than half of it take twice their length.
const LEAST_DETOUR: usize = 2048;
/// Audio that the queues hold beside the detour.
const QUEUE_SECONDS: usize = 2;
/// How often the thread looks for work.
const INTERVAL: Duration = Duration::from_micros(300);
/// How far the host must be ahead of the clock to be taken for one that renders offline.
const AHEAD_SECONDS: f64 = 0.5;
/// The longest wait for a thread that does nothing any more.
const PATIENCE: Duration = Duration::from_secs(10);
/// Decay per sample of what is heard when samples are missing, and growth when they are back.
const FADE_SECONDS: f32 = 0.005;

/// A hosted model behind two queues.
#[derive(Debug)]
pub struct Worker {
    format: Format,
    detour: usize,
    latency_samples: usize,
    tail_samples: Option<u32>,
    calls: Producer<Call>,
    samples: Producer<f32>,
    made: Consumer<f32>,
    /// Frames that the thread was not told of, since its queue was full.
    skipped: usize,
    /// Whether the next call starts a signal.
    restarts: bool,
    /// Frames to come before the thread's first.
    silence: usize,
    /// Frames that come too late.
    late: usize,
    gain: f32,
    last: [f32; 2],
    offline: bool,
    start: Option<Instant>,
    played: u64,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread is asked for.
#[derive(Clone, Copy, Debug)]
struct Call {
    frames: usize,
    /// Frames before these that never came.
    skipped: usize,
    reset: bool,
    hands: Hands,
}

impl Worker {
    /// Starts a thread that plays `model`, for a host whose blocks have up to `most_frames`.
    pub fn new(model: HostedModel, format: Format, most_frames: usize) -> Self {
        let detour = LEAST_DETOUR.max(2 * most_frames);
        let frames = detour + QUEUE_SECONDS * format.sampling_rate as usize + most_frames;
        let (calls, called) = RingBuffer::new(frames / 16);
        let (samples, received) = RingBuffer::new(frames * format.inputs);
        let (made_here, made) = RingBuffer::new(frames * format.outputs);
        let stop = Arc::new(AtomicBool::new(false));
        let (latency_samples, tail_samples) = (model.latency_samples() + detour, model.tail_samples());
        let desk = Desk {
            model,
            called,
            received,
            made: made_here,
            input: vec![vec![0.0; CHUNK]; format.inputs],
            output: vec![vec![0.0; CHUNK]; format.outputs],
            outputs: format.outputs,
        };
        let stopped = stop.clone();
        let work = move || desk.work(&stopped, format.sampling_rate);
        let thread = thread::Builder::new().name("runnel-model".into()).spawn(work).ok();
        Self {
            format,
            detour,
            latency_samples,
            tail_samples: tail_samples.map(|t| t.saturating_add(detour as u32)),
            calls,
            samples,
            made,
            skipped: 0,
            restarts: false,
            silence: detour,
            late: 0,
            gain: 1.0,
            last: [0.0; 2],
            offline: false,
            start: None,
            played: 0,
            stop,
            thread,
        }
    }

    /// Host samples from a sample's arrival to the output that belongs to it, the detour included.
    pub fn latency_samples(&self) -> usize {
        self.latency_samples
    }

    /// Host samples after the last of the input that the output still depends on it; `None` without end.
    pub fn tail_samples(&self) -> Option<u32> {
        self.tail_samples
    }

    /// Whether the host has time: then a late thread is waited for.
    pub fn set_offline(&mut self, offline: bool) {
        self.offline = offline;
    }

    /// Back to the start of a signal. What is under way is dropped when it comes.
    pub fn reset(&mut self) {
        self.late += self.detour - self.silence;
        self.silence = self.detour;
        self.restarts = true;
        (self.start, self.played) = (None, 0);
    }

    /// As [`HostedModel::process`]. Frames that the thread has not made in time are silent, and counted.
    pub fn process(
        &mut self,
        input: &[Vec<f32>],
        output: &mut [Vec<f32>],
        frames: usize,
        hands: &Hands,
        telemetry: Option<&Telemetry>,
    ) {
        self.start.get_or_insert_with(Instant::now);
        self.send(input, frames, hands);
        self.played += frames as u64;
        let silent = self.silence.min(frames);
        self.silence -= silent;
        output.iter_mut().for_each(|channel| channel[..silent].fill(0.0));
        let wanted = frames - silent;
        if self.wait_for(wanted) {
            interleaved::take(&mut self.made, &mut output[..self.format.outputs], silent, wanted);
        } else {
            self.late += wanted;
            output.iter_mut().for_each(|channel| channel[silent..frames].fill(0.0));
            if let Some(telemetry) = telemetry {
                telemetry.miss();
            }
        }
        let missing = self.late > 0;
        self.soften(output, silent..frames, missing);
    }

    /// Hands the frames to the thread.
    fn send(&mut self, input: &[Vec<f32>], frames: usize, hands: &Hands) {
        let sent = !self.calls.is_full() && interleaved::put(&mut self.samples, &input[..self.format.inputs], frames);
        if !sent {
            self.skipped += frames;
            return;
        }
        let (skipped, reset) = (std::mem::take(&mut self.skipped), std::mem::take(&mut self.restarts));
        let _ = self.calls.push(Call { frames, skipped, reset, hands: *hands });
    }

    /// Whether so many frames are there that are not late; drops those that are.
    fn wait_for(&mut self, wanted: usize) -> bool {
        if self.take(wanted) {
            return true;
        }
        let (now, rate) = (Instant::now(), f64::from(self.format.sampling_rate));
        let start = self.start.unwrap_or(now);
        let ahead = self.played as f64 / rate - now.duration_since(start).as_secs_f64();
        let patience = if self.offline || ahead > AHEAD_SECONDS {
            PATIENCE
        } else {
            Duration::from_secs_f64(0.5 * wanted as f64 / rate)
        };
        while now.elapsed() < patience {
            if self.take(wanted) {
                return true;
            }
            std::hint::spin_loop();
        }
        false
    }

    fn take(&mut self, wanted: usize) -> bool {
        let channels = self.format.outputs;
        let late = self.late.min(self.made.slots() / channels);
        if let Ok(chunk) = self.made.read_chunk(late * channels) {
            chunk.commit_all();
            self.late -= late;
        }
        self.late == 0 && self.made.slots() >= wanted * channels
    }

    /// No click where samples are missing, nor where they are back.
    fn soften(&mut self, output: &mut [Vec<f32>], frames: std::ops::Range<usize>, missing: bool) {
        if !missing && self.gain == 1.0 {
            if let Some(end) = frames.end.checked_sub(1).filter(|_| !frames.is_empty()) {
                output.iter().zip(&mut self.last).for_each(|(channel, last)| *last = channel[end]);
            }
            return;
        }
        let step = 1.0 / (FADE_SECONDS * self.format.sampling_rate as f32);
        for i in frames {
            if missing {
                self.gain = 0.0;
            } else {
                self.gain = (self.gain + step).min(1.0);
            }
            for (channel, last) in output.iter_mut().zip(&mut self.last) {
                *last *= 1.0 - step;
                channel[i] = self.gain * channel[i] + *last;
            }
        }
        if self.gain == 1.0 {
            self.last = [0.0; 2];
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

/// The thread's side.
struct Desk {
    model: HostedModel,
    called: Consumer<Call>,
    received: Consumer<f32>,
    made: Producer<f32>,
    input: Vec<Vec<f32>>,
    output: Vec<Vec<f32>>,
    outputs: usize,
}

impl Desk {
    fn work(mut self, stop: &AtomicBool, sampling_rate: u32) {
        // Without the right to it the thread runs as any other.
        let _raised = audio_thread_priority::promote_current_thread_to_real_time(CHUNK as u32, sampling_rate);
        while !stop.load(Ordering::Acquire) {
            match self.called.pop() {
                Ok(call) => self.answer(call),
                Err(_) => thread::park_timeout(INTERVAL),
            }
        }
    }

    fn answer(&mut self, call: Call) {
        if call.skipped > 0 || call.reset {
            self.model.reset();
        }
        self.give(call.skipped, |_, _| 0.0);
        let frames = call.frames;
        interleaved::take(&mut self.received, &mut self.input, 0, frames);
        self.model.process(&self.input, &mut self.output, frames, &call.hands, None);
        let output = std::mem::take(&mut self.output);
        self.give(frames, |i, channel| output[channel][i]);
        self.output = output;
    }

    /// Gives frames back, their values by index and channel.
    fn give(&mut self, frames: usize, value: impl Fn(usize, usize) -> f32) {
        let channels = self.outputs;
        if let Ok(chunk) = self.made.write_chunk_uninit(frames * channels) {
            chunk.fill_from_iter((0..frames * channels).map(|at| value(at / channels, at % channels)));
        }
    }
}
