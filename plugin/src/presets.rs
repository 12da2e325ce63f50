//! Presets: settings under a name, as files that a person can read and share.
//!
//! A preset is a JSON object: `version`, `name`, `model` if the settings were made for one, and `parameters`, plain values
//! by the parameters' lasting ids. What is missing stays as it is; ids that this version does not know are passed over.

pub mod factory;
pub mod snapshot;

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::folders::{Folders, replace};
pub use snapshot::{Settings, Value};

/// The version that is written, and the newest that is read.
const VERSION: u32 = 1;
/// A preset has some sixty short lines; a file beyond this is something else.
const MOST_BYTES: u64 = 256 * 1024;
const MOST_NAME: usize = 80;
const EXTENSION: &str = "json";

/// Settings under a name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preset {
    version: u32,
    /// What people call it.
    pub name: String,
    /// The model that it was made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<PresetModel>,
    /// Plain values by the parameters' ids.
    pub parameters: Settings,
}

/// The model that a preset was made with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PresetModel {
    /// What people call it.
    pub name: String,
    /// Where it was.
    pub path: String,
}

impl Preset {
    /// Settings under a name that can stand in a folder.
    ///
    /// # Errors
    /// In words, when the name cannot be a file's.
    pub fn new(name: &str, model: Option<PresetModel>, parameters: Settings) -> Result<Self, String> {
        Ok(Self { version: VERSION, name: checked_name(name)?, model, parameters })
    }

    /// A preset from a file's contents.
    ///
    /// # Errors
    /// In words, when it is none.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let preset: Self = serde_json::from_slice(text)
            .map_err(|e| format!("the file is damaged or no preset (line {})", e.line()))?;
        if preset.version > VERSION {
            return Err("this preset was saved by a newer Runnel; update to load it".into());
        }
        checked_name(&preset.name)?;
        Ok(preset)
    }

    /// Reads a preset file from anywhere.
    ///
    /// # Errors
    /// In words, when it is not there, too large, or no preset.
    pub fn read(path: &Path) -> Result<Self, String> {
        let told = |e: std::io::Error| format!("the preset cannot be read: {e}");
        let mut text = Vec::new();
        File::open(path).map_err(told)?.take(MOST_BYTES + 1).read_to_end(&mut text).map_err(told)?;
        if text.len() as u64 > MOST_BYTES {
            return Err("this file is too large to be a preset".into());
        }
        Self::parse(&text)
    }
}

/// The user's presets: the files of one folder.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// The presets in this folder, which need not exist yet.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The presets of whoever is logged in; `$RUNNEL_HOME` stands in for the usual place.
    pub fn of_user() -> Self {
        Self::new(Folders::of_user().config.join("presets"))
    }

    /// Where the files are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The names of all presets, sorted.
    pub fn names(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Vec::new() };
        let paths = entries.flatten().map(|entry| entry.path());
        let mut names: Vec<String> = paths
            .filter(|path| path.extension().is_some_and(|e| e == EXTENSION))
            .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
            .filter(|name| checked_name(name).is_ok())
            .collect();
        names.sort_by_key(|name| name.to_lowercase());
        names
    }

    /// Reads one by its name.
    ///
    /// # Errors
    /// As [`Preset::read`].
    pub fn load(&self, name: &str) -> Result<Preset, String> {
        Preset::read(&self.path(name)?)
    }

    /// Writes one, whole or not at all, over an older one of that name.
    ///
    /// # Errors
    /// In words, when it cannot be written.
    pub fn save(&self, preset: &Preset) -> Result<(), String> {
        let path = self.path(&preset.name)?;
        let told = |e: std::io::Error| format!("the preset cannot be saved in {}: {e}", self.folder.display());
        let text = serde_json::to_vec_pretty(preset).map_err(|e| e.to_string())?;
        replace(&path, &text).map_err(told)
    }

    /// Deletes one; it is no error if it is gone already.
    ///
    /// # Errors
    /// In words, when it stays.
    pub fn delete(&self, name: &str) -> Result<(), String> {
        match fs::remove_file(self.path(name)?) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(format!("the preset cannot be deleted: {e}")),
            _ => Ok(()),
        }
    }

    fn path(&self, name: &str) -> Result<PathBuf, String> {
        Ok(self.folder.join(format!("{}.{EXTENSION}", checked_name(name)?)))
    }
}

/// The name, trimmed, if every system takes it as a file's.
fn checked_name(name: &str) -> Result<String, String> {
    let name = name.trim();
    if name.is_empty() {
        return Err("a preset needs a name".into());
    }
    if name.len() > MOST_NAME {
        return Err(format!("a preset's name has at most {MOST_NAME} letters"));
    }
    if let Some(c) = name.chars().find(|c| c.is_control() || "/\\:*?\"<>|".contains(*c)) {
        return Err(format!("a preset's name cannot contain {c:?}"));
    }
    if name.starts_with('.') || name.ends_with('.') {
        return Err("a preset's name neither begins nor ends with a dot".into());
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::RunnelParams;

    struct Folder(Store);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("runnel-presets-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&folder);
            Self(Store::new(folder))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(self.0.folder());
        }
    }

    fn preset(name: &str) -> Preset {
        let model = PresetModel { name: "Ärger".into(), path: "/models/ä b.runnel".into() };
        Preset::new(name, Some(model), Settings::capture(&RunnelParams::default())).unwrap()
    }

    #[test]
    fn what_is_saved_is_loaded_listed_and_deleted() {
        let Folder(store) = &Folder::new("round");
        assert!(store.names().is_empty());
        for name in ["zart", "Breit & weit", "ö 100 %"] {
            store.save(&preset(name)).unwrap();
            store.save(&preset(name)).unwrap();
            assert_eq!(store.load(name).unwrap(), preset(name));
        }
        assert_eq!(store.names(), ["Breit & weit", "zart", "ö 100 %"]);
        assert_eq!(fs::read_dir(store.folder()).unwrap().count(), 3, "no drafts stay behind");
        store.delete("zart").unwrap();
        store.delete("zart").unwrap();
        assert_eq!(store.names().len(), 2);
        assert!(store.load("zart").is_err());
    }

    #[test]
    fn names_that_are_no_files_are_refused() {
        let Folder(store) = &Folder::new("names");
        for name in ["", "  ", "../../etc/passwd", "a/b", "a\\b", "C:x", ".hidden", "a\nb", &"x".repeat(300)] {
            assert!(Preset::new(name, None, Settings::default()).is_err(), "{name:?}");
            assert!(store.load(name).is_err() && store.delete(name).is_err());
        }
    }

    #[test]
    fn files_cut_anywhere_are_refused() {
        let text = serde_json::to_vec_pretty(&preset("whole")).unwrap();
        assert!(Preset::parse(&text).is_ok());
        for end in 0..text.len() {
            assert!(Preset::parse(&text[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn hostile_files_are_refused() {
        let deep = "[".repeat(100_000);
        let cases = [
            "null",
            "[]",
            r#"{"version": 1}"#,
            r#"{"version": 2, "name": "x", "parameters": {}}"#,
            r#"{"version": -1, "name": "x", "parameters": {}}"#,
            r#"{"version": 1, "name": "../x", "parameters": {}}"#,
            r#"{"version": 1, "name": "x", "parameters": {"mix": 1e999}}"#,
            r#"{"version": 1, "name": "x", "parameters": {"mix": [1]}}"#,
            &deep,
        ];
        for text in cases {
            assert!(Preset::parse(text.as_bytes()).is_err(), "{}", &text[..text.len().min(60)]);
        }
    }

    #[test]
    fn huge_files_are_refused_unread() {
        let Folder(store) = &Folder::new("huge");
        fs::create_dir_all(store.folder()).unwrap();
        let path = store.folder().join("huge.json");
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert!(store.load("huge").unwrap_err().contains("too large"));
    }
}
