//! Which cuts serve best together. Alone, each has a price; in a chain, errors meet: a cut that costs little by itself may
//! cost much among others. So each is taken back in turn, and where what replaces it sounds nearer, it stays so.

use crate::graph::{Graph, NodeId};
use crate::rewrite::rewrite_graph;

use super::budget::{Bounds, choose, with_ops};
use super::calibration::Calibration;
use super::chain::{layers, ops};
use super::fit::Effort;
use super::probe::{Offer, Price};
use super::{Progress, RefitError};

/// For the layers of a trial.
const BRISK: Effort = Effort { ridges: &[1e-4, 1e-3, 1e-2], most_unknowns: 1024, rows_per_unknown: 16 };
/// Pieces to solve on in a trial, and to judge on.
const TRIAL_PIECES: (usize, usize) = (3, 1);
/// Multiply-adds that all trials may take; where a trial for each layer takes more, there is none.
const MOST_MACS: f64 = 1e12;
/// Most trials.
const MOST_TRIALS: usize = 24;
/// What a swap must gain of the price.
const LEAST_GAIN: f64 = 0.01;

/// The bounds that reach `asked` samples and cost least in a chain, as far as `price` can be asked.
///
/// # Errors
/// When all offers together do not reach it.
pub(super) fn search(
    graph: &Graph,
    offers: &[Offer],
    calibration: &Calibration,
    price: &Price,
    asked: u64,
    progress: &mut dyn FnMut(Progress),
) -> Result<Bounds, RefitError> {
    let mut best = choose(graph, offers, asked)?;
    let trial = calibration.fewer(TRIAL_PIECES);
    let stream = rewrite_graph(graph)?;
    let samples: usize = trial.parts.iter().map(|part| part.samples).sum();
    let most = (MOST_MACS / (2.0 * stream.all_macs_per_sample() * samples as f64).max(1.0)) as usize;
    if best.is_empty() || most < best.len().min(MOST_TRIALS) {
        return Ok(best);
    }
    let most = most.min(MOST_TRIALS) as u64;
    // Told before each layer, so that whoever wants to end this need not wait for a whole trial.
    let mut cost = |bounds: &Bounds, tries: u64| -> Result<f64, RefitError> {
        let mut within = |_| progress(Progress { stage: "Trying swaps", done: tries, total: most });
        let fits = layers(graph, bounds, &trial, &BRISK, &mut within)?;
        price.of(&with_ops(graph, &ops(&fits))?)
    };
    let mut least = cost(&best, 0)?;
    let mut left: Vec<Offer> = offers.to_vec();
    let (mut asked_of, mut tries, mut unchanged) = (vec![best.clone()], 1, 0);
    let saved = |id: NodeId, bound: i64| {
        offers.iter().find(|offer| (offer.node, offer.bound) == (id, bound)).map_or(0, |offer| offer.saved)
    };
    // Those that save least are replaced most easily.
    let mut turns: Vec<NodeId> = best.keys().copied().collect();
    turns.sort_by_key(|&id| saved(id, best[&id]));
    let mut turn = 0;
    while unchanged < turns.len() && tries < most {
        let id = turns[turn % turns.len()];
        (turn, unchanged) = (turn + 1, unchanged + 1);
        let Some(&bound) = best.get(&id) else { continue };
        for milder in [false, true] {
            let stays = |offer: &&Offer| offer.node != id || (milder && offer.bound > bound);
            let fewer: Vec<Offer> = left.iter().filter(stays).cloned().collect();
            let Ok(swapped) = choose(graph, &fewer, asked) else { continue };
            if asked_of.contains(&swapped) || tries >= most {
                continue;
            }
            let now = cost(&swapped, tries)?;
            tries += 1;
            asked_of.push(swapped.clone());
            if now < least * (1.0 - LEAST_GAIN) {
                (least, best, left, unchanged) = (now, swapped, fewer, 0);
                best.keys().for_each(|id| {
                    if !turns.contains(id) {
                        turns.push(*id);
                    }
                });
                break;
            }
        }
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::graph::{Conv1d, Op};
    use crate::random::Randomness;
    use crate::refit::Clip;
    use crate::tensor::Tensor;

    #[test]
    fn a_cut_that_is_dearer_than_its_price_is_replaced() {
        let conv = |taps: [f32; 3]| {
            let weight = Arc::new(Tensor::new([1, 1, 3], taps.to_vec()));
            Op::Conv1d(Conv1d { weight, bias: None, stride: 1, dilation: 1, left_padding: 1, groups: 1 })
        };
        let mut graph = Graph::new(1);
        let needed = graph.push("needed", conv([0.1, 0.2, 1.0]), &[0]).expect("a node");
        let idle = graph.push("idle", conv([0.1, 1.0, 0.001]), &[needed]).expect("a node");
        let noise = (0..150_000).map(|n| 0.5 * Randomness::Seeded(9).uniform(0, n, 0)).collect();
        let clip = Clip { name: "noise".into(), channels: vec![noise] };
        let calibration = Calibration::new(&[clip], &graph).expect("pieces");
        let price = Price::new(&graph, &calibration, false).expect("a price");
        let offer = |node: NodeId, cost: f64| Offer { node, bound: 0, saved: 1, cost };
        let offers = [offer(needed, 0.0), offer(idle, 1.0)];
        assert_eq!(choose(&graph, &offers, 1).expect("bounds"), [(needed, 0)].into());
        let found = search(&graph, &offers, &calibration, &price, 1, &mut |_| ()).expect("bounds");
        assert_eq!(found, [(idle, 0)].into());
    }
}
