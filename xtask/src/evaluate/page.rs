//! The page that a visitor reads, and the tables on the terminal.

mod prose;

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};

use super::results::{Evaluation, ModelResult, WayResult};
use super::ways::Way;
use crate::output::{self, Output};
use crate::report::{self, Align, grouped};

/// The page, and the results for programs, in the folder of the output.
pub(super) const FILE: &str = "README.md";
const RESULTS: &str = "evaluation.json";

const HEADS: [(&str, Align); 8] = [
    ("way", Align::Left),
    ("distance", Align::Right),
    ("worst", Align::Right),
    ("largest", Align::Right),
    ("error", Align::Right),
    ("clicks", Align::Right),
    ("latency", Align::Right),
    ("CPU", Align::Right),
];

/// Writes page and results into `folder`.
///
/// # Errors
/// When the system refuses.
pub(super) fn write(evaluation: &Evaluation, folder: &Path) -> Result<()> {
    let results = serde_json::to_string_pretty(evaluation).context("cannot write the results as JSON")?;
    for (name, text) in [(FILE, markdown(evaluation)), (RESULTS, results + "\n")] {
        let mut output = Output::create(&folder.join(name), &[])?;
        let path = output.path().to_owned();
        output.file().write_all(text.as_bytes()).map_err(|e| output::explain(e.into(), &path))?;
        output.commit()?;
    }
    Ok(())
}

/// The tables for a terminal.
pub(super) fn text(evaluation: &Evaluation) -> String {
    let mut parts =
        vec![report::facts(&[("sounds", evaluation.sounds.clone()), ("machine", evaluation.machine.clone())])];
    for model in &evaluation.models {
        let rows: Vec<_> = model.ways.iter().map(|way| cells(way, model)).collect();
        parts.push(format!("{}: {}\n{}", model.name, model.description, report::table(&HEADS, &rows)));
    }
    parts.join("\n\n")
}

fn markdown(evaluation: &Evaluation) -> String {
    let mut parts =
        vec![prose::opening(), prose::in_short(evaluation), summary(evaluation), "## Model by model".into()];
    parts.extend(evaluation.models.iter().map(section));
    parts.extend([prose::how(), prose::again(evaluation)]);
    parts.join("\n\n") + "\n"
}

/// One line for each model.
fn summary(evaluation: &Evaluation) -> String {
    let heads = [
        ("model", Align::Left),
        ("our stream: distance", Align::Right),
        ("clicks", Align::Right),
        ("CPU", Align::Right),
        ("CPU, later", Align::Right),
        ("cut blocks: distance", Align::Right),
        ("clicks", Align::Right),
        ("overlap-add: distance", Align::Right),
        ("CPU", Align::Right),
    ];
    let row = |model: &ModelResult| {
        let streams: Vec<_> = model.ways(|way| matches!(way, Way::Stream { .. })).collect();
        let cut: Vec<_> = model.ways(|way| matches!(way, Way::CutBlocks(_))).collect();
        let added: Vec<_> = model.ways(|way| matches!(way, Way::OverlapAdd(_))).collect();
        let worst = streams.iter().map(|w| w.distance_worst).fold(0.0, f64::max);
        let distance = |ways: &[&WayResult]| span(ways.iter().map(|w| w.distance_mean), small);
        let cost = |ways: &[&WayResult]| span(ways.iter().filter_map(|w| w.cpu_per_second), percent);
        let clicks = |ways: &[&WayResult]| {
            let sum = |count: fn(&WayResult) -> usize| ways.iter().map(|w| count(w)).sum::<usize>() as u64;
            format!("{} of {}", grouped(sum(|w| w.clicks)), grouped(sum(|w| w.joins)))
        };
        vec![
            format!("[{0}](#{0})", model.name),
            small(worst),
            clicks(&streams),
            cost(&streams[..streams.len().min(1)]),
            cost(&streams[streams.len().min(1)..]),
            distance(&cut),
            clicks(&cut),
            distance(&added),
            cost(&added),
        ]
    };
    table(&heads, &evaluation.models.iter().map(row).collect::<Vec<_>>())
}

fn section(model: &ModelResult) -> String {
    let (past, future) = model.receptive_field_samples;
    let past = past.map_or("all samples".into(), |n| format!("{} samples", grouped(n)));
    let mut facts = format!(
        "{}. It looks back {past} and ahead {}; frames every {} samples.",
        model.description,
        grouped(future),
        grouped(model.hop_samples as u64)
    );
    if let Some(note) = &model.note {
        facts = format!("{note} {facts}");
    }
    let rows: Vec<_> = model.ways.iter().map(|way| cells(way, model)).collect();
    let mut parts = vec![format!("### {}", model.name), facts, table(&HEADS, &rows)];
    parts.extend(model.pictures.iter().map(|picture| format!("![{}]({})", picture.caption, picture.file)));
    parts.join("\n\n")
}

fn cells(way: &WayResult, model: &ModelResult) -> Vec<String> {
    let latency = |samples: u64| {
        let ms = samples as f64 * 1e3 / f64::from(model.sampling_rate);
        format!("{} ({ms:.0} ms)", grouped(samples))
    };
    let none = || "–".to_owned();
    vec![
        way.way.to_string(),
        small(way.distance_mean),
        small(way.distance_worst),
        small(way.largest_difference),
        way.error_db.map_or_else(none, |db| format!("{db:.0} dB")),
        format!("{} of {}", grouped(way.clicks as u64), grouped(way.joins as u64)),
        way.latency_samples.map_or_else(|| "all of it".into(), latency),
        way.cpu_per_second.map_or_else(none, percent),
    ]
}

/// `0`, `0.12` or `1.2e-6`.
fn small(value: f64) -> String {
    match value {
        0.0 => "0".into(),
        v if v.abs() >= 0.1 => format!("{v:.2}"),
        v if v.abs() >= 0.01 => format!("{v:.3}"),
        v => format!("{v:.1e}"),
    }
}

fn percent(part: f64) -> String {
    format!("{:.1} %", 100.0 * part)
}

/// `a to b`, or only one where they read alike.
fn span(values: impl Iterator<Item = f64>, text: impl Fn(f64) -> String) -> String {
    let (least, most) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, m), v| (l.min(v), m.max(v)));
    match (text(least), text(most)) {
        _ if least > most => "–".into(),
        (least, most) if least == most => least,
        (least, most) => format!("{} to {most}", least.trim_end_matches(" %")),
    }
}

/// A table of Markdown.
fn table(heads: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    let line = |cells: Vec<&str>| format!("| {} |", cells.join(" | "));
    let rule = |align: Align| if align == Align::Right { "---:" } else { "---" };
    let mut lines = vec![line(heads.iter().map(|h| h.0).collect()), line(heads.iter().map(|h| rule(h.1)).collect())];
    lines.extend(rows.iter().map(|row| line(row.iter().map(String::as_str).collect())));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([small(0.0), small(0.5), small(1.23e-7)], ["0", "0.50", "1.2e-7"]);
        assert_eq!(span([0.1, 0.25].into_iter(), percent), "10.0 to 25.0 %");
        assert_eq!(span([0.1].into_iter(), percent), "10.0 %");
        assert_eq!(span([].into_iter(), percent), "–");
    }

    #[test]
    fn tables_are_markdown() {
        let text = table(&[("a", Align::Left), ("b", Align::Right)], &[vec!["1".into(), "2".into()]]);
        assert_eq!(text, "| a | b |\n| --- | ---: |\n| 1 | 2 |");
    }
}
