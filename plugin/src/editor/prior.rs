//! The prior's switch and temperature, beside the choice of what drives the decoder.

use egui::{RichText, Ui};

use super::controls;
use super::hand::Hand;
use super::theme;
use crate::params::{Mode, RunnelParams};

/// Shows them where there is a prior and the latents are played.
pub(super) fn show(ui: &mut Ui, params: &RunnelParams, hand: &Hand, has_prior: bool) {
    if !has_prior || params.mode.value() != Mode::Play {
        return;
    }
    let help = "The model's prior plays the latents: each frame drawn from those before it";
    controls::switch(ui, hand, &params.prior, "Prior", help);
    ui.label(RichText::new("Temp.").color(theme::DIM));
    controls::amount(ui, hand, &params.prior_temperature, 0.0..=5.0)
        .on_hover_text("How freely the prior draws: 1 as it was trained, 0 always the likeliest");
}
