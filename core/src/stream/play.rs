//! A decoder that a player's hands drive: audio only keeps its time.

use std::sync::Arc;

use super::splice::{behind, samples_per_latent_frame};
use super::{CachedConv, ConvKind, StreamError, StreamGraph, StreamModel, StreamOp};
use crate::tensor::Tensor;

impl StreamModel {
    /// The decoder behind an edit point whose latents are all zero, at the rate that the decoder gives them: as many
    /// samples leave as enter, and what enters is not heard. `None` for a model without latents.
    ///
    /// # Errors
    /// When the decoder's latents have no whole number of samples each.
    pub fn player(&self) -> Option<Result<StreamGraph, StreamError>> {
        Some(player(&self.latent.as_ref()?.decode, self.forward.input().channels))
    }
}

fn player(decode: &StreamGraph, channels: usize) -> Result<StreamGraph, StreamError> {
    let (latents, rate) = (decode.input(), decode.output().rate);
    let stride = samples_per_latent_frame(decode, rate.numerator(), rate.denominator())?;
    // No weight but zero: it reads nothing, and its frames come with the latents' pace.
    let nothing = CachedConv {
        kind: ConvKind::Strided { stride },
        weight: Arc::new(Tensor::new([latents.channels, channels, 1], vec![0.0; latents.channels * channels])),
        bias: None,
        dilation: 1,
        left: 0,
        groups: 1,
    };
    let hands = vec![
        ("input".into(), StreamOp::Input { channels }, vec![]),
        ("pace".into(), StreamOp::Conv(nothing), vec![0]),
        ("latents".into(), StreamOp::LatentEdit, vec![1]),
    ];
    behind(hands, decode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Graph, Op, Pointwise};
    use crate::model::{Info, Provenance};
    use crate::stream::LatentStreams;
    use crate::{Engine, Plan, PlanOptions, Randomness, rewrite};

    #[test]
    fn playing_a_bias_is_decoding_it() {
        let weight = |shape: [usize; 3]| {
            let len = shape.iter().product::<usize>();
            Arc::new(Tensor::new(shape, (0..len).map(|i| ((i * 37 % 19) as f32 - 9.0) / 9.0).collect()))
        };
        let conv = |shape, left_padding| {
            Op::Conv1d(crate::graph::Conv1d {
                weight: weight(shape),
                bias: Some(Arc::new(Tensor::new([shape[0]], vec![0.25; shape[0]]))),
                stride: 1,
                dilation: 1,
                left_padding,
                groups: 1,
            })
        };
        let mut graph = Graph::new(3);
        let up = Op::ConvTranspose1d(crate::graph::ConvTranspose1d {
            weight: weight([3, 4, 8]),
            bias: None,
            stride: 4,
            left_trim: 2,
            groups: 1,
        });
        let up = graph.push("up", up, &[0]).unwrap();
        let bent = graph.push("bent", Op::Pointwise(Pointwise::Tanh), &[up]).unwrap();
        graph.push("out", conv([1, 4, 3], 1), &[bent]).unwrap();
        let decode = rewrite::rewrite_graph(&graph).unwrap();
        let mut through = Graph::new(1);
        through.push("through", conv([1, 1, 1], 0), &[0]).unwrap();
        let model = StreamModel {
            forward: rewrite::rewrite_graph(&through).unwrap(),
            latent: Some(LatentStreams { encode: decode.clone(), decode: decode.clone() }),
            prior: None,
            info: Info {
                name: String::new(),
                description: String::new(),
                sampling_rate: 48_000,
                latent_names: vec![],
                levels: crate::Levels::default(),
                refit: None,
                provenance: Provenance::default(),
            },
        };
        let played = model.player().unwrap().unwrap();

        let bias = [0.5, -1.0, 2.0];
        for slack_samples in [0, 2] {
            let plan = Plan::with(&played, &PlanOptions { slack_samples, ..PlanOptions::default() }).unwrap();
            let mut engine = Engine::new(plan.clone(), Randomness::Deterministic);
            engine.latent_edits()[0].bias.copy_from_slice(&bias);
            let mut heard = vec![0.0; 400];
            engine.process(&[&[1.0; 400]], &mut [&mut heard]);

            let plan = Plan::new(&decode).unwrap();
            let mut engine = Engine::new(plan, Randomness::Deterministic);
            let mut decoded = vec![0.0; 400];
            let latents = bias.map(|b| [b; 100]);
            let first = engine.next_frame();
            engine.process(&[&latents[0], &latents[1], &latents[2]], &mut [&mut decoded]);
            // Both have come to rest: every sample of a latent frame repeats.
            assert!(first <= 0);
            let same = |a: &[f32], b: &[f32]| (0..4).any(|by| a[200..240] == b[200 + by..240 + by]);
            assert!(same(&heard, &decoded), "{:?}\n{:?}", &heard[200..210], &decoded[200..210]);
        }
    }
}
