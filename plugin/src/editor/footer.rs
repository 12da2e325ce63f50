//! The line at the bottom: how late, and how busy.

use egui::{Align, Layout, Rect, RichText, Role, Sense, Ui, WidgetInfo, vec2};

use super::theme;
use crate::loader::{Facts, Status};
use crate::telemetry::{Load, Telemetry};

/// Seconds between two looks at the load, so that the numbers can be read.
const INTERVAL: f32 = 0.5;

/// The load as it is shown.
#[derive(Debug, Default)]
pub(super) struct Footer {
    load: Load,
    age: f32,
}

impl Footer {
    /// Takes the load since the last look, `seconds` ago.
    pub(super) fn update(&mut self, telemetry: &Telemetry, seconds: f32) {
        self.age += seconds;
        if self.age > INTERVAL {
            (self.load, self.age) = (telemetry.take_load(), 0.0);
        }
    }

    /// Whether the load shown is of a time that is over.
    pub(super) fn moves(&self) -> bool {
        self.load.mean > 0.0
    }

    /// Shows the line.
    pub(super) fn show(&self, ui: &mut Ui, status: &Status) {
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let Load { mean, worst, missed } = self.load;
            let late = if missed == 1 { "1 missed deadline".into() } else { format!("{missed} missed deadlines") };
            let colour = if missed > 0 { theme::ALARM } else { theme::DIM };
            ui.label(RichText::new(late).color(colour)).on_hover_text("Calls that took longer than their sound lasts");
            let text = format!("load {:.0} %, worst {:.0} %", 100.0 * mean, 100.0 * worst);
            ui.label(RichText::new(&text).color(theme::TEXT));
            gauge(ui, mean, worst, &text);
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                let (text, resampled) = status.playing.as_ref().map_or_else(Default::default, latency);
                ui.label(RichText::new(text).color(theme::TEXT));
                ui.add(egui::Label::new(RichText::new(resampled).color(theme::HAND)).truncate());
            });
        });
    }
}

fn gauge(ui: &mut Ui, mean: f32, worst: f32, text: &str) {
    let (rect, response) = ui.allocate_exact_size(vec2(110.0, 8.0), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Meter, true, text));
    let painter = ui.painter();
    painter.rect_filled(rect, 4.0, theme::RAISED);
    let at = |share: f32| egui::lerp(rect.x_range(), share.clamp(0.0, 1.0));
    let colour = |share: f32| match share {
        s if s > 1.0 => theme::ALARM,
        s if s > 0.7 => theme::HAND,
        _ => theme::ACCENT,
    };
    let filled = Rect::from_x_y_ranges(rect.left()..=at(mean), rect.y_range());
    painter.rect_filled(filled, 4.0, colour(mean));
    if worst > 0.0 {
        painter.vline(at(worst), rect.y_range(), egui::Stroke::new(2.0, colour(worst)));
    }
    response.on_hover_text("Share of the time that the sound lasts; the mark is the dearest call");
}

/// How late the model is, and whether it is resampled.
fn latency(facts: &Facts) -> (String, String) {
    let Some(format) = facts.format else { return (format!("{} Hz", facts.model_rate), String::new()) };
    let milliseconds = 1e3 * facts.latency_samples as f64 / f64::from(format.sampling_rate);
    let latency = format!("Latency {} samples · {milliseconds:.1} ms", facts.latency_samples);
    let kilohertz = |rate: u32| f64::from(rate) / 1e3;
    let alike = facts.model_rate == format.sampling_rate
        || facts.runs_at_multiples && format.sampling_rate.is_multiple_of(facts.model_rate);
    let resampled = if alike {
        String::new()
    } else {
        let (model, host) = (kilohertz(facts.model_rate), kilohertz(format.sampling_rate));
        format!("Resampled: the model runs at {model} kHz, the host at {host} kHz")
    };
    (latency, resampled)
}
