//! A whole pickled `torch.nn.Module`: a tree of classes, attributes and tensors. Its classes are only names here, and what
//! they compute is for the reader of a format to know.

use std::collections::BTreeMap;
use std::io::{Read, Seek};

use super::archive::Archive;
use super::pickle::{Id, Pickle, Value, clip};
use super::tensor::{Storages, View};
use super::{ImportError, StateDict};

/// Deepest nesting of modules, and most modules, that are walked; a pickle may contain itself.
const DEPTH: usize = 64;
const MODULES: usize = 1 << 14;
/// Most tensors, and longest dotted name in bytes.
const TENSORS: usize = 1 << 16;
const NAME: usize = 1024;

/// One module of a pickle, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Module<'a> {
    pickle: &'a Pickle,
    state: Id,
    class: &'a str,
    /// Dotted path from the outermost module, which is empty.
    pub(super) path: String,
}

impl<'a> Module<'a> {
    /// The outermost module, if the pickle is one.
    pub(super) fn root(pickle: &'a Pickle) -> Option<Self> {
        Self::at(pickle, pickle.root(), String::new())
    }

    fn at(pickle: &'a Pickle, id: Id, path: String) -> Option<Self> {
        let Value::Object(object) = pickle.value(id) else { return None };
        let (class, state) = (pickle.global(object.callee)?, object.state?);
        // What every module has, whatever its class.
        pickle.entries(pickle.entry(state, "_modules")?)?;
        Some(Self { pickle, state, class, path })
    }

    /// The class's own name, without its project's modules.
    pub(super) fn class(&self) -> &'a str {
        self.class.rsplit('.').next().unwrap_or(self.class)
    }

    /// The modules in it, in order.
    ///
    /// # Errors
    /// When one of them is none, or its name is no string.
    pub(super) fn children(&self) -> Result<Vec<(&'a str, Self)>, ImportError> {
        let entries = self.pickle.entry(self.state, "_modules").and_then(|id| self.pickle.entries(id));
        let child = |&(key, value): &(Id, Id)| {
            let name = self.pickle.text(key).filter(|name| self.path.len() + name.len() < NAME);
            let name = name.ok_or_else(|| self.malformed("a part of it has no name, or too long a one"))?;
            let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
            match Self::at(self.pickle, value, path) {
                Some(module) => Ok(Some((name, module))),
                // An absent part.
                None if *self.pickle.value(value) == Value::None => Ok(None),
                None => {
                    let what = self.pickle.describe(value);
                    Err(self.malformed(format!("{} is {what} where a module belongs", clip(name))))
                }
            }
        };
        entries.unwrap_or_default().iter().filter_map(|entry| child(entry).transpose()).collect()
    }

    /// The integer under this name.
    pub(super) fn int(&self, name: &str) -> Option<i64> {
        match *self.pickle.value(self.pickle.entry(self.state, name)?) {
            Value::Int(int) => Some(int),
            _ => None,
        }
    }

    /// The number under this name.
    pub(super) fn float(&self, name: &str) -> Option<f64> {
        match *self.pickle.value(self.pickle.entry(self.state, name)?) {
            Value::Int(int) => Some(int as f64),
            Value::Float(float) => Some(float),
            _ => None,
        }
    }

    /// The boolean under this name.
    pub(super) fn bool(&self, name: &str) -> Option<bool> {
        match *self.pickle.value(self.pickle.entry(self.state, name)?) {
            Value::Bool(bool) => Some(bool),
            _ => None,
        }
    }

    /// The string under this name.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.pickle.text(self.pickle.entry(self.state, name)?)
    }

    /// The one integer in the tuple under this name, as PyTorch keeps sizes of one dimension.
    pub(super) fn size(&self, name: &str) -> Option<usize> {
        let [only] = *self.pickle.items(self.pickle.entry(self.state, name)?)? else { return None };
        match *self.pickle.value(only) {
            Value::Int(int) => usize::try_from(int).ok(),
            _ => None,
        }
    }

    /// Something about it is damaged, or not as its class has it.
    pub(super) fn malformed(&self, reason: impl Into<String>) -> ImportError {
        let path = if self.path.is_empty() { "the model" } else { &self.path };
        ImportError::malformed(format!("{} ({})", clip(path), clip(self.class)), reason)
    }

    /// Every tensor of it and of the modules in it, by the names that its state dict would have.
    ///
    /// # Errors
    /// When a module contains itself, or a tensor is damaged.
    pub(super) fn state_dict<R: Read + Seek>(&self, archive: &mut Archive<R>) -> Result<StateDict, ImportError> {
        let mut views = BTreeMap::new();
        self.collect(DEPTH, &mut MODULES.clone(), &mut views)?;
        let mut storages = Storages::new(archive, views.values());
        views.iter().map(|(name, view)| Ok((name.clone(), storages.read(view)?))).collect()
    }

    fn collect(
        &self,
        depth: usize,
        modules_left: &mut usize,
        views: &mut BTreeMap<String, View>,
    ) -> Result<(), ImportError> {
        let endless = || self.malformed(format!("more than {MODULES} modules, or nested deeper than {DEPTH}"));
        *modules_left = modules_left.checked_sub(1).ok_or_else(endless)?;
        let depth = depth.checked_sub(1).ok_or_else(endless)?;
        for kind in ["_parameters", "_buffers"] {
            let entries = self.pickle.entry(self.state, kind).and_then(|id| self.pickle.entries(id));
            for &(key, value) in entries.unwrap_or_default() {
                let Some(name) = self.pickle.text(key).filter(|name| self.path.len() + name.len() < NAME) else {
                    return Err(self.malformed("a tensor of it has no name, or too long a one"));
                };
                let name = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
                if *self.pickle.value(value) == Value::None {
                    continue;
                }
                let Some(view) = View::of(self.pickle, value, &name)? else {
                    let what = self.pickle.describe(value);
                    return Err(self.malformed(format!("{} is {what} where a tensor belongs", clip(&name))));
                };
                if views.len() == TENSORS {
                    return Err(self.malformed(format!("more than {TENSORS} tensors")));
                }
                views.insert(name, view);
            }
        }
        for (_, child) in self.children()? {
            child.collect(depth, modules_left, views)?;
        }
        Ok(())
    }
}
