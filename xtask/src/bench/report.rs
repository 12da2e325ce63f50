//! The tables of `bench`.

use anyhow::Result;
use serde::Serialize;

use super::Arguments;
use super::limits::Limits;
use super::nodes::Breakdown;
use super::run::{Measured, PeerRow, Row};
use crate::report::{self, Align};

#[derive(Serialize)]
struct Everything<'a> {
    seconds: f64,
    limits: &'a Limits,
    models: &'a [Measured],
}

/// Prints everything that was measured.
pub(super) fn print(models: &[Measured], limits: &Limits, arguments: &Arguments) -> Result<()> {
    if arguments.json {
        return report::print_json(&Everything { seconds: arguments.seconds, limits, models });
    }
    for model in models {
        report::print(&head(model))?;
        report::print("")?;
        report::print(&table(model))?;
        report::print("")?;
        for breakdown in &model.nodes {
            report::print(&steps(breakdown))?;
            report::print("")?;
        }
    }
    report::print(&machine(limits))
}

fn head(model: &Measured) -> String {
    let bytes = |n: usize| report::bytes(n as u64);
    let state = model.rows.iter().map(|r| r.state_bytes).max().unwrap_or(0);
    let latency = report::latency(model.least_latency_samples, model.sampling_rate);
    let mut lines = vec![
        ("model", format!("{}: {}", model.model, model.description)),
        ("work", format!("{}MAC per second of audio", report::scaled(model.macs_per_audio_second))),
        ("memory", format!("{} of weights, up to {} of state per instance", bytes(model.weight_bytes), bytes(state))),
        ("latency", format!("{latency}, and the slack")),
    ];
    lines.extend(model.peers.iter().map(|peer| ("peer", describe(peer))));
    report::facts(&lines)
}

fn describe(peer: &PeerRow) -> String {
    format!(
        "{}, {}: blocks of {}, RTF {:.4} (wall {:.4}), {:.0} µs per call, p99 {:.0}, worst {:.0}",
        peer.version,
        peer.file.display(),
        peer.block_samples,
        peer.cost.real_time_factor,
        peer.cost.real_time_factor_wall,
        peer.cost.call_median_us,
        peer.cost.call_p99_us,
        peer.cost.call_worst_us
    )
}

fn table(model: &Measured) -> String {
    let times: Vec<_> = model.peers.iter().map(|p| format!("× {}", p.peer)).collect();
    let mut heads = vec![
        ("block", Align::Right),
        ("slack", Align::Right),
        ("RTF", Align::Right),
        ("wall", Align::Right),
        ("median", Align::Right),
        ("p99", Align::Right),
        ("worst", Align::Right),
        ("of budget", Align::Right),
        ("peak", Align::Right),
        ("forecast", Align::Right),
        ("GMAC/s", Align::Right),
        ("GB/s", Align::Right),
        ("limit", Align::Right),
    ];
    heads.extend(times.iter().map(|name| (name.as_str(), Align::Right)));
    let rows: Vec<_> = model.rows.iter().map(cells).collect();
    report::table(&heads, &rows)
}

fn cells(row: &Row) -> Vec<String> {
    let mut cells = vec![
        row.block_samples.to_string(),
        named(&row.slack, row.slack_samples),
        format!("{:.4}", row.cost.real_time_factor),
        format!("{:.4}", row.cost.real_time_factor_wall),
        us(row.cost.call_median_us),
        us(row.cost.call_p99_us),
        us(row.cost.call_worst_us),
        percent(row.cost.call_peak_us / row.budget_us),
        format!("{:.2}", row.cost.peak_over_mean),
        format!("{:.2}", row.forecast_peak_over_mean),
        giga(row.macs_per_second),
        giga(row.weight_bytes_per_second),
        percent(row.limit_reached),
    ];
    cells.extend(row.times_faster.iter().map(|t| format!("{t:.2}")));
    cells
}

/// `hop = 2048`, or only the number where the name is one.
fn named(slack: &str, samples: u64) -> String {
    if slack == "least" || slack == samples.to_string() { slack.to_owned() } else { format!("{slack} = {samples}") }
}

fn steps(breakdown: &Breakdown) -> String {
    let heads = [
        ("step", Align::Left),
        ("op", Align::Left),
        ("weights", Align::Right),
        ("firings/s", Align::Right),
        ("µs per s", Align::Right),
        ("forecast", Align::Right),
        ("share", Align::Right),
        ("GMAC/s", Align::Right),
        ("GB/s", Align::Right),
        ("limit", Align::Right),
    ];
    let or_none = |n: f64, text: String| if n > 0.0 { text } else { "–".into() };
    let rows: Vec<_> = breakdown
        .steps
        .iter()
        .map(|step| {
            vec![
                step.name.clone(),
                step.op.to_owned(),
                or_none(step.weight_bytes as f64, report::bytes(step.weight_bytes as u64)),
                us(step.firings_per_second),
                us(step.us_per_second),
                us(step.forecast_us_per_second),
                percent(step.share),
                or_none(step.macs_per_second, giga(step.macs_per_second)),
                or_none(step.weight_bytes_per_second, giga(step.weight_bytes_per_second)),
                or_none(step.limit_reached, percent(step.limit_reached)),
            ]
        })
        .collect();
    format!(
        "steps with slack {}, in blocks of {}\n{}\n{} of the machine's \
         limit over all steps",
        breakdown.slack,
        breakdown.block_samples,
        report::table(&heads, &rows),
        percent(breakdown.limit_reached)
    )
}

fn machine(limits: &Limits) -> String {
    let read = |r: &super::limits::Read| {
        format!("{} from {}", giga(r.bytes_per_second), report::bytes(r.working_set_bytes as u64))
    };
    let reads: Vec<_> = limits.reads.iter().map(read).collect();
    report::facts(&[
        ("machine", format!("{} kernels, one thread", limits.instruction_set)),
        ("arithmetic", format!("{} GMAC/s at most", giga(limits.macs_per_second))),
        ("reading", format!("GB/s at most: {}", reads.join(", "))),
    ])
}

fn us(us: f64) -> String {
    if us < 99.95 { format!("{us:.1}") } else { format!("{us:.0}") }
}

fn percent(part: f64) -> String {
    if part < 0.0995 { format!("{:.1} %", part * 100.0) } else { format!("{:.0} %", part * 100.0) }
}

fn giga(n: f64) -> String {
    format!("{:.1}", n / 1e9)
}
