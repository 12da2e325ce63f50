//! Compressed and uncompressed audio files → planar f32.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use symphonia::core::errors::Error;
use symphonia::core::formats::TrackType;
use symphonia::core::formats::probe::Hint;
use symphonia::core::io::MediaSourceStream;

use super::{Clip, MOST_CHANNELS, MOST_VALUES, too_large};
use crate::input;

/// Reads the first audio track, without the delay and padding that an encoder added.
pub(super) fn read(path: &Path) -> Result<Clip> {
    if let Some(clip) = empty_flac(path)? {
        return Ok(clip);
    }
    let source = MediaSourceStream::new(Box::new(input::open(path)?), Default::default());
    let mut hint = Hint::new();
    if let Some(extension) = path.extension().and_then(|e| e.to_str()) {
        hint.with_extension(extension);
    }
    let mut format = symphonia::default::get_probe()
        .probe(&hint, source, Default::default(), Default::default())
        .map_err(|e| match e {
            Error::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                anyhow!("it is cut short in its header or its first frames; copy or export it again")
            }
            Error::Unsupported(_) => {
                anyhow!("its content is not that of a wav, flac, mp3, ogg or aiff file; convert it to one (latents are read with --method decode)")
            }
            e => anyhow!("its header is damaged ({e}); copy or export it again"),
        })?;
    // Of the others, the length is an estimate.
    let length_is_exact = matches!(format.format_info().short_name, "wave" | "aiff" | "flac");
    let track = format.default_track(TrackType::Audio).context("it has no audio track")?;
    let (id, declared) = (track.id, track.num_frames);
    let parameters =
        track.codec_params.as_ref().and_then(|p| p.audio()).context("its audio track has no description")?;
    let mut sampling_rate = parameters.sample_rate;
    let mut channels = vec![Vec::new(); parameters.channels.as_ref().map_or(0, |c| c.count()).min(MOST_CHANNELS)];
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(parameters, &Default::default())
        .map_err(|e| anyhow!("its codec is not supported ({e}); convert it to wav or flac"))?;

    let mut planes = Vec::new();
    let mut decoded = 0;
    loop {
        let packet = match format.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => break,
            Err(Error::IoError(e)) if e.kind() == std::io::ErrorKind::UnexpectedEof => break,
            Err(e) => bail!("it is damaged after frame {decoded}: {e}; copy or export it again"),
        };
        if packet.track_id != id {
            continue;
        }
        let buffer = decoder
            .decode(&packet)
            .map_err(|e| anyhow!("it is damaged after frame {decoded}: {e}; copy or export it again"))?;
        let rate = buffer.spec().rate();
        if *sampling_rate.get_or_insert(rate) != rate {
            bail!(
                "its sampling rate changes from {sampling_rate:?} to {rate} Hz at frame {decoded}; convert it to one rate"
            );
        }
        buffer.copy_to_vecs_planar::<f32>(&mut planes);
        if channels.is_empty() {
            channels.resize(planes.len(), Vec::new());
        }
        if channels.len() != planes.len() {
            bail!(
                "its channels change from {} to {} at frame {decoded}; convert it to one layout",
                channels.len(),
                planes.len()
            );
        }
        decoded += buffer.frames();
        if decoded.saturating_mul(channels.len()) > MOST_VALUES {
            return Err(too_large());
        }
        for (channel, plane) in channels.iter_mut().zip(&planes) {
            channel.extend_from_slice(plane);
        }
    }
    if let Some(declared) = declared
        && length_is_exact
        && (decoded as u64) < declared
    {
        bail!("it is cut short: its header promises {declared} frames, {decoded} are there; copy or export it again");
    }
    Ok(Clip { channels, sampling_rate: Some(sampling_rate.context("it does not say its sampling rate")?) })
}

/// A FLAC file that is nothing but its header, which symphonia refuses (RFC 9639, 8.1 and 8.2).
fn empty_flac(path: &Path) -> Result<Option<Clip>> {
    const LONGEST: u64 = 1 << 16;
    let mut file = input::open(path)?;
    if file.metadata()?.len() > LONGEST {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let Some(mut blocks) = bytes.strip_prefix(b"fLaC") else { return Ok(None) };
    let mut clip = None;
    while let [kind, a, b, c, rest @ ..] = blocks {
        let Some((block, next)) = rest.split_at_checked(u32::from_be_bytes([0, *a, *b, *c]) as usize) else { break };
        if kind & 0x7f == 0 && block.len() == 34 {
            let packed = u32::from_be_bytes([block[10], block[11], block[12], block[13]]);
            let channels = vec![vec![]; (packed >> 9 & 7) as usize + 1];
            clip = Some(Clip { channels, sampling_rate: Some(packed >> 12) });
        }
        if kind & 0x80 != 0 {
            return Ok(clip.filter(|_| next.is_empty()));
        }
        blocks = next;
    }
    Ok(None)
}
