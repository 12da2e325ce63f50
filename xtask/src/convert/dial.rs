//! The latency dial: `convert --latency` and `--curve`.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use runnel::Model;
use runnel::refit::{self, Clip, Distance, Record, Refitter};
use runnel::sound;
use serde::Serialize;

use crate::audio::{self, named_like_audio, resample::resample};
use crate::canvas::{Canvas, Region};
use crate::chart::{Axis, Chart, PALETTE, Series, Shape};
use crate::model::refused;
use crate::output::Output;
use crate::progress::Progress;
use crate::report::{self, Align};

/// A latency: a number of samples, or of milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Latency {
    Samples(u64),
    Milliseconds(f64),
}

/// Milliseconds that a curve shows, where the model allows them.
const CURVE_MS: [f64; 8] = [400.0, 250.0, 170.0, 100.0, 60.0, 50.0, 40.0, 30.0];
/// Seconds of synthesized calibration audio.
const SYNTHESIZED_SECONDS: usize = 300;

impl Latency {
    fn samples(self, sampling_rate: u32) -> u64 {
        match self {
            Self::Samples(samples) => samples,
            Self::Milliseconds(ms) => (ms * 1e-3 * f64::from(sampling_rate)) as u64,
        }
    }
}

impl FromStr for Latency {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let needed = || "a latency such as 100ms, or a number of samples such as 4410, is needed".to_owned();
        match text.strip_suffix("ms") {
            Some(number) => match number.trim().parse::<f64>() {
                Ok(ms) if (0.0..1e6).contains(&ms) => Ok(Self::Milliseconds(ms)),
                _ => Err(needed()),
            },
            None => text.parse().map(Self::Samples).map_err(|_| needed()),
        }
    }
}

/// `model`, measured for refitting, on the sounds in `folder`, or on synthesized ones.
pub(super) fn refitter(
    model: &Model,
    folder: Option<&Path>,
    asked: Option<Latency>,
    source: &Path,
) -> Result<Refitter> {
    let refused = |e: refit::RefitError| refused("refit", source, &e);
    if let Some(asked) = asked {
        let (asked, least) = (asked.samples(model.info.sampling_rate), refit::least_samples(model).map_err(refused)?);
        if asked < least {
            bail!(refused(refit::RefitError::Impossible { asked, least }));
        }
    }
    let (clips, on) = match folder {
        Some(folder) => read(folder, model.info.sampling_rate)?,
        None => synthesized(model.info.sampling_rate)?,
    };
    watched(|progress| Refitter::new(model, &clips, &on, progress)).map_err(refused)
}

/// The model at `asked`.
pub(super) fn refit(refitter: &Refitter, asked: Latency, sampling_rate: u32, source: &Path) -> Result<Model> {
    watched(|progress| refitter.refit(asked.samples(sampling_rate), progress)).map_err(|e| refused("refit", source, &e))
}

/// Lines for people.
pub(crate) fn facts(record: &Record, sampling_rate: u32) -> Vec<(&'static str, String)> {
    let seconds = |samples: u64| format!("{:.0} s", samples as f64 / f64::from(sampling_rate));
    let Record { to_original, to_input, exact_to_input, .. } = record;
    let mut lines = vec![
        ("refitted", format!("exact: {}", report::latency(record.exact_samples, sampling_rate))),
        ("", format!("asked for: {}", report::latency(record.asked_samples, sampling_rate))),
        ("calibrated", format!("on {} of {}", seconds(record.calibration_samples), record.calibrated_on)),
        ("measured", format!("on {} that were held out", seconds(record.held_out_samples))),
        ("  to original", distance(to_original)),
    ];
    if let (Some(refitted), Some(exact)) = (to_input, exact_to_input) {
        let times = refitted.log_spectral / exact.log_spectral.max(1e-9);
        lines.push(("  to input", format!("{}, {times:.3} times the exact model's", distance(refitted))));
        lines.push(("  exact to input", distance(exact)));
    }
    lines
}

/// What was cut, layer by layer.
pub(super) fn layers(record: &Record) -> String {
    let heads = [
        ("layer", Align::Left),
        ("frames ahead", Align::Right),
        ("kept", Align::Right),
        ("error, held", Align::Right),
        ("refitted", Align::Right),
        ("ridge", Align::Right),
    ];
    let percent = |power: f64| format!("{:.2} %", 100.0 * power);
    let rows = record.layers.iter().map(|layer| {
        vec![
            layer.node.clone(),
            layer.lookahead_frames.to_string(),
            layer.kept_frames.to_string(),
            percent(layer.held_error),
            percent(layer.error),
            format!("{:.0e}", layer.ridge),
        ]
    });
    report::table(&heads, &rows.collect::<Vec<_>>())
}

/// The whole curve as a table, and as a picture at `picture`.
pub(super) fn curve(model: &Model, refitter: &Refitter, source: &Path, picture: &Path, json: bool) -> Result<()> {
    let output = Output::create(picture, &[source])?;
    let rate = model.info.sampling_rate;
    let mut records = Vec::new();
    for ms in CURVE_MS {
        let asked = Latency::Milliseconds(ms);
        if asked.samples(rate) >= refitter.exact_samples() {
            continue;
        }
        match refit(refitter, asked, rate, source) {
            Ok(model) => records.extend(model.info.refit),
            Err(error) => {
                report::warn(&format!("{error:#}"));
                break;
            }
        }
    }
    if records.is_empty() {
        bail!(
            "{} has too little latency for a curve: {}",
            source.display(),
            report::latency(refitter.exact_samples(), rate)
        );
    }
    draw(model, &records, output)?;
    if json {
        #[derive(Serialize)]
        struct Curve<'a> {
            picture: &'a Path,
            points: &'a [Record],
        }
        return report::print_json(&Curve { picture, points: &records });
    }
    report::print(&table(&records, rate))?;
    report::print(&format!("\nwrote {}", picture.display()))
}

fn table(records: &[Record], rate: u32) -> String {
    let ms = |samples: u64| format!("{:.1} ms", samples as f64 * 1e3 / f64::from(rate));
    let heads = [
        ("asked", Align::Right),
        ("reached", Align::Right),
        ("layers cut", Align::Right),
        ("to original", Align::Right),
        ("waveform", Align::Right),
        ("to input", Align::Right),
        ("of the exact's", Align::Right),
    ];
    let row = |record: &Record| {
        let exact = record.exact_to_input.map(|d| d.log_spectral);
        let times = record.to_input.zip(exact).map(|(d, exact)| d.log_spectral / exact.max(1e-9));
        vec![
            ms(record.asked_samples),
            ms(record.reached_samples),
            record.layers.len().to_string(),
            format!("{:.3}", record.to_original.log_spectral),
            decibels(&record.to_original),
            record.to_input.map_or("–".into(), |d| format!("{:.3}", d.log_spectral)),
            times.map_or("–".into(), |times| format!("{times:.3}")),
        ]
    };
    report::table(&heads, &records.iter().map(row).collect::<Vec<_>>())
}

fn draw(model: &Model, records: &[Record], mut output: Output) -> Result<()> {
    const WIDTH: usize = 1000;
    const HEIGHT: usize = 480;
    let rate = f64::from(model.info.sampling_rate);
    let ms = |record: &Record| record.reached_samples as f64 * 1e3 / rate;
    let mut by_latency: Vec<&Record> = records.iter().collect();
    by_latency.sort_by_key(|record| record.reached_samples);
    let points = |of: fn(&Record) -> Option<f64>| -> Vec<(f64, f64)> {
        by_latency.iter().filter_map(|record| Some((ms(record), of(record)?))).collect()
    };
    let line = |name: &str, colour, shape, points| Series { name: name.into(), colour: PALETTE[colour], shape, points };
    let series = vec![
        line("to original", 0, Shape::Line, points(|r| Some(r.to_original.log_spectral))),
        line("to input", 1, Shape::Line, points(|r| Some(r.to_input?.log_spectral))),
        line("exact to input", 1, Shape::Dashes, points(|r| Some(r.exact_to_input?.log_spectral))),
    ];
    let series: Vec<Series> = series.into_iter().filter(|series| !series.points.is_empty()).collect();
    let most = series.iter().flat_map(|s| &s.points).map(|p| p.1).fold(0.0, f64::max);
    let latencies: Vec<f64> = by_latency.iter().map(|record| ms(record).round()).collect();
    let chart = Chart {
        title: format!("{}: log-spectral distance", model.info.name),
        x: Axis::logarithmic("ms of latency", latencies.iter().copied()).naming(&latencies),
        y: Axis::linear("ln", most),
        series,
    };
    let mut canvas = Canvas::new(WIDTH, HEIGHT);
    chart.draw(&mut canvas, Region { x: 0, y: 0, width: WIDTH, height: HEIGHT });
    canvas.write_png(output.file())?;
    output.commit()
}

fn distance(distance: &Distance) -> String {
    format!("log-spectral {:.3}, waveform {}", distance.log_spectral, decibels(distance))
}

fn decibels(distance: &Distance) -> String {
    distance.waveform_db.map_or("equal".into(), |db| format!("{db:.1} dB"))
}

/// Every sound file in `folder` and below, in the order of their paths.
fn read(folder: &Path, sampling_rate: u32) -> Result<(Vec<Clip>, String)> {
    if !folder.is_dir() {
        bail!("cannot calibrate on {}: it is not a folder; give a folder of sound files", folder.display());
    }
    let mut files = Vec::new();
    list(folder, 0, &mut files)?;
    if files.is_empty() {
        let cure = "put .wav, .flac, .mp3, .ogg or .aiff files there, or leave --calibrate out";
        bail!("cannot calibrate on {}: no sound file in it; {cure}", folder.display());
    }
    files.sort();
    let mut progress = Progress::new("Reading calibration audio", files.len());
    let mut clips = Vec::new();
    for file in &files {
        let clip = audio::read(file)?;
        let channels = resample(&clip.channels, clip.sampling_rate.unwrap_or(sampling_rate), sampling_rate)?;
        clips.push(Clip { name: file.display().to_string(), channels });
        progress.advance(1);
    }
    Ok((clips, format!("{} {} of {}", files.len(), report::plural(files.len() as u64, "file"), folder.display())))
}

/// Folders within folders that are looked into, and files taken, at most.
const MOST_DEPTH: usize = 8;
const MOST_FILES: usize = 10_000;

fn list(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot read the folder {}", folder.display()))? {
        let path = entry.with_context(|| format!("cannot read the folder {}", folder.display()))?.path();
        if path.is_dir() && depth < MOST_DEPTH && !path.is_symlink() {
            list(&path, depth + 1, files)?;
        } else if path.is_file() && named_like_audio(&path) {
            files.push(path);
        }
        if files.len() > MOST_FILES {
            bail!("{} holds more than {MOST_FILES} sound files; give a folder of fewer", folder.display());
        }
    }
    Ok(())
}

fn synthesized(sampling_rate: u32) -> Result<(Vec<Clip>, String)> {
    let track = sound::track(1, SYNTHESIZED_SECONDS * sound::SAMPLING_RATE as usize);
    let channels = resample(&[track], sound::SAMPLING_RATE, sampling_rate)?;
    let on = "synthesized sounds, for want of --calibrate; the model's own training set is best".to_owned();
    Ok((vec![Clip { name: "synthesized sounds".into(), channels }], on))
}

/// Runs `work` beside a bar.
fn watched<T>(work: impl FnOnce(&mut dyn FnMut(refit::Progress)) -> T) -> T {
    let mut bar: Option<(&'static str, u64, Progress)> = None;
    work(&mut |now| {
        if bar.as_ref().is_none_or(|(stage, ..)| *stage != now.stage) {
            bar = Some((now.stage, 0, Progress::new(now.stage, now.total as usize)));
        }
        if let Some((_, done, bar)) = &mut bar {
            bar.advance(now.done.saturating_sub(*done) as usize);
            *done = now.done;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_samples_or_milliseconds() {
        assert_eq!("100ms".parse(), Ok(Latency::Milliseconds(100.0)));
        assert_eq!("4410".parse(), Ok(Latency::Samples(4410)));
        assert_eq!(Latency::Milliseconds(100.0).samples(44_100), 4410);
        for wrong in ["", "ms", "-5ms", "NaNms", "infms", "-1", "1.5", "100s"] {
            assert!(wrong.parse::<Latency>().is_err(), "{wrong}");
        }
    }
}
