//! A mark on a model that is being read, which outlives a host that ends meanwhile: such a model is not read again
//! unasked.
//!
//! The mark is a file that its process holds locked. The system releases the lock when the process ends, however it
//! ends, so a mark that can be locked is one that was left behind.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::folders::Folders;
use crate::model_file::Contents;

/// The folder of marks.
#[derive(Debug)]
pub(super) struct Markers {
    folder: PathBuf,
}

/// A model is being read while this exists.
#[derive(Debug)]
pub(super) struct Marker {
    path: PathBuf,
    _locked: File,
}

/// Marks that are looked at.
const MOST: usize = 1_000;

impl Markers {
    pub(super) fn new(folders: &Folders) -> Self {
        Self { folder: folders.config.join("loading") }
    }

    /// Marks the model with these contents; nothing where the system does not allow it.
    pub(super) fn set(&self, contents: &Contents) -> Option<Marker> {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        fs::create_dir_all(&self.folder).ok()?;
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let unique = format!("{}-{serial}-{:x}", std::process::id(), now());
        let (unlocked, path) = (self.folder.join(&unique), self.folder.join(format!("{}.{unique}", contents.hash)));
        let mut file = File::create_new(&unlocked).ok()?;
        // Nobody may see it under its lasting name without its lock.
        let made = file.try_lock().map_err(std::io::Error::from);
        let made = made.and_then(|()| file.write_all(b"Runnel is reading a model.\n"));
        if made.and_then(|()| fs::rename(&unlocked, &path)).is_err() {
            let _ = fs::remove_file(&unlocked);
            return None;
        }
        Some(Marker { path, _locked: file })
    }

    /// Whether a process ended while it read this model.
    pub(super) fn is_left_behind(&self, contents: &Contents) -> bool {
        !self.left_behind(contents).is_empty()
    }

    /// Forgets that it did.
    pub(super) fn forgive(&self, contents: &Contents) {
        for path in self.left_behind(contents) {
            let _ = fs::remove_file(path);
        }
    }

    fn left_behind(&self, contents: &Contents) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return vec![] };
        let start = format!("{}.", contents.hash);
        let names = entries.take(MOST).filter_map(|entry| entry.ok());
        let of_this = names.filter(|entry| entry.file_name().to_string_lossy().starts_with(&start));
        of_this.map(|entry| entry.path()).filter(is_unlocked).collect()
    }
}

impl Drop for Marker {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Where locks are unknown, no mark counts as left behind.
fn is_unlocked(path: &PathBuf) -> bool {
    match File::options().read(true).write(true).open(path).map(|file| file.try_lock()) {
        Ok(Ok(())) => true,
        Ok(Err(TryLockError::WouldBlock | TryLockError::Error(_))) | Err(_) => false,
    }
}

fn now() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_nanos())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    use super::*;
    use crate::folders::TestFolder;

    #[test]
    fn only_a_mark_without_its_process_counts() {
        let folder = TestFolder::new("markers");
        let markers = Markers::new(&Folders::below(folder.0.clone()));
        let contents = |hash: &str| Contents { size: 1, hash: hash.into() };
        let (this, other) = (contents("01"), contents("02"));
        assert!(!markers.is_left_behind(&this));
        let (first, second) = (markers.set(&this).unwrap(), markers.set(&this).unwrap());
        assert!(!markers.is_left_behind(&this), "two instances read it just now");
        drop(first);
        assert!(!markers.is_left_behind(&this));
        drop(second);
        assert_eq!(fs::read_dir(&markers.folder).unwrap().count(), 0);

        fs::write(markers.folder.join("01.4711-0-0"), "left by a crash").unwrap();
        assert!(markers.is_left_behind(&this) && !markers.is_left_behind(&other));
        let mine = markers.set(&this).unwrap();
        markers.forgive(&this);
        assert!(!markers.is_left_behind(&this));
        assert!(mine.path.exists(), "the one in use stays");
    }

    /// Another process marks, waits, and ends as crashes do; it is this test again, told so by a variable.
    #[test]
    fn a_process_that_ends_leaves_its_mark() {
        const VARIABLE: &str = "RUNNEL_TEST_MARKER_HOME";
        let contents = Contents { size: 1, hash: "0a".into() };
        if let Some(home) = std::env::var_os(VARIABLE) {
            let marker = Markers::new(&Folders::below(home.into())).set(&contents);
            println!("\nmarked: {}", marker.is_some());
            let _ = std::io::stdin().read_line(&mut String::new());
            std::process::abort();
        }
        let folder = TestFolder::new("markers-process");
        let markers = Markers::new(&Folders::below(folder.0.clone()));
        let name = std::thread::current().name().unwrap().to_owned();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &name, "--nocapture"])
            .env(VARIABLE, &folder.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let marked = lines.map_while(Result::ok).find(|line| line.starts_with("marked"));
        assert_eq!(marked.as_deref(), Some("marked: true"));
        assert!(!markers.is_left_behind(&contents), "it still reads");
        drop(child.stdin.take());
        assert!(!child.wait().unwrap().success());
        assert!(markers.is_left_behind(&contents));
        markers.forgive(&contents);
        assert!(!markers.is_left_behind(&contents));
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_done_without() {
        let folder = TestFolder::new("markers-file");
        let folders = Folders::below(folder.0.clone());
        fs::write(&folders.config, "a file where the folder should be").unwrap();
        let markers = Markers::new(&folders);
        let contents = Contents { size: 1, hash: "01".into() };
        assert!(markers.set(&contents).is_none());
        assert!(!markers.is_left_behind(&contents));
    }
}
