//! The window's own file list: folders and models, to be clicked or walked by keys.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, TryRecvError};

use egui::{Atom, Button, Color32, Key, RichText, ScrollArea, TextEdit, Ui, vec2};

use super::theme;
use super::window::Repaint;
use crate::dialog::{self, Listing};

/// An open file list.
pub(super) struct Browser {
    listing: Listing,
    pending: Option<Receiver<Result<Listing, String>>>,
    problem: Option<String>,
    /// What stands in the field.
    typed: String,
    repaint: Repaint,
}

/// What came of a frame.
pub(super) enum Outcome {
    /// It stays open.
    Open,
    /// A model was chosen.
    Chosen(PathBuf),
    /// It was closed.
    Closed,
}

impl Browser {
    /// Opens at a model or a folder.
    pub(super) fn at(path: &Path, repaint: Repaint) -> Self {
        let mut browser =
            Self { listing: Listing::default(), pending: None, problem: None, typed: String::new(), repaint };
        browser.go(path.to_path_buf());
        browser
    }

    /// Shows the list.
    pub(super) fn show(&mut self, ui: &mut Ui) -> Outcome {
        self.receive();
        let mut outcome = Outcome::Open;
        if ui.input(|i| i.key_pressed(Key::Escape)) {
            outcome = Outcome::Closed;
        }
        self.bar(ui, &mut outcome);
        ui.add_space(4.0);
        if let Some(problem) = &self.problem {
            ui.label(RichText::new(problem).color(theme::ALARM));
        }
        let mut go = None;
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 1.0;
            for entry in &self.listing.entries {
                let (name, note) = match entry.size {
                    None => (RichText::new(format!("{} /", entry.name)).color(theme::DIM), String::new()),
                    Some(bytes) => (RichText::new(&entry.name), size(bytes)),
                };
                let note = RichText::new(note).color(theme::DIM);
                let row = Button::new((name, Atom::grow(), note)).fill(Color32::TRANSPARENT);
                if ui.add(row.min_size(vec2(ui.available_width(), 24.0))).clicked() {
                    match entry.size {
                        None => go = Some(entry.path.clone()),
                        Some(_) => outcome = Outcome::Chosen(entry.path.clone()),
                    }
                }
            }
            if self.listing.entries.is_empty() && self.pending.is_none() {
                ui.label(
                    RichText::new(
                        "No models here: .runnel, .ts, .nm, .ckpt, .pt, .safetensors, .nam and .onnx files are shown",
                    )
                    .color(theme::DIM),
                );
            }
            if self.listing.cut {
                ui.label(RichText::new("There is more than can be listed").color(theme::DIM));
            }
        });
        if let Some(folder) = go {
            self.go(folder);
        }
        outcome
    }

    fn bar(&mut self, ui: &mut Ui, outcome: &mut Outcome) {
        ui.horizontal(|ui| {
            let parent = self.listing.folder.parent().map(Path::to_path_buf);
            let up = ui.add_enabled(parent.is_some(), Button::new("Up")).on_hover_text("The folder above");
            if let (true, Some(parent)) = (up.clicked(), parent) {
                self.go(parent);
            }
            if ui.button("Home").clicked()
                && let Some(home) = std::env::home_dir()
            {
                self.go(home);
            }
            let label = ui.label(RichText::new("Folder").color(theme::DIM));
            let width = ui.available_width() - 172.0;
            let field = ui.add(TextEdit::singleline(&mut self.typed).desired_width(width)).labelled_by(label.id);
            if field.lost_focus() && ui.input(|i| i.key_pressed(Key::Enter)) {
                self.go(PathBuf::from(self.typed.trim()));
            }
            let this = ui.button("Use this folder").on_hover_text("Loads a training run's folder as a model");
            if this.clicked() {
                *outcome = Outcome::Chosen(self.listing.folder.clone());
            }
            if ui.button("Close").clicked() {
                *outcome = Outcome::Closed;
            }
            if self.pending.is_some() {
                ui.spinner();
            }
        });
    }

    fn go(&mut self, folder: PathBuf) {
        let repaint = self.repaint.clone();
        self.pending = Some(dialog::apart(move || dialog::list(&folder), move || repaint.request()));
    }

    fn receive(&mut self) {
        let Some(pending) = &self.pending else { return };
        let result = match pending.try_recv() {
            Ok(result) => result,
            Err(TryRecvError::Empty) => return,
            Err(TryRecvError::Disconnected) => Err("the folder cannot be listed now".into()),
        };
        self.pending = None;
        match result {
            Ok(listing) => {
                self.typed = listing.folder.display().to_string();
                (self.listing, self.problem) = (listing, None);
            }
            Err(problem) => self.problem = Some(problem),
        }
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        10_000..10_000_000 => format!("{} kB", bytes / 1_000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}
