//! The plugin's window as the host knows it: opened inside the host's, shown, resized, closed, and opened again.
//!
//! `view` is one open window; `input` says what events mean, `painter` and `desktop` bring to the screen and the system
//! what egui asks for. What is shown outlives the window and knows nothing of it but this file.

mod desktop;
mod input;
mod painter;
mod view;

use std::error::Error;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use baseview::gl::GlConfig;
use baseview::host::{self, Host};
use baseview::{HandlerError, Window, WindowSettings, WindowSize, WindowWaker};
use nice_plug::context::gui::GuiContext;
use nice_plug::editor::dpi::{LogicalSize, NativeSize, Size};
use nice_plug::editor::{
    Editor, EditorHandle, HostCallbacks, HostMainThreadCaller, HostMethods, ParentWindowHandle, ResizeHint,
    SizeConstraints, SpawnedEditor,
};

use view::View;

/// What a window shows.
pub trait Contents: Send + 'static {
    /// A window opens; `host` is told of what is done in it.
    fn opened(&mut self, context: &egui::Context, host: GuiContext);
    /// Lays out a picture, while files are dragged as `drag` says.
    fn show(&mut self, ui: &mut egui::Ui, drag: &Drag);
    /// The window is gone.
    fn closed(&mut self);
}

/// Files that come with the pointer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Drag {
    /// None.
    #[default]
    Absent,
    /// These are held over the window.
    Over(Vec<PathBuf>),
    /// These were let go since the last picture.
    Dropped(Vec<PathBuf>),
}

/// Asks for a picture, from any thread but the audio thread. Without a window it does nothing.
#[derive(Clone, Default)]
pub struct Repaint(Arc<Wanted>);

#[derive(Default)]
struct Wanted {
    waker: Mutex<Option<WindowWaker>>,
    /// Whether a picture was asked for since the last one: the system is asked once for each.
    asked: AtomicBool,
}

/// The plugin's window, open or not.
pub struct PluginWindow<C> {
    title: &'static str,
    contents: Arc<Mutex<C>>,
    repaint: Repaint,
    hint: ResizeHint,
    extent: Arc<Extent>,
}

/// An open window, in the host's hands.
pub struct OpenWindow {
    repaint: Repaint,
    hint: ResizeHint,
}

/// How large the window is, or was when it was last open.
#[derive(Debug)]
struct Extent(Mutex<(LogicalSize<f64>, f64)>);

impl<C: Contents> PluginWindow<C> {
    /// A window of `size` points, not open yet, that shows `contents` and paints when `repaint` asks for it.
    pub fn new(title: &'static str, size: LogicalSize<f32>, hint: ResizeHint, contents: C, repaint: Repaint) -> Self {
        let extent = Arc::new(Extent(Mutex::new((size.cast(), 1.0))));
        Self { title, contents: Arc::new(Mutex::new(contents)), repaint, hint, extent }
    }

    fn settings(&self) -> WindowSettings {
        let (least, most): (Option<Size>, Option<Size>) = match self.hint.size_constraints {
            SizeConstraints::Logical { min_size, max_size } => (min_size.map(Size::from), max_size.map(Size::from)),
            SizeConstraints::Physical { min_size, max_size } => (min_size.map(Size::from), max_size.map(Size::from)),
        };
        WindowSettings::new()
            .with_title(self.title)
            .with_size(self.extent.logical())
            .with_min_size::<Size>(least)
            .with_max_size::<Size>(most)
            .with_resizable(self.hint.can_resize)
            .with_gl_config(GlConfig::default())
    }
}

impl<C: Contents> Editor for PluginWindow<C> {
    type Handle = OpenWindow;

    fn spawn(
        &self,
        parent: Option<ParentWindowHandle>,
        wait_for_parent: bool,
        fallback_scale_factor: Option<f64>,
        context: GuiContext,
        host: Option<HostMethods>,
    ) -> Result<SpawnedEditor<OpenWindow>, Box<dyn Error>> {
        let settings = self
            .settings()
            .with_parent(parent.as_ref())
            .with_wait_for_parent(wait_for_parent)
            .with_fallback_scale_factor(fallback_scale_factor);
        let (contents, extent, repaint) = (self.contents.clone(), self.extent.clone(), self.repaint.clone());
        let open = move |window| View::open(window, contents, context, extent, repaint);
        let window = Window::create_with_host(settings, open, host.map(told))?;
        // Hosts that ask for the size from now on are told it at the screen's scale.
        self.extent.follow(window.size());
        Ok(SpawnedEditor { handle: OpenWindow { repaint: self.repaint.clone(), hint: self.hint }, window })
    }

    fn size(&self) -> NativeSize<u32> {
        let (logical, scale) = *lock(&self.extent.0);
        NativeSize::from_size(logical.into(), scale)
    }

    fn resize_hint(&self) -> ResizeHint {
        self.hint
    }
}

impl EditorHandle for OpenWindow {
    type Window = Window;
    type Error = baseview::Error;

    fn run_until_closed(window: Window) -> Result<(), baseview::Error> {
        window.run_until_closed()
    }

    fn set_parent(&self, parent: ParentWindowHandle, window: &Window) -> Result<(), baseview::Error> {
        window.set_parent(&parent)
    }

    fn show(&self, window: &Window) -> Result<(), baseview::Error> {
        window.show()?;
        // Not every system says that a window is seen now.
        self.repaint.request();
        Ok(())
    }

    fn hide(&self, window: &Window) -> Result<(), baseview::Error> {
        window.hide()
    }

    fn set_size(&self, size: NativeSize<u32>, window: &Window) -> Result<(), baseview::Error> {
        window.resize(size)
    }

    fn host_main_thread_callback(&self, window: &Window) {
        window.host_main_thread_callback();
    }

    fn adjust_size(&self, size: NativeSize<u32>, window: &Window) -> Option<NativeSize<u32>> {
        let now = window.size();
        let current = NativeSize::from_logical_or_physical(now.logical, now.physical);
        Some(self.hint.adjust_size(size, current, now.scale_factor))
    }

    fn set_fallback_scale_factor(&self, scale: f64, window: &Window) -> Result<(), baseview::Error> {
        window.suggest_fallback_scale_factor(scale)
    }

    fn state_changed(&self) {
        self.repaint.request();
    }

    fn param_value_changed(&self, _: &str, _: f32) {
        self.repaint.request();
    }

    fn param_modulation_changed(&self, _: &str, _: f32) {
        self.repaint.request();
    }
}

impl Repaint {
    /// Asks for a picture.
    pub fn request(&self) {
        if !self.0.asked.swap(true, Ordering::AcqRel)
            && let Some(waker) = &*lock(&self.0.waker)
        {
            waker.request_redraw();
        }
    }

    /// A window opened, which paints itself at once, or closed.
    fn attach(&self, waker: Option<WindowWaker>) {
        *lock(&self.0.waker) = waker;
        self.begin();
    }

    /// A picture begins: what is asked for from now on is another one.
    fn begin(&self) {
        self.0.asked.store(false, Ordering::Release);
    }
}

impl Extent {
    fn logical(&self) -> LogicalSize<f64> {
        lock(&self.0).0
    }

    fn follow(&self, size: WindowSize) {
        *lock(&self.0) = (size.logical, size.scale_factor);
    }
}

/// What the window tells the host, by the window layer's traits.
fn told(host: HostMethods) -> Host {
    Host::new().with_callbacks(Callbacks(host.callbacks)).with_main_thread(MainThreadCaller(host.main_thread_caller))
}

struct Callbacks(Box<dyn HostCallbacks>);

impl host::HostCallbacks for Callbacks {
    fn request_resize(&mut self, size: WindowSize) -> Result<(), HandlerError> {
        self.0.request_resize(size.physical.into(), size.scale_factor).map_err(HandlerError::from_boxed)
    }

    fn destroyed(&mut self) {
        self.0.destroyed();
    }
}

struct MainThreadCaller(Box<dyn HostMainThreadCaller>);

impl host::HostMainThreadCaller for MainThreadCaller {
    fn call_main_thread(&mut self) {
        self.0.call_main_thread();
    }
}

/// What a panic left behind is whole: every lock here guards plain values that are written in one piece.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use baseview::dpi::PhysicalSize;

    use super::*;

    struct Nothing;

    impl Contents for Nothing {
        fn opened(&mut self, _: &egui::Context, _: GuiContext) {}
        fn show(&mut self, _: &mut egui::Ui, _: &Drag) {}
        fn closed(&mut self) {}
    }

    #[test]
    fn the_host_is_told_the_size_at_the_screens_scale_and_the_window_opens_at_its_last_one() {
        let size = LogicalSize::new(940.0, 640.0);
        let window = PluginWindow::new("", size, ResizeHint::RESIZABLE, Nothing, Repaint::default());
        let native = |width, height, scale| NativeSize::from_size(LogicalSize::new(width, height).into(), scale);
        assert_eq!(window.size(), native(940.0, 640.0, 1.0));
        window.extent.follow(WindowSize::from_physical(PhysicalSize::new(1500, 1250), 1.25));
        assert_eq!(window.size(), native(1200.0, 1000.0, 1.25));
        assert_eq!(window.settings().size, LogicalSize::new(1200.0, 1000.0).into());
    }
}
