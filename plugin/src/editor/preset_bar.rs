//! Presets: the menu, saving and deleting, and two sets of settings to compare.

use std::path::Path;

use egui::{RichText, TextEdit, Ui};

use super::hand::Hand;
use super::theme;
use crate::params::RunnelParams;
use crate::presets::{Preset, PresetModel, Settings, Store, factory};

/// What the bar remembers.
pub(super) struct PresetBar {
    store: Store,
    /// The user's presets, read when the menu opens.
    names: Vec<String>,
    /// The preset that was chosen last, and whether it is the user's.
    current: (String, bool),
    /// A name being typed for saving.
    draft: Option<String>,
    /// Whether that field has just appeared.
    draft_is_new: bool,
    /// What went wrong, or what there is to say.
    said: Option<String>,
    /// The settings that are put away, and which side is in use: A or B.
    other: Option<Settings>,
    side: usize,
}

impl Default for PresetBar {
    fn default() -> Self {
        Self {
            store: Store::of_user(),
            names: Vec::new(),
            current: ("As trained".into(), false),
            draft: None,
            draft_is_new: false,
            said: None,
            other: None,
            side: 0,
        }
    }
}

impl PresetBar {
    /// Shows the bar; the path of a model that a preset asks for.
    pub(super) fn show(
        &mut self,
        ui: &mut Ui,
        params: &RunnelParams,
        hand: &Hand,
        model: Option<&str>,
    ) -> Option<String> {
        let wanted = ui.horizontal(|ui| self.menu(ui, params, hand)).inner;
        ui.add_space(3.0);
        ui.horizontal(|ui| match self.draft.take() {
            Some(draft) => self.save_row(ui, params, model, draft),
            None => self.compare_row(ui, params, hand),
        });
        wanted
    }

    /// The last thing worth saying, to be shown until the next.
    pub(super) fn said(&self) -> Option<&str> {
        self.said.as_deref()
    }

    fn menu(&mut self, ui: &mut Ui, params: &RunnelParams, hand: &Hand) -> Option<String> {
        let mut chosen = None;
        let text = self.current.0.clone();
        let button = egui::Button::new(text).min_size(egui::vec2(ui.available_width() - 4.0, 24.0)).truncate();
        let (button, _) = egui::containers::menu::MenuButton::from_button(button).ui(ui, |ui| {
            ui.set_min_width(200.0);
            ui.label(RichText::new("Factory").small().color(theme::DIM));
            for (name, help) in factory::ALL {
                if ui.button(name).on_hover_text(help).clicked() {
                    chosen = Some((name.to_owned(), false));
                }
            }
            ui.separator();
            ui.label(RichText::new("Yours").small().color(theme::DIM));
            egui::ScrollArea::vertical().max_height(220.0).show(ui, |ui| {
                for name in &self.names {
                    if ui.button(name).clicked() {
                        chosen = Some((name.clone(), true));
                    }
                }
            });
            let folder = self.store.folder().display().to_string();
            if self.names.is_empty() {
                ui.label(RichText::new("None yet. They are saved in").color(theme::DIM));
            }
            ui.label(RichText::new(&folder).small().color(theme::FAINT));
            if chosen.is_some() {
                ui.close();
            }
        });
        button
            .widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, format!("Preset: {}", self.current.0)));
        let at = button.rect.right_center() - egui::vec2(14.0, 0.0);
        theme::arrow(ui, at, theme::Arrow::Down, theme::TEXT);
        if button.clicked() {
            self.names = self.store.names();
        }
        chosen.and_then(|(name, own)| self.load(params, hand, name, own))
    }

    fn load(&mut self, params: &RunnelParams, hand: &Hand, name: String, own: bool) -> Option<String> {
        self.said = None;
        let mut wanted = None;
        let settings = if own {
            self.store.load(&name).map(|preset| {
                wanted = preset.model;
                preset.parameters
            })
        } else {
            factory::settings(&name, params).ok_or_else(|| "there is no such preset".to_owned())
        };
        match settings.and_then(|settings| settings.apply(params, hand)) {
            Ok(()) => self.current = (name, own),
            Err(problem) => {
                self.said = Some(format!("“{name}” is not loaded: {problem}"));
                return None;
            }
        }
        let model = wanted.filter(|model| model.path != params.model_path.text())?;
        if Path::new(&model.path).exists() {
            return Some(model.path);
        }
        self.said = Some(format!("“{}” was made with the model {}, which is not here", self.current.0, model.name));
        None
    }

    fn save_row(&mut self, ui: &mut Ui, params: &RunnelParams, model: Option<&str>, mut draft: String) {
        let field = TextEdit::singleline(&mut draft).hint_text("name").desired_width(ui.available_width() - 122.0);
        let field = ui.add(field);
        field.widget_info(|| egui::WidgetInfo::labeled(egui::Role::TextInput, true, "Name of the preset"));
        if std::mem::take(&mut self.draft_is_new) {
            field.request_focus();
        }
        let entered = field.lost_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter));
        if ui.button("Save").clicked() || entered {
            let path = params.model_path.text();
            let model = model.map(|name| PresetModel { name: name.to_owned(), path });
            let saved = Preset::new(&draft, model, Settings::capture(params))
                .and_then(|preset| self.store.save(&preset).map(|()| preset.name));
            match saved {
                Ok(name) => (self.current, self.said) = ((name, true), None),
                Err(problem) => (self.said, self.draft) = (Some(problem), Some(draft)),
            }
        } else if !ui.button("Cancel").clicked() && !ui.input(|i| i.key_pressed(egui::Key::Escape)) {
            self.draft = Some(draft);
        }
    }

    fn compare_row(&mut self, ui: &mut Ui, params: &RunnelParams, hand: &Hand) {
        for (side, name) in ["A", "B"].into_iter().enumerate() {
            let help = "Two sets of settings to compare";
            let chosen = self.side == side;
            let button = ui.selectable_label(chosen, format!(" {name} ")).on_hover_text(help);
            button.widget_info(|| {
                egui::WidgetInfo::selected(egui::Role::Button, true, chosen, format!("Settings {name}"))
            });
            if button.clicked() && !chosen {
                let here = Settings::capture(params);
                let there = self.other.replace(here).unwrap_or_else(|| Settings::capture(params));
                self.side = side;
                if let Err(problem) = there.apply(params, hand) {
                    self.said = Some(problem);
                }
            }
        }
        let copy = ["Copy to B", "Copy to A"][self.side];
        if ui.button(copy).on_hover_text("Copies these settings to the other side").clicked() {
            self.other = Some(Settings::capture(params));
        }
        ui.add_space(4.0);
        if ui.button("Save").on_hover_text("Saves these settings as a preset of yours").clicked() {
            let (name, own) = &self.current;
            self.draft = Some(if *own { name.clone() } else { String::new() });
            self.draft_is_new = true;
        }
        let own = self.current.1;
        let delete = ui.add_enabled(own, egui::Button::new("Delete"));
        let deleted = egui::Popup::menu(&delete).show(|ui| {
            ui.label(format!("Delete “{}”?", self.current.0));
            ui.button("Delete it").clicked()
        });
        if deleted.is_some_and(|answer| answer.inner) {
            self.said = self.store.delete(&self.current.0).err();
            self.current = ("As trained".into(), false);
        }
    }
}
