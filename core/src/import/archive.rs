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
const TOTAL_RATIO: u64 = 4;
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
        self.size(name).is_some()
    }

    /// The unpacked size in bytes that an entry claims.
    pub fn size(&self, name: &str) -> Option<u64> {
        self.entries.get(self.key(name).as_slice()).map(OwnedZipFileEntry::size)
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
        let Some(entry) = self.entries.get(self.key(name).as_slice()) else {
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
        let allowance = self.bytes.saturating_mul(TOTAL_RATIO).saturating_add(FREE).saturating_sub(self.unpacked);
        let limit = (stored.saturating_mul(DEFLATE_RATIO)).max(FREE).min(allowance);
        if size > limit {
            let reason = format!("{stored} stored bytes claim to unpack to {size}, more than the {limit} allowed");
            return Err(self.malformed(name, reason));
        }
        let mut content = Vec::with_capacity(size.min(stored) as usize);
        let unpacked = entry
            .as_ref()
            .with_reader(&mut self.reader, Default::default())
            .map_err(std::io::Error::from)
            .and_then(|file| file.take(size + 1).read_to_end(&mut content));
        if let Err(e) = unpacked {
            return Err(self.malformed(name, format!("damaged ({e}); copy or export the file again")));
        }
        if content.len() as u64 != size {
            let reason = format!("claims {size} bytes, unpacks to {}; copy or export the file again", content.len());
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

    fn key(&self, name: &str) -> Vec<u8> {
        [self.prefix.as_bytes(), name.as_bytes()].concat()
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

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::super::sample::{Bytes, deflated, zip};
    use super::*;

    const PICKLE: (&str, &[u8]) = ("a/data.pkl", b"N.");

    fn open(bytes: Vec<u8>) -> Result<Archive<Bytes>, ImportError> {
        Archive::new(Cursor::new(bytes), "x.ckpt")
    }

    fn refusal(bytes: Vec<u8>) -> String {
        open(bytes).unwrap_err().to_string()
    }

    /// `bytes` with the last occurrence of `from` replaced, which lies in the central directory.
    fn patch_last(mut bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
        let at = bytes.windows(from.len()).rposition(|window| window == from).unwrap();
        bytes[at..at + to.len()].copy_from_slice(to);
        bytes
    }

    #[test]
    fn entries_are_read_relative_to_the_folder_of_the_pickle() {
        for (folder, name) in [("a/", "a/data/0"), ("", "data/0"), ("my model/", "my model/data/0")] {
            let pickle = format!("{folder}data.pkl");
            let mut archive = open(zip(&[(pickle.as_str(), b"N."), (name, b"abcd"), ("b/data/0", b"no")])).unwrap();
            assert_eq!(archive.read("data/0").unwrap(), b"abcd");
            assert_eq!(archive.size("data/0"), Some(4));
        }
    }

    #[test]
    fn compressed_entries_are_read() {
        let text = b"class X(Module):\n".repeat(300);
        let mut archive = open(deflated(&[PICKLE, ("a/code/x.py", &text)])).unwrap();
        assert_eq!(archive.read("code/x.py").unwrap(), text);
        assert_eq!(archive.format(), Format::TorchScript);
    }

    #[test]
    fn a_missing_entry_is_named() {
        let reason = open(zip(&[PICKLE])).unwrap().read("data/7").unwrap_err().to_string();
        assert!(reason.contains("x.ckpt, entry data/7: missing"), "{reason}");
    }

    #[test]
    fn names_that_escape_are_only_names() {
        let mut archive = open(zip(&[PICKLE, ("../../etc/passwd", b"x"), ("/etc/passwd", b"x")])).unwrap();
        assert!(archive.read("../../etc/passwd").is_err());
    }

    #[test]
    fn a_name_that_occurs_twice_is_refused() {
        let bytes = zip(&[PICKLE, ("a/data/0", b"x"), ("a/data/1", b"y")]);
        let reason = refusal(patch_last(bytes, b"a/data/1", b"a/data/0"));
        assert!(reason.contains("two archive entries are named a/data/0"), "{reason}");
    }

    #[test]
    fn several_pickles_are_refused() {
        let reason = refusal(zip(&[PICKLE, ("b/data.pkl", b"N.")]));
        assert!(reason.contains("several folders: a/, b/"), "{reason}");
    }

    #[test]
    fn a_wrong_checksum_is_reported() {
        let bytes = zip(&[PICKLE, ("a/data/0", b"abcdefgh")]);
        let at = bytes.windows(8).position(|window| window == b"abcdefgh").unwrap();
        let mut flipped = bytes;
        flipped[at] ^= 1;
        let reason = open(flipped).unwrap().read("data/0").unwrap_err().to_string();
        assert!(reason.contains("entry data/0: damaged"), "{reason}");
    }

    #[test]
    fn an_entry_that_unpacks_a_thousandfold_is_refused() {
        let reason = open(deflated(&[PICKLE, ("a/data/0", &vec![0; 8 << 20])])).unwrap().read("data/0");
        let reason = reason.unwrap_err().to_string();
        assert!(reason.contains("claim to unpack to 8388608"), "{reason}");
    }

    #[test]
    fn a_size_that_hides_a_bomb_is_refused_while_reading() {
        // The central directory claims 16 bytes; the stream holds eight million.
        let bytes = deflated(&[PICKLE, ("a/data/0", &vec![0; 8 << 20])]);
        let bytes = patch_last(bytes, &(8u32 << 20).to_le_bytes(), &16u32.to_le_bytes());
        let reason = open(bytes).unwrap().read("data/0").unwrap_err().to_string();
        assert!(reason.contains("entry data/0"), "{reason}");
    }

    #[test]
    fn a_size_beyond_the_content_is_refused() {
        let bytes = deflated(&[PICKLE, ("a/data/0", &[7; 5000])]);
        let bytes = patch_last(bytes, &5000u32.to_le_bytes(), &5001u32.to_le_bytes());
        let reason = open(bytes).unwrap().read("data/0").unwrap_err().to_string();
        assert!(reason.contains("claims 5001 bytes, unpacks to 5000"), "{reason}");
    }

    #[test]
    fn reading_small_entries_again_and_again_is_bounded() {
        let mut archive = open(deflated(&[PICKLE, ("a/data/0", &vec![0; 1 << 20])])).unwrap();
        let reads = (0..100).take_while(|_| archive.read("data/0").is_ok()).count();
        assert_eq!(reads, 1);
    }

    #[test]
    fn a_stored_size_beyond_the_file_is_refused() {
        let bytes = zip(&[PICKLE, ("a/data/0", &[7; 4321])]);
        let bytes = patch_last(bytes, &4321u32.to_le_bytes(), &0x7fff_ffffu32.to_le_bytes());
        let bytes = patch_last(bytes, &4321u32.to_le_bytes(), &0x7fff_ffffu32.to_le_bytes());
        assert!(open(bytes).unwrap().read("data/0").is_err());
    }

    #[test]
    fn an_entry_count_beyond_the_file_is_refused_without_allocation() {
        // The end record: counts at byte 8 and 10, two bytes each.
        let mut bytes = zip(&[PICKLE]);
        let end = bytes.len() - 22;
        bytes[end + 8..end + 12].fill(0xff);
        assert!(refusal(bytes).contains("x.ckpt"));
    }

    #[test]
    fn every_truncation_is_refused() {
        let whole = zip(&[PICKLE, ("a/data/0", b"abcd")]);
        for len in 0..whole.len() {
            assert!(open(whole[..len].to_vec()).is_err(), "{len} bytes");
        }
        let reason = refusal(whole[..whole.len() - 30].to_vec());
        assert!(reason.contains("cut off or damaged") && reason.contains("copy or export it again"), "{reason}");
    }

    #[test]
    fn numbers_in_big_endian_order_are_refused() {
        let reason = refusal(zip(&[PICKLE, ("a/byteorder", b"big")]));
        assert!(reason.contains("little-endian"), "{reason}");
    }

    #[test]
    fn other_files_are_called_what_they_are() {
        let legacy = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.";
        for (bytes, found) in [
            (b"".as_slice(), "is empty (0 bytes)"),
            (b"\xff\xd8\xff\xe0\0\x10JFIF", "is a JPEG image"),
            (b"\x89PNG\r\n\x1a\n", "is a PNG image"),
            (b"RIFF\0\0\0\0WAVE", "is an audio file"),
            (legacy, "PyTorch before 1.6; load and save it again"),
            (b"\x80\x02}q\0.", "is a bare pickle"),
            (b"PK\x05\x06\0\0", "is an empty or split zip archive"),
            (b"\x1f\x8b\x08", "is a gzip file"),
            (b"<!DOCTYPE html>", "is a web page"),
            (b"version https://git-lfs.github.com/spec/v1", "is a git LFS pointer"),
            (b"\x40\0\0\0\0\0\0\0{\"a\":", "is a safetensors file"),
            (b"{\"version\": \"0.5.4\"}", "is a JSON file"),
            (b"CAPACITY = 4\n", "is a text file"),
            (&[0; 64], "holds only zeros"),
            (b"\x01\x02\xf3\x04", "its first bytes are 01 02 f3 04"),
        ] {
            let reason = refusal(bytes.to_vec());
            assert!(reason.starts_with("x.ckpt ") && reason.contains(found), "{reason}");
        }
    }

    #[test]
    fn a_zip_archive_of_something_else_lists_what_it_holds() {
        let reason = refusal(zip(&[("word/document.xml", b"<"), ("a/b/data.pkl", b"")]));
        assert!(reason.contains("without data.pkl (2 entries: a/b/data.pkl, word/document.xml"), "{reason}");
    }

    #[test]
    fn a_directory_and_a_missing_file_are_refused() {
        let reason = format(Path::new("/")).unwrap_err().to_string();
        assert!(reason.contains("is a directory; name the .ckpt or .ts file in it"), "{reason}");
        assert!(format(Path::new("/no/such/file")).unwrap_err().to_string().contains("/no/such/file"));
    }
}
