//! TorchScript archives: `.ts` → a tree of modules, with the constants that their classes declare in code
//! (`name : Final[…] = …`); and the archive's code, walked over signals where a model is known by nothing else.
//!
//! ```text
//! lex ──▶ parse (ast) ──▶ run (program, value) ──▶ language, number, torch/* ──▶ a Graph ──▶ tidy
//! ```
//!
//! Nothing is executed: what the tables of operators do not know is refused.

mod ast;
pub(in crate::import) mod compare;
mod constants;
mod language;
mod lex;
mod number;
mod parse;
pub(in crate::import) mod program;
pub(in crate::import) mod run;
#[cfg(test)]
mod tests;
pub(in crate::import) mod torch;
pub(in crate::import) mod value;

use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Seek};
use std::path::Path;
use std::rc::Rc;

use constants::{Classes, Constants};

use super::archive::{Archive, Format};
use super::pickle::{Dialect, Id, Object, Pickle, Value, clip};
use super::tensor::{Storages, View};
use super::{Array, ImportError};

/// Deepest nesting of modules and lists; RAVE's has about 12.
const DEPTH: usize = 64;
/// Most memory of the tree without its tensors, in bytes for each byte of the pickle, and in all.
const EXPANSION: usize = 128;
const MEMORY: usize = 1 << 30;
/// Where the archive's own classes begin.
const ROOT: &str = "__torch__.";

/// One module object of a TorchScript archive.
#[derive(Clone, Debug, PartialEq)]
pub struct Module {
    /// The class name with the mangling removed, such as `rave.blocks.EncoderV2`.
    pub class: String,
    /// The class name as the archive has it, such as `__torch__.rave.blocks.___torch_mangle_3.EncoderV2`.
    pub qualified: String,
    /// Attributes by name; children among them.
    pub attributes: BTreeMap<String, Attribute>,
    /// Constants that the class declares in code, such as `kernel_size` or `negative_slope`.
    pub constants: BTreeMap<String, Constant>,
}

/// The value of one attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// `None`.
    None,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// A string.
    Text(String),
    /// A list or tuple; a dictionary is the list of its pairs, a complex number that of its parts.
    List(Vec<Attribute>),
    /// A parameter or buffer.
    Tensor(Array),
    /// A child.
    Module(Module),
}

/// The value of one constant.
#[derive(Clone, Debug, PartialEq)]
pub enum Constant {
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// A string.
    Text(String),
    /// A list or tuple.
    List(Vec<Constant>),
}

/// Reads the archive at `path`.
///
/// # Errors
/// When the file cannot be read, is not TorchScript, or is damaged.
pub fn read(path: &Path) -> Result<Module, ImportError> {
    from_archive(&mut Archive::open(path)?)
}

/// Reads the module tree of an open archive.
///
/// # Errors
/// As [`read`].
pub fn from_archive<R: Read + Seek>(archive: &mut Archive<R>) -> Result<Module, ImportError> {
    if archive.format() != Format::TorchScript {
        let found = format!("{} is written by torch.save, not TorchScript", archive.file());
        return Err(ImportError::unknown(found, "read it as a training checkpoint (.ckpt)"));
    }
    let place = format!("{}, entry data.pkl", archive.file());
    let bytes = archive.read("data.pkl")?;
    let pickle = Pickle::parse(&bytes, &place, Dialect::TorchScript)?;
    let views = views(&pickle, &place)?;
    let classes = classes(&pickle, archive)?;
    let left = bytes.len().saturating_mul(EXPANSION).min(MEMORY) + (1 << 20);
    let storages = Storages::new(archive, views.values());
    let walk = Walk { pickle: &pickle, views: &views, classes: &classes, storages, left, path: Vec::new() };
    walk.root(&place)
}

/// The tensors that code calls `CONSTANTS.c0` and so on; none where the archive has none.
///
/// # Errors
/// When they are damaged.
pub(super) fn constants<R: Read + Seek>(archive: &mut Archive<R>) -> Result<Vec<Array>, ImportError> {
    if !archive.contains("constants.pkl") {
        return Ok(vec![]);
    }
    let place = format!("{}, entry constants.pkl", archive.file());
    let bytes = archive.read("constants.pkl")?;
    let pickle = Pickle::parse(&bytes, &place, Dialect::TorchScript)?;
    let items = pickle.items(pickle.root()).unwrap_or_default().to_vec();
    let views: Vec<View> =
        items.iter().filter_map(|&id| View::of(&pickle, id, &place).transpose()).collect::<Result<_, _>>()?;
    if views.len() != items.len() {
        return Err(ImportError::malformed(place, "holds something else than tensors"));
    }
    let mut storages = Storages::within(archive, "constants", views.iter());
    views.iter().map(|view| storages.read(view)).collect()
}

impl Module {
    /// The child, or child's child, at a dotted path such as `encoder.net.0`.
    pub fn at(&self, path: &str) -> Option<&Module> {
        path.split('.').try_fold(self, |module, name| module.child(name))
    }

    /// The child of this name.
    pub fn child(&self, name: &str) -> Option<&Module> {
        match self.attributes.get(name)? {
            Attribute::Module(module) => Some(module),
            _ => None,
        }
    }

    /// Names and children: numbered ones first, by number, as in `Sequential` and `ModuleList`; then the others.
    pub fn children(&self) -> Vec<(&str, &Module)> {
        let mut children: Vec<(&str, &Module)> =
            self.attributes.keys().filter_map(|name| Some((name.as_str(), self.child(name)?))).collect();
        children.sort_by_key(|(name, _)| name.parse().unwrap_or(u64::MAX));
        children
    }

    /// The parameter or buffer of this name; `None` too when it is Python's `None`.
    pub fn tensor(&self, name: &str) -> Option<&Array> {
        match self.attributes.get(name)? {
            Attribute::Tensor(array) => Some(array),
            _ => None,
        }
    }

    /// The integer attribute of this name.
    pub fn int(&self, name: &str) -> Option<i64> {
        match *self.attributes.get(name)? {
            Attribute::Int(value) => Some(value),
            _ => None,
        }
    }

    /// The boolean attribute of this name.
    pub fn bool(&self, name: &str) -> Option<bool> {
        match *self.attributes.get(name)? {
            Attribute::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The string attribute of this name.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.attributes.get(name)? {
            Attribute::Text(value) => Some(value),
            _ => None,
        }
    }

    /// The attribute of this name, if it is a list or tuple of integers, such as `_pad`.
    pub fn ints(&self, name: &str) -> Option<Vec<i64>> {
        let Attribute::List(items) = self.attributes.get(name)? else { return None };
        let int = |item: &Attribute| match *item {
            Attribute::Int(value) => Some(value),
            _ => None,
        };
        items.iter().map(int).collect()
    }

    /// The integer constant of this name, or the one integer in a tuple, as `stride` of a one-dimensional convolution.
    pub fn constant_int(&self, name: &str) -> Option<i64> {
        match self.constants.get(name)? {
            Constant::Int(value) => Some(*value),
            Constant::List(items) => match items[..] {
                [Constant::Int(value)] => Some(value),
                _ => None,
            },
            _ => None,
        }
    }

    /// The float constant of this name, such as `negative_slope` or `eps`.
    pub fn constant_float(&self, name: &str) -> Option<f64> {
        match *self.constants.get(name)? {
            Constant::Float(value) => Some(value),
            Constant::Int(value) => Some(value as f64),
            _ => None,
        }
    }
}

/// Every tensor of the pickle, checked.
fn views(pickle: &Pickle, place: &str) -> Result<HashMap<Id, View>, ImportError> {
    let tensors = pickle.values().map(|(id, _)| Ok(View::of(pickle, id, place)?.map(|view| (id, view))));
    tensors.filter_map(Result::transpose).collect()
}

/// The constants of every class that has objects, by the id of its name.
fn classes<R: Read + Seek>(
    pickle: &Pickle,
    archive: &mut Archive<R>,
) -> Result<HashMap<Id, Rc<Constants>>, ImportError> {
    let mut known = Classes::default();
    let mut classes = HashMap::new();
    for (_, value) in pickle.values() {
        if let Value::Object(object) = value
            && let Some(path) = pickle.global(object.callee)
            && path.starts_with(ROOT)
            && !classes.contains_key(&object.callee)
        {
            classes.insert(object.callee, known.constants(path, archive)?);
        }
    }
    Ok(classes)
}

/// Unfolds the pickle's table into a tree. Values may be shared or contain themselves: depth and memory are limited.
struct Walk<'a, R> {
    pickle: &'a Pickle,
    views: &'a HashMap<Id, View>,
    classes: &'a HashMap<Id, Rc<Constants>>,
    storages: Storages<'a, R>,
    /// Bytes that may still be taken, roughly.
    left: usize,
    /// Names of the attributes that lead to the value at work.
    path: Vec<&'a str>,
}

impl<'a, R: Read + Seek> Walk<'a, R> {
    fn root(mut self, place: &str) -> Result<Module, ImportError> {
        let root = self.pickle.root();
        match self.attribute(root) {
            Ok(Attribute::Module(module)) => Ok(module),
            Ok(_) => {
                let found = format!("{place} holds {} instead of a module", self.pickle.describe(root));
                Err(ImportError::unknown(found, "export a module with torch.jit.save"))
            }
            Err(Stop::At(reason)) => {
                let path: Vec<String> = self.path.iter().map(|name| clip(name)).collect();
                let separator = if path.is_empty() { "" } else { ", " };
                Err(ImportError::malformed(format!("{place}{separator}{}", path.join(".")), reason))
            }
            Err(Stop::Import(error)) => Err(error),
        }
    }

    fn attribute(&mut self, id: Id) -> Result<Attribute, Stop> {
        if self.path.len() > DEPTH {
            return Err(Stop::At(format!("modules and lists nest deeper than {DEPTH}, perhaps in a circle")));
        }
        if let Some(view) = self.views.get(&id) {
            self.charge(64)?;
            return self.storages.read(view).map(Attribute::Tensor).map_err(Stop::Import);
        }
        Ok(match self.pickle.value(id) {
            Value::None => Attribute::None,
            Value::Bool(value) => Attribute::Bool(*value),
            Value::Int(value) => Attribute::Int(*value),
            Value::Float(value) => Attribute::Float(*value),
            Value::Text(text) => {
                self.charge(text.len())?;
                Attribute::Text(text.to_string())
            }
            Value::List(items) | Value::Tuple(items) => Attribute::List(self.list(items.iter().copied())?),
            Value::Dict(entries) => Attribute::List(self.pairs(entries)?),
            Value::Object(object) => self.object(id, object)?,
            Value::BigInt | Value::Bytes | Value::Set(_) | Value::Global(_) | Value::Persistent(_) => {
                return Err(Stop::At(format!("{} as an attribute", self.pickle.describe(id))));
            }
        })
    }

    fn list(&mut self, items: impl Iterator<Item = Id>) -> Result<Vec<Attribute>, Stop> {
        self.path.push("[]");
        let mut list = Vec::new();
        for item in items {
            self.charge(size_of::<Attribute>())?;
            list.push(self.attribute(item)?);
        }
        self.path.pop();
        Ok(list)
    }

    fn pairs(&mut self, entries: &'a [(Id, Id)]) -> Result<Vec<Attribute>, Stop> {
        let mut pairs = Vec::new();
        for &(key, value) in entries {
            self.charge(size_of::<Attribute>())?;
            pairs.push(Attribute::List(self.list([key, value].into_iter())?));
        }
        Ok(pairs)
    }

    fn object(&mut self, id: Id, object: &'a Object) -> Result<Attribute, Stop> {
        let name = self.pickle.global(object.callee).unwrap_or_default();
        if let Some(path) = name.strip_prefix(ROOT) {
            return self.module(path, object).map(Attribute::Module);
        }
        if name == "builtins.complex"
            && let Some(parts) = self.pickle.items(object.arguments)
        {
            return self.list(parts.iter().copied()).map(Attribute::List);
        }
        let inner = match (name, self.pickle.items(object.arguments)) {
            ("torch.device" | "torch.jit._pickle.restore_type_tag", Some(&[inner, ..])) => inner,
            (name, Some(&[inner])) if name.starts_with("torch.jit._pickle.build_") => inner,
            _ => return Err(Stop::At(format!("{} as an attribute", self.pickle.describe(id)))),
        };
        self.path.push("()");
        let attribute = self.attribute(inner)?;
        self.path.pop();
        Ok(attribute)
    }

    fn module(&mut self, path: &str, object: &'a Object) -> Result<Module, Stop> {
        let constants = match self.classes.get(&object.callee) {
            Some(constants) => Rc::clone(constants),
            None => Rc::default(),
        };
        self.charge(
            MODULE + path.len() + constants.iter().map(|(name, value)| name.len() + weight(value)).sum::<usize>(),
        )?;
        let entries = match object.state.map(|id| (id, self.pickle.value(id))) {
            None => &[],
            Some((_, Value::Dict(entries))) => entries.as_slice(),
            Some((id, _)) => {
                let state = self.pickle.describe(id);
                return Err(Stop::At(format!("the state of a {} is {state}, not its attributes", clip(path))));
            }
        };
        let mut attributes = BTreeMap::new();
        for &(key, value) in entries {
            let Some(name) = self.pickle.text(key) else {
                return Err(Stop::At(format!("{} as the name of an attribute", self.pickle.describe(key))));
            };
            self.charge(name.len() + size_of::<Attribute>())?;
            self.path.push(name);
            attributes.insert(name.to_owned(), self.attribute(value)?);
            self.path.pop();
        }
        Ok(Module {
            class: unmangled(path),
            qualified: format!("{ROOT}{path}"),
            attributes,
            constants: constants.as_ref().clone(),
        })
    }

    fn charge(&mut self, bytes: usize) -> Result<(), Stop> {
        let Some(left) = self.left.checked_sub(bytes) else {
            return Err(Stop::At("shared values unfold to far more than the file".to_owned()));
        };
        self.left = left;
        Ok(())
    }
}

/// Why a walk ends: a reason at the walk's path, or an error that knows its place.
enum Stop {
    At(String),
    Import(ImportError),
}

/// Memory of a module's maps, in bytes, roughly.
const MODULE: usize = 2048;

/// Memory of a constant, in bytes, roughly.
fn weight(constant: &Constant) -> usize {
    64 + match constant {
        Constant::Text(text) => text.len(),
        Constant::List(items) => items.iter().map(weight).sum(),
        Constant::Bool(_) | Constant::Int(_) | Constant::Float(_) => 0,
    }
}

/// `rave.blocks.___torch_mangle_3.Residual` → `rave.blocks.Residual`.
fn unmangled(path: &str) -> String {
    let parts: Vec<&str> = path.split('.').filter(|part| !part.starts_with("___torch_mangle_")).collect();
    parts.join(".")
}
