//! TorchScript archives: `.ts` → a tree of modules. The code in the archive is never run; of it, only the lines that
//! declare constants (`name : Final[…] = …`) are read.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Array, ImportError};

/// One module object of a TorchScript archive.
#[derive(Clone, Debug, PartialEq)]
pub struct Module {
    /// The class name with the mangling removed, such as `rave.blocks.EncoderV2`.
    pub class: String,
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
    /// A list or tuple.
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
    let _ = path;
    todo!()
}
