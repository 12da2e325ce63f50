//! The window. This file lays it out; each part has a file of its own.

mod browser;
mod controls;
mod dial;
mod drops;
mod footer;
mod fourier;
pub mod hand;
mod latents;
mod learning;
mod meters;
mod model_bar;
mod panel;
mod preset_bar;
mod prior;
mod routing;
mod spectrogram;
mod steering;
mod theme;
mod watch;
pub mod window;

use std::sync::Arc;

use egui::{Align, Align2, FontId, Layout, Rect, RichText, Ui, UiBuilder, vec2};
use nice_plug::context::gui::GuiContext;
use nice_plug::editor::dpi::LogicalSize;
use nice_plug::prelude::ResizeHint;

use crate::loader::{Facts, Loader, Phase, Status};
use crate::params::{LATENTS, RunnelParams};
use crate::telemetry::{End, Telemetry};
use browser::{Browser, Outcome};
use drops::{Drops, Fallen};
use footer::Footer;
use hand::Hand;
use meters::Meter;
use model_bar::ModelBar;
use preset_bar::PresetBar;
use spectrogram::Spectrograms;
use watch::Watch;
use window::{Contents, Drag, PluginWindow, Repaint};

const SIZE: LogicalSize<f32> = LogicalSize { width: 940.0, height: 640.0 };
/// Hosts that are told the screen's scale only after they have asked for the size open the window at this.
const LEAST_SIZE: LogicalSize<f32> = LogicalSize { width: 900.0, height: 600.0 };
const MOST_SIZE: LogicalSize<f32> = LogicalSize { width: 2400.0, height: 1600.0 };

/// The window's contents.
pub struct EditorApp {
    params: Arc<RunnelParams>,
    loader: Arc<Loader>,
    telemetry: Arc<Telemetry>,
    repaint: Repaint,
    host: Option<GuiContext>,
    watch: Option<Watch>,
    models: ModelBar,
    drops: Drops,
    presets: PresetBar,
    parts: Parts,
}

/// What lives as long as a window is open.
#[derive(Default)]
struct Parts {
    meters: [Meter; 2],
    spectrograms: Spectrograms,
    footer: Footer,
    browser: Option<Browser>,
    shows_routing: bool,
    /// When the parts last moved, and the calls by then.
    moved: (f64, u64),
}

/// The plugin's window, not open yet.
pub fn editor(params: Arc<RunnelParams>, loader: Arc<Loader>, telemetry: Arc<Telemetry>) -> PluginWindow<EditorApp> {
    let repaint = Repaint::default();
    let changed = repaint.clone();
    loader.on_change(move || changed.request());
    let app = EditorApp::new(params, loader, telemetry, repaint.clone());
    let resize = ResizeHint::RESIZABLE.with_min_max_logical_size(Some(LEAST_SIZE), Some(MOST_SIZE));
    PluginWindow::new("Runnel", SIZE, resize, app, repaint)
}

impl Contents for EditorApp {
    fn opened(&mut self, context: &egui::Context, host: GuiContext) {
        // What another window left behind belongs to it.
        self.closed();
        theme::dress(context);
        self.host = Some(host);
        self.watch = Some(Watch::start(self.telemetry.clone(), self.repaint.clone()));
        self.loader.start();
    }

    fn show(&mut self, ui: &mut Ui, drag: &Drag) {
        let host = self.host.clone();
        let hand = host.as_ref().map_or_else(Hand::idle, |host| Hand::new(host.param_setter()));
        self.lay_out(ui, &hand, drag);
    }

    fn closed(&mut self) {
        (self.host, self.watch, self.parts) = (None, None, Parts::default());
        self.drops = Drops::new(self.repaint.clone());
    }
}

impl EditorApp {
    fn new(params: Arc<RunnelParams>, loader: Arc<Loader>, telemetry: Arc<Telemetry>, repaint: Repaint) -> Self {
        Self {
            models: ModelBar::new(params.clone(), loader.clone(), repaint.clone()),
            drops: Drops::new(repaint.clone()),
            params,
            loader,
            telemetry,
            repaint,
            host: None,
            watch: None,
            presets: PresetBar::default(),
            parts: Parts::default(),
        }
    }

    fn lay_out(&mut self, ui: &mut Ui, hand: &Hand, drag: &Drag) {
        self.take_in(drag);
        let status = self.loader.status();
        let rate = status.playing.as_ref().and_then(|facts| facts.format).map_or(48_000.0, |f| f.sampling_rate as f32);
        self.parts.advance(ui, &self.telemetry, rate);
        let window = ui.max_rect();
        ui.painter().rect_filled(window, 0.0, theme::BACKGROUND);
        let said = self.models.said().or(self.presets.said()).is_some();
        let told = said || status.phase != Phase::Settled || status.note.is_some();
        let notice = if told { 24.0 } else { -theme::GAP };
        let (dial, learning) = (dial::height(&status), learning::height(&self.params));
        let [header, notice, dial, learning, middle, panel, footer] =
            theme::rows(window.shrink(theme::GAP), [76.0, notice, dial, learning, 0.0, panel::HEIGHT, 20.0]);
        self.header(ui, header, &status, hand);
        self.notice(ui, notice, &status);
        dial::show(ui, dial, &status, &self.params, &self.loader);
        learning::show(ui, learning, &self.params, hand);
        self.middle(ui, middle, &status, hand, rate);
        panel::show(ui, panel, &self.params, hand);
        within(ui, footer.shrink2(vec2(4.0, 0.0)), |ui| self.parts.footer.show(ui, &status));
        self.drops.show(ui, window);
    }

    /// Loads what was dropped on the window.
    fn take_in(&mut self, drag: &Drag) {
        match self.drops.follow(drag) {
            Some(Fallen::Model(path)) => {
                self.parts.browser = None;
                self.models.choose(path.to_string_lossy().into_owned());
            }
            Some(Fallen::Refused(said)) => self.models.say(said),
            None => {}
        }
    }

    fn header(&mut self, ui: &mut Ui, rect: Rect, status: &Status, hand: &Hand) {
        let [mark, model, presets] =
            theme::columns(rect, [104.0, rect.width() - 104.0 - 296.0 - 2.0 * theme::GAP, 0.0]);
        theme::card(ui, mark, "", |ui, inner| {
            let at = inner.left_top() + vec2(1.0, 0.0);
            ui.painter().text(at, Align2::LEFT_TOP, "runnel", FontId::proportional(24.0), theme::ACCENT);
            ui.add_space(33.0);
            controls::switch(
                ui,
                hand,
                &self.params.bypass,
                "Bypass",
                "The input, late by the latency and otherwise untouched",
            );
        });
        theme::card(ui, model, "", |ui, _| self.models.show(ui, status, &mut self.parts.browser));
        theme::card(ui, presets, "", |ui, _| {
            let model = status.playing.as_ref().map(|facts| facts.name.as_str());
            if let Some(path) = self.presets.show(ui, &self.params, hand, model) {
                self.models.choose(path);
            }
        });
    }

    fn notice(&self, ui: &mut Ui, rect: Rect, status: &Status) {
        if rect.height() <= 0.0 {
            return;
        }
        ui.painter().rect_filled(rect, 4.0, theme::CARD);
        let line = |ui: &mut Ui, said: &str, colour| {
            ui.add(egui::Label::new(RichText::new(said).color(colour)).truncate()).on_hover_text(said);
        };
        within(ui, rect.shrink2(vec2(10.0, 0.0)), |ui| match (self.models.said(), self.presets.said()) {
            (Some(said), _) => line(ui, said, theme::ALARM),
            (None, Some(said)) if status.phase == Phase::Settled => line(ui, said, theme::HAND),
            _ => model_bar::notice(ui, status),
        });
    }

    fn middle(&mut self, ui: &mut Ui, rect: Rect, status: &Status, hand: &Hand, rate: f32) {
        const METER: f32 = 58.0;
        let centre_width = rect.width() - 2.0 * (METER + theme::GAP);
        let [input, centre, output] = theme::columns(rect, [METER, centre_width, 0.0]);
        let [meter, _] = &self.parts.meters;
        theme::card(ui, input, "", |ui, inner| meter.show(ui, inner, "In"));
        if let Some(browser) = &mut self.parts.browser {
            match theme::card(ui, centre, "Models", |ui, _| browser.show(ui)) {
                Outcome::Open => {}
                Outcome::Closed => self.parts.browser = None,
                Outcome::Chosen(path) => {
                    self.parts.browser = None;
                    self.models.choose(path.to_string_lossy().into_owned());
                }
            }
        } else {
            self.views(ui, centre, status, hand, rate);
        }
        let [_, meter] = &self.parts.meters;
        theme::card(ui, output, "", |ui, inner| meter.show(ui, inner, "Out"));
    }

    fn views(&mut self, ui: &mut Ui, rect: Rect, status: &Status, hand: &Hand, rate: f32) {
        let steered = status.playing.as_ref().map_or(&[][..], |facts| &facts.steered);
        let row = if steered.is_empty() { -theme::GAP } else { steering::HEIGHT };
        let [upper, middle, lower] = theme::rows(rect, [((rect.height() - row - theme::GAP) * 0.58).round(), row, 0.0]);
        if !steered.is_empty() {
            steering::show(ui, middle, &self.params, hand, steered);
        }
        let names = status.playing.as_ref().map(latent_names).unwrap_or_default();
        theme::card(ui, upper, "Latents", |ui, inner| {
            let corner =
                Rect::from_min_max(upper.right_top() + vec2(-260.0, 5.0), upper.right_top() + vec2(-10.0, 27.0));
            within(ui, corner, |ui| {
                let help = "Whether the input drives the decoder, or parameters, notes and controllers alone";
                controls::choice(ui, hand, &self.params.mode, 250.0, ["", help]);
            });
            let beside = corner.translate(vec2(-190.0, 0.0)).with_max_x(corner.left() - 8.0);
            let has_prior = status.playing.as_ref().is_some_and(|facts| facts.has_prior);
            within(ui, beside, |ui| prior::show(ui, &self.params, hand, has_prior));
            let area = Rect::from_min_max(inner.min + vec2(0.0, 2.0), inner.max);
            latents::show(ui, area, &self.params, hand, &self.telemetry, &names);
        });
        theme::card(ui, lower, "", |ui, inner| {
            let [tabs, area] = theme::rows(inner, [18.0, 0.0]);
            within(ui, tabs, |ui| {
                for (routing, name) in [(false, "Spectrogram"), (true, "Notes and controllers")] {
                    let shown = self.parts.shows_routing == routing;
                    if ui.selectable_label(shown, RichText::new(name).size(11.0)).clicked() {
                        self.parts.shows_routing = routing;
                    }
                }
            });
            if self.parts.shows_routing {
                ui.scope_builder(UiBuilder::new().max_rect(area), |ui| routing::show(ui, &self.params, hand));
            } else {
                self.parts.spectrograms.show(ui, area, rate);
            }
        });
    }
}

impl Parts {
    /// Takes in what the audio thread told since the last picture, and asks for another one while anything falls.
    fn advance(&mut self, ui: &Ui, telemetry: &Telemetry, rate: f32) {
        let now = ui.input(|i| i.time);
        let seconds = (now - self.moved.0).clamp(0.0, 1.0) as f32;
        for (meter, end) in self.meters.iter_mut().zip([End::Input, End::Output]) {
            meter.update(telemetry, end, seconds);
        }
        self.footer.update(telemetry, seconds);
        self.spectrograms.update(ui.ctx(), telemetry, rate);
        let calls = telemetry.calls();
        let falls = self.meters.iter().any(Meter::moves) || self.footer.moves();
        if falls || calls != self.moved.1 {
            ui.ctx().request_repaint_after(watch::FRAME);
        }
        self.moved = (now, calls);
    }
}

/// What the model calls its latents, as many as it has.
fn latent_names(facts: &Facts) -> Vec<String> {
    let trained = facts.latent_names.iter().enumerate().take(LATENTS);
    // A name that says no more than the number is as good as none.
    let plain = |number: usize, name: &str| name == format!("latent {number}");
    let name = |(i, name): (usize, &String)| if plain(i + 1, name) { (i + 1).to_string() } else { name.clone() };
    trained.map(name).collect()
}

/// A line of widgets in `rect`.
fn within(ui: &mut Ui, rect: Rect, contents: impl FnOnce(&mut Ui)) {
    let layout = Layout::left_to_right(Align::Center);
    let builder = UiBuilder::new().id_salt((rect.min.x as i32, rect.min.y as i32)).max_rect(rect).layout(layout);
    ui.scope_builder(builder, contents);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use egui::accesskit::{Action, Role};

    use super::*;
    use crate::calibration::Sounds;
    use crate::dial::Dial;
    use crate::folders::{Folders, TestFolder};
    use crate::loader::Refit;
    use crate::model_file::ModelReference;
    use crate::test_models::lookahead_stream;

    /// A window without a host: pictures are laid out, nobody sees them.
    struct Rig {
        app: EditorApp,
        context: egui::Context,
        time: f64,
    }

    impl Rig {
        fn new() -> Self {
            let params = Arc::new(RunnelParams::default());
            let (loader, _) = Loader::new(params.clone());
            let app = EditorApp::new(params, loader, Arc::default(), Repaint::default());
            let context = egui::Context::default();
            theme::dress(&context);
            context.enable_accesskit();
            Self { app, context, time: 0.0 }
        }

        fn in_folders(folders: Folders) -> Self {
            let rig = Self::new();
            let params = rig.app.params.clone();
            let (loader, _) = Loader::with_folders(params.clone(), folders);
            let app = EditorApp::new(params, loader, Arc::default(), Repaint::default());
            Self { app, ..rig }
        }

        /// Clicks on what has this name.
        fn press(&mut self, name: &str) {
            let update = self.picture().platform_output.accesskit_update.unwrap();
            let named = update.nodes.iter().find(|(_, node)| node.label() == Some(name)).unwrap();
            let bounds = named.1.bounds().unwrap();
            let at = egui::pos2(((bounds.x0 + bounds.x1) / 2.0) as f32, ((bounds.y0 + bounds.y1) / 2.0) as f32);
            for events in click(at) {
                self.picture_of(&Drag::Absent, events);
            }
        }

        fn picture(&mut self) -> egui::FullOutput {
            self.picture_with(&Drag::Absent)
        }

        fn picture_with(&mut self, drag: &Drag) -> egui::FullOutput {
            self.picture_of(drag, vec![])
        }

        fn picture_of(&mut self, drag: &Drag, events: Vec<egui::Event>) -> egui::FullOutput {
            self.time += 0.033;
            let size = vec2(SIZE.width, SIZE.height);
            let input = egui::RawInput {
                screen_rect: Some(Rect::from_min_size(egui::Pos2::ZERO, size)),
                time: Some(self.time),
                events,
                ..Default::default()
            };
            let mut output = self.context.clone().run_ui(input, |ui| self.app.show(ui, drag));
            output.textures_delta.clear();
            output
        }

        /// Lays out pictures until one tells `words`, as to someone who cannot see it.
        fn tells(&mut self, drag: &Drag, words: &str) -> bool {
            (0..2_000).any(|_| {
                std::thread::sleep(Duration::from_millis(1));
                let update = self.picture_with(drag).platform_output.accesskit_update.unwrap();
                let told = |text: Option<&str>| text.is_some_and(|text| text.contains(words));
                update.nodes.iter().any(|(_, node)| told(node.label()) || told(node.value()))
            })
        }

        /// How long the window sleeps after a picture.
        fn sleep(&mut self) -> Duration {
            self.picture().viewport_output[&egui::ViewportId::ROOT].repaint_delay
        }
    }

    /// What a click at `at` consists of, picture by picture.
    fn click(at: egui::Pos2) -> [Vec<egui::Event>; 3] {
        let button = |pressed| egui::Event::PointerButton {
            pos: at,
            button: egui::PointerButton::Primary,
            pressed,
            modifiers: egui::Modifiers::NONE,
        };
        [vec![egui::Event::PointerMoved(at)], vec![button(true)], vec![button(false)]]
    }

    #[test]
    fn nothing_is_painted_while_nothing_moves() {
        let mut rig = Rig::new();
        let mut rest = || (0..300).any(|_| rig.sleep() == Duration::MAX);
        assert!(rest(), "a silent window rests");
        let telemetry = rig.app.telemetry.clone();
        telemetry.level(End::Input, 0, &[0.9]);
        telemetry.call(10, 100);
        assert!(rig.sleep() <= watch::FRAME);
        assert!(rig.sleep() <= watch::FRAME, "the meter falls");
        let mut rest = || (0..300).any(|_| rig.sleep() == Duration::MAX);
        assert!(rest(), "the meter has fallen");
    }

    #[test]
    fn a_model_dropped_on_the_window_is_chosen_and_anything_else_is_explained() {
        let folder = TestFolder::new("editor-drop");
        let [model, text] = ["a ä.runnel", "notes.txt"].map(|name| folder.0.join(name));
        for file in [&model, &text] {
            std::fs::write(file, "").unwrap();
        }
        let mut rig = Rig::new();
        let path = rig.app.params.model_path.clone();
        assert!(rig.tells(&Drag::Over(vec![text.clone()]), "Not a model: notes.txt"));
        rig.picture_with(&Drag::Dropped(vec![text]));
        assert!(rig.tells(&Drag::Absent, "notes.txt is not a model"));
        assert_eq!(path.text(), "");
        assert!(rig.tells(&Drag::Over(vec![model.clone()]), "Drop to load: a ä.runnel"));
        rig.picture_with(&Drag::Dropped(vec![model.clone()]));
        assert!(rig.tells(&Drag::Absent, model.to_str().unwrap()), "the field for the path shows it");
        assert_eq!(path.text(), model.to_str().unwrap());
        rig.picture();
        assert_eq!(rig.app.models.said(), None, "what was said of another file is over");
        let mut rest = || (0..300).any(|_| rig.sleep() == Duration::MAX);
        assert!(rest());
    }

    #[test]
    fn a_latency_is_chosen_and_what_becomes_of_it_is_told() {
        let folder = TestFolder::new("editor-dial");
        let (model, sound) = (folder.0.join("m.runnel"), folder.0.join("m calibration/noise.wav"));
        runnel::format::save(&lookahead_stream(14_400, 1, 48_000), &model).unwrap();
        std::fs::create_dir_all(sound.parent().unwrap()).unwrap();
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 48_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(&sound, spec).unwrap();
        (0..480_000_i64).for_each(|n| writer.write_sample((n * n % 20_011 - 10_000) as i16).unwrap());
        writer.finalize().unwrap();

        let mut rig = Rig::in_folders(Folders::below(folder.0.join("home")));
        rig.app.loader.start();
        rig.app.models.choose(model.to_str().unwrap().to_owned());
        assert!(rig.tells(&Drag::Absent, "300 ms as trained. A shorter latency is calibrated on 1 file of "));
        for name in ["Exact", "250 ms", "170 ms", "100 ms", "60 ms"] {
            assert!(rig.tells(&Drag::Absent, &format!("Model latency: {name}")), "{name}");
        }
        rig.press("Model latency: 100 ms");
        assert_eq!(rig.app.params.model_path.dial(), Dial::Ms100);
        assert!(rig.tells(&Drag::Absent, "refitted from 300 ms. On sounds that were held out it is "));
        rig.press("Model latency: Exact");
        assert!(rig.tells(&Drag::Absent, "300 ms as trained"));
        // Too short to be refitted on.
        std::fs::write(&sound, &std::fs::read(&sound).unwrap()[..44]).unwrap();
        rig.press("Model latency: 60 ms");
        assert!(rig.tells(&Drag::Absent, "Not refitted to 60 ms: "));
        assert_eq!(rig.app.params.model_path.dial(), Dial::Exact);
        rig.app.loader.stop();
    }

    #[test]
    fn a_refit_is_watched_and_cancelled() {
        let rig = Rig::new();
        let sounds = Sounds::Synthesized { empty: None };
        let facts = Facts {
            name: "m".into(),
            description: String::new(),
            path: "m.runnel".into(),
            model_rate: 44_100,
            latent_names: vec![],
            has_prior: false,
            steered: vec![],
            receptive_field: (None, 26_568),
            format: None,
            latency_samples: 26_568,
            exact_samples: 26_568,
            refit: None,
            dials: Dial::ALL.to_vec(),
            sounds: sounds.clone(),
            runs_at_multiples: false,
        };
        let (stage, on, most_bytes) = ("Trying cuts", sounds.to_string(), Some(2_900_000_000));
        let refit = Refit::Working { dial: Dial::Ms60, stage, done: 43, total: 100, on, most_bytes };
        let status = Status { playing: Some(facts), refit, ..Status::default() };
        assert_eq!(dial::height(&status), 30.0);
        let contents = crate::model_file::Contents { size: 0, hash: String::new() };
        let known = ModelReference::known("m.runnel".as_ref(), contents, Dial::Ms60, &Folders::of_user());
        rig.app.params.model_path.choose("m.runnel".into());
        rig.app.params.model_path.settle(rig.app.params.model_path.generation(), known);
        let mut told = vec![];
        let mut show = |events: Vec<egui::Event>| {
            let size = vec2(SIZE.width, 40.0);
            let screen_rect = Some(Rect::from_min_size(egui::Pos2::ZERO, size));
            let input = egui::RawInput { screen_rect, events, ..Default::default() };
            let mut output = rig.context.clone().run_ui(input, |ui| {
                let rect = ui.max_rect();
                dial::show(ui, rect, &status, &rig.app.params, &rig.app.loader);
            });
            output.textures_delta.clear();
            told = output.platform_output.accesskit_update.unwrap().nodes;
            let cancel = told.iter().find(|(_, node)| node.label() == Some("Cancel")).unwrap().1.bounds().unwrap();
            egui::pos2(((cancel.x0 + cancel.x1) / 2.0) as f32, ((cancel.y0 + cancel.y1) / 2.0) as f32)
        };
        let at = show(vec![]);
        for events in click(at) {
            show(events);
        }
        let whole = "Refitting to 60 ms: trying cuts 43 %, on synthesized sounds, in at most 2.9 GB of memory";
        assert!(told.iter().any(|(_, node)| node.value() == Some(whole) || node.label() == Some(whole)), "{told:?}");
        assert_eq!(rig.app.params.model_path.dial(), Dial::Exact, "what plays stays");
    }

    #[test]
    fn whatever_takes_the_focus_has_a_name_and_a_role() {
        for routing in [false, true] {
            let mut rig = Rig::new();
            rig.app.parts.shows_routing = routing;
            rig.picture();
            let update = rig.picture().platform_output.accesskit_update.unwrap();
            let mut named = 0;
            for (_, node) in &update.nodes {
                if node.supports_action(Action::Focus) && !matches!(node.role(), Role::Window | Role::ScrollView) {
                    let by_others = !node.labelled_by().is_empty();
                    let name = node.label().unwrap_or_default();
                    assert!(name.len() > 2 || by_others || node.value().is_some(), "{node:?}");
                    assert_eq!(name, name.trim(), "{node:?}");
                    assert!(!matches!(node.role(), Role::Unknown | Role::GenericContainer), "{node:?}");
                    named += 1;
                }
            }
            assert!(named > 25, "{named} controls");
        }
    }
}
