//! What one object plays: a model, and the change from one to the next. `process` allocates nothing.

use std::collections::VecDeque;
use std::sync::Arc;

use runnel::{Amounts, Engine, Info, Plan, Randomness, StreamGraph};

/// Signals in or out beyond which a model is refused.
pub(crate) const MOST_SIGNALS: usize = 256;
/// Samples handled at once.
const CHUNK: usize = 64;
/// Samples over which one model fades into the next, and a bypass opens and closes.
const FADE_SAMPLES: usize = 1024;

/// A model, planned, with the state of one stream.
#[derive(Debug)]
pub(crate) struct Stage {
    /// Facts for people.
    pub(crate) info: Info,
    engine: Engine,
    inputs: usize,
    outputs: usize,
    latency_samples: usize,
    /// How long after a start the output is that of a start.
    settling_samples: usize,
    /// The input, late by the latency: what a bypass lets through.
    dry: Vec<VecDeque<f32>>,
    made: Vec<Vec<f32>>,
}

impl Stage {
    /// The stream that `plan` was made of, at its start.
    pub(crate) fn new(plan: Arc<Plan>, info: Info, stream: &StreamGraph) -> Self {
        let latency_samples = plan.latency_samples() as usize;
        let (inputs, outputs) = (stream.input().channels, stream.output().channels);
        let past_samples = stream.receptive_field_samples().0.unwrap_or(0) as usize;
        Self {
            info,
            engine: Engine::new(plan, Randomness::Seeded(0)),
            inputs,
            outputs,
            latency_samples,
            settling_samples: latency_samples + past_samples.min(latency_samples),
            dry: vec![VecDeque::from(vec![0.0; latency_samples]); inputs],
            made: vec![vec![0.0; CHUNK]; outputs],
        }
    }

    /// Signals in and out.
    pub(crate) fn signals(&self) -> (usize, usize) {
        (self.inputs, self.outputs)
    }

    /// Samples by which the output comes late.
    pub(crate) fn latency_samples(&self) -> usize {
        self.latency_samples
    }

    fn reset(&mut self) {
        self.engine.reset();
        self.dry.iter_mut().for_each(|line| line.iter_mut().for_each(|x| *x = 0.0));
    }

    fn apply(&mut self, settings: &Settings) {
        let randomness = if settings.noisy { Randomness::Seeded(settings.seed) } else { Randomness::Deterministic };
        self.engine.set_randomness(randomness);
        self.engine.set_amounts(Amounts { temperature: settings.noise, noise: settings.noise });
        for edit in self.engine.latent_edits() {
            for (i, bias) in edit.bias.iter_mut().enumerate() {
                *bias = settings.latents.get(i).copied().unwrap_or(0.0);
            }
        }
    }

    /// Plays `frames` frames of `input`, at most [`CHUNK`], into `made`; `bypass` is what part of them is the input.
    fn process(&mut self, input: &[Vec<f32>], frames: usize, bypass: &[f32]) {
        const SILENCE: [f32; CHUNK] = [0.0; CHUNK];
        let mut ins: [&[f32]; MOST_SIGNALS] = [&SILENCE[..frames]; MOST_SIGNALS];
        ins.iter_mut().zip(input).for_each(|(slice, channel)| *slice = &channel[..frames]);
        let mut outs: [&mut [f32]; MOST_SIGNALS] = std::array::from_fn(|_| &mut [][..]);
        outs.iter_mut().zip(&mut self.made).for_each(|(slice, channel)| *slice = &mut channel[..frames]);
        self.engine.process(&ins[..self.inputs], &mut outs[..self.outputs]);
        for (channel, made) in self.made.iter_mut().enumerate() {
            let dry = self.dry.get_mut(channel);
            let heard = ins[channel];
            match dry {
                Some(line) => {
                    for ((y, x), bypass) in made.iter_mut().zip(heard).zip(bypass) {
                        line.push_back(*x);
                        let dry = line.pop_front().unwrap_or(*x);
                        *y += (dry - *y) * bypass;
                    }
                }
                None => made.iter_mut().zip(bypass).for_each(|(y, bypass)| *y *= 1.0 - bypass),
            }
            made[..frames].iter_mut().filter(|y| !y.is_finite()).for_each(|y| *y = 0.0);
        }
    }
}

/// What a patch says of how a model is played.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    /// What the random parts are drawn from.
    pub(crate) seed: u64,
    /// Whether the random parts sound.
    pub(crate) noisy: bool,
    /// Gain of the random parts.
    pub(crate) noise: f32,
    /// Whether the input is let through, late by the latency.
    pub(crate) bypassed: bool,
    /// Added to each latent.
    pub(crate) latents: Vec<f32>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { seed: 0, noisy: true, noise: 1.0, bypassed: false, latents: vec![] }
    }
}

/// One object's sound.
#[derive(Debug)]
pub(crate) struct Session {
    inputs: usize,
    outputs: usize,
    current: Option<Box<Stage>>,
    next: Option<Next>,
    #[allow(clippy::vec_box, reason = "they go on to another thread as they came")]
    retired: Vec<Box<Stage>>,
    settings: Settings,
    bypass: f32,
    input: Vec<Vec<f32>>,
}

/// A model that comes: unheard until it has settled, then faded in.
#[derive(Debug)]
struct Next {
    stage: Box<Stage>,
    unheard_samples: usize,
    faded_samples: usize,
}

impl Session {
    /// A session of this many signals.
    pub(crate) fn new(inputs: usize, outputs: usize) -> Self {
        Self {
            inputs,
            outputs,
            current: None,
            next: None,
            retired: Vec::with_capacity(4),
            settings: Settings::default(),
            bypass: 0.0,
            input: vec![vec![0.0; CHUNK]; inputs],
        }
    }

    /// The model that is heard.
    pub(crate) fn stage(&self) -> Option<&Stage> {
        self.current.as_deref()
    }

    /// Plays `stage` from now on, at once where nothing played.
    ///
    /// # Errors
    /// In words, when its signals are not the object's.
    pub(crate) fn play(&mut self, mut stage: Box<Stage>) -> Result<(), String> {
        let (inputs, outputs) = stage.signals();
        if (inputs, outputs) != (self.inputs, self.outputs) {
            let (has_in, has_out) = (self.inputs, self.outputs);
            return Err(format!(
                "{} has {inputs} inlets and {outputs} outlets, this object {has_in} and {has_out}; make a new object for it",
                stage.info.name
            ));
        }
        stage.apply(&self.settings);
        self.retired.extend(self.next.take().map(|next| next.stage));
        if self.current.is_none() {
            self.current = Some(stage);
        } else {
            self.next = Some(Next { unheard_samples: stage.settling_samples, faded_samples: 0, stage });
        }
        Ok(())
    }

    /// Changes what is set, from the next frame on.
    pub(crate) fn set(&mut self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings);
        let next = self.next.as_mut().map(|next| &mut next.stage);
        self.current.iter_mut().chain(next).for_each(|stage| stage.apply(&self.settings));
    }

    /// Back to the start of a signal.
    pub(crate) fn reset(&mut self) {
        if let Some(next) = self.next.take() {
            self.retired.extend(self.current.replace(next.stage));
        }
        self.current.iter_mut().for_each(|stage| stage.reset());
    }

    /// A stage that is played no more.
    pub(crate) fn take_retired(&mut self) -> Option<Box<Stage>> {
        self.retired.pop()
    }

    /// Whether one model is becoming another.
    pub(crate) fn is_changing(&self) -> bool {
        self.next.is_some()
    }

    /// Plays `frames` frames: `read` gives a sample of an inlet, `write` takes one for an outlet. All of a chunk is read
    /// before any of it is written, so that inlets and outlets may share memory.
    pub(crate) fn process(
        &mut self,
        frames: usize,
        read: impl Fn(usize, usize) -> f32,
        mut write: impl FnMut(usize, usize, f32),
    ) {
        let mut at = 0;
        while at < frames {
            let taken = CHUNK.min(frames - at);
            for (channel, input) in self.input.iter_mut().enumerate() {
                (0..taken).for_each(|i| input[i] = normal_or_zero(read(channel, at + i)));
            }
            self.play_chunk(taken);
            for channel in 0..self.outputs {
                let made = self.current.as_ref().map(|stage| &stage.made[channel]);
                (0..taken).for_each(|i| write(channel, at + i, made.map_or(0.0, |made| made[i])));
            }
            self.end_chunk(taken);
            at += taken;
        }
    }

    /// Leaves what is heard in the current stage's `made`.
    fn play_chunk(&mut self, frames: usize) {
        let mut bypass = [0.0; CHUNK];
        let step = if self.settings.bypassed { 1.0 } else { -1.0 } / FADE_SAMPLES as f32;
        for value in &mut bypass[..frames] {
            self.bypass = (self.bypass + step).clamp(0.0, 1.0);
            *value = self.bypass;
        }
        let Some(current) = &mut self.current else { return };
        current.process(&self.input, frames, &bypass[..frames]);
        let Some(next) = &mut self.next else { return };
        next.stage.process(&self.input, frames, &bypass[..frames]);
        for i in next.unheard_samples.min(frames)..frames {
            let part =
                ((next.faded_samples + i - next.unheard_samples.min(frames)) as f32 / FADE_SAMPLES as f32).min(1.0);
            for (y, new) in current.made.iter_mut().zip(&next.stage.made) {
                y[i] += (new[i] - y[i]) * part;
            }
        }
    }

    /// Counts the chunk that was played, and ends a change that is over.
    fn end_chunk(&mut self, frames: usize) {
        let Some(next) = &mut self.next else { return };
        let unheard = next.unheard_samples.min(frames);
        next.unheard_samples -= unheard;
        next.faded_samples += frames - unheard;
        if next.faded_samples >= FADE_SAMPLES
            && let Some(next) = self.next.take()
        {
            // Room was made for more than wait between two looks of the object's clock; else it is dropped here.
            let old = self.current.replace(next.stage);
            if self.retired.len() < self.retired.capacity() {
                self.retired.extend(old);
            }
        }
    }
}

/// Keeps a model's caches free of what would stay in them or slow them down.
fn normal_or_zero(x: f32) -> f32 {
    if x.is_normal() { x } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use runnel::Tensor;
    use runnel::graph::{Conv1d, Graph, Op};
    use runnel::model::Provenance;

    use super::*;

    /// `gain · x`, known `latency` samples later.
    fn stage(gain: f32, latency: usize) -> Box<Stage> {
        let conv = Conv1d {
            weight: Arc::new(Tensor::new([1, 1, 2], vec![gain, 1e-9])),
            bias: None,
            stride: 1,
            dilation: latency,
            left_padding: 0,
            groups: 1,
        };
        let mut graph = Graph::new(1);
        graph.push("gain", Op::Conv1d(conv), &[0]).unwrap();
        let stream = runnel::rewrite::rewrite_graph(&graph).unwrap();
        let provenance = Provenance::default();
        let info = Info {
            name: format!("gain {gain}"),
            description: String::new(),
            sampling_rate: 48_000,
            latent_names: vec![],
            levels: runnel::Levels::default(),
            refit: None,
            provenance,
        };
        Box::new(Stage::new(Plan::new(&stream).unwrap(), info, &stream))
    }

    /// Plays ones in these blocks.
    fn play(session: &mut Session, blocks: &[usize]) -> Vec<f32> {
        let mut heard = vec![];
        for &frames in blocks {
            session.process(frames, |_, _| 1.0, |_, _, y| heard.push(y));
        }
        heard
    }

    #[test]
    fn a_model_fades_into_the_next_without_a_gap() {
        let mut session = Session::new(1, 1);
        assert_eq!(play(&mut session, &[64])[63], 0.0, "without a model there is silence");
        session.play(stage(0.5, 100)).unwrap();
        let heard = play(&mut session, &[1, 64, 500]);
        assert!(heard[99].abs() < 1e-6 && (heard[100] - 0.5).abs() < 1e-6);
        session.play(stage(0.25, 300)).unwrap();
        let heard = play(&mut session, &[64, 1, 7, 4096]);
        assert!(heard.windows(2).all(|w| (w[1] - w[0]).abs() <= 0.25 / FADE_SAMPLES as f32 + 1e-6));
        assert!((heard[0] - 0.5).abs() < 1e-6 && (heard[heard.len() - 1] - 0.25).abs() < 1e-6);
        assert!(!session.is_changing());
        assert!(session.take_retired().is_some_and(|old| old.info.name == "gain 0.5"));
    }

    #[test]
    fn bypass_is_the_input_late_by_the_latency() {
        let mut session = Session::new(1, 1);
        session.play(stage(0.5, 100)).unwrap();
        session.set(|settings| settings.bypassed = true);
        play(&mut session, &[2000]);
        let mut heard = vec![];
        session.process(200, |_, i| i as f32, |_, _, y| heard.push(y));
        assert_eq!(heard[100..], (0..100).map(|i| i as f32).collect::<Vec<_>>());
    }

    #[test]
    fn a_model_of_other_signals_is_refused_in_words() {
        let mut session = Session::new(2, 1);
        let refused = session.play(stage(1.0, 1)).unwrap_err();
        assert!(refused.contains("1 inlets and 1 outlets, this object 2 and 1"), "{refused}");
    }
}
