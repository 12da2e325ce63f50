//! NumPy's array file: a magic number, a header that is a Python dictionary, and the values
//! (<https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>). Little-endian f32 in C order only.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::{Clip, MOST_VALUES, too_large};

/// The first bytes of every such file.
pub(super) const MAGIC: &[u8] = b"\x93NUMPY";

/// Reads `[channels, frames]`, or `[frames]` as one channel.
pub(super) fn read(path: &Path) -> Result<Clip> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut file = BufReader::new(file);
    let mut start = [0; 8];
    file.read_exact(&mut start).context("its header is cut short; save the array again")?;
    let mut length = [0; 4];
    let width = if start[6] == 1 { 2 } else { 4 };
    file.read_exact(&mut length[..width]).context("its header is cut short; save the array again")?;
    let length = u32::from_le_bytes(length);
    if length > 1 << 16 {
        bail!("its header claims {length} bytes, a plain array needs less than 65536; save it with numpy.save");
    }
    let mut header = vec![0; length as usize];
    file.read_exact(&mut header).context("its header is cut short; save the array again")?;
    let header = String::from_utf8(header).context("its header is not text; save it with numpy.save")?;

    let descr = value(&header, "descr")?;
    if !descr.starts_with("'<f4'") {
        let found = descr.split('\'').nth(1).unwrap_or("a record");
        bail!("its values are of type {found}; save array.astype('<f4')");
    }
    if !value(&header, "fortran_order")?.starts_with("False") {
        bail!("its values are in Fortran order; save numpy.ascontiguousarray(array)");
    }
    let shape = value(&header, "shape")?;
    let inner = shape.strip_prefix('(').and_then(|s| s.split_once(')')).context("its shape is not a tuple")?.0;
    let sizes = inner
        .split(',')
        .map(str::trim)
        .filter(|s| !s.is_empty())
        .map(|s| s.parse::<usize>().with_context(|| format!("its shape is ({inner})")))
        .collect::<Result<Vec<_>>>()?;
    let (channels, frames) = match sizes[..] {
        [frames] => (1, frames),
        [channels, frames] => (channels, frames),
        _ => bail!("its shape is ({inner}); [channels, frames] is needed"),
    };
    let values = channels.checked_mul(frames).filter(|&v| v <= MOST_VALUES).ok_or_else(too_large)?;
    let stored = size.saturating_sub(8 + width as u64 + u64::from(length));
    if stored != values as u64 * 4 || channels > super::MOST_CHANNELS {
        if channels > super::MOST_CHANNELS {
            bail!(
                "its shape is ({inner}), that is {channels} channels; is it transposed? [channels, frames] is needed"
            );
        }
        bail!("its shape ({inner}) needs {} bytes, {stored} follow the header; save the array again", values * 4);
    }
    let mut bytes = vec![0; frames * 4];
    let mut planes = Vec::with_capacity(channels);
    for _ in 0..channels {
        file.read_exact(&mut bytes)?;
        planes.push(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect());
    }
    Ok(Clip { channels: planes, sampling_rate: None })
}

/// Writes `[channels, frames]`, format version 1.0.
pub(super) fn write(channels: &[Vec<f32>], file: &mut File) -> Result<()> {
    let frames = channels.first().map_or(0, Vec::len);
    let mut header =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {frames}), }}", channels.len()).into_bytes();
    // The format wants the values at a multiple of 64 bytes and a newline before them.
    header.resize((10 + header.len() + 1).next_multiple_of(64) - 11, b' ');
    header.push(b'\n');
    let mut file = BufWriter::new(file);
    file.write_all(MAGIC)?;
    file.write_all(&[1, 0])?;
    file.write_all(&(header.len() as u16).to_le_bytes())?;
    file.write_all(&header)?;
    for value in channels.iter().flatten() {
        file.write_all(&value.to_le_bytes())?;
    }
    Ok(file.flush()?)
}

/// The text after `'key':`.
fn value<'a>(header: &'a str, key: &str) -> Result<&'a str> {
    let quoted = format!("'{key}'");
    header
        .split_once(&quoted)
        .and_then(|(_, rest)| rest.split_once(':'))
        .map(|(_, rest)| rest.trim_start())
        .with_context(|| format!("its header has no '{key}'; save it with numpy.save"))
}
