//! Models that choose codebook entries. Where two entries are equally near, rounding decides, and everything after the
//! choice follows it; so such a model is judged in halves. Before the choice: the vector to be quantized. The choice: the
//! entry must be nearest to the trained model's vector, but for ties within the vector's own tolerance. After it: the
//! trained model goes on from the stream's choices.

use anyhow::Result;
use runnel::graph::{Graph, Op};
use runnel::rewrite::rewrite_graph;
use runnel::stream::StreamOp;
use runnel::{NodeId, Tensor};

use super::check::{Check, tolerance, worst};
use super::locate::{Recording, record};
use crate::offline::OfflineMethod;
use crate::streaming::{Blocks, Streamed};

/// What a quantized model's halves err.
pub(super) struct Halves {
    /// The largest error of the output; of the vector to be quantized, where the output is the choice itself.
    pub(super) error: f32,
    pub(super) error_frame: i64,
    pub(super) tolerance: f32,
    /// Choices that rounding decided.
    pub(super) ties: usize,
    /// Whether the vector and all choices are right.
    pub(super) sound: bool,
}

/// Judges `streamed`. `None` for a model without a quantizer, or one whose signal also goes around it.
///
/// # Errors
/// When no plan can be made.
pub(super) fn judge(check: &Check, streamed: &Streamed) -> Result<Option<Halves>> {
    let is_quantizer = |op: &StreamOp| matches!(op, StreamOp::Quantize { .. });
    let Some(q) = check.stream.nodes().iter().position(|n| is_quantizer(&n.op)) else { return Ok(None) };
    let graph = check.offline.graph();
    let Some(choice) = graph.find(&check.stream.nodes()[q].name) else { return Ok(None) };
    let Op::Quantize { codebooks } = &graph.node(choice).op else { return Ok(None) };
    let (last, vector) = (graph.nodes().len() - 1, graph.node(choice).inputs[0]);
    let after = if choice == last { None } else { Some(part(graph, choice, last)) };
    let (Some(before), false) = (part(graph, 0, vector), matches!(after, Some(None))) else { return Ok(None) };

    let p = check.stream.nodes()[q].inputs[0];
    let recordings = record(check, Blocks::Of(64), |id| id == p || id == q)?;
    let (found, codes) = (&recordings[p], &recordings[q]);
    let frames = found.first().max(codes.first())..found.end().min(codes.end());
    let before = OfflineMethod::new(before.clone(), &rewrite_graph(&before)?);
    let wanted = before.run(check.input, check.randomness, frames.clone());
    let (at, error) = worst(&found.planes(frames.clone()), &wanted);
    let allowed = tolerance(&wanted);

    let codes = codes.planes(frames.clone());
    let mut ties = 0;
    let mut sound = error <= allowed;
    for n in 0..codes[0].len() {
        let vector = wanted.iter().map(|c| f64::from(c[n])).collect();
        let chosen: Vec<_> = codes.iter().map(|c| c[n] as usize).collect();
        match choose(codebooks, vector, &chosen, f64::from(allowed)) {
            Some(count) => ties += count,
            None => sound = false,
        }
    }
    let Some(Some(after)) = after else {
        return Ok(Some(Halves { error, error_frame: frames.start + at as i64, tolerance: allowed, ties, sound }));
    };
    let range = streamed.first_frame..streamed.first_frame + streamed.channels[0].len() as i64;
    let after = OfflineMethod::new(after.clone(), &rewrite_graph(&after)?);
    let wanted = after.resume(&codes, frames.start, check.randomness, range.clone());
    let (at, error) = worst(&streamed.channels, &wanted);
    Ok(Some(Halves { error, error_frame: range.start + at as i64, tolerance: tolerance(&wanted), ties, sound }))
}

/// How many of the entries `chosen` one after another for `vector` are nearest only within rounding; `None` when one
/// is not even that. Each value of the vector may err by `tolerance`.
fn choose(codebooks: &Tensor, mut vector: Vec<f64>, chosen: &[usize], tolerance: f64) -> Option<usize> {
    let [_, entries, width] = codebooks.shape().try_into().ok()?;
    let mut ties = 0;
    for (book, &choice) in chosen.iter().enumerate() {
        let entry = |i: usize| &codebooks.row(book)[i * width..(i + 1) * width];
        let distance = |i: usize| vector.iter().zip(entry(i)).map(|(v, &e)| (v - f64::from(e)).powi(2)).sum::<f64>();
        let nearest = (0..entries).map(distance).fold(f64::INFINITY, f64::min);
        let own = distance(choice.min(entries - 1));
        let slack = (width as f64).sqrt() * tolerance;
        if own.sqrt() > nearest.sqrt() + 2.0 * slack {
            return None;
        }
        ties += usize::from(own > nearest);
        vector = vector.iter().zip(entry(choice.min(entries - 1))).map(|(v, &e)| v - f64::from(e)).collect();
    }
    Some(ties)
}

/// The nodes between `start`, which becomes the input, and `end`. `None` when one of them reads around `start`.
fn part(graph: &Graph, start: NodeId, end: NodeId) -> Option<Graph> {
    let mut needed = vec![false; end + 1];
    needed[end] = true;
    for id in (start + 1..=end).rev().filter(|&id| id > start) {
        if needed[id] {
            graph.node(id).inputs.iter().for_each(|&i| needed[i] = true);
        }
    }
    if needed[..start].contains(&true) {
        return None;
    }
    let mut part = Graph::new(graph.node(start).channels);
    let mut ids = vec![None; end + 1];
    ids[start] = Some(0);
    for id in (start + 1..=end).filter(|&id| needed[id]) {
        let node = graph.node(id);
        let inputs = node.inputs.iter().map(|&i| ids[i]).collect::<Option<Vec<_>>>()?;
        ids[id] = part.push(node.name.clone(), node.op.clone(), &inputs).ok();
    }
    Some(part)
}

impl Recording {
    /// Frames `frames`, one vector per channel; what was not seen is not a number.
    fn planes(&self, frames: std::ops::Range<i64>) -> Vec<Vec<f32>> {
        let value = |c: usize, n: i64| self.value(c, n).unwrap_or(f32::NAN);
        (0..self.channels()).map(|c| frames.clone().map(|n| value(c, n)).collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tie_passes_and_a_wrong_choice_does_not() {
        // Two books of three entries of one value.
        let codebooks = Tensor::new([2, 3, 1], vec![0.0, 1.0, 2.0, -0.25, 0.0, 0.25]);
        assert_eq!(choose(&codebooks, vec![1.2], &[1, 2], 1e-5), Some(0));
        assert_eq!(choose(&codebooks, vec![0.500001], &[0, 2], 1e-5), Some(1));
        assert_eq!(choose(&codebooks, vec![0.6], &[0, 2], 1e-5), None);
        assert_eq!(choose(&codebooks, vec![1.2], &[1, 1], 1e-5), None);
    }
}
