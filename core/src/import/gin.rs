//! gin operative configurations: `config.gin` → bindings.

use super::ImportError;

/// The bindings of one file, macros resolved on access.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {}

/// A gin value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `None`.
    None,
    /// `True`, `False`.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// A string.
    Text(String),
    /// A list or tuple.
    List(Vec<Value>),
    /// A dictionary, in order.
    Dict(Vec<(Value, Value)>),
    /// `@scope/module.Name` or `@name()`: the configurable's name as written, without `@` and `()`.
    Reference(String),
}

/// Parses a configuration.
///
/// # Errors
/// Names the line that does not follow gin's grammar.
pub fn parse(text: &str) -> Result<Config, ImportError> {
    let _ = text;
    todo!()
}

impl Config {
    /// The value bound to `parameter` of `configurable` (its last name, such as `EncoderV2`), whatever module prefix
    /// the file writes before it; a binding in `scope` (such as `variational`) is preferred over one without scope.
    /// Macros are resolved.
    pub fn value(&self, scope: &str, configurable: &str, parameter: &str) -> Option<Value> {
        let _ = (scope, configurable, parameter);
        todo!()
    }

    /// The value of a macro, such as `CAPACITY`.
    pub fn constant(&self, name: &str) -> Option<Value> {
        let _ = name;
        todo!()
    }
}
