//! One open window: events in, pictures out, and rest in between.

use std::cell::{Cell, RefCell};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

use baseview::{
    DropEffect, Event, EventStatus, HandlerError, MouseCursor, MouseEvent, WindowContext, WindowHandler, WindowSize,
};
use egui::{FullOutput, OutputCommand, ViewportId};
use nice_plug::context::gui::GuiContext;

use super::desktop::{Clipboard, pointer};
use super::input::{Heard, Input};
use super::painter::Painter;
use super::{Contents, Extent, Repaint};

/// A system's timer may be this early.
const EARLY: Duration = Duration::from_millis(4);

/// An open window. All of its methods run on the window's thread; a host may call some while others run.
pub(super) struct View<C: Contents> {
    window: WindowContext,
    contents: Arc<Mutex<C>>,
    extent: Arc<Extent>,
    repaint: Repaint,
    egui: egui::Context,
    input: RefCell<Input>,
    painter: RefCell<Painter>,
    clipboard: RefCell<Clipboard>,
    opened: Instant,
    /// When the system was asked for the next picture, if none was asked for at once.
    due: Cell<Option<Instant>>,
    pointer: Cell<MouseCursor>,
}

impl<C: Contents> View<C> {
    /// Shows `contents` in a window that has just been made.
    ///
    /// # Errors
    /// Without OpenGL, and while another window shows the same.
    pub(super) fn open(
        window: WindowContext,
        contents: Arc<Mutex<C>>,
        host: GuiContext,
        extent: Arc<Extent>,
        repaint: Repaint,
    ) -> Result<Self, HandlerError> {
        let painter = Painter::new(window.clone())?;
        let egui = egui::Context::default();
        // The window's size is the host's to give.
        egui.options_mut(|options| options.zoom_with_keyboard = false);
        let taken = || io::Error::other("the window that was open before is not closed yet");
        free(&contents).ok_or_else(taken)?.opened(&egui, host);
        repaint.attach(Some(window.waker()));
        let input = Input::new(painter.longest_side(), window.scale_factor());
        Ok(Self {
            input: RefCell::new(input),
            painter: RefCell::new(painter),
            clipboard: RefCell::default(),
            opened: Instant::now(),
            due: Cell::new(None),
            pointer: Cell::new(MouseCursor::Default),
            window,
            contents,
            extent,
            repaint,
            egui,
        })
    }

    /// Lays out a picture; none while one is being laid out.
    fn lay_out(&self, size: WindowSize) -> Option<FullOutput> {
        let mut contents = free(&self.contents)?;
        let (raw, drag) = self.input.borrow_mut().take(self.opened.elapsed().as_secs_f64(), size);
        Some(self.egui.run_ui(raw, |ui| contents.show(ui, &drag)))
    }

    /// Sleeps for `delay`, or until something happens.
    fn rest(&self, delay: Duration) {
        if delay.is_zero() {
            self.window.request_redraw();
            return;
        }
        // What lies beyond the clock's end is never.
        let Some(due) = Instant::now().checked_add(delay) else { return };
        // Timers cannot be taken back: an earlier one serves this wish as well.
        if self.due.get().is_none_or(|earlier| due < earlier) {
            self.due.set(Some(due));
            self.window.request_redraw_after(delay);
        }
    }

    fn paste(&self) {
        // While one paste waits for another program, another is not begun.
        let text = self.clipboard.try_borrow_mut().ok().and_then(|mut clipboard| clipboard.text());
        if let Some(text) = text {
            self.input.borrow_mut().paste(text);
        }
    }
}

impl<C: Contents> WindowHandler for View<C> {
    fn draw(&self) -> Result<(), HandlerError> {
        self.repaint.begin();
        if self.due.get().is_some_and(|due| due <= Instant::now() + EARLY) {
            self.due.set(None);
        }
        let size = self.window.size();
        let Some(mut output) = self.lay_out(size) else {
            self.window.request_redraw();
            return Ok(());
        };
        for command in output.platform_output.commands {
            if let (OutputCommand::CopyText(text), Ok(mut clipboard)) = (command, self.clipboard.try_borrow_mut()) {
                clipboard.put(text);
            }
        }
        let primitives = self.egui.tessellate(output.shapes, output.pixels_per_point);
        let pixels = [size.physical.width, size.physical.height];
        self.painter.borrow_mut().paint(pixels, output.pixels_per_point, &primitives, &mut output.textures_delta)?;
        let shape = pointer(output.platform_output.cursor_icon);
        if self.pointer.replace(shape) != shape {
            self.window.set_mouse_cursor(shape)?;
        }
        self.rest(output.viewport_output.get(&ViewportId::ROOT).map_or(Duration::MAX, |view| view.repaint_delay));
        Ok(())
    }

    fn resized(&self, size: WindowSize) -> Result<(), HandlerError> {
        self.extent.follow(size);
        self.window.request_redraw();
        Ok(())
    }

    fn on_event(&self, event: Event) -> EventStatus {
        let clicks = matches!(event, Event::Mouse(MouseEvent::ButtonPressed { .. }));
        if clicks && !self.window.has_focus() {
            // Inside a host's window a click does not always bring the keys. Without them it is a click still.
            let _ = self.window.focus();
        }
        let heard = self.input.borrow_mut().hear(&event);
        if heard == Heard::Paste {
            self.paste();
        }
        if heard != Heard::Nothing {
            self.window.request_redraw();
        }
        match event {
            // The host's own keys, such as the space bar, are the host's unless a field is written in.
            Event::Keyboard(_) => captured(self.egui.egui_wants_keyboard_input()),
            Event::Mouse(
                MouseEvent::DragEntered { .. } | MouseEvent::DragMoved { .. } | MouseEvent::DragDropped { .. },
            ) if self.input.borrow().drags() => EventStatus::AcceptDrop(DropEffect::Copy),
            Event::Mouse(_) => captured(self.egui.egui_is_using_pointer() || self.egui.egui_wants_pointer_input()),
            Event::Window(_) => EventStatus::Captured,
            _ => EventStatus::Ignored,
        }
    }
}

impl<C: Contents> Drop for View<C> {
    fn drop(&mut self) {
        self.repaint.attach(None);
        if let Some(mut contents) = free(&self.contents) {
            contents.closed();
        }
    }
}

fn captured(by_egui: bool) -> EventStatus {
    if by_egui { EventStatus::Captured } else { EventStatus::Ignored }
}

/// The contents, unless they are in use further up this thread: a host may call from within a call of ours.
fn free<C>(contents: &Mutex<C>) -> Option<MutexGuard<'_, C>> {
    match contents.try_lock() {
        Ok(free) => Some(free),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}
