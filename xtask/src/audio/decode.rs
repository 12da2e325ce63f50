//! Compressed and uncompressed audio files → planar f32.

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
    let source = MediaSourceStream::new(Box::new(input::open(path)?), Default::default());
    let mut hint = Hint::new();
    if let Some(extension) = path.extension().and_then(|e| e.to_str()) {
        hint.with_extension(extension);
    }
    let mut format = symphonia::default::get_probe()
        .probe(&hint, source, Default::default(), Default::default())
        .map_err(|e| anyhow!("its content is not that of a wav, flac, mp3, ogg or aiff file ({})", reason(&e)))?;
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
        .map_err(|e| anyhow!("its codec is not supported ({}); convert it to wav or flac", reason(&e)))?;

    let mut planes = Vec::new();
    let mut decoded = 0;
    loop {
        let packet = match format.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => break,
            Err(Error::IoError(e)) if e.kind() == std::io::ErrorKind::UnexpectedEof => break,
            Err(e) => bail!("it is damaged after frame {decoded}: {}; copy or export it again", reason(&e)),
        };
        if packet.track_id != id {
            continue;
        }
        let buffer = decoder
            .decode(&packet)
            .map_err(|e| anyhow!("it is damaged after frame {decoded}: {}; copy or export it again", reason(&e)))?;
        let rate = buffer.spec().rate();
        if *sampling_rate.get_or_insert(rate) != rate {
            bail!("its sampling rate changes from {sampling_rate:?} to {rate} Hz at frame {decoded}; convert it to one rate");
        }
        buffer.copy_to_vecs_planar::<f32>(&mut planes);
        if channels.is_empty() {
            channels.resize(planes.len(), Vec::new());
        }
        if channels.len() != planes.len() {
            bail!("its channels change from {} to {} at frame {decoded}; convert it to one layout", channels.len(), planes.len());
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

fn reason(error: &Error) -> String {
    match error {
        Error::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => "the file ends too early".into(),
        other => other.to_string(),
    }
}
