//! The object as Pd sees it. Pd calls everything here from one thread.

use std::ffi::{CStr, CString, c_float, c_int, c_void};
use std::path::{Path, PathBuf};
use std::ptr;

use crate::load::{Loader, Method, Wish, load};
use crate::pd::*;
use crate::session::{MOST_SIGNALS, Session};

/// Pd's memory of an object: its head, and all else behind one pointer.
#[repr(C)]
struct Runnel {
    head: Object,
    /// What Pd puts a number into that comes to the first inlet.
    number: c_float,
    state: *mut State,
}

struct State {
    session: Session,
    loader: Loader,
    wish: Wish,
    /// Where the patch is.
    folder: PathBuf,
    clock: *mut Clock,
    told: *mut Outlet,
    signals: (usize, usize),
    /// The vectors of the inlets, then of the outlets, as of the last time that sound was switched on.
    vectors: Vec<*mut c_float>,
    frames: usize,
}

/// How often a model that is awaited is looked for.
const LOOK_MILLISECONDS: f64 = 10.0;

static mut CLASS: *mut Class = ptr::null_mut();

/// Pd calls this when it loads the file.
#[unsafe(no_mangle)]
#[allow(unsafe_code)]
#[allow(unreachable_pub, reason = "Pd finds it by name")]
pub unsafe extern "C" fn runnel_tilde_setup() {
    // SAFETY: Pd calls this once, on its thread, before any object is made; all names end with a zero, all lists with
    // `NULL`, and every function has the signature that its list says.
    unsafe {
        let class = class_new(
            gensym(c"runnel~".as_ptr()),
            new as *const c_void,
            free as *const c_void,
            size_of::<Runnel>(),
            0,
            GIMME,
            NULL,
        );
        CLASS = class;
        class_domainsignalin(class, std::mem::offset_of!(Runnel, number) as c_int);
        class_addmethod(class, dsp as *const c_void, gensym(c"dsp".as_ptr()), CANT, NULL);
        let messages: [(&CStr, Message); 9] = [
            (c"load", load_message),
            (c"reset", reset),
            (c"bypass", bypass),
            (c"seed", seed),
            (c"noise", noise),
            (c"slack", slack),
            (c"latents", latents),
            (c"info", info),
            (c"help", help),
        ];
        for (name, message) in messages {
            class_addmethod(class, message as *const c_void, gensym(name.as_ptr()), GIMME, NULL);
        }
    }
}

type Message = unsafe extern "C" fn(*mut Runnel, *mut Symbol, c_int, *const Atom);

#[allow(unsafe_code)]
unsafe extern "C" fn new(_: *mut Symbol, count: c_int, atoms: *const Atom) -> *mut c_void {
    // SAFETY: Pd gives `count` atoms.
    let arguments = unsafe { arguments(count, atoms) };
    // SAFETY: an object is made while its canvas is current; the symbol lives as long as Pd does.
    let folder = unsafe { CStr::from_ptr((*canvas_getdir(canvas_getcurrent())).name) };
    let folder = PathBuf::from(folder.to_string_lossy().into_owned());
    let made = made(arguments, &folder);
    let (wish, signals, stage) = match made {
        Ok(made) => made,
        Err(reason) => {
            error(ptr::null(), &reason);
            return ptr::null_mut();
        }
    };
    let mut session = Session::new(signals.0, signals.1);
    if let Some(stage) = stage {
        // The session was made for its signals.
        let _ = session.play(stage);
    }
    // SAFETY: `pd_new` gives memory of the size that the class was made with, its head set; the rest is set here, before Pd
    // can call anything on it. `s_signal` is Pd's own symbol.
    unsafe {
        let object = pd_new(CLASS).cast::<Runnel>();
        let signal = (&raw const s_signal).cast_mut();
        for _ in 1..signals.0 {
            inlet_new(&mut (*object).head, &mut (*object).head, signal, signal);
        }
        for _ in 0..signals.1 {
            outlet_new(&mut (*object).head, signal);
        }
        let told = outlet_new(&mut (*object).head, ptr::null_mut());
        let clock = clock_new(object.cast(), look as *const c_void);
        let state = State {
            session,
            loader: Loader::new(),
            wish,
            folder,
            clock,
            told,
            signals,
            vectors: vec![ptr::null_mut(); signals.0 + signals.1],
            frames: 0,
        };
        (*object).number = 0.0;
        (*object).state = Box::into_raw(Box::new(state));
        (*(*object).state).warn_of_rate(object.cast());
        object.cast()
    }
}

type Made = (Wish, (usize, usize), Option<Box<crate::session::Stage>>);

/// What the arguments `[MODEL] [METHOD]` ask for. The model is read here, since it says how many inlets there are.
fn made(arguments: &[Atom], folder: &Path) -> Result<Made, String> {
    let texts: Vec<_> = arguments.iter().map(|atom| atom.as_text()).collect();
    let (model, method) = match &texts[..] {
        [] => (None, Method::Forward),
        [Some(model)] => (Some(model), Method::Forward),
        [Some(model), Some(method)] => (Some(model), Method::named(method)?),
        _ => return Err("runnel~ takes a model and a method: runnel~ model.runnel forward".into()),
    };
    let mut wish = Wish { path: PathBuf::new(), method, slack_samples: 0 };
    let Some(model) = model else { return Ok((wish, (1, 1), None)) };
    wish.path = folder.join(model);
    let stage = load(&wish)?;
    let signals = stage.signals();
    if signals.0.max(signals.1) > MOST_SIGNALS {
        return Err(format!("{model} has {} inlets and {} outlets; {MOST_SIGNALS} is the most", signals.0, signals.1));
    }
    Ok((wish, signals, Some(Box::new(stage))))
}

#[allow(unsafe_code)]
unsafe extern "C" fn free(object: *mut Runnel) {
    // SAFETY: Pd frees an object that `new` made, once, and calls nothing on it afterwards.
    unsafe {
        let state = Box::from_raw((*object).state);
        clock_free(state.clock);
    }
}

#[allow(unsafe_code)]
unsafe extern "C" fn dsp(object: *mut Runnel, signals: *const *const Signal) {
    // SAFETY: Pd gives a signal for each inlet and each outlet, whose vectors stay until it calls this again; the object is
    // one of `new`'s.
    unsafe {
        let state = &mut *(*object).state;
        for (i, vector) in state.vectors.iter_mut().enumerate() {
            *vector = (**signals.add(i)).samples;
        }
        state.frames = (**signals).frames.max(0) as usize;
        let mut words = [object as isize];
        dsp_addv(perform, 1, words.as_mut_ptr());
    }
}

#[allow(unsafe_code)]
unsafe extern "C" fn perform(words: *mut isize) -> *mut isize {
    // SAFETY: the words are those of `dsp`; vectors hold `frames` samples. Inlets and outlets may share them: samples are
    // read and written through pointers, no slice is made, and the session reads a chunk before it writes one. No other
    // reference to the state is held while Pd performs.
    unsafe {
        let state = &mut *(*(*words.add(1) as *mut Runnel)).state;
        let (inlets, outlets) = state.vectors.split_at(state.signals.0);
        let read = |channel: usize, at: usize| *inlets[channel].add(at);
        let write = |channel: usize, at: usize, y: f32| *outlets[channel].add(at) = y;
        state.session.process(state.frames, read, write);
        words.add(2)
    }
}

/// Looks whether a model has come, and drops what is played no more.
#[allow(unsafe_code)]
unsafe extern "C" fn look(object: *mut Runnel) {
    // SAFETY: the clock belongs to an object of `new`'s, and is freed with it.
    let state = unsafe { &mut *(*object).state };
    while let Some(loaded) = state.loader.take() {
        match loaded.and_then(|stage| state.session.play(stage)) {
            Ok(()) => state.warn_of_rate(object.cast()),
            Err(reason) => error(object.cast(), &reason),
        }
    }
    while let Some(stage) = state.session.take_retired() {
        state.loader.drop_elsewhere(stage);
    }
    if state.loader.is_busy() || state.session.is_changing() {
        state.look_later();
    }
}

#[allow(unsafe_code)]
unsafe extern "C" fn load_message(object: *mut Runnel, _: *mut Symbol, count: c_int, atoms: *const Atom) {
    // SAFETY: as every message: Pd gives an object of `new`'s and `count` atoms.
    let (state, arguments) = unsafe { (&mut *(*object).state, arguments(count, atoms)) };
    let Some(model) = arguments.first().and_then(|atom| atom.as_text()) else {
        return error(object.cast(), "load takes the path of a model: load model.runnel");
    };
    state.wish.path = state.folder.join(model);
    state.ask();
}

#[allow(unsafe_code)]
unsafe extern "C" fn slack(object: *mut Runnel, _: *mut Symbol, count: c_int, atoms: *const Atom) {
    // SAFETY: as `load_message`.
    let (state, arguments) = unsafe { (&mut *(*object).state, arguments(count, atoms)) };
    match number(arguments) {
        Some(samples) if samples >= 0.0 => {
            state.wish.slack_samples = samples as u64;
            if state.session.stage().is_some() {
                state.ask();
            }
        }
        _ => error(object.cast(), "slack takes samples of latency beyond the least: slack 512"),
    }
}

#[allow(unsafe_code)]
unsafe extern "C" fn reset(object: *mut Runnel, _: *mut Symbol, _: c_int, _: *const Atom) {
    // SAFETY: as `load_message`.
    let state = unsafe { &mut *(*object).state };
    state.session.reset();
    state.look_later();
}

#[allow(unsafe_code)]
unsafe extern "C" fn bypass(object: *mut Runnel, _: *mut Symbol, count: c_int, atoms: *const Atom) {
    // SAFETY: as `load_message`.
    let (state, arguments) = unsafe { (&mut *(*object).state, arguments(count, atoms)) };
    match number(arguments) {
        Some(on) => state.session.set(|settings| settings.bypassed = on != 0.0),
        None => error(object.cast(), "bypass takes 1 or 0"),
    }
}

#[allow(unsafe_code)]
unsafe extern "C" fn seed(object: *mut Runnel, _: *mut Symbol, count: c_int, atoms: *const Atom) {
    // SAFETY: as `load_message`.
    let (state, arguments) = unsafe { (&mut *(*object).state, arguments(count, atoms)) };
    match number(arguments) {
        Some(seed) if seed >= 0.0 => state.session.set(|settings| settings.seed = seed as u64),
        _ => error(object.cast(), "seed takes a number from 0"),
    }
}

#[allow(unsafe_code)]
unsafe extern "C" fn noise(object: *mut Runnel, _: *mut Symbol, count: c_int, atoms: *const Atom) {
    // SAFETY: as `load_message`.
    let (state, arguments) = unsafe { (&mut *(*object).state, arguments(count, atoms)) };
    match number(arguments) {
        Some(gain) if gain.is_finite() => state.session.set(|settings| {
            settings.noisy = gain != 0.0;
            settings.noise = gain;
        }),
        _ => error(object.cast(), "noise takes the gain of the model's random parts: 0 for none, 1 as trained"),
    }
}

#[allow(unsafe_code)]
unsafe extern "C" fn latents(object: *mut Runnel, _: *mut Symbol, count: c_int, atoms: *const Atom) {
    // SAFETY: as `load_message`.
    let (state, arguments) = unsafe { (&mut *(*object).state, arguments(count, atoms)) };
    let biases: Option<Vec<f32>> =
        arguments.iter().map(|atom| atom.as_number().filter(|bias| bias.is_finite())).collect();
    match biases {
        Some(biases) => state.session.set(|settings| settings.latents = biases),
        None => error(object.cast(), "latents takes what is added to each latent: latents 0.5 -1"),
    }
}

/// Posts what is played, and sends it out of the last outlet: `latency`, `rate`, `slack` and `channels`.
#[allow(unsafe_code)]
unsafe extern "C" fn info(object: *mut Runnel, _: *mut Symbol, _: c_int, _: *const Atom) {
    // SAFETY: as `load_message`.
    let state = unsafe { &*(*object).state };
    let Some(stage) = state.session.stage() else { return say("runnel~: no model is loaded; load model.runnel") };
    let (latency, rate) = (stage.latency_samples(), stage.info.sampling_rate);
    let milliseconds = 1e3 * latency as f64 / f64::from(rate);
    say(&format!("runnel~: {}: {}", stage.info.name, stage.info.description));
    say(&format!(
        "runnel~: latency {latency} samples, {milliseconds:.1} ms at {rate} Hz, {} of it slack",
        state.wish.slack_samples
    ));
    let (inputs, outputs) = stage.signals();
    let told: [(&CStr, &[f32]); 4] = [
        (c"channels", &[inputs as f32, outputs as f32]),
        (c"slack", &[state.wish.slack_samples as f32]),
        (c"rate", &[rate as f32]),
        (c"latency", &[latency as f32]),
    ];
    for (name, numbers) in told {
        let atoms: Vec<_> = numbers.iter().map(|n| Atom::number(*n)).collect();
        // SAFETY: the outlet is the object's; the atoms outlive the call. The patch may send messages back meanwhile: no
        // reference into the state is used after this.
        unsafe { outlet_anything(state.told, gensym(name.as_ptr()), atoms.len() as c_int, atoms.as_ptr()) };
    }
}

#[allow(unsafe_code)]
unsafe extern "C" fn help(_: *mut Runnel, _: *mut Symbol, _: c_int, _: *const Atom) {
    say("runnel~ MODEL [forward|encode|decode]: plays a .runnel file or a RAVE checkpoint");
    say("  load MODEL · reset · bypass 1 · seed N · noise GAIN · slack SAMPLES · latents BIAS… · info");
}

impl State {
    fn ask(&mut self) {
        self.loader.ask(self.wish.clone());
        self.look_later();
    }

    #[allow(unsafe_code)]
    fn look_later(&self) {
        // SAFETY: the clock lives as long as the state.
        unsafe { clock_delay(self.clock, LOOK_MILLISECONDS) }
    }

    #[allow(unsafe_code)]
    fn warn_of_rate(&self, object: *const c_void) {
        let Some(stage) = self.session.stage() else { return };
        // SAFETY: no arguments.
        let rate = unsafe { sys_getsr() };
        let model = stage.info.sampling_rate;
        if rate > 0.0 && rate != model as f32 {
            error(
                object,
                &format!(
                    "{} was trained at {model} Hz, Pd runs at {rate} Hz: set Pd's sample rate to {model}",
                    stage.info.name
                ),
            );
        }
    }
}

fn number(arguments: &[Atom]) -> Option<f32> {
    arguments.first().and_then(|atom| atom.as_number())
}

/// # Safety
/// `atoms` points at `count` atoms, or `count` is 0.
#[allow(unsafe_code)]
unsafe fn arguments<'a>(count: c_int, atoms: *const Atom) -> &'a [Atom] {
    if count <= 0 || atoms.is_null() {
        return &[];
    }
    // SAFETY: as the caller says.
    unsafe { std::slice::from_raw_parts(atoms, count as usize) }
}

#[allow(unsafe_code)]
fn say(text: &str) {
    let text = c_text(text);
    // SAFETY: one text for one %s.
    unsafe { post(c"%s".as_ptr(), text.as_ptr()) }
}

#[allow(unsafe_code)]
fn error(object: *const c_void, text: &str) {
    let text = c_text(&format!("runnel~: {text}"));
    // SAFETY: one text for one %s; the object is null or one that exists.
    unsafe { pd_error(object, c"%s".as_ptr(), text.as_ptr()) }
}

fn c_text(text: &str) -> CString {
    CString::new(text.replace('\0', " ")).unwrap_or_default()
}
