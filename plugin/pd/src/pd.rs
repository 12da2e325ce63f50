//! What is used of Pd's C interface (`m_pd.h` of Pd 0.53, single precision), declared by hand.

use std::ffi::{c_char, c_float, c_int, c_void};

/// An interned name.
#[repr(C)]
pub(crate) struct Symbol {
    /// Its text, for ever.
    pub(crate) name: *const c_char,
}

macro_rules! opaque {
    ($($(#[$doc:meta])* $name:ident),*) => {
        $($(#[$doc])* #[repr(C)] pub(crate) struct $name { _private: [u8; 0] })*
    };
}

opaque!(
    /// A kind of object.
    Class,
    /// An outlet of an object.
    Outlet,
    /// An inlet of an object.
    Inlet,
    /// A call that Pd makes later.
    Clock,
    /// A window of a patch.
    Canvas
);

/// The head that every object begins with (`t_object`).
#[repr(C)]
pub(crate) struct Object {
    class: *mut Class,
    next: *mut c_void,
    binbuf: *mut c_void,
    outlets: *mut c_void,
    inlets: *mut c_void,
    x: i16,
    y: i16,
    width: i16,
    kind: u16,
}

/// The part of a signal that no version of Pd moves (`t_signal`).
#[repr(C)]
pub(crate) struct Signal {
    /// Samples in a block.
    pub(crate) frames: c_int,
    /// The samples.
    pub(crate) samples: *mut c_float,
    /// Samples per second.
    pub(crate) rate: c_float,
}

/// An argument of a message (`t_atom`).
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Atom {
    kind: c_int,
    value: Value,
}

#[repr(C)]
#[derive(Clone, Copy)]
union Value {
    number: c_float,
    symbol: *const Symbol,
    widest: *const c_void,
}

impl Atom {
    /// A number.
    pub(crate) fn number(value: f32) -> Self {
        let mut atom = Self { kind: FLOAT, value: Value { widest: std::ptr::null() } };
        atom.value.number = value;
        atom
    }

    /// The number, if it is one.
    #[allow(unsafe_code)]
    pub(crate) fn as_number(self) -> Option<f32> {
        if self.kind != FLOAT {
            return None;
        }
        // SAFETY: Pd writes the number of an atom of this kind.
        Some(unsafe { self.value.number })
    }

    /// The text, if it is one.
    #[allow(unsafe_code)]
    pub(crate) fn as_text(self) -> Option<String> {
        if self.kind != SYMBOL {
            return None;
        }
        // SAFETY: Pd writes the symbol of an atom of this kind; symbols and their texts, which end with a zero, live as long
        // as Pd does.
        let text = unsafe { std::ffi::CStr::from_ptr((*self.value.symbol).name) };
        Some(text.to_string_lossy().into_owned())
    }
}

const FLOAT: c_int = 1;
const SYMBOL: c_int = 2;
/// The end of a list of kinds of arguments.
pub(crate) const NULL: c_int = 0;
/// A method that takes any arguments, as a count and an array.
pub(crate) const GIMME: c_int = 10;
/// A method that only Pd itself calls.
pub(crate) const CANT: c_int = 11;

#[allow(unsafe_code)]
unsafe extern "C" {
    pub(crate) fn gensym(name: *const c_char) -> *mut Symbol;
    pub(crate) fn class_new(
        name: *mut Symbol,
        new: *const c_void,
        free: *const c_void,
        size: usize,
        flags: c_int,
        first: c_int,
        ...
    ) -> *mut Class;
    pub(crate) fn class_addmethod(class: *mut Class, f: *const c_void, name: *mut Symbol, first: c_int, ...);
    pub(crate) fn class_domainsignalin(class: *mut Class, offset: c_int);
    pub(crate) fn pd_new(class: *mut Class) -> *mut c_void;
    pub(crate) fn inlet_new(owner: *mut Object, to: *mut Object, from: *mut Symbol, as_: *mut Symbol) -> *mut Inlet;
    pub(crate) fn outlet_new(owner: *mut Object, kind: *mut Symbol) -> *mut Outlet;
    pub(crate) fn outlet_anything(outlet: *mut Outlet, name: *mut Symbol, count: c_int, atoms: *const Atom);
    pub(crate) fn dsp_addv(perform: unsafe extern "C" fn(*mut isize) -> *mut isize, count: c_int, words: *mut isize);
    pub(crate) fn clock_new(owner: *mut c_void, tick: *const c_void) -> *mut Clock;
    pub(crate) fn clock_delay(clock: *mut Clock, milliseconds: f64);
    pub(crate) fn clock_free(clock: *mut Clock);
    pub(crate) fn canvas_getcurrent() -> *mut Canvas;
    pub(crate) fn canvas_getdir(canvas: *mut Canvas) -> *mut Symbol;
    pub(crate) fn sys_getsr() -> c_float;
    pub(crate) fn post(format: *const c_char, ...);
    pub(crate) fn pd_error(object: *const c_void, format: *const c_char, ...);
    pub(crate) static s_signal: Symbol;
}
