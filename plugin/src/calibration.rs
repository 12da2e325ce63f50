//! The sounds that a refit is calibrated on: those in a folder beside the model, or synthesized ones.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use hound::{SampleFormat, WavReader};
use runnel::refit::Clip;
use runnel::sound;

use crate::hosted::RATES;
use crate::model_file::fingerprint;
use crate::resample::{Filter, Resampler, Start};

/// Where the sounds come from. Shown, it says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sounds {
    /// Synthesized, for want of a folder, or of a sound in this one.
    Synthesized {
        /// A folder without a sound.
        empty: Option<PathBuf>,
    },
    /// Files of this folder.
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Its files, in the order of their paths, and when each was changed, with its size.
        files: Vec<(PathBuf, [u64; 2])>,
    },
}

/// What the folder is called: alone, and after the name of one model.
const NAME: &str = "calibration";
/// Files that are used, entries that are looked at, and folders within folders, at most.
const MOST_FILES: usize = 2_000;
const MOST_ENTRIES: usize = 20_000;
const MOST_DEPTH: usize = 4;
/// Channels of a file, at most.
const MOST_CHANNELS: u16 = 64;
/// Frames that are resampled at once.
const PIECE: usize = 4096;

impl Sounds {
    /// Those for the model at `path`: of the folder `NAME calibration` beside it, where NAME is the model's, or else of
    /// `calibration`.
    pub fn beside(path: &Path) -> Self {
        let stem = if path.is_dir() { path.file_name() } else { path.file_stem() };
        let own = stem.map(|stem| format!("{} {NAME}", stem.to_string_lossy()));
        let folders = own.iter().map(String::as_str).chain([NAME]);
        let folder = folders.map(|name| path.with_file_name(name)).find(|folder| folder.is_dir());
        let Some(folder) = folder else { return Self::Synthesized { empty: None } };
        let mut files = vec![];
        list(&folder, 0, &mut MOST_ENTRIES.clone(), &mut files);
        files.sort();
        files.truncate(MOST_FILES);
        if files.is_empty() { Self::Synthesized { empty: Some(folder) } } else { Self::Folder { folder, files } }
    }

    /// As it is shown, without folders.
    pub fn in_short(&self) -> String {
        let name = |folder: &PathBuf| folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match self {
            Self::Synthesized { empty: None } => self.to_string(),
            Self::Synthesized { empty: Some(folder) } => {
                format!("synthesized sounds: no .wav in “{}”", name(folder))
            }
            Self::Folder { folder, files } => format!("{} {} of “{}”", files.len(), plural(files.len()), name(folder)),
        }
    }

    /// Tells them from others: what is synthesized is always the same, files are told by name, size and time.
    pub fn identity(&self) -> u64 {
        let mut bytes = vec![];
        if let Self::Folder { folder, files } = self {
            for (path, facts) in files {
                bytes.extend_from_slice(path.strip_prefix(folder).unwrap_or(path).to_string_lossy().as_bytes());
                facts.iter().for_each(|fact| bytes.extend_from_slice(&fact.to_le_bytes()));
            }
        }
        fingerprint(bytes)
    }

    /// At most `samples` samples of them at `sampling_rate`: of files, each gives as many as the others, if it has them,
    /// from its start. `pause` is called now and then, and may unwind.
    ///
    /// # Errors
    /// In words, when a file cannot be used.
    pub fn clips(&self, sampling_rate: u32, samples: usize, pause: &mut dyn FnMut()) -> Result<Vec<Clip>, String> {
        let Self::Folder { files, .. } = self else {
            let frames = samples as f64 * f64::from(sound::SAMPLING_RATE) / f64::from(sampling_rate);
            let track = sound::track(1, frames as usize);
            let channels = resampled(vec![track], sound::SAMPLING_RATE, sampling_rate, pause);
            return Ok(vec![Clip { name: self.to_string(), channels }]);
        };
        let (mut clips, mut left) = (vec![], samples);
        for (number, (path, _)) in files.iter().enumerate() {
            pause();
            let share = left / (files.len() - number);
            let channels = wav(path, sampling_rate, share, pause)
                .map_err(|reason| format!("{} cannot be calibrated on: {reason}", path.display()))?;
            left -= share.min(channels[0].len());
            clips.push(Clip { name: path.display().to_string(), channels });
        }
        Ok(clips)
    }
}

impl fmt::Display for Sounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Synthesized { empty: None } => f.write_str("synthesized sounds"),
            Self::Synthesized { empty: Some(folder) } => {
                write!(f, "synthesized sounds: there is no .wav in {}", folder.display())
            }
            Self::Folder { folder, files } => {
                write!(f, "{} {} of {}", files.len(), plural(files.len()), folder.display())
            }
        }
    }
}

fn plural(files: usize) -> &'static str {
    if files == 1 { "file" } else { "files" }
}

fn list(folder: &Path, depth: usize, entries_left: &mut usize, files: &mut Vec<(PathBuf, [u64; 2])>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if *entries_left == 0 {
            return;
        }
        *entries_left -= 1;
        let path = entry.path();
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() && depth < MOST_DEPTH {
            list(&path, depth + 1, entries_left, files);
        } else if path.extension().is_some_and(|end| end.eq_ignore_ascii_case("wav"))
            && let Ok(facts) = fs::metadata(&path)
            && facts.is_file()
        {
            let changed = facts.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            files.push((path, [changed.map_or(0, |since| since.as_millis() as u64), facts.len()]));
        }
    }
}

/// The start of a file, at most `samples` samples at `sampling_rate`.
fn wav(path: &Path, sampling_rate: u32, samples: usize, pause: &mut dyn FnMut()) -> Result<Vec<Vec<f32>>, String> {
    let cure = "save it as a .wav of 16, 24 or 32 bits, or take it out of the folder";
    let refused = |e: hound::Error| format!("{e}; {cure}");
    let mut reader = WavReader::open(path).map_err(refused)?;
    let spec = reader.spec();
    if !RATES.contains(&spec.sample_rate) || !(1..=MOST_CHANNELS).contains(&spec.channels) {
        return Err(format!("it claims {} channels at {} Hz; {cure}", spec.channels, spec.sample_rate));
    }
    let frames = samples as u64 * u64::from(spec.sample_rate) / u64::from(sampling_rate);
    let values = frames as usize * usize::from(spec.channels);
    let scale = 1.0 / (1_u64 << (spec.bits_per_sample.clamp(1, 32) - 1)) as f32;
    let read: Result<Vec<f32>, hound::Error> = match spec.sample_format {
        SampleFormat::Float => reader.samples::<f32>().take(values).collect(),
        SampleFormat::Int => reader.samples::<i32>().take(values).map(|v| v.map(|v| v as f32 * scale)).collect(),
    };
    let read = read.map_err(refused)?;
    if let Some(at) = read.iter().position(|value| !value.is_finite()) {
        return Err(format!("sample {} is not a number; {cure}", at / usize::from(spec.channels)));
    }
    let channels = usize::from(spec.channels);
    let of_channel = |c: usize| read.iter().skip(c).step_by(channels).copied().collect();
    let mut channels: Vec<Vec<f32>> = (0..channels).map(of_channel).collect();
    let shortest = channels.iter().map(Vec::len).min().unwrap_or(0);
    channels.iter_mut().for_each(|channel| channel.truncate(shortest));
    Ok(resampled(channels, spec.sample_rate, sampling_rate, pause))
}

/// `channels` at another rate, frame 0 at its instant.
fn resampled(channels: Vec<Vec<f32>>, from: u32, to: u32, pause: &mut dyn FnMut()) -> Vec<Vec<f32>> {
    if from == to {
        return channels;
    }
    let filter = Filter::new(from, to);
    let most = filter.most_made_of(PIECE);
    let frames = channels[0].len();
    let wanted = (frames as u64 * u64::from(to) / u64::from(from)) as usize;
    let mut resampler = Resampler::new(filter, channels.len(), Start { input: 0, output: 0 }, PIECE);
    let mut made = vec![Vec::with_capacity(wanted); channels.len()];
    let mut due = vec![vec![0.0; most]; channels.len()];
    let mut at = 0;
    while made[0].len() < wanted {
        pause();
        // Silence follows the end.
        let piece = |channel: &Vec<f32>| (at..at + PIECE).map(|i| channel.get(i).copied().unwrap_or(0.0)).collect();
        let pieces: Vec<Vec<f32>> = channels.iter().map(piece).collect();
        resampler.push(&pieces, PIECE);
        at += PIECE;
        let count = resampler.pull(&mut due, most);
        for (made, due) in made.iter_mut().zip(&due) {
            let new = count.min(wanted - made.len());
            made.extend_from_slice(&due[..new]);
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use hound::{WavSpec, WavWriter};

    use super::*;
    use crate::folders::TestFolder;

    fn write(path: &Path, spec: WavSpec, frames: usize) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut writer = WavWriter::create(path, spec).unwrap();
        for n in 0..frames {
            let value = 0.5 * (0.05 * n as f32).sin();
            for channel in 0..spec.channels {
                let value = if channel == 0 { value } else { -value };
                match spec.sample_format {
                    SampleFormat::Float => writer.write_sample(value).unwrap(),
                    SampleFormat::Int => {
                        writer.write_sample((value * (1 << (spec.bits_per_sample - 1)) as f32) as i32).unwrap();
                    }
                }
            }
        }
        writer.finalize().unwrap();
    }

    fn spec(sample_rate: u32, channels: u16, bits_per_sample: u16) -> WavSpec {
        let sample_format = if bits_per_sample == 32 { SampleFormat::Float } else { SampleFormat::Int };
        WavSpec { channels, sample_rate, bits_per_sample, sample_format }
    }

    #[test]
    fn a_models_own_folder_comes_before_the_shared_one() {
        let folder = TestFolder::new("calibration-places");
        let model = folder.0.join("drums ä.runnel");
        assert_eq!(Sounds::beside(&model), Sounds::Synthesized { empty: None });
        fs::create_dir_all(folder.0.join("calibration/deep")).unwrap();
        let none = Sounds::beside(&model);
        assert_eq!(none, Sounds::Synthesized { empty: Some(folder.0.join("calibration")) });
        assert!(none.to_string().contains("synthesized sounds: there is no .wav in"), "{none}");
        assert_eq!(none.identity(), Sounds::Synthesized { empty: None }.identity());
        write(&folder.0.join("calibration/deep/b.WAV"), spec(44_100, 1, 16), 100);
        write(&folder.0.join("calibration/a.wav"), spec(44_100, 1, 16), 100);
        let shared = Sounds::beside(&model);
        assert!(shared.to_string().starts_with("2 files of "), "{shared}");
        let own = folder.0.join("drums ä calibration");
        write(&own.join("c.wav"), spec(44_100, 1, 16), 100);
        let own = Sounds::beside(&model);
        assert!(own.to_string().ends_with("drums ä calibration"), "{own}");
        assert_ne!(own.identity(), shared.identity());
        assert_eq!(Sounds::beside(&folder.0.join("bass.ts")), shared);
    }

    #[test]
    fn another_file_is_another_identity() {
        let folder = TestFolder::new("calibration-identity");
        let (model, file) = (folder.0.join("a.runnel"), folder.0.join("calibration/a.wav"));
        write(&file, spec(44_100, 1, 16), 100);
        let first = Sounds::beside(&model).identity();
        assert_eq!(Sounds::beside(&model).identity(), first);
        write(&file, spec(44_100, 1, 16), 101);
        assert_ne!(Sounds::beside(&model).identity(), first);
    }

    #[test]
    fn files_of_any_kind_share_the_time() {
        let folder = TestFolder::new("calibration-kinds");
        let at = |name: &str| folder.0.join("calibration").join(name);
        write(&at("a.wav"), spec(48_000, 1, 16), 20_000);
        write(&at("b.wav"), spec(44_100, 2, 24), 20_000);
        write(&at("c.wav"), spec(22_050, 2, 32), 100_000);
        let sounds = Sounds::beside(&folder.0.join("m.runnel"));
        let clips = sounds.clips(48_000, 90_000, &mut || ()).unwrap();
        let lengths: Vec<_> = clips.iter().map(|clip| clip.channels[0].len()).collect();
        // What the short ones leave, the long one may use.
        assert_eq!(lengths, [20_000, 21_768, 48_230]);
        assert_eq!(clips[1].channels.len(), 2);
        for (clip, rate) in clips.iter().zip([48_000.0, 44_100.0, 22_050.0]) {
            for n in [1_000, 15_000] {
                let expected = 0.5 * (0.05 * n as f64 * rate / 48_000.0).sin();
                assert!((f64::from(clip.channels[0][n]) - expected).abs() < 1e-3, "{} at {n}", clip.name);
            }
        }
        let synthesized = Sounds::Synthesized { empty: None }.clips(48_000, 50_000, &mut || ()).unwrap();
        assert!((49_998..=50_000).contains(&synthesized[0].channels[0].len()));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let folder = TestFolder::new("calibration-bad");
        let file = folder.0.join("calibration/a ä.wav");
        write(&file, spec(44_100, 1, 16), 1_000);
        let whole = fs::read(&file).unwrap();
        let mut slow = whole.clone();
        slow[24..28].copy_from_slice(&7_u32.to_le_bytes());
        let mut endless = whole.clone();
        endless[40..44].copy_from_slice(&u32::MAX.to_le_bytes());
        let mut noise = whole.clone();
        noise[16..36].fill(0xff);
        for bad in [&b""[..], b"noise", &whole[..whole.len() / 2], &slow, &endless, &noise] {
            fs::write(&file, bad).unwrap();
            let sounds = Sounds::beside(&folder.0.join("m.runnel"));
            let reason = sounds.clips(44_100, 10_000, &mut || ()).unwrap_err();
            assert!(reason.contains("a ä.wav cannot be calibrated on: "), "{reason}");
            assert!(reason.contains("take it out of the folder"), "{reason}");
        }
        write(&file, spec(44_100, 1, 32), 10);
        let mut bytes = fs::read(&file).unwrap();
        let end = bytes.len();
        bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
        fs::write(&file, bytes).unwrap();
        let sounds = Sounds::beside(&folder.0.join("m.runnel"));
        let reason = sounds.clips(44_100, 10_000, &mut || ()).unwrap_err();
        assert!(reason.contains("sample 9 is not a number"), "{reason}");
    }
}
