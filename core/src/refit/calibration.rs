//! The sounds that a model is refitted on, checked and cut into pieces: some to solve on, some to choose on, a fifth to
//! report on.

use crate::graph::Graph;
use crate::rewrite::rewrite_graph;
use crate::stream::StreamGraph;

use super::RefitError;
use super::signals::Signal;

/// One sound, at the model's sampling rate.
#[derive(Clone, Debug)]
pub struct Clip {
    /// What messages call it.
    pub name: String,
    /// As many as it has, of one length.
    pub channels: Vec<Vec<f32>>,
}

/// One piece: what it is for, and its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) purpose: Purpose,
    pub(super) samples: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Its rows are in the equations.
    Solve,
    /// Ridges and bounds are chosen by it.
    Judge,
}

/// Pieces of calibration audio.
#[derive(Debug)]
pub(super) struct Calibration {
    /// Solved and chosen on, with what each is for. The last is silence, which most sounds hold too little of for their
    /// share of the equations: the refitted model shall be as quiet in it as the original.
    pub(super) pieces: Vec<Signal>,
    pub(super) parts: Vec<Part>,
    /// Reported on, and never seen before that.
    pub(super) held_out: Vec<Signal>,
    /// Samples at either end of a piece that no equation reads.
    pub(super) margins: (u64, u64),
    /// Samples of silence that a trial takes.
    short_silence: usize,
}

/// Longest piece, in samples; fewest pieces.
const PIECE_SAMPLES: usize = 1 << 20;
const FEWEST_PIECES: usize = 10;
/// Bytes that the signals of both networks may take at once.
const MOST_BYTES: f64 = 3e9;
/// Power below which sound counts as silence: −80 dB of full scale.
const SILENCE: f64 = 1e-8;

impl Calibration {
    /// `clips`, one after another, for refitting `graph`. No more is used than memory holds.
    ///
    /// # Errors
    /// When they are silent, too short, or hold what is no number.
    pub(super) fn new(clips: &[Clip], graph: &Graph) -> Result<Self, RefitError> {
        let stream = rewrite_graph(graph)?;
        let channels = graph.input().channels;
        let mut sound = vec![vec![]; channels];
        for clip in clips {
            if let Some(at) = clip.channels.iter().find_map(|c| c.iter().position(|v| !v.is_finite())) {
                return Err(RefitError::NotFinite { clip: clip.name.clone(), sample: at });
            }
            for (c, sound) in sound.iter_mut().enumerate() {
                let count = clip.channels.len().max(1);
                sound.extend(clip.channels.get(c % count).into_iter().flatten());
            }
        }
        let samples = sound[0].len();
        let margins = stream.edge_samples();
        let least = least_samples(&stream);
        if samples < least {
            return Err(RefitError::TooShort { samples, least });
        }
        let power = sound.iter().flatten().map(|&v| f64::from(v).powi(2)).sum::<f64>();
        if power / (samples * channels) as f64 <= SILENCE {
            return Err(RefitError::Silent { samples });
        }

        let Cut { length, count, used } = Cut::of(samples, &stream);
        let piece = |i: usize| {
            // Evenly over all there is.
            let start = i * count / used * length;
            Signal { channels: sound.iter().map(|channel| channel[start..start + length].to_vec()).collect() }
        };
        let short_silence =
            (2 * (margins.0 + margins.1) as usize).max(1).next_multiple_of(stream.hop_frames() as usize).min(length);
        let mut own = Self { pieces: vec![], parts: vec![], held_out: vec![], margins, short_silence };
        for i in 0..used {
            match i % 5 {
                4 => own.held_out.push(piece(i)),
                kind => {
                    own.pieces.push(piece(i));
                    let purpose = if kind == 2 { Purpose::Judge } else { Purpose::Solve };
                    own.parts.push(Part { purpose, samples: length });
                }
            }
        }
        own.pieces.push(Signal { channels: vec![vec![0.0; length]; channels] });
        own.parts.push(Part { purpose: Purpose::Solve, samples: length });
        Ok(own)
    }

    /// As many of the pieces to solve and to judge on, evenly over all, and some of the silence.
    pub(super) fn fewer(&self, (solve, judge): (usize, usize)) -> Self {
        let of = |purpose: Purpose, most: usize| {
            let sounding = 0..self.pieces.len() - 1;
            let all: Vec<usize> = sounding.filter(|&piece| self.parts[piece].purpose == purpose).collect();
            (0..all.len().min(most)).map(move |i| all[i * all.len() / all.len().min(most)]).collect::<Vec<_>>()
        };
        let mut taken = [of(Purpose::Solve, solve), of(Purpose::Judge, judge)].concat();
        taken.push(self.pieces.len() - 1);
        let mut pieces: Vec<Signal> = taken.iter().map(|&piece| self.pieces[piece].clone()).collect();
        let mut parts: Vec<Part> = taken.iter().map(|&piece| self.parts[piece]).collect();
        if let (Some(silence), Some(part)) = (pieces.last_mut(), parts.last_mut()) {
            part.samples = self.short_silence;
            silence.channels.iter_mut().for_each(|channel| channel.truncate(self.short_silence));
        }
        Self { pieces, parts, held_out: vec![], ..*self }
    }

    /// The pieces that are sound.
    pub(super) fn sounding(&self) -> &[Signal] {
        &self.pieces[..self.pieces.len() - 1]
    }

    /// Samples solved and chosen on, and samples reported on.
    pub(super) fn samples(&self) -> (u64, u64) {
        let count = |pieces: &[Signal]| pieces.iter().map(|piece| piece.frames() as u64).sum();
        (count(self.sounding()), count(&self.held_out))
    }
}

/// How so many samples are cut.
pub(super) struct Cut {
    /// Samples of a piece.
    pub(super) length: usize,
    /// Pieces that there are.
    count: usize,
    /// Pieces that are used.
    pub(super) used: usize,
}

impl Cut {
    pub(super) fn of(samples: usize, stream: &StreamGraph) -> Self {
        let hop = stream.hop_frames() as usize;
        let length = ((samples / FEWEST_PIECES).min(PIECE_SAMPLES) / hop * hop).max(hop);
        let count = samples / length;
        let most = (MOST_BYTES / live_bytes_per_sample(stream) / length as f64) as usize;
        Self { length, count, used: count.min(most.max(FEWEST_PIECES)) }
    }
}

/// Fewest samples that will do.
pub(super) fn least_samples(stream: &StreamGraph) -> usize {
    let (start, end) = stream.edge_samples();
    FEWEST_PIECES * (3 * (start + end) as usize / 2 + 4096).next_multiple_of(stream.hop_frames() as usize)
}

/// Bytes of the signals that wait for a reader at once, at most, in both networks, for each sample.
pub(super) fn live_bytes_per_sample(stream: &StreamGraph) -> f64 {
    let nodes = stream.nodes();
    let mut last: Vec<usize> = (0..nodes.len()).collect();
    nodes.iter().enumerate().for_each(|(id, node)| node.inputs.iter().for_each(|&i| last[i] = id));
    let bytes = |id: usize| {
        let rate = nodes[id].rate;
        (8 * nodes[id].channels) as f64 * rate.numerator() as f64 / rate.denominator() as f64
    };
    let live = |at: usize| (0..=at).filter(|&id| last[id] >= at).map(bytes).sum::<f64>();
    (0..nodes.len()).map(live).fold(1.0, f64::max)
}
