//! The model: its name and facts, what became of the last one chosen, and the ways to another.

use std::path::PathBuf;
use std::sync::Arc;

use egui::{Align, Button, Layout, RichText, TextEdit, Ui};

use super::browser::Browser;
use super::theme::{self, Arrow};
use super::window::Repaint;
use crate::dialog;
use crate::library;
use crate::loader::{Loader, Phase, Status};
use crate::params::RunnelParams;

/// Which way to another model of the folder.
#[derive(Clone, Copy, Debug)]
enum Step {
    Back,
    On,
}

/// What stands in the bar.
pub(super) struct ModelBar {
    params: Arc<RunnelParams>,
    loader: Arc<Loader>,
    repaint: Repaint,
    /// What stands in the field, and the generation of the path that it was taken from.
    path: (String, u64),
    /// The models opened last, and the one that played when they were asked for.
    recent: (Vec<PathBuf>, Option<PathBuf>),
    /// What came of the last drop, until another model is chosen.
    said: Option<String>,
}

impl ModelBar {
    /// The bar of one instance.
    pub(super) fn new(params: Arc<RunnelParams>, loader: Arc<Loader>, repaint: Repaint) -> Self {
        let (path, recent) = ((String::new(), u64::MAX), (Vec::new(), None));
        Self { params, loader, repaint, path, recent, said: None }
    }

    /// Loads another model.
    pub(super) fn choose(&mut self, path: String) {
        choose(&self.params, &self.loader, path);
    }

    /// Tells why a drop loads nothing.
    pub(super) fn say(&mut self, said: String) {
        self.said = Some(said);
    }

    /// What there is to tell, until another model is chosen.
    pub(super) fn said(&self) -> Option<&str> {
        self.said.as_deref()
    }

    /// Shows the bar; opens the browser when asked to.
    pub(super) fn show(&mut self, ui: &mut Ui, status: &Status, browser: &mut Option<Browser>) {
        self.follow(status);
        ui.horizontal(|ui| title(ui, status));
        ui.add_space(3.0);
        ui.horizontal(|ui| self.ways(ui, browser));
    }

    /// Takes up a path that was chosen elsewhere, and a model that was found.
    fn follow(&mut self, status: &Status) {
        let playing = status.playing.as_ref().map(|facts| facts.path.clone());
        let generation = self.params.model_path.generation();
        if self.path.1 != generation {
            self.said = None;
        }
        if self.path.1 != generation || self.recent.1 != playing {
            self.path = (self.params.model_path.text(), generation);
            self.recent = (self.loader.library().recent(), playing);
        }
    }

    fn ways(&mut self, ui: &mut Ui, browser: &mut Option<Browser>) {
        let chosen = !self.path.0.is_empty();
        for (arrow, name, step) in [
            (Arrow::Left, "Previous model in the folder", Step::Back),
            (Arrow::Right, "Next model in the folder", Step::On),
        ] {
            let response = ui.add_enabled(chosen, Button::new("").min_size(egui::vec2(24.0, 22.0)));
            response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, chosen, name));
            theme::arrow(ui, response.rect.center(), arrow, if chosen { theme::TEXT } else { theme::FAINT });
            if response.on_hover_text(name).clicked() {
                self.step(step);
            }
        }
        if ui.button("Browse…").on_hover_text("Shows the folders and the models in them").clicked() {
            let here = PathBuf::from(&self.path.0);
            *browser = if browser.is_some() { None } else { Some(Browser::at(&here, self.repaint.clone())) };
        }
        let mut again = None;
        let none = self.recent.0.is_empty();
        ui.add_enabled_ui(!none, |ui| {
            let menu = ui.menu_button("Recent     ", |ui| {
                for path in &self.recent.0 {
                    let shown = path.to_string_lossy();
                    let name = path.file_name().map_or(shown.clone(), |name| name.to_string_lossy());
                    if ui.button(name.as_ref()).on_hover_text(shown.as_ref()).clicked() {
                        again = Some(shown.into_owned());
                        ui.close();
                    }
                }
            });
            menu.response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, !none, "Recent models"));
            let colour = if none { theme::FAINT } else { theme::TEXT };
            theme::arrow(ui, menu.response.rect.right_center() - egui::vec2(12.0, 0.0), Arrow::Down, colour);
        });
        if let Some(path) = again {
            self.choose(path);
        }
        let field = TextEdit::singleline(&mut self.path.0)
            .hint_text("or type the path of a model, and press Enter")
            .desired_width(ui.available_width() - 4.0);
        let field = ui.add(field);
        field.widget_info(|| egui::WidgetInfo::labeled(egui::Role::TextInput, true, "Path of the model"));
        if field.lost_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter)) {
            self.choose(self.path.0.trim().to_owned());
        }
    }

    fn step(&self, step: Step) {
        let (params, loader, repaint) = (self.params.clone(), self.loader.clone(), self.repaint.clone());
        let here = PathBuf::from(self.params.model_path.text());
        let work = move || {
            let (before, after) = library::neighbours(&here);
            let next = match step {
                Step::Back => before,
                Step::On => after,
            };
            if let Some(path) = next {
                choose(&params, &loader, path.to_string_lossy().into_owned());
            }
        };
        drop(dialog::apart(work, move || repaint.request()));
    }
}

/// What is going on, in a line under the bar, if anything is.
pub(super) fn notice(ui: &mut Ui, status: &Status) {
    let (colour, text) = match &status.phase {
        Phase::Settled => match &status.note {
            Some(note) => (theme::TEXT, note.clone()),
            None => return,
        },
        Phase::Loading { .. } => {
            ui.spinner();
            (theme::TEXT, status.phase.to_string())
        }
        trouble => {
            let kept = status.playing.as_ref().map(|facts| format!("  “{}” keeps playing.", facts.name));
            (theme::ALARM, format!("{}{}", sentence(&trouble.to_string()), kept.unwrap_or_default()))
        }
    };
    ui.add(egui::Label::new(RichText::new(&text).color(colour)).truncate()).on_hover_text(text);
}

fn title(ui: &mut Ui, status: &Status) {
    let (name, facts) = match &status.playing {
        Some(facts) => (facts.name.as_str(), facts.description.as_str()),
        None => ("No model", "Drop a model here, or a folder of models. The input passes unchanged"),
    };
    let colour = if status.playing.is_some() { egui::Color32::WHITE } else { theme::DIM };
    ui.add(egui::Label::new(RichText::new(name).heading().color(colour)));
    ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
        ui.add(egui::Label::new(RichText::new(facts).color(theme::DIM)).truncate()).on_hover_text(facts);
    });
}

fn choose(params: &RunnelParams, loader: &Loader, path: String) {
    params.model_path.choose(path);
    loader.wake();
}

fn sentence(text: &str) -> String {
    format!("{}.", text.trim_end_matches('.'))
}
