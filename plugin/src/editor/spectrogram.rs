//! Spectrograms of what comes in and what goes out, scrolling.

use egui::{
    Align2, Color32, ColorImage, FontId, Pos2, Rect, Role, Sense, TextureHandle, TextureOptions, Ui, WidgetInfo,
};

use super::fourier::Fourier;
use super::theme;
use crate::telemetry::{End, SAMPLES, Telemetry};

const COLUMNS: usize = 320;
const ROWS: usize = 112;
/// Samples of a stretch, and between two.
const STRETCH: usize = 2048;
const HOP: u64 = 1024;
/// The lowest frequency shown, and the highest if the sampling rate has it.
const FREQUENCIES: [f32; 2] = [40.0, 20_000.0];
/// Decibels of the darkest and the brightest.
const LEVELS: [f32; 2] = [-95.0, -15.0];

/// Both pictures, and how far they have come.
pub(super) struct Spectrograms {
    fourier: Fourier,
    textures: [Option<TextureHandle>; 2],
    /// The column that is painted next: the oldest.
    column: usize,
    /// The sample that the next stretch begins at.
    next: u64,
}

impl Default for Spectrograms {
    fn default() -> Self {
        Self { fourier: Fourier::new(STRETCH), textures: [None, None], column: 0, next: 0 }
    }
}

impl Spectrograms {
    /// Paints the sound since the last look into the pictures.
    pub(super) fn update(&mut self, context: &egui::Context, telemetry: &Telemetry, rate: f32) {
        let end = telemetry.sample_count();
        // What is older may be overwritten while it is read.
        let oldest = end.saturating_sub((SAMPLES - SAMPLES / 4) as u64);
        if self.next < oldest {
            self.next = oldest.next_multiple_of(HOP);
        }
        while self.next + STRETCH as u64 <= end {
            for (signal, texture) in [End::Input, End::Output].into_iter().zip(&mut self.textures) {
                let start = self.next;
                let power: Vec<f32> = self.fourier.power(|i| telemetry.sample(signal, start + i as u64)).collect();
                let pixels = (0..ROWS).map(|row| theme::heat(brightness(&power, rate, row))).collect();
                let texture = texture.get_or_insert_with(|| blank(context, signal));
                let strip = ColorImage::new([1, ROWS], pixels);
                texture.set_partial([self.column, 0], strip, TextureOptions::LINEAR);
            }
            self.column = (self.column + 1) % COLUMNS;
            self.next += HOP;
        }
    }

    /// Shows both, side by side.
    pub(super) fn show(&self, ui: &mut Ui, rect: Rect, rate: f32) {
        let halves = theme::columns(rect, [(rect.width() - theme::GAP) / 2.0, 0.0]);
        for ((half, texture), name) in halves.into_iter().zip(&self.textures).zip(["In", "Out"]) {
            let response = ui.interact(half, ui.scope_id().with(("spectrogram", name)), Sense::hover());
            response.widget_info(|| WidgetInfo::labeled(Role::Image, true, format!("Spectrogram {name}")));
            theme::well(ui, half);
            let area = half.shrink(1.0);
            if let Some(texture) = texture {
                self.paint(ui, area, texture);
            }
            marks(ui, area, rate, name);
        }
    }

    /// The picture is a ring: its older part stands left of its newer one.
    fn paint(&self, ui: &Ui, area: Rect, texture: &TextureHandle) {
        let cut = self.column as f32 / COLUMNS as f32;
        let middle = area.left() + (1.0 - cut) * area.width();
        let older = Rect::from_min_max(area.min, Pos2::new(middle, area.bottom()));
        let newer = Rect::from_min_max(Pos2::new(middle, area.top()), area.max);
        let part = |from, to| Rect::from_min_max(Pos2::new(from, 0.0), Pos2::new(to, 1.0));
        ui.painter().image(texture.id(), older, part(cut, 1.0), Color32::WHITE);
        ui.painter().image(texture.id(), newer, part(0.0, cut), Color32::WHITE);
    }
}

fn blank(context: &egui::Context, signal: End) -> TextureHandle {
    let image = ColorImage::filled([COLUMNS, ROWS], theme::heat(0.0));
    context.load_texture(format!("{signal:?}"), image, TextureOptions::LINEAR)
}

fn marks(ui: &Ui, area: Rect, rate: f32, name: &str) {
    let small = FontId::proportional(8.5);
    for (frequency, label) in [(100.0, "100"), (1_000.0, "1k"), (10_000.0, "10k")] {
        if frequency < top(rate) {
            let share = (frequency / FREQUENCIES[0]).ln() / (top(rate) / FREQUENCIES[0]).ln();
            let at = Pos2::new(area.right() - 4.0, egui::lerp(area.bottom()..=area.top(), share));
            shaded(ui, at, Align2::RIGHT_CENTER, label, small.clone());
        }
    }
    let at = area.left_top() + egui::vec2(6.0, 4.0);
    shaded(ui, at, Align2::LEFT_TOP, name, FontId::proportional(10.5));
}

/// Text that is read on anything.
fn shaded(ui: &Ui, at: Pos2, anchor: Align2, text: &str, font: FontId) {
    let galley = ui.painter().layout_no_wrap(text.to_owned(), font, theme::TEXT);
    let rect = anchor.anchor_size(at, galley.size());
    ui.painter().rect_filled(rect.expand2(egui::vec2(3.0, 1.0)), 3.0, theme::WELL.gamma_multiply(0.75));
    ui.painter().galley(rect.min, galley, theme::TEXT);
}

/// How bright a row is, 0 to 1: the strongest of the frequencies that it covers.
fn brightness(power: &[f32], rate: f32, row: usize) -> f32 {
    let bin = |row: usize| {
        let share = (ROWS - row) as f32 / ROWS as f32;
        FREQUENCIES[0] * (top(rate) / FREQUENCIES[0]).powf(share) * STRETCH as f32 / rate
    };
    let (low, high) = (bin(row + 1), bin(row));
    let last = power.len() - 1;
    let (first, end) = ((low.ceil() as usize).min(last), (high.ceil() as usize).min(last));
    let strongest = if first < end {
        power[first..end].iter().copied().fold(0.0, f32::max)
    } else {
        let below = (low as usize).min(last - 1);
        egui::lerp(power[below]..=power[below + 1], (low - below as f32).clamp(0.0, 1.0))
    };
    let decibels = 10.0 * strongest.max(1e-12).log10();
    ((decibels - LEVELS[0]) / (LEVELS[1] - LEVELS[0])).clamp(0.0, 1.0)
}

fn top(rate: f32) -> f32 {
    FREQUENCIES[1].min(rate / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_brightest_in_its_row_at_any_rate() {
        for rate in [22_050.0, 48_000.0, 192_000.0] {
            let mut fourier = Fourier::new(STRETCH);
            let tone = |i: usize| (std::f32::consts::TAU * 3_000.0 * i as f32 / rate).sin();
            let power: Vec<f32> = fourier.power(tone).collect();
            let levels: Vec<f32> = (0..ROWS).map(|row| 1e3 * brightness(&power, rate, row)).collect();
            let share = (3_000.0f32 / FREQUENCIES[0]).ln() / (top(rate) / FREQUENCIES[0]).ln();
            let row = ((1.0 - share) * ROWS as f32) as usize;
            assert!(levels[row.saturating_sub(2)..row + 3].contains(&1e3), "{rate}: {levels:?}");
            assert!(levels[ROWS - 1] < 500.0);
        }
    }
}
