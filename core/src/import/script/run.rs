//! Walks the code of an archive over values: constants are computed, signals become nodes of a graph. Nothing is executed
//! but what the tables of `number`, `language` and `torch` know; steps, depth and memory are bounded.

mod expression;

use std::collections::HashMap;
use std::rc::Rc;

use super::ast::{Function, Kind, Statement, Target};
use super::program::{Program, entry, plain};
use super::value::{Content, Object, Refusal, Tensor, Value};
use crate::import::ImportError;
use crate::import::onnx::build::Build;
use crate::import::onnx::dim::Dim;
use crate::import::onnx::value::Signal;

/// Statements, calls and expressions within each other, and in all.
const DEPTH: usize = 220;
const STEPS: usize = 1 << 20;

/// Why a model that leaves what it heard to its next call is refused.
pub(in crate::import) const KEEPS_STATE: &str = "is written with what was heard, for the next call to read: the model is \
    a streaming export, which holds caches of its own; export it with cached convolutions off (without --streaming, or \
    cached_conv.use_cached_conv(False))";

/// What stands in for a method or function whose meaning is one operation of a graph: the class and method, or the
/// function, without mangling; then its arguments, `self` first. `None` leaves it to the code.
pub(in crate::import) type Idiom = fn(&mut Run<'_, '_>, &str, &[Value]) -> Option<Result<Value, ImportError>>;

/// One walk.
pub(in crate::import) struct Run<'p, 'a> {
    program: &'p mut Program<'a>,
    pub(in crate::import) build: Build,
    idiom: Idiom,
    steps: usize,
    depth: usize,
    /// The modules whose methods are running, the functions in them, and the lines reached.
    frames: Vec<Frame>,
    /// A signal for each length of time that was met: what new noise is as long as.
    lengths: Vec<(Dim, Signal)>,
    /// Random parts met so far.
    draws: u32,
    /// What the code calls `CONSTANTS.c0` and so on.
    constants: Rc<[Value]>,
}

struct Frame {
    /// Where the module stands in the model.
    place: Rc<str>,
    /// The class or file that the code is in.
    code: Rc<str>,
    line: u32,
}

/// Names of one call.
type Names = HashMap<Rc<str>, Value>;

/// How a block ends.
enum Flow {
    On,
    Return(Value),
}

impl<'p, 'a> Run<'p, 'a> {
    /// A walk that builds onto `build`, after `draws` random parts.
    pub(in crate::import) fn new(
        program: &'p mut Program<'a>,
        build: Build,
        idiom: Idiom,
        draws: u32,
        constants: Rc<[Value]>,
    ) -> Self {
        Self { program, build, idiom, steps: 0, depth: 0, frames: vec![], lengths: vec![], draws, constants }
    }

    /// What the method `name` of `object` makes of `arguments`.
    ///
    /// # Errors
    /// When the code cannot become part of a stream, or is not code; names the place, the line and the construct.
    pub(in crate::import) fn method(
        &mut self,
        object: &Rc<Object>,
        name: &str,
        arguments: Vec<Value>,
        named: Vec<(Rc<str>, Value)>,
    ) -> Result<Value, ImportError> {
        let mut all = vec![Value::Object(Rc::clone(object))];
        all.extend(arguments);
        if let Some(result) = (self.idiom)(self, &format!("{}.{name}", plain(&object.class)), &all) {
            return result;
        }
        let function = self.program.method(&object.class, name)?;
        let function = function.ok_or_else(|| {
            let reason = format!("is called, and {} has no such method", plain(&object.class));
            self.refusal(name, reason)
        })?;
        let module = object.class.rsplit_once('.').map_or("", |(module, _)| module);
        self.call(&function, Rc::clone(&object.path), module.into(), all, named)
    }

    /// What the function of this full name makes of `arguments`.
    pub(super) fn function(
        &mut self,
        path: &str,
        arguments: Vec<Value>,
        named: Vec<(Rc<str>, Value)>,
    ) -> Result<Value, ImportError> {
        if let Some(result) = (self.idiom)(self, &plain(path), &arguments) {
            return result;
        }
        let Some(function) = self.program.function(path)? else {
            let reason =
                "is called, and the archive has no such function; objects of other classes than modules are not made";
            return Err(self.refusal(&plain(path), reason));
        };
        let place = self.frames.last().map_or_else(|| "".into(), |frame| Rc::clone(&frame.place));
        let module = path.rsplit_once('.').map_or("", |(module, _)| module);
        self.call(&function, place, module.into(), arguments, named)
    }

    fn call(
        &mut self,
        function: &Function,
        place: Rc<str>,
        code: Rc<str>,
        arguments: Vec<Value>,
        named: Vec<(Rc<str>, Value)>,
    ) -> Result<Value, ImportError> {
        self.deeper()?;
        self.frames.push(Frame { place, code, line: 0 });
        self.build.place = self.node_name(&function.name);
        let mut names = Names::new();
        let mut given = arguments.into_iter();
        if given.len() > function.parameters.len() {
            let reason = format!("is given {} arguments, and has {}", given.len(), function.parameters.len());
            return Err(self.refusal(&function.name, reason));
        }
        for (name, default) in &function.parameters {
            let value = match (given.next(), named.iter().find(|(other, _)| other == name), default) {
                (Some(value), ..) => value,
                (None, Some((_, value)), _) => value.clone(),
                (None, None, Some(default)) => self.eval(default, &mut names)?,
                (None, None, None) => {
                    return Err(self.refusal(&function.name, format!("is not given {name:?}")));
                }
            };
            names.insert(Rc::clone(name), value);
        }
        let flow = self.block(&function.body, &mut names)?;
        self.frames.pop();
        if let Some(frame) = self.frames.last() {
            self.build.place = if frame.place.is_empty() { "forward".into() } else { frame.place.to_string() };
        }
        self.depth -= 1;
        Ok(if let Flow::Return(value) = flow { value } else { Value::None })
    }

    fn block(&mut self, body: &[Statement], names: &mut Names) -> Result<Flow, ImportError> {
        self.deeper()?;
        for statement in body {
            self.step(1)?;
            if let Some(frame) = self.frames.last_mut() {
                frame.line = statement.line;
            }
            if let Flow::Return(value) = self.statement(statement, names)? {
                self.depth -= 1;
                return Ok(Flow::Return(value));
            }
        }
        self.depth -= 1;
        Ok(Flow::On)
    }

    fn statement(&mut self, statement: &Statement, names: &mut Names) -> Result<Flow, ImportError> {
        match &statement.kind {
            Kind::Pass => {}
            Kind::Expr(value) => drop(self.eval(value, names)?),
            Kind::Assign(target, value) => {
                let value = self.eval(value, names)?;
                self.assign(target, value, names)?;
            }
            Kind::Return(value) => {
                return Ok(Flow::Return(match value {
                    Some(value) => self.eval(value, names)?,
                    None => Value::None,
                }));
            }
            Kind::If(condition, then, other) => {
                let condition = self.eval(condition, names)?;
                let taken = if self.truth(&condition)? { then } else { other };
                return self.block(taken, names);
            }
            Kind::While(condition, body) => loop {
                let held = self.eval(condition, names)?;
                if !self.truth(&held)? {
                    break;
                }
                if let Flow::Return(value) = self.block(body, names)? {
                    return Ok(Flow::Return(value));
                }
                self.step(1)?;
            },
            Kind::For(target, over, body) => {
                let over = self.eval(over, names)?;
                let Some(items) = over.items() else {
                    return Err(self.refusal("for", format!("runs over {}; lists and ranges are known", over.kind())));
                };
                for item in items {
                    self.step(1)?;
                    self.assign(target, item, names)?;
                    if let Flow::Return(value) = self.block(body, names)? {
                        return Ok(Flow::Return(value));
                    }
                }
            }
        }
        Ok(Flow::On)
    }

    fn assign(&mut self, target: &Target, value: Value, names: &mut Names) -> Result<(), ImportError> {
        match target {
            Target::Name(name) => drop(names.insert(Rc::clone(name), value)),
            Target::Attribute(object, name) => {
                let Value::Object(object) = self.eval(object, names)? else {
                    return Err(self.refusal("assignment", "writes an attribute of something that is no module"));
                };
                if let Value::Tensor(tensor) = &value
                    && !matches!(*tensor.content.borrow(), Content::Constant(_))
                {
                    return Err(self.keeps_state(name));
                }
                object.attributes.borrow_mut().insert(Rc::clone(name), value);
            }
            Target::Many(targets) => {
                let items = value.items().filter(|items| items.len() == targets.len());
                let Some(items) = items else {
                    let reason = format!("takes {} values out of {}", targets.len(), value.kind());
                    return Err(self.refusal("assignment", reason));
                };
                for (target, item) in targets.iter().zip(items) {
                    self.assign(target, item, names)?;
                }
            }
        }
        Ok(())
    }

    /// The signal that a tensor holds; `None` where it holds constants.
    ///
    /// # Errors
    /// Why it cannot become part of a stream.
    pub(in crate::import) fn signal(&mut self, tensor: &Tensor) -> Result<Option<Signal>, ImportError> {
        match self.read(tensor)? {
            Content::Signal(signal) => Ok(Some(signal)),
            Content::Constant(_) => Ok(None),
            Content::Whole(_) => Err(self.refusal("output", "is a signal of whole numbers; a stream holds floats")),
            Content::Refused(refusal) => Err((&*refusal).into()),
        }
    }

    /// Whether a condition holds.
    pub(in crate::import) fn truth(&mut self, value: &Value) -> Result<bool, ImportError> {
        match value {
            Value::Bool(value) => Ok(*value),
            Value::Int(value) => Ok(*value != 0),
            Value::Float(value) => Ok(*value != 0.0),
            Value::Length(dim, _) => Ok(dim.known() != Some(0)),
            Value::None => Ok(false),
            Value::Text(text) => Ok(!text.is_empty()),
            Value::Tensor(tensor) => match self.read(tensor)? {
                Content::Constant(constant) if constant.len() == 1 => {
                    let known = match constant.to_floats() {
                        Ok(values) => values[0] != 0.0,
                        // A length is not zero.
                        Err(_) => true,
                    };
                    Ok(known)
                }
                Content::Constant(constant) => {
                    let reason = format!("decides by a tensor of shape {:?}, one value is needed", constant.shape);
                    Err(self.refusal("if", reason))
                }
                Content::Signal(_) | Content::Whole(_) => Err(self.refusal(
                    "if",
                    "decides by the signal which way to go; only conditions that the file settles can be followed",
                )),
                Content::Refused(refusal) => Err((&*refusal).into()),
            },
            other => match other.items() {
                Some(items) => Ok(!items.is_empty()),
                None => Err(self.refusal("if", format!("decides by {}", other.kind()))),
            },
        }
    }

    /// Counts work, so that no file keeps a machine busy.
    pub(super) fn step(&mut self, steps: usize) -> Result<(), ImportError> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > STEPS {
            return Err(self.refusal("code", format!("runs more than {STEPS} steps; its loops may have no end")));
        }
        Ok(())
    }

    /// Counts the memory of a new list or string as work.
    pub(super) fn pay(&mut self, value: &Value) -> Result<(), ImportError> {
        match value {
            Value::List(list) => {
                let items = list.items.borrow().len();
                self.step(items.saturating_mul(4))
            }
            Value::Text(text) => self.step(text.len() / 8),
            _ => Ok(()),
        }
    }

    fn deeper(&mut self) -> Result<(), ImportError> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(self.refusal("code", format!("calls nest deeper than {DEPTH} steps; they may have no end")));
        }
        Ok(())
    }

    /// The number of the next random part.
    pub(in crate::import) fn draw(&mut self) -> u32 {
        self.draws += 1;
        self.draws - 1
    }

    /// Random parts met so far.
    pub(in crate::import) fn draws(&self) -> u32 {
        self.draws
    }

    /// Remembers a signal of its length.
    pub(super) fn met(&mut self, signal: &Signal) {
        if signal.time_axis().is_some() && self.of_length(signal.frames).is_none() {
            self.lengths.push((signal.frames, signal.clone()));
        }
    }

    /// A signal of this length.
    pub(super) fn of_length(&self, frames: Dim) -> Option<&Signal> {
        self.lengths.iter().find(|(dim, _)| *dim == frames).map(|(_, signal)| signal)
    }

    /// Why `op`, at the place reached, is not followed.
    pub(in crate::import) fn refusal(&self, op: &str, reason: impl Into<String>) -> ImportError {
        (&self.refused(op, reason)).into()
    }

    /// As [`Self::refusal`], to be told later.
    pub(super) fn refused(&self, op: &str, reason: impl Into<String>) -> Refusal {
        let clip = |text: &str| text.chars().take(200).collect::<String>();
        let node = match self.frames.last() {
            None => "the archive".into(),
            Some(frame) => {
                let place = if frame.place.is_empty() { "the model" } else { &*frame.place };
                format!("{}, {} line {}", clip(place), clip(&entry(&frame.code)), frame.line)
            }
        };
        Refusal { node, op: clip(op), reason: reason.into() }
    }

    /// The refusal of what one call leaves to the next.
    pub(super) fn keeps_state(&self, name: &str) -> ImportError {
        self.refusal(name, KEEPS_STATE)
    }

    fn node_name(&self, function: &str) -> String {
        let place = self.frames.last().map_or("", |frame| &*frame.place);
        if place.is_empty() { function.chars().take(100).collect() } else { place.chars().take(200).collect() }
    }
}
