//! What the fuzz targets share: the memory limit and a mutator that keeps archives whole.

use std::alloc::System;
use std::io::{Cursor, Read, Write};

use cap::Cap;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// Aborts when a reader asks for more than [`limited`] grants.
#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

/// Bytes a reader may take however small its input is: the fixed allowances of its limits.
const FREE: usize = 16 << 20;
/// Bytes a reader may take for each byte of input: values of a pickle are tables of small records.
const RATIO: usize = 1024;

/// Runs `read` on `input` under a memory limit that follows from the input's size.
pub fn limited<T>(input: &[u8], read: impl FnOnce(&[u8]) -> T) -> T {
    let limit = MEMORY.allocated() + FREE + RATIO * input.len();
    MEMORY.set_limit(limit).expect("the limit lies above what is allocated");
    let result = read(input);
    MEMORY.set_limit(usize::MAX).expect("no limit is above any");
    result
}

/// Mutates one entry of the archive in `data[..size]` with `mutate` and packs it again with right checksums; raw bytes
/// now and then, and when they are no archive. Returns the new size.
pub fn mutate_archive(
    data: &mut [u8],
    size: usize,
    max_size: usize,
    seed: u32,
    mutate: impl Fn(&mut [u8], usize, usize) -> usize,
) -> usize {
    let mut draws = Draws(seed);
    if draws.below(16) > 0
        && let Some(mut entries) = unpack(&data[..size])
    {
        let pickles = (0..entries.len()).filter(|&i| entries[i].0.ends_with("data.pkl")).collect::<Vec<_>>();
        let at = match pickles[..] {
            [pickle, ..] if draws.below(4) > 0 => pickle,
            _ => draws.below(entries.len()),
        };
        match draws.below(24) {
            0 => drop(entries.remove(at)),
            1 => {
                let (name, content) = entries[at].clone();
                entries.push((format!("{name}{}", draws.below(10)), content));
            }
            _ => {
                let content = &mut entries[at].1;
                let len = content.len();
                content.resize(len + 64, 0);
                let len = mutate(content, len, len + 64);
                content.truncate(len);
            }
        }
        let method = if draws.below(4) == 0 { CompressionMethod::Deflated } else { CompressionMethod::Stored };
        if let Some(packed) = pack(&entries, method)
            && packed.len() <= max_size
        {
            data[..packed.len()].copy_from_slice(&packed);
            return packed.len();
        }
    }
    mutate(data, size, max_size)
}

/// Mutates the description in the header of the safetensors file in `data[..size]` with `mutate`, and tells its new
/// length; raw bytes now and then. Returns the new size.
pub fn mutate_header(
    data: &mut [u8],
    size: usize,
    max_size: usize,
    seed: u32,
    mutate: impl Fn(&mut [u8], usize, usize) -> usize,
) -> usize {
    if Draws(seed).below(8) > 0
        && let Some(changed) = with_mutated_header(&data[..size], &mutate)
        && changed.len() <= max_size
    {
        data[..changed.len()].copy_from_slice(&changed);
        return changed.len();
    }
    mutate(data, size, max_size)
}

fn with_mutated_header(bytes: &[u8], mutate: impl Fn(&mut [u8], usize, usize) -> usize) -> Option<Vec<u8>> {
    let len = usize::try_from(u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?)).ok()?;
    let end = len.checked_add(8)?;
    let mut header: serde_json::Value = serde_json::from_slice(bytes.get(8..end)?).ok()?;
    let description = header.get_mut("__metadata__")?.get_mut("runnel")?;
    let mut text = description.as_str()?.as_bytes().to_vec();
    let len = text.len();
    text.resize(len + 64, b' ');
    let len = mutate(&mut text, len, len + 64);
    *description = String::from_utf8(text[..len].to_vec()).ok()?.into();
    let mut header = serde_json::to_vec(&header).ok()?;
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut changed = (header.len() as u64).to_le_bytes().to_vec();
    changed.extend(header);
    changed.extend(&bytes[end..]);
    Some(changed)
}

fn unpack(bytes: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let mut zip = ZipArchive::new(Cursor::new(bytes)).ok()?;
    let mut entries = Vec::new();
    for i in 0..zip.len().min(100) {
        let file = zip.by_index(i).ok()?;
        let name = file.name().ok()?.into_owned();
        let mut content = Vec::new();
        file.take(1 << 16).read_to_end(&mut content).ok()?;
        entries.push((name, content));
    }
    (!entries.is_empty()).then_some(entries)
}

fn pack(entries: &[(String, Vec<u8>)], method: CompressionMethod) -> Option<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        zip.start_file(name.as_str(), SimpleFileOptions::default().compression_method(method)).ok()?;
        zip.write_all(content).ok()?;
    }
    Some(zip.finish().ok()?.into_inner())
}

/// Small draws from the fuzzer's seed (xorshift).
struct Draws(u32);

impl Draws {
    fn below(&mut self, n: usize) -> usize {
        self.0 = (self.0 ^ 0x9e37_79b9).max(1);
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 as usize % n
    }
}
