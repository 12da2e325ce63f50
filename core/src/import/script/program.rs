//! The code of an archive: files are parsed when something in them is first called.

use std::collections::HashMap;
use std::rc::Rc;

use super::ROOT;
use super::ast::{File, Function};
use super::parse;
use crate::import::ImportError;

/// Bytes of one file of code beyond which it is refused.
const MOST_BYTES: usize = 1 << 24;

/// What reads an entry of the archive; `None` where there is none of that name.
pub(in crate::import) type Entries<'a> = Box<dyn FnMut(&str) -> Result<Option<Vec<u8>>, ImportError> + 'a>;

/// The functions and methods of an archive.
pub(in crate::import) struct Program<'a> {
    entries: Entries<'a>,
    files: HashMap<String, Rc<File>>,
}

impl<'a> Program<'a> {
    pub(in crate::import) fn new(entries: Entries<'a>) -> Self {
        Self { entries, files: HashMap::new() }
    }

    /// The method `name` of the class of this full name, and its file.
    ///
    /// # Errors
    /// When its file is missing, or is not what TorchScript writes.
    pub(super) fn method(&mut self, class: &str, name: &str) -> Result<Option<Rc<Function>>, ImportError> {
        let (module, short) = class.rsplit_once('.').unwrap_or(("", class));
        let file = self.file(module)?;
        let class = file.classes.iter().find(|class| *class.name == *short);
        Ok(class.and_then(|class| class.methods.iter().find(|method| *method.name == *name)).cloned())
    }

    /// Whether the archive has a method `name` of the class of this full name.
    pub(in crate::import) fn has_method(&mut self, class: &str, name: &str) -> Result<bool, ImportError> {
        self.method(class, name).map(|method| method.is_some())
    }

    /// The function of this full name.
    ///
    /// # Errors
    /// As [`Self::method`].
    pub(super) fn function(&mut self, path: &str) -> Result<Option<Rc<Function>>, ImportError> {
        let (module, name) = path.rsplit_once('.').unwrap_or(("", path));
        Ok(self.file(module)?.functions.iter().find(|function| *function.name == *name).cloned())
    }

    fn file(&mut self, module: &str) -> Result<Rc<File>, ImportError> {
        if let Some(file) = self.files.get(module) {
            return Ok(Rc::clone(file));
        }
        let entry = entry(module);
        let bytes = (self.entries)(&entry)?
            .ok_or_else(|| ImportError::malformed(&entry, "is called, and is not in the archive; copy it again"))?;
        let refuse = |reason: String| ImportError::malformed(&entry, reason);
        if bytes.len() > MOST_BYTES {
            return Err(refuse(format!("has {} bytes of code, at most {MOST_BYTES} are read", bytes.len())));
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| refuse("is not UTF-8; the file is damaged".into()))?;
        let file = parse::file(text)
            .map_err(|(line, reason)| ImportError::malformed(format!("{entry}, line {line}"), reason))?;
        let file = Rc::new(file);
        self.files.insert(module.to_owned(), Rc::clone(&file));
        Ok(file)
    }
}

/// The archive's entry with the code of a module.
pub(super) fn entry(module: &str) -> String {
    let clipped: String = module.chars().take(300).collect();
    format!("code/{}.py", clipped.replace('.', "/"))
}

/// A full name without `__torch__.` and mangling, such as `rave.blocks.Residual`.
pub(in crate::import) fn plain(path: &str) -> String {
    let parts = path.strip_prefix(ROOT).unwrap_or(path).split('.').filter(|part| !part.starts_with("___torch_mangle_"));
    parts.collect::<Vec<_>>().join(".")
}
