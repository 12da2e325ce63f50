//! The Python subset that TorchScript's printer writes, as a tree. Types are read over; nothing of them is kept.

use std::rc::Rc;

/// One file of code: functions and classes by name.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) functions: Vec<Rc<Function>>,
    pub(super) classes: Vec<Class>,
}

/// A class: its methods. Attributes are read from the archive's data.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) name: Rc<str>,
    pub(super) methods: Vec<Rc<Function>>,
}

/// A function or method.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: Rc<str>,
    /// Names, and defaults where there are any; `self` among them.
    pub(super) parameters: Vec<(Rc<str>, Option<Expr>)>,
    pub(super) body: Vec<Statement>,
}

#[derive(Debug)]
pub(super) struct Statement {
    pub(super) line: u32,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Assign(Target, Expr),
    Expr(Expr),
    Return(Option<Expr>),
    If(Expr, Vec<Statement>, Vec<Statement>),
    For(Target, Expr, Vec<Statement>),
    While(Expr, Vec<Statement>),
    Pass,
}

/// What an assignment writes.
#[derive(Debug)]
pub(super) enum Target {
    Name(Rc<str>),
    Attribute(Expr, Rc<str>),
    /// Several, from a list or tuple of as many.
    Many(Vec<Target>),
}

#[derive(Debug)]
pub(super) struct Expr {
    pub(super) line: u32,
    pub(super) node: Node,
}

#[derive(Debug)]
pub(super) enum Node {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Rc<str>),
    Name(Rc<str>),
    List(Vec<Expr>),
    Tuple(Vec<Expr>),
    /// Known, so that it is refused by name.
    Dict,
    Attribute(Box<Expr>, Rc<str>),
    Index(Box<Expr>, Box<Expr>),
    /// Callee, arguments, arguments by name.
    Call(Box<Expr>, Vec<Expr>, Vec<(Rc<str>, Expr)>),
    /// An operator, under the name that `torch` has for it.
    Operator(&'static str, Vec<Expr>),
    /// `left if condition else right`: condition, left, right.
    Choice(Box<[Expr; 3]>),
}

impl Expr {
    /// The dotted name that this expression is, if it is one.
    pub(super) fn dotted(&self) -> Option<String> {
        match &self.node {
            Node::Name(name) => Some(name.to_string()),
            Node::Attribute(object, name) => object.dotted().map(|object| format!("{object}.{name}")),
            _ => None,
        }
    }
}
