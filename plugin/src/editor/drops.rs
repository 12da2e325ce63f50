//! Files held over the window and dropped on it: what they would load is said over everything, and loaded when they fall.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, TryRecvError};

use egui::text::LayoutJob;
use egui::{
    Color32, CornerRadius, FontId, LayerId, Order, Rect, Role, Sense, Stroke, StrokeKind, TextFormat, Ui, WidgetInfo,
    vec2,
};

use super::theme;
use super::window::{Drag, Repaint};
use crate::dialog;
use crate::library;

/// What is over the window.
pub(super) struct Drops {
    held: Option<Held>,
    repaint: Repaint,
}

/// What came of files that fell.
#[derive(Debug, PartialEq)]
pub(super) enum Fallen {
    /// This model is to be loaded.
    Model(PathBuf),
    /// There is none in them, in a sentence.
    Refused(String),
}

struct Held {
    files: Vec<PathBuf>,
    found: Found,
    fallen: bool,
}

enum Found {
    /// Folders are looked into away from the window's thread.
    Looking(Receiver<Option<PathBuf>>),
    Model(PathBuf),
    Nothing,
}

impl Drops {
    /// Nothing yet; `repaint` is asked when it is known what files stand for.
    pub(super) fn new(repaint: Repaint) -> Self {
        Self { held: None, repaint }
    }

    /// Takes in what is dragged now; what came of files that fell, once.
    pub(super) fn follow(&mut self, drag: &Drag) -> Option<Fallen> {
        match drag {
            Drag::Over(files) => self.hold(files, false),
            Drag::Dropped(files) => self.hold(files, true),
            // What fell is kept until it is known.
            Drag::Absent => self.held = self.held.take().filter(|held| held.fallen),
        }
        let held = self.held.as_mut()?;
        held.found.receive();
        let fallen = match &held.found {
            _ if !held.fallen => return None,
            Found::Looking(_) => return None,
            Found::Model(path) => Fallen::Model(path.clone()),
            Found::Nothing => Fallen::Refused(refusal(&held.files)),
        };
        self.held = None;
        Some(fallen)
    }

    /// Says over the whole window what the files there would do.
    pub(super) fn show(&self, ui: &Ui, window: Rect) {
        let Some(held) = &self.held else { return };
        let [title, detail] = held.said();
        let response = ui.interact(window, ui.scope_id().with("drop"), Sense::empty());
        response.widget_info(|| WidgetInfo::labeled(Role::Label, true, format!("{title}: {detail}")));
        let painter = ui.ctx().layer_painter(LayerId::new(Order::Tooltip, response.id));
        painter.rect_filled(window, CornerRadius::ZERO, theme::BACKGROUND.gamma_multiply(0.86));
        let colour = if matches!(held.found, Found::Nothing) { theme::ALARM } else { theme::ACCENT };
        let corner = CornerRadius::same(8);
        painter.rect_stroke(window.shrink(14.0), corner, Stroke::new(2.0, colour), StrokeKind::Inside);
        for (text, size, colour, below) in [(title, 30.0, colour, -42.0), (detail, 15.0, theme::TEXT, 8.0)] {
            let galley = painter.layout_job(line(&text, size, colour, window.width() - 80.0));
            let at = window.center() + vec2(-galley.size().x / 2.0, below);
            painter.galley(at, galley, colour);
        }
    }

    fn hold(&mut self, files: &[PathBuf], fallen: bool) {
        match &mut self.held {
            Some(held) if held.files == files => held.fallen |= fallen,
            held => *held = Some(Held { files: files.to_vec(), found: look(files, &self.repaint), fallen }),
        }
    }
}

impl Held {
    /// What is said of the files, large and small.
    fn said(&self) -> [String; 2] {
        let these = these(&self.files);
        match &self.found {
            Found::Looking(_) => ["Looking …".into(), these],
            Found::Nothing => ["Not a model".into(), these],
            Found::Model(path) => {
                let name = name(path);
                let detail = match &self.files[..] {
                    [only] if only == path => name,
                    [folder] => format!("{name}, the first model in {}", self::name(folder)),
                    _ => format!("{name}, the first model among {these}"),
                };
                ["Drop to load".into(), detail]
            }
        }
    }
}

impl Found {
    fn receive(&mut self) {
        let Self::Looking(pending) = self else { return };
        match pending.try_recv() {
            Ok(Some(path)) => *self = Self::Model(path),
            Ok(None) | Err(TryRecvError::Disconnected) => *self = Self::Nothing,
            Err(TryRecvError::Empty) => {}
        }
    }
}

fn look(files: &[PathBuf], repaint: &Repaint) -> Found {
    let (files, repaint) = (files.to_vec(), repaint.clone());
    Found::Looking(dialog::apart(move || library::first_model(&files), move || repaint.request()))
}

fn refusal(files: &[PathBuf]) -> String {
    let these = these(files);
    let models = ".runnel, .ts, .nm, .ckpt, .pt, .safetensors, .nam and .onnx files are, and folders that have one";
    match files {
        [_] => format!("{these} is not a model: {models}"),
        _ => format!("None of {these} is a model: {models}"),
    }
}

/// The files, as one would speak of them.
fn these(files: &[PathBuf]) -> String {
    match files {
        [only] => name(only),
        _ => format!("{} files", files.len()),
    }
}

fn name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.to_string_lossy().into_owned(), |name| name.to_string_lossy().into_owned())
}

/// One line of text, cut where there is no room for more: a file may have any name.
fn line(text: &str, size: f32, colour: Color32, width: f32) -> LayoutJob {
    let mut job = LayoutJob::single_section(text.to_owned(), TextFormat::simple(FontId::proportional(size), colour));
    (job.wrap.max_width, job.wrap.max_rows, job.wrap.break_anywhere) = (width, 1, true);
    job.break_on_newline = false;
    job
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::folders::TestFolder;

    /// Follows a drag until it is known what its files stand for; what came of them then.
    fn settled(drops: &mut Drops, drag: Drag) -> Option<Fallen> {
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut fallen = drops.follow(&drag);
        let next = if matches!(drag, Drag::Over(_)) { drag } else { Drag::Absent };
        while drops.held.as_ref().is_some_and(|held| matches!(held.found, Found::Looking(_))) {
            assert!(Instant::now() < deadline, "nobody looks");
            std::thread::sleep(Duration::from_millis(1));
            fallen = drops.follow(&next);
        }
        fallen
    }

    /// A folder with a text, models, an empty folder, one of models and a training run.
    fn folder(name: &str) -> (TestFolder, impl Fn(&str) -> PathBuf) {
        let folder = TestFolder::new(name);
        let root = folder.0.clone();
        for below in ["empty", "kits", "run"] {
            fs::create_dir_all(root.join(below)).unwrap();
        }
        for file in
            ["ä.txt", "a 1.TS", "b.runnel", "kits/read me.md", "kits/kit 10.ts", "kits/kit 2.ckpt", "run/config.gin"]
        {
            fs::write(root.join(file), "").unwrap();
        }
        (folder, move |file: &str| root.join(file))
    }

    #[test]
    fn what_is_held_is_told_and_forgotten_when_it_leaves() {
        let (_folder, at) = folder("drops-held");
        let mut drops = Drops::new(Repaint::default());
        let mut told = |files: &[&str]| {
            let files = files.iter().map(|file| at(file)).collect();
            assert_eq!(settled(&mut drops, Drag::Over(files)), None, "nothing fell yet");
            drops.held.as_ref().unwrap().said()
        };
        assert_eq!(told(&["a 1.TS"]), ["Drop to load", "a 1.TS"]);
        assert_eq!(told(&["run"]), ["Drop to load", "run"]);
        assert_eq!(told(&["kits"]), ["Drop to load", "kit 2.ckpt, the first model in kits"]);
        assert_eq!(told(&["ä.txt", "empty", "b.runnel"]), ["Drop to load", "b.runnel, the first model among 3 files"]);
        assert_eq!(told(&["ä.txt"]), ["Not a model", "ä.txt"]);
        assert_eq!(told(&["empty", "ä.txt"]), ["Not a model", "2 files"]);
        assert_eq!(drops.follow(&Drag::Absent), None);
        assert!(drops.held.is_none());
    }

    #[test]
    fn the_first_model_that_falls_is_loaded() {
        let (_folder, at) = folder("drops-fallen");
        let mut drops = Drops::new(Repaint::default());
        for (files, model) in [
            (&["a 1.TS"][..], "a 1.TS"),
            (&["ä.txt", "b.runnel", "a 1.TS"], "b.runnel"),
            (&["kits"], "kits/kit 2.ckpt"),
            (&["empty", "kits", "b.runnel"], "kits/kit 2.ckpt"),
            (&["run"], "run"),
            (&["gone.ts"], "gone.ts"), // the loader knows what is wrong with it
        ] {
            let files: Vec<_> = files.iter().map(|file| at(file)).collect();
            settled(&mut drops, Drag::Over(files.clone()));
            assert_eq!(settled(&mut drops, Drag::Dropped(files.clone())), Some(Fallen::Model(at(model))), "{files:?}");
            assert_eq!(drops.follow(&Drag::Absent), None, "once");
            assert_eq!(settled(&mut drops, Drag::Dropped(files)), Some(Fallen::Model(at(model))), "never held before");
        }
    }

    #[test]
    fn what_is_no_model_is_refused_in_words() {
        let (_folder, at) = folder("drops-refused");
        let mut drops = Drops::new(Repaint::default());
        for (files, words) in [
            (&["ä.txt"][..], "ä.txt is not a model: "),
            (&["empty"], "empty is not a model: "),
            (&["ä.txt", "empty"], "None of 2 files is a model"),
            (&["gone"], "gone is not a model"),
        ] {
            let fallen = settled(&mut drops, Drag::Dropped(files.iter().map(|file| at(file)).collect()));
            let Some(Fallen::Refused(said)) = fallen else { panic!("{fallen:?}") };
            assert!(said.contains(words) && said.contains(".nam and .onnx files"), "{said}");
        }
    }

    #[test]
    fn a_name_of_any_kind_is_one_line() {
        let context = egui::Context::default();
        let name = format!("a\nb\u{202e}{}", "very long ".repeat(2_000));
        let mut rows = 0;
        let mut output = context.run_ui(Default::default(), |ui| {
            let galley = ui.painter().layout_job(line(&name, 15.0, theme::TEXT, 800.0));
            assert!(galley.size().x <= 801.0, "{}", galley.size().x);
            rows = galley.rows.len();
        });
        output.textures_delta.clear();
        assert_eq!(rows, 1);
    }
}
