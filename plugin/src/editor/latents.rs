//! The latents: a bar for each, which the player moves, and their traces over time.

use egui::{Align2, FontId, Key, Pos2, Rect, Role, Sense, Shape, Stroke, StrokeKind, Ui, WidgetInfo, vec2};
use nice_plug::prelude::Param;

use super::controls;
use super::hand::Hand;
use super::theme;
use crate::params::{LATENTS, LatentParams, RunnelParams};
use crate::telemetry::{Hands, Telemetry};

/// The values at the top and the bottom.
const RANGE: f32 = 4.0;
/// Latent frames that the traces show; fewer than the audio thread overwrites while they are read.
const SHOWN: u64 = 96;
/// Points of drag for the whole range of a bias or a scale.
const TRAVEL: f32 = 220.0;
const HELP: &str = "Drag: bias · Ctrl-drag: scale · Shift: fine · right-click: reset\n\
                    Keys: arrows for bias, with Ctrl for scale, Delete resets";

/// Paints the latents; `names` are those that the model has.
pub(super) fn show(
    ui: &mut Ui,
    rect: Rect,
    params: &RunnelParams,
    hand: &Hand,
    telemetry: &Telemetry,
    names: &[String],
) {
    let bars_width = (rect.width() * 0.56).max(300.0);
    let [bars, traces] = theme::columns(rect, [bars_width, 0.0]);
    theme::well(ui, bars);
    theme::well(ui, traces);
    let newest = telemetry.latent_frames().checked_sub(1);
    let [before, after] = [Hands::Before, Hands::After]
        .map(|hands| newest.map_or([0.0; LATENTS], |frame| telemetry.latents(hands, frame)));
    let width = (bars.width() - 8.0) / LATENTS as f32;
    let mut lit = None;
    for index in 0..LATENTS {
        let left = bars.left() + 4.0 + index as f32 * width;
        let column = Rect::from_min_size(Pos2::new(left, bars.top() + 3.0), vec2(width, bars.height() - 6.0));
        let values = [before[index], after[index]];
        if bar(ui, column, &params.latents[index], hand, index, names.get(index), values) {
            lit = Some(index);
        }
    }
    show_traces(ui, traces, telemetry, names.len().min(LATENTS), lit);
}

/// One latent's bar; whether it has the player's attention.
fn bar(
    ui: &mut Ui,
    column: Rect,
    latent: &LatentParams,
    hand: &Hand,
    index: usize,
    name: Option<&String>,
    [before, after]: [f32; 2],
) -> bool {
    let present = name.is_some();
    let sense = if present { Sense::click_and_drag() } else { Sense::hover() };
    let response = ui.interact(column, ui.scope_id().with(("latent", index)), sense);
    let title = name.cloned().unwrap_or_else(|| (index + 1).to_string());
    let [bias, scale] =
        if present { turn(ui, latent, hand, &response) } else { [latent.bias.value(), latent.scale.value()] };
    response.widget_info(|| {
        let label = format!("Latent {title}, bias {bias:.2}, scale {scale:.2}");
        let mut info = WidgetInfo::slider(present, f64::from(bias), label);
        info.role = if present { Role::Slider } else { Role::Label };
        info
    });
    let lit = present && (response.hovered() || response.dragged() || response.has_focus());
    let area = Rect::from_min_max(column.min, column.max - vec2(0.0, 16.0));
    let painter = ui.painter();
    if lit {
        painter.rect_filled(column, 3.0, theme::CARD);
    }
    let colour = if present { theme::latent(index) } else { theme::FAINT.gamma_multiply(0.5) };
    painter.hline(area.x_range().shrink(2.0), level(area, 0.0), Stroke::new(1.0, theme::LINE));
    let slot = area.x_range().shrink(area.width() * 0.22);
    if present {
        let (zero, top) = (level(area, 0.0), level(area, after));
        let filled = Rect::from_x_y_ranges(slot, zero.min(top)..=zero.max(top));
        painter.rect_filled(filled, 1.5, colour.gamma_multiply(if lit { 0.95 } else { 0.75 }));
        painter.hline(slot, top, Stroke::new(1.5, colour));
        if (before - after).abs() > 0.02 {
            painter.hline(slot, level(area, before), Stroke::new(1.0, theme::DIM));
        }
        handle(ui, area, bias, scale, lit);
    }
    let text = if present { theme::DIM } else { theme::FAINT.gamma_multiply(0.7) };
    painter.with_clip_rect(column).text(
        column.center_bottom(),
        Align2::CENTER_BOTTOM,
        title.chars().take(5).collect::<String>(),
        FontId::proportional(10.0),
        if lit { theme::TEXT } else { text },
    );
    if response.has_focus() {
        theme::focus_ring(ui, column);
    }
    if present {
        response.on_hover_text(format!(
            "Latent {title}\nnow {after:+.2}, from the encoder {before:+.2}\nbias {bias:+.2}, scale {scale:.2}\n\n{HELP}"
        ));
    } else {
        response.on_hover_text("This model has no such latent");
    }
    lit
}

/// The grip at the bias, as wide as the scale.
fn handle(ui: &Ui, area: Rect, bias: f32, scale: f32, lit: bool) {
    let touched = bias != 0.0 || scale != 1.0;
    if !touched && !lit {
        return;
    }
    let colour = if touched { theme::HAND } else { theme::DIM };
    let half = (area.width() * 0.5 - 2.0).min(3.0 + 4.0 * scale.sqrt());
    let grip = Rect::from_center_size(Pos2::new(area.center().x, level(area, bias)), vec2(half * 2.0, 4.0));
    ui.painter().rect(grip, 2.0, colour, Stroke::new(1.0, theme::WELL), StrokeKind::Outside);
    if scale != 1.0 {
        let at = area.center_top();
        let text = format!("×{scale:.1}");
        ui.painter().text(at, Align2::CENTER_TOP, text, FontId::proportional(9.0), theme::HAND);
    }
}

/// What pointer and keys do to a latent, and the bias and scale that it has then. What a drag turns is decided as it begins.
fn turn(ui: &Ui, latent: &LatentParams, hand: &Hand, response: &egui::Response) -> [f32; 2] {
    let memory = response.id.with("scale");
    let control = ui.input(|i| i.modifiers.command);
    if response.drag_started() {
        ui.data_mut(|data| data.insert_temp(memory, control));
    }
    let scales = ui.data(|data| data.get_temp::<bool>(memory).unwrap_or(false));
    let param = if scales { &latent.scale } else { &latent.bias };
    let turned = param.preview_plain(hand.drag(param, response, ui, TRAVEL));
    let steps = controls::steps(ui, response);
    if steps != 0.0 {
        let param = if control { &latent.scale } else { &latent.bias };
        hand.set(param, param.unmodulated_normalized_value() + steps * 0.01);
    }
    let deleted = response.has_focus() && ui.input(|i| i.key_pressed(Key::Delete) || i.key_pressed(Key::Backspace));
    if response.secondary_clicked() || response.double_clicked() || deleted {
        hand.reset(&latent.bias);
        hand.reset(&latent.scale);
    }
    if scales { [latent.bias.value(), turned] } else { [turned, latent.scale.value()] }
}

fn show_traces(ui: &mut Ui, rect: Rect, telemetry: &Telemetry, count: usize, lit: Option<usize>) {
    let response = ui.interact(rect, ui.scope_id().with("traces"), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, "The latents over time"));
    let area = rect.shrink(4.0);
    let painter = ui.painter().with_clip_rect(rect);
    for value in [-2.0, 0.0, 2.0] {
        let y = level(area, value);
        painter.hline(area.x_range(), y, Stroke::new(1.0, theme::LINE.gamma_multiply(0.6)));
        let at = Pos2::new(area.left() + 1.0, y - 1.0);
        painter.text(at, Align2::LEFT_BOTTOM, format!("{value:+.0}"), FontId::proportional(8.5), theme::FAINT);
    }
    let frames = telemetry.latent_frames();
    let shown = frames.min(SHOWN);
    if count == 0 || shown < 2 {
        let text = if count == 0 { "Nothing with latents is loaded" } else { "Play something" };
        painter.text(area.center(), Align2::CENTER_CENTER, text, FontId::proportional(11.5), theme::FAINT);
        return;
    }
    let rows: Vec<_> = (frames - shown..frames).map(|frame| telemetry.latents(Hands::After, frame)).collect();
    let step = area.width() / (SHOWN - 1) as f32;
    let order = (0..count).filter(|&i| Some(i) != lit).chain(lit);
    for latent in order {
        let from = |age: usize| area.right() - age as f32 * step;
        let newest = rows.len() - 1;
        let points = rows.iter().enumerate().map(|(i, row)| Pos2::new(from(newest - i), level(area, row[latent])));
        let strength = if lit.is_none_or(|l| l == latent) { 0.9 } else { 0.25 };
        let width = if lit == Some(latent) { 2.0 } else { 1.0 };
        let stroke = Stroke::new(width, theme::latent(latent).gamma_multiply(strength));
        painter.add(Shape::line(points.collect(), stroke));
    }
}

/// Where a value stands; beyond the range it stays at the edge.
fn level(area: Rect, value: f32) -> f32 {
    let value = if value.is_finite() { value.clamp(-RANGE, RANGE) } else { 0.0 };
    egui::remap(value, -RANGE..=RANGE, area.bottom()..=area.top())
}
