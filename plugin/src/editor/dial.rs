//! The row of a model whose latency can be cut, or was: the choice, how far a refit has come, and what it cost.

use egui::{Button, Label, Rect, RichText, Role, Sense, Ui, WidgetInfo, vec2};
use runnel::refit::Distance;

use super::controls::{Cell, one_of};
use super::{theme, within};
use crate::dial::Dial;
use crate::loader::{Facts, Loader, Phase, Refit, Status};
use crate::params::RunnelParams;

/// Width of one choice, and of the bar that shows how far a refit has come.
const CELL: f32 = 58.0;
const BAR: f32 = 90.0;

/// Height of the row; as good as none for a model whose latency stays as it is.
pub(super) fn height(status: &Status) -> f32 {
    if status.playing.as_ref().is_some_and(has_row) { 30.0 } else { -theme::GAP }
}

/// Shows the row, where there is one.
pub(super) fn show(ui: &mut Ui, rect: Rect, status: &Status, params: &RunnelParams, loader: &Loader) {
    let Some(facts) = status.playing.as_ref().filter(|facts| has_row(facts)) else { return };
    ui.painter().rect_filled(rect, 4.0, theme::CARD);
    within(ui, rect.shrink2(vec2(10.0, 0.0)), |ui| {
        ui.label(RichText::new("Latency").color(theme::DIM));
        let turn = |dial: Dial| {
            params.model_path.turn(dial);
            loader.wake();
        };
        if facts.dials.len() > 1 {
            // While another model is looked for, the choice is not of this one.
            let enabled = matches!(status.phase, Phase::Settled | Phase::Refused(_));
            let cells: Vec<Cell> = facts.dials.iter().map(|&dial| cell(dial, facts)).collect();
            let chosen = facts.dials.iter().position(|&dial| dial == params.model_path.dial());
            let width = CELL * cells.len() as f32;
            if let Some(index) = one_of(ui, "Model latency", &cells, chosen, width, enabled) {
                turn(facts.dials[index]);
            }
        }
        match &status.refit {
            Refit::Idle => {
                let (short, whole) = idle(facts);
                told(ui, &short, &whole, theme::DIM);
            }
            refit @ Refit::Working { stage, done, total, most_bytes, .. } => {
                let whole = refit.to_string();
                bar(ui, *done as f32 / (*total).max(1) as f32, &whole);
                let help = "The refit ends, and what plays now stays";
                if ui.add(Button::new("Cancel")).on_hover_text(help).clicked() {
                    turn(played(facts));
                }
                let share = if *total > 0 { format!(" {} %", 100 * done / total) } else { " …".into() };
                let memory = most_bytes.map(|bytes| format!(" · at most {:.1} GB of memory", bytes as f64 / 1e9));
                told(ui, &format!("{stage}{share}{}", memory.unwrap_or_default()), &whole, theme::TEXT);
            }
            refit @ Refit::Refused { reason, .. } => told(ui, reason, &refit.to_string(), theme::ALARM),
        }
    });
}

fn has_row(facts: &Facts) -> bool {
    facts.dials.len() > 1 || facts.refit.is_some()
}

/// The choice that plays.
fn played(facts: &Facts) -> Dial {
    let rate = facts.model_rate;
    let asked = facts.refit.as_ref().map(|record| Some(record.asked_samples));
    let is_asked = |dial: &&Dial| asked.is_some_and(|asked| dial.samples(rate) == asked);
    facts.dials.iter().find(is_asked).copied().unwrap_or_default()
}

/// What choosing this latency does.
fn cell(dial: Dial, facts: &Facts) -> Cell {
    match dial.milliseconds() {
        None => {
            Cell { name: "Exact".into(), help: format!("The trained model itself: {}", ms(facts.exact_samples, facts)) }
        }
        Some(ms) => Cell {
            name: format!("{ms} ms"),
            help: format!(
                "Makes another model in the background, which reads less far ahead and gives nearly the same on {}",
                facts.sounds
            ),
        },
    }
}

/// How far a refit has come.
fn bar(ui: &mut Ui, share: f32, text: &str) {
    let (rect, response) = ui.allocate_exact_size(vec2(BAR, 8.0), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::ProgressIndicator, true, text));
    ui.painter().rect_filled(rect, 4.0, theme::RAISED);
    let filled = Rect::from_min_size(rect.min, vec2(BAR * share.clamp(0.0, 1.0), rect.height()));
    ui.painter().rect_filled(filled, 4.0, theme::ACCENT);
}

/// A line that fits, and what it stands for.
fn told(ui: &mut Ui, short: &str, whole: &str, colour: egui::Color32) {
    let response = ui.add(Label::new(RichText::new(short).color(colour)).truncate());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, whole));
    response.on_hover_text(whole);
}

/// What plays, or what a choice would do.
fn idle(facts: &Facts) -> (String, String) {
    let Some(record) = &facts.refit else {
        let exact = ms(facts.exact_samples, facts);
        let short = format!("{exact} as trained · less is calibrated on {}", facts.sounds.in_short());
        return (short, format!("{exact} as trained. A shorter latency is calibrated on {}", facts.sounds));
    };
    let times = |refitted: Distance, exact: Distance| refitted.log_spectral / exact.log_spectral.max(1e-9);
    let rebuilt = record.to_input.zip(record.exact_to_input).map(|(refitted, exact)| times(refitted, exact));
    let (now, exact) = (ms(record.reached_samples, facts), ms(record.exact_samples, facts));
    let away = format!("{:.3}", record.to_original.log_spectral);
    let short = rebuilt.map(|times| format!(", {times:.3} × as far from the input")).unwrap_or_default();
    let whole = rebuilt.map(|times| format!(", and {times:.3} times as far from its input as that one"));
    (
        format!("{now}, refitted from {exact} · {away} from the trained model{short}"),
        format!(
            "{now}, refitted from {exact}. On sounds that were held out it is {away} (log-spectral) from the trained \
             model{}. Calibrated on {}",
            whole.unwrap_or_default(),
            record.calibrated_on
        ),
    )
}

fn ms(samples: u64, facts: &Facts) -> String {
    format!("{:.0} ms", samples as f64 * 1e3 / f64::from(facts.model_rate))
}
