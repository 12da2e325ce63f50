//! The controls along the bottom, in four cards.

use egui::{Align, Layout, Rect, RichText, Ui};

use super::controls::{choice, knob, number, switch};
use super::hand::Hand;
use super::theme;
use crate::params::RunnelParams;

/// Height of the cards.
pub(super) const HEIGHT: f32 = 124.0;

/// Shows all cards.
pub(super) fn show(ui: &mut Ui, rect: Rect, params: &RunnelParams, hand: &Hand) {
    let spare = ((rect.width() - 876.0) / 4.0).max(0.0);
    let [level, character, movement, time] = theme::columns(rect, [278.0 + spare, 232.0 + spare, 150.0 + spare, 0.0]);
    theme::card(ui, level, "Level", |ui, _| {
        row(ui, |ui| {
            knob(ui, hand, &params.input_gain, "Input", "Gain of what the model hears");
            knob(ui, hand, &params.mix, "Dry / wet", "The input at 0 %, the model at 100 %, both in time");
            knob(ui, hand, &params.output_gain, "Output", "Gain of the mix");
            stack(ui, |ui| {
                switch(ui, hand, &params.limiter, "Limit", "Bends peaks beyond full scale back");
                switch(ui, hand, &params.gate, "Gate", "Silence in means silence out");
            });
        });
    });
    theme::card(ui, character, "Character", |ui, _| {
        row(ui, |ui| {
            knob(ui, hand, &params.noise_amount, "Noise", "Gain of the noise that the decoder adds");
            knob(ui, hand, &params.temperature, "Temp.", "How far the latents stray from what the encoder means");
            stack(ui, |ui| {
                switch(ui, hand, &params.noise, "Noise", "Whether the model's random parts sound");
                switch(ui, hand, &params.wide_noise, "Wide", "Each side of a mono model draws its own noise");
                ui.horizontal(|ui| {
                    ui.label(RichText::new("Seed").color(theme::DIM));
                    number(ui, hand, &params.seed, 0..=9999).on_hover_text("The same seed is the same sound");
                });
            });
        });
    });
    theme::card(ui, movement, "Movement", |ui, _| {
        row(ui, |ui| {
            knob(ui, hand, &params.jitter, "Jitter", "How far a smooth random walk carries the latents");
            stack(ui, |ui| {
                switch(ui, hand, &params.freeze, "Freeze", "The latents stay as they are");
            });
        });
    });
    theme::card(ui, time, "Time", |ui, inner| {
        ui.spacing_mut().item_spacing.y = 5.0;
        let width = inner.width();
        choice(
            ui,
            hand,
            &params.latency,
            width,
            ["", "How much more latency evens out the load; the host starts anew"],
        );
        choice(
            ui,
            hand,
            &params.channels,
            width,
            ["", "Whether a mono model runs once for each side, or once for both"],
        );
        let help =
            "Runs the model beside the host's audio thread, a fixed time later: for machines where it is too heavy";
        switch(ui, hand, &params.worker, "Own thread", help);
    });
}

fn row(ui: &mut Ui, contents: impl FnOnce(&mut Ui)) {
    ui.with_layout(Layout::left_to_right(Align::Min), |ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        contents(ui);
    });
}

fn stack(ui: &mut Ui, contents: impl FnOnce(&mut Ui)) {
    ui.vertical(|ui| {
        ui.add_space(6.0);
        ui.spacing_mut().item_spacing.y = 7.0;
        contents(ui);
    });
}
