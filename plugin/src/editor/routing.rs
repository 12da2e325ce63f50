//! Which notes and controllers move which latents: a table.

use egui::{Grid, RichText, ScrollArea, Ui};

use super::controls;
use super::hand::Hand;
use super::theme;
use crate::params::{LATENTS, RunnelParams, Source};

/// Shows the table, in two halves side by side.
pub(super) fn show(ui: &mut Ui, params: &RunnelParams, hand: &Hand) {
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        ui.label(
            RichText::new("A source is added to its latent, depth times. 0 or “none” leaves it alone.")
                .color(theme::DIM),
        );
        Grid::new("sources").num_columns(7).spacing([14.0, 5.0]).show(ui, |ui| {
            for _ in 0..2 {
                for title in ["Source", "Latent", "Depth"] {
                    ui.label(RichText::new(title).small().color(theme::DIM));
                }
                ui.label("      ");
            }
            ui.end_row();
            let half = Source::ALL.len() / 2;
            for row in 0..half {
                for index in [row, row + half] {
                    let source = &params.sources[index];
                    ui.label(Source::ALL[index].name());
                    controls::number(ui, hand, &source.latent, 0..=LATENTS as i32);
                    controls::amount(ui, hand, &source.depth, -3.0..=3.0);
                    ui.label("");
                }
                ui.end_row();
            }
        });
    });
}
