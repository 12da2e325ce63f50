//! Tensors in archives: a pickled view (storage, offset, sizes, strides) and the storage's bytes → [`Array`].

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io::{Read, Seek};
use std::rc::Rc;

use half::f16;

use super::archive::Archive;
use super::pickle::{Id, Pickle, Value, clip};
use super::{Array, ImportError, Values};

/// Most dimensions of a tensor.
const RANK: usize = 16;
/// Longest name of a storage, in bytes; PyTorch numbers them.
const KEY: usize = 64;

/// How a storage writes one element; always little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    F16,
    Bf16,
    F32,
    F64,
    Bool,
    U8,
    I8,
    I16,
    I32,
    I64,
}

impl Element {
    fn of(storage: &str) -> Option<Self> {
        match storage.strip_prefix("torch.")?.strip_suffix("Storage")? {
            "Half" => Some(Self::F16),
            "BFloat16" => Some(Self::Bf16),
            "Float" => Some(Self::F32),
            "Double" => Some(Self::F64),
            "Bool" => Some(Self::Bool),
            "Byte" => Some(Self::U8),
            "Char" => Some(Self::I8),
            "Short" => Some(Self::I16),
            "Int" => Some(Self::I32),
            "Long" => Some(Self::I64),
            _ => None,
        }
    }

    fn bytes(self) -> usize {
        match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::F32 | Self::I32 => 4,
            Self::F64 | Self::I64 => 8,
        }
    }
}

/// What a pickle says of one tensor; bounds against its storage are established.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct View {
    element: Element,
    key: String,
    /// Elements in the storage.
    numel: usize,
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
    /// Product of `shape`.
    len: usize,
}

impl View {
    /// The view that `id` is, or `None` when it is no tensor; `place` names it in messages.
    pub(super) fn of(pickle: &Pickle, id: Id, place: &str) -> Result<Option<Self>, ImportError> {
        let fail = |reason: String| ImportError::malformed(place, reason);
        let mut id = id;
        // A parameter wraps its tensor once; more wrapping is nobody's.
        for _ in 0..2 {
            let Some((name, arguments)) = pickle.call(id) else { return Ok(None) };
            match (name, arguments) {
                ("torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state", [data, ..]) => {
                    id = *data;
                }
                (
                    "torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2",
                    [storage, offset, shape, strides, ..],
                ) => return Self::new(pickle, *storage, *offset, *shape, *strides).map(Some).map_err(fail),
                (name, _) if name.starts_with("torch._utils._rebuild_") => {
                    return Err(fail(format!(
                        "a tensor of kind {} cannot be read; save it as a plain dense tensor",
                        clip(name)
                    )));
                }
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    fn new(pickle: &Pickle, storage: Id, offset: Id, shape: Id, strides: Id) -> Result<Self, String> {
        let (element, key, numel) = storage_of(pickle, storage)?;
        let offset = size(pickle, offset).ok_or("the tensor's offset is no size")?;
        let shape =
            sizes(pickle, shape).ok_or_else(|| format!("the tensor's shape is no list of at most {RANK} sizes"))?;
        let strides = sizes(pickle, strides)
            .ok_or_else(|| format!("the tensor's strides are no list of at most {RANK} sizes"))?;
        if shape.len() != strides.len() {
            return Err(format!("a tensor of {} sizes and {} strides", shape.len(), strides.len()));
        }
        let overflow = || format!("the shape {shape:?} with strides {strides:?} overflows");
        let len = match shape.contains(&0) {
            true => 0,
            false => shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size)).ok_or_else(overflow)?,
        };
        if len > 0 {
            let last = shape
                .iter()
                .zip(&strides)
                .try_fold(offset, |at, (&size, &stride)| at.checked_add((size - 1).checked_mul(stride)?));
            let last = last.ok_or_else(overflow)?;
            if last >= numel {
                return Err(format!(
                    "shape {shape:?}, strides {strides:?} and offset {offset} reach element {last} of storage {}, \
                     which has {numel}",
                    clip(&key)
                ));
            }
        }
        Ok(Self { element, key, numel, offset, shape, strides, len })
    }
}

/// The storages of an archive, read when a view needs them.
pub(super) struct Storages<'a, R> {
    archive: &'a mut Archive<R>,
    /// Where in it they lie.
    folder: &'static str,
    /// Views that will still ask for a storage; one that several share is kept until the last has come.
    awaited: HashMap<String, usize>,
    kept: HashMap<String, Rc<Vec<u8>>>,
    /// Elements that may still be made. Views may repeat elements or overlap, but not without bound.
    elements: u64,
}

impl<'a, R: Read + Seek> Storages<'a, R> {
    /// For reading `views`, each as often as it is listed.
    pub(super) fn new<'v>(archive: &'a mut Archive<R>, views: impl Iterator<Item = &'v View>) -> Self {
        Self::within(archive, "data", views)
    }

    /// As [`Self::new`], where the storages lie in this folder of the archive.
    pub(super) fn within<'v>(
        archive: &'a mut Archive<R>,
        folder: &'static str,
        views: impl Iterator<Item = &'v View>,
    ) -> Self {
        let mut awaited = HashMap::new();
        for view in views {
            match awaited.get_mut(&view.key) {
                Some(count) => *count += 1,
                None => drop(awaited.insert(view.key.clone(), 1)),
            }
        }
        let elements = archive.bytes() + (1 << 16);
        Self { archive, folder, awaited, kept: HashMap::new(), elements }
    }

    /// The values of a view.
    pub(super) fn read(&mut self, view: &View) -> Result<Array, ImportError> {
        let entry = format!("{}/{}", self.folder, view.key);
        let Some(elements) = self.elements.checked_sub(view.len as u64) else {
            let reason =
                format!("tensors that share storages add up to far more than the file; shape {:?}", view.shape);
            return Err(self.archive.malformed(&entry, reason));
        };
        self.elements = elements;
        let needed = (view.numel as u64).saturating_mul(view.element.bytes() as u64);
        match self.archive.size(&entry) {
            Some(stored) if stored != needed => {
                let reason = format!("{stored} bytes where {} elements of {:?} belong", view.numel, view.element);
                return Err(self.archive.malformed(&entry, reason));
            }
            _ => {}
        }
        let bytes = self.bytes(view, &entry)?;
        Ok(Array { shape: view.shape.clone(), values: values(view, &bytes) })
    }

    fn bytes(&mut self, view: &View, entry: &str) -> Result<Rc<Vec<u8>>, ImportError> {
        let more = match self.awaited.get_mut(&view.key) {
            Some(count) => {
                *count = count.saturating_sub(1);
                *count > 0
            }
            None => false,
        };
        if let Some(bytes) = self.kept.get(&view.key) {
            let bytes = Rc::clone(bytes);
            if !more {
                self.kept.remove(&view.key);
            }
            return Ok(bytes);
        }
        let bytes = Rc::new(self.archive.read(entry)?);
        if more {
            self.kept.insert(view.key.clone(), Rc::clone(&bytes));
        }
        Ok(bytes)
    }
}

/// Element type, archive key and number of elements of a storage.
fn storage_of(pickle: &Pickle, id: Id) -> Result<(Element, String, usize), String> {
    const NOT: &str = "the tensor's storage is not described as PyTorch does";
    let Value::Persistent(description) = pickle.value(id) else { return Err(NOT.to_owned()) };
    let Some(&[tag, class, key, _device, numel, ..]) = pickle.items(*description) else { return Err(NOT.to_owned()) };
    let (Some("storage"), Some(class), Some(key)) = (pickle.text(tag), pickle.global(class), pickle.text(key)) else {
        return Err(NOT.to_owned());
    };
    if key.len() > KEY {
        return Err(format!("the storage's name is {} bytes long, more than {KEY}", key.len()));
    }
    let Some(element) = Element::of(class) else {
        return Err(format!("numbers of type {} cannot be read; save the model in float32", clip(class)));
    };
    let numel = size(pickle, numel).ok_or("the storage's element count is no size")?;
    Ok((element, key.to_owned(), numel))
}

fn size(pickle: &Pickle, id: Id) -> Option<usize> {
    match *pickle.value(id) {
        Value::Int(int) => usize::try_from(int).ok(),
        _ => None,
    }
}

fn sizes(pickle: &Pickle, id: Id) -> Option<Vec<usize>> {
    let mut id = id;
    // `torch.Size` and TorchScript's typed lists wrap the plain one.
    if let Some(("torch.Size" | "torch.jit._pickle.build_intlist", &[inner])) = pickle.call(id) {
        id = inner;
    }
    pickle.items(id).filter(|items| items.len() <= RANK)?.iter().map(|&id| size(pickle, id)).collect()
}

fn values(view: &View, bytes: &[u8]) -> Values {
    match view.element {
        Element::F16 => Values::Float(gather(view, bytes, |b| f16::from_le_bytes(b).to_f32())),
        Element::Bf16 => Values::Float(gather(view, bytes, |b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16))),
        Element::F32 => Values::Float(gather(view, bytes, f32::from_le_bytes)),
        Element::F64 => Values::Float(gather(view, bytes, |b| f64::from_le_bytes(b) as f32)),
        Element::Bool => Values::Int(gather(view, bytes, |[b]| i64::from(b != 0))),
        Element::U8 => Values::Int(gather(view, bytes, |[b]| i64::from(b))),
        Element::I8 => Values::Int(gather(view, bytes, |b| i64::from(i8::from_le_bytes(b)))),
        Element::I16 => Values::Int(gather(view, bytes, |b| i64::from(i16::from_le_bytes(b)))),
        Element::I32 => Values::Int(gather(view, bytes, |b| i64::from(i32::from_le_bytes(b)))),
        Element::I64 => Values::Int(gather(view, bytes, i64::from_le_bytes)),
    }
}

/// The view's elements in row-major order.
fn gather<const N: usize, T>(view: &View, bytes: &[u8], decode: impl Fn([u8; N]) -> T) -> Vec<T> {
    let elements = bytes.as_chunks::<N>().0;
    if view.len == 0 {
        return Vec::new();
    }
    if contiguous(view) {
        return elements[view.offset..view.offset + view.len].iter().map(|&b| decode(b)).collect();
    }
    let mut values = Vec::with_capacity(view.len);
    let mut index = vec![0; view.shape.len()];
    let mut at = view.offset;
    loop {
        values.push(decode(elements[at]));
        // Counts the index up, innermost dimension first.
        let mut axis = view.shape.len();
        loop {
            if axis == 0 {
                return values;
            }
            axis -= 1;
            index[axis] += 1;
            if index[axis] < view.shape[axis] {
                at += view.strides[axis];
                break;
            }
            at -= (index[axis] - 1) * view.strides[axis];
            index[axis] = 0;
        }
    }
}

fn contiguous(view: &View) -> bool {
    let mut expected = 1;
    view.shape.iter().zip(&view.strides).rev().all(|(&size, &stride)| {
        let fits = size == 1 || stride == expected;
        expected *= size;
        fits
    })
}
