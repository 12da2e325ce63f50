//! The window: a field for the model's path, what became of it, and the parameters.

use std::sync::Arc;

use egui::{Color32, RichText, TextEdit};
use nice_plug::context::gui::GuiContext;
use nice_plug::editor::dpi::LogicalSize;
use nice_plug::prelude::Param;
use nice_plug_egui::baseview::HandlerError;
use nice_plug_egui::widgets::ParamSlider;
use nice_plug_egui::{
    EguiEditor, EguiEditorState, EguiNiceSettings, Frame, NiceEguiApp, RepaintNotifier, create_egui_editor,
};

use crate::loader::{Facts, Loader, Phase};
use crate::params::RunnelParams;
use crate::telemetry::Telemetry;

const SIZE: LogicalSize<f32> = LogicalSize { width: 560.0, height: 360.0 };
/// Room for the facts and a refusal of two lines; longer ones scroll.
const STATUS_HEIGHT: f32 = 100.0;
const REFUSED: Color32 = Color32::from_rgb(0xff, 0x8a, 0x65);

/// The window's contents.
pub struct EditorApp {
    params: Arc<RunnelParams>,
    loader: Arc<Loader>,
    context: Option<GuiContext>,
    /// What stands in the field, and the generation of the path that it was taken from.
    path: (String, u64),
}

/// The plugin's window, not open yet.
pub fn editor(
    params: Arc<RunnelParams>,
    loader: Arc<Loader>,
    _telemetry: Arc<Telemetry>,
) -> Option<EguiEditor<EditorApp>> {
    let repaint = RepaintNotifier::new();
    let notifier = repaint.clone();
    loader.on_change(move || notifier.request_repaint());
    let app = EditorApp { params, loader, context: None, path: (String::new(), u64::MAX) };
    create_egui_editor(EguiEditorState::from_size(SIZE, 1.0), repaint, EguiNiceSettings::new().with_tile("Runnel"), app)
}

impl NiceEguiApp for EditorApp {
    fn build(&mut self, _: egui::Context, context: GuiContext, _: &mut Frame) -> Result<(), HandlerError> {
        self.context = Some(context);
        self.loader.start();
        Ok(())
    }

    fn ui(&mut self, ui: &mut egui::Ui, _: &mut Frame) {
        egui::Frame::central_panel(ui.style()).show(ui, |ui| {
            ui.set_min_size(ui.available_size());
            ui.heading("Runnel");
            ui.add_space(6.0);
            self.model_row(ui);
            ui.add_space(6.0);
            let area = egui::ScrollArea::vertical().max_height(STATUS_HEIGHT).auto_shrink(false);
            area.show(ui, |ui| self.status(ui));
            ui.separator();
            self.parameters(ui);
        });
    }

    fn editor_closed(&mut self) {
        self.context = None;
    }
}

impl EditorApp {
    fn model_row(&mut self, ui: &mut egui::Ui) {
        let generation = self.params.model_path.generation();
        if self.path.1 != generation {
            self.path = (self.params.model_path.text(), generation);
        }
        ui.horizontal(|ui| {
            let label = ui.label("Model");
            let field = TextEdit::singleline(&mut self.path.0)
                .hint_text("path of a .runnel file, or of a RAVE .ts, .ckpt or run folder")
                .desired_width(ui.available_width() - 70.0);
            let field = ui.add(field).labelled_by(label.id);
            let entered = field.lost_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter));
            if ui.button("Load").clicked() || entered {
                self.params.model_path.choose(self.path.0.trim().to_owned());
                self.loader.wake();
            }
        });
    }

    fn status(&self, ui: &mut egui::Ui) {
        let status = self.loader.status();
        match &status.playing {
            Some(facts) => {
                ui.label(RichText::new(&facts.name).strong());
                ui.label(&facts.description);
                ui.label(latency_line(facts));
            }
            None => {
                ui.label("No model: the input passes unchanged.");
            }
        }
        match &status.phase {
            Phase::Settled => {}
            Phase::Loading { .. } => {
                ui.horizontal(|ui| {
                    ui.spinner();
                    ui.label(status.phase.to_string());
                });
            }
            trouble => {
                ui.label(RichText::new(trouble.to_string()).color(REFUSED));
            }
        }
        if let Some(note) = &status.note {
            ui.label(note);
        }
    }

    fn parameters(&self, ui: &mut egui::Ui) {
        let Some(context) = &self.context else { return };
        let setter = context.param_setter();
        egui::Grid::new("parameters").num_columns(2).spacing([12.0, 6.0]).show(ui, |ui| {
            for param in [&self.params.mix, &self.params.input_gain, &self.params.output_gain] {
                ui.label(param.name());
                ui.add(ParamSlider::for_param(param, &setter).with_width(300.0));
                ui.end_row();
            }
            ui.label(self.params.seed.name());
            ui.add(ParamSlider::for_param(&self.params.seed, &setter).with_width(300.0));
            ui.end_row();
            for param in [&self.params.noise, &self.params.bypass] {
                let mut on = param.value();
                ui.label(param.name());
                if ui.checkbox(&mut on, "").changed() {
                    setter.begin_set_parameter(param);
                    setter.set_parameter(param, on);
                    setter.end_set_parameter(param);
                }
                ui.end_row();
            }
        });
    }
}

fn latency_line(facts: &Facts) -> String {
    let Some(format) = facts.format else { return format!("{} Hz", facts.model_rate) };
    let milliseconds = 1e3 * facts.latency_samples as f64 / f64::from(format.sampling_rate);
    let latency = format!("Latency {} samples, {milliseconds:.1} ms", facts.latency_samples);
    if facts.model_rate == format.sampling_rate {
        latency
    } else {
        format!(
            "{latency}. Resampled: the model runs at {} Hz, the host at {} Hz",
            facts.model_rate, format.sampling_rate
        )
    }
}
