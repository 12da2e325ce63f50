//! Which names a pickle may hold.
//!
//! Nothing is ever looked up or called, whatever the name: safety does not rest on this list. It decides which
//! files are refused with a message that says why.

use std::collections::HashSet;
use std::sync::LazyLock;

/// Which program wrote the pickle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `torch.jit.save`: only the names of [`TORCH_SCRIPT`], classes of the archive and storage types.
    TorchScript,
    /// `torch.save`: any class may stand among the hyper-parameters and stays an opaque record. A *call* of what
    /// belongs to Python itself is refused unless it makes plain data ([`makes_data`]).
    Checkpoint,
}

impl Dialect {
    /// Whether the pickle may mention `name`, a dotted path.
    pub(super) fn may_mention(self, name: &str) -> bool {
        match self {
            Self::Checkpoint => true,
            Self::TorchScript => {
                name.starts_with("__torch__.")
                    || TORCH_SCRIPT.contains(&name)
                    || name.strip_prefix("torch.").is_some_and(|n| n.ends_with("Storage") && !n.contains('.'))
            }
        }
    }

    /// Whether the pickle may ask for a call of `name`, a dotted path.
    pub(super) fn may_call(self, name: &str) -> bool {
        let package = name.split('.').next().unwrap_or_default();
        let (module, last) = name.rsplit_once('.').unwrap_or_default();
        self.may_mention(name) && (!PYTHON.contains(package) || makes_data(module, last))
    }
}

const TORCH_SCRIPT: [&str; 11] = [
    "builtins.complex",
    "collections.OrderedDict",
    "torch._utils._rebuild_tensor_v2",
    "torch.device",
    "torch.jit._pickle.build_boollist",
    "torch.jit._pickle.build_complexlist",
    "torch.jit._pickle.build_doublelist",
    "torch.jit._pickle.build_intlist",
    "torch.jit._pickle.build_tensor_from_id",
    "torch.jit._pickle.build_tensorlist",
    "torch.jit._pickle.restore_type_tag",
];

/// Whether a call of `name` in `module` of Python's own makes plain data. `getattr` is how some versions write a
/// member of an enum; a call of *its* result is refused like that of anything that is no name.
fn makes_data(module: &str, name: &str) -> bool {
    let names: &[&str] = match module {
        "builtins" | "__builtin__" => &[
            "bytearray",
            "bytes",
            "complex",
            "dict",
            "frozenset",
            "getattr",
            "list",
            "object",
            "range",
            "set",
            "slice",
            "tuple",
            "xrange",
        ],
        "copyreg" | "copy_reg" => &["__newobj__", "_reconstructor"],
        "collections" | "_collections" => &["Counter", "OrderedDict", "defaultdict", "deque"],
        "pathlib" | "pathlib._local" => &["Path", "PosixPath", "PurePosixPath", "PureWindowsPath", "WindowsPath"],
        "_codecs" => &["encode"],
        "argparse" => &["Namespace"],
        "datetime" => &["date", "datetime", "time", "timedelta", "timezone"],
        "decimal" => &["Decimal"],
        "fractions" => &["Fraction"],
        "functools" => &["partial"],
        "random" => &["Random"],
        "types" => &["MappingProxyType", "SimpleNamespace"],
        "uuid" => &["SafeUUID", "UUID"],
        "zoneinfo" => &["ZoneInfo"],
        _ => &[],
    };
    names.contains(&name)
}

/// Top-level modules of Python's standard library.
static PYTHON: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    "
    __builtin__ _abc _aix_support _ast _asyncio _bisect _blake2 _bootsubprocess _bz2 _codecs _codecs_cn _codecs_hk
    _codecs_iso2022 _codecs_jp _codecs_kr _codecs_tw _collections _collections_abc _compat_pickle _compression
    _contextvars _crypt _csv _ctypes _curses _curses_panel _datetime _dbm _decimal _elementtree _frozen_importlib
    _frozen_importlib_external _functools _gdbm _hashlib _heapq _imp _io _json _locale _lsprof _lzma _markupbase
    _md5 _msi _multibytecodec _multiprocessing _opcode _operator _osx_support _overlapped _pickle _posixshmem
    _posixsubprocess _py_abc _pydecimal _pyio _queue _random _scproxy _sha1 _sha256 _sha3 _sha512 _signal
    _sitebuiltins _socket _sqlite3 _sre _ssl _stat _statistics _string _strptime _struct _symtable _thread
    _threading_local _tkinter _tokenize _tracemalloc _typing _uuid _warnings _weakref _weakrefset _winapi _zoneinfo
    abc aifc argparse array ast asynchat asyncio asyncore atexit audioop base64 bdb binascii bisect builtins bz2
    cProfile calendar cgi cgitb chunk cmath cmd code codecs codeop collections colorsys commands compileall
    concurrent configparser contextlib contextvars copy copy_reg copyreg crypt csv ctypes curses dataclasses
    datetime dbm decimal difflib dis distutils doctest email encodings ensurepip enum errno faulthandler fcntl
    filecmp fileinput fnmatch fractions ftplib functools gc genericpath getopt getpass gettext glob graphlib grp
    gzip hashlib heapq hmac html http idlelib imaplib imghdr imp importlib inspect io ipaddress itertools json
    keyword lib2to3 linecache locale logging lzma mailbox mailcap marshal math mimetypes mmap modulefinder msilib
    msvcrt multiprocessing netrc nis nntplib nt ntpath nturl2path numbers opcode operator optparse os ossaudiodev
    pathlib pdb pickle pickletools pipes pkgutil platform plistlib poplib posix posixpath pprint profile pstats pty
    pwd py_compile pyclbr pydoc pydoc_data pyexpat queue quopri random re readline reprlib resource rlcompleter
    runpy sched secrets select selectors shelve shlex shutil signal site smtpd smtplib sndhdr socket socketserver
    spwd sqlite3 sre_compile sre_constants sre_parse ssl stat statistics string stringprep struct subprocess sunau
    symtable sys sysconfig syslog tabnanny tarfile telnetlib tempfile termios textwrap threading time timeit tkinter
    token tokenize tomllib trace traceback tracemalloc tty turtle turtledemo types typing unicodedata unittest
    urllib uu uuid venv warnings wave weakref webbrowser winreg winsound wsgiref xdrlib xml xmlrpc zipapp zipfile
    zipimport zlib zoneinfo"
        .split_ascii_whitespace()
        .collect()
});
