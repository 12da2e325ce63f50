//! Bounded reading of zip archives, the container of `.ckpt` and `.ts`.
//!
//! - Nothing is unpacked to disk: an entry's name is only a key, so `../` and absolute names are harmless.
//! - Entries are read when asked for, so an optimizer's state beside the weights costs nothing.
//! - No size in a header is trusted: memory grows with the bytes that arrive, an entry may not unpack to more than
//!   [`DEFLATE_RATIO`] times what it stores, and all reads together to no more than [`TOTAL_RATIO`] times the file.
//! - Names that occur twice are refused, since readers disagree on which one counts. Checksums are verified.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use zip::CompressionMethod;
use zip::read::{ArchiveOffset, Config, OwnedZipFileEntry};
use zip::unstable::read::ZipIterable;

use super::{ImportError, magic};

/// Most entries an archive may have; a large checkpoint with its optimizer has a few thousand.
const ENTRIES: usize = 1 << 16;
/// Most bytes one stored byte may unpack to. TorchScript's code compresses about tenfold; deflate can do a thousand.
const DEFLATE_RATIO: u64 = 100;
/// Most bytes that all reads together may unpack to, for each byte of the file.
const TOTAL_RATIO: u64 = 16;
/// What an archive may unpack to however small it is.
const FREE: u64 = 1 << 20;

/// What PyTorch put into an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `torch.save`, such as a training checkpoint.
    Checkpoint,
    /// `torch.jit.save`.
    TorchScript,
}

/// An archive that PyTorch wrote. Entry names are relative to the folder that holds `data.pkl`.
#[derive(Debug)]
pub struct Archive<R> {
    reader: R,
    file: String,
    bytes: u64,
    entries: HashMap<Vec<u8>, OwnedZipFileEntry>,
    prefix: String,
    unpacked: u64,
}

/// What the file at `path` holds, by its content.
///
/// # Errors
/// When the file cannot be read or is no archive of PyTorch; says what it is instead.
pub fn format(path: &Path) -> Result<Format, ImportError> {
    Archive::open(path).map(|archive| archive.format())
}

impl Archive<BufReader<File>> {
    /// Opens the archive at `path`.
    ///
    /// # Errors
    /// As [`format`].
    pub fn open(path: &Path) -> Result<Self, ImportError> {
        let metadata = std::fs::metadata(path).map_err(|e| ImportError::io(path, e))?;
        if metadata.is_dir() {
            let found = format!("{} is a directory", path.display());
            return Err(ImportError::unknown(found, "name the .ckpt or .ts file in it"));
        }
        if !metadata.is_file() {
            let found = format!("{} is a device or pipe", path.display());
            return Err(ImportError::unknown(found, "name a regular file"));
        }
        let file = File::open(path).map_err(|e| ImportError::io(path, e))?;
        Self::new(BufReader::new(file), &path.display().to_string())
    }
}

impl<R: Read + Seek> Archive<R> {
    /// Reads the directory of an archive; `file` names it in messages.
    ///
    /// # Errors
    /// As [`format`].
    pub fn new(mut reader: R, file: &str) -> Result<Self, ImportError> {
        let bytes = reader.seek(SeekFrom::End(0)).map_err(|e| ImportError::io(file.as_ref(), e))?;
        let mut head = Vec::new();
        reader
            .seek(SeekFrom::Start(0))
            .and_then(|_| reader.by_ref().take(512).read_to_end(&mut head))
            .map_err(|e| ImportError::io(file.as_ref(), e))?;
        if !head.starts_with(b"PK\x03\x04") {
            return Err(magic::not_an_archive(file, &head));
        }
        let entries = directory(&mut reader, file, bytes)?;
        let prefix = prefix(&entries, file)?;
        let mut archive = Self { reader, file: file.to_owned(), bytes, entries, prefix, unpacked: 0 };
        if archive.contains("byteorder") && archive.read("byteorder")?.trim_ascii() != b"little" {
            let reason = "the numbers are not stored little-endian; save the model again on a little-endian machine";
            return Err(archive.malformed("byteorder", reason));
        }
        Ok(archive)
    }

    /// Whether this is TorchScript: only it carries code.
    pub fn format(&self) -> Format {
        let code = format!("{}code/", self.prefix).into_bytes();
        match self.entries.keys().any(|name| name.starts_with(&code)) {
            true => Format::TorchScript,
            false => Format::Checkpoint,
        }
    }

    /// Whether there is an entry of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.entries.contains_key([self.prefix.as_bytes(), name.as_bytes()].concat().as_slice())
    }

    /// The size of the whole file in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The content of an entry.
    ///
    /// # Errors
    /// When there is no such entry, its checksum is wrong, or it unpacks to more than its stored size justifies.
    pub fn read(&mut self, name: &str) -> Result<Vec<u8>, ImportError> {
        let key = [self.prefix.as_bytes(), name.as_bytes()].concat();
        let Some(entry) = self.entries.get(key.as_slice()) else {
            return Err(self.malformed(name, "missing; the file is incomplete: copy or export it again"));
        };
        let (stored, size) = (entry.compressed_size(), entry.size());
        if entry.encrypted() {
            return Err(self.malformed(name, "encrypted; PyTorch does not write this"));
        }
        if !matches!(entry.compression(), CompressionMethod::Stored | CompressionMethod::Deflated) {
            let reason = format!("compressed with {:?}, which PyTorch does not write", entry.compression());
            return Err(self.malformed(name, reason));
        }
        if stored > self.bytes {
            let reason = format!("claims {stored} stored bytes in a file of {}; copy it again", self.bytes);
            return Err(self.malformed(name, reason));
        }
        let allowance = (self.bytes.saturating_mul(TOTAL_RATIO) + FREE).saturating_sub(self.unpacked);
        let limit = (stored.saturating_mul(DEFLATE_RATIO)).max(FREE).min(allowance);
        if size > limit {
            let reason = format!("{stored} stored bytes claim to unpack to {size}, more than the {limit} allowed");
            return Err(self.malformed(name, reason));
        }
        let mut content = Vec::new();
        let unpacked = entry
            .as_ref()
            .with_reader(&mut self.reader, Default::default())
            .map_err(std::io::Error::from)
            .and_then(|file| file.take(limit + 1).read_to_end(&mut content));
        if let Err(e) = unpacked {
            return Err(self.malformed(name, format!("damaged ({e}); copy or export the file again")));
        }
        if content.len() as u64 != size {
            let reason = format!("claims {size} bytes, unpacks to {} or more", content.len());
            return Err(self.malformed(name, reason));
        }
        self.unpacked += size;
        Ok(content)
    }

    /// An error at an entry of this archive.
    pub fn malformed(&self, name: &str, reason: impl Into<String>) -> ImportError {
        ImportError::malformed(format!("{}, entry {name}", self.file), reason)
    }

    /// The name of the file, for messages.
    pub fn file(&self) -> &str {
        &self.file
    }
}

fn directory<R: Read + Seek>(
    reader: &mut R,
    file: &str,
    bytes: u64,
) -> Result<HashMap<Vec<u8>, OwnedZipFileEntry>, ImportError> {
    let damaged = |e: zip::result::ZipError| {
        let reason = format!("a zip archive of {bytes} bytes, cut off or damaged ({e}); copy or export it again");
        ImportError::malformed(file, reason)
    };
    // Unlike the crate's indexed reader, this one allocates nothing from the entry count that the header claims.
    let mut zip = ZipIterable::try_new(reader, Config { archive_offset: ArchiveOffset::Known(0) }).map_err(damaged)?;
    if zip.len() > ENTRIES {
        return Err(ImportError::malformed(file, format!("{} archive entries, more than {ENTRIES}", zip.len())));
    }
    let mut entries = HashMap::new();
    for entry in zip.files().map_err(damaged)? {
        let entry = entry.map_err(damaged)?;
        let name = entry.name_raw().to_vec();
        if let Some(twin) = entries.insert(name, OwnedZipFileEntry::from(entry)) {
            let name = String::from_utf8_lossy(twin.name_raw()).into_owned();
            return Err(ImportError::malformed(file, format!("two archive entries are named {name}")));
        }
    }
    Ok(entries)
}

/// The one folder, with its slash, that holds `data.pkl`: `archive/`, the stem of the file, or nothing.
fn prefix(entries: &HashMap<Vec<u8>, OwnedZipFileEntry>, file: &str) -> Result<String, ImportError> {
    let mut prefixes: Vec<&str> = entries
        .keys()
        .filter_map(|name| std::str::from_utf8(name).ok()?.strip_suffix("data.pkl"))
        .filter(|prefix| prefix.is_empty() || prefix.find('/') == Some(prefix.len() - 1))
        .collect();
    prefixes.sort_unstable();
    match prefixes[..] {
        [prefix] => Ok(prefix.to_owned()),
        [] => Err(magic::not_pytorch(file, entries.keys())),
        _ => Err(ImportError::malformed(file, format!("data.pkl occurs in several folders: {}", prefixes.join(", ")))),
    }
}
