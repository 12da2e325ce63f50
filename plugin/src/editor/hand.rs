//! Gestures: how the window turns parameters, so that the host records and undoes them.

use egui::{Id, Response};
use nice_plug::context::gui::ParamSetter;
use nice_plug::prelude::Param;

/// The player's hand on the parameters.
pub struct Hand<'a>(Option<ParamSetter<'a>>);

impl<'a> Hand<'a> {
    /// A hand that the host feels.
    pub fn new(setter: ParamSetter<'a>) -> Self {
        Self(Some(setter))
    }

    /// A hand that turns nothing: there is no host.
    pub fn idle() -> Self {
        Self(None)
    }

    /// Takes hold of a parameter.
    pub fn begin<P: Param>(&self, param: &P) {
        if let Some(setter) = &self.0 {
            setter.begin_set_parameter(param);
        }
    }

    /// Turns a parameter that is held, 0 to 1.
    pub fn turn<P: Param>(&self, param: &P, normalized: f32) {
        if let Some(setter) = &self.0 {
            setter.set_parameter_normalized(param, normalized.clamp(0.0, 1.0));
        }
    }

    /// Lets go.
    pub fn end<P: Param>(&self, param: &P) {
        if let Some(setter) = &self.0 {
            setter.end_set_parameter(param);
        }
    }

    /// A whole gesture.
    pub fn set<P: Param>(&self, param: &P, normalized: f32) {
        self.begin(param);
        self.turn(param, normalized);
        self.end(param);
    }

    /// Back to the default.
    pub fn reset<P: Param>(&self, param: &P) {
        self.set(param, param.default_normalized_value());
    }

    /// A vertical drag on `response`: `points` of way are the whole range, a tenth as fast with Shift.
    ///
    /// What is dragged is remembered apart from the parameter, whose steps would swallow small movements, and which some
    /// hosts turn only when they process next. Gives that value, or the parameter's.
    pub fn drag<P: Param>(&self, param: &P, response: &Response, ui: &egui::Ui, points: f32) -> f32 {
        let memory: Id = response.id.with("dragged");
        if response.drag_started_by(egui::PointerButton::Primary) {
            self.begin(param);
            ui.data_mut(|data| data.insert_temp(memory, param.unmodulated_normalized_value()));
        }
        let held: Option<f32> = ui.data(|data| data.get_temp(memory));
        let Some(held) = held else { return param.unmodulated_normalized_value() };
        let fine = if ui.input(|i| i.modifiers.shift) { 0.1 } else { 1.0 };
        let moved = (held - response.drag_delta().y / points * fine).clamp(0.0, 1.0);
        if moved != held {
            self.turn(param, moved);
            ui.data_mut(|data| data.insert_temp(memory, moved));
        }
        if response.drag_stopped() {
            self.end(param);
            ui.data_mut(|data| data.remove::<f32>(memory));
        }
        moved
    }
}
