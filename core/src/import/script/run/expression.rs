//! Expressions of the code.

use std::rc::Rc;

use super::super::ROOT;
use super::super::ast::{Expr, Node};
use super::super::language;
use super::super::number;
use super::super::torch;
use super::super::value::{Content, Tensor, Value};
use super::{Names, Run};
use crate::import::ImportError;

/// Lists and tuples within each other, at most.
const LEVELS: u8 = 8;

impl Run<'_, '_> {
    pub(super) fn eval(&mut self, expr: &Expr, names: &mut Names) -> Result<Value, ImportError> {
        self.step(1)?;
        self.deeper()?;
        let value = self.node(expr, names)?;
        self.depth -= 1;
        if value.level() > LEVELS {
            return Err(self.refusal("a list", format!("lies more than {LEVELS} deep in others")));
        }
        Ok(value)
    }

    fn node(&mut self, expr: &Expr, names: &mut Names) -> Result<Value, ImportError> {
        Ok(match &expr.node {
            Node::None => Value::None,
            Node::Bool(value) => Value::Bool(*value),
            Node::Int(value) => Value::Int(*value),
            Node::Float(value) => Value::Float(*value),
            Node::Text(text) => Value::Text(Rc::clone(text)),
            Node::Name(name) => return self.name(name, names),
            Node::List(items) => Value::list(self.all(items, names)?),
            Node::Tuple(items) => Value::tuple(self.all(items, names)?),
            Node::Dict => {
                return Err(self.refusal("a dictionary", "is not followed; keep what it holds in attributes"));
            }
            Node::Attribute(object, name) => {
                if let Some(path) = expr.dotted().filter(|path| path.starts_with(ROOT)) {
                    return Ok(Value::Function(path.into()));
                }
                if let Some(path) = expr.dotted().filter(|path| path.starts_with("CONSTANTS.")) {
                    return self.constant(&path);
                }
                let object = self.eval(object, names)?;
                return self.attribute(&object, name);
            }
            Node::Index(list, index) => {
                let (list, index) = (self.eval(list, names)?, self.eval(index, names)?);
                return self.index(&list, &index);
            }
            Node::Call(callee, arguments, named) => return self.called(callee, arguments, named, names),
            Node::Operator(name, operands) => {
                let operands = self.all(operands, names)?;
                return torch::call(self, name, operands, vec![]);
            }
            Node::Choice(parts) => {
                let [condition, then, other] = &**parts;
                let condition = self.eval(condition, names)?;
                let taken = if self.truth(&condition)? { then } else { other };
                return self.eval(taken, names);
            }
        })
    }

    fn all(&mut self, exprs: &[Expr], names: &mut Names) -> Result<Vec<Value>, ImportError> {
        exprs.iter().map(|expr| self.eval(expr, names)).collect()
    }

    fn name(&mut self, name: &Rc<str>, names: &Names) -> Result<Value, ImportError> {
        match (names.get(name), &**name) {
            (Some(value), _) => Ok(value.clone()),
            (None, "inf") => Ok(Value::Float(f64::INFINITY)),
            (None, "nan") => Ok(Value::Float(f64::NAN)),
            (None, "torch" | "ops") => Err(self.refusal(name, "is used as a value")),
            (None, _) => Err(self.refusal(name, "is read before anything is assigned to it")),
        }
    }

    fn attribute(&mut self, object: &Value, name: &str) -> Result<Value, ImportError> {
        let Value::Object(object) = object else {
            return Err(self.refusal(name, format!("is read of {}, which has no attributes", object.kind())));
        };
        object.attribute(name).ok_or_else(|| self.refusal(name, "is read, and the archive's data do not hold it"))
    }

    fn constant(&mut self, path: &str) -> Result<Value, ImportError> {
        let index = path.strip_prefix("CONSTANTS.c").and_then(|n| n.parse::<usize>().ok());
        let held = index.and_then(|index| self.constants.get(index)).cloned();
        held.ok_or_else(|| self.refusal(path, "is read, and constants.pkl does not hold it as a tensor or number"))
    }

    pub(in super::super) fn index(&mut self, list: &Value, index: &Value) -> Result<Value, ImportError> {
        if let Value::Tensor(_) = list {
            return torch::call(self, "select", vec![list.clone(), Value::Int(0), index.clone()], vec![]);
        }
        if let (Value::Table(table), Value::Text(name)) = (list, index) {
            let value = table.get(name).cloned();
            return value.ok_or_else(|| self.refusal("[]", format!("takes entry {name:?}, which is not there")));
        }
        let Some(items) = list.items() else {
            return Err(self.refusal("[]", format!("takes an item of {}", list.kind())));
        };
        let at = number::whole(index).map_err(|reason| self.refusal("[]", reason))?;
        let counted = if at < 0 { at.saturating_add(items.len() as i64) } else { at };
        let item = usize::try_from(counted).ok().and_then(|at| items.get(at));
        item.cloned().ok_or_else(|| self.refusal("[]", format!("takes item {at} of {}", items.len())))
    }

    fn called(
        &mut self,
        callee: &Expr,
        arguments: &[Expr],
        named: &[(Rc<str>, Expr)],
        names: &mut Names,
    ) -> Result<Value, ImportError> {
        if let Some(path) = callee.dotted() {
            let first = path.split('.').next().unwrap_or_default();
            if !names.contains_key(first) {
                if matches!(first, "annotate" | "unchecked_cast" | "uninitialized" | "isinstance") {
                    return self.typed(first, arguments, names);
                }
                let (values, named) = self.arguments(arguments, named, names)?;
                return self.dispatch(&path, values, named);
            }
        }
        if let Node::Attribute(object, method) = &callee.node {
            let object = self.eval(object, names)?;
            let (values, named) = self.arguments(arguments, named, names)?;
            return match &object {
                Value::Object(object) => self.method(object, method, values, named),
                other => Err(self.refusal(method, format!("is called as a method of {}", other.kind()))),
            };
        }
        let callee = self.eval(callee, names)?;
        let (values, named) = self.arguments(arguments, named, names)?;
        match callee {
            Value::Function(path) => self.function(&path, values, named),
            other => Err(self.refusal("()", format!("calls {}", other.kind()))),
        }
    }

    /// What a name that is no value's stands for, called.
    fn dispatch(&mut self, path: &str, values: Vec<Value>, named: Vec<(Rc<str>, Value)>) -> Result<Value, ImportError> {
        if path.starts_with(ROOT) {
            return self.function(path, values, named);
        }
        match path.strip_prefix("torch.").or_else(|| path.strip_prefix("ops.aten.")) {
            Some(name) => torch::call(self, name, values, named),
            None => language::call(self, path.strip_prefix("ops.prim.").unwrap_or(path), &values),
        }
    }

    #[allow(clippy::type_complexity, reason = "both halves of one list of arguments")]
    fn arguments(
        &mut self,
        plain: &[Expr],
        named: &[(Rc<str>, Expr)],
        names: &mut Names,
    ) -> Result<(Vec<Value>, Vec<(Rc<str>, Value)>), ImportError> {
        let plain = self.all(plain, names)?;
        let mut by_name = vec![];
        for (name, value) in named {
            by_name.push((Rc::clone(name), self.eval(value, names)?));
        }
        Ok((plain, by_name))
    }

    /// What has a type for an argument.
    fn typed(&mut self, name: &str, arguments: &[Expr], names: &mut Names) -> Result<Value, ImportError> {
        match (name, arguments) {
            ("uninitialized", [_]) => Ok(Value::None),
            ("annotate" | "unchecked_cast", [kind, value]) => {
                let value = self.eval(value, names)?;
                match (&value, kind.dotted().as_deref()) {
                    (Value::Tensor(_), Some(kind @ ("int" | "float" | "bool"))) => language::call(self, kind, &[value]),
                    _ => Ok(value),
                }
            }
            ("isinstance", [value, kind]) => {
                let value = self.eval(value, names)?;
                let kinds = match &kind.node {
                    Node::Tuple(kinds) | Node::List(kinds) => kinds.iter().filter_map(Expr::dotted).collect(),
                    _ => kind.dotted().into_iter().collect::<Vec<_>>(),
                };
                let own = match &value {
                    Value::None => "NoneType",
                    Value::Bool(_) => "bool",
                    Value::Int(_) | Value::Length(_, false) => "int",
                    Value::Float(_) | Value::Length(_, true) => "float",
                    Value::Text(_) => "str",
                    Value::Tensor(_) => "Tensor",
                    other => return Err(self.refusal(name, format!("asks for the type of {}", other.kind()))),
                };
                Ok(Value::Bool(kinds.iter().any(|kind| kind == own)))
            }
            _ => Err(self.refusal(name, "has other arguments than TorchScript writes")),
        }
    }

    /// What a tensor holds, unless its memory was written since it was made.
    pub(in super::super) fn read(&mut self, tensor: &Tensor) -> Result<Content, ImportError> {
        if tensor.seen.get() != tensor.storage.version.get() {
            return Err(self.refusal("a view", "is read of a tensor that was written in place since; write without _"));
        }
        Ok(tensor.content.borrow().clone())
    }
}
