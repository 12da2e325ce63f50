//! The model's own parameters: a row of knobs, for models that have any.

use egui::{Rect, Ui};

use super::controls::{KNOB, knob};
use super::hand::Hand;
use super::theme;
use crate::params::RunnelParams;
use crate::steering::Steered;

/// Height of the row.
pub(super) const HEIGHT: f32 = 118.0;
/// Letters of a name that stand above a knob.
const LETTERS: usize = 12;

/// Shows a knob for each of `steered`.
pub(super) fn show(ui: &mut Ui, rect: Rect, params: &RunnelParams, hand: &Hand, steered: &[Steered]) {
    theme::card(ui, rect, "Model", |ui, _| {
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = (rect.width() / steered.len().max(1) as f32 - KNOB.x).clamp(2.0, 24.0);
            for (steered, param) in steered.iter().zip(&params.steering) {
                let label: String = steered.name.chars().take(LETTERS).collect();
                knob(ui, hand, &param.share, &label, &format!("{}; half way is where the model stands", steered.name));
            }
        });
    });
}
