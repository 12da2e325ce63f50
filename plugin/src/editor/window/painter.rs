//! The screen: egui's shapes, painted by OpenGL.
#![allow(unsafe_code, reason = "OpenGL is reached through pointers that the window's system gives")]

use std::io;
use std::sync::Arc;

use baseview::gl::GlContext;
use baseview::{HandlerError, WindowContext};
use egui::{ClippedPrimitive, TexturesDelta};
use egui_glow::glow;

/// The painter of one window.
pub(super) struct Painter {
    window: WindowContext,
    egui: egui_glow::Painter,
}

impl Painter {
    /// # Errors
    /// When the system has no OpenGL 2.0 or newer for this window.
    pub(super) fn new(window: WindowContext) -> Result<Self, HandlerError> {
        let current = Current::of(&window)?;
        // SAFETY: the pointers are those of the context that is current here, and are called only while it is.
        let gl = unsafe { glow::Context::from_loader_function_cstr(|name| current.0.get_proc_address(name)) };
        let egui = egui_glow::Painter::new(Arc::new(gl), "", None, true)?;
        drop(current);
        Ok(Self { window, egui })
    }

    /// Texels that a texture may have along one side.
    pub(super) fn longest_side(&self) -> usize {
        self.egui.max_texture_side()
    }

    /// Paints a whole picture of `size` pixels and shows it.
    ///
    /// # Errors
    /// When the window's context is gone.
    pub(super) fn paint(
        &mut self,
        size: [u32; 2],
        pixels_per_point: f32,
        primitives: &[ClippedPrimitive],
        textures: &mut TexturesDelta,
    ) -> Result<(), HandlerError> {
        // Textures that nobody paints any more need no care.
        let current = Current::of(&self.window).inspect_err(|_| textures.clear())?;
        self.egui.clear(size, [0.0, 0.0, 0.0, 1.0]);
        self.egui.paint_and_update_textures(size, pixels_per_point, primitives, textures);
        Ok(current.0.swap_buffers()?)
    }
}

impl Drop for Painter {
    fn drop(&mut self) {
        // Without a context everything in it is gone already.
        if let Ok(_current) = Current::of(&self.window) {
            self.egui.destroy();
        }
    }
}

/// The window's OpenGL context, current on this thread as long as this lives.
struct Current(GlContext);

impl Current {
    fn of(window: &WindowContext) -> Result<Self, HandlerError> {
        let context = window.gl_context().ok_or_else(|| io::Error::other("the window has no OpenGL"))?;
        // SAFETY: the context belongs to a window of this thread, since neither can be sent to another, and is given
        // back before anyone else of this thread can want one.
        unsafe { context.make_current()? };
        Ok(Self(context))
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        // SAFETY: as above. A context that cannot be given back is lost with its window.
        let _ = unsafe { self.0.make_not_current() };
    }
}
