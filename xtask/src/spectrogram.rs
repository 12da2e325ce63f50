//! Pictures of sounds: log-frequency spectrograms in decibels, on one scale.

mod colour;

use std::fs::File;

use anyhow::Result;
use realfft::RealFftPlanner;

use crate::audio::Clip;
use crate::canvas::{Canvas, Region};

const WIDTH: usize = 1600;
const PANEL_HEIGHT: usize = 400;
const LEFT: usize = 84;
const RIGHT: usize = 96;
const TOP: usize = 52;
const GAP: usize = 52;
const BOTTOM: usize = 52;
/// Decibels between the darkest and the brightest colour.
const RANGE_DB: f32 = 90.0;
const LOWEST_HZ: f64 = 30.0;
/// Seconds under the analysis window: long enough to part the partials of a voice, short enough to see its onsets.
const WINDOW_SECONDS: f64 = 0.06;

/// One sound, and where it is drawn.
pub(crate) struct Panel<'a> {
    pub(crate) title: &'a str,
    pub(crate) clip: &'a Clip,
    pub(crate) area: Region,
    /// Whether its time axis has labels.
    pub(crate) labelled: bool,
}

/// Draws `input` over `output`, each with its title, as a PNG.
///
/// # Errors
/// When the system refuses to write.
pub(crate) fn draw(panels: [(&str, &Clip); 2], sampling_rate: u32, file: &mut File) -> Result<()> {
    let mut canvas = Canvas::new(WIDTH, TOP + 2 * PANEL_HEIGHT + GAP + BOTTOM);
    let area = |i: usize| Region {
        x: LEFT,
        y: TOP + i * (PANEL_HEIGHT + GAP),
        width: WIDTH - LEFT - RIGHT,
        height: PANEL_HEIGHT,
    };
    let panel = |i: usize| Panel { title: panels[i].0, clip: panels[i].1, area: area(i), labelled: i == 1 };
    draw_panels(&mut canvas, &[panel(0), panel(1)], sampling_rate);
    draw_legend(&mut canvas, Region { x: WIDTH - RIGHT + 24, y: TOP, width: 16, height: 2 * PANEL_HEIGHT + GAP });
    canvas.write_png(file)
}

/// Draws sounds as one scale of colours has them, each over as long as the longest lasts.
pub(crate) fn draw_panels(canvas: &mut Canvas, panels: &[Panel], sampling_rate: u32) {
    let frames = panels.iter().map(|panel| panel.clip.frames()).max().unwrap_or(0);
    let highest_hz = f64::from(sampling_rate) / 2.0;
    let picture = |panel: &Panel| {
        let (columns, rows) = (panel.area.width, panel.area.height);
        levels(&mono(panel.clip), frames, sampling_rate, columns, rows, highest_hz)
    };
    let pictures: Vec<_> = panels.iter().map(picture).collect();
    let top_db = pictures.iter().flatten().copied().fold(-60.0, f32::max);
    for (panel, picture) in panels.iter().zip(&pictures) {
        let area = panel.area;
        for row in 0..area.height {
            for column in 0..area.width {
                let level = (picture[column * area.height + row] - top_db + RANGE_DB) / RANGE_DB;
                canvas.set(area.x + column, area.y + row, colour::of(level));
            }
        }
        canvas.title(area, panel.title);
        frequency_axis(canvas, area, highest_hz);
        time_axis(canvas, area, frames as f64 / f64::from(sampling_rate), panel.labelled);
    }
}

/// Draws what the colours mean.
pub(crate) fn draw_legend(canvas: &mut Canvas, legend: Region) {
    for row in 0..legend.height {
        let level = 1.0 - row as f32 / (legend.height - 1) as f32;
        for x in 0..legend.width {
            canvas.set(legend.x + x, legend.y + row, colour::of(level));
        }
    }
    for step in 0..=6 {
        let db = RANGE_DB * step as f32 / 6.0;
        let y = legend.y + step * (legend.height - 1) / 6;
        canvas.label_right_of(legend.x + legend.width + 6, y, &format!("{}{db:.0}", if step == 0 { "" } else { "-" }));
    }
    canvas.label_right_of(legend.x + 12, legend.y - 20, "dB");
}

/// Mean of all channels.
fn mono(clip: &Clip) -> Vec<f32> {
    let scale = 1.0 / clip.channels.len().max(1) as f32;
    (0..clip.frames()).map(|n| clip.channels.iter().map(|c| c[n]).sum::<f32>() * scale).collect()
}

/// Decibels per picture element, column by column, the highest frequency first. A column shows the frame at its time.
fn levels(x: &[f32], frames: usize, rate: u32, columns: usize, rows: usize, highest_hz: f64) -> Vec<f32> {
    let window_length = ((f64::from(rate) * WINDOW_SECONDS) as usize).max(16);
    let size = (2 * window_length).next_power_of_two();
    let window: Vec<f32> = (0..window_length)
        .map(|i| 0.5 - 0.5 * (std::f32::consts::TAU * (i as f32 + 0.5) / window_length as f32).cos())
        .collect();
    let scale = 2.0 / window.iter().sum::<f32>();
    let transform = RealFftPlanner::<f32>::new().plan_fft_forward(size);
    let (mut time, mut spectrum) = (transform.make_input_vec(), transform.make_output_vec());
    let mut scratch = transform.make_scratch_vec();

    let mut levels = Vec::with_capacity(columns * rows);
    for column in 0..columns {
        let centre = ((column as f64 + 0.5) / columns as f64 * frames as f64) as isize;
        time.fill(0.0);
        for i in 0..window_length {
            let n = centre + i as isize - window_length as isize / 2;
            time[i] = if n >= 0 { x.get(n as usize).copied().unwrap_or(0.0) * window[i] } else { 0.0 };
        }
        // Lengths are the plan's own.
        let _ = transform.process_with_scratch(&mut time, &mut spectrum, &mut scratch);
        let power: Vec<f32> = spectrum.iter().map(|v| v.norm_sqr() * scale * scale).collect();
        for row in 0..rows {
            let bin = |row: f64| frequency(row / rows as f64, highest_hz) * size as f64 / f64::from(rate);
            levels.push(10.0 * strongest(&power, bin(row as f64 + 1.0), bin(row as f64)).max(1e-14).log10());
        }
    }
    levels
}

/// Frequency at `depth` (0 the top, 1 the bottom) of a panel.
fn frequency(depth: f64, highest_hz: f64) -> f64 {
    highest_hz * (LOWEST_HZ / highest_hz).powf(depth)
}

/// The largest of the bins in `from .. to`, or between two bins their interpolation.
fn strongest(power: &[f32], from: f64, to: f64) -> f32 {
    let last = power.len() - 1;
    let (first, end) = (from.ceil() as usize, to.floor() as usize);
    if first < end {
        return power[first.min(last)..=end.min(last)].iter().copied().fold(0.0, f32::max);
    }
    let middle = ((from + to) / 2.0).min(last as f64);
    let (below, part) = (middle.floor() as usize, middle.fract() as f32);
    power[below] * (1.0 - part) + power[(below + 1).min(last)] * part
}

fn frequency_axis(canvas: &mut Canvas, area: Region, highest_hz: f64) {
    for (hz, label) in [
        (50.0, "50"),
        (100.0, "100"),
        (200.0, "200"),
        (500.0, "500"),
        (1e3, "1 k"),
        (2e3, "2 k"),
        (5e3, "5 k"),
        (1e4, "10 k"),
        (2e4, "20 k"),
        (5e4, "50 k"),
    ] {
        let depth = (hz / highest_hz).ln() / (LOWEST_HZ / highest_hz).ln();
        if depth > 0.01 {
            let y = area.y + (depth * area.height as f64) as usize;
            canvas.tick_left_of(area.x, y);
            canvas.label_left_of(area.x - 8, y, label);
        }
    }
    canvas.label_left_of(area.x - 8, area.y - 16, "Hz");
}

fn time_axis(canvas: &mut Canvas, area: Region, seconds: f64, labelled: bool) {
    if seconds <= 0.0 {
        return;
    }
    let step =
        [1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0]
            .into_iter()
            .find(|step| seconds / step <= 12.0)
            .unwrap_or(3600.0);
    let decimals = (-step.log10()).ceil().max(0.0) as usize;
    for i in 0..=(seconds / step) as usize {
        let x = area.x + (i as f64 * step / seconds * (area.width - 1) as f64) as usize;
        canvas.tick_below(x, area.y + area.height);
        if labelled {
            let unit = if i == 0 { " s" } else { "" };
            canvas.label_below(x, area.y + area.height + 8, &format!("{:.decimals$}{unit}", i as f64 * step));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_brightest_at_its_frequency() {
        let rate = 44_100;
        let tone: Vec<f32> =
            (0..rate).map(|n| (std::f64::consts::TAU * 1000.0 * f64::from(n) / 44_100.0).sin() as f32).collect();
        let (columns, rows) = (10, 400);
        let levels = levels(&tone, tone.len(), rate as u32, columns, rows, 22_050.0);
        let column = &levels[5 * rows..6 * rows];
        let brightest = (0..rows).max_by(|&a, &b| column[a].total_cmp(&column[b])).expect("rows");
        let hz = frequency((brightest as f64 + 0.5) / rows as f64, 22_050.0);
        assert!((hz / 1000.0 - 1.0).abs() < 0.02, "{hz}");
        assert!(column[brightest].abs() < 0.5, "{} dB", column[brightest]);
    }

    #[test]
    fn any_length_is_drawn() {
        for frames in [0, 1, 2, 1000] {
            let clip = Clip { channels: vec![vec![0.5; frames]; 2], sampling_rate: Some(8000) };
            let mut file = tempfile::tempfile().expect("a file");
            draw([("input", &clip), ("output", &clip)], 8000, &mut file).expect("a picture");
            assert!(file.metadata().expect("a size").len() > 1000);
        }
    }
}
