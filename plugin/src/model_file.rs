//! Which file a project plays: how it is remembered, and how it is found again on another day or another machine.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::dial::Dial;
use crate::folders::Folders;

/// A model as a project remembers it. Empty for none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelReference {
    /// Where it was last.
    pub path: String,
    /// What it was, once it has been read.
    pub known: Option<Known>,
}

/// What is known of a model that was read.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Known {
    /// Its place seen from the user's folder, if it lies there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_home: Option<String>,
    /// Its place seen from the library, if it lies there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_library: Option<String>,
    /// Its name, without folders.
    pub name: String,
    /// Its contents.
    #[serde(flatten)]
    pub contents: Contents,
    /// The latency that it is played at.
    #[serde(default, skip_serializing_if = "Dial::is_exact")]
    pub refit_ms: Dial,
}

/// What tells one model's contents from another's. Not a signature: it guards against mistakes, not against intent.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
pub struct Contents {
    /// Bytes of all files.
    pub size: u64,
    /// Hash over all of them, 16 hexadecimal digits.
    pub hash: String,
}

/// Where a remembered model is now.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// Here.
    At(PathBuf),
    /// At none of these places.
    Nowhere(Vec<PathBuf>),
}

/// Most bytes of a path that is looked for.
pub const LONGEST_PATH: usize = 1 << 15;
/// Most bytes of a model's file, and characters of a name that are shown.
const MOST_BYTES: u64 = 1 << 33;
const LONGEST_NAME: usize = 120;

impl Known {
    /// Whether a file at `path` has its name.
    pub fn is_of(&self, path: &str) -> bool {
        last_part(path) == self.name
    }
}

impl ModelReference {
    /// The model at `path`, of which nothing is known yet.
    pub fn at(path: impl Into<String>) -> Self {
        Self { path: path.into(), known: None }
    }

    /// The model at `path`, which has these contents, played at the latency of `dial`.
    pub fn known(path: &Path, contents: Contents, dial: Dial, folders: &Folders) -> Self {
        let inside = |folder: &Path| path.strip_prefix(folder).ok().map(portable);
        let path_text = path.to_string_lossy().into_owned();
        let known = Known {
            in_home: inside(&folders.home),
            in_library: inside(&folders.library),
            name: last_part(&path_text).to_owned(),
            contents,
            refit_ms: dial,
        };
        Self { path: path_text, known: Some(known) }
    }

    /// The latency that it is played at.
    pub fn dial(&self) -> Dial {
        self.known.as_ref().map_or_else(Dial::default, |known| known.refit_ms)
    }

    /// Whether no model is meant.
    pub fn is_empty(&self) -> bool {
        self.path.trim().is_empty() && self.known.is_none()
    }

    /// The file's name for people.
    pub fn name(&self) -> String {
        let name = self.known.as_ref().map_or_else(|| last_part(self.path.trim()), |known| &known.name);
        match name.char_indices().nth(LONGEST_NAME) {
            Some((end, _)) => format!("{}…", &name[..end]),
            None => name.to_owned(),
        }
    }

    /// Looks for the model: where it was, at the same place in the user's folders, and by name and contents in `others`.
    pub fn find(&self, folders: &Folders, others: &[PathBuf]) -> Found {
        let mut looked_at = vec![];
        let mut exists = |path: PathBuf| {
            let found = fs::exists(&path).unwrap_or(false);
            if !found && !looked_at.contains(&path) {
                looked_at.push(path.clone());
            }
            found.then_some(path)
        };
        let usable = |path: &str| !path.trim().is_empty() && path.len() <= LONGEST_PATH;
        if let Some(path) = Some(typed(&self.path, folders)).filter(|_| usable(&self.path)).and_then(&mut exists) {
            return Found::At(path);
        }
        let Some(known) = &self.known else { return Found::Nowhere(looked_at) };
        for (folder, place) in [(&folders.library, &known.in_library), (&folders.home, &known.in_home)] {
            let place = place.as_deref().filter(|place| usable(place)).and_then(native);
            if let Some(path) = place.map(|place| folder.join(place)).and_then(&mut exists) {
                return Found::At(path);
            }
        }
        let name = Some(&known.name).filter(|name| usable(name) && last_part(name) == name.as_str() && *name != "..");
        for folder in name.iter().flat_map(|_| std::iter::once(&folders.library).chain(others)) {
            let same = |path: &PathBuf| contents(path).is_ok_and(|c| c == known.contents);
            if let Some(path) = exists(folder.join(&known.name)).filter(same) {
                return Found::At(path);
            }
        }
        Found::Nowhere(looked_at)
    }
}

/// The path that a person typed or pasted: without quotes around it, and with `~` for the user's own folder.
pub fn typed(text: &str, folders: &Folders) -> PathBuf {
    let text = text.trim();
    let text = ['"', '\''].iter().find_map(|&q| text.strip_prefix(q)?.strip_suffix(q)).unwrap_or(text);
    match text.strip_prefix("~/") {
        Some(rest) => folders.home.join(rest),
        None => PathBuf::from(text),
    }
}

/// What the model at `path` consists of: the file, or a run's checkpoint and configuration.
///
/// # Errors
/// In words: why it cannot be read, and the cure.
pub fn contents(path: &Path) -> Result<Contents, String> {
    let shown = path.display();
    let metadata = fs::metadata(path).map_err(|e| explain(path, &e))?;
    if !metadata.is_dir() && !metadata.is_file() {
        return Err(format!("{shown} is a device, not a file; choose a model file"));
    }
    let converted = metadata.is_file() && runnel::format::is_runnel(path).map_err(|e| e.to_string())?;
    let files = if converted {
        vec![path.to_owned()]
    } else {
        runnel::import::files(path).map_err(|e| naming(path, &e.to_string()))?
    };
    let (mut size, mut hash) = (0, Hash::default());
    for file in &files {
        let bytes = fs::metadata(file).map_err(|e| explain(file, &e))?.len();
        if bytes > MOST_BYTES {
            return Err(format!("{} has {bytes} bytes, more than any model; choose another file", file.display()));
        }
        hash.word(bytes);
        size += hash.file(file).map_err(|e| explain(file, &e))?;
    }
    Ok(Contents { size, hash: format!("{:016x}", hash.0) })
}

/// A reason that names the file.
pub fn naming(path: &Path, reason: &str) -> String {
    let shown = path.display().to_string();
    if reason.contains(&shown) { reason.to_owned() } else { format!("{shown}: {reason}") }
}

fn explain(path: &Path, error: &io::Error) -> String {
    let shown = path.display();
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            format!("{shown} is not there; if it was moved or its disk is not connected, choose it again")
        }
        ErrorKind::PermissionDenied => {
            format!("{shown} may not be read; allow this user to read it, or copy it elsewhere")
        }
        _ => format!("{shown} cannot be read: {error}"),
    }
}

/// The part after the last separator of any system.
fn last_part(path: &str) -> &str {
    path.rsplit(['/', '\\']).find(|part| !part.is_empty()).unwrap_or(path)
}

/// A relative path with `/` between its parts.
fn portable(path: &Path) -> String {
    let parts: Vec<_> = path.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}

/// The path of [`portable`] parts, unless it leads outside.
fn native(place: &str) -> Option<PathBuf> {
    let inside = Path::new(place).components().all(|part| matches!(part, std::path::Component::Normal(_)));
    inside.then(|| place.split('/').collect())
}

/// A name for these bytes: FNV-1a.
pub(crate) fn fingerprint(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// Multiplies and folds 8 bytes at a time: as fast as a disk reads.
struct Hash(u64);

impl Default for Hash {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hash {
    fn word(&mut self, word: u64) {
        let mixed = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }

    /// Takes a file in; its number of bytes.
    fn file(&mut self, path: &Path) -> io::Result<u64> {
        const PIECE: usize = 1 << 18;
        let mut file = File::open(path)?.take(MOST_BYTES);
        let (mut size, mut piece) = (0, Vec::with_capacity(PIECE));
        loop {
            piece.clear();
            if file.by_ref().take(PIECE as u64).read_to_end(&mut piece)? == 0 {
                return Ok(size);
            }
            size += piece.len() as u64;
            let (words, rest) = piece.as_chunks::<8>();
            words.iter().for_each(|word| self.word(u64::from_le_bytes(*word)));
            rest.iter().for_each(|&byte| self.word(u64::from(byte)));
        }
    }
}

#[cfg(test)]
mod tests {
    use runnel::format;

    use super::*;
    use crate::folders::TestFolder;
    use crate::test_models::lookahead_stream;

    fn model(path: &Path, ahead: usize) -> Contents {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        format::save(&lookahead_stream(ahead, 1, 48_000), path).unwrap();
        contents(path).unwrap()
    }

    #[test]
    fn what_is_known_is_kept_as_text() {
        let folders = Folders::below("/home/me".into());
        let contents = Contents { size: 7, hash: "00ff".into() };
        let whole = ModelReference::known(Path::new("/home/me/models/x/ä.runnel"), contents, Dial::Exact, &folders);
        let json = serde_json::to_value(&whole.known).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "in_home": "models/x/ä.runnel", "in_library": "x/ä.runnel", "name": "ä.runnel", "size": 7, "hash": "00ff"
            })
        );
        // From a later version, and one that has lost half of itself.
        let mut later = json.clone();
        later["colour"] = "red".into();
        assert_eq!(serde_json::from_value::<Option<Known>>(later).unwrap(), whole.known);
        let mut less = json;
        less.as_object_mut().unwrap().remove("hash");
        assert!(serde_json::from_value::<Option<Known>>(less).is_err());
    }

    #[test]
    fn a_moved_model_is_found() {
        let folder = TestFolder::new("moved");
        let (old, new) = (Folders::below(folder.0.join("old")), Folders::below(folder.0.join("new")));
        let original = old.library.join("kits/drums.runnel");
        let contents = model(&original, 5);
        let reference = ModelReference::known(&original, contents, Dial::Exact, &old);
        let find = |others: &[PathBuf]| reference.find(&new, others);
        assert_eq!(find(&[]), Found::At(original.clone()));
        let elsewhere = folder.0.join("elsewhere/drums.runnel");
        fs::create_dir_all(elsewhere.parent().unwrap()).unwrap();
        fs::rename(&original, &elsewhere).unwrap();
        let Found::Nowhere(looked_at) = find(&[]) else { panic!("found") };
        assert_eq!(looked_at[0], original);
        let others = [elsewhere.parent().unwrap().to_owned()];
        assert_eq!(find(&others), Found::At(elsewhere.clone()));
        // The same name, but not the same model.
        model(&elsewhere, 6);
        assert!(matches!(find(&others), Found::Nowhere(_)));
        let place = new.library.join("kits/drums.runnel");
        model(&place, 6);
        assert_eq!(find(&others), Found::At(place), "the same place counts, whatever lies there");
    }

    #[test]
    fn a_project_leads_nowhere_outside() {
        let folder = TestFolder::new("outside");
        let folders = Folders::below(folder.0.join("home"));
        fs::create_dir_all(&folders.library).unwrap();
        let outside = folder.0.join("outside.runnel");
        let contents = model(&outside, 5);
        let known = |place: &str, name: &str| Known {
            in_home: Some(place.into()),
            in_library: Some(place.into()),
            name: name.into(),
            contents: contents.clone(),
            refit_ms: Dial::Exact,
        };
        for (place, name) in [("../outside.runnel", "../../outside.runnel"), ("", "..")] {
            let reference = ModelReference { path: "gone".into(), known: Some(known(place, name)) };
            assert!(matches!(reference.find(&folders, &[]), Found::Nowhere(_)), "{place}");
        }
        let noise = "x".repeat(10_000_000);
        let reference = ModelReference { path: noise.clone(), known: Some(known(&noise, &noise)) };
        assert_eq!(reference.find(&folders, &[]), Found::Nowhere(vec![]));
        assert!(reference.name().len() < 200);
    }

    #[test]
    fn contents_do_not_depend_on_the_place() {
        let folder = TestFolder::new("contents");
        let (a, b) = (folder.0.join("a.runnel"), folder.0.join("b.runnel"));
        let contents = model(&a, 5);
        fs::copy(&a, &b).unwrap();
        assert_eq!(super::contents(&b).unwrap(), contents);
        let mut bytes = fs::read(&b).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&b, bytes).unwrap();
        assert_ne!(super::contents(&b).unwrap(), contents);
        let gone = super::contents(&folder.0.join("gone.runnel")).unwrap_err();
        assert!(gone.contains("gone.runnel is not there"), "{gone}");
    }

    #[test]
    fn what_people_type_is_understood() {
        let folders = Folders::below("/home/me".into());
        assert_eq!(typed(" \"/a b/c.ts\" ", &folders), Path::new("/a b/c.ts"));
        assert_eq!(typed("~/c.ts", &folders), Path::new("/home/me/c.ts"));
        assert_eq!(ModelReference::at("C:\\Models\\bass.runnel").name(), "bass.runnel");
    }
}
