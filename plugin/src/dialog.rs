//! Folders and the model files in them, listed away from the window's thread: a disk may sleep, a network may hang.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use crate::library;

/// Entries beyond which a folder is cut off.
const MOST_ENTRIES: usize = 5_000;

/// What a folder has to offer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listing {
    /// The folder.
    pub folder: PathBuf,
    /// Folders first, then models, each sorted by name.
    pub entries: Vec<Entry>,
    /// Whether there is more than was listed.
    pub cut: bool,
}

/// A folder or a model file.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Bytes of a file; none for a folder.
    pub size: Option<u64>,
}

/// Does `work` on a thread of its own and calls `done` once its result is in the channel.
pub fn apart<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
    done: impl FnOnce() + Send + 'static,
) -> Receiver<T> {
    let (sender, receiver) = mpsc::channel();
    // Without a thread the channel closes, which says that there is no result.
    let _ = thread::Builder::new().name("runnel-files".into()).spawn(move || {
        let _ = sender.send(work());
        done();
    });
    receiver
}

/// Lists a folder, or the folder of a file.
///
/// # Errors
/// In words, when it cannot be read.
pub fn list(folder: &Path) -> Result<Listing, String> {
    let folder = nearest_folder(folder);
    let told = |e: std::io::Error| format!("{} cannot be opened: {e}", folder.display());
    let mut entries = Vec::new();
    let mut cut = false;
    for entry in fs::read_dir(&folder).map_err(told)?.flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(meta) = fs::metadata(&path) else { continue };
        if name.starts_with('.') || !meta.is_dir() && !library::is_named_as_model(&path) {
            continue;
        }
        if entries.len() == MOST_ENTRIES {
            cut = true;
            break;
        }
        entries.push(Entry { name, path, size: (!meta.is_dir()).then_some(meta.len()) });
    }
    entries.sort_by_key(|entry| (entry.size.is_some(), entry.name.to_lowercase()));
    Ok(Listing { folder, entries, cut })
}

/// The folder itself, or the nearest one above what is no folder; at last the user's own.
fn nearest_folder(path: &Path) -> PathBuf {
    let existing = path.ancestors().find(|path| path.is_absolute() && path.is_dir()).map(Path::to_path_buf);
    existing.or_else(std::env::home_dir).unwrap_or_else(std::env::temp_dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str, files: &[&str]) -> Self {
            let folder = std::env::temp_dir().join(format!("runnel-dialog-{name}-{}", std::process::id()));
            fs::create_dir_all(folder.join("Ordner")).unwrap();
            for file in files {
                fs::write(folder.join(file), "x").unwrap();
            }
            Self(folder)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn folders_come_first_then_models_by_name() {
        let Folder(folder) = &Folder::new("list", &["b.TS", "A ä.runnel", "c.ckpt", "notes.txt", ".hidden.ts"]);
        for path in [folder.clone(), folder.join("A ä.runnel"), folder.join("gone/also gone.ts")] {
            let listing = list(&path).unwrap();
            let names: Vec<_> = listing.entries.iter().map(|e| e.name.as_str()).collect();
            assert_eq!(names, ["Ordner", "A ä.runnel", "b.TS", "c.ckpt"]);
            assert_eq!(listing.folder, *folder);
        }
    }

    #[test]
    fn work_apart_is_announced_when_it_is_there() {
        let (sender, announced) = mpsc::channel();
        let result = apart(|| 7, move || sender.send(()).unwrap());
        announced.recv().unwrap();
        assert_eq!(result.try_recv(), Ok(7));
    }
}
