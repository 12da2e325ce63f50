//! The picture of `bench`: for each model its CPU time per second beside the peers', and the dearest call beside what
//! it may take.

use super::run::{Measured, Row};
use crate::canvas::{Canvas, Region};
use crate::chart::{Axis, Chart, PALETTE, Series, Shape};

const PANEL_WIDTH: usize = 860;
const PANEL_HEIGHT: usize = 440;

/// Two charts for each model, side by side.
pub(super) fn draw(models: &[Measured]) -> Canvas {
    let mut canvas = Canvas::new(2 * PANEL_WIDTH, PANEL_HEIGHT * models.len().max(1));
    for (i, model) in models.iter().enumerate() {
        let area = |x| Region { x, y: i * PANEL_HEIGHT, width: PANEL_WIDTH, height: PANEL_HEIGHT };
        match model.peers.is_empty() {
            true => load(model).draw(&mut canvas, area(0)),
            false => ratio(model).draw(&mut canvas, area(0)),
        }
        calls(model).draw(&mut canvas, area(PANEL_WIDTH));
    }
    canvas
}

/// How many times less CPU time than the peers' we take.
fn ratio(model: &Measured) -> Chart {
    let mut series = Vec::new();
    for (p, peer) in model.peers.iter().enumerate() {
        for (i, slack) in slacks(model).into_iter().enumerate() {
            let name = if model.peers.len() == 1 { slack.clone() } else { format!("{slack}, {}", peer.peer) };
            let points = |row: &Row| (row.block_samples as f64, row.times_faster[p]);
            series.push(Series {
                name,
                colour: PALETTE[(i + p * 4) % PALETTE.len()],
                shape: Shape::Line,
                points: rows(model, &slack).map(points).collect(),
            });
        }
    }
    let most = series.iter().flat_map(|s| &s.points).map(|p| p.1).fold(1.0, f64::max);
    let blocks = blocks(model);
    let ends = vec![(blocks[0], 1.0), (blocks[blocks.len() - 1], 1.0)];
    series.push(Series { name: "as the peer".into(), colour: PALETTE[5], shape: Shape::Dashes, points: ends });
    let title = format!("{}: CPU time of the peer over ours", model.model);
    Chart { title, x: block_axis(&blocks), y: Axis::linear("times", most), series }
}

/// The share of one core, where there is no peer.
fn load(model: &Measured) -> Chart {
    let series = by_slack(model, |row| 100.0 * row.cost.real_time_factor);
    let most = series.iter().flat_map(|s| &s.points).map(|p| p.1).fold(0.0, f64::max);
    let title = format!("{}: CPU time, share of one core", model.model);
    Chart { title, x: block_axis(&blocks(model)), y: Axis::linear("%", most), series }
}

/// The dearest call and the time it has.
fn calls(model: &Measured) -> Chart {
    let mut series = by_slack(model, |row| row.cost.call_peak_us);
    let blocks = blocks(model);
    let budget_us = |block: f64| block * 1e6 / f64::from(model.sampling_rate);
    series.push(Series {
        name: "budget".into(),
        colour: PALETTE[5],
        shape: Shape::Dashes,
        points: blocks.iter().map(|b| (*b, budget_us(*b))).collect(),
    });
    let values: Vec<_> = series.iter().flat_map(|s| &s.points).map(|p| p.1).collect();
    let y = Axis::logarithmic("us", values);
    let title = format!("{}: dearest call of a period", model.model);
    Chart { title, x: block_axis(&blocks), y, series }
}

fn by_slack(model: &Measured, value: impl Fn(&Row) -> f64) -> Vec<Series> {
    let series = |(i, slack): (usize, String)| Series {
        colour: PALETTE[i % PALETTE.len()],
        shape: Shape::Line,
        points: rows(model, &slack).map(|row| (row.block_samples as f64, value(row))).collect(),
        name: slack,
    };
    slacks(model).into_iter().enumerate().map(series).collect()
}

fn block_axis(blocks: &[f64]) -> Axis {
    Axis::logarithmic("samples per call", blocks.iter().copied()).naming(blocks)
}

fn rows<'a>(model: &'a Measured, slack: &str) -> impl Iterator<Item = &'a Row> {
    let mut rows: Vec<_> = model.rows.iter().filter(|row| format!("slack {}", row.slack) == slack).collect();
    rows.sort_by_key(|row| row.block_samples);
    rows.into_iter()
}

fn slacks(model: &Measured) -> Vec<String> {
    let mut slacks: Vec<String> = Vec::new();
    for row in &model.rows {
        let name = format!("slack {}", row.slack);
        if !slacks.contains(&name) {
            slacks.push(name);
        }
    }
    slacks
}

fn blocks(model: &Measured) -> Vec<f64> {
    let mut blocks: Vec<_> = model.rows.iter().map(|row| row.block_samples).collect();
    blocks.sort_unstable();
    blocks.dedup();
    blocks.into_iter().map(|b| b as f64).collect()
}
