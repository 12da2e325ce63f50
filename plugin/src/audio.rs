//! The audio path: dry and wet aligned to the sample, gains, bypass, and the change from one model to the next. Nothing
//! here allocates, frees, locks or calls the system once it is made.

use std::ops::Range;
use std::sync::Arc;

use rtrb::{Consumer, Producer};

use crate::delay::Delay;
use crate::dynamics::{Gate, limited};
use crate::hands::Hands;
use crate::hosted::{CHUNK, Format, HostedModel, LoadedModel};
use crate::params::Channels;
use crate::telemetry::{End, Telemetry};
use crate::warming::Warming;
use crate::worker::Worker;

/// How long a bypass or a change of models takes to fade.
const FADE_SECONDS: f32 = 0.02;
/// How much of what a model played can sound on when it rests.
const ECHO_SECONDS: f32 = 0.05;

/// What the player's hands ask for, one value per frame of a chunk.
#[derive(Clone, Copy, Debug)]
pub struct Controls<'a> {
    /// 0 is the input, 1 is the model.
    pub mix: &'a [f32],
    /// Gain of what the model hears; the dry signal does not pass it.
    pub input_gain: &'a [f32],
    /// Gain of the mix.
    pub output_gain: &'a [f32],
    /// The input, late by the latency and otherwise untouched.
    pub bypassed: bool,
    /// Whether peaks of the mix are bent back.
    pub limited: bool,
    /// Whether silence in means silence out.
    pub gated: bool,
    /// What is asked of the model.
    pub hands: &'a Hands,
}

/// How a stage plays its model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// What the host sends.
    pub format: Format,
    /// What a mono model hears.
    pub channels: Channels,
    /// The longest block of the host, where the model is to run on a thread of its own.
    pub own_thread: Option<usize>,
}

impl Setup {
    /// Each channel by itself, inside the host's call.
    pub fn plain(format: Format) -> Self {
        Self { format, channels: Channels::Stereo, own_thread: None }
    }
}

/// A model, or none, with the dry signal aligned to it.
#[derive(Debug)]
pub struct Stage {
    serial: u64,
    format: Format,
    model: Option<Player>,
    gate: Gate,
    gated: Fade,
    limited: Fade,
    dry: Vec<Delay>,
    heard: Vec<Vec<f32>>,
    wet: Vec<Vec<f32>>,
    echo: Echo,
}

/// Where a stage's model runs.
#[derive(Debug)]
enum Player {
    Here(Box<HostedModel>),
    Elsewhere(Box<Worker>),
    Warming(Box<Warming>),
}

/// The ends of the two queues between the audio thread and the loader.
#[derive(Debug)]
pub struct Exchange {
    /// Stages to play.
    pub incoming: Consumer<Box<Stage>>,
    /// Stages to drop elsewhere.
    pub retired: Producer<Box<Stage>>,
}

/// Everything between the host's input and its output.
#[derive(Debug)]
pub struct AudioPath {
    current: Box<Stage>,
    change: Option<Change>,
    /// A stage that found the queue to the loader full.
    waiting: Option<Box<Stage>>,
    exchange: Exchange,
    telemetry: Arc<Telemetry>,
    offline: bool,
    bypass: Fade,
    bypass_ramp: Vec<f32>,
    input: Vec<Vec<f32>>,
    output: Vec<Vec<f32>>,
    next_output: Vec<Vec<f32>>,
}

/// A change to another stage. It plays along unheard until its own latency has passed, so that the fade finds signal on
/// both sides.
#[derive(Debug)]
struct Change {
    stage: Box<Stage>,
    unheard_samples: usize,
    fade: Fade,
}

impl Stage {
    /// A stage of `model`, or without one: then only the dry signal, not delayed. Stages of a higher `serial` are newer.
    pub fn new(serial: u64, setup: Setup, model: Option<&LoadedModel>) -> Self {
        let model =
            model.map(|m| HostedModel::new(m, setup.format, setup.channels)).map(|model| match setup.own_thread {
                Some(most_frames) => Player::Elsewhere(Box::new(Worker::new(model, setup.format, most_frames))),
                None => Player::Here(Box::new(model)),
            });
        Self::of(serial, setup.format, model)
    }

    /// As [`Self::new`], for a change while another stage plays: what the model has to hear before it is heard, it hears
    /// on a thread of its own, with `hands` on it.
    pub fn warming(
        serial: u64,
        setup: Setup,
        model: Option<&LoadedModel>,
        hands: impl Fn() -> Hands + Send + 'static,
    ) -> Self {
        let Some(model) = model.filter(|_| setup.own_thread.is_none()) else { return Self::new(serial, setup, model) };
        let model = HostedModel::new(model, setup.format, setup.channels);
        let player = Player::Warming(Box::new(Warming::new(model, setup.format, hands)));
        Self::of(serial, setup.format, Some(player))
    }

    fn of(serial: u64, format: Format, model: Option<Player>) -> Self {
        let latency_samples = model.as_ref().map_or(0, Player::latency_samples);
        Self {
            serial,
            format,
            model,
            gate: Gate::new(format.sampling_rate, latency_samples),
            gated: Fade::anywhere(format.sampling_rate),
            limited: Fade::anywhere(format.sampling_rate),
            dry: (0..format.inputs).map(|_| Delay::new(latency_samples)).collect(),
            heard: vec![vec![0.0; CHUNK]; format.inputs],
            wet: vec![vec![0.0; CHUNK]; format.outputs],
            echo: Echo::new(format),
        }
    }

    /// Samples by which both wet and dry come late.
    pub fn latency_samples(&self) -> usize {
        self.model.as_ref().map_or(0, Player::latency_samples)
    }

    fn reset(&mut self) {
        self.dry.iter_mut().for_each(Delay::reset);
        self.gate.reset();
        self.echo.reset();
        if let Some(model) = &mut self.model {
            model.reset();
        }
    }

    /// Whether its model plays what belongs to the samples that came in.
    fn is_heard(&self) -> bool {
        if let Some(Player::Warming(warming)) = &self.model { warming.is_heard() } else { true }
    }

    /// Whether its model was warming elsewhere, and runs here from now on.
    fn has_come_over(&self) -> bool {
        if let Some(Player::Warming(warming)) = &self.model { warming.is_here() } else { false }
    }

    /// Runs the model no more: what it last played sounds backwards, and forwards again, while another fades in.
    fn rest(&mut self) {
        self.echo.start();
    }

    fn set_offline(&mut self, offline: bool) {
        if let Some(Player::Elsewhere(worker)) = &mut self.model {
            worker.set_offline(offline);
        }
    }

    fn process(
        &mut self,
        input: &[Vec<f32>],
        bypass: &[f32],
        controls: Controls,
        output: &mut [Vec<f32>],
        telemetry: Option<&Telemetry>,
    ) {
        let frames = bypass.len();
        if self.echo.sounds() {
            self.echo.play(&mut self.wet, frames);
        } else if let Some(model) = &mut self.model {
            for (heard, input) in self.heard.iter_mut().zip(input) {
                (0..frames).for_each(|i| heard[i] = normal_or_zero(input[i] * controls.input_gain[i]));
            }
            model.process(&self.heard, &mut self.wet, frames, controls.hands, telemetry);
            for i in 0..frames {
                let level = self.heard.iter().fold(0.0f32, |level, channel| level.max(channel[i].abs()));
                let gain = 1.0 + (self.gate.next(level) - 1.0) * self.gated.toward(controls.gated);
                self.wet.iter_mut().for_each(|wet| wet[i] *= gain);
            }
            self.echo.record(&self.wet, frames);
        }
        // The delayed input goes to the outputs first; a second output of one input is its copy.
        for (channel, out) in output.iter_mut().enumerate() {
            if let Some(delay) = self.dry.get_mut(channel) {
                (0..frames).for_each(|i| out[i] = delay.next(input[channel][i]));
            }
        }
        if let ([_], [first, second]) = (&self.dry[..], &mut *output) {
            second[..frames].copy_from_slice(&first[..frames]);
        }
        for i in 0..frames {
            let limit = self.limited.toward(controls.limited);
            let mix = if self.model.is_some() { controls.mix[i] } else { 0.0 };
            for (out, wet) in output.iter_mut().zip(&self.wet) {
                let dry = out[i];
                let mixed = (dry * (1.0 - mix) + wet[i] * mix) * controls.output_gain[i];
                let mixed = if limit > 0.0 { mixed + (limited(mixed) - mixed) * limit } else { mixed };
                out[i] = mixed * (1.0 - bypass[i]) + dry * bypass[i];
            }
        }
    }
}

impl AudioPath {
    /// A path without a model.
    pub fn new(format: Format, exchange: Exchange, telemetry: Arc<Telemetry>) -> Self {
        let mut path = Self {
            current: Box::new(Stage::new(0, Setup::plain(format), None)),
            change: None,
            waiting: None,
            exchange,
            telemetry,
            offline: false,
            bypass: Fade::anywhere(format.sampling_rate),
            bypass_ramp: vec![0.0; CHUNK],
            input: vec![],
            output: vec![],
            next_output: vec![],
        };
        path.install(Box::new(Stage::new(0, Setup::plain(format), None)));
        path
    }

    /// Plays `stage` from the next block on, without a fade, and forgets what came before. Not for the audio thread: what
    /// was played until now is dropped here.
    pub fn install(&mut self, mut stage: Box<Stage>) {
        while self.exchange.incoming.pop().is_ok() {}
        (self.change, self.waiting) = (None, None);
        let format = stage.format;
        stage.set_offline(self.offline);
        self.current = stage;
        self.bypass = Fade::anywhere(format.sampling_rate);
        self.input = vec![vec![0.0; CHUNK]; format.inputs];
        self.output = vec![vec![0.0; CHUNK]; format.outputs];
        self.next_output = self.output.clone();
    }

    /// Forgets what was played, as when the transport jumps.
    pub fn reset(&mut self) {
        if let Some(change) = self.change.take_if(|change| change.stage.is_heard()) {
            self.finish(change.stage);
        }
        self.current.reset();
        self.bypass = Fade::anywhere(self.current.format.sampling_rate);
    }

    /// Samples by which the output comes late. Changes when another model has faded in.
    pub fn latency_samples(&self) -> usize {
        self.current.latency_samples()
    }

    /// Samples after the last of the input that it still sounds; `None` without end.
    pub fn tail_samples(&self) -> Option<u32> {
        self.current.model.as_ref().map_or(Some(0), Player::tail_samples)
    }

    /// Whether the host has time, and a model on a thread of its own is waited for.
    pub fn set_offline(&mut self, offline: bool) {
        self.offline = offline;
        self.current.set_offline(offline);
    }

    /// Plays the frames `range`, at most [`CHUNK`], of the host's channels in place. There are as many channels as
    /// outputs; the inputs lie in the first of them.
    pub fn process(&mut self, channels: &mut [&mut [f32]], range: Range<usize>, controls: Controls) {
        self.exchange_stages();
        let frames = range.len();
        for (input, channel) in self.input.iter_mut().zip(&*channels) {
            input.iter_mut().zip(&channel[range.clone()]).for_each(|(x, &sample)| *x = normal_or_zero(sample));
        }
        let bypass = &mut self.bypass_ramp[..frames];
        bypass.fill_with(|| self.bypass.toward(controls.bypassed));
        for (channel, input) in self.input.iter().enumerate() {
            self.telemetry.level(End::Input, channel, &input[..frames]);
        }
        self.current.process(&self.input, bypass, controls, &mut self.output, Some(&self.telemetry));
        if let Some(change) = &mut self.change {
            let heard = change.stage.is_heard();
            change.stage.process(&self.input, bypass, controls, &mut self.next_output, None);
            if change.stage.has_come_over() {
                self.current.rest();
            }
            for i in 0..if heard { frames } else { 0 } {
                if change.unheard_samples > 0 {
                    change.unheard_samples -= 1;
                    continue;
                }
                let new = change.fade.toward(true);
                for (out, next) in self.output.iter_mut().zip(&self.next_output) {
                    out[i] = out[i] * (1.0 - new) + next[i] * new;
                }
            }
        }
        for (number, (channel, output)) in channels.iter_mut().zip(&self.output).enumerate() {
            channel[range.clone()].copy_from_slice(&output[..frames]);
            self.telemetry.level(End::Output, number, &output[..frames]);
        }
        let mean = |signal: &[Vec<f32>], i: usize| signal.iter().map(|c| c[i]).sum::<f32>() / signal.len() as f32;
        let (input, output) = (&self.input, &self.output);
        self.telemetry.sound((0..frames).map(|i| mean(input, i)), (0..frames).map(|i| mean(output, i)));
        if let Some(change) = self.change.take_if(|c| c.fade.is_over()) {
            self.finish(change.stage);
        }
    }

    /// Sends back what is no longer played, and takes what is newer than the stage that plays.
    fn exchange_stages(&mut self) {
        self.retire();
        while self.change.is_none() && self.waiting.is_none() {
            let Ok(mut stage) = self.exchange.incoming.pop() else { return };
            if stage.format == self.current.format && stage.serial > self.current.serial {
                stage.set_offline(self.offline);
                let unheard_samples =
                    if matches!(stage.model, Some(Player::Warming(_))) { 0 } else { stage.latency_samples() };
                let fade = Fade::at(0.0, stage.format.sampling_rate);
                self.change = Some(Change { stage, unheard_samples, fade });
            } else {
                self.waiting = Some(stage);
                self.retire();
            }
        }
    }

    fn finish(&mut self, stage: Box<Stage>) {
        self.waiting = Some(std::mem::replace(&mut self.current, stage));
        self.retire();
    }

    fn retire(&mut self) {
        if let Some(stage) = self.waiting.take() {
            self.waiting = self.exchange.retired.push(stage).err().map(|rtrb::PushError::Full(stage)| stage);
        }
    }
}

impl Player {
    fn latency_samples(&self) -> usize {
        match self {
            Self::Here(model) => model.latency_samples(),
            Self::Elsewhere(worker) => worker.latency_samples(),
            Self::Warming(warming) => warming.latency_samples(),
        }
    }

    fn tail_samples(&self) -> Option<u32> {
        match self {
            Self::Here(model) => model.tail_samples(),
            Self::Elsewhere(worker) => worker.tail_samples(),
            Self::Warming(warming) => warming.tail_samples(),
        }
    }

    fn reset(&mut self) {
        match self {
            Self::Here(model) => model.reset(),
            Self::Elsewhere(worker) => worker.reset(),
            Self::Warming(warming) => warming.reset(),
        }
    }

    fn process(
        &mut self,
        input: &[Vec<f32>],
        output: &mut [Vec<f32>],
        frames: usize,
        hands: &Hands,
        telemetry: Option<&Telemetry>,
    ) {
        match self {
            Self::Here(model) => model.process(input, output, frames, hands, telemetry),
            Self::Elsewhere(worker) => worker.process(input, output, frames, hands, telemetry),
            Self::Warming(warming) => warming.process(input, output, frames, hands, telemetry),
        }
    }
}

/// The last moments of a signal, to be played backwards: at the turn there is no click.
#[derive(Debug)]
struct Echo {
    /// Rings, one for each channel.
    last: Vec<Vec<f32>>,
    at: usize,
    /// Samples since the turn.
    since: Option<usize>,
}

impl Echo {
    fn new(format: Format) -> Self {
        let length = (ECHO_SECONDS * format.sampling_rate as f32) as usize;
        Self { last: vec![vec![0.0; length.max(1)]; format.outputs], at: 0, since: None }
    }

    fn reset(&mut self) {
        self.last.iter_mut().for_each(|last| last.fill(0.0));
    }

    fn start(&mut self) {
        self.since = self.since.or(Some(0));
    }

    fn sounds(&self) -> bool {
        self.since.is_some()
    }

    fn record(&mut self, signal: &[Vec<f32>], frames: usize) {
        let length = self.last[0].len();
        for (last, signal) in self.last.iter_mut().zip(signal) {
            signal[..frames].iter().enumerate().for_each(|(i, x)| last[(self.at + i) % length] = *x);
        }
        self.at = (self.at + frames) % length;
    }

    fn play(&mut self, signal: &mut [Vec<f32>], frames: usize) {
        let (length, since) = (self.last[0].len(), self.since.unwrap_or(0));
        for i in 0..frames {
            let place = (since + i) % (2 * length);
            let back = if place < length { place } else { 2 * length - 1 - place };
            let from = (self.at + 2 * length - 1 - back) % length;
            self.last.iter().zip(&mut *signal).for_each(|(last, signal)| signal[i] = last[from]);
        }
        self.since = Some(since + frames);
    }
}

/// A straight line from 0 to 1 and back.
#[derive(Debug)]
struct Fade {
    step: f32,
    /// `None` before the first sample, which jumps to where it should be.
    value: Option<f32>,
}

impl Fade {
    fn at(value: f32, sampling_rate: u32) -> Self {
        Self { value: Some(value), ..Self::anywhere(sampling_rate) }
    }

    fn anywhere(sampling_rate: u32) -> Self {
        Self { step: 1.0 / (FADE_SECONDS * sampling_rate as f32), value: None }
    }

    fn toward(&mut self, on: bool) -> f32 {
        let value = match self.value {
            None => f32::from(on),
            Some(value) if on => (value + self.step).min(1.0),
            Some(value) => (value - self.step).max(0.0),
        };
        self.value = Some(value);
        value
    }

    fn is_over(&self) -> bool {
        self.value == Some(1.0)
    }
}

/// Keeps the caches of a model free of what would stay in them or slow them down: no infinities, no subnormals, no NaN.
fn normal_or_zero(x: f32) -> f32 {
    if x.is_normal() { x } else { 0.0 }
}

#[cfg(test)]
mod tests;
