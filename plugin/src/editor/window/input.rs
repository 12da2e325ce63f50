//! What the window's events mean to egui, and what is dragged over the window.

use baseview::dpi::PhysicalPosition;
use baseview::{DropData, Event, MouseButton, MouseEvent, ScrollDelta, WindowEvent, WindowSize};
use egui::{Key, Modifiers, MouseWheelSource, MouseWheelUnit, PointerButton, Pos2, RawInput, Rect, TouchPhase, Vec2};
use keyboard_types::{KeyState, KeyboardEvent};

use super::Drag;

/// Events since the last picture.
#[derive(Debug)]
pub(super) struct Input {
    raw: RawInput,
    modifiers: Modifiers,
    /// Where the pointer is, in points; nowhere while it is outside.
    pointer: Option<Pos2>,
    drag: Drag,
    /// Pixels per point.
    scale: f32,
}

/// What an event asks of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing.
    Nothing,
    /// A picture.
    Picture,
    /// The clipboard's text, by [`Input::paste`], and a picture.
    Paste,
}

impl Input {
    /// No events yet; textures have at most this many texels along a side.
    pub(super) fn new(longest_side: usize, scale: f64) -> Self {
        let raw = RawInput { max_texture_side: Some(longest_side), ..Default::default() };
        Self { raw, modifiers: Modifiers::NONE, pointer: None, drag: Drag::Absent, scale: scale as f32 }
    }

    /// Takes in an event.
    pub(super) fn hear(&mut self, event: &Event) -> Heard {
        match event {
            Event::Mouse(event) => self.hear_mouse(event),
            Event::Keyboard(event) => self.hear_key(event),
            Event::Window(WindowEvent::Focused) => self.push(egui::Event::WindowFocused(true)),
            Event::Window(WindowEvent::Unfocused) => self.push(egui::Event::WindowFocused(false)),
            _ => Heard::Nothing,
        }
    }

    /// Text from the clipboard.
    pub(super) fn paste(&mut self, text: String) {
        self.raw.events.push(egui::Event::Paste(text));
    }

    /// Whether files are held over the window, or were let go on it since the last picture.
    pub(super) fn drags(&self) -> bool {
        self.drag != Drag::Absent
    }

    /// Everything for the picture at `seconds` of a window of this size, once.
    pub(super) fn take(&mut self, seconds: f64, size: WindowSize) -> (RawInput, Drag) {
        self.scale = size.scale_factor as f32;
        let points = Vec2::new(size.physical.width as f32, size.physical.height as f32) / self.scale;
        self.raw.time = Some(seconds);
        self.raw.screen_rect = Some(Rect::from_min_size(Pos2::ZERO, points));
        self.raw.viewports.entry(self.raw.viewport_id).or_default().native_pixels_per_point = Some(self.scale);
        let drag = match &self.drag {
            Drag::Over(_) => self.drag.clone(),
            Drag::Absent | Drag::Dropped(_) => std::mem::take(&mut self.drag),
        };
        (self.raw.take(), drag)
    }

    fn push(&mut self, event: egui::Event) -> Heard {
        self.raw.events.push(event);
        Heard::Picture
    }

    fn hear_mouse(&mut self, event: &MouseEvent) -> Heard {
        match event {
            MouseEvent::CursorMoved { position, modifiers } => {
                self.hold(*modifiers);
                let at = self.points(*position);
                self.pointer = Some(at);
                self.push(egui::Event::PointerMoved(at))
            }
            MouseEvent::CursorLeft => {
                self.pointer = None;
                self.push(egui::Event::PointerGone)
            }
            MouseEvent::ButtonPressed { button, modifiers } => self.press(*button, *modifiers, true),
            MouseEvent::ButtonReleased { button, modifiers } => self.press(*button, *modifiers, false),
            MouseEvent::WheelScrolled { delta, modifiers } => {
                self.hold(*modifiers);
                let (unit, delta) = scrolled(*delta);
                let (modifiers, phase, source) = (self.modifiers, TouchPhase::Move, MouseWheelSource::Unknown);
                self.push(egui::Event::MouseWheel { unit, delta, modifiers, phase, source })
            }
            MouseEvent::DragEntered { data, .. } | MouseEvent::DragMoved { data, .. } => {
                self.dragged(if let DropData::Files(files) = data { Drag::Over(files.clone()) } else { Drag::Absent })
            }
            MouseEvent::DragDropped { data, .. } => self.dragged(if let DropData::Files(files) = data {
                Drag::Dropped(files.clone())
            } else {
                Drag::Absent
            }),
            // What was let go before stays let go.
            MouseEvent::DragLeft if matches!(self.drag, Drag::Over(_)) => self.dragged(Drag::Absent),
            _ => Heard::Nothing,
        }
    }

    fn press(&mut self, button: MouseButton, modifiers: keyboard_types::Modifiers, pressed: bool) -> Heard {
        self.hold(modifiers);
        let button = match button {
            MouseButton::Left => PointerButton::Primary,
            MouseButton::Right => PointerButton::Secondary,
            MouseButton::Middle => PointerButton::Middle,
            MouseButton::Back => PointerButton::Extra1,
            MouseButton::Forward => PointerButton::Extra2,
            _ => return Heard::Nothing,
        };
        let Some(pos) = self.pointer else { return Heard::Nothing };
        let modifiers = self.modifiers;
        self.push(egui::Event::PointerButton { pos, button, pressed, modifiers })
    }

    fn dragged(&mut self, drag: Drag) -> Heard {
        let news = self.drag != drag;
        self.drag = drag;
        if news { Heard::Picture } else { Heard::Nothing }
    }

    fn hear_key(&mut self, event: &KeyboardEvent) -> Heard {
        self.hold(event.modifiers);
        let (modifiers, pressed) = (self.modifiers, event.state == KeyState::Down);
        let key = key(event);
        if let Some(key) = key {
            let repeat = event.repeat;
            self.push(egui::Event::Key { key, physical_key: None, pressed, repeat, modifiers });
        }
        if pressed {
            match (key, shortcut(key, modifiers), &event.key) {
                (_, Some(Shortcut::Cut), _) => self.push(egui::Event::Cut),
                (_, Some(Shortcut::Copy), _) => self.push(egui::Event::Copy),
                (_, Some(Shortcut::Paste), _) => return Heard::Paste,
                (_, None, keyboard_types::Key::Character(text)) if writes(text, modifiers) => {
                    self.push(egui::Event::Text(text.clone()))
                }
                _ => Heard::Picture,
            };
        }
        Heard::Picture
    }

    /// The modifiers that are held from now on.
    fn hold(&mut self, modifiers: keyboard_types::Modifiers) {
        let modifiers = held(modifiers);
        if modifiers != self.modifiers {
            self.modifiers = modifiers;
            self.push(egui::Event::ModifiersChanged(modifiers));
        }
    }

    fn points(&self, position: PhysicalPosition<f64>) -> Pos2 {
        Pos2::new(position.x as f32, position.y as f32) / self.scale
    }
}

/// The commands that systems give keys of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shortcut {
    Cut,
    Copy,
    Paste,
}

fn shortcut(key: Option<Key>, modifiers: Modifiers) -> Option<Shortcut> {
    // The older three of Windows and X11.
    let older = !cfg!(target_os = "macos");
    match key? {
        Key::X if modifiers.command => Some(Shortcut::Cut),
        Key::C if modifiers.command => Some(Shortcut::Copy),
        Key::V if modifiers.command => Some(Shortcut::Paste),
        Key::Delete if older && modifiers.shift => Some(Shortcut::Cut),
        Key::Insert if older && modifiers.ctrl => Some(Shortcut::Copy),
        Key::Insert if older && modifiers.shift => Some(Shortcut::Paste),
        _ => None,
    }
}

/// The key by what it writes or is called; by its place where it writes no letter of egui's, as on a Cyrillic keyboard.
fn key(event: &KeyboardEvent) -> Option<Key> {
    match &event.key {
        keyboard_types::Key::Named(name) => Key::from_name(&name.to_string()),
        keyboard_types::Key::Character(text) => {
            Key::from_name(text).or_else(|| Key::from_name(&event.code.to_string()))
        }
    }
}

/// Whether a key that gives `text` writes it: shortcuts do not, and neither do dead keys and control characters.
fn writes(text: &str, modifiers: Modifiers) -> bool {
    !modifiers.ctrl && !modifiers.command && !text.is_empty() && !text.chars().any(char::is_control)
}

fn held(modifiers: keyboard_types::Modifiers) -> Modifiers {
    let mac = cfg!(target_os = "macos");
    Modifiers {
        alt: modifiers.alt(),
        ctrl: modifiers.ctrl(),
        shift: modifiers.shift(),
        mac_cmd: mac && modifiers.meta(),
        command: if mac { modifiers.meta() } else { modifiers.ctrl() },
    }
}

/// How far the contents move: right and down are positive. Only macOS tells that; the others tell how the wheel moves,
/// which sideways is the other way round.
fn scrolled(delta: ScrollDelta) -> (MouseWheelUnit, Vec2) {
    let sideways = if cfg!(target_os = "macos") { 1.0 } else { -1.0 };
    match delta {
        ScrollDelta::Lines { x, y } => (MouseWheelUnit::Line, Vec2::new(sideways * x, y)),
        // Only macOS has these, in points.
        ScrollDelta::Pixels { x, y } => (MouseWheelUnit::Point, Vec2::new(sideways * x, y)),
    }
}

#[cfg(test)]
mod tests;
