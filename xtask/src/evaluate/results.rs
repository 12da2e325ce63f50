//! What was found, as it is told and as it is saved.

use runnel::InstructionSet;
use serde::Serialize;

use super::clicks::clicks;
use super::distance::{Spectra, difference, rms};
use super::pictures::Picture;
use super::speed::Speed;
use super::ways::{Planes, Subject, Way};

/// Everything.
#[derive(Serialize)]
pub(super) struct Evaluation {
    /// Processor, number of cores, instruction set of the kernels, system.
    pub(super) machine: String,
    /// The command line.
    pub(super) command: String,
    pub(super) sounds: String,
    pub(super) models: Vec<ModelResult>,
}

/// One model.
#[derive(Serialize)]
pub(super) struct ModelResult {
    pub(super) name: String,
    pub(super) description: String,
    /// What the user says of it.
    pub(super) note: Option<String>,
    pub(super) sampling_rate: u32,
    pub(super) hop_samples: usize,
    pub(super) receptive_field_samples: (Option<u64>, u64),
    /// Each way over all sounds.
    pub(super) ways: Vec<WayResult>,
    pub(super) speed: Speed,
    pub(super) pictures: Vec<Picture>,
    /// Each way on each sound.
    pub(super) sounds: Vec<Heard>,
}

/// One way over all sounds, beside offline.
#[derive(Serialize)]
pub(super) struct WayResult {
    #[serde(serialize_with = "as_text")]
    pub(super) way: Way,
    pub(super) distance_mean: f64,
    pub(super) distance_worst: f64,
    pub(super) largest_difference: f64,
    /// RMS of the difference over all sounds, in dB of offline's RMS; none where there is no difference at all.
    pub(super) error_db: Option<f64>,
    pub(super) clicks: usize,
    pub(super) joins: usize,
    pub(super) latency_samples: Option<u64>,
    pub(super) cpu_per_second: Option<f64>,
}

/// One way on one sound, beside offline.
#[derive(Serialize)]
pub(super) struct Heard {
    sound: String,
    #[serde(serialize_with = "as_text")]
    way: Way,
    distance: f64,
    largest_difference: f64,
    rms_difference: f64,
    offline_rms: f64,
    clicks: usize,
    joins: usize,
    #[serde(skip)]
    latency_samples: Option<u64>,
}

/// What the trained model, run whole, makes of a sound.
pub(super) struct Reference {
    planes: Planes,
    spectra: Spectra,
    rms: f64,
}

impl Reference {
    pub(super) fn new(planes: Planes) -> Self {
        Self { spectra: Spectra::of(&planes), rms: rms(&planes), planes }
    }
}

impl Heard {
    pub(super) fn new(sound: &str, way: Way, subject: &Subject, offline: &Reference, played: &Planes) -> Self {
        let (largest, rms) = difference(&offline.planes, played);
        let joins = way.joins(subject, played[0].len());
        let clicks = played.iter().zip(&offline.planes).map(|(played, own)| clicks(played, own, &joins)).sum();
        Self {
            sound: sound.into(),
            way,
            distance: round(offline.spectra.distance(&Spectra::of(played))),
            largest_difference: round(largest),
            rms_difference: round(rms),
            offline_rms: round(offline.rms),
            clicks,
            joins: joins.len() * played.len(),
            latency_samples: way.latency_samples(subject),
        }
    }
}

impl ModelResult {
    pub(super) fn new(subject: &Subject, sounds: Vec<Heard>, speed: Speed, pictures: Vec<Picture>) -> Self {
        let streams = &subject.opened().streams;
        Self {
            name: subject.name().into(),
            description: streams.info.description.clone(),
            note: None,
            sampling_rate: subject.sampling_rate(),
            hop_samples: streams.forward.hop_frames() as usize,
            receptive_field_samples: streams.forward.receptive_field_samples(),
            ways: subject.ways().iter().map(|way| WayResult::of(*way, &sounds, &speed)).collect(),
            speed,
            pictures,
            sounds,
        }
    }

    /// With what the user says of it in `notes`, by names.
    pub(super) fn noted(mut self, notes: &[(String, String)]) -> Self {
        self.note = notes.iter().find(|(name, _)| *name == self.name).map(|(_, note)| note.clone());
        self
    }

    /// Those of the ways that `wanted` takes.
    pub(super) fn ways(&self, wanted: impl Fn(Way) -> bool) -> impl Iterator<Item = &WayResult> {
        self.ways.iter().filter(move |result| wanted(result.way))
    }
}

impl WayResult {
    fn of(way: Way, sounds: &[Heard], speed: &Speed) -> Self {
        let heard: Vec<_> = sounds.iter().filter(|heard| heard.way == way).collect();
        let energy = |value: fn(&Heard) -> f64| heard.iter().map(|h| value(h).powi(2)).sum::<f64>();
        let error_db = 10.0 * (energy(|h| h.rms_difference) / energy(|h| h.offline_rms).max(1e-30)).log10();
        let worst = |value: fn(&Heard) -> f64| heard.iter().map(|h| value(h)).fold(0.0, f64::max);
        Self {
            way,
            distance_mean: round(heard.iter().map(|h| h.distance).sum::<f64>() / heard.len().max(1) as f64),
            distance_worst: worst(|h| h.distance),
            largest_difference: worst(|h| h.largest_difference),
            error_db: error_db.is_finite().then_some(round(error_db)),
            clicks: heard.iter().map(|h| h.clicks).sum(),
            joins: heard.iter().map(|h| h.joins).sum(),
            latency_samples: heard.first().and_then(|h| h.latency_samples),
            cpu_per_second: speed.of(way),
        }
    }
}

impl Evaluation {
    pub(super) fn new(sounds: &str, models: Vec<ModelResult>) -> Self {
        let arguments = std::env::args().skip(1).map(|argument| quoted(&argument)).collect::<Vec<_>>().join(" ");
        Self {
            machine: machine(),
            command: format!("cargo xtask {arguments}").trim_end().into(),
            sounds: sounds.into(),
            models,
        }
    }
}

/// To four digits: what more there is differs from run to run.
pub(super) fn round(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    format!("{value:.3e}").parse().unwrap_or(value)
}

/// As a shell reads it.
fn quoted(argument: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=,+:@%".contains(c);
    if !argument.is_empty() && argument.chars().all(plain) {
        return argument.into();
    }
    format!("'{}'", argument.replace('\'', r"'\''"))
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let information = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named = information.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let processor = named.map_or("unknown processor".into(), |(_, name)| name.trim().to_owned());
    let set = InstructionSet::available().into_iter().last().map_or("portable".into(), |set| set.to_string());
    let (system, architecture) = (std::env::consts::OS, std::env::consts::ARCH);
    format!("{processor}, {cores} cores visible, {set} kernels, {system} {architecture}; one thread")
}

fn as_text<S: serde::Serializer>(way: &Way, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(way)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_digits_are_kept() {
        assert_eq!([round(0.0), round(123_456.0), round(-0.000_123_456)], [0.0, 123_500.0, -0.000_123_5]);
        assert_eq!(round(f64::INFINITY), f64::INFINITY);
    }

    #[test]
    fn arguments_are_quoted_where_a_shell_needs_it() {
        assert_eq!(["a/b.ts", "", "two words", "it's"].map(quoted), ["a/b.ts", "''", "'two words'", r"'it'\''s'"]);
    }

    #[test]
    fn a_way_is_summed_up_over_its_sounds_only() {
        let heard = |way, distance, rms_difference| Heard {
            sound: "a".into(),
            way,
            distance,
            largest_difference: 2.0 * rms_difference,
            rms_difference,
            offline_rms: 1.0,
            clicks: 3,
            joins: 10,
            latency_samples: Some(7),
        };
        let way = Way::CutBlocks(64);
        let sounds = [heard(way, 0.5, 0.1), heard(way, 1.5, 0.1), heard(Way::Offline, 0.0, 0.0)];
        let speed = Speed { streams: vec![], windows: vec![] };
        let sum = WayResult::of(way, &sounds, &speed);
        assert_eq!([sum.distance_mean, sum.distance_worst, sum.largest_difference], [1.0, 1.5, 0.2]);
        assert_eq!((sum.error_db, sum.clicks, sum.joins, sum.latency_samples), (Some(-20.0), 6, 20, Some(7)));
        assert_eq!(WayResult::of(Way::Offline, &sounds, &speed).error_db, None);
    }
}
