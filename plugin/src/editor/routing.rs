//! Which notes and controllers move which latents: a table.

use egui::{Grid, RichText, ScrollArea, Ui};

use super::controls;
use super::hand::Hand;
use super::theme;
use crate::params::{LATENTS, RunnelParams, Source};

/// Sources in a row.
const ACROSS: usize = 3;

/// Shows the table, sources side by side.
pub(super) fn show(ui: &mut Ui, params: &RunnelParams, hand: &Hand) {
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        ui.label(
            RichText::new("A source is added to its latent, depth times. 0 or “none” leaves it alone.")
                .color(theme::DIM),
        );
        Grid::new("sources").num_columns(4 * ACROSS).spacing([14.0, 5.0]).show(ui, |ui| {
            for _ in 0..ACROSS {
                for title in ["Source", "Latent", "Depth"] {
                    ui.label(RichText::new(title).small().color(theme::DIM));
                }
                ui.label("      ");
            }
            ui.end_row();
            for (row, sources) in params.sources.chunks(ACROSS).enumerate() {
                for (column, source) in sources.iter().enumerate() {
                    ui.label(Source::ALL[row * ACROSS + column].name());
                    let latent = controls::number(ui, hand, &source.latent, 0..=LATENTS as i32);
                    latent.on_hover_text("The latent that it moves, or none");
                    let depth = controls::amount(ui, hand, &source.depth, -3.0..=3.0);
                    depth.on_hover_text("What is added to that latent at the source's full scale");
                    ui.label("");
                }
                ui.end_row();
            }
        });
    });
}
