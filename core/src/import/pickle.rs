//! A small pickle machine with a whitelist: builds data, calls nothing.
//!
//! `GLOBAL` is only a name; `REDUCE`, `NEWOBJ` and `BUILD` only record what was asked for. Opcodes outside
//! [`opcode`] are refused by name and offset; which names are, [`Dialect`] says.
//!
//! Values live in one table and refer to each other by index. A value that is used twice is stored once, so a memo
//! bomb costs nothing to read, and dropping needs no recursion however deep a file nests. Who walks the table limits
//! the walk: values may be shared, or contain themselves.

mod machine;
mod names;
mod opcode;
#[cfg(test)]
pub(crate) mod tests;

pub use names::Dialect;

use super::ImportError;

/// A value's index in its [`Pickle`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Id(u32);

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `None`.
    None,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer beyond 64 bits; nothing that a model needs.
    BigInt,
    /// A float.
    Float(f64),
    /// A string.
    Text(Box<str>),
    /// Raw bytes; nothing that a model needs.
    Bytes,
    /// A list.
    List(Vec<Id>),
    /// A tuple.
    Tuple(Vec<Id>),
    /// A set, frozen or not.
    Set(Vec<Id>),
    /// A dictionary, in the order written; of equal keys the last counts.
    Dict(Vec<(Id, Id)>),
    /// A name: module and attribute as one dotted path.
    Global(Box<str>),
    /// What a call or instantiation would have made.
    Object(Box<Object>),
    /// A reference to data outside the pickle: PyTorch's storages.
    Persistent(Id),
}

/// The record of a call that was not made.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// What would have been called, or the class.
    pub callee: Id,
    /// Its arguments, a tuple.
    pub arguments: Id,
    /// The state it would have been given.
    pub state: Option<Id>,
    /// What would have been appended.
    pub items: Vec<Id>,
    /// What would have been set by key.
    pub entries: Vec<(Id, Id)>,
}

/// A pickle's values.
#[derive(Clone, Debug, PartialEq)]
pub struct Pickle {
    values: Vec<Value>,
    root: Id,
}

impl Pickle {
    /// Reads the pickle in `bytes`; `place` names it in messages.
    ///
    /// # Errors
    /// Names the opcode or name that is not allowed, or what is damaged, and its byte offset.
    pub fn parse(bytes: &[u8], place: &str, dialect: Dialect) -> Result<Self, ImportError> {
        let (values, root) = machine::run(bytes, dialect)
            .map_err(|(offset, reason)| ImportError::malformed(format!("{place}, byte {offset}"), reason))?;
        Ok(Self { values, root })
    }

    /// The outermost value.
    pub fn root(&self) -> Id {
        self.root
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no value; never, for a pickle that was read.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The value of an id of this pickle.
    pub fn value(&self, id: Id) -> &Value {
        &self.values[id.0 as usize]
    }

    /// All values, in the order read.
    pub fn values(&self) -> impl Iterator<Item = (Id, &Value)> {
        self.values.iter().enumerate().map(|(i, value)| (Id(i as u32), value))
    }

    /// The string, if it is one.
    pub fn text(&self, id: Id) -> Option<&str> {
        match self.value(id) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The name, if it is one.
    pub fn global(&self, id: Id) -> Option<&str> {
        match self.value(id) {
            Value::Global(name) => Some(name),
            _ => None,
        }
    }

    /// The elements, if it is a list or tuple.
    pub fn items(&self, id: Id) -> Option<&[Id]> {
        match self.value(id) {
            Value::List(items) | Value::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// The entries, if it is a dictionary or an object that was given entries as one is.
    pub fn entries(&self, id: Id) -> Option<&[(Id, Id)]> {
        match self.value(id) {
            Value::Dict(entries) => Some(entries),
            Value::Object(object) if object.is_dict(self) => Some(&object.entries),
            _ => None,
        }
    }

    /// The value under a string key of a dictionary.
    pub fn entry(&self, id: Id, key: &str) -> Option<Id> {
        let entry = self.entries(id)?.iter().rev().find(|(k, _)| self.text(*k) == Some(key));
        entry.map(|&(_, value)| value)
    }

    /// The name and arguments of a call, if it is one.
    pub fn call(&self, id: Id) -> Option<(&str, &[Id])> {
        let Value::Object(object) = self.value(id) else { return None };
        Some((self.global(object.callee)?, self.items(object.arguments)?))
    }

    /// What a value is, in words for a message.
    pub fn describe(&self, id: Id) -> String {
        match self.value(id) {
            Value::None => "None".to_owned(),
            Value::Bool(_) => "a boolean".to_owned(),
            Value::Int(_) | Value::BigInt => "an integer".to_owned(),
            Value::Float(_) => "a float".to_owned(),
            Value::Text(_) => "a string".to_owned(),
            Value::Bytes => "bytes".to_owned(),
            Value::List(_) => "a list".to_owned(),
            Value::Tuple(_) => "a tuple".to_owned(),
            Value::Set(_) => "a set".to_owned(),
            Value::Dict(_) => "a dictionary".to_owned(),
            Value::Global(name) => format!("the name {}", clip(name)),
            Value::Object(object) => match self.global(object.callee) {
                Some(name) => format!("an object of {}", clip(name)),
                None => "an object".to_owned(),
            },
            Value::Persistent(_) => "a storage".to_owned(),
        }
    }
}

impl Object {
    fn is_dict(&self, pickle: &Pickle) -> bool {
        !self.entries.is_empty() || pickle.global(self.callee) == Some("collections.OrderedDict")
    }
}

/// At most 80 characters of `text`, for messages.
pub(super) fn clip(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
