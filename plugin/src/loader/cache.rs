//! Checkpoints that were converted once, kept for the next time.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use runnel::StreamModel;
use runnel::format;

use super::refit::Order;
use crate::folders::{Folders, PART, replace};
use crate::model_file::{Contents, fingerprint};

/// Bytes that the cache may hold.
const MOST_BYTES: u64 = 4 << 30;
/// How old an unfinished file is that nobody finishes any more.
const ABANDONED: Duration = Duration::from_hours(24);

/// A folder of converted models, named by what they were made of and by what made them.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
    most_bytes: u64,
}

impl Cache {
    pub(super) fn new(folders: &Folders) -> Self {
        Self { folder: folders.cache.join("converted"), most_bytes: MOST_BYTES }
    }

    /// The model of a checkpoint with these contents and this name, from the cache or from `convert`.
    ///
    /// Whatever is wrong with the cache costs time and nothing else.
    pub(super) fn get(
        &self,
        contents: &Contents,
        name: &str,
        convert: impl FnOnce() -> Result<StreamModel, String>,
    ) -> Result<StreamModel, String> {
        let path = self.path(contents, name, "");
        if let Some(model) = read(&path) {
            return Ok(model);
        }
        let model = convert()?;
        self.keep(&path, &model);
        Ok(model)
    }

    /// The model that was refitted by this order, if it is here.
    pub(super) fn refitted(&self, order: &Order) -> Option<StreamModel> {
        read(&self.refitted_path(order))
    }

    /// Keeps the model that was refitted by this order; whether it could.
    pub(super) fn keep_refitted(&self, order: &Order, model: &StreamModel) -> bool {
        self.keep(&self.refitted_path(order), model)
    }

    fn refitted_path(&self, order: &Order) -> PathBuf {
        self.path(&order.contents, &name_of(&order.path), &order.variant())
    }

    fn keep(&self, path: &Path, model: &StreamModel) -> bool {
        let kept = format::to_bytes(model)
            .is_ok_and(|bytes| bytes.len() as u64 <= self.most_bytes && replace(path, &bytes).is_ok());
        if kept {
            self.shrink();
        }
        kept
    }

    fn path(&self, contents: &Contents, name: &str, variant: &str) -> PathBuf {
        // The name is part of the model: it was read from the path.
        let name = fingerprint(name.bytes());
        let Contents { size, hash } = contents;
        let made_by = format!("{}-{}", env!("CARGO_PKG_VERSION"), format::VERSION);
        self.folder.join(format!("{hash}-{size:x}-{name:016x}-{made_by}{variant}.runnel"))
    }

    /// Removes what was not used for longest until the rest fits.
    fn shrink(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        let mut files: Vec<(SystemTime, u64, PathBuf)> = vec![];
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let Ok(metadata) = fs::metadata(&path) else { continue };
            let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            if has_extension(&path, PART) {
                if used.elapsed().is_ok_and(|age| age > ABANDONED) {
                    let _ = fs::remove_file(&path);
                }
            } else if metadata.is_file() && has_extension(&path, "runnel") {
                files.push((used, metadata.len(), path));
            }
        }
        files.sort();
        let mut sum: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, bytes, path) in files {
            if sum <= self.most_bytes {
                break;
            }
            if fs::remove_file(path).is_ok() {
                sum -= bytes;
            }
        }
    }
}

/// The part of a path that a model's name is read from.
pub(super) fn name_of(path: &Path) -> Cow<'_, str> {
    path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default()
}

/// The model in a file of the cache, which was used now.
fn read(path: &Path) -> Option<StreamModel> {
    let model = format::load(path).ok()?;
    let used = fs::File::options().append(true).open(path);
    let _ = used.and_then(|file| file.set_modified(SystemTime::now()));
    Some(model)
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|end| end == extension)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folders::TestFolder;
    use crate::test_models::lookahead_stream;

    fn contents(n: u64) -> Contents {
        Contents { size: n, hash: format!("{n:016x}") }
    }

    fn model() -> StreamModel {
        lookahead_stream(50, 1, 48_000)
    }

    #[test]
    fn a_second_time_nothing_is_converted() {
        let folder = TestFolder::new("cache");
        let cache = Cache::new(&Folders::below(folder.0.clone()));
        assert_eq!(cache.get(&contents(1), "a", || Ok(model())), Ok(model()));
        assert_eq!(cache.get(&contents(1), "a", || panic!("converted again")), Ok(model()));
        for (n, name) in [(2, "a"), (1, "b")] {
            let refused = cache.get(&contents(n), name, || Err("bad".into()));
            assert_eq!(refused, Err("bad".into()), "another model");
        }
    }

    #[test]
    fn a_damaged_file_is_written_again() {
        let folder = TestFolder::new("cache-damage");
        let cache = Cache::new(&Folders::below(folder.0.clone()));
        cache.get(&contents(1), "a", || Ok(model())).unwrap();
        let path = cache.path(&contents(1), "a", "");
        let whole = fs::read(&path).unwrap();
        for damaged in [&whole[..whole.len() / 2], b"", b"noise"] {
            fs::write(&path, damaged).unwrap();
            assert_eq!(cache.get(&contents(1), "a", || Ok(model())), Ok(model()));
            assert_eq!(fs::read(&path).unwrap(), whole);
        }
    }

    #[test]
    fn a_cache_that_cannot_be_written_is_done_without() {
        let folder = TestFolder::new("cache-file");
        let folders = Folders::below(folder.0.clone());
        fs::write(&folders.cache, "a file where the folder should be").unwrap();
        assert_eq!(Cache::new(&folders).get(&contents(1), "a", || Ok(model())), Ok(model()));
    }

    #[test]
    fn what_was_not_used_for_longest_goes() {
        let folder = TestFolder::new("cache-full");
        let bytes = format::to_bytes(&model()).unwrap().len() as u64;
        let cache = Cache { most_bytes: 2 * bytes, ..Cache::new(&Folders::below(folder.0.clone())) };
        let used = |n: u64, ago: u64| {
            cache.get(&contents(n), "a", || Ok(model())).unwrap();
            let file = fs::File::options().append(true).open(cache.path(&contents(n), "a", "")).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(ago)).unwrap();
        };
        used(1, 300);
        used(2, 200);
        cache.get(&contents(1), "a", || panic!("was there")).unwrap();
        used(3, 0);
        let there = |n| cache.path(&contents(n), "a", "").exists();
        assert_eq!([there(1), there(2), there(3)], [true, false, true]);
    }
}
