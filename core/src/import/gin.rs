//! gin operative configurations: `config.gin` → bindings.
//!
//! Bindings with macros, scopes and references are read; `import` lines are skipped, since no name is ever looked up.
//! `include` and indented blocks do not occur in operative configurations and are refused.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use super::ImportError;
use super::literal::{self, Literal};

/// Largest configuration read, in bytes; a real one has about 10⁴.
const BYTES: usize = 4 << 20;
/// Most values and characters that all macros together may expand to, for each byte of the file.
const EXPANSION: usize = 16;
/// Deepest chain of macros and brackets.
const DEPTH: usize = 64;

/// The bindings of one file, macros resolved.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    bindings: Vec<Binding>,
    /// A macro that refers to an unknown one has no value.
    constants: BTreeMap<String, Option<Value>>,
}

#[derive(Clone, Debug, PartialEq)]
struct Binding {
    scope: String,
    configurable: String,
    parameter: String,
    value: Option<Value>,
}

/// A gin value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `None`.
    None,
    /// `True`, `False`.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float, or an integer beyond 64 bits.
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

/// Reads the configuration at `path`.
///
/// # Errors
/// When the file cannot be read or is no text, and as [`parse`].
pub fn read(path: &Path) -> Result<Config, ImportError> {
    let bytes = std::fs::metadata(path).map_err(|e| ImportError::io(path, e))?.len();
    if bytes > BYTES as u64 {
        return Err(too_large(&path.display().to_string(), bytes));
    }
    let text = std::fs::read_to_string(path).map_err(|e| ImportError::io(path, e))?;
    parse_as(&text, &path.display().to_string())
}

/// Parses a configuration.
///
/// # Errors
/// Names the line that does not follow gin's grammar.
pub fn parse(text: &str) -> Result<Config, ImportError> {
    parse_as(text, "config.gin")
}

impl Config {
    /// The value bound to `parameter` of `configurable` (its last name, such as `EncoderV2`, with as much of the module
    /// before it as tells two apart), whatever module prefix the file writes before it; a binding in `scope` (such as
    /// `variational`) is preferred over one in an outer scope or without scope. Of equal bindings the last counts.
    /// Macros are resolved; one that the file does not define gives `None`.
    pub fn value(&self, scope: &str, configurable: &str, parameter: &str) -> Option<Value> {
        let mut scope = scope;
        loop {
            let found = self.bindings.iter().rev().find(|binding| {
                binding.scope == scope && binding.parameter == parameter && is(&binding.configurable, configurable)
            });
            if let Some(binding) = found {
                return binding.value.clone();
            }
            if scope.is_empty() {
                return None;
            }
            scope = scope.rsplit_once('/').map_or("", |(outer, _)| outer);
        }
    }

    /// The value of a macro, such as `CAPACITY`.
    pub fn constant(&self, name: &str) -> Option<Value> {
        self.constants.get(name)?.clone()
    }
}

impl Value {
    /// The boolean, if it is one.
    pub fn bool(&self) -> Option<bool> {
        match *self {
            Self::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The integer, if it is one.
    pub fn int(&self) -> Option<i64> {
        match *self {
            Self::Int(value) => Some(value),
            _ => None,
        }
    }

    /// The number, integer or float.
    pub fn number(&self) -> Option<f64> {
        match *self {
            Self::Int(value) => Some(value as f64),
            Self::Float(value) => Some(value),
            _ => None,
        }
    }

    /// The string, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(value) => Some(value),
            _ => None,
        }
    }

    /// The elements of a list or tuple.
    pub fn list(&self) -> Option<&[Value]> {
        match self {
            Self::List(values) => Some(values),
            _ => None,
        }
    }

    /// The elements of a list or tuple of integers.
    pub fn ints(&self) -> Option<Vec<i64>> {
        self.list()?.iter().map(Self::int).collect()
    }

    /// The last name of a reference: `EncoderV2` of `@variational/blocks.EncoderV2`.
    pub fn reference(&self) -> Option<&str> {
        match self {
            Self::Reference(name) => name.rsplit(['/', '.']).next(),
            _ => None,
        }
    }
}

/// Whether `selector`, a dotted path, ends with the whole names of `wanted`.
fn is(selector: &str, wanted: &str) -> bool {
    selector.strip_suffix(wanted).is_some_and(|module| module.is_empty() || module.ends_with('.'))
}

fn too_large(place: &str, bytes: u64) -> ImportError {
    ImportError::malformed(place, format!("{bytes} bytes, more than the {BYTES} of any gin configuration"))
}

/// `[scope/]module.Name.parameter = …` or `MACRO = …`, and its line.
struct Statement<'a> {
    target: &'a str,
    literal: Literal,
    line: usize,
}

fn parse_as(text: &str, place: &str) -> Result<Config, ImportError> {
    if text.len() > BYTES {
        return Err(too_large(place, text.len() as u64));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    let statements = statements(&text, place)?;
    let macros: BTreeMap<&str, &Literal> =
        statements.iter().filter_map(|statement| Some((constant(statement.target)?, &statement.literal))).collect();
    let mut config = Config::default();
    let mut budget = text.len() * EXPANSION + (1 << 16);
    for Statement { target, literal, line } in &statements {
        let value = resolve(literal, &macros, &mut budget, 0)
            .map_err(|reason| ImportError::malformed(format!("{place}, line {line}"), reason))?;
        if let Some(name) = constant(target) {
            config.constants.insert(name.to_owned(), value);
        } else if let Some((selector, parameter)) = target.rsplit_once('.') {
            let (scope, configurable) = selector.rsplit_once('/').unwrap_or(("", selector));
            let [scope, configurable, parameter] = [scope, configurable, parameter].map(str::to_owned);
            config.bindings.push(Binding { scope, configurable, parameter, value });
        }
    }
    Ok(config)
}

/// The macro that a target names: `NAME`, or gin's longer spelling `NAME/macro.value`.
fn constant(target: &str) -> Option<&str> {
    match target.contains('.') {
        false => Some(target),
        true => target.strip_suffix("/macro.value").or_else(|| target.strip_suffix("/gin.macro.value")),
    }
}

fn statements<'a>(text: &'a str, place: &str) -> Result<Vec<Statement<'a>>, ImportError> {
    let mut statements = Vec::new();
    let (mut rest, mut at, mut line) = (text, 0, 1);
    loop {
        rest = rest.trim_start();
        let here = text.len() - rest.len();
        line += text[at..here].matches('\n').count();
        at = here;
        let fail = |reason: &str, stopped: &str| {
            let line = line + text[here..text.len() - stopped.len()].matches('\n').count();
            let written: String = stopped.chars().take_while(|&c| c != '\n').take(40).collect();
            let stopped = if written.is_empty() { "the end".to_owned() } else { format!("`{written}`") };
            ImportError::malformed(format!("{place}, line {line}"), format!("{reason} at {stopped}"))
        };
        let end = rest.find('\n').unwrap_or(rest.len());
        let skipped = ["#", "import ", "from "].iter().any(|start| rest.starts_with(start));
        if rest.is_empty() {
            return Ok(statements);
        } else if skipped {
            rest = &rest[end..];
            continue;
        } else if rest.starts_with("include ") {
            let reason = "included files are not followed; use the config.gin that training wrote";
            return Err(fail(reason, rest));
        }
        let len = rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '/' | '-')));
        let (target, after) = rest.split_at(len.unwrap_or(rest.len()));
        let Some(after) = blank(after).strip_prefix('=').filter(|_| !target.is_empty()) else {
            return Err(fail("no binding (`name = value`)", rest));
        };
        let (literal, after) = literal::parse(blank(after)).map_err(|(reason, stopped)| fail(&reason, stopped))?;
        rest = blank(after);
        if !(rest.is_empty() || rest.starts_with(['\n', '#'])) {
            return Err(fail("something follows the value", rest));
        }
        statements.push(Statement { target, literal, line });
    }
}

/// Skips spaces and escaped line ends, but no others.
fn blank(text: &str) -> &str {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        match rest.strip_prefix("\\\n") {
            Some(after) => rest = after,
            None => return rest,
        }
    }
}

/// The value of a literal; `None` where it needs a macro that is not defined.
fn resolve(
    literal: &Literal,
    macros: &BTreeMap<&str, &Literal>,
    budget: &mut usize,
    depth: usize,
) -> Result<Option<Value>, String> {
    let cost = 1 + match literal {
        Literal::Text(text) | Literal::Reference(text) => text.len(),
        _ => 0,
    };
    *budget = budget.checked_sub(cost).ok_or("the macros expand to far more than the file")?;
    if depth > DEPTH {
        return Err(format!("macros and brackets nest deeper than {DEPTH}, perhaps in a circle"));
    }
    let mut resolve = |literal| resolve(literal, macros, budget, depth + 1);
    Ok(Some(match literal {
        Literal::None => Value::None,
        Literal::Bool(value) => Value::Bool(*value),
        Literal::Int(value) => Value::Int(*value),
        Literal::Float(value) => Value::Float(*value),
        Literal::Text(text) => Value::Text(text.clone()),
        Literal::Reference(name) => Value::Reference(name.clone()),
        Literal::Macro(name) => match macros.get(name.as_str()) {
            Some(literal) => return resolve(literal),
            None => return Ok(None),
        },
        Literal::List(items) => {
            let items: Option<Vec<Value>> = items.iter().map(&mut resolve).collect::<Result<_, _>>()?;
            let Some(items) = items else { return Ok(None) };
            Value::List(items)
        }
        Literal::Dict(entries) => {
            let mut values = Vec::with_capacity(entries.len());
            for (key, value) in entries {
                let (Some(key), Some(value)) = (resolve(key)?, resolve(value)?) else { return Ok(None) };
                values.push((key, value));
            }
            Value::Dict(values)
        }
    }))
}
