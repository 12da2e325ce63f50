//! The row of a model that learns: what it hears becomes its source or its target.

use egui::{Button, Rect, RichText, Role, Ui, WidgetInfo};
use nice_plug::prelude::{BoolParam, Param};

use super::controls::switch;
use super::hand::Hand;
use super::{theme, within};
use crate::params::RunnelParams;

/// How long a trigger stays pressed: longer than any host's block.
const PRESS_SECONDS: f64 = 0.3;

/// Height of the row; as good as none for a model that cannot learn.
pub(super) fn height(params: &RunnelParams) -> f32 {
    if params.memory.knows().is_some() { 30.0 } else { -theme::GAP }
}

/// Shows the row, where there is one.
pub(super) fn show(ui: &mut Ui, rect: Rect, params: &RunnelParams, hand: &Hand) {
    let Some(knows) = params.memory.knows() else { return };
    ui.painter().rect_filled(rect, 4.0, theme::CARD);
    within(ui, rect.shrink2(egui::vec2(10.0, 0.0)), |ui| {
        let known = match knows {
            [true, true] => "carries the source over to the target",
            [true, false] => "source known, target not yet",
            [false, true] => "target known, source not yet",
            [false, false] => "nothing learned: the sound passes as trained",
        };
        let help = "What the model hears becomes the source: what is carried over";
        switch(ui, hand, &params.learn_source, "Learn source", help);
        trigger(ui, hand, &params.reset_source, "Forget", "The source of the model's file again, or none");
        ui.separator();
        let help = "What the model hears becomes the target: what it is carried over to";
        switch(ui, hand, &params.learn_target, "Learn target", help);
        trigger(ui, hand, &params.reset_target, "Forget", "The target of the model's file again, or none");
        ui.separator();
        ui.add(egui::Label::new(RichText::new(known).color(theme::DIM)).truncate());
    });
}

/// A button that turns `param` on for a moment.
fn trigger(ui: &mut Ui, hand: &Hand, param: &BoolParam, label: &str, help: &str) {
    let response = ui.add(Button::new(label).selected(param.value()));
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, param.name()));
    let (memory, now) = (response.id.with("pressed"), ui.input(|i| i.time));
    let pressed: Option<f64> = ui.data(|data| data.get_temp(memory));
    match pressed {
        Some(since) if now - since >= PRESS_SECONDS => {
            hand.set(param, 0.0);
            ui.data_mut(|data| data.remove::<f64>(memory));
        }
        Some(_) => ui.ctx().request_repaint_after(super::watch::FRAME),
        None if response.clicked() => {
            hand.set(param, if param.value() { 0.0 } else { 1.0 });
            ui.data_mut(|data| data.insert_temp(memory, now));
            ui.ctx().request_repaint_after(super::watch::FRAME);
        }
        None => {}
    }
    response.on_hover_text(help);
}
