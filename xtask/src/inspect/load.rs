//! `inspect --load`: what the plan expects each moment of its period to cost, as a picture.

use std::path::Path;

use anyhow::Result;
use runnel::plan::Forecast;
use runnel::{Plan, PlanOptions, StreamGraph};

use crate::canvas::{Canvas, Region};
use crate::chart::{Axis, Chart, PALETTE, Series, Shape};
use crate::output::{self, Output};
use crate::report;
use crate::slack::Slack;

pub(super) struct Load<'a> {
    pub(super) name: &'a str,
    pub(super) stream: &'a StreamGraph,
    pub(super) sampling_rate: u32,
    pub(super) slack: Slack,
    pub(super) block_samples: usize,
}

const WIDTH: usize = 1400;
const PANEL_HEIGHT: usize = 400;

impl Load<'_> {
    /// Draws the forecast to `path` and prints what it says.
    pub(super) fn show(&self, path: &Path, model: &Path) -> Result<()> {
        let mut picture = Output::create(path, &[model])?;
        let slack_samples = self.slack.samples(self.stream, self.sampling_rate);
        let plan = Plan::with(self.stream, &PlanOptions { slack_samples, ..PlanOptions::default() })?;
        let forecast = plan.forecast();
        let calls: Vec<f64> = forecast.per_block(self.block_samples).into_iter().map(f64::from).collect();
        self.draw(forecast, &calls).write_png(picture.file()).map_err(|e| output::explain(e, path))?;
        picture.commit()?;

        let (mean, peak) = mean_and_peak(&calls);
        let budget_us = self.block_samples as f64 * 1e6 / f64::from(self.sampling_rate);
        report::print(&report::facts(&[
            (
                "latency",
                format!("{}, slack {}", report::latency(plan.latency_samples(), self.sampling_rate), self.slack),
            ),
            ("period", format!("{} ticks of {} samples", forecast.costs_us.len(), forecast.tick_samples)),
            (
                "tick",
                format!(
                    "mean {:.1} µs, peak {:.1} µs, peak over mean {:.2}",
                    forecast.mean_us(),
                    forecast.peak_us(),
                    forecast.peak_us() / forecast.mean_us().max(f32::MIN_POSITIVE)
                ),
            ),
            (
                "call",
                format!(
                    "of {} samples: mean {mean:.0} µs, peak {peak:.0} µs, peak over mean {:.2}; the peak is {:.0} % of \
                     the {budget_us:.0} µs that it has",
                    self.block_samples,
                    peak / mean.max(f64::MIN_POSITIVE),
                    100.0 * peak / budget_us
                ),
            ),
            ("picture", path.display().to_string()),
        ]))
    }

    fn draw(&self, forecast: &Forecast, calls: &[f64]) -> Canvas {
        let mut canvas = Canvas::new(WIDTH, 2 * PANEL_HEIGHT);
        let ticks: Vec<_> = forecast.costs_us.iter().copied().map(f64::from).collect();
        let period_samples = ticks.len() as f64 * forecast.tick_samples;
        let tick_samples = forecast.tick_samples;
        let title = format!("{}, slack {}: forecast per tick of {tick_samples} samples", self.name, self.slack);
        chart(title, &ticks, tick_samples, period_samples, ("tick", Shape::Bars))
            .draw(&mut canvas, Region { x: 0, y: 0, width: WIDTH, height: PANEL_HEIGHT });
        let block_samples = self.block_samples as f64;
        let title = format!("per call of {block_samples} samples");
        let span = block_samples * calls.len() as f64;
        chart(title, calls, block_samples, span, ("call", Shape::Steps))
            .draw(&mut canvas, Region { x: 0, y: PANEL_HEIGHT, width: WIDTH, height: PANEL_HEIGHT });
        canvas
    }
}

/// Costs of equal stretches of time, over one period, with their mean and their peak.
fn chart(title: String, costs: &[f64], each_samples: f64, span: f64, (what, shape): (&str, Shape)) -> Chart {
    let (mean, peak) = mean_and_peak(costs);
    let level = |name: &str, us: f64, colour| Series {
        name: format!("{name} {us:.1} us"),
        colour,
        shape: Shape::Dashes,
        points: vec![(0.0, us), (span, us)],
    };
    Chart {
        title,
        x: Axis::ending_at("samples of input", span),
        y: Axis::linear("us", peak),
        series: vec![
            Series {
                name: format!("one {what}"),
                colour: PALETTE[0],
                shape,
                points: costs.iter().enumerate().map(|(i, us)| (i as f64 * each_samples, *us)).collect(),
            },
            level("peak", peak, PALETTE[1]),
            level("mean", mean, PALETTE[3]),
        ],
    }
}

fn mean_and_peak(costs: &[f64]) -> (f64, f64) {
    (costs.iter().sum::<f64>() / costs.len().max(1) as f64, costs.iter().copied().fold(0.0, f64::max))
}
