//! Latents in safetensors: one tensor `z`, `[latents, frames]`, f32.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::{Clip, MOST_VALUES, too_large};

/// Reads `z`; a leading dimension of 1, a batch, is dropped.
pub(super) fn read(path: &Path) -> Result<Clip> {
    if std::fs::metadata(path)?.len() > MOST_VALUES as u64 * 4 {
        return Err(too_large());
    }
    let bytes = std::fs::read(path)?;
    let file = SafeTensors::deserialize(&bytes)
        .map_err(|e| anyhow!("it holds no latents ({e}): give a .safetensors file that `render --method encode` wrote, or leave --method decode out"))?;
    let z = file.tensor("z").map_err(|_| {
        let mut names = file.names();
        names.sort();
        anyhow!("it has no tensor z, but {names:?}; `render --method encode` writes one")
    })?;
    if z.dtype() != Dtype::F32 {
        bail!("its z is {:?}; save it as f32", z.dtype());
    }
    let (latents, frames) = match *z.shape() {
        [latents, frames] | [1, latents, frames] => (latents, frames),
        ref shape => bail!("its z has shape {shape:?}; [latents, frames] is needed"),
    };
    if latents > super::MOST_CHANNELS {
        bail!("its z has shape [{latents}, {frames}], that is {latents} latents; is it transposed?");
    }
    let values: Vec<f32> = z.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    let channels = (0..latents).map(|c| values[c * frames..(c + 1) * frames].to_vec()).collect();
    Ok(Clip { channels, sampling_rate: None })
}

/// Writes `z`.
pub(super) fn write(channels: &[Vec<f32>], file: &mut File) -> Result<()> {
    let frames = channels.first().map_or(0, Vec::len);
    let bytes: Vec<u8> = channels.iter().flatten().flat_map(|v| v.to_le_bytes()).collect();
    let z = TensorView::new(Dtype::F32, vec![channels.len(), frames], &bytes).context("cannot describe z")?;
    let metadata = HashMap::from([("layout".to_owned(), "z: [latents, frames]".to_owned())]);
    Ok(file.write_all(&safetensors::serialize([("z", z)], Some(metadata)).context("cannot write z")?)?)
}
