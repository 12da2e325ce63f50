//! Planar f32 → WAV and FLAC.

use std::fs::File;
use std::io::{BufWriter, Write};

use anyhow::{Result, anyhow, bail};
use flacenc::component::BitRepr;
use flacenc::error::Verify;

use super::Clip;

/// Writes 32-bit float WAV.
pub(super) fn wav(clip: &Clip, file: &mut File) -> Result<()> {
    let channels = clip.channels.len();
    let bytes = clip.frames() as u64 * channels as u64 * 4;
    if bytes > u64::from(u32::MAX) - 1024 {
        bail!("{bytes} bytes of samples do not fit into a WAV file (4 GiB); write .flac or .npy");
    }
    let spec = hound::WavSpec {
        channels: channels as u16,
        sample_rate: written_rate(clip)?,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let mut writer = hound::WavWriter::new(BufWriter::new(file), spec).map_err(io)?;
    for n in 0..clip.frames() {
        for channel in &clip.channels {
            writer.write_sample(channel[n]).map_err(io)?;
        }
    }
    writer.finalize().map_err(io)
}

/// Writes 24-bit FLAC; values beyond [−1, 1) are clipped. Returns a warning when there were any.
pub(super) fn flac(clip: &Clip, file: &mut File) -> Result<Option<String>> {
    const BITS: usize = 24;
    const MOST_CHANNELS: usize = 8;
    /// The encoder's own limit; the format's is 655 350.
    const MOST_RATE: u32 = 96_000;
    const SCALE: f32 = (1 << (BITS - 1)) as f32;

    let channels = clip.channels.len();
    let rate = written_rate(clip)?;
    if channels > MOST_CHANNELS {
        bail!("FLAC holds up to {MOST_CHANNELS} channels, these are {channels}; write .wav or .npy");
    }
    if rate > MOST_RATE {
        bail!("FLAC is written up to {MOST_RATE} Hz, this is {rate} Hz; write .wav or .npy");
    }
    let mut clipped = 0_usize;
    let mut peak = 0.0_f32;
    let mut samples = Vec::with_capacity(clip.frames() * channels);
    for n in 0..clip.frames() {
        for channel in &clip.channels {
            let value = (channel[n] * SCALE).round();
            peak = peak.max(channel[n].abs());
            clipped += usize::from(!(-SCALE..SCALE).contains(&value));
            samples.push(value.clamp(-SCALE, SCALE - 1.0) as i32);
        }
    }
    let config = flacenc::config::Encoder::default()
        .into_verified()
        .map_err(|(_, e)| anyhow!("the FLAC encoder refuses its own defaults: {e}"))?;
    let source = flacenc::source::MemSource::from_samples(&samples, channels, BITS, rate as usize);
    let refused = |e: &dyn std::fmt::Display| anyhow!("the FLAC encoder refuses this signal: {e}");
    let mut stream =
        flacenc::encode_with_fixed_block_size(&config, source, config.block_size).map_err(|e| refused(&e))?;
    // The shorter last block does not count (RFC 9639, 8.2); the encoder counts it, and readers refuse less than 16.
    stream.stream_info_mut().set_block_sizes(config.block_size, config.block_size).map_err(|e| refused(&e))?;
    let mut sink = flacenc::bitsink::ByteSink::new();
    stream.write(&mut sink).map_err(|e| anyhow!("the FLAC encoder cannot write this signal: {e}"))?;
    file.write_all(sink.as_slice())?;
    Ok((clipped > 0).then(|| {
        format!("{clipped} samples beyond full scale were clipped (peak {peak:.2}); FLAC holds −1 to 1, .wav holds any")
    }))
}

fn written_rate(clip: &Clip) -> Result<u32> {
    clip.sampling_rate.ok_or_else(|| anyhow!("the signal has no sampling rate"))
}

fn io(error: hound::Error) -> anyhow::Error {
    match error {
        hound::Error::IoError(e) => e.into(),
        other => other.into(),
    }
}
