//! The opcodes that the machine knows: those that PyTorch, Lightning and TorchScript write (protocol 2), and those
//! that the same data takes in protocols 3 to 5. Not among them, and refused: the text forms of protocol 0, the
//! class-instantiating `INST` and `OBJ`, the extension registry, text persistent ids and out-of-band buffers.

/// Declares the enum, its bytes and its names in one place.
macro_rules! opcodes {
    ($($name:ident = $byte:literal),+ $(,)?) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(crate) enum Opcode { $($name = $byte),+ }

        impl Opcode {
            pub(crate) fn of(byte: u8) -> Option<Self> {
                match byte { $($byte => Some(Self::$name),)+ _ => None }
            }
        }
    };
}

opcodes! {
    Proto = 0x80, Frame = 0x95, Stop = b'.',
    Mark = b'(', Pop = b'0', PopMark = b'1',
    None = b'N', NewTrue = 0x88, NewFalse = 0x89,
    BinInt = b'J', BinInt1 = b'K', BinInt2 = b'M', Long1 = 0x8a, Long4 = 0x8b, BinFloat = b'G',
    BinUnicode = b'X', ShortBinUnicode = 0x8c, BinUnicode8 = 0x8d,
    BinBytes = b'B', ShortBinBytes = b'C', BinBytes8 = 0x8e, ByteArray8 = 0x96,
    EmptyTuple = b')', Tuple = b't', Tuple1 = 0x85, Tuple2 = 0x86, Tuple3 = 0x87,
    EmptyList = b']', Append = b'a', Appends = b'e',
    EmptyDict = b'}', SetItem = b's', SetItems = b'u',
    EmptySet = 0x8f, AddItems = 0x90, FrozenSet = 0x91,
    BinGet = b'h', LongBinGet = b'j', BinPut = b'q', LongBinPut = b'r', Memoize = 0x94,
    Global = b'c', StackGlobal = 0x93, Reduce = b'R', NewObj = 0x81, NewObjEx = 0x92, Build = b'b',
    BinPersId = b'Q',
}

/// Python's name of an opcode that the machine refuses.
pub(crate) fn refused(byte: u8) -> &'static str {
    match byte {
        b'I' => "INT",
        b'L' => "LONG",
        b'F' => "FLOAT",
        b'S' => "STRING",
        b'T' => "BINSTRING",
        b'U' => "SHORT_BINSTRING",
        b'V' => "UNICODE",
        b'P' => "PERSID",
        b'i' => "INST",
        b'o' => "OBJ",
        b'd' => "DICT",
        b'l' => "LIST",
        b'g' => "GET",
        b'p' => "PUT",
        b'2' => "DUP",
        0x82 => "EXT1",
        0x83 => "EXT2",
        0x84 => "EXT4",
        0x97 => "NEXT_BUFFER",
        0x98 => "READONLY_BUFFER",
        _ => "unknown",
    }
}
