//! Values of a file's tensors, inside it or beside it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use half::{bf16, f16};

use super::constant::Constant;
use super::proto;
use crate::import::ImportError;

/// Files of weights beside a model.
#[derive(Debug, Default)]
pub(in crate::import) struct Beside {
    /// The model's folder; `None` where only the model's own bytes are at hand.
    folder: Option<PathBuf>,
    /// Bytes of each file, and how many of them were asked for.
    files: HashMap<PathBuf, (u64, u64)>,
}

/// What each kind of element is called, and how many bytes it has.
const KINDS: [(i64, &str, usize); 13] = [
    (1, "float", 4),
    (2, "uint8", 1),
    (3, "int8", 1),
    (4, "uint16", 2),
    (5, "int16", 2),
    (6, "int32", 4),
    (7, "int64", 8),
    (9, "bool", 1),
    (10, "float16", 2),
    (11, "double", 8),
    (12, "uint32", 4),
    (13, "uint64", 8),
    (16, "bfloat16", 2),
];

impl Beside {
    pub(in crate::import) fn new(folder: Option<PathBuf>) -> Self {
        Self { folder, files: HashMap::new() }
    }

    /// The values of `tensor`: floats of any width as f32, everything else as whole numbers.
    ///
    /// # Errors
    /// When its shape and its values do not fit, or lie where they must not.
    pub(super) fn read(&mut self, tensor: &proto::Tensor<'_>) -> Result<Constant, ImportError> {
        let place = || format!("tensor {}", tensor.name);
        let refuse = |reason: String| ImportError::malformed(place(), reason);
        let Some(&(kind, kind_name, width)) = KINDS.iter().find(|(kind, ..)| *kind == tensor.kind) else {
            return Err(refuse(format!("its elements are of kind {}; floats and integers are read", tensor.kind)));
        };
        let shape: Vec<usize> = (tensor.dims.iter())
            .map(|&n| usize::try_from(n).map_err(|_| refuse(format!("its shape is {:?}", tensor.dims))))
            .collect::<Result<_, _>>()?;
        let count = shape.iter().try_fold(1usize, |count, &n| count.checked_mul(n));
        let bytes_needed = count.and_then(|count| count.checked_mul(width));
        let (Some(count), Some(bytes_needed)) = (count, bytes_needed) else {
            return Err(refuse(format!("its shape {shape:?} has more values than can be counted")));
        };
        let held;
        let raw = match (&tensor.external, tensor.raw) {
            (Some(keys), _) => {
                held = self.external(keys, bytes_needed).map_err(|reason| refuse(format!("its values {reason}")))?;
                Some(&held[..])
            }
            (None, raw) => raw,
        };
        if let Some(raw) = raw {
            if raw.len() != bytes_needed {
                let (held, of) = (raw.len(), format!("shape {shape:?} of {kind_name}"));
                return Err(refuse(format!("{of} needs {bytes_needed} bytes, {held} are there")));
            }
            return Ok(of_bytes(kind, shape, raw));
        }
        let constant = of_fields(kind, shape, tensor)?;
        constant.map_err(|held| refuse(format!("its shape needs {count} values, {held} are there")))
    }

    /// The bytes that `keys` point to.
    fn external(&mut self, keys: &[(&str, &str)], needed: usize) -> Result<Vec<u8>, String> {
        let key = |name: &str| keys.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        let number = |name: &str| match key(name) {
            None => Ok(None),
            Some(text) => text.parse::<u64>().map(Some).map_err(|_| format!("lie at {name} {text:?}, no number")),
        };
        let location = key("location").ok_or("lie in another file that is not named")?;
        let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
        if length.is_some_and(|length| length != needed as u64) {
            return Err(format!("take {needed} bytes, and {} of {location} are named", length.unwrap_or(0)));
        }
        let plain = Path::new(location).components().all(|part| matches!(part, Component::Normal(_)));
        if location.is_empty() || !plain || location.contains('\\') {
            return Err(format!("lie in {location:?}; only files in the model's own folder are opened"));
        }
        let folder = self.folder.as_ref().ok_or_else(|| format!("lie in {location:?}, beside the model"))?;
        let fail =
            |e: std::io::Error| format!("lie in {location}, which cannot be read ({e}); keep it beside the model");
        let path = folder.join(location).canonicalize().map_err(fail)?;
        if !path.starts_with(folder.canonicalize().map_err(fail)?) || !path.is_file() {
            return Err(format!("lie in {location:?}, which leads to no file in the model's own folder"));
        }
        let mut file = File::open(&path).map_err(fail)?;
        let size = file.metadata().map_err(fail)?.len();
        let (_, asked) = self.files.entry(path).or_insert((size, 0));
        *asked += needed as u64;
        if *asked > size.saturating_mul(2) {
            return Err(format!("are the same bytes of {location} again and again"));
        }
        if offset.checked_add(needed as u64).is_none_or(|end| end > size) {
            return Err(format!("are bytes {offset}.. +{needed} of {location}, which has {size}"));
        }
        file.seek(SeekFrom::Start(offset)).map_err(fail)?;
        let mut bytes = vec![];
        file.take(needed as u64).read_to_end(&mut bytes).map_err(fail)?;
        Ok(bytes)
    }
}

fn of_bytes(kind: i64, shape: Vec<usize>, raw: &[u8]) -> Constant {
    fn each<const N: usize, T>(raw: &[u8], f: impl Fn([u8; N]) -> T) -> Vec<T> {
        raw.as_chunks().0.iter().map(|b| f(*b)).collect()
    }
    let floats = |values: Vec<f32>| Constant::floats(shape.clone(), values);
    let ints = |values: Vec<i64>| Constant::ints(shape.clone(), values);
    match kind {
        1 => floats(each(raw, f32::from_le_bytes)),
        10 => floats(each(raw, |b| f16::from_le_bytes(b).to_f32())),
        16 => floats(each(raw, |b| bf16::from_le_bytes(b).to_f32())),
        11 => floats(each(raw, |b| f64::from_le_bytes(b) as f32)),
        3 => ints(each(raw, |b| i8::from_le_bytes(b).into())),
        4 => ints(each(raw, |b| u16::from_le_bytes(b).into())),
        5 => ints(each(raw, |b| i16::from_le_bytes(b).into())),
        6 => ints(each(raw, |b| i32::from_le_bytes(b).into())),
        12 => ints(each(raw, |b| u32::from_le_bytes(b).into())),
        7 | 13 => ints(each(raw, i64::from_le_bytes)),
        _ => ints(each(raw, |[b]: [u8; 1]| b.into())),
    }
}

/// The tensor, or how many values were found instead.
fn of_fields(kind: i64, shape: Vec<usize>, tensor: &proto::Tensor<'_>) -> Result<Result<Constant, usize>, ImportError> {
    let (mut floats, mut ints) = (vec![], vec![]);
    for field in &tensor.typed {
        match field.number {
            4 => field.floats(&mut floats)?,
            10 => field.doubles(&mut floats)?,
            _ => field.ints(&mut ints)?,
        }
    }
    // Halves stand in the field of integers, as their bits.
    let narrow = |bits: &i64| {
        if kind == 10 { f16::from_bits(*bits as u16).to_f32() } else { bf16::from_bits(*bits as u16).to_f32() }
    };
    if matches!(kind, 10 | 16) {
        floats = ints.iter().map(narrow).collect();
    }
    let count: usize = shape.iter().product();
    Ok(if matches!(kind, 1 | 10 | 11 | 16) {
        if floats.len() == count { Ok(Constant::floats(shape, floats)) } else { Err(floats.len()) }
    } else if ints.len() == count {
        Ok(Constant::ints(shape, ints))
    } else {
        Err(ints.len())
    })
}

/// The file `name` beside the model at `path`, where it is one in its folder.
pub(super) fn beside(path: &Path, name: &str) -> Option<PathBuf> {
    let plain = !name.is_empty() && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    let file = path.parent().unwrap_or(Path::new("")).join(name);
    (plain && file.is_file()).then_some(file)
}
