//! The pictures of one model: what the ways sound like, how far they are from offline over time, and what they cost.

use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use super::speed::Speed;
use super::ways::{Planes, Subject, Way};
use crate::audio::Clip;
use crate::canvas::{Canvas, Region};
use crate::chart::{Axis, Chart, PALETTE, Series, Shape};
use crate::output::{self, Output};
use crate::spectrogram::{Panel, draw_legend, draw_panels};

/// What the ways made of the first sound.
#[derive(Default)]
pub(super) struct Shown {
    sound: String,
    played: Vec<(Way, Planes)>,
}

/// A file beside the page.
#[derive(Serialize)]
pub(super) struct Picture {
    pub(super) file: String,
    /// What it shows.
    pub(super) caption: String,
}

/// Seconds from the middle of a sound that are shown: short enough to see single blocks.
const STRETCH_SECONDS: f64 = 1.5;
/// Seconds that a point of the error's course stands for.
const POINT_SECONDS: f64 = 0.005;
/// The softest error shown.
const FLOOR_DB: f64 = -160.0;
const CHART: (usize, usize) = (1200, 460);

impl Shown {
    /// Keeps what a way made of a sound, if it is the first one.
    pub(super) fn keep(&mut self, sound: &str, way: Way, played: Planes) {
        if self.played.is_empty() {
            self.sound = sound.into();
        }
        if self.sound == sound && self.played.iter().all(|(kept, _)| *kept != way) {
            self.played.push((way, played));
        }
    }

    /// Draws all pictures into `folder`.
    ///
    /// # Errors
    /// When the system refuses to write.
    pub(super) fn draw(&self, subject: &Subject, speed: &Speed, folder: &Path) -> Result<Vec<Picture>> {
        let lengths = subject.lengths();
        let (shortest, longest) = (lengths[0], lengths[lengths.len() - 1]);
        let stream = Way::Stream { slack: 0 };
        let four = [Way::Offline, stream, Way::CutBlocks(shortest), Way::OverlapAdd(shortest)];
        let mut five = vec![stream, Way::CutBlocks(shortest), Way::OverlapAdd(shortest)];
        if longest > shortest {
            five.extend([Way::CutBlocks(longest), Way::OverlapAdd(longest)]);
        }
        let (name, rate) = (subject.name(), subject.sampling_rate());
        let area = Region { x: 0, y: 0, width: CHART.0, height: CHART.1 };
        let charts = [self.error(&five, rate), cost(speed)].map(|chart| {
            let mut canvas = Canvas::new(CHART.0, CHART.1);
            chart.draw(&mut canvas, area);
            canvas
        });
        let [error, cost] = charts;
        let sound = &self.sound;
        let pictures = [
            (
                "sound",
                self.spectrograms(&four, rate),
                format!("{name} playing {STRETCH_SECONDS} s of {sound}, in four ways"),
            ),
            ("error", error, format!("{name}: difference to offline over the same {STRETCH_SECONDS} s")),
            ("speed", cost, format!("{name}: CPU time by the samples per call, block or window")),
        ];
        pictures.into_iter().map(|(kind, canvas, caption)| save(folder, name, kind, &canvas, caption)).collect()
    }

    fn of(&self, way: Way) -> Planes {
        let found = self.played.iter().find(|(kept, _)| *kept == way);
        found.map_or_else(Vec::new, |(_, played)| played.clone())
    }

    /// Two by two.
    fn spectrograms(&self, four: &[Way; 4], rate: u32) -> Canvas {
        const WIDTH: usize = 500;
        const HEIGHT: usize = 200;
        const LEFT: usize = 76;
        const TOP: usize = 46;
        let clips = four.map(|way| Clip { channels: middle(self.of(way), rate), sampling_rate: Some(rate) });
        let titles = four.map(|way| way.to_string());
        let panel = |i: usize| Panel {
            title: &titles[i],
            clip: &clips[i],
            area: Region {
                x: LEFT + i % 2 * (WIDTH + LEFT),
                y: TOP + i / 2 * (HEIGHT + TOP + 30),
                width: WIDTH,
                height: HEIGHT,
            },
            labelled: true,
        };
        let panels = [0, 1, 2, 3].map(panel);
        let height = panels[3].area.y + HEIGHT + 44;
        let right = panels[3].area.x + WIDTH;
        let mut canvas = Canvas::new(right + 84, height);
        draw_panels(&mut canvas, &panels, rate);
        draw_legend(&mut canvas, Region { x: right + 18, y: TOP, width: 14, height: height - 44 - TOP });
        canvas
    }

    /// RMS of the difference to offline, point by point.
    fn error(&self, ways: &[Way], rate: u32) -> Chart {
        let offline = middle(self.of(Way::Offline), rate);
        let point = ((POINT_SECONDS * f64::from(rate)) as usize).max(1);
        let seconds = offline.first().map_or(0, Vec::len) as f64 / f64::from(rate);
        let series = |(i, way): (usize, &Way)| Series {
            name: way.to_string(),
            colour: PALETTE[[2, 1, 0, 5, 4][i % 5]],
            shape: Shape::Steps,
            points: course(&offline, &middle(self.of(*way), rate), point, rate),
        };
        Chart {
            title: format!("{}: RMS of the difference to offline, every {:.0} ms", self.sound, POINT_SECONDS * 1e3),
            x: Axis::ending_at("s", seconds),
            y: Axis::between("dBFS", FLOOR_DB, 0.0),
            series: ways.iter().enumerate().map(series).collect(),
        }
    }
}

/// Seconds, and dB of full scale, of the difference between two sounds.
fn course(offline: &Planes, played: &Planes, point: usize, rate: u32) -> Vec<(f64, f64)> {
    let frames = offline.first().map_or(0, Vec::len);
    let level = |start: usize| {
        let end = (start + point).min(frames);
        let square = |(a, b): (&f32, &f32)| (f64::from(*a) - f64::from(*b)).powi(2);
        let channels = offline.iter().zip(played);
        let sum: f64 = channels.flat_map(|(a, b)| a[start..end].iter().zip(&b[start..end])).map(square).sum();
        let mean = sum / ((end - start) * offline.len()) as f64;
        (start as f64 / f64::from(rate), (10.0 * mean.max(1e-30).log10()).max(FLOOR_DB))
    };
    (0..frames).step_by(point).map(level).collect()
}

fn cost(speed: &Speed) -> Chart {
    let percent = |cost: f64| 100.0 * cost;
    let mut series = Vec::new();
    for (i, stream) in speed.streams.iter().enumerate() {
        let points = stream.calls.iter().map(|call| (call.samples as f64, percent(call.cpu_per_second))).collect();
        series.push(Series { name: stream.name(), colour: PALETTE[[2, 3][i % 2]], shape: Shape::Line, points });
    }
    let windows = |cost: fn(&super::speed::WindowSpeed) -> f64| {
        speed.windows.iter().map(|w| (w.samples as f64, percent(cost(w)))).collect::<Vec<_>>()
    };
    let (cut, added) = (windows(|w| w.cut_blocks_cpu_per_second), windows(|w| w.overlap_add_cpu_per_second));
    series.push(Series { name: "cut blocks".into(), colour: PALETTE[1], shape: Shape::Line, points: cut });
    series.push(Series { name: "overlap-add".into(), colour: PALETTE[0], shape: Shape::Line, points: added });
    let points = || series.iter().flat_map(|s| &s.points);
    let most = points().map(|p| p.1).fold(0.0, f64::max);
    let mut sizes: Vec<_> = points().map(|p| p.0).collect();
    sizes.sort_by(f64::total_cmp);
    sizes.dedup();
    Chart {
        title: "CPU time, share of one core".into(),
        x: Axis::logarithmic("samples per call, block or window", sizes.iter().copied()).naming(&sizes),
        y: Axis::linear("%", most),
        series,
    }
}

/// The stretch that is shown.
fn middle(mut channels: Planes, rate: u32) -> Planes {
    let stretch = (STRETCH_SECONDS * f64::from(rate)) as usize;
    for channel in &mut channels {
        let start = channel.len().saturating_sub(stretch) / 2;
        channel.drain(..start);
        channel.truncate(stretch);
    }
    channels
}

fn save(folder: &Path, model: &str, kind: &str, canvas: &Canvas, caption: String) -> Result<Picture> {
    let file = format!("{model}-{kind}.png");
    let mut output = Output::create(&folder.join(&file), &[])?;
    let path = output.path().to_owned();
    canvas.write_png(output.file()).map_err(|e| output::explain(e, &path))?;
    output.commit()?;
    Ok(Picture { file, caption })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_course_is_the_level_of_the_difference() {
        let (a, mut b) = (vec![vec![0.5_f32; 250]], vec![vec![0.5_f32; 250]]);
        b[0][100..200].fill(0.4);
        let course = course(&a, &b, 100, 1000);
        assert_eq!(course.iter().map(|p| p.0).collect::<Vec<_>>(), [0.0, 0.1, 0.2]);
        assert_eq!([course[0].1, course[2].1], [FLOOR_DB; 2]);
        assert!((course[1].1 + 20.0).abs() < 1e-3, "{}", course[1].1);
    }

    #[test]
    fn the_first_sound_is_shown() {
        let mut shown = Shown::default();
        shown.keep("a", Way::Offline, vec![vec![1.0; 10]]);
        shown.keep("a", Way::CutBlocks(4), vec![vec![2.0; 10]]);
        shown.keep("b", Way::Offline, vec![vec![3.0; 10]]);
        shown.keep("b", Way::OverlapAdd(4), vec![vec![3.0; 10]]);
        assert_eq!(shown.of(Way::Offline), [[1.0; 10]]);
        assert_eq!(shown.played.len(), 2);
        assert_eq!(middle(vec![(0..40).map(|n| n as f32).collect()], 10)[0][0], 12.0);
    }
}
