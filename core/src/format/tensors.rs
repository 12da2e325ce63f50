//! Reading the tensors of a safetensors file, one by one, each once.

use std::collections::HashMap;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use safetensors::tensor::{Dtype, Metadata, TensorInfo};

use crate::tensor::{Tensor, Weight};
use crate::threads;

/// Most bytes of a header.
const MOST_HEADER: u64 = 100_000_000;

/// Where the data of a safetensors file of `len` bytes starts, and what it says of its tensors.
pub(super) fn metadata<F: Read>(open: impl Fn() -> io::Result<F>, len: u64) -> Result<(u64, Metadata), String> {
    let mut file = open().map_err(|e| e.to_string())?;
    let mut header_len = [0; 8];
    file.read_exact(&mut header_len).map_err(|_| "it ends within its first 8 bytes")?;
    let header_len = u64::from_le_bytes(header_len);
    if header_len > MOST_HEADER.min(len.saturating_sub(8)) {
        return Err(format!("a header of {header_len} bytes in a file of {len}"));
    }
    let mut header = vec![0; header_len as usize];
    file.read_exact(&mut header).map_err(|e| format!("its header: {e}"))?;
    let metadata: Metadata = serde_json::from_slice(&header).map_err(|e| format!("its header: {e}"))?;
    let data_len = metadata.data_len() as u64;
    if 8 + header_len + data_len != len {
        return Err(format!("{len} bytes, its header tells {}", 8 + header_len + data_len));
    }
    Ok((8 + header_len, metadata))
}

/// Every tensor, read by a few threads: most of the time goes into memory's first touch.
pub(super) fn weights<F: Read + Seek>(
    metadata: &Metadata,
    data_start: u64,
    open: &(impl Fn() -> io::Result<F> + Sync),
) -> Result<HashMap<String, Weight>, String> {
    let infos: Vec<_> = metadata.tensors().into_iter().collect();
    let tensors = threads::map(&infos, open, |file, (name, info)| {
        let file = file.as_mut().map_err(|e| e.to_string())?;
        let tensor = tensor(file, data_start, info).map_err(|e| format!("tensor {name}: {e}; convert again"))?;
        Ok((name.clone(), Arc::new(tensor)))
    });
    tensors.into_iter().collect()
}

fn tensor(file: &mut (impl Read + Seek), data_start: u64, info: &TensorInfo) -> Result<Tensor, String> {
    let (start, end) = info.data_offsets;
    let shape = info.shape.clone();
    let pair = |b: &[u8]| u16::from_le_bytes([b[0], b[1]]);
    let quad = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
    let unread = |e: io::Error| e.to_string();
    file.seek(SeekFrom::Start(data_start + start as u64)).map_err(unread)?;
    let tensor = match info.dtype {
        Dtype::F32 => Tensor::new(shape, values(file, end - start, 4, quad).map_err(unread)?),
        Dtype::F16 => Tensor::of_half(shape, values(file, end - start, 2, pair).map_err(unread)?),
        other => return Err(format!("{other:?}, F32 or F16 is needed")),
    };
    match tensor.data().iter().position(|v| !v.is_finite()) {
        Some(at) => Err(format!("value {at} is {}; the weights are damaged", tensor.data()[at])),
        None => Ok(tensor),
    }
}

/// The next `bytes` bytes as values of `size` bytes.
fn values<T>(file: &mut impl Read, bytes: usize, size: usize, value: impl Fn(&[u8]) -> T) -> io::Result<Vec<T>> {
    let mut values = Vec::with_capacity(bytes / size);
    let mut piece = [0; 1 << 16];
    let mut left = bytes;
    while left > 0 {
        let piece = &mut piece[..left.min(1 << 16)];
        file.read_exact(piece)?;
        values.extend(piece.chunks_exact(size).map(&value));
        left -= piece.len();
    }
    Ok(values)
}
