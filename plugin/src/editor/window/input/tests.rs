use std::path::PathBuf;

use baseview::dpi::PhysicalSize;
use keyboard_types::{Code, NamedKey};

use super::*;

const SIZE: PhysicalSize<u32> = PhysicalSize { width: 1880, height: 1280 };

fn input(scale: f64) -> Input {
    Input::new(4096, scale)
}

fn events(input: &mut Input) -> Vec<egui::Event> {
    input.take(1.0, WindowSize::from_physical(SIZE, f64::from(input.scale))).0.events
}

fn moved(x: f64, y: f64) -> Event {
    let modifiers = keyboard_types::Modifiers::empty();
    Event::Mouse(MouseEvent::CursorMoved { position: PhysicalPosition::new(x, y), modifiers })
}

fn pressed(button: MouseButton) -> Event {
    Event::Mouse(MouseEvent::ButtonPressed { button, modifiers: keyboard_types::Modifiers::empty() })
}

fn typed(key: &str, code: Code, modifiers: keyboard_types::Modifiers) -> Event {
    let key = keyboard_types::Key::Character(key.into());
    Event::Keyboard(KeyboardEvent { state: KeyState::Down, key, code, modifiers, ..Default::default() })
}

/// What typing a key writes, and the key that egui sees.
fn written(key: &str, code: Code, modifiers: keyboard_types::Modifiers) -> (Option<String>, Option<Key>) {
    let mut input = input(1.0);
    input.hear(&typed(key, code, modifiers));
    let (mut text, mut seen) = (None, None);
    for event in events(&mut input) {
        match event {
            egui::Event::Text(t) => text = Some(t),
            egui::Event::Key { key, pressed: true, .. } => seen = Some(key),
            _ => {}
        }
    }
    (text, seen)
}

fn drag(event: fn(DropData) -> MouseEvent, files: &[&str]) -> Event {
    Event::Mouse(event(DropData::Files(files.iter().map(PathBuf::from).collect())))
}

const ORIGIN: PhysicalPosition<f64> = PhysicalPosition { x: 0.0, y: 0.0 };
const NO_KEYS: keyboard_types::Modifiers = keyboard_types::Modifiers::empty();
fn entered(data: DropData) -> MouseEvent {
    MouseEvent::DragEntered { position: ORIGIN, modifiers: NO_KEYS, data }
}
fn over(data: DropData) -> MouseEvent {
    MouseEvent::DragMoved { position: ORIGIN, modifiers: NO_KEYS, data }
}
fn dropped(data: DropData) -> MouseEvent {
    MouseEvent::DragDropped { position: ORIGIN, modifiers: NO_KEYS, data }
}

#[test]
fn the_pointer_is_told_in_points_and_presses_where_it_is() {
    let mut input = input(2.0);
    assert_eq!(input.hear(&pressed(MouseButton::Left)), Heard::Nothing, "the pointer is nowhere yet");
    assert_eq!(input.hear(&moved(300.0, 41.0)), Heard::Picture);
    assert_eq!(input.hear(&pressed(MouseButton::Right)), Heard::Picture);
    assert_eq!(input.hear(&Event::Mouse(MouseEvent::CursorLeft)), Heard::Picture);
    assert_eq!(input.hear(&pressed(MouseButton::Other(9))), Heard::Nothing);
    let pos = Pos2::new(150.0, 20.5);
    let (button, modifiers) = (PointerButton::Secondary, Modifiers::NONE);
    let told = [
        egui::Event::PointerMoved(pos),
        egui::Event::PointerButton { pos, button, pressed: true, modifiers },
        egui::Event::PointerGone,
    ];
    assert_eq!(events(&mut input), told);
    assert!(events(&mut input).is_empty(), "events are told once");
}

#[test]
fn a_picture_has_the_windows_size_in_points() {
    let mut input = input(1.0);
    let (raw, _) = input.take(7.0, WindowSize::from_physical(SIZE, 2.0));
    assert_eq!(raw.screen_rect, Some(Rect::from_min_size(Pos2::ZERO, Vec2::new(940.0, 640.0))));
    assert_eq!((raw.time, raw.viewport().native_pixels_per_point), (Some(7.0), Some(2.0)));
    assert_eq!(raw.max_texture_side, Some(4096));
    input.hear(&moved(10.0, 10.0));
    assert_eq!(events(&mut input), [egui::Event::PointerMoved(Pos2::new(5.0, 5.0))], "at the new scale");
}

#[test]
fn letters_write_and_shortcuts_do_not() {
    let (none, shift) = (NO_KEYS, keyboard_types::Modifiers::SHIFT);
    let control = keyboard_types::Modifiers::CONTROL;
    let alt_graph = keyboard_types::Modifiers::ALT_GRAPH;
    assert_eq!(written("a", Code::KeyA, none), (Some("a".into()), Some(Key::A)));
    assert_eq!(written("A", Code::KeyA, shift), (Some("A".into()), Some(Key::A)));
    assert_eq!(written("é", Code::Digit2, none), (Some("é".into()), Some(Key::Num2)));
    assert_eq!(written(" ", Code::Space, none), (Some(" ".into()), Some(Key::Space)));
    assert_eq!(written("@", Code::KeyQ, alt_graph), (Some("@".into()), Some(Key::Q)));
    assert_eq!(written("ф", Code::KeyA, none), (Some("ф".into()), Some(Key::A)));
    assert_eq!(written("", Code::BracketLeft, none).0, None, "a dead key");
    assert_eq!(written("\u{8}", Code::Backspace, none).0, None);
    assert_eq!(written("a", Code::KeyA, control), (None, Some(Key::A)));
}

#[test]
fn named_keys_are_keys() {
    for (name, key) in [
        (NamedKey::Enter, Key::Enter),
        (NamedKey::Escape, Key::Escape),
        (NamedKey::Backspace, Key::Backspace),
        (NamedKey::Delete, Key::Delete),
        (NamedKey::Tab, Key::Tab),
        (NamedKey::ArrowLeft, Key::ArrowLeft),
        (NamedKey::PageDown, Key::PageDown),
        (NamedKey::Home, Key::Home),
    ] {
        for state in [KeyState::Down, KeyState::Up] {
            let mut input = input(1.0);
            let pressed = state == KeyState::Down;
            input.hear(&Event::Keyboard(KeyboardEvent { state, key: name.into(), ..Default::default() }));
            let modifiers = Modifiers::NONE;
            let told = egui::Event::Key { key, physical_key: None, pressed, repeat: false, modifiers };
            assert_eq!(events(&mut input), [told]);
        }
    }
}

#[test]
fn the_clipboard_has_its_keys_on_any_keyboard() {
    let command =
        if cfg!(target_os = "macos") { keyboard_types::Modifiers::META } else { keyboard_types::Modifiers::CONTROL };
    for (key, code, told) in [
        ("c", Code::KeyC, egui::Event::Copy),
        ("x", Code::KeyX, egui::Event::Cut),
        ("с", Code::KeyC, egui::Event::Copy), // Cyrillic
    ] {
        let mut input = input(1.0);
        assert_eq!(input.hear(&typed(key, code, command)), Heard::Picture);
        assert_eq!(events(&mut input).last(), Some(&told));
    }
    let mut input = input(1.0);
    assert_eq!(input.hear(&typed("v", Code::KeyV, command)), Heard::Paste);
    input.paste("a path".into());
    let told = events(&mut input);
    assert_eq!(told.last(), Some(&egui::Event::Paste("a path".into())));
    assert!(!told.iter().any(|event| matches!(event, egui::Event::Text(_))));
}

#[test]
fn modifiers_are_told_when_they_change() {
    let mut input = input(1.0);
    let modifiers = keyboard_types::Modifiers::SHIFT | keyboard_types::Modifiers::CONTROL;
    for _ in 0..2 {
        let position = ORIGIN;
        input.hear(&Event::Mouse(MouseEvent::CursorMoved { position, modifiers }));
    }
    input.hear(&moved(0.0, 0.0));
    let changes: Vec<_> = events(&mut input)
        .into_iter()
        .filter_map(|event| if let egui::Event::ModifiersChanged(held) = event { Some(held) } else { None })
        .collect();
    assert_eq!(changes.len(), 2);
    assert!(changes[0].shift && changes[0].ctrl && !changes[0].alt);
    assert_eq!(changes[0].command, !cfg!(target_os = "macos"));
    assert_eq!(changes[1], Modifiers::NONE);
}

#[test]
fn a_notch_of_the_wheel_is_a_line() {
    let mut input = input(2.0);
    let delta = ScrollDelta::Lines { x: 0.0, y: -1.0 };
    input.hear(&Event::Mouse(MouseEvent::WheelScrolled { delta, modifiers: NO_KEYS }));
    let told = events(&mut input);
    let [egui::Event::MouseWheel { unit, delta, .. }] = told[..] else { panic!("{told:?}") };
    assert_eq!((unit, delta.y), (MouseWheelUnit::Line, -1.0));
}

#[test]
fn files_are_held_over_the_window_until_they_leave_or_fall() {
    let size = WindowSize::from_physical(SIZE, 1.0);
    let mut input = input(1.0);
    let held = Drag::Over(vec!["/a.ts".into()]);
    assert_eq!(input.hear(&drag(entered, &["/a.ts"])), Heard::Picture);
    assert!(input.drags());
    assert_eq!(input.hear(&drag(over, &["/a.ts"])), Heard::Nothing, "nothing new to paint");
    assert_eq!(input.take(0.0, size).1, held);
    assert_eq!(input.take(0.0, size).1, held, "they are still there");
    assert_eq!(input.hear(&Event::Mouse(MouseEvent::DragLeft)), Heard::Picture);
    assert_eq!(input.take(0.0, size).1, Drag::Absent);

    input.hear(&drag(entered, &["/a.ts", "/b c.ts"]));
    assert_eq!(input.hear(&drag(dropped, &["/a.ts", "/b c.ts"])), Heard::Picture);
    assert_eq!(input.hear(&Event::Mouse(MouseEvent::DragLeft)), Heard::Nothing);
    assert_eq!(input.take(0.0, size).1, Drag::Dropped(vec!["/a.ts".into(), "/b c.ts".into()]));
    assert_eq!(input.take(0.0, size).1, Drag::Absent, "they fall once");
    assert!(!input.drags());

    assert_eq!(input.hear(&Event::Mouse(entered(DropData::None))), Heard::Nothing);
    assert!(!input.drags(), "what is no file is not taken");
}
