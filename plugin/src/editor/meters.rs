//! Level meters: rise at once, fall smoothly, and hold their peaks.

use egui::{Align2, FontId, Pos2, Rect, Role, Sense, Ui, WidgetInfo, vec2};

use super::theme;
use crate::telemetry::{End, Telemetry};

/// The bottom and the top of the scale, in decibels.
const SCALE: [f32; 2] = [-60.0, 6.0];
/// Decibels per second.
const FALL: f32 = 26.0;
/// Seconds that a peak stays.
const HOLD: f32 = 1.4;
const MARKS: [f32; 6] = [0.0, -6.0, -12.0, -24.0, -36.0, -48.0];

/// The meter of one end of the signal, two channels.
#[derive(Debug, Default)]
pub(super) struct Meter {
    channels: [Needle; 2],
}

/// One channel's level as it is shown.
#[derive(Debug)]
struct Needle {
    level: f32,
    peak: f32,
    held: f32,
}

impl Default for Needle {
    fn default() -> Self {
        Self { level: SCALE[0], peak: SCALE[0], held: 0.0 }
    }
}

impl Meter {
    /// Takes the levels since the last look, `seconds` ago.
    pub(super) fn update(&mut self, telemetry: &Telemetry, end: End, seconds: f32) {
        for (channel, needle) in self.channels.iter_mut().enumerate() {
            needle.update(telemetry.take_peak(end, channel), seconds);
        }
    }

    /// Whether anything still falls.
    pub(super) fn moves(&self) -> bool {
        self.channels.iter().any(|needle| needle.peak > SCALE[0])
    }

    /// Paints the meter.
    pub(super) fn show(&self, ui: &mut Ui, rect: Rect, name: &str) {
        let [left, right] = [self.channels[0].peak, self.channels[1].peak];
        let response = ui.interact(rect, ui.scope_id().with(("meter", name)), Sense::hover());
        response.widget_info(|| {
            let mut info = WidgetInfo::labeled(Role::Meter, true, format!("{name} level, decibels"));
            info.value = Some(f64::from(left.max(right)));
            info
        });
        let painter = ui.painter();
        painter.text(rect.center_top(), Align2::CENTER_TOP, name, FontId::proportional(10.5), theme::DIM);
        let peak = left.max(right);
        let text = if peak > SCALE[0] { format!("{peak:.1}") } else { "−∞".into() };
        let colour = if peak > 0.0 { theme::ALARM } else { theme::DIM };
        painter.text(rect.center_bottom(), Align2::CENTER_BOTTOM, text, FontId::proportional(11.0), colour);
        let body = Rect::from_min_max(rect.min + vec2(0.0, 18.0), rect.max - vec2(0.0, 18.0));
        for mark in MARKS {
            let y = height(body, mark);
            let at = Pos2::new(body.left() + 12.0, y);
            painter.text(at, Align2::RIGHT_CENTER, format!("{}", mark.abs()), FontId::proportional(8.5), theme::FAINT);
        }
        for (channel, needle) in self.channels.iter().enumerate() {
            let x = body.left() + 16.0 + channel as f32 * 11.0;
            needle.paint(ui, Rect::from_min_max(Pos2::new(x, body.top()), Pos2::new(x + 9.0, body.bottom())));
        }
        response.on_hover_text(format!("Left {left:.1} dB, right {right:.1} dB"));
    }
}

impl Needle {
    fn update(&mut self, peak: f32, seconds: f32) {
        let now = if peak.is_finite() { 20.0 * peak.max(1e-6).log10() } else { SCALE[1] };
        let fall = |from: f32| (from - FALL * seconds).max(SCALE[0]);
        self.level = now.clamp(fall(self.level), f32::INFINITY);
        self.held += seconds;
        if self.level >= self.peak {
            (self.peak, self.held) = (self.level, 0.0);
        } else if self.held > HOLD {
            self.peak = fall(self.peak).max(self.level);
        }
    }

    fn paint(&self, ui: &Ui, rect: Rect) {
        let painter = ui.painter();
        painter.rect_filled(rect, 2.0, theme::WELL);
        let zones = [(SCALE[0], -12.0, theme::ACCENT), (-12.0, 0.0, theme::HAND), (0.0, SCALE[1], theme::ALARM)];
        for (from, to, colour) in zones {
            let top = self.level.min(to);
            if top > from {
                let x = rect.x_range();
                let bar = Rect::from_x_y_ranges(x, height(rect, top)..=height(rect, from));
                painter.rect_filled(bar, 0.0, colour);
            }
        }
        if self.peak > SCALE[0] {
            let colour = if self.peak > 0.0 { theme::ALARM } else { theme::TEXT };
            painter.hline(rect.x_range(), height(rect, self.peak), egui::Stroke::new(1.5, colour));
        }
    }
}

/// Where a level stands; the upper part of the scale has more room.
fn height(rect: Rect, decibels: f32) -> f32 {
    let linear = ((decibels - SCALE[0]) / (SCALE[1] - SCALE[0])).clamp(0.0, 1.0);
    egui::lerp(rect.bottom()..=rect.top(), linear.powf(1.4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meters_rise_at_once_hold_and_come_to_rest() {
        let telemetry = Telemetry::default();
        let mut meter = Meter::default();
        assert!(!meter.moves());
        telemetry.level(End::Output, 1, &[0.5, -1.0]);
        meter.update(&telemetry, End::Output, 0.033);
        assert_eq!((meter.channels[1].level, meter.channels[1].peak), (0.0, 0.0));
        meter.update(&telemetry, End::Output, 1.0);
        assert_eq!((meter.channels[1].level, meter.channels[1].peak), (-FALL, 0.0));
        for _ in 0..10 {
            meter.update(&telemetry, End::Output, 1.0);
        }
        assert!(!meter.moves());
    }

    #[test]
    fn what_is_not_finite_shows_as_too_loud_and_falls() {
        let mut needle = Needle::default();
        needle.update(f32::NAN, 0.03);
        assert_eq!(needle.level, SCALE[1]);
        needle.update(0.0, 9.0);
        assert_eq!(needle.level, SCALE[0]);
    }
}
