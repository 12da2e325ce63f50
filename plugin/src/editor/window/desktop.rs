//! What egui asks of the desktop: text in the clipboard, and the pointer's shape.

use baseview::MouseCursor;
use copypasta::{ClipboardContext, ClipboardProvider};
use egui::CursorIcon;

/// The system's clipboard, connected to when it is first needed.
#[derive(Default)]
pub(super) struct Clipboard(Option<ClipboardContext>);

impl Clipboard {
    /// The text in it, if there is any and the system gives it.
    pub(super) fn text(&mut self) -> Option<String> {
        self.connected()?.get_contents().ok().filter(|text| !text.is_empty())
    }

    /// Puts text into it. A system that refuses keeps what it has.
    pub(super) fn put(&mut self, text: String) {
        if let Some(context) = self.connected() {
            let _ = context.set_contents(text);
        }
    }

    fn connected(&mut self) -> Option<&mut ClipboardContext> {
        if self.0.is_none() {
            self.0 = ClipboardContext::new().ok();
        }
        self.0.as_mut()
    }
}

/// The system's name for a pointer's shape.
pub(super) fn pointer(icon: CursorIcon) -> MouseCursor {
    match icon {
        CursorIcon::Default => MouseCursor::Default,
        CursorIcon::None => MouseCursor::Hidden,
        CursorIcon::Help => MouseCursor::Help,
        CursorIcon::ContextMenu | CursorIcon::PointingHand | CursorIcon::Grab => MouseCursor::Hand,
        CursorIcon::Grabbing => MouseCursor::HandGrabbing,
        CursorIcon::Progress => MouseCursor::PtrWorking,
        CursorIcon::Wait => MouseCursor::Working,
        CursorIcon::Cell => MouseCursor::Cell,
        CursorIcon::Crosshair => MouseCursor::Crosshair,
        CursorIcon::Text => MouseCursor::Text,
        CursorIcon::VerticalText => MouseCursor::VerticalText,
        CursorIcon::Alias => MouseCursor::Alias,
        CursorIcon::Copy => MouseCursor::Copy,
        CursorIcon::Move => MouseCursor::Move,
        CursorIcon::NoDrop | CursorIcon::NotAllowed => MouseCursor::NotAllowed,
        CursorIcon::AllScroll => MouseCursor::AllScroll,
        CursorIcon::ResizeHorizontal => MouseCursor::EwResize,
        CursorIcon::ResizeVertical => MouseCursor::NsResize,
        CursorIcon::ResizeNeSw => MouseCursor::NeswResize,
        CursorIcon::ResizeNwSe => MouseCursor::NwseResize,
        CursorIcon::ResizeEast => MouseCursor::EResize,
        CursorIcon::ResizeSouthEast => MouseCursor::SeResize,
        CursorIcon::ResizeSouth => MouseCursor::SResize,
        CursorIcon::ResizeSouthWest => MouseCursor::SwResize,
        CursorIcon::ResizeWest => MouseCursor::WResize,
        CursorIcon::ResizeNorthWest => MouseCursor::NwResize,
        CursorIcon::ResizeNorth => MouseCursor::NResize,
        CursorIcon::ResizeNorthEast => MouseCursor::NeResize,
        CursorIcon::ResizeColumn => MouseCursor::ColResize,
        CursorIcon::ResizeRow => MouseCursor::RowResize,
        CursorIcon::ZoomIn => MouseCursor::ZoomIn,
        CursorIcon::ZoomOut => MouseCursor::ZoomOut,
    }
}
