//! Where the plugin keeps what is not part of a project.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// One user's folders. None is made before something is written to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folders {
    /// What paths in a project may be relative to.
    pub home: PathBuf,
    /// Where a person may collect models.
    pub library: PathBuf,
    /// Settings.
    pub config: PathBuf,
    /// What can be made again.
    pub cache: PathBuf,
}

impl Folders {
    /// The user's own; what is written lies below `$RUNNEL_HOME` where that is set.
    pub fn of_user() -> Self {
        if cfg!(test) {
            return Self::below(std::env::temp_dir().join("runnel-tests-home"));
        }
        if let Some(home) = std::env::var_os("RUNNEL_HOME").filter(|home| !home.is_empty()) {
            return Self { home: user(), ..Self::below(PathBuf::from(home)) };
        }
        let home = user();
        Self {
            library: dirs::document_dir().unwrap_or_else(|| home.clone()).join("Runnel Models"),
            config: dirs::config_dir().unwrap_or_else(|| home.join(".config")).join("runnel"),
            cache: dirs::cache_dir().unwrap_or_else(|| home.join(".cache")).join("runnel"),
            home,
        }
    }

    /// All of them in one folder.
    pub fn below(home: PathBuf) -> Self {
        Self { library: home.join("models"), config: home.join("config"), cache: home.join("cache"), home }
    }
}

fn user() -> PathBuf {
    dirs::home_dir().unwrap_or_else(std::env::temp_dir)
}

/// Gives `path` these contents, whole or not at all, whoever else writes to it. Its folder is made where missing.
///
/// # Errors
/// When the system refuses; what stood there then stays.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().ok_or_else(|| io::Error::other("not a file name"))?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut part = name.to_os_string();
    part.push(format!(".{}-{}.{PART}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed)));
    let part = path.with_file_name(part);
    fs::write(&part, bytes).and_then(|()| fs::rename(&part, path)).inspect_err(|_| {
        let _ = fs::remove_file(&part);
    })
}

/// How the names of unfinished files end.
pub const PART: &str = "part";

/// A folder of its own for one test, gone when dropped.
#[cfg(test)]
pub(crate) struct TestFolder(pub(crate) PathBuf);

#[cfg(test)]
impl TestFolder {
    pub(crate) fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("runnel-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

#[cfg(test)]
impl Drop for TestFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole() {
        let folder = TestFolder::new("replace");
        let path = folder.0.join("new/ä.json");
        replace(&path, b"first").unwrap();
        replace(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert!(replace(&folder.0, b"over a folder").is_err());
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing unfinished stays");
    }
}
