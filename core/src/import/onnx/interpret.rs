//! Walks the file's operators in order and keeps what every name stands for. Only what the output needs is looked at.

use std::collections::{HashMap, HashSet};

use super::build::Build;
use super::call::Call;
use super::constant::Constant;
use super::op;
use super::proto::{self, Attribute};
use super::value::Value;
use crate::import::ImportError;

/// Functions and subgraphs within each other, and operators run in all, beyond which a file is refused.
const DEPTH: usize = 16;
const MOST_RUNS: usize = 1 << 17;
/// Frames between a node and a tensor on it beyond which a model is refused.
const MOST_SHIFT: u64 = 1 << 32;

/// The walk.
pub(super) struct Interpreter<'a, 'm> {
    model: &'m proto::Model<'a>,
    pub(super) build: Build,
    runs: usize,
    depth: usize,
}

/// Names and what they stand for; those of outer graphs first.
pub(super) struct Scope<'a> {
    levels: Vec<Level<'a>>,
}

#[derive(Default)]
struct Level<'a> {
    values: HashMap<&'a str, Value>,
    /// Weights that were not asked for yet.
    stored: HashMap<&'a str, proto::Tensor<'a>>,
}

impl<'a, 'm> Interpreter<'a, 'm> {
    pub(super) fn new(model: &'m proto::Model<'a>, build: Build) -> Self {
        Self { model, build, runs: 0, depth: 0 }
    }

    /// What `wanted` stand for after the operators of `graph`, where `given` names have values.
    pub(super) fn run(
        &mut self,
        graph: &proto::Graph<'a>,
        given: Vec<(&'a str, Value)>,
        wanted: &[&'a str],
    ) -> Result<Vec<Value>, ImportError> {
        let mut scope = Scope { levels: vec![] };
        self.within(graph, given, wanted, &mut scope)
    }

    fn within(
        &mut self,
        graph: &proto::Graph<'a>,
        given: Vec<(&'a str, Value)>,
        wanted: &[&'a str],
        scope: &mut Scope<'a>,
    ) -> Result<Vec<Value>, ImportError> {
        let stored = graph.initializers.iter().map(|tensor| (tensor.name, tensor.clone())).collect();
        scope.levels.push(Level { values: given.into_iter().collect(), stored });
        let result = self.walk(&graph.nodes, wanted, scope, &[]);
        scope.levels.pop();
        result
    }

    /// Runs `nodes`; `caller` holds the attributes of the function they stand in.
    fn walk(
        &mut self,
        nodes: &[proto::Node<'a>],
        wanted: &[&'a str],
        scope: &mut Scope<'a>,
        caller: &[Attribute<'a>],
    ) -> Result<Vec<Value>, ImportError> {
        if self.depth >= DEPTH {
            return Err(ImportError::malformed("file", format!("functions lie more than {DEPTH} deep in each other")));
        }
        self.depth += 1;
        self.runs = self.runs.saturating_add(nodes.len());
        if self.runs > MOST_RUNS {
            return Err(ImportError::malformed(
                "file",
                format!("its functions and graphs run more than {MOST_RUNS} operators"),
            ));
        }
        let live = live(nodes, wanted)?;
        for (node, _) in nodes.iter().zip(live).filter(|(_, live)| *live) {
            let outer = self.build.place.clone();
            let values = self.node(node, scope, caller)?;
            self.build.place = outer;
            let level = scope.levels.last_mut().expect("a walk has a level");
            level.values.extend(node.outputs.iter().copied().zip(values));
        }
        self.depth -= 1;
        wanted
            .iter()
            .map(|name| {
                let missing = || ImportError::malformed("file", format!("no operator makes {name:?}"));
                self.value(name, scope)?.ok_or_else(missing)
            })
            .collect()
    }

    fn node(
        &mut self,
        node: &proto::Node<'a>,
        scope: &mut Scope<'a>,
        caller: &[Attribute<'a>],
    ) -> Result<Vec<Value>, ImportError> {
        let name = if node.name.is_empty() { node.outputs.first().copied().unwrap_or_default() } else { node.name };
        let place = if self.depth > 1 { format!("{}/{name}", self.build.place) } else { name.to_owned() };
        self.build.place = place.chars().take(200).collect();
        let refuse = |build: &Build, reason: String| ImportError::Operator {
            node: build.place.clone(),
            op: node.op.chars().take(60).collect(),
            reason,
        };
        let attributes: Vec<Attribute<'a>> =
            node.attributes.iter().filter_map(|attribute| resolved(attribute, caller)).collect();
        let mut inputs = Vec::with_capacity(node.inputs.len());
        for &name in &node.inputs {
            let value = if name.is_empty() { None } else { self.value(name, scope)? };
            if value.is_none() && !name.is_empty() {
                return Err(refuse(&self.build, format!("reads {name:?}, which no operator before it makes")));
            }
            inputs.push(value);
        }
        if let Some(function) = self.function(node) {
            return self.function_call(function, inputs, attributes);
        }
        if !matches!(node.domain, "" | "ai.onnx" | "com.microsoft") {
            let reason = format!("is of the operator set {:?}; only ONNX's own operators are known", node.domain);
            return Err(refuse(&self.build, reason));
        }
        let call = Call { op: node.op, inputs, attributes, outputs: node.outputs.len() };
        if node.op == "If" {
            return self.branch(&call, node, scope).and_then(|values| match values {
                Ok(values) => Ok(values),
                Err(reason) => Err(refuse(&self.build, reason)),
            });
        }
        let values = op::run(&mut self.build, &call).map_err(|reason| refuse(&self.build, reason))?;
        let far = |value: &&Value| matches!(value, Value::Signal(x) if x.shift.unsigned_abs() > MOST_SHIFT);
        match values.iter().find(far) {
            Some(_) => Err(refuse(&self.build, format!("shifts the signal by more than {MOST_SHIFT} frames"))),
            None => Ok(values),
        }
    }

    /// An `If` whose condition is known.
    fn branch(
        &mut self,
        call: &Call<'a>,
        node: &proto::Node<'a>,
        scope: &mut Scope<'a>,
    ) -> Result<Result<Vec<Value>, String>, ImportError> {
        let condition = match call.input(0) {
            Some(Value::Constant(condition)) if condition.len() == 1 => condition.to_ints(),
            _ => {
                Err("decides by the signal which way to go; only conditions that the file settles can be followed"
                    .into())
            }
        };
        let condition = match condition {
            Ok(condition) => condition[0] != 0,
            Err(reason) => return Ok(Err(reason)),
        };
        let name = if condition { "then_branch" } else { "else_branch" };
        let Some(message) = call.attribute(name).and_then(|attribute| attribute.graph) else {
            return Ok(Err(format!("has no {name}")));
        };
        let graph = proto::Graph::read(message)?;
        let wanted: Vec<_> = graph.outputs.iter().copied().take(node.outputs.len()).collect();
        self.within(&graph, vec![], &wanted, scope).map(Ok)
    }

    fn function(&self, node: &proto::Node<'a>) -> Option<&'m proto::Function<'a>> {
        let model = self.model;
        model.functions.iter().find(|f| (f.name, f.domain, f.overload) == (node.op, node.domain, node.overload))
    }

    fn function_call(
        &mut self,
        function: &'m proto::Function<'a>,
        inputs: Vec<Option<Value>>,
        mut attributes: Vec<Attribute<'a>>,
    ) -> Result<Vec<Value>, ImportError> {
        for default in &function.defaults {
            if !attributes.iter().any(|attribute| attribute.name == default.name) {
                attributes.push(default.clone());
            }
        }
        let given = function.inputs.iter().copied().zip(inputs).filter_map(|(name, value)| Some((name, value?)));
        let mut scope = Scope { levels: vec![Level { values: given.collect(), stored: HashMap::new() }] };
        self.walk(&function.nodes, &function.outputs, &mut scope, &attributes)
    }

    /// What `name` stands for, innermost first.
    fn value(&mut self, name: &'a str, scope: &mut Scope<'a>) -> Result<Option<Value>, ImportError> {
        for level in scope.levels.iter_mut().rev() {
            if let Some(value) = level.values.get(name) {
                return Ok(Some(value.clone()));
            }
            if let Some(tensor) = level.stored.get(name) {
                let constant = self.stored(tensor)?;
                level.values.insert(name, Value::Constant(constant.clone()));
                return Ok(Some(Value::Constant(constant)));
            }
        }
        Ok(None)
    }

    fn stored(&mut self, tensor: &proto::Tensor<'a>) -> Result<Constant, ImportError> {
        let constant = self.build.beside.read(tensor)?;
        if tensor.external.is_some() {
            self.build.earn(64 * constant.len() as u64);
        }
        Ok(constant)
    }
}

/// The attribute, or the value of the caller's that it refers to.
fn resolved<'a>(attribute: &Attribute<'a>, caller: &[Attribute<'a>]) -> Option<Attribute<'a>> {
    if attribute.reference.is_empty() {
        return Some(attribute.clone());
    }
    let given = caller.iter().find(|given| given.name == attribute.reference)?;
    Some(Attribute { name: attribute.name, ..given.clone() })
}

/// Which nodes `wanted` depend on.
fn live<'a>(nodes: &[proto::Node<'a>], wanted: &[&'a str]) -> Result<Vec<bool>, ImportError> {
    let mut names: HashSet<&str> = wanted.iter().copied().collect();
    let mut live = vec![false; nodes.len()];
    for (live, node) in live.iter_mut().zip(nodes).rev() {
        if node.outputs.iter().any(|name| names.contains(name)) {
            *live = true;
            read_by(node, &mut names, 0)?;
        }
    }
    Ok(live)
}

/// Adds every name that `node` or a graph in it reads.
fn read_by<'a>(node: &proto::Node<'a>, names: &mut HashSet<&'a str>, depth: usize) -> Result<(), ImportError> {
    names.extend(&node.inputs);
    for graph in node.attributes.iter().filter_map(|attribute| attribute.graph) {
        if depth >= DEPTH {
            return Err(ImportError::malformed("file", format!("graphs lie more than {DEPTH} deep in each other")));
        }
        let graph = proto::Graph::read(graph)?;
        names.extend(&graph.outputs);
        for node in &graph.nodes {
            read_by(node, names, depth + 1)?;
        }
    }
    Ok(())
}
