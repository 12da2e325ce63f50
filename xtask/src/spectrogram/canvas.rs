//! A picture in memory, with the few marks that a plot needs.

use std::convert::Infallible;

use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::ascii::{FONT_9X15, FONT_10X20};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::text::{Alignment, Baseline, Text, TextStyleBuilder};

use super::colour;

/// Red, green and blue, row by row.
pub(super) struct Canvas {
    width: usize,
    bytes: Vec<u8>,
}

/// A rectangle, in picture elements from the top left.
#[derive(Clone, Copy)]
pub(super) struct Region {
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

impl Canvas {
    pub(super) fn new(width: usize, height: usize, paper: [u8; 3]) -> Self {
        Self { width, bytes: paper.repeat(width * height) }
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn height(&self) -> usize {
        self.bytes.len() / 3 / self.width
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Colours one element; beyond the picture, nothing.
    pub(super) fn set(&mut self, x: usize, y: usize, colour: [u8; 3]) {
        if x < self.width && y < self.height() {
            let at = (y * self.width + x) * 3;
            self.bytes[at..at + 3].copy_from_slice(&colour);
        }
    }

    pub(super) fn title(&mut self, area: Region, text: &str) {
        let style = MonoTextStyle::new(&FONT_10X20, rgb(colour::INK));
        let place = TextStyleBuilder::new().baseline(Baseline::Bottom).build();
        let Ok(_) = Text::with_text_style(text, point(area.x, area.y - 8), style, place).draw(self);
    }

    pub(super) fn tick_left_of(&mut self, x: usize, y: usize) {
        for i in 1..=5 {
            self.set(x - i, y, colour::INK);
        }
    }

    pub(super) fn tick_below(&mut self, x: usize, y: usize) {
        for i in 0..5 {
            self.set(x, y + i, colour::INK);
        }
    }

    pub(super) fn label_left_of(&mut self, x: usize, y: usize, text: &str) {
        self.label(x, y, text, Alignment::Right, Baseline::Middle);
    }

    pub(super) fn label_right_of(&mut self, x: usize, y: usize, text: &str) {
        self.label(x, y, text, Alignment::Left, Baseline::Middle);
    }

    pub(super) fn label_below(&mut self, x: usize, y: usize, text: &str) {
        self.label(x, y, text, Alignment::Center, Baseline::Top);
    }

    fn label(&mut self, x: usize, y: usize, text: &str, alignment: Alignment, baseline: Baseline) {
        let style = MonoTextStyle::new(&FONT_9X15, rgb(colour::INK));
        let place = TextStyleBuilder::new().alignment(alignment).baseline(baseline).build();
        let Ok(_) = Text::with_text_style(text, point(x, y), style, place).draw(self);
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.width as u32, self.height() as u32)
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(at, c) in pixels {
            if let (Ok(x), Ok(y)) = (usize::try_from(at.x), usize::try_from(at.y)) {
                self.set(x, y, [c.r(), c.g(), c.b()]);
            }
        }
        Ok(())
    }
}

fn point(x: usize, y: usize) -> Point {
    Point::new(x as i32, y as i32)
}

fn rgb([r, g, b]: [u8; 3]) -> Rgb888 {
    Rgb888::new(r, g, b)
}
