//! One operator of the file as the functions that build it see it.

use super::Outcome;
use super::constant::Constant;
use super::proto::Attribute;
use super::value::{Signal, Value};

/// An operator, its inputs' values, and its settings.
pub(in crate::import) struct Call<'a> {
    pub(in crate::import) op: &'a str,
    /// `None` where an input is left out.
    pub(in crate::import) inputs: Vec<Option<Value>>,
    pub(in crate::import) attributes: Vec<Attribute<'a>>,
    /// Number of outputs named.
    pub(in crate::import) outputs: usize,
}

impl<'a> Call<'a> {
    pub(in crate::import) fn input(&self, i: usize) -> Option<&Value> {
        self.inputs.get(i)?.as_ref()
    }

    pub(in crate::import) fn needed(&self, i: usize) -> Outcome<&Value> {
        self.input(i).ok_or_else(|| format!("its input {i} is missing"))
    }

    /// Input `i`, which must be a signal.
    pub(in crate::import) fn signal(&self, i: usize) -> Outcome<&Signal> {
        match self.needed(i)? {
            Value::Signal(signal) => Ok(signal),
            Value::Constant(_) => Err(format!("its input {i} is a constant, where a signal is needed")),
        }
    }

    /// Input `i`, where it is there; it must be known without running the model.
    pub(in crate::import) fn constant(&self, i: usize) -> Outcome<Option<&Constant>> {
        match self.input(i) {
            None => Ok(None),
            Some(Value::Constant(constant)) => Ok(Some(constant)),
            Some(Value::Signal(_)) => Err(format!(
                "its input {i} is made from the signal or another input; only weights and settings that the file holds can be used there"
            )),
        }
    }

    /// As [`Self::constant`], which must be there.
    pub(in crate::import) fn constant_needed(&self, i: usize) -> Outcome<&Constant> {
        self.constant(i)?.ok_or_else(|| format!("its input {i} is missing"))
    }

    pub(in crate::import) fn attribute(&self, name: &str) -> Option<&Attribute<'a>> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }

    pub(in crate::import) fn int(&self, name: &str, absent: i64) -> i64 {
        self.attribute(name).and_then(|a| a.int).unwrap_or(absent)
    }

    pub(in crate::import) fn float(&self, name: &str, absent: f32) -> f32 {
        self.attribute(name).and_then(|a| a.float).unwrap_or(absent)
    }

    pub(in crate::import) fn ints(&self, name: &str) -> Option<&[i64]> {
        self.attribute(name).map(|a| &a.ints[..])
    }

    pub(in crate::import) fn text(&self, name: &str, absent: &'static str) -> &str {
        match self.attribute(name).and_then(|a| a.text) {
            Some(bytes) => std::str::from_utf8(bytes).unwrap_or("?"),
            None => absent,
        }
    }

    /// Whole numbers from the attribute `name`, or, as newer operators have it, from input `i`.
    pub(in crate::import) fn numbers(&self, name: &str, i: usize) -> Outcome<Option<Vec<i64>>> {
        if let Some(ints) = self.ints(name) {
            return Ok(Some(ints.to_vec()));
        }
        self.constant(i)?.map(|constant| constant.to_ints().map(|ints| ints.to_vec())).transpose()
    }

    /// `axis`, counted from the end where negative, among `rank`.
    pub(in crate::import) fn axis(axis: i64, rank: usize) -> Outcome<usize> {
        let counted = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
        counted
            .and_then(|axis| usize::try_from(axis).ok())
            .filter(|&axis| axis < rank)
            .ok_or_else(|| format!("its axis {axis} does not exist among {rank}"))
    }
}
