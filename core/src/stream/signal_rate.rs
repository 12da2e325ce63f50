//! The halves of an autoencoder with their latents at the rate of the audio, as patching languages carry them.

use std::sync::Arc;

use super::splice::{behind, nodes_of, samples_per_latent_frame};
use super::{CachedConv, ConvKind, StreamError, StreamGraph, StreamModel, StreamOp};
use crate::tensor::Tensor;
use crate::timing::Rate;

impl StreamModel {
    /// The encoder, each latent frame held for the samples that it stands for. `None` for a model without latents.
    ///
    /// # Errors
    /// When latent frames have no whole number of samples each.
    pub fn held_encoder(&self) -> Option<Result<StreamGraph, StreamError>> {
        Some(held_encoder(&self.latent.as_ref()?.encode))
    }

    /// The decoder, behind a signal of latents of which the last sample in each latent frame's time is taken. `None`
    /// for a model without latents.
    ///
    /// # Errors
    /// As [`Self::held_encoder`].
    pub fn sampled_decoder(&self) -> Option<Result<StreamGraph, StreamError>> {
        Some(sampled_decoder(&self.latent.as_ref()?.decode))
    }
}

fn held_encoder(encode: &StreamGraph) -> Result<StreamGraph, StreamError> {
    let rate = encode.output().rate;
    let factor = samples_per_latent_frame(encode, rate.denominator(), rate.numerator())?;
    let mut nodes = nodes_of(encode);
    if factor > 1 {
        let last = nodes.len() - 1;
        nodes.push(("held".into(), StreamOp::Repeat { factor }, vec![last]));
    }
    StreamGraph::new(nodes)
}

fn sampled_decoder(decode: &StreamGraph) -> Result<StreamGraph, StreamError> {
    let rate: Rate = decode.output().rate;
    let stride = samples_per_latent_frame(decode, rate.numerator(), rate.denominator())?;
    let latents = decode.input().channels;
    let identity = (0..latents * latents).map(|i| f32::from(u8::from(i % (latents + 1) == 0))).collect();
    let sample = CachedConv {
        kind: ConvKind::Strided { stride },
        weight: Arc::new(Tensor::new([latents, latents, 1], identity)),
        bias: None,
        dilation: 1,
        left: 1 - stride as i64,
        groups: 1,
    };
    let sampled = vec![
        ("input".into(), StreamOp::Input { channels: latents }, vec![]),
        ("sampled".into(), StreamOp::Conv(sample), vec![0]),
    ];
    behind(sampled, decode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Conv1d, ConvTranspose1d, Graph, Op};
    use crate::model::{Info, Levels, Provenance};
    use crate::stream::LatentStreams;
    use crate::{Engine, Plan, Randomness, rewrite};

    /// Three latents every four samples, and back.
    fn autoencoder() -> StreamModel {
        let weight = |shape: [usize; 3]| {
            let len = shape.iter().product::<usize>();
            Arc::new(Tensor::new(shape, (0..len).map(|i| ((i * 37 % 19) as f32 - 9.0) / 9.0).collect()))
        };
        let down = Conv1d { weight: weight([3, 1, 9]), bias: None, stride: 4, dilation: 1, left_padding: 2, groups: 1 };
        let up = ConvTranspose1d { weight: weight([3, 1, 8]), bias: None, stride: 4, left_trim: 2, groups: 1 };
        let stream = |channels, op| {
            let mut graph = Graph::new(channels);
            graph.push("only", op, &[0]).unwrap();
            rewrite::rewrite_graph(&graph).unwrap()
        };
        let mut both = Graph::new(1);
        both.push("down", Op::Conv1d(down.clone()), &[0]).unwrap();
        both.push("up", Op::ConvTranspose1d(up.clone()), &[1]).unwrap();
        StreamModel {
            forward: rewrite::rewrite_graph(&both).unwrap(),
            latent: Some(LatentStreams {
                encode: stream(1, Op::Conv1d(down)),
                decode: stream(3, Op::ConvTranspose1d(up)),
            }),
            prior: None,
            info: Info {
                name: String::new(),
                description: String::new(),
                sampling_rate: 48_000,
                latent_names: vec![],
                levels: Levels::default(),
                refit: None,
                provenance: Provenance::default(),
            },
        }
    }

    fn run(stream: &StreamGraph, input: &[Vec<f32>]) -> Vec<Vec<f32>> {
        let mut engine = Engine::new(Plan::new(stream).unwrap(), Randomness::Deterministic);
        let mut output = vec![vec![0.0; input[0].len()]; stream.output().channels];
        let input: Vec<&[f32]> = input.iter().map(|c| &c[..]).collect();
        engine.process(&input, &mut output.iter_mut().map(|c| &mut c[..]).collect::<Vec<_>>());
        output
    }

    #[test]
    fn what_is_held_and_sampled_is_what_the_model_does_some_latent_frames_later() {
        let model = autoencoder();
        let (encode, decode) = (model.held_encoder().unwrap().unwrap(), model.sampled_decoder().unwrap().unwrap());
        assert_eq!((encode.output().rate, decode.output().rate), (Rate::UNIT, Rate::UNIT));
        let signal: Vec<f32> = (0..200).map(|i| ((i * 97 % 31) as f32 - 15.0) / 15.0).collect();
        let latents = run(&encode, std::slice::from_ref(&signal));
        let first = encode.latency_samples() as usize;
        for held in latents[0][first..].chunks_exact(4) {
            assert!(held.iter().all(|z| *z == held[0]), "{held:?}");
        }
        let whole = run(&model.forward, &[signal]);
        let chained = run(&decode, &latents);
        // A cell's last sample already holds what came within the cell: the encoder's latency counts in whole latent
        // frames, and the wait for that sample is in the decoder's.
        let later = encode.latency_samples() / 4 * 4 + decode.latency_samples() - model.forward.latency_samples();
        let later = later as usize;
        assert_eq!(chained[0][later..], whole[0][..200 - later]);
    }
}
