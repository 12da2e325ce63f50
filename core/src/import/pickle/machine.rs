//! The machine: opcodes → a table of values.

use std::collections::HashMap;

use super::opcode::{self, Opcode};
use super::{Dialect, Id, Object, Value, clip};

/// Largest pickle read, in bytes. Tensors are stored beside it, so real ones stay far below.
const BYTES: usize = 64 << 20;
/// Most values in one pickle; a checkpoint with its optimizer has about 10⁵.
const VALUES: usize = 1 << 21;
/// Deepest nesting of `MARK`s.
const MARKS: usize = 1 << 12;
/// Longest text, in bytes.
const TEXT: usize = 1 << 20;

/// Longest dotted path of a name, in bytes.
const NAME: usize = 512;

/// A reason without its place; the caller adds that.
type Reasoned<T> = Result<T, String>;

/// Runs a pickle to its `STOP`: the values, and the one left on the stack.
///
/// # Errors
/// The offset of the opcode at work, and the reason.
pub(super) fn run(bytes: &[u8], dialect: Dialect) -> Result<(Vec<Value>, Id), (usize, String)> {
    let mut machine = Machine {
        bytes,
        at: 0,
        dialect,
        values: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    let mut offset = 0;
    match machine.run(&mut offset) {
        Ok(root) => Ok((machine.values, root)),
        Err(reason) => Err((offset, reason)),
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    dialect: Dialect,
    values: Vec<Value>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl Machine<'_> {
    /// Runs to `STOP`; `offset` is that of the opcode at work.
    fn run(&mut self, offset: &mut usize) -> Reasoned<Id> {
        if self.bytes.len() > BYTES {
            return Err(format!("a pickle of {} bytes, more than {BYTES}", self.bytes.len()));
        }
        loop {
            *offset = self.at;
            let byte = self.byte()?;
            let Some(opcode) = Opcode::of(byte) else {
                let name = opcode::refused(byte);
                return Err(format!("pickle opcode {name} (0x{byte:02x}) is not allowed; nothing was executed"));
            };
            if opcode == Opcode::Stop {
                let root = self.pop()?;
                return match self.stack.is_empty() && self.marks.is_empty() {
                    true => Ok(root),
                    false => Err(format!("the pickle stops with {} values left over", self.stack.len())),
                };
            }
            self.step(opcode)?;
        }
    }

    fn step(&mut self, opcode: Opcode) -> Reasoned<()> {
        match opcode {
            Opcode::Proto => match self.byte()? {
                2..=5 => {}
                protocol => return Err(format!("pickle protocol {protocol}; 2 to 5 are known")),
            },
            Opcode::Frame => drop(self.take(8)?),
            Opcode::Stop => {}
            Opcode::Mark if self.marks.len() == MARKS => return Err(format!("nested deeper than {MARKS}")),
            Opcode::Mark => self.marks.push(self.stack.len()),
            Opcode::Pop => drop(self.pop()?),
            Opcode::PopMark => drop(self.since_mark()?),
            Opcode::None => self.push(Value::None)?,
            Opcode::NewTrue => self.push(Value::Bool(true))?,
            Opcode::NewFalse => self.push(Value::Bool(false))?,
            Opcode::BinInt => {
                let int = i32::from_le_bytes(self.array()?);
                self.push(Value::Int(int.into()))?;
            }
            Opcode::BinInt1 => {
                let int = self.byte()?;
                self.push(Value::Int(int.into()))?;
            }
            Opcode::BinInt2 => {
                let int = u16::from_le_bytes(self.array()?);
                self.push(Value::Int(int.into()))?;
            }
            Opcode::Long1 => {
                let len = self.byte()?;
                self.long(len.into())?;
            }
            Opcode::Long4 => {
                let len = u32::from_le_bytes(self.array()?);
                self.long(len as usize)?;
            }
            Opcode::BinFloat => {
                let float = f64::from_be_bytes(self.array()?);
                self.push(Value::Float(float))?;
            }
            Opcode::BinUnicode | Opcode::ShortBinUnicode | Opcode::BinUnicode8 => {
                let len = self.length(opcode)?;
                let text = self.text(len)?;
                self.push(Value::Text(text))?;
            }
            Opcode::BinBytes | Opcode::ShortBinBytes | Opcode::BinBytes8 | Opcode::ByteArray8 => {
                let len = self.length(opcode)?;
                self.take(len)?;
                self.push(Value::Bytes)?;
            }
            Opcode::EmptyTuple => self.push(Value::Tuple(Vec::new()))?,
            Opcode::Tuple => {
                let items = self.since_mark()?;
                self.push(Value::Tuple(items))?;
            }
            Opcode::Tuple1 | Opcode::Tuple2 | Opcode::Tuple3 => {
                let len = opcode as usize - Opcode::Tuple1 as usize + 1;
                let mut items = Vec::with_capacity(len);
                for _ in 0..len {
                    items.push(self.pop()?);
                }
                items.reverse();
                self.push(Value::Tuple(items))?;
            }
            Opcode::EmptyList => self.push(Value::List(Vec::new()))?,
            Opcode::Append => {
                let item = self.pop()?;
                self.extend(vec![item])?;
            }
            Opcode::Appends | Opcode::AddItems => {
                let items = self.since_mark()?;
                self.extend(items)?;
            }
            Opcode::EmptyDict => self.push(Value::Dict(Vec::new()))?,
            Opcode::SetItem => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set(&[key, value])?;
            }
            Opcode::SetItems => {
                let items = self.since_mark()?;
                self.set(&items)?;
            }
            Opcode::EmptySet => self.push(Value::Set(Vec::new()))?,
            Opcode::FrozenSet => {
                let items = self.since_mark()?;
                self.push(Value::Set(items))?;
            }
            Opcode::BinGet => {
                let index = self.byte()?;
                self.recall(index.into())?;
            }
            Opcode::LongBinGet => {
                let index = u32::from_le_bytes(self.array()?);
                self.recall(index)?;
            }
            Opcode::BinPut => {
                let index = self.byte()?;
                self.remember(index.into())?;
            }
            Opcode::LongBinPut => {
                let index = u32::from_le_bytes(self.array()?);
                self.remember(index)?;
            }
            Opcode::Memoize => self.remember(self.memo.len() as u32)?,
            Opcode::Global => {
                let module = self.line()?;
                let name = self.line()?;
                self.name(module, name)?;
            }
            Opcode::StackGlobal => {
                let name = self.pop_name()?;
                let module = self.pop_name()?;
                self.name(module, name)?;
            }
            Opcode::Reduce | Opcode::NewObj => {
                let arguments = self.pop()?;
                let callee = self.pop()?;
                self.record(callee, arguments)?;
            }
            Opcode::NewObjEx => {
                self.pop()?;
                let arguments = self.pop()?;
                let callee = self.pop()?;
                self.record(callee, arguments)?;
            }
            Opcode::Build => {
                let state = self.pop()?;
                match self.top()? {
                    Value::Object(object) => object.state = Some(state),
                    _ => return Err("BUILD of what is no object".to_owned()),
                }
            }
            Opcode::BinPersId => {
                let id = self.pop()?;
                self.push(Value::Persistent(id))?;
            }
        }
        Ok(())
    }

    fn take(&mut self, len: usize) -> Reasoned<&[u8]> {
        let rest = &self.bytes[self.at..];
        let Some(taken) = rest.get(..len) else {
            return Err(format!("{len} bytes belong here, {} are left; copy or export the file again", rest.len()));
        };
        self.at += len;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Reasoned<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn byte(&mut self) -> Reasoned<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn length(&mut self, opcode: Opcode) -> Reasoned<usize> {
        let len = match opcode {
            Opcode::ShortBinUnicode | Opcode::ShortBinBytes => self.byte()?.into(),
            Opcode::BinUnicode8 | Opcode::BinBytes8 | Opcode::ByteArray8 => u64::from_le_bytes(self.array()?),
            _ => u32::from_le_bytes(self.array()?).into(),
        };
        usize::try_from(len).map_err(|_| format!("a value of {len} bytes"))
    }

    fn text(&mut self, len: usize) -> Reasoned<Box<str>> {
        if len > TEXT {
            return Err(format!("a string of {len} bytes, more than {TEXT}"));
        }
        // Python may write lone surrogates, which are no UTF-8; no name in a model has any.
        Ok(String::from_utf8_lossy(self.take(len)?).into())
    }

    fn line(&mut self) -> Reasoned<Box<str>> {
        let Some(len) = self.bytes[self.at..].iter().take(NAME + 1).position(|&byte| byte == b'\n') else {
            return Err(format!("a name without end within {NAME} bytes"));
        };
        let line = self.text(len)?;
        self.at += 1;
        Ok(line)
    }

    fn long(&mut self, len: usize) -> Reasoned<()> {
        let bytes = self.take(len)?;
        let value = match (bytes.len(), bytes.last()) {
            (..=8, last) => {
                let sign = if last.is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
                let mut wide = [sign; 8];
                wide[..bytes.len()].copy_from_slice(bytes);
                Value::Int(i64::from_le_bytes(wide))
            }
            _ => Value::BigInt,
        };
        self.push(value)
    }

    fn push(&mut self, value: Value) -> Reasoned<()> {
        if self.values.len() == VALUES {
            return Err(format!("more than {VALUES} values"));
        }
        self.stack.push(Id(self.values.len() as u32));
        self.values.push(value);
        Ok(())
    }

    fn pop(&mut self) -> Reasoned<Id> {
        match self.stack.len() > self.marks.last().copied().unwrap_or(0) {
            true => self.stack.pop().ok_or_else(|| "the stack is empty".to_owned()),
            false => Err("a value is taken where none was put".to_owned()),
        }
    }

    fn pop_name(&mut self) -> Reasoned<Box<str>> {
        let id = self.pop()?;
        match &self.values[id.0 as usize] {
            Value::Text(text) if text.len() <= NAME => Ok(text.clone()),
            _ => Err(format!("a name that is no string of at most {NAME} bytes")),
        }
    }

    fn since_mark(&mut self) -> Reasoned<Vec<Id>> {
        match self.marks.pop() {
            Some(mark) => Ok(self.stack.split_off(mark)),
            None => Err("a MARK is missing".to_owned()),
        }
    }

    fn top(&mut self) -> Reasoned<&mut Value> {
        let id = self.pop()?;
        self.stack.push(id);
        Ok(&mut self.values[id.0 as usize])
    }

    fn extend(&mut self, more: Vec<Id>) -> Reasoned<()> {
        match self.top()? {
            Value::List(items) | Value::Set(items) => items.extend(more),
            Value::Object(object) => object.items.extend(more),
            _ => return Err("elements are appended to what is neither list nor object".to_owned()),
        }
        Ok(())
    }

    fn set(&mut self, keys_and_values: &[Id]) -> Reasoned<()> {
        let (pairs, rest) = keys_and_values.as_chunks::<2>();
        if !rest.is_empty() {
            return Err("a key without a value".to_owned());
        }
        let pairs = pairs.iter().map(|&[key, value]| (key, value));
        match self.top()? {
            Value::Dict(entries) => entries.extend(pairs),
            Value::Object(object) => object.entries.extend(pairs),
            _ => return Err("entries are set in what is neither dictionary nor object".to_owned()),
        }
        Ok(())
    }

    fn recall(&mut self, index: u32) -> Reasoned<()> {
        match self.memo.get(&index) {
            Some(&id) => self.stack.push(id),
            None => return Err(format!("memo {index} is read before it is written")),
        }
        Ok(())
    }

    fn remember(&mut self, index: u32) -> Reasoned<()> {
        let id = self.pop()?;
        self.stack.push(id);
        self.memo.insert(index, id);
        Ok(())
    }

    fn name(&mut self, module: Box<str>, name: Box<str>) -> Reasoned<()> {
        let name = format!("{module}.{name}");
        if !self.dialect.may_mention(&name) {
            return Err(format!("the name {} does not belong in TorchScript; nothing was executed", clip(&name)));
        }
        self.push(Value::Global(name.into()))
    }

    fn record(&mut self, callee: Id, arguments: Id) -> Reasoned<()> {
        let Value::Global(name) = &self.values[callee.0 as usize] else {
            return Err("a call of what is no name; nothing was executed".to_owned());
        };
        if !self.dialect.may_call(name) {
            return Err(format!("the file asks to call {}, which is not allowed; nothing was executed", clip(name)));
        }
        if !matches!(self.values[arguments.0 as usize], Value::Tuple(_)) {
            return Err(format!("the arguments of {} are no tuple", clip(name)));
        }
        let object = Object { callee, arguments, state: None, items: Vec::new(), entries: Vec::new() };
        self.push(Value::Object(Box::new(object)))
    }
}
