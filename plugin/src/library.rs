//! What a person plays: the models opened last, and those that lie beside one another in a folder.

use std::cmp::Ordering;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::folders::{Folders, replace};

/// Models that the list of recent ones holds.
pub const MOST_RECENT: usize = 20;

/// The list of models opened last, shared by all instances through a file.
#[derive(Clone, Debug)]
pub struct Library {
    file: PathBuf,
}

#[derive(Default, Deserialize, Serialize)]
struct Recent {
    models: Vec<PathBuf>,
}

/// Most bytes of the list, and entries of a folder, that are looked at.
const MOST_BYTES: u64 = 1 << 20;
const MOST_ENTRIES: usize = 10_000;
const EXTENSIONS: [&str; 8] = ["runnel", "ts", "nm", "ckpt", "nam", "onnx", "pt", "safetensors"];
/// What describes the weights beside it.
const DESCRIPTION: &str = runnel::import::described::FILE_NAME;

impl Library {
    /// The library of one user.
    pub fn new(folders: &Folders) -> Self {
        Self { file: folders.config.join("recent.json") }
    }

    /// The models opened last, the newest first. A damaged list is an empty one.
    pub fn recent(&self) -> Vec<PathBuf> {
        let mut bytes = vec![];
        let read = fs::File::open(&self.file).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut bytes));
        let recent: Recent = read.ok().and_then(|_| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let mut models = recent.models;
        models.truncate(MOST_RECENT);
        models
    }

    /// Puts `path` first. A list that cannot be written stays as it is: nobody should miss a model for that.
    pub fn remember(&self, path: &Path) {
        let others = self.recent().into_iter().filter(|other| other != path);
        self.write(std::iter::once(path.to_owned()).chain(others).take(MOST_RECENT).collect());
    }

    /// Takes `path` off the list.
    pub fn forget(&self, path: &Path) {
        self.write(self.recent().into_iter().filter(|other| other != path).collect());
    }

    /// The folders that the recent models lie in, each once.
    pub fn recent_folders(&self) -> Vec<PathBuf> {
        let mut folders: Vec<PathBuf> = vec![];
        for folder in self.recent().iter().filter_map(|model| model.parent()) {
            if !folders.iter().any(|known| known == folder) {
                folders.push(folder.to_owned());
            }
        }
        folders
    }

    fn write(&self, models: Vec<PathBuf>) {
        // A path that is no Unicode cannot be in the list; the others can.
        let models = models.into_iter().filter(|path| path.to_str().is_some()).collect();
        if let Ok(json) = serde_json::to_vec_pretty(&Recent { models }) {
            let _ = replace(&self.file, &json);
        }
    }
}

/// The models before and after `path` in its folder, in the order a person would give them; `None` at either end.
pub fn neighbours(path: &Path) -> (Option<PathBuf>, Option<PathBuf>) {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return (None, None) };
    let name = name.to_string_lossy();
    let (mut before, mut after): (Option<PathBuf>, Option<PathBuf>) = (None, None);
    for other in models(folder) {
        let Some(other_name) = other.file_name().map(|n| n.to_string_lossy().into_owned()) else { continue };
        match natural(&other_name, &name) {
            Ordering::Less => before = Some(other),
            Ordering::Equal => {}
            Ordering::Greater => {
                after = Some(other);
                break;
            }
        }
    }
    (before, after)
}

/// The models in `folder`, in the order a person would give them: files by their extension, and training runs.
pub fn models(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return vec![] };
    let paths = entries.take(MOST_ENTRIES).filter_map(|entry| Some(entry.ok()?.path()));
    let mut models: Vec<PathBuf> = paths.filter(|path| is_model(path)).collect();
    let name = |path: &PathBuf| path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    models.sort_by(|a, b| natural(&name(a), &name(b)));
    models
}

/// The model that files and folders stand for: the first of them that is one, or that has some, whose first it is then.
pub fn first_model(paths: &[PathBuf]) -> Option<PathBuf> {
    paths.iter().find_map(|path| {
        if path.is_dir() && !is_model(path) {
            models(path).into_iter().next()
        } else {
            (path.is_dir() || is_named_as_model(path)).then(|| path.clone())
        }
    })
}

/// Whether a file of this name may be a model.
pub fn is_named_as_model(path: &Path) -> bool {
    path.extension().is_some_and(|end| EXTENSIONS.iter().any(|e| end.eq_ignore_ascii_case(e)))
        || path.file_name().is_some_and(|name| name == DESCRIPTION)
}

fn is_model(path: &Path) -> bool {
    if path.is_dir() {
        ["config.gin", "weights.npy"].iter().any(|name| path.join(name).is_file())
    } else {
        is_named_as_model(path) && path.is_file()
    }
}

/// Order of names in which numbers count as numbers and case does not; names that differ are never equal.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    while let (Some(x), Some(y)) = (left.chars().next(), right.chars().next()) {
        let order = if x.is_ascii_digit() && y.is_ascii_digit() {
            let (x, y) = (take_digits(&mut left), take_digits(&mut right));
            x.len().cmp(&y.len()).then_with(|| x.cmp(y))
        } else {
            (left, right) = (&left[x.len_utf8()..], &right[y.len_utf8()..]);
            x.to_lowercase().cmp(y.to_lowercase())
        };
        if order.is_ne() {
            return order;
        }
    }
    left.len().cmp(&right.len()).then_with(|| a.cmp(b))
}

/// The digits at the start of `text`, which it loses, without leading zeros.
fn take_digits<'a>(text: &mut &'a str) -> &'a str {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    *text = rest;
    digits.trim_start_matches('0')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folders::TestFolder;

    #[test]
    fn the_newest_come_first_and_no_more_than_twenty() {
        let folder = TestFolder::new("recent");
        let library = Library::new(&Folders::below(folder.0.clone()));
        assert!(library.recent().is_empty());
        (0..25).for_each(|n| library.remember(Path::new(&format!("/m/ä {n}.runnel"))));
        library.remember(Path::new("/m/ä 20.runnel"));
        let recent = library.recent();
        assert_eq!(recent.len(), MOST_RECENT);
        assert_eq!(recent[0], Path::new("/m/ä 20.runnel"));
        assert_eq!(recent[1], Path::new("/m/ä 24.runnel"));
        assert_eq!(library.recent_folders(), [Path::new("/m")]);
        library.forget(&recent[0]);
        assert_eq!(library.recent()[0], recent[1]);
    }

    #[test]
    fn a_damaged_list_is_begun_again() {
        let folder = TestFolder::new("damaged-list");
        let library = Library::new(&Folders::below(folder.0.clone()));
        for noise in [&b"{\"models\": [3"[..], b"", &[0xff; 3_000_000]] {
            replace(&library.file, noise).unwrap();
            assert!(library.recent().is_empty());
            library.remember(Path::new("/a.runnel"));
            assert_eq!(library.recent(), [Path::new("/a.runnel")]);
        }
    }

    #[test]
    fn neighbours_are_in_a_persons_order() {
        let folder = TestFolder::new("neighbours");
        for name in ["Kit 10.runnel", "kit 2.ts", "kit 1.runnel", "notes.txt", "öd.ckpt", "kit 02.ts"] {
            fs::write(folder.0.join(name), "").unwrap();
        }
        fs::create_dir_all(folder.0.join("run")).unwrap();
        fs::write(folder.0.join("run/config.gin"), "").unwrap();
        let names = ["kit 1.runnel", "kit 02.ts", "kit 2.ts", "Kit 10.runnel", "run", "öd.ckpt"];
        let found: Vec<_> = models(&folder.0);
        assert_eq!(found, names.map(|name| folder.0.join(name)));
        for (n, path) in found.iter().enumerate() {
            let before = n.checked_sub(1).map(|n| found[n].clone());
            assert_eq!(neighbours(path), (before, found.get(n + 1).cloned()));
        }
        // One that has gone still has its place.
        let gone = neighbours(&folder.0.join("kit 3.runnel"));
        assert_eq!(gone, (Some(found[2].clone()), Some(found[3].clone())));
        assert_eq!(neighbours(Path::new("/")), (None, None));
        assert_eq!(neighbours(&folder.0.join("none/x.runnel")), (None, None));
    }
}
