//! A picture in memory, with the few marks that a plot needs.

use std::convert::Infallible;
use std::fs::File;

use anyhow::{Context, Result};
use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::ascii::{FONT_9X15, FONT_10X20};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::{Line, PrimitiveStyle};
use embedded_graphics::text::{Alignment, Baseline, Text, TextStyleBuilder};

/// Behind everything.
pub(crate) const PAPER: [u8; 3] = [16, 16, 22];
/// Text and ticks.
pub(crate) const INK: [u8; 3] = [200, 204, 214];

/// Red, green and blue, row by row.
pub(crate) struct Canvas {
    width: usize,
    bytes: Vec<u8>,
}

/// A rectangle, in picture elements from the top left.
#[derive(Clone, Copy)]
pub(crate) struct Region {
    pub(crate) x: usize,
    pub(crate) y: usize,
    pub(crate) width: usize,
    pub(crate) height: usize,
}

impl Canvas {
    pub(crate) fn new(width: usize, height: usize) -> Self {
        Self { width, bytes: PAPER.repeat(width * height) }
    }

    /// Colours one element; beyond the picture, nothing.
    pub(crate) fn set(&mut self, x: usize, y: usize, colour: [u8; 3]) {
        if x < self.width && y < self.height() {
            let at = (y * self.width + x) * 3;
            self.bytes[at..at + 3].copy_from_slice(&colour);
        }
    }

    pub(crate) fn title(&mut self, area: Region, text: &str) {
        let style = MonoTextStyle::new(&FONT_10X20, rgb(INK));
        let place = TextStyleBuilder::new().baseline(Baseline::Bottom).build();
        let Ok(_) = Text::with_text_style(text, point(area.x, area.y - 8), style, place).draw(self);
    }

    pub(crate) fn fill(&mut self, area: Region, colour: [u8; 3]) {
        for y in area.y..area.y + area.height {
            for x in area.x..area.x + area.width {
                self.set(x, y, colour);
            }
        }
    }

    pub(crate) fn line(&mut self, from: (usize, usize), to: (usize, usize), colour: [u8; 3], thickness: u32) {
        let style = PrimitiveStyle::with_stroke(rgb(colour), thickness);
        let Ok(()) = Line::new(point(from.0, from.1), point(to.0, to.1)).into_styled(style).draw(self);
    }

    pub(crate) fn tick_left_of(&mut self, x: usize, y: usize) {
        for i in 1..=5 {
            self.set(x - i, y, INK);
        }
    }

    pub(crate) fn tick_below(&mut self, x: usize, y: usize) {
        for i in 0..5 {
            self.set(x, y + i, INK);
        }
    }

    pub(crate) fn label_left_of(&mut self, x: usize, y: usize, text: &str) {
        self.label(x, y, text, Alignment::Right, Baseline::Middle);
    }

    pub(crate) fn label_right_of(&mut self, x: usize, y: usize, text: &str) {
        self.label(x, y, text, Alignment::Left, Baseline::Middle);
    }

    pub(crate) fn label_below(&mut self, x: usize, y: usize, text: &str) {
        self.label(x, y, text, Alignment::Center, Baseline::Top);
    }

    pub(crate) fn write_png(&self, file: &mut File) -> Result<()> {
        let mut encoder = png::Encoder::new(std::io::BufWriter::new(file), self.width as u32, self.height() as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::High);
        let mut writer = encoder.write_header().context("cannot write the picture")?;
        writer.write_image_data(&self.bytes).context("cannot write the picture")?;
        writer.finish().context("cannot write the picture")
    }

    fn height(&self) -> usize {
        self.bytes.len() / 3 / self.width
    }

    fn label(&mut self, x: usize, y: usize, text: &str, alignment: Alignment, baseline: Baseline) {
        let style = MonoTextStyle::new(&FONT_9X15, rgb(INK));
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
