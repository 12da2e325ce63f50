//! The constants that classes declare in a TorchScript archive's code: `name : Final[…] = …`.
//!
//! Nothing else of the code is read. PyTorch writes one declaration per line, indented by two, before the first method.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Seek};
use std::rc::Rc;

use super::Constant;
use crate::import::archive::Archive;
use crate::import::literal::{self, Literal};
use crate::import::{ImportError, pickle};

/// Constants by name.
pub(super) type Constants = BTreeMap<String, Constant>;

/// The classes of an archive; each of its code files is read once, when one of its classes is first met.
#[derive(Default)]
pub(super) struct Classes {
    files: HashMap<String, HashMap<String, Rc<Constants>>>,
}

impl Classes {
    /// The constants of the class named by its full path, such as `__torch__.torch.nn.modules.conv.Conv1d`.
    pub(super) fn constants<R: Read + Seek>(
        &mut self,
        path: &str,
        archive: &mut Archive<R>,
    ) -> Result<Rc<Constants>, ImportError> {
        let (module, class) = path.rsplit_once('.').unwrap_or(("", path));
        if !self.files.contains_key(module) {
            let entry = format!("code/{}.py", module.replace('.', "/"));
            let code = archive.read(&entry).map_err(|e| match archive.contains(&entry) {
                true => e,
                false => archive.malformed(&pickle::clip(&entry), format!("missing; the class {class} needs it")),
            })?;
            self.files.insert(module.to_owned(), classes(&String::from_utf8_lossy(&code)));
        }
        self.files[module].get(class).cloned().ok_or_else(|| {
            let entry = format!("code/{}.py", module.replace('.', "/"));
            archive.malformed(&pickle::clip(&entry), format!("the class {} is missing", pickle::clip(class)))
        })
    }
}

/// All classes of one code file. A constant of a kind that [`Constant`] has not is left out.
fn classes(code: &str) -> HashMap<String, Rc<Constants>> {
    let mut classes = HashMap::new();
    // The class whose declarations are being read; none inside methods and functions.
    let mut open: Option<(String, Constants)> = None;
    let mut close = |class: Option<(String, Constants)>| {
        if let Some((name, constants)) = class {
            classes.insert(name, Rc::new(constants));
        }
    };
    for line in code.lines() {
        if let Some(head) = line.strip_prefix("class ") {
            let name = head.split(['(', ':']).next().unwrap_or_default().trim();
            close(open.replace((name.to_owned(), Constants::new())));
        } else if line.starts_with("  def ") || line.starts_with("def ") {
            close(open.take());
        } else if let Some((_, constants)) = &mut open
            && let Some((name, value)) = declaration(line)
        {
            constants.insert(name.to_owned(), value);
        }
    }
    close(open);
    classes
}

/// Name and value of `  name : Final[…] = value`.
fn declaration(line: &str) -> Option<(&str, Constant)> {
    let (name, rest) = line.strip_prefix("  ")?.split_once(" : Final[")?;
    let (_, value) = rest.split_once("] = ")?;
    let (value, rest) = literal::parse(value).ok()?;
    rest.trim().is_empty().then_some((name, constant(value)?))
}

fn constant(literal: Literal) -> Option<Constant> {
    Some(match literal {
        Literal::Bool(value) => Constant::Bool(value),
        Literal::Int(value) => Constant::Int(value),
        Literal::Float(value) => Constant::Float(value),
        Literal::Text(value) => Constant::Text(value),
        Literal::List(items) => Constant::List(items.into_iter().map(constant).collect::<Option<_>>()?),
        Literal::None | Literal::Dict(_) | Literal::Reference(_) | Literal::Macro(_) => return None,
    })
}
