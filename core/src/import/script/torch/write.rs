//! Operators that write their first argument: `add_`, `copy_` and so on. A tensor that shares memory with what is written
//! cannot be read afterwards; nothing that was heard is written into the model.

use super::super::run::Run;
use super::super::value::{Content, Value};
use super::arguments::{Arguments, operand};
use super::{Made, content, layout, one};
use crate::import::onnx::constant::Constant;
use crate::import::onnx::value::Value as Operand;

/// Whether `name` writes its first argument.
pub(super) fn knows(name: &str) -> bool {
    name.ends_with('_') && !name.starts_with('_') && name != "requires_grad_"
}

pub(super) fn write(run: &mut Run<'_, '_>, name: &str, a: &Arguments) -> Made<Value> {
    let tensor = a.tensor(0)?.clone();
    let before = run.read(&tensor)?;
    let made = match name {
        "zero_" | "fill_" | "copy_" => {
            let like = match &before {
                Content::Constant(constant) => constant.dims(),
                Content::Signal(signal) => signal.dims(),
                Content::Whole(_) | Content::Refused(_) => vec![],
            };
            let value = match (name, a.plain.get(1)) {
                ("zero_", _) => Operand::Constant(Constant::floats(vec![], [0.0])),
                (_, Some(Value::Tensor(from))) => match run.read(from)? {
                    Content::Refused(_) if tensor.storage.owned => return Err(run.keeps_state(name).into()),
                    _ => operand(run, &a.plain[1])?,
                },
                (_, Some(value)) => operand(run, value)?,
                (_, None) => return Err("is given nothing to write".into()),
            };
            content(one(run, "Expand", vec![Some(value), Some(layout::shape(like))], vec![])?)
        }
        _ => {
            let plain = super::call(run, name.trim_end_matches('_'), a.plain.clone(), a.named.clone())?;
            let Value::Tensor(made) = plain else { return Err("makes no tensor".into()) };
            made.content.borrow().clone()
        }
    };
    if tensor.storage.owned && !matches!(made, Content::Constant(_)) {
        return Err(run.keeps_state(name).into());
    }
    let version = tensor.storage.version.get().wrapping_add(1);
    tensor.storage.version.set(version);
    tensor.seen.set(version);
    *tensor.content.borrow_mut() = made;
    Ok(a.plain[0].clone())
}
