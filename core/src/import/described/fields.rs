//! The keys of one table of a description, each asked for by name; what is not asked for is refused. Errors name line and
//! column.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Table;
use crate::import::ImportError;
use crate::import::pickle::clip;

/// A description's text, and what its file is called.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
}

impl<'a> Text<'a> {
    /// The outermost table.
    pub(super) fn parse(&self) -> Result<Table<'a>, ImportError> {
        match DeTable::parse(self.text) {
            Ok(table) => Ok(table.into_inner()),
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                Err(self.malformed(at, error.message().to_owned()))
            }
        }
    }

    fn malformed(&self, at: usize, reason: String) -> ImportError {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
        ImportError::malformed(format!("{}, line {line}, column {column}", self.file), reason)
    }
}

/// One table.
pub(super) struct Fields<'a> {
    text: Text<'a>,
    table: &'a Table<'a>,
    /// Where the table starts.
    start: usize,
    asked: RefCell<BTreeSet<&'static str>>,
}

impl<'a> Fields<'a> {
    /// The outermost table.
    pub(super) fn new(text: Text<'a>, table: &'a Table<'a>) -> Self {
        Self { text, table, start: 0, asked: RefCell::default() }
    }

    /// Whether there is such a key.
    pub(super) fn has(&self, key: &'static str) -> bool {
        self.value(key).is_some()
    }

    /// The string under `key`.
    pub(super) fn text(&self, key: &'static str) -> Result<Option<String>, ImportError> {
        self.value(key).map(|value| self.string(key, value)).transpose()
    }

    /// The strings under `key`: a list of them, or one.
    pub(super) fn texts(&self, key: &'static str) -> Result<Option<Vec<String>>, ImportError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        match value.get_ref() {
            DeValue::Array(items) => {
                items.iter().map(|item| self.string(key, item)).collect::<Result<_, _>>().map(Some)
            }
            _ => Ok(Some(vec![self.string(key, value)?])),
        }
    }

    /// The integer under `key`.
    pub(super) fn int(&self, key: &'static str) -> Result<Option<i64>, ImportError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let int = match value.get_ref() {
            DeValue::Integer(int) => i64::from_str_radix(int.as_str(), int.radix()).ok(),
            _ => None,
        };
        int.map(Some).ok_or_else(|| self.unlike(key, value, "an integer"))
    }

    /// The size under `key`.
    pub(super) fn size(&self, key: &'static str) -> Result<Option<usize>, ImportError> {
        let size = |int: i64| usize::try_from(int).map_err(|_| self.wrong(key, format!("{int}; not less than 0")));
        self.int(key)?.map(size).transpose()
    }

    /// The number under `key`.
    pub(super) fn float(&self, key: &'static str) -> Result<Option<f32>, ImportError> {
        self.value(key).map(|value| self.number(key, value)).transpose()
    }

    /// The numbers under `key`: a list of them, or one.
    pub(super) fn floats(&self, key: &'static str) -> Result<Option<Vec<f32>>, ImportError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        match value.get_ref() {
            DeValue::Array(items) => {
                items.iter().map(|item| self.number(key, item)).collect::<Result<_, _>>().map(Some)
            }
            _ => Ok(Some(vec![self.number(key, value)?])),
        }
    }

    /// Whether a string stands under `key`.
    pub(super) fn is_text(&self, key: &'static str) -> bool {
        self.value(key).is_some_and(|value| value.get_ref().is_str())
    }

    /// The table under `key`.
    pub(super) fn inner(&self, key: &'static str) -> Option<Self> {
        let value = self.value(key)?;
        let table = value.get_ref().as_table()?;
        Some(Self { text: self.text, table, start: value.span().start, asked: RefCell::default() })
    }

    /// The tables under `key`, written `[[key]]`.
    pub(super) fn tables(&self, key: &'static str) -> Result<Vec<Self>, ImportError> {
        let Some(value) = self.value(key) else { return Ok(vec![]) };
        let needed = |value| self.unlike(key, value, &format!("a list of tables, each written [[{key}]],"));
        let items = value.get_ref().as_array().ok_or_else(|| needed(value))?;
        let table = |item: &'a Spanned<DeValue<'a>>| {
            let table = item.get_ref().as_table().ok_or_else(|| needed(item))?;
            Ok(Self { text: self.text, table, start: item.span().start, asked: RefCell::default() })
        };
        items.iter().map(table).collect()
    }

    /// Refuses keys that were not asked for; `what` the table describes is named.
    pub(super) fn finish(&self, what: &str) -> Result<(), ImportError> {
        let asked = self.asked.borrow();
        match self.table.iter().find(|(key, _)| !asked.contains(key.get_ref().as_ref())) {
            None => Ok(()),
            Some((key, _)) => {
                let known: Vec<_> = asked.iter().copied().collect();
                let reason = format!("{:?} is no key of {what}; it has {}", clip(key.get_ref()), known.join(", "));
                Err(self.text.malformed(key.span().start, reason))
            }
        }
    }

    /// What stands under `key` is wrong.
    pub(super) fn wrong(&self, key: &'static str, reason: impl Into<String>) -> ImportError {
        let at = self.value(key).map_or(self.start, |value| value.span().start);
        self.text.malformed(at, format!("{key}: {}", reason.into()))
    }

    /// What is needed under `key` is not there.
    pub(super) fn missing(&self, key: &'static str, needed: &str) -> ImportError {
        self.text.malformed(self.start, format!("{key} is missing: {needed}"))
    }

    /// The table is wrong as a whole.
    pub(super) fn at_all(&self, reason: String) -> ImportError {
        self.text.malformed(self.start, reason)
    }

    fn value(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.borrow_mut().insert(key);
        self.table.iter().find(|(own, _)| own.get_ref() == key).map(|(_, value)| value)
    }

    fn string(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Result<String, ImportError> {
        let text = value.get_ref().as_str().ok_or_else(|| self.unlike(key, value, "a string"))?;
        if text.len() > MOST_TEXT || text.chars().any(char::is_control) {
            return Err(self.unlike(key, value, &format!("a string of at most {MOST_TEXT} bytes in one line")));
        }
        Ok(text.to_owned())
    }

    fn number(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Result<f32, ImportError> {
        let number = match value.get_ref() {
            DeValue::Integer(int) => i64::from_str_radix(int.as_str(), int.radix()).ok().map(|int| int as f32),
            DeValue::Float(float) => float.as_str().parse::<f32>().ok(),
            _ => None,
        };
        number.filter(|number| number.is_finite()).ok_or_else(|| self.unlike(key, value, "a finite number"))
    }

    fn unlike(&self, key: &str, value: &Spanned<DeValue<'_>>, needed: &str) -> ImportError {
        let Range { start, .. } = value.span();
        self.text.malformed(start, format!("{key}: {needed} is needed, not {}", value.get_ref().type_str()))
    }
}

/// Longest string, in bytes.
const MOST_TEXT: usize = 1024;
