//! Small files for the readers' tests, byte by byte.

use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// An archive as a test writes and reads it.
pub(super) type Bytes = Cursor<Vec<u8>>;

/// A zip archive of stored entries.
pub(super) fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    pack(entries, CompressionMethod::Stored)
}

/// A zip archive of compressed entries.
pub(super) fn deflated(entries: &[(&str, &[u8])]) -> Vec<u8> {
    pack(entries, CompressionMethod::Deflated)
}

fn pack(entries: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        zip.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// Little-endian bytes of floats.
pub(super) fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// A pickle under construction; every method appends opcodes.
#[derive(Clone, Default)]
pub(super) struct Pickler(Vec<u8>);

impl Pickler {
    pub(super) fn new() -> Self {
        Self(vec![0x80, 2])
    }

    /// Appends opcodes as they are.
    pub(super) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// The finished pickle.
    pub(super) fn stop(self) -> Vec<u8> {
        self.raw(b".").0
    }

    pub(super) fn global(self, module: &str, name: &str) -> Self {
        self.raw(format!("c{module}\n{name}\n").as_bytes())
    }

    pub(super) fn text(self, text: &str) -> Self {
        self.raw(b"X").raw(&(text.len() as u32).to_le_bytes()).raw(text.as_bytes())
    }

    pub(super) fn int(self, int: i32) -> Self {
        self.raw(b"J").raw(&int.to_le_bytes())
    }

    pub(super) fn ints(self, ints: &[i32]) -> Self {
        ints.iter().fold(self.raw(b"("), |pickler, &int| pickler.int(int)).raw(b"t")
    }

    /// `torch._utils._rebuild_tensor_v2((storage), offset, size, stride, False, OrderedDict())`.
    pub(super) fn tensor(self, tensor: Tensor) -> Self {
        self.global("torch._utils", "_rebuild_tensor_v2")
            .raw(b"((")
            .text("storage")
            .global("torch", tensor.class)
            .text(tensor.key)
            .text("cpu")
            .int(tensor.numel)
            .raw(b"tQ")
            .int(tensor.offset)
            .ints(tensor.shape)
            .ints(tensor.strides)
            .raw(b"\x89")
            .global("collections", "OrderedDict")
            .raw(b")RtR")
    }

    /// `module.Class` without arguments whose state is the dictionary that `attributes` writes: keys and values.
    pub(super) fn module(self, module: &str, class: &str, attributes: impl Fn(Self) -> Self) -> Self {
        attributes(self.global(module, class).raw(b")\x81}(")).raw(b"ub")
    }
}

/// What a pickle says of a tensor.
#[derive(Clone, Copy)]
pub(super) struct Tensor<'a> {
    pub(super) class: &'a str,
    pub(super) key: &'a str,
    pub(super) numel: i32,
    pub(super) offset: i32,
    pub(super) shape: &'a [i32],
    pub(super) strides: &'a [i32],
}

/// Two rows of three floats in storage `0`.
pub(super) const MATRIX: Tensor<'_> =
    Tensor { class: "FloatStorage", key: "0", numel: 6, offset: 0, shape: &[2, 3], strides: &[3, 1] };

/// A checkpoint whose root dictionary `entries` writes, keys and values, over `storages`.
pub(super) fn checkpoint(entries: impl Fn(Pickler) -> Pickler, storages: &[(&str, &[u8])]) -> Bytes {
    let pickle = entries(Pickler::new().raw(b"}(")).raw(b"u").stop();
    let mut files = vec![("archive/data.pkl", pickle.as_slice()), ("archive/byteorder", b"little")];
    files.extend(storages);
    Cursor::new(zip(&files))
}

/// A checkpoint with one tensor `w` over the bytes of storage `0`.
pub(super) fn one_tensor(tensor: Tensor, storage: &[u8]) -> Bytes {
    checkpoint(
        |pickler| pickler.text("state_dict").raw(b"}").text("w").tensor(tensor).raw(b"s"),
        &[("archive/data/0", storage)],
    )
}

/// Code of a convolution as TorchScript writes it.
pub(super) const CODE: &str = "class Conv1d(Module):
  __parameters__ = [\"weight\", ]
  weight : Tensor
  stride : Final[Tuple[int]] = (4,)
  padding_mode : Final[str] = \"zeros\"
  eps : Final[float] = 1.0000000000000001e-05
  affine : Final[bool] = True
  groups : Final[int] = 1
  sizes : Final[List[List[int]]] = [[1, 2], [3]]
  device : Final[Device] = torch.device(\"cpu\")
  def forward(self: __torch__.nn.Conv1d,
    x: Tensor) -> Tensor:
    y : Final[int] = 7
    return x
";

/// A TorchScript archive whose data `pickle` is, with [`CODE`] for `__torch__.nn.___torch_mangle_3.Conv1d`, code for
/// `__torch__.Net`, and the bytes of storage `0`.
pub(super) fn script(pickle: &[u8], storage: &[u8]) -> Bytes {
    Cursor::new(zip(&[
        ("net/data.pkl", pickle),
        ("net/code/__torch__.py", b"class Net(Module):\n  __parameters__ = []\n"),
        ("net/code/__torch__/nn/___torch_mangle_3.py", CODE.as_bytes()),
        ("net/constants.pkl", b"\x80\x02)."),
        ("net/data/0", storage),
    ]))
}

/// `bytes` with `len` of them from `at` (wrapped to the length) on replaced by `insert`.
pub(super) fn changed(bytes: &[u8], at: usize, len: usize, insert: &[u8]) -> Vec<u8> {
    let at = at % bytes.len();
    let end = (at + len).min(bytes.len());
    [&bytes[..at], insert, &bytes[end..]].concat()
}
