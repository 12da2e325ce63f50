//! A model at the host's sampling rate and on the host's channels.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use runnel::timing::Rate;
use runnel::{Engine, Info, Plan, PlanOptions, PriorPlan, Randomness, StreamGraph, StreamModel};

use crate::hands::{Follower, GRID, Hands};
use crate::memory::Memory;
use crate::model_file::Contents;
use crate::notebook::Notebook;
use crate::params::{Channels, Latency, Mode};
use crate::resample::{Filter, Resampler, Start};
use crate::steering::{self, Steered};
use crate::telemetry::Telemetry;

/// Frames handled at once; longer blocks are cut into these.
pub const CHUNK: usize = 256;
/// Channels of a model beyond which the plugin refuses it.
pub const MOST_CHANNELS: usize = 8;
/// Samples per second that host and model may have: the resampler makes tables of all phases.
pub const RATES: std::ops::RangeInclusive<u32> = 1_000..=384_000;

/// What the host sends: fixed between two activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// Samples per second.
    pub sampling_rate: u32,
    /// Channels in, 1 or 2.
    pub inputs: usize,
    /// Channels out, 1 or 2, at least as many as come in.
    pub outputs: usize,
}

/// A model read, converted and planned: what all its engines share.
#[derive(Debug)]
pub struct LoadedModel {
    /// Facts for people.
    pub info: Info,
    plan: Arc<Plan>,
    /// Where the latents are played, and the model has one.
    prior: Option<Arc<PriorPlan>>,
    latency_samples: i64,
    /// How far back the output remembers the input; `None` without end.
    past_samples: Option<u64>,
    inputs: usize,
    outputs: usize,
    memory: Memory,
    /// Hash of its file's contents.
    hash: String,
    /// What can run at multiples of the model's rate.
    finer: Option<StreamGraph>,
}

impl LoadedModel {
    /// Plans the whole way from audio to audio, or that of the decoder alone.
    ///
    /// # Errors
    /// In words, when the model's rate or channels are none that a plugin can play, it has no latents to play, or it
    /// needs too much memory.
    pub fn new(model: &StreamModel, mode: Mode, latency: Latency) -> Result<Self, String> {
        let info = model.info.clone();
        let forward = match mode {
            Mode::Forward => Cow::Borrowed(&model.forward),
            Mode::Play => {
                let player = model.player().ok_or("this model has no latents to play; choose the mode Forward")?;
                Cow::Owned(player.map_err(|e| e.to_string())?)
            }
        };
        if !RATES.contains(&info.sampling_rate) {
            return Err(format!(
                "the model says it runs at {} Hz; the plugin plays {} to {} Hz",
                info.sampling_rate,
                RATES.start(),
                RATES.end()
            ));
        }
        let rate = forward.output().rate;
        if rate != Rate::UNIT {
            return Err(format!("{rate} samples leave the model for each that enters; the plugin plays one for one"));
        }
        let (inputs, outputs) = (forward.input().channels, forward.output().channels);
        if inputs.max(outputs) > MOST_CHANNELS {
            return Err(format!(
                "{inputs} channels in and {outputs} out; the plugin plays {MOST_CHANNELS} at the most"
            ));
        }
        let options = PlanOptions { slack_samples: slack_samples(&forward, latency), ..PlanOptions::default() };
        let plan = Plan::with(&forward, &options).map_err(|e| e.to_string())?;
        let prior = match (&model.prior, mode) {
            (Some(prior), Mode::Play) => {
                Some(PriorPlan::new(prior, &PlanOptions::default()).map_err(|e| e.to_string())?)
            }
            _ => None,
        };
        let latency_samples = plan.latency_samples() as i64;
        // A player's hands sound without end.
        let past_samples = if mode == Mode::Play { None } else { forward.receptive_field_samples().0 };
        let (memory, hash) = (Memory::default(), String::new());
        let finer = matches!(forward.at_multiple_of_rate(2), Some(Ok(_))).then(|| forward.into_owned());
        Ok(Self { info, plan, prior, latency_samples, past_samples, inputs, outputs, memory, hash, finer })
    }

    /// The same, of a file with these contents: what its engines learn is kept in `memory`, and found there.
    pub fn remembering(self, memory: Memory, contents: &Contents) -> Self {
        Self { memory, hash: contents.hash.clone(), ..self }
    }

    /// Whether it needs no resampling at multiples of its rate.
    pub fn runs_at_multiples(&self) -> bool {
        self.finer.is_some()
    }

    /// The same model in the host's own time, where the host's rate is a multiple of the model's.
    fn at_rate(&self, rate: u32) -> Option<Self> {
        let own = self.info.sampling_rate;
        let multiple = (rate > own && rate.is_multiple_of(own)).then_some(rate / own)?;
        let finer = self.finer.as_ref()?.at_multiple_of_rate(multiple as usize)?.ok()?;
        let plan = Plan::new(&finer).ok()?;
        Some(Self {
            info: Info { sampling_rate: rate, ..self.info.clone() },
            latency_samples: plan.latency_samples() as i64,
            past_samples: finer.receptive_field_samples().0,
            plan,
            finer: None,
            prior: self.prior.clone(),
            memory: self.memory.clone(),
            hash: self.hash.clone(),
            ..*self
        })
    }

    /// What the host can steer in it.
    pub fn steered(&self) -> Vec<Steered> {
        steering::steered(self.plan.parameters())
    }
}

/// Latency beyond the least, in samples of the model. A model without latent frames has nothing to level.
fn slack_samples(stream: &StreamGraph, latency: Latency) -> u64 {
    const LEAST_HOP: i64 = 64;
    let hop = stream.hop_frames();
    let slack = match latency {
        _ if hop < LEAST_HOP => 0,
        Latency::Least => 0,
        Latency::Balanced => hop / 4,
        Latency::Relaxed => hop,
    };
    slack as u64
}

/// Engines, and what carries the host's signal to them and back.
///
/// A mono model on a stereo bus runs twice, one engine per channel, with the same seed unless wide noise is asked for:
/// what is equal on both sides stays equal. Or it runs once, on the mean of both. A stereo model on a mono bus hears the signal on both sides, and its output is averaged.
#[derive(Debug)]
pub struct HostedModel {
    engines: Vec<Engine>,
    notebook: Option<Arc<Notebook>>,
    follower: Follower,
    /// Model frames since the last look at the player's hands.
    since_look: usize,
    /// Latent frames that were told of.
    told_latents: u64,
    inputs: usize,
    outputs: usize,
    latency_samples: usize,
    tail_samples: Option<u32>,
    rates: Option<Rates>,
    /// At the host's rate, one for each input of each engine.
    received: Vec<Vec<f32>>,
    /// At the host's rate, one for each output of each engine.
    made: Vec<Vec<f32>>,
}

/// What a model needs whose rate is not the host's.
#[derive(Debug)]
struct Rates {
    to_model: Resampler,
    to_host: Resampler,
    /// At the model's rate, one for each input of each engine.
    received: Vec<Vec<f32>>,
    /// At the model's rate, one for each output of each engine.
    made: Vec<Vec<f32>>,
}

impl HostedModel {
    /// Engines of `model` for a host of this format, at the start of a signal.
    pub fn new(model: &LoadedModel, format: Format, channels: Channels) -> Self {
        let finer = model.at_rate(format.sampling_rate);
        let model = finer.as_ref().unwrap_or(model);
        let twice = model.inputs == 1 && model.outputs == 1 && channels == Channels::Stereo;
        let count = if twice { format.inputs } else { 1 };
        let engine = |_| {
            let mut engine = Engine::new(model.plan.clone(), Randomness::Deterministic);
            model.prior.iter().for_each(|prior| engine.add_prior(prior));
            engine
        };
        let mut engines: Vec<_> = (0..count).map(engine).collect();
        let notebook = model.memory.take_over(&model.hash, &mut engines);
        let (inputs, outputs) = (count * model.inputs, count * model.outputs);
        let rates = (model.info.sampling_rate != format.sampling_rate)
            .then(|| Rates::new(model, format.sampling_rate, inputs, outputs));
        let latency_samples = match &rates {
            Some((_, latency_samples)) => *latency_samples,
            None => model.latency_samples,
        };
        let host_samples_per_sample = f64::from(format.sampling_rate) / f64::from(model.info.sampling_rate);
        let past_samples = model.past_samples.map(|p| (p as f64 * host_samples_per_sample).ceil() as u32);
        Self {
            engines,
            notebook,
            follower: Follower::new(model.info.sampling_rate),
            since_look: 0,
            told_latents: 0,
            tail_samples: past_samples.map(|p| p.saturating_add(latency_samples as u32)),
            inputs: model.inputs,
            outputs: model.outputs,
            latency_samples: latency_samples as usize,
            rates: rates.map(|(rates, _)| rates),
            received: buffers(inputs, CHUNK),
            made: buffers(outputs, CHUNK),
        }
    }

    /// Host samples from a sample's arrival to the output that belongs to it, resampling included; exact.
    pub fn latency_samples(&self) -> usize {
        self.latency_samples
    }

    /// Host samples after the last of the input that the output still depends on it; `None` without end.
    pub fn tail_samples(&self) -> Option<u32> {
        self.tail_samples
    }

    /// Back to the start of a signal. What was learned stays.
    pub fn reset(&mut self) {
        if let Some(notebook) = self.notebook.as_ref().filter(|_| self.follower.learns()) {
            notebook.write(&self.engines);
        }
        self.engines.iter_mut().for_each(Engine::reset);
        self.follower.reset();
        (self.since_look, self.told_latents) = (0, 0);
        if let Some(rates) = &mut self.rates {
            rates.to_model.reset();
            rates.to_host.reset();
        }
    }

    /// Plays `frames` frames, at most [`CHUNK`], of the host's channels. Samples that are no numbers come out as zero.
    pub fn process(
        &mut self,
        input: &[Vec<f32>],
        output: &mut [Vec<f32>],
        frames: usize,
        hands: &Hands,
        telemetry: Option<&Telemetry>,
    ) {
        let averaged = self.received.len() < input.len();
        for (channel, received) in self.received.iter_mut().enumerate() {
            if averaged {
                average(input, &mut received[..frames]);
            } else {
                received[..frames].copy_from_slice(&input[channel % input.len()][..frames]);
            }
        }
        let mut band = Band {
            engines: &mut self.engines,
            notebook: self.notebook.as_deref(),
            inputs: self.inputs,
            outputs: self.outputs,
            follower: &mut self.follower,
            since_look: &mut self.since_look,
            told_latents: &mut self.told_latents,
            hands,
            telemetry,
        };
        match &mut self.rates {
            None => band.play(&self.received, &mut self.made, frames),
            Some(rates) => {
                rates.to_model.push(&self.received, frames);
                let model_frames = rates.to_model.pull(&mut rates.received, usize::MAX);
                band.play(&rates.received, &mut rates.made, model_frames);
                rates.to_host.push(&rates.made, model_frames);
                let pulled = rates.to_host.pull(&mut self.made, frames);
                debug_assert_eq!(pulled, frames, "the latency is long enough for every phase");
            }
        }
        for made in &mut self.made {
            made[..frames].iter_mut().filter(|y| !y.is_finite()).for_each(|y| *y = 0.0);
        }
        let made = &self.made;
        match output {
            [mono] => average(made, &mut mono[..frames]),
            channels => channels.iter_mut().enumerate().for_each(|(channel, output)| {
                output[..frames].copy_from_slice(&made[channel.min(made.len() - 1)][..frames]);
            }),
        }
    }
}

impl Rates {
    /// Converters to the model's rate and back, and the latency of the whole way in host samples.
    ///
    /// Host frame `m` of the output is what the model makes at that very time. It reads model frames up to
    /// `to_host.need(m)`, which the engine gives `latency_samples` frames later, which read host frames up to
    /// `to_model.need(…)`. The latency is the least that suffices for every `m`; it repeats with the phases.
    fn new(model: &LoadedModel, host_rate: u32, inputs: usize, outputs: usize) -> (Self, i64) {
        let model_rate = model.info.sampling_rate;
        let (to_model, to_host) = (Filter::new(host_rate, model_rate), Filter::new(model_rate, host_rate));
        let wait = |m| to_model.need(to_host.need(m) + model.latency_samples) - m;
        let latency_samples = (0..to_host.period()).map(wait).max().unwrap_or(0);

        let first_frame = to_model.first_reader(0);
        let most = to_model.most_made_of(CHUNK);
        let start_in = Start { input: 0, output: first_frame };
        let start_out = Start { input: first_frame - model.latency_samples, output: -latency_samples };
        let rates = Self {
            to_model: Resampler::new(to_model, inputs, start_in, CHUNK),
            to_host: Resampler::new(to_host, outputs, start_out, most),
            received: buffers(inputs, most),
            made: buffers(outputs, most),
        };
        (rates, latency_samples)
    }
}

/// The engines at work, with the player's hands on them.
struct Band<'a> {
    engines: &'a mut [Engine],
    notebook: Option<&'a Notebook>,
    inputs: usize,
    outputs: usize,
    follower: &'a mut Follower,
    since_look: &'a mut usize,
    told_latents: &'a mut u64,
    hands: &'a Hands,
    telemetry: Option<&'a Telemetry>,
}

impl Band<'_> {
    /// Plays `frames` frames at the model's rate, from look to look.
    fn play(&mut self, received: &[Vec<f32>], made: &mut [Vec<f32>], frames: usize) {
        let mut at = 0;
        while at < frames {
            if *self.since_look == 0 {
                let noted = self.follower.look(self.hands, self.engines);
                if let Some(notebook) = self.notebook {
                    notebook.look(self.engines);
                    if noted {
                        notebook.write(self.engines);
                    }
                }
            }
            let end = frames.min(at + GRID - *self.since_look);
            self.run(received, made, at..end);
            *self.since_look = (*self.since_look + end - at) % GRID;
            at = end;
        }
        if let (Some(telemetry), Some(edit)) = (self.telemetry, self.engines[0].latent_edits().first()) {
            let (count, before, after) = edit.newest();
            if count != *self.told_latents {
                *self.told_latents = count;
                telemetry.latent_frame(before, after);
            }
        }
    }

    /// Runs each engine on its share of the channels.
    fn run(&mut self, received: &[Vec<f32>], made: &mut [Vec<f32>], frames: Range<usize>) {
        let shares = received.chunks_exact(self.inputs).zip(made.chunks_exact_mut(self.outputs));
        for (engine, (received, made)) in self.engines.iter_mut().zip(shares) {
            let mut input: [&[f32]; MOST_CHANNELS] = [&[]; MOST_CHANNELS];
            input.iter_mut().zip(received).for_each(|(slice, channel)| *slice = &channel[frames.clone()]);
            let mut output: [&mut [f32]; MOST_CHANNELS] = Default::default();
            output.iter_mut().zip(made).for_each(|(slice, channel)| *slice = &mut channel[frames.clone()]);
            engine.process(&input[..self.inputs], &mut output[..self.outputs]);
        }
    }
}

fn average(channels: &[Vec<f32>], out: &mut [f32]) {
    let gain = 1.0 / channels.len() as f32;
    for (i, y) in out.iter_mut().enumerate() {
        *y = channels.iter().map(|c| c[i]).sum::<f32>() * gain;
    }
}

fn buffers(channels: usize, frames: usize) -> Vec<Vec<f32>> {
    vec![vec![0.0; frames]; channels]
}
