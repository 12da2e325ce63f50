//! Audio files and arrays, in and out. What is read and written follows from the content and from the extension.

mod contain;
mod decode;
mod encode;
mod latents;
mod npy;
pub(crate) mod resample;

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::input;
use crate::output::Output;

/// Signals of several channels, held whole.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Clip {
    /// One vector per channel, all of one length.
    pub(crate) channels: Vec<Vec<f32>>,
    /// Samples per second; `None` for an array, which is at the model's own rate.
    pub(crate) sampling_rate: Option<u32>,
}

/// What a file of frames is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Container {
    /// 32-bit float.
    Wav,
    /// 24-bit integer.
    Flac,
    /// `[channels, frames]` f32.
    Npy,
    /// `z`: `[latents, frames]` f32.
    Safetensors,
}

/// The most values a clip may have: 4 GiB of them, 3.3 hours of stereo at 44.1 kHz.
const MOST_VALUES: usize = 1 << 30;
/// The most channels a clip may have.
const MOST_CHANNELS: usize = 256;
/// The sampling rates that are believed, in Hz.
const RATES: std::ops::RangeInclusive<u32> = 1_000..=1_536_000;

/// Reads audio: wav, flac, mp3, ogg, aiff, or an array in `.npy`.
///
/// # Errors
/// When the file cannot be read, is not audio, is damaged, too large, or holds values that are not finite.
pub(crate) fn read(path: &Path) -> Result<Clip> {
    let clip = match first_bytes(path)?.as_slice() {
        bytes if bytes.starts_with(npy::MAGIC) => npy::read(path),
        _ => contain::contain(|| decode::read(path)),
    }
    .with_context(|| format!("cannot read {} as audio", path.display()))?;
    check(&clip).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(clip)
}

/// Reads latents: `z` of a `.safetensors` file, or an array in `.npy`.
///
/// # Errors
/// When the file cannot be read, holds no `z` of two dimensions, or values that are not finite.
pub(crate) fn read_latents(path: &Path) -> Result<Clip> {
    let clip = match first_bytes(path)?.as_slice() {
        bytes if bytes.starts_with(npy::MAGIC) => npy::read(path),
        _ => latents::read(path),
    }
    .with_context(|| format!("cannot read {} as latents", path.display()))?;
    check(&clip).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(clip)
}

/// Writes `clip` into `output`, which is not committed. Returns what a user should be told of it: clipped samples.
///
/// # Errors
/// When the container cannot hold the clip, or the system refuses.
pub(crate) fn write(clip: &Clip, container: Container, output: &mut Output) -> Result<Option<String>> {
    let path = output.path().to_owned();
    match container {
        Container::Wav => encode::wav(clip, output.file()).map(|()| None),
        Container::Flac => encode::flac(clip, output.file()),
        Container::Npy => npy::write(&clip.channels, output.file()).map(|()| None),
        Container::Safetensors => latents::write(&clip.channels, output.file()).map(|()| None),
    }
    .map_err(|e| crate::output::explain(e, &path))
}

impl Clip {
    /// Frames: the length of every channel.
    pub(crate) fn frames(&self) -> usize {
        self.channels.first().map_or(0, Vec::len)
    }
}

impl Container {
    /// The container that an extension names. `audio` says which containers the caller can fill.
    ///
    /// # Errors
    /// When the extension names none, with those that would do.
    pub(crate) fn of(path: &Path, audio: bool) -> Result<Self> {
        let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
        match (extension.as_deref(), audio) {
            (Some("wav" | "wave"), true) => Ok(Self::Wav),
            (Some("flac"), true) => Ok(Self::Flac),
            (Some("npy"), _) => Ok(Self::Npy),
            (Some("safetensors"), false) => Ok(Self::Safetensors),
            (found, _) => {
                let found = found.map_or("no extension".into(), |e| format!("the extension .{e}"));
                let usable = if audio {
                    "audio is written as .wav (32-bit float), .flac (24 bit) or .npy (f32)"
                } else {
                    "latents are written as .safetensors or .npy"
                };
                bail!("cannot write {}: it has {found}; {usable}", path.display())
            }
        }
    }
}

/// Whether a path's extension is that of audio or of an array, rather than of a model.
pub(crate) fn named_like_audio(path: &Path) -> bool {
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    matches!(
        extension.as_deref(),
        Some("wav" | "wave" | "flac" | "mp3" | "ogg" | "oga" | "aif" | "aiff" | "aifc" | "npy")
    )
}

fn first_bytes(path: &Path) -> Result<Vec<u8>> {
    use std::io::Read;

    let mut bytes = Vec::new();
    let mut file = input::open(path)?.take(8);
    file.read_to_end(&mut bytes).map_err(|e| input::explain(&e, path))?;
    if bytes.is_empty() {
        bail!("cannot read {}: the file has 0 bytes, not even a header; copy or export it again", path.display());
    }
    Ok(bytes)
}

fn check(clip: &Clip) -> Result<()> {
    let (channels, frames) = (clip.channels.len(), clip.frames());
    if channels == 0 || channels > MOST_CHANNELS {
        bail!(
            "it has {channels} channels, 1 to {MOST_CHANNELS} are possible; is an array transposed? [channels, frames] is needed"
        );
    }
    if let Some(rate) = clip.sampling_rate
        && !RATES.contains(&rate)
    {
        bail!("it claims {rate} Hz, {} to {} Hz are possible; correct its header", RATES.start(), RATES.end());
    }
    for (c, channel) in clip.channels.iter().enumerate() {
        if let Some(n) = channel.iter().position(|v| !v.is_finite()) {
            bail!(
                "frame {n} of {frames}, channel {c}, is {}; a model would carry it into all that follows, replace it",
                channel[n]
            );
        }
    }
    Ok(())
}

fn too_large() -> anyhow::Error {
    anyhow::anyhow!("it decodes to more than {MOST_VALUES} values (4 GiB); cut it into shorter files")
}

#[cfg(test)]
mod tests;
