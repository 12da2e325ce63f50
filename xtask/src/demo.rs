//! The model that `render` plays when it is given none.

use std::f64::consts::PI;
use std::sync::Arc;

use anyhow::{Context, Result};
use runnel::graph::{Conv1d, ConvTranspose1d, Graph, Op};
use runnel::model::{Info, Latent, Model, Provenance};
use runnel::stream::StreamModel;
use runnel::tensor::Tensor;

use crate::model::Opened;

/// The demo model.
///
/// # Errors
/// When the embedded file is damaged.
pub(crate) fn demo_model() -> Result<StreamModel> {
    runnel::rewrite::rewrite(&lapped_transform().context("the demo model")?).context("the demo model")
}

/// The demo model, as [`crate::model::open`] opens others.
///
/// # Errors
/// As [`demo_model`].
pub(crate) fn opened() -> Result<Opened> {
    Ok(Opened { streams: demo_model()?, trained: None })
}

/// A lapped cosine transform and its inverse (Malvar, *Lapped Transforms for Efficient Transform/Subband Coding*,
/// 1990) as an autoencoder: it gives back what it is given.
fn lapped_transform() -> Result<Model, runnel::GraphError> {
    const BANDS: usize = 16;
    const SIZE: usize = 2 * BANDS;
    let basis: Vec<f32> = (0..BANDS * SIZE)
        .map(|i| {
            let (band, tap) = ((i / SIZE) as f64 + 0.5, (i % SIZE) as f64 + 0.5);
            let cosine = (PI / BANDS as f64 * (tap + BANDS as f64 / 2.0) * band).cos();
            ((2.0 / BANDS as f64).sqrt() * (PI * tap / SIZE as f64).sin() * cosine) as f32
        })
        .collect();
    let basis = Arc::new(Tensor::new([BANDS, 1, SIZE], basis));
    let mut encode = Graph::new(1);
    let analysis = Conv1d {
        weight: basis.clone(),
        bias: None,
        stride: BANDS,
        dilation: 1,
        left_padding: BANDS as i64 / 2,
        groups: 1,
    };
    encode.push("encoder.transform", Op::Conv1d(analysis), &[0])?;
    let mut decode = Graph::new(BANDS);
    let synthesis = ConvTranspose1d { weight: basis, bias: None, stride: BANDS, left_trim: BANDS / 2, groups: 1 };
    decode.push("decoder.transform", Op::ConvTranspose1d(synthesis), &[0])?;
    Ok(Model {
        forward: encode.then("latents", &decode)?,
        latent: Some(Latent { encode, decode }),
        info: Info {
            name: "demo".into(),
            description: format!("lapped transform of {BANDS} bands, mono, 44100 Hz"),
            sampling_rate: 44_100,
            latent_names: (0..BANDS).map(|i| format!("band {i}")).collect(),
            provenance: Provenance {
                source: "built in".into(),
                sha256: String::new(),
                converter: env!("CARGO_PKG_VERSION").into(),
            },
        },
    })
}
