//! Knobs, switches, choices and numbers: each turns one parameter, by pointer, wheel and keys, and tells its name.

use egui::{Align2, Color32, Key, Pos2, Rect, Response, Role, Sense, Shape, Stroke, TextStyle, Ui, WidgetInfo, vec2};
use nice_plug::params::enums::Enum;
use nice_plug::prelude::{BoolParam, EnumParam, FloatParam, IntParam, Param};

use super::hand::Hand;
use super::theme;

/// What a knob takes, its name and value included.
pub(super) const KNOB: egui::Vec2 = vec2(62.0, 82.0);
/// Points of drag for the whole range.
const TRAVEL: f32 = 160.0;
/// The share of the range that a key or a notch of the wheel turns.
const STEP: f32 = 0.01;

/// A knob with its name above and its value below. Double-click resets; Enter or a click on the value types one.
pub(super) fn knob(ui: &mut Ui, hand: &Hand, param: &FloatParam, label: &str, help: &str) -> Response {
    let (rect, response) = ui.allocate_exact_size(KNOB, Sense::click_and_drag());
    let normalized = hand.drag(param, &response, ui, TRAVEL);
    let value = param.normalized_value_to_string(normalized, true);
    // A name before the value stands above the knob already.
    let value = value.rsplit_once(": ").map_or(value.as_str(), |(_, value)| value).to_owned();
    response.widget_info(|| {
        let mut info = WidgetInfo::slider(true, f64::from(normalized), param.name());
        info.current_text_value = Some(value.clone());
        info
    });
    let wheel = if response.hovered() { ui.input(|i| i.smooth_scroll_delta().y) } else { 0.0 };
    let turn = steps(ui, &response) * STEP + wheel * STEP / 8.0;
    if turn != 0.0 {
        hand.set(param, normalized + turn);
    }
    if response.double_clicked() || response.secondary_clicked() {
        hand.reset(param);
    }
    let text_rect = Rect::from_min_max(Pos2::new(rect.left(), rect.bottom() - 18.0), rect.right_bottom());
    if !typed_value(ui, hand, param, &response, text_rect) {
        let colour = if response.hovered() || response.has_focus() { Color32::WHITE } else { theme::TEXT };
        let font = TextStyle::Body.resolve(ui.style());
        ui.painter().text(text_rect.center(), Align2::CENTER_CENTER, &value, font, colour);
    }
    let small = TextStyle::Small.resolve(ui.style());
    ui.painter().text(rect.center_top(), Align2::CENTER_TOP, label, small, theme::DIM);
    let centre = Pos2::new(rect.center().x, rect.top() + 39.0);
    dial(ui, centre, normalized, param.default_normalized_value(), response.hovered() || response.dragged());
    if response.has_focus() {
        theme::focus_ring(ui, rect);
    }
    response.on_hover_text(help)
}

/// A switch with a word beside it.
pub(super) fn switch(ui: &mut Ui, hand: &Hand, param: &BoolParam, label: &str, help: &str) -> Response {
    let on = param.value();
    let font = TextStyle::Body.resolve(ui.style());
    let galley = ui.painter().layout_no_wrap(label.to_owned(), font, theme::TEXT);
    let (rect, response) = ui.allocate_exact_size(vec2(34.0 + galley.size().x, 20.0), Sense::click());
    response.widget_info(|| WidgetInfo::selected(Role::Switch, true, on, param.name()));
    if response.clicked() {
        hand.set(param, if on { 0.0 } else { 1.0 });
    }
    let track = Rect::from_center_size(Pos2::new(rect.left() + 14.0, rect.center().y), vec2(26.0, 14.0));
    let at = ui.ctx().animate_bool_with_time(response.id, on, 0.1);
    let fill = theme::RAISED.lerp_to_gamma(theme::ACCENT, at);
    ui.painter().rect_filled(track, 7.0, if response.hovered() { fill.gamma_multiply(1.2) } else { fill });
    let x = egui::lerp(track.left() + 7.0..=track.right() - 7.0, at);
    let dot = theme::DIM.lerp_to_gamma(theme::BACKGROUND, at);
    ui.painter().circle_filled(Pos2::new(x, track.center().y), 4.5, dot);
    let text = Pos2::new(rect.left() + 33.0, rect.center().y - galley.size().y / 2.0);
    ui.painter().galley_with_override_text_color(text, galley, if on { theme::TEXT } else { theme::DIM });
    if response.has_focus() {
        theme::focus_ring(ui, rect.expand(2.0));
    }
    response.on_hover_text(help)
}

/// One of several, side by side. Arrow keys move between them as Tab does.
pub(super) fn choice<T: Enum + PartialEq + Copy + 'static>(
    ui: &mut Ui,
    hand: &Hand,
    param: &EnumParam<T>,
    width: f32,
    help: [&str; 2],
) {
    let [label, help] = help;
    let chosen = param.value().to_index();
    if !label.is_empty() {
        ui.label(egui::RichText::new(label).small().color(theme::DIM));
    }
    let cells: Vec<Cell> = T::variants().iter().map(|name| Cell { name: (*name).into(), help: help.into() }).collect();
    if let Some(index) = one_of(ui, param.name(), &cells, Some(chosen), width, true) {
        hand.set(param, param.preview_normalized(T::from_index(index)));
    }
}

/// One of several things to choose.
pub(super) struct Cell {
    /// What stands in it.
    pub(super) name: String,
    /// What it does.
    pub(super) help: String,
}

/// Cells side by side, of a choice called `what`; the one that was chosen now, where it was not before.
pub(super) fn one_of(
    ui: &mut Ui,
    what: &str,
    cells: &[Cell],
    chosen: Option<usize>,
    width: f32,
    enabled: bool,
) -> Option<usize> {
    let mut turned = None;
    let (rect, _) = ui.allocate_exact_size(vec2(width, 22.0), Sense::hover());
    ui.painter().rect_filled(rect, 4.0, theme::WELL);
    let cell_width = rect.width() / cells.len() as f32;
    for (index, Cell { name, help }) in cells.iter().enumerate() {
        let is_chosen = chosen == Some(index);
        let cell =
            Rect::from_min_size(Pos2::new(rect.left() + index as f32 * cell_width, rect.top()), vec2(cell_width, 22.0));
        let sense = if enabled { Sense::click() } else { Sense::hover() };
        let response = ui.interact(cell, ui.scope_id().with((what, index)), sense);
        response.widget_info(|| WidgetInfo::selected(Role::RadioButton, enabled, is_chosen, format!("{what}: {name}")));
        if response.clicked() && !is_chosen {
            turned = Some(index);
        }
        if is_chosen {
            ui.painter().rect_filled(cell.shrink(1.5), 3.0, theme::ACCENT.gamma_multiply(0.28));
        } else if enabled && response.hovered() {
            ui.painter().rect_filled(cell.shrink(1.5), 3.0, theme::RAISED);
        }
        let colour = match (is_chosen, enabled) {
            (true, _) => Color32::WHITE,
            (false, true) => theme::DIM,
            (false, false) => theme::FAINT,
        };
        let font = egui::FontId::proportional(11.5);
        ui.painter().text(cell.center(), Align2::CENTER_CENTER, name, font, colour);
        if response.has_focus() {
            theme::focus_ring(ui, cell);
        }
        response.on_hover_text(help);
    }
    turned
}

/// A whole number, dragged sideways or typed.
pub(super) fn number(ui: &mut Ui, hand: &Hand, param: &IntParam, range: std::ops::RangeInclusive<i32>) -> Response {
    let mut value = param.value();
    let speed = (range.end() - range.start()) as f32 / 600.0;
    let text = |n: f64| param.normalized_value_to_string(param.preview_normalized(n as i32), true);
    let widget = egui::DragValue::new(&mut value).range(range).speed(speed.max(0.05));
    let response = ui.add(widget.custom_formatter(|n, _| text(n)));
    told(hand, param, &response, value);
    response
}

/// An amount, dragged sideways or typed.
pub(super) fn amount(ui: &mut Ui, hand: &Hand, param: &FloatParam, range: std::ops::RangeInclusive<f32>) -> Response {
    let mut value = param.value();
    let response = ui.add(egui::DragValue::new(&mut value).range(range).speed(0.01).fixed_decimals(2));
    told(hand, param, &response, value);
    response
}

/// How many steps the keys ask for, of the widget that has the focus. Tab gives it, a click does not: while a widget has
/// the focus, the host misses its own keys, such as the space bar.
pub(super) fn steps(ui: &Ui, response: &Response) -> f32 {
    if !response.has_focus() {
        return 0.0;
    }
    ui.memory_mut(|memory| {
        let arrows = egui::EventFilter { horizontal_arrows: true, vertical_arrows: true, ..Default::default() };
        memory.set_focus_lock_filter(response.id, arrows);
    });
    ui.input(|i| {
        let pressed = |key| i.num_presses(key) as f32;
        let fine = if i.modifiers.shift { 0.1 } else { 1.0 };
        let small =
            pressed(Key::ArrowUp) + pressed(Key::ArrowRight) - pressed(Key::ArrowDown) - pressed(Key::ArrowLeft);
        (small + 10.0 * (pressed(Key::PageUp) - pressed(Key::PageDown))) * fine
    })
}

/// Tells the host of what a drag value did.
fn told<P: Param>(hand: &Hand, param: &P, response: &Response, value: P::Plain) {
    response.widget_info(|| {
        let mut info = WidgetInfo::drag_value(true, f64::from(param.unmodulated_normalized_value()));
        info.label = Some(param.name().to_owned());
        info
    });
    if response.drag_started() {
        hand.begin(param);
    }
    if response.changed() {
        let normalized = param.preview_normalized(value);
        if response.dragged() { hand.turn(param, normalized) } else { hand.set(param, normalized) }
    }
    if response.drag_stopped() {
        hand.end(param);
    }
}

/// A field over the value while one is typed; whether there is one.
fn typed_value(ui: &mut Ui, hand: &Hand, param: &FloatParam, knob: &Response, rect: Rect) -> bool {
    let memory = knob.id.with("typed");
    let draft: Option<String> = ui.data(|data| data.get_temp(memory));
    let Some(mut text) = draft else {
        let at_value = knob.clicked() && knob.interact_pointer_pos().is_some_and(|at| rect.contains(at));
        if at_value || knob.has_focus() && ui.input(|i| i.key_pressed(Key::Enter)) {
            let value = param.normalized_value_to_string(param.unmodulated_normalized_value(), false);
            ui.data_mut(|data| data.insert_temp(memory, value));
            ui.ctx().request_repaint();
        }
        return false;
    };
    let field = egui::TextEdit::singleline(&mut text).id(memory.with("field")).align(Align2::CENTER_CENTER);
    let response = ui.put(rect, field);
    response.widget_info(|| WidgetInfo::labeled(Role::TextInput, true, format!("{} value", param.name())));
    if response.lost_focus() {
        if ui.input(|i| i.key_pressed(Key::Enter))
            && let Some(normalized) = param.string_to_normalized_value(&text)
        {
            hand.set(param, normalized);
        }
        ui.data_mut(|data| data.remove::<String>(memory));
    } else {
        response.request_focus();
        ui.data_mut(|data| data.insert_temp(memory, text));
    }
    true
}

fn dial(ui: &Ui, centre: Pos2, value: f32, rest: f32, lit: bool) {
    const RADIUS: f32 = 19.0;
    let turn = |x: f32| (0.75 + 1.5 * x) * std::f32::consts::PI;
    let at = |x: f32, radius: f32| centre + radius * egui::Vec2::angled(turn(x));
    let arc = |from: f32, to: f32, stroke: Stroke| {
        let points = (0..=40).map(|i| at(egui::lerp(from..=to, i as f32 / 40.0), RADIUS)).collect();
        ui.painter().add(Shape::line(points, stroke));
    };
    let painter = ui.painter();
    painter.circle_filled(centre, RADIUS - 5.0, if lit { theme::HOVERED } else { theme::RAISED });
    arc(0.0, 1.0, Stroke::new(3.0, theme::LINE));
    let origin = if (0.45..=0.55).contains(&rest) { rest } else { 0.0 };
    if (value - origin).abs() > 1e-4 {
        arc(origin.min(value), origin.max(value), Stroke::new(3.0, theme::ACCENT));
    }
    painter.line_segment([at(value, 6.0), at(value, RADIUS - 6.0)], Stroke::new(2.0, theme::TEXT));
}
