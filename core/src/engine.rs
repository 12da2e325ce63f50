//! Engine: runs a plan. `process` cannot fail, allocates nothing, and gives the same bits for every partition of its
//! input: each frame of each node is a pure function of the frames it reads.

use std::sync::Arc;

use crate::plan::{Plan, State};
use crate::random::Randomness;

/// One running stream. Cheap to make from a shared plan; may move between threads.
#[derive(Debug)]
pub struct Engine {
    plan: Arc<Plan>,
    state: State,
    /// The ends that the sweep asks for; scratch of `process`.
    targets: Vec<i64>,
    scratch: Vec<f32>,
    randomness: Randomness,
    edits: Vec<LatentEdit>,
}

/// What a player's hands do to the latents: `scale · z + bias`, per latent.
#[derive(Clone, Debug, PartialEq)]
pub struct LatentEdit {
    /// Gain of each latent; 1 leaves it.
    pub scale: Vec<f32>,
    /// Added to each latent after the gain; 0 leaves it.
    pub bias: Vec<f32>,
    node: usize,
}

impl Engine {
    /// An engine at the start of a signal: everything before it is silence.
    pub fn new(plan: Arc<Plan>, randomness: Randomness) -> Self {
        let edits = plan.kernels.iter().enumerate().filter(|(_, k)| k.is_latent_edit()).map(|(node, _)| {
            let channels = plan.rings[node].channels;
            LatentEdit { scale: vec![1.0; channels], bias: vec![0.0; channels], node }
        });
        Self {
            state: plan.initial.clone(),
            targets: vec![0; plan.kernels.len()],
            scratch: vec![0.0; plan.scratch_len],
            randomness,
            edits: edits.collect(),
            plan,
        }
    }

    /// Takes the next block of input and writes the output frames that fall due, as many as [`Self::frames_out`] says;
    /// for a stream whose output has the rate of its input, as many as came in. Returns that number.
    ///
    /// `input` and `output` hold one slice per channel.
    ///
    /// # Panics
    /// When the number of channels is not the model's, channels differ in length, or the output is too short.
    pub fn process(&mut self, input: &[&[f32]], output: &mut [&mut [f32]]) -> usize {
        let frames = input.first().map_or(0, |c| c.len());
        let (first, last) = (self.plan.rings[0], self.plan.rings[self.plan.rings.len() - 1]);
        let due = self.frames_out(frames);
        assert_eq!(input.len(), first.channels, "input channels");
        assert_eq!(output.len(), last.channels, "output channels");
        assert!(input.iter().all(|c| c.len() == frames), "input channels of one length");
        assert!(output.iter().all(|c| c.len() >= due), "output of at least {due} frames");

        let chunk = self.plan.schedule.chunk as usize;
        let mut written = 0;
        for at in (0..frames).step_by(chunk) {
            let taken = chunk.min(frames - at);
            for i in 0..taken {
                let row = first.row_mut(&mut self.state.arena, self.state.received + i as i64);
                input.iter().zip(row).for_each(|(channel, value)| *value = channel[at + i]);
            }
            let before = self.plan.schedule.due(self.state.received);
            self.advance(taken as i64);
            let after = self.plan.schedule.due(self.state.received);
            let ring = last.of(&self.state.arena);
            for frame in before..after {
                let row = last.row(ring, frame);
                output.iter_mut().zip(row).for_each(|(channel, value)| channel[written] = *value);
                written += 1;
            }
        }
        written
    }

    /// Output frames that fall due when `frames` more input frames arrive.
    pub fn frames_out(&self, frames: usize) -> usize {
        let schedule = &self.plan.schedule;
        (schedule.due(self.state.received + frames as i64) - schedule.due(self.state.received)) as usize
    }

    /// Index of the next output frame on the offline grid: `−latency` at the start, where output and input have one
    /// rate.
    pub fn next_frame(&self) -> i64 {
        self.plan.schedule.due(self.state.received)
    }

    /// Back to the start of a signal. Latent edits stay.
    pub fn reset(&mut self) {
        self.state.arena.copy_from_slice(&self.plan.initial.arena);
        self.state.ends.copy_from_slice(&self.plan.initial.ends);
        self.state.received = self.plan.initial.received;
    }

    /// What the random parts draw from, from the next frame on.
    pub fn set_randomness(&mut self, randomness: Randomness) {
        self.randomness = randomness;
    }

    /// The model's edit points, one for each [`crate::graph::Op::LatentEdit`].
    pub fn latent_edits(&mut self) -> &mut [LatentEdit] {
        &mut self.edits
    }

    /// The plan that this engine runs.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// The frames of node `id` that its cache still holds: calls `visit` with each frame's index and values, oldest
    /// first. For inspection, not for audio.
    pub fn visit_frames(&self, id: usize, mut visit: impl FnMut(i64, &[f32])) {
        let ring = self.plan.rings[id];
        let own = ring.of(&self.state.arena);
        let end = self.state.ends[id];
        (end - ring.frames()..end).for_each(|frame| visit(frame, ring.row(own, frame)));
    }

    /// Runs on silence until the signal starts, and gives the state there.
    pub(crate) fn primed(mut self) -> State {
        let first = self.plan.rings[0];
        while self.state.received < 0 {
            let taken = self.plan.schedule.chunk.min(-self.state.received);
            for i in 0..taken {
                first.row_mut(&mut self.state.arena, self.state.received + i).fill(0.0);
            }
            self.advance(taken);
        }
        self.state
    }

    /// Computes what falls due when `frames` frames have been written to the input's ring.
    fn advance(&mut self, frames: i64) {
        let plan = &*self.plan;
        self.state.received += frames;
        plan.schedule.sweep(self.state.received, &mut self.targets);
        self.state.ends[0] = self.targets[0];
        for id in 1..plan.kernels.len() {
            let (from, to) = (self.state.ends[id], self.targets[id]);
            let edit = self.edits.iter().find(|e| e.node == id);
            plan.run(id, from..to, &mut self.state.arena, &mut self.scratch, self.randomness, edit);
            self.state.ends[id] = to;
        }
    }
}
