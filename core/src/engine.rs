//! Engine: runs a plan. `process` cannot fail, allocates nothing, and gives the same bits for every partition of its
//! input: each frame of each node is a pure function of the frames it reads.

mod adaptation;
mod held;
mod moments;

use std::sync::Arc;

pub(crate) use adaptation::Adaptation;
pub use adaptation::{Learned, LearnedNode, Learning, RestoreError};
pub use held::Held;
pub use moments::Moments;

use crate::kernels::{Call, Kernel, interleave, separate};
use crate::plan::{Plan, State};
use crate::prior::{PriorPlan, PriorPlayer};
use crate::random::{Amounts, Randomness};

/// One running stream. Cheap to make from a shared plan; may move between threads.
#[derive(Debug)]
pub struct Engine {
    plan: Arc<Plan>,
    state: State,
    scratch: Vec<f32>,
    randomness: Randomness,
    amounts: Amounts,
    edits: Vec<LatentEdit>,
    /// In the order of their steps.
    adaptations: Vec<Adaptation>,
    held: Vec<Held>,
    recurrent_resets: u64,
}

/// What a player's hands do to the latents: `scale · z + bias`, per latent, from the next frame on.
#[derive(Debug)]
pub struct LatentEdit {
    /// Gain of each latent; 1 leaves it.
    pub scale: Vec<f32>,
    /// Added to each latent after the gain; 0 leaves it.
    pub bias: Vec<f32>,
    /// Whether `z` stays what it last was; gain and bias still reach it.
    pub frozen: bool,
    /// Plays `z` in place of the model, where it is on.
    pub prior: Option<PriorPlayer>,
    step: usize,
    frames: u64,
    before: Vec<f32>,
    after: Vec<f32>,
}

impl LatentEdit {
    fn new(step: usize, latents: usize) -> Self {
        Self {
            scale: vec![1.0; latents],
            bias: vec![0.0; latents],
            frozen: false,
            prior: None,
            step,
            frames: 0,
            before: vec![0.0; latents],
            after: vec![0.0; latents],
        }
    }

    /// Frames since the start of the signal, and the newest of them as it came and as it left; zeros before the first.
    pub fn newest(&self) -> (u64, &[f32], &[f32]) {
        (self.frames, &self.before, &self.after)
    }

    /// Edits frame `frame`. The first after a start is never held back: there is nothing to hold.
    pub(crate) fn apply(&mut self, frame: i64, x: &[f32], y: &mut [f32]) {
        if !self.frozen || self.frames == 0 {
            let played = self.prior.as_ref().and_then(|prior| prior.played(frame));
            self.before.copy_from_slice(played.unwrap_or(x));
        }
        for (c, y) in y.iter_mut().enumerate() {
            *y = self.scale[c] * self.before[c] + self.bias[c];
        }
        self.after.copy_from_slice(y);
        self.frames += 1;
    }

    fn restart(&mut self) {
        self.frames = 0;
        self.before.fill(0.0);
        self.after.fill(0.0);
        if let Some(prior) = &mut self.prior {
            prior.restart();
        }
    }
}

impl Engine {
    /// An engine at the start of a signal: everything before it is silence.
    pub fn new(plan: Arc<Plan>, randomness: Randomness) -> Self {
        let edits = plan.kernels.iter().enumerate().filter(|(_, k)| k.is_latent_edit());
        let edits = edits.map(|(step, _)| LatentEdit::new(step, plan.rings[step].channels));
        let adaptations = plan.kernels.iter().enumerate().filter_map(|(step, kernel)| match kernel {
            Kernel::AdaIn(adain) => Some(Adaptation::new(step, plan.rings[step].channels, adain)),
            _ => None,
        });
        let mut engine = Self {
            state: plan.initial.clone(),
            scratch: vec![0.0; plan.scratch_len],
            randomness,
            amounts: Amounts::default(),
            edits: edits.collect(),
            adaptations: adaptations.collect(),
            held: plan.parameters.iter().map(|parameter| Held::new(parameter, &plan.kernels)).collect(),
            recurrent_resets: 0,
            plan,
        };
        engine.wait_for_the_signal();
        engine
    }

    /// Has `prior` play the latents at the first edit point, once it is switched on in [`LatentEdit::prior`]. At the start
    /// of a signal.
    ///
    /// # Panics
    /// When there is no edit point, or it has another number of latents.
    pub fn add_prior(&mut self, prior: &Arc<PriorPlan>) {
        let plan = &self.plan;
        let edit = self.edits.first_mut().expect("an edit point");
        let ticks = plan.timetable.ticks_per_frame(edit.step);
        let most_waiting = plan.timetable.most_waiting(edit.step, plan.chunk * plan.step_in);
        let prior = PriorPlayer::new(prior, ticks / plan.step_in, most_waiting as usize);
        assert_eq!(prior.latents(), edit.bias.len(), "latents of prior and edit point");
        edit.prior = Some(prior);
    }

    /// Takes the next block of input and writes the output frames that fall due, as many as [`Self::frames_out`] says;
    /// for a stream whose output has the rate of its input, as many as came in. Returns that number.
    ///
    /// `input` and `output` hold one slice per channel.
    ///
    /// # Panics
    /// When the number of channels is not the model's, channels differ in length, or the output is too short.
    pub fn process(&mut self, input: &[&[f32]], output: &mut [&mut [f32]]) -> usize {
        self.process_observed(input, output, &mut |_, _| {})
    }

    /// As [`Self::process`]; calls `observe` with a step's index before (`true`) and after (`false`) it runs. For
    /// measuring, not for audio.
    ///
    /// # Panics
    /// As [`Self::process`].
    pub fn process_observed(
        &mut self,
        input: &[&[f32]],
        output: &mut [&mut [f32]],
        observe: &mut impl FnMut(usize, bool),
    ) -> usize {
        let frames = input.first().map_or(0, |c| c.len());
        let (first, last) = (self.plan.rings[0], self.plan.rings[self.plan.rings.len() - 1]);
        let due = self.frames_out(frames);
        assert_eq!(input.len(), first.channels, "input channels");
        assert_eq!(output.len(), last.channels, "output channels");
        assert!(input.iter().all(|c| c.len() == frames), "input channels of one length");
        assert!(output.iter().all(|c| c.len() >= due), "output of at least {due} frames");

        let chunk = self.plan.chunk as usize;
        let mut written = 0;
        for at in (0..frames).step_by(chunk) {
            let taken = chunk.min(frames - at);
            let (own, received) = (first.of_mut(&mut self.state.arena), self.state.received);
            for piece in first.stretches(received..received + taken as i64) {
                let from = at + (piece.start - received) as usize;
                let frames = (piece.end - piece.start) as usize;
                for ((ring, start), input) in first.each_plane().zip(input.chunks(first.row_len())) {
                    let values = frames * ring.channels;
                    interleave(self.plan.isa, input, from, &mut own[start + ring.at(piece.start)..][..values]);
                }
            }
            let before = self.plan.due(self.state.received);
            self.advance(taken as i64, observe);
            let after = self.plan.due(self.state.received);
            let own = last.of(&self.state.arena);
            for piece in last.stretches(before..after) {
                let frames = (piece.end - piece.start) as usize;
                for ((ring, start), output) in last.each_plane().zip(output.chunks_mut(last.row_len())) {
                    let values = frames * ring.channels;
                    separate(self.plan.isa, &own[start + ring.at(piece.start)..][..values], output, written);
                }
                written += frames;
            }
        }
        written
    }

    /// Output frames that fall due when `frames` more input frames arrive.
    pub fn frames_out(&self, frames: usize) -> usize {
        (self.plan.due(self.state.received + frames as i64) - self.plan.due(self.state.received)) as usize
    }

    /// Index of the next output frame on the offline grid: `−latency` at the start, where output and input have one
    /// rate.
    pub fn next_frame(&self) -> i64 {
        self.plan.due(self.state.received)
    }

    /// Back to the start of a signal. Latent edits and parameters stay, but no latent is held; what was learned stays, and
    /// so does learning. The silence before the signal meets the statistics of the file.
    pub fn reset(&mut self) {
        self.edits.iter_mut().for_each(LatentEdit::restart);
        self.state.arena.copy_from_slice(&self.plan.initial.arena);
        self.state.progress.copy_from_slice(&self.plan.initial.progress);
        self.state.received = self.plan.initial.received;
        self.wait_for_the_signal();
    }

    /// What the random parts draw from, from the next frame on.
    pub fn set_randomness(&mut self, randomness: Randomness) {
        self.randomness = randomness;
    }

    /// How loud the random parts are, from the next frame on.
    pub fn set_amounts(&mut self, amounts: Amounts) {
        self.amounts = amounts;
    }

    /// The model's edit points, one for each [`crate::graph::Op::LatentEdit`].
    pub fn latent_edits(&mut self) -> &mut [LatentEdit] {
        &mut self.edits
    }

    /// What the model's [`crate::graph::Op::AdaIn`] nodes learn, each from the next frame that it computes on. Frames
    /// before the signal, and those with a value that is no number, are not learned.
    pub fn set_learning(&mut self, learning: Learning) {
        self.adaptations.iter_mut().for_each(|a| a.set_learning(learning));
    }

    /// Puts back what the file holds of the source.
    pub fn forget_source(&mut self) {
        self.adaptations.iter_mut().for_each(Adaptation::forget_source);
    }

    /// Puts back what the file holds of the target.
    pub fn forget_target(&mut self) {
        self.adaptations.iter_mut().for_each(Adaptation::forget_target);
    }

    /// Whether every node knows its source, and its target, learned or from the file; `None` for a model that cannot
    /// learn.
    pub fn knows(&self) -> Option<[bool; 2]> {
        let both = |a: [bool; 2], b: [bool; 2]| [a[0] && b[0], a[1] && b[1]];
        self.adaptations.iter().map(Adaptation::knows).reduce(both)
    }

    /// What was learned. Allocates.
    pub fn learned(&self) -> Learned {
        let nodes = self.adaptations.iter().map(|adaptation| {
            let [source, target] = adaptation.learned().map(Moments::clone);
            LearnedNode { name: self.plan.steps()[adaptation.step].name.clone(), source, target }
        });
        Learned { nodes: nodes.collect() }
    }

    /// What was learned of the source and of the target, node by node in the order of [`Self::learned`].
    pub fn moments(&self) -> impl Iterator<Item = [&Moments; 2]> {
        self.adaptations.iter().map(Adaptation::learned)
    }

    /// Takes over what was learned, from the next frame on, into the nodes of the same names; nodes that `learned` lacks
    /// stay as they are. Does not allocate, where nothing is refused.
    ///
    /// # Errors
    /// When it is none of this model's; nothing has changed then.
    pub fn restore(&mut self, learned: &Learned) -> Result<(), RestoreError> {
        let named = |a: &Adaptation| learned.node(&self.plan.steps()[a.step].name);
        let matches = self.adaptations.iter().filter_map(|a| Some(a.check(named(a)?)));
        if matches.clone().count() == 0 && !learned.nodes.is_empty() {
            return Err(RestoreError::Strange { found: learned.nodes.len(), needed: self.adaptations.len() });
        }
        matches.collect::<Result<(), _>>()?;
        for adaptation in &mut self.adaptations {
            if let Some(node) = learned.node(&self.plan.steps()[adaptation.step].name) {
                adaptation.restore(node);
            }
        }
        Ok(())
    }

    /// What the player holds: one for each name among the model's [`crate::graph::Op::Parameter`]s, at its default first.
    pub fn parameters(&mut self) -> &mut [Held] {
        &mut self.held
    }

    /// The plan that this engine runs.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Times that a recurrent node's state went non-finite and was reset.
    pub fn recurrent_resets(&self) -> u64 {
        self.recurrent_resets
    }

    /// The frames of node `id` that its cache still holds: calls `visit` with each frame's index and values, oldest
    /// first. None for a node that another node's step computes. For inspection, not for audio.
    pub fn visit_frames(&self, id: usize, mut visit: impl FnMut(i64, &[f32])) {
        let Some(step) = self.plan.step_of(id) else { return };
        let ring = self.plan.rings[step];
        let own = ring.of(&self.state.arena);
        let progress = self.state.progress[step];
        let mut values = vec![0.0; ring.channels];
        for frame in progress.partial_end - ring.frames()..progress.end {
            for ((ring, start), value) in ring.each_plane().zip(values.chunks_mut(ring.row_len())) {
                value.copy_from_slice(ring.row(&own[start..], frame));
            }
            visit(frame, &values);
        }
    }

    /// Runs on silence up to the signal, where a step computes frames of its own before that.
    fn wait_for_the_signal(&mut self) {
        let first = self.plan.rings[0];
        while self.state.received < 0 {
            let taken = self.plan.chunk.min(-self.state.received);
            let own = first.of_mut(&mut self.state.arena);
            for (ring, start) in first.each_plane() {
                (0..taken).for_each(|i| ring.row_mut(&mut own[start..], self.state.received + i).fill(0.0));
            }
            self.advance(taken, &mut |_, _| {});
        }
    }

    /// Computes what the timetable says, when `frames` frames have been written to the input's ring.
    fn advance(&mut self, frames: i64, observe: &mut impl FnMut(usize, bool)) {
        let plan = &*self.plan;
        let state = &mut self.state;
        plan.rings[0].reflect(plan.rings[0].of_mut(&mut state.arena), state.received..state.received + frames);
        state.received += frames;
        for prior in self.edits.iter_mut().filter_map(|edit| edit.prior.as_mut()) {
            prior.advance_to(state.received);
        }
        let end_tick = state.received * plan.step_in;
        for id in 1..plan.kernels.len() {
            let from = state.progress[id];
            if !plan.timetable.advance(id, &mut state.progress[id], end_tick) {
                continue;
            }
            let to = state.progress[id];
            let slices = plan.kernels[id].slices();
            let mut edit = self.edits.iter_mut().find(|e| e.step == id);
            let mut adaptation = match self.adaptations.binary_search_by_key(&id, |a| a.step) {
                Ok(at) => Some(&mut self.adaptations[at]),
                Err(_) => None,
            };
            let holds = plan.kernels[id].parameter().and_then(|_| self.held.iter().find(|held| held.reaches(id)));
            let held = holds.map(Held::values);
            observe(id, true);
            // The rest of what is begun, what is whole, and what is begun anew.
            let begun = from.end..from.partial_end;
            let parts = if from.slices > 0 && to.end == from.end {
                [(begun, from.slices..to.slices), (0..0, 0..0), (0..0, 0..0)]
            } else {
                let whole = from.partial_end..to.end;
                [(begun, from.slices..slices), (whole, 0..slices), (to.end..to.partial_end, 0..to.slices)]
            };
            for (frames, slices) in parts {
                if !frames.is_empty() && !slices.is_empty() {
                    let call = Call {
                        frames,
                        slices,
                        scratch: &mut self.scratch,
                        randomness: self.randomness,
                        amounts: self.amounts,
                        edit: edit.as_deref_mut(),
                        adaptation: adaptation.as_deref_mut(),
                        held,
                    };
                    self.recurrent_resets += plan.run(id, &mut state.arena, call);
                }
            }
            observe(id, false);
        }
    }
}
