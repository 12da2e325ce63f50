//! A prior at play: it draws the latents that a decoder's hands then move, one frame after another, each from the frames
//! before it.
//!
//! Frame `n` is drawn when the first sample of its time has come. What the network makes of frame `n − 1` is computed
//! piece by piece in between, so that no call carries it whole; neither the pieces nor the partition of the input change
//! a bit. Before the first frame there is nothing, to which the network's caches hold its response; the first frame that
//! the network reads is the one of zero latents.

mod draw;

use std::ops::Range;
use std::sync::Arc;

use draw::Draw;

use crate::kernels::Call;
use crate::plan::{Plan, PlanError, PlanOptions};
use crate::random::Randomness;
use crate::stream::PriorStream;

/// What priors at play share: packed weights, and the state that they start from.
#[derive(Debug)]
pub struct PriorPlan {
    plan: Arc<Plan>,
    resolution: usize,
    latents: usize,
    pieces: Vec<Piece>,
    /// All caches when the network has read its first frame.
    initial: Vec<f32>,
}

/// Some of the work on a frame.
#[derive(Debug)]
struct Piece {
    step: usize,
    slices: Range<usize>,
    /// Share of the frame's work that comes before it.
    from: f32,
}

/// One prior at play.
#[derive(Debug)]
pub struct PriorPlayer {
    /// Whether it plays, from the frame after the next one on; where it does not, it rests, and goes on later from where
    /// it was.
    pub on: bool,
    /// What logits are divided by; 1 as trained, 0 takes the likeliest index and the middle of its step.
    pub temperature: f32,
    /// What indices, and places within their steps, are drawn from; deterministic as a temperature of 0.
    pub randomness: Randomness,
    plan: Arc<PriorPlan>,
    arena: Vec<f32>,
    scratch: Vec<f32>,
    samples_per_frame: i64,
    /// The next frame to be drawn, and whether it will be.
    frame: i64,
    armed: bool,
    /// The frame that the network reads, and the next piece of the work on it.
    read: i64,
    piece: usize,
    /// The last values of each latent as they were drawn, `[frame][latent]`, as many frames as latents.
    drawn: Vec<f32>,
    /// Frames that wait to be played, `[frame][latent]`, and which they are.
    waiting: Vec<f32>,
    waiting_frames: Vec<i64>,
}

/// Parts of equal cost that the work on a frame is cut into, about.
const PIECES: f64 = 64.0;

impl PriorPlan {
    /// Packs the weights of `prior`, and runs its first frame.
    ///
    /// # Errors
    /// When the caches would not fit, or this machine lacks the instruction set of the options.
    pub fn new(prior: &PriorStream, options: &PlanOptions) -> Result<Arc<Self>, PlanError> {
        // Frames come singly, and are written and read as rows.
        let options = PlanOptions { slack_samples: 0, block_samples: 1, ..*options };
        let plan = Plan::with(prior.network(), &options)?;
        let mut prior = Self {
            pieces: pieces(&plan),
            initial: plan.initial.arena.clone(),
            resolution: prior.resolution(),
            latents: prior.latents(),
            plan,
        };
        let (mut arena, mut scratch) = (prior.initial.clone(), vec![0.0; prior.plan.scratch_len]);
        let middle = prior.resolution / 2;
        prior.feed(&mut arena, 0, |_| middle);
        prior.pieces.iter().for_each(|piece| prior.run(piece, &mut arena, &mut scratch, 0));
        prior.initial = arena;
        Ok(Arc::new(prior))
    }

    /// Latents that it makes.
    pub fn latents(&self) -> usize {
        self.latents
    }

    /// Bytes of packed weights, shared by all players.
    pub fn weight_bytes(&self) -> usize {
        self.plan.weight_bytes()
    }

    /// Writes frame `frame` of the network's input: a one for the index of each latent.
    fn feed(&self, arena: &mut [f32], frame: i64, index: impl Fn(usize) -> usize) {
        let ring = self.plan.rings[0];
        let own = ring.of_mut(arena);
        let row = ring.row_mut(own, frame);
        row.fill(0.0);
        (0..self.latents).for_each(|latent| row[latent * self.resolution + index(latent)] = 1.0);
        ring.reflect(own, frame..frame + 1);
    }

    fn run(&self, piece: &Piece, arena: &mut [f32], scratch: &mut [f32], frame: i64) {
        self.plan.run(piece.step, arena, Call::untouched(frame..frame + 1, piece.slices.clone(), scratch));
    }
}

impl PriorPlayer {
    /// A prior at the start of a signal, off, for latents `samples_per_frame` input frames apart, of which up to
    /// `most_waiting` wait to be played.
    pub(crate) fn new(plan: &Arc<PriorPlan>, samples_per_frame: i64, most_waiting: usize) -> Self {
        Self {
            on: false,
            temperature: 1.0,
            randomness: Randomness::Deterministic,
            arena: plan.initial.clone(),
            scratch: vec![0.0; plan.plan.scratch_len],
            samples_per_frame,
            frame: 0,
            armed: false,
            read: 0,
            piece: plan.pieces.len(),
            drawn: vec![0.0; plan.latents * plan.latents],
            waiting: vec![0.0; most_waiting * plan.latents],
            waiting_frames: vec![-1; most_waiting],
            plan: plan.clone(),
        }
    }

    /// Back to the start of a signal.
    pub(crate) fn restart(&mut self) {
        self.arena.copy_from_slice(&self.plan.initial);
        (self.frame, self.armed, self.read, self.piece) = (0, false, 0, self.plan.pieces.len());
        self.drawn.fill(0.0);
        self.waiting_frames.fill(-1);
    }

    /// Does what `received` input frames ask for: draws the frames whose time has begun, and its share of the next.
    pub(crate) fn advance_to(&mut self, received: i64) {
        while received > self.frame * self.samples_per_frame {
            if self.frame == 0 {
                self.armed = self.on;
            }
            if self.armed {
                self.work(f32::INFINITY);
                self.draw();
            }
            self.frame += 1;
            self.armed = self.on;
        }
        if self.armed {
            let begun = received - (self.frame - 1) * self.samples_per_frame;
            self.work(begun as f32 / self.samples_per_frame as f32);
        }
    }

    /// The latents of frame `frame`, unless it was off when that was drawn.
    pub(crate) fn played(&self, frame: i64) -> Option<&[f32]> {
        let slot = usize::try_from(frame).ok()? % self.waiting_frames.len();
        let latents = self.plan.latents;
        (self.waiting_frames[slot] == frame).then(|| &self.waiting[slot * latents..][..latents])
    }

    /// Latents of each frame.
    pub(crate) fn latents(&self) -> usize {
        self.plan.latents
    }

    /// Runs the network up to `share` of its work on the frame that it reads.
    fn work(&mut self, share: f32) {
        while let Some(piece) = self.plan.pieces.get(self.piece).filter(|piece| piece.from < share) {
            self.plan.run(piece, &mut self.arena, &mut self.scratch, self.read);
            self.piece += 1;
        }
    }

    /// Draws the next frame from the logits, and has the network read it.
    fn draw(&mut self) {
        let Self { plan, frame, read, .. } = self;
        let (latents, resolution) = (plan.latents, plan.resolution);
        let draw = Draw { temperature: self.temperature, randomness: self.randomness, frame: *frame };
        let output = plan.plan.rings[plan.plan.rings.len() - 1];
        let row = *read as usize % latents * latents;
        let logits = output.row(output.of(&self.arena), *read);
        // Until the network reads them, the indices lie where the frame will wait.
        let slot = *frame as usize % self.waiting_frames.len();
        let waiting = &mut self.waiting[slot * latents..][..latents];
        for latent in 0..latents {
            let index = draw.index(&logits[latent * resolution..][..resolution], latent);
            waiting[latent] = index as f32;
            self.drawn[row + latent] = draw.value(index, resolution, latent);
        }
        plan.feed(&mut self.arena, *read + 1, |latent| waiting[latent] as usize);
        // Latent `c` of a frame was drawn `latents − 1 − c` frames ago.
        for (latent, z) in waiting.iter_mut().enumerate() {
            *z = self.drawn[(*read as usize + 1 + latent) % latents * latents + latent];
        }
        self.waiting_frames[slot] = *frame;
        *read += 1;
        self.piece = 0;
    }
}

/// The steps of `plan`, in order, cut where they are dear.
fn pieces(plan: &Plan) -> Vec<Piece> {
    let total: f64 = plan.steps().iter().map(|step| step.cost_us_per_period).sum();
    let mut pieces = Vec::new();
    let mut before = 0.0;
    for (step, facts) in plan.steps().iter().enumerate().skip(1) {
        let (cost, slices) = (facts.cost_us_per_period, plan.kernels[step].slices());
        let parts = ((cost / total * PIECES).ceil() as usize).clamp(1, slices);
        for part in 0..parts {
            let slices = slices * part / parts..slices * (part + 1) / parts;
            pieces.push(Piece { step, slices, from: (before / total) as f32 });
            before += cost / parts as f64;
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Conv1d, Graph, Op};
    use crate::rewrite::rewrite_graph;
    use crate::tensor::Tensor;

    /// Convolutions of 256 channels.
    fn player(layers: usize, samples_per_frame: i64) -> PriorPlayer {
        let values = (0..256 * 256 * 2).map(|i| ((i * 31 % 61) as f32 - 30.0) / 300.0).collect();
        let weight = Arc::new(Tensor::new([256, 256, 2], values));
        let mut graph = Graph::new(256);
        for layer in 0..layers {
            let weight = weight.clone();
            let conv = Conv1d { weight, bias: None, stride: 1, dilation: 1, left_padding: 1, groups: 1 };
            graph.push(layer.to_string(), Op::Conv1d(conv), &[layer]).unwrap();
        }
        let prior = PriorStream::new(rewrite_graph(&graph).unwrap(), 32).unwrap();
        let plan = PriorPlan::new(&prior, &PlanOptions::default()).unwrap();
        let mut player = PriorPlayer::new(&plan, samples_per_frame, 3);
        player.on = true;
        player
    }

    #[test]
    fn no_call_carries_much_of_a_frame() {
        let mut player = player(6, 2048);
        let pieces = player.plan.pieces.len();
        let mut done = 0;
        for call in 1..200 {
            let before = (player.read as usize, player.piece);
            player.advance_to(call * 64);
            let frames = player.read as usize - before.0;
            let now = frames * pieces + player.piece - before.1;
            assert!(now <= pieces / 16, "{now} of {pieces} pieces in call {call}");
            done += now;
        }
        assert!(done > 5 * pieces && pieces > 40, "{done} of {pieces} pieces");
    }

    #[test]
    fn frames_wait_for_as_long_as_they_are_asked_to() {
        let mut player = player(1, 10);
        player.advance_to(0);
        assert!(player.played(0).is_none(), "its time has not begun");
        player.advance_to(21);
        for frame in -2..5 {
            assert_eq!(player.played(frame).is_some(), (0..3).contains(&frame), "{frame}");
        }
        player.advance_to(31);
        assert!(player.played(0).is_none() && player.played(3).is_some());
        player.on = false;
        player.advance_to(1000);
        assert_eq!(player.played(4).map(<[f32]>::len), Some(8), "what was begun is finished");
        assert!(player.played(5).is_none() && player.played(98).is_none());
        player.on = true;
        player.advance_to(1021);
        assert!(player.played(100).is_none() && player.played(101).is_some());
        player.restart();
        assert!(player.played(101).is_none() && player.played(0).is_none());
    }
}
