//! Names what a file is when it is not what was asked for, by its first bytes.

use super::ImportError;

/// The legacy container of PyTorch before 1.6 opens with this pickled integer.
const LEGACY_TORCH: &[u8] = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19";

/// What `file`, which does not open as a zip archive does, seems to be.
pub(super) fn not_an_archive(file: &str, head: &[u8]) -> ImportError {
    let (found, cure) = describe(head);
    ImportError::unknown(format!("{file} {found}"), cure)
}

/// What `file`, a zip archive of other entries, seems to be.
pub(super) fn not_pytorch<'a>(file: &str, names: impl Iterator<Item = &'a Vec<u8>>) -> ImportError {
    let mut names: Vec<String> = names.map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    names.sort_unstable();
    if names.iter().any(|name| name.ends_with("model.json")) {
        let found = format!("{file} is TorchScript of PyTorch before 1.4");
        return ImportError::unknown(found, "export it again with a newer PyTorch");
    }
    let few: Vec<String> = names.iter().take(3).map(|name| name.chars().take(60).collect()).collect();
    let found = format!("{file} is a zip archive without data.pkl ({} entries: {} …)", names.len(), few.join(", "));
    ImportError::unknown(found, "choose a training checkpoint (.ckpt) or an exported model (.ts)")
}

fn describe(head: &[u8]) -> (String, &'static str) {
    const CHOOSE: &str = "choose a training checkpoint (.ckpt) or an exported model (.ts)";
    const AGAIN: &str = "copy, download or export it again";
    const RESAVE: &str = "load and save it again with PyTorch 1.6 or newer";
    let is = |magic: &[u8]| head.starts_with(magic);
    let (found, cure) = match head {
        [] => ("is empty (0 bytes)", AGAIN),
        _ if head.iter().all(|&byte| byte == 0) => ("holds only zeros", AGAIN),
        _ if is(LEGACY_TORCH) => ("is in the format of PyTorch before 1.6", RESAVE),
        _ if head.get(257..262) == Some(b"ustar") => ("is a tar archive, perhaps of PyTorch before 0.2", RESAVE),
        [0x80, 0..=5, ..] => ("is a bare pickle, without PyTorch's archive around it", "save it with torch.save"),
        _ if is(b"PK") => ("is an empty or split zip archive", AGAIN),
        _ if is(b"\xff\xd8\xff") => ("is a JPEG image", CHOOSE),
        _ if is(b"\x89PNG") => ("is a PNG image", CHOOSE),
        _ if is(b"GIF8") => ("is a GIF image", CHOOSE),
        _ if is(b"RIFF") || is(b"fLaC") || is(b"OggS") || is(b"ID3") => ("is an audio file", CHOOSE),
        _ if is(b"%PDF") => ("is a PDF document", CHOOSE),
        _ if is(b"\x1f\x8b") => ("is a gzip file", "unpack it first"),
        _ if is(b"Rar!") || is(b"7z\xbc\xaf") => ("is a RAR or 7z archive", "unpack it first"),
        _ if is(b"\x89HDF") => ("is an HDF5 file, perhaps of Keras", CHOOSE),
        _ if is(b"version https://git-lfs") => ("is a git LFS pointer, not the file itself", "run git lfs pull"),
        _ if is(b"<") => ("is a web page", "download the file itself"),
        _ if head.get(8) == Some(&b'{') && head[..8].ends_with(&[0, 0, 0]) => ("is a safetensors file", CHOOSE),
        _ if head.trim_ascii_start().starts_with(b"{") => ("is a JSON file", CHOOSE),
        _ if std::str::from_utf8(head).is_ok() => ("is a text file", CHOOSE),
        _ => {
            let bytes: Vec<String> = head.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            return (format!("is no archive of PyTorch (its first bytes are {})", bytes.join(" ")), CHOOSE);
        }
    };
    (found.to_owned(), cure)
}
