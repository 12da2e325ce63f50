//! What a name in the code stands for while the code is walked.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use super::{Attribute, Constant as Declared, Module};
use crate::import::onnx::constant::{Constant, Data};
use crate::import::onnx::dim::Dim;
use crate::import::onnx::value::Signal;
use crate::import::{Array, ImportError, Values};

/// A value of the language.
#[derive(Clone, Debug)]
pub(in crate::import) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// A number that depends on how long the signal is, and whether it is a float.
    Length(Dim, bool),
    Text(Rc<str>),
    List(Rc<List>),
    Tuple(Rc<[Value]>),
    /// Values by name, which code reads only.
    Table(Rc<BTreeMap<Rc<str>, Value>>),
    Object(Rc<Object>),
    Tensor(Rc<Tensor>),
    /// A function of the archive, by its full name.
    Function(Rc<str>),
}

/// A list, which code may change.
#[derive(Debug)]
pub(in crate::import) struct List {
    pub(super) items: RefCell<Vec<Value>>,
    /// Lists and tuples within each other.
    level: Cell<u8>,
    /// Whether another list or tuple holds it: then no list or tuple may be put into it, so that levels stay true.
    held: Cell<bool>,
}

/// A module of the archive while its code runs.
#[derive(Debug)]
pub(in crate::import) struct Object {
    /// Full name of its class, mangling and all.
    pub(in crate::import) class: Rc<str>,
    /// Where it stands in the model, such as `encoder.net.0`.
    pub(in crate::import) path: Rc<str>,
    pub(in crate::import) attributes: RefCell<BTreeMap<Rc<str>, Value>>,
}

/// A tensor, and the memory that it shares with the views of it.
#[derive(Debug)]
pub(in crate::import) struct Tensor {
    pub(super) content: RefCell<Content>,
    pub(super) storage: Rc<Storage>,
    /// The storage's version when the content was written.
    pub(super) seen: Cell<u32>,
}

/// What tensors share that were made as views of each other.
#[derive(Debug, Default)]
pub(super) struct Storage {
    /// How often it was written.
    pub(super) version: Cell<u32>,
    /// Whether it is the model's own: a parameter or buffer.
    pub(super) owned: bool,
}

/// What a tensor holds.
#[derive(Clone, Debug)]
pub(in crate::import) enum Content {
    /// Known before any signal is.
    Constant(Constant),
    Signal(Signal),
    /// A signal cut to whole numbers; only what looks up entries reads it.
    Whole(Signal),
    /// What cannot become part of a stream: told when something needs it.
    Refused(Rc<Refusal>),
}

/// Why an operator cannot become part of a stream.
#[derive(Debug)]
pub(in crate::import) struct Refusal {
    pub(super) node: String,
    pub(super) op: String,
    pub(super) reason: String,
}

impl From<&Refusal> for ImportError {
    fn from(refusal: &Refusal) -> Self {
        let Refusal { node, op, reason } = refusal;
        Self::Operator { node: node.clone(), op: op.clone(), reason: reason.clone() }
    }
}

impl Value {
    pub(in crate::import) fn list(items: Vec<Value>) -> Self {
        let level = items.iter().map(Value::held).max().unwrap_or(0).saturating_add(1);
        Self::List(Rc::new(List { items: RefCell::new(items), level: Cell::new(level), held: Cell::new(false) }))
    }

    pub(in crate::import) fn tuple(items: Vec<Value>) -> Self {
        for item in &items {
            let _ = item.held();
        }
        Self::Tuple(items.into())
    }

    /// Lists and tuples within each other.
    pub(super) fn level(&self) -> u8 {
        match self {
            Self::List(list) => list.level.get(),
            Self::Tuple(items) => items.iter().map(Value::level).max().unwrap_or(0).saturating_add(1),
            _ => 0,
        }
    }

    /// Notes that it is put into a list or tuple; its level.
    fn held(&self) -> u8 {
        if let Self::List(list) = self {
            list.held.set(true);
        }
        self.level()
    }

    /// A new tensor, which shares memory with no other.
    pub(in crate::import) fn tensor(content: Content) -> Self {
        Self::Tensor(Rc::new(Tensor { content: RefCell::new(content), storage: Rc::default(), seen: Cell::new(0) }))
    }

    /// A tensor that is a view of `of`.
    pub(super) fn view(content: Content, of: &Tensor) -> Self {
        Self::Tensor(Rc::new(Tensor {
            content: RefCell::new(content),
            storage: Rc::clone(&of.storage),
            seen: Cell::new(of.storage.version.get()),
        }))
    }

    /// A tensor of these values, which the model owns.
    pub(in crate::import) fn constant_of(array: &Array) -> Self {
        owned(Content::Constant(constant(array)))
    }

    /// What it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Length(..) => "a number that depends on the signal's length",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Tuple(_) => "a tuple",
            Self::Table(_) => "a dictionary",
            Self::Object(_) => "a module",
            Self::Tensor(_) => "a tensor",
            Self::Function(_) => "a function",
        }
    }

    /// The signal that a tensor holds, also one cut to whole numbers.
    pub(in crate::import) fn signal(&self) -> Option<Signal> {
        let Self::Tensor(tensor) = self else { return None };
        match &*tensor.content.borrow() {
            Content::Signal(signal) | Content::Whole(signal) => Some(signal.clone()),
            Content::Constant(_) | Content::Refused(_) => None,
        }
    }

    /// Whether it is a tensor whose values the file does not settle, or holds one.
    fn is_heard(&self) -> bool {
        match self {
            Self::Tensor(tensor) => !matches!(*tensor.content.borrow(), Content::Constant(_)),
            Self::Object(object) => object.heard().is_some(),
            value => value.items().is_some_and(|items| items.iter().any(Self::is_heard)),
        }
    }

    /// The tensor's values, if they are known.
    pub(in crate::import) fn constant(&self) -> Option<Constant> {
        let Self::Tensor(tensor) = self else { return None };
        if let Content::Constant(constant) = &*tensor.content.borrow() { Some(constant.clone()) } else { None }
    }

    /// The items of a list or tuple.
    pub(in crate::import) fn items(&self) -> Option<Vec<Value>> {
        match self {
            Self::List(list) => Some(list.items.borrow().clone()),
            Self::Tuple(items) => Some(items.to_vec()),
            _ => None,
        }
    }
}

impl List {
    /// Puts items in at a place.
    ///
    /// # Errors
    /// When the list becomes too long, or lists would lie in each other without end.
    pub(super) fn insert(&self, at: usize, items: Vec<Value>, most: usize) -> Result<(), String> {
        let mut own = self.items.borrow_mut();
        if own.len() + items.len() > most || at > own.len() {
            return Err(format!("puts {} items at {at} of {}; lists have at most {most}", items.len(), own.len()));
        }
        if self.held.get() && items.iter().any(|item| item.level() > 0) {
            return Err("puts a list into a list that lies in another one".into());
        }
        let level = items.iter().map(Value::held).max().unwrap_or(0).saturating_add(1);
        if self.held.get() && level > 1 {
            return Err("puts a list into itself".into());
        }
        self.level.set(self.level.get().max(level));
        own.splice(at..at, items);
        Ok(())
    }
}

impl Object {
    /// The module and all below it, as the archive holds them.
    pub(in crate::import) fn new(module: &Module) -> Rc<Self> {
        object(module, "")
    }

    /// A copy that can be written without changing this one; values of tensors are shared.
    pub(in crate::import) fn fresh(&self) -> Rc<Self> {
        let attributes = self.attributes.borrow().iter().map(|(name, value)| (Rc::clone(name), fresh(value))).collect();
        Rc::new(Self {
            class: Rc::clone(&self.class),
            path: Rc::clone(&self.path),
            attributes: RefCell::new(attributes),
        })
    }

    pub(in crate::import) fn attribute(&self, name: &str) -> Option<Value> {
        self.attributes.borrow().get(name).cloned()
    }

    /// Where an attribute, its own or a child's, holds a signal: what a call leaves to the next.
    pub(in crate::import) fn heard(&self) -> Option<String> {
        let attributes = self.attributes.borrow();
        attributes.iter().find_map(|(name, value)| match value {
            Value::Object(child) => child.heard(),
            value if value.is_heard() => Some(format!("{}.{name}", self.path).trim_start_matches('.').to_owned()),
            _ => None,
        })
    }

    /// The child of this name.
    pub(in crate::import) fn child(&self, name: &str) -> Option<Rc<Object>> {
        if let Some(Value::Object(child)) = self.attribute(name) { Some(child) } else { None }
    }

    /// Its class without module path and mangling.
    pub(in crate::import) fn short_class(&self) -> &str {
        self.class.rsplit('.').next().unwrap_or(&self.class)
    }
}

fn object(module: &Module, path: &str) -> Rc<Object> {
    let mut attributes: BTreeMap<Rc<str>, Value> = BTreeMap::new();
    for (name, constant) in &module.constants {
        attributes.insert(name.as_str().into(), declared(constant));
    }
    for (name, attribute) in &module.attributes {
        let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        attributes.insert(name.as_str().into(), stored(attribute, &below));
    }
    Rc::new(Object { class: module.qualified.as_str().into(), path: path.into(), attributes: RefCell::new(attributes) })
}

fn declared(constant: &Declared) -> Value {
    match constant {
        Declared::Bool(value) => Value::Bool(*value),
        Declared::Int(value) => Value::Int(*value),
        Declared::Float(value) => Value::Float(*value),
        Declared::Text(text) => Value::Text(text.as_str().into()),
        Declared::List(items) => Value::tuple(items.iter().map(declared).collect()),
    }
}

fn stored(attribute: &Attribute, path: &str) -> Value {
    match attribute {
        Attribute::None => Value::None,
        Attribute::Bool(value) => Value::Bool(*value),
        Attribute::Int(value) => Value::Int(*value),
        Attribute::Float(value) => Value::Float(*value),
        Attribute::Text(text) => Value::Text(text.as_str().into()),
        Attribute::List(items) => Value::list(items.iter().map(|item| stored(item, path)).collect()),
        Attribute::Tensor(array) => owned(Content::Constant(constant(array))),
        Attribute::Module(module) => Value::Object(object(module, path)),
    }
}

/// The values of an array as a constant.
pub(in crate::import) fn constant(array: &Array) -> Constant {
    match &array.values {
        Values::Float(values) => Constant::floats(array.shape.clone(), &values[..]),
        Values::Int(values) => {
            Constant { shape: array.shape.clone(), data: Data::Int(values[..].into()), stretched: vec![] }
        }
    }
}

fn owned(content: Content) -> Value {
    Value::Tensor(Rc::new(Tensor {
        content: RefCell::new(content),
        storage: Rc::new(Storage { version: Cell::new(0), owned: true }),
        seen: Cell::new(0),
    }))
}

fn fresh(value: &Value) -> Value {
    match value {
        Value::List(list) => Value::list(list.items.borrow().iter().map(fresh).collect()),
        Value::Tuple(items) => Value::tuple(items.iter().map(fresh).collect()),
        Value::Object(object) => Value::Object(object.fresh()),
        Value::Tensor(tensor) => owned(tensor.content.borrow().clone()),
        other => other.clone(),
    }
}
