//! What the audio thread tells the window: levels, latents, load, and the sound itself. Written without waiting, read at
//! leisure; a value that is missed is missed.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::params::LATENTS;

/// Latent frames that the window can look back on.
pub const LATENT_FRAMES: usize = 256;
/// Samples of the input and of the output that the window can look back on.
pub const SAMPLES: usize = 1 << 14;

/// Shared by the audio thread, which writes, and the window, which reads.
#[derive(Debug)]
pub struct Telemetry {
    /// Peak since it was last taken: input left, right, output left, right.
    peaks: [AtomicU32; 4],
    /// Rings of the last frames, before edits and after.
    latents: [Box<[[AtomicU32; LATENTS]]>; 2],
    latent_frames: AtomicU64,
    /// Rings of the last samples, mono: what came in and what went out.
    samples: [Box<[AtomicU32]>; 2],
    sample_count: AtomicU64,
    /// Calls, their time, and the time they had.
    calls: AtomicU64,
    busy_ns: AtomicU64,
    budget_ns: AtomicU64,
    /// The dearest call relative to the time it had, since it was last taken, in parts per million.
    worst_ppm: AtomicU64,
    missed: AtomicU64,
}

/// One end of the signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// What comes in.
    Input,
    /// What goes out.
    Output,
}

/// Latents before or after the player's hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hands {
    /// As the encoder made them.
    Before,
    /// As the decoder hears them.
    After,
}

/// How busy the audio thread is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// Share of the time that calls had, over all calls since the last look.
    pub mean: f32,
    /// The same of the dearest call.
    pub worst: f32,
    /// Calls that took longer than they had, since the start; those of a worker thread that was late count too.
    pub missed: u64,
}

impl Default for Telemetry {
    fn default() -> Self {
        let latents = || (0..LATENT_FRAMES).map(|_| Default::default()).collect();
        let samples = || (0..SAMPLES).map(|_| AtomicU32::new(0)).collect();
        Self {
            peaks: Default::default(),
            latents: [latents(), latents()],
            latent_frames: AtomicU64::new(0),
            samples: [samples(), samples()],
            sample_count: AtomicU64::new(0),
            calls: AtomicU64::new(0),
            busy_ns: AtomicU64::new(0),
            budget_ns: AtomicU64::new(0),
            worst_ppm: AtomicU64::new(0),
            missed: AtomicU64::new(0),
        }
    }
}

impl Telemetry {
    /// The highest level of a channel since this was last asked.
    pub fn take_peak(&self, end: End, channel: usize) -> f32 {
        f32::from_bits(self.peaks[end as usize * 2 + channel.min(1)].swap(0, Ordering::Relaxed))
    }

    /// Latent frames so far.
    pub fn latent_frames(&self) -> u64 {
        self.latent_frames.load(Ordering::Acquire)
    }

    /// Frame `frame` of the latents, one of the last [`LATENT_FRAMES`]; zero beyond the model's.
    pub fn latents(&self, hands: Hands, frame: u64) -> [f32; LATENTS] {
        let row = &self.latents[hands as usize][frame as usize % LATENT_FRAMES];
        std::array::from_fn(|i| f32::from_bits(row[i].load(Ordering::Relaxed)))
    }

    /// Samples so far.
    pub fn sample_count(&self) -> u64 {
        self.sample_count.load(Ordering::Acquire)
    }

    /// Sample `index`, one of the last [`SAMPLES`]; channels are averaged.
    pub fn sample(&self, end: End, index: u64) -> f32 {
        f32::from_bits(self.samples[end as usize][index as usize % SAMPLES].load(Ordering::Relaxed))
    }

    /// How busy the audio thread was since this was last asked.
    pub fn take_load(&self) -> Load {
        let (busy, budget) = (self.busy_ns.swap(0, Ordering::Relaxed), self.budget_ns.swap(0, Ordering::Relaxed));
        Load {
            mean: if budget == 0 { 0.0 } else { busy as f32 / budget as f32 },
            worst: self.worst_ppm.swap(0, Ordering::Relaxed) as f32 / 1e6,
            missed: self.missed.load(Ordering::Relaxed),
        }
    }

    /// Calls of the audio thread so far: while they stand still, nothing plays.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Told by the audio thread: levels of one channel.
    pub fn level(&self, end: End, channel: usize, samples: &[f32]) {
        let peak = samples.iter().fold(0.0f32, |peak, x| peak.max(x.abs()));
        // Positive floats are ordered as their bits are.
        self.peaks[end as usize * 2 + channel.min(1)].fetch_max(peak.to_bits(), Ordering::Relaxed);
    }

    /// Told by the audio thread: what came in and what went out, as many samples of each.
    pub fn sound(&self, input: impl Iterator<Item = f32>, output: impl Iterator<Item = f32>) {
        let mut at = self.sample_count.load(Ordering::Relaxed);
        for (x, y) in input.zip(output) {
            let slot = at as usize % SAMPLES;
            self.samples[0][slot].store(x.to_bits(), Ordering::Relaxed);
            self.samples[1][slot].store(y.to_bits(), Ordering::Relaxed);
            at += 1;
        }
        self.sample_count.store(at, Ordering::Release);
    }

    /// Told by the audio thread: one more latent frame.
    pub fn latent_frame(&self, before: &[f32], after: &[f32]) {
        let frame = self.latent_frames.load(Ordering::Relaxed);
        for (ring, values) in self.latents.iter().zip([before, after]) {
            let row = &ring[frame as usize % LATENT_FRAMES];
            for (i, slot) in row.iter().enumerate() {
                slot.store(values.get(i).copied().unwrap_or(0.0).to_bits(), Ordering::Relaxed);
            }
        }
        self.latent_frames.store(frame + 1, Ordering::Release);
    }

    /// Told by the audio thread: what a call took, and what it had.
    pub fn call(&self, busy_ns: u64, budget_ns: u64) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.busy_ns.fetch_add(busy_ns, Ordering::Relaxed);
        self.budget_ns.fetch_add(budget_ns, Ordering::Relaxed);
        self.worst_ppm.fetch_max(busy_ns * 1_000_000 / budget_ns.max(1), Ordering::Relaxed);
        if busy_ns > budget_ns {
            self.miss();
        }
    }

    /// Told by the audio thread: something came too late.
    pub fn miss(&self) {
        self.missed.fetch_add(1, Ordering::Relaxed);
    }
}
