//! The sounds that models are evaluated on.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use runnel::sound;

use super::ways::Subject;
use crate::audio::{self, Clip, named_like_audio};
use crate::input;
use crate::progress::spin;
use crate::report::grouped;

/// Sounds, by name.
pub(super) struct Sounds {
    clips: Vec<Sound>,
    origin: String,
}

/// One of them.
pub(super) struct Sound {
    pub(super) name: String,
    pub(super) clip: Clip,
}

/// Where `xtask/evaluate/clips.py` writes to.
const CLIPS: &str = "target/evaluate/clips";
/// The command that makes them.
const MAKE: &str = "xtask/evaluate/setup.sh && target/evaluate/venv/bin/python xtask/evaluate/clips.py";
/// Names of synthesized sounds that the demo model was not trained on.
const SEEDS: std::ops::Range<u64> = 9001..9005;

/// The sounds in `folder`, each from its start and no longer than `seconds`; without a folder those that
/// `xtask/evaluate/clips.py` made, or else synthesized ones.
///
/// # Errors
/// When the folder cannot be read or holds no sound, or one of its sounds cannot be read.
pub(super) fn find(folder: Option<&Path>, seconds: f64) -> Result<Sounds> {
    match folder {
        Some(folder) => Sounds::read(folder, seconds, "{count} sounds of the user's".into()),
        None => {
            let folder = super::workspace().join(CLIPS);
            if folder.is_dir() {
                Sounds::read(&folder, seconds, "{count} clips made by `xtask/evaluate/clips.py`".into())
            } else {
                Ok(Sounds::synthesized(seconds))
            }
        }
    }
}

impl Sounds {
    fn read(folder: &Path, seconds: f64, origin: String) -> Result<Self> {
        let metadata = std::fs::metadata(folder).map_err(|e| input::explain(&e, folder))?;
        if !metadata.is_dir() {
            bail!(
                "cannot read sounds from {}: it is no folder; name the folder that the sounds are in",
                folder.display()
            );
        }
        let entries = std::fs::read_dir(folder).map_err(|e| input::explain(&e, folder))?;
        let paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>();
        let paths = paths.map_err(|e| input::explain(&e, folder))?;
        let mut paths: Vec<_> = paths.into_iter().filter(|path| path.is_file() && is_sound(path)).collect();
        paths.sort();
        if paths.is_empty() {
            bail!(
                "{} holds no sound: no .wav, .flac, .mp3, .ogg or .aiff file; name a folder with some, or make clips \
                 with {MAKE}",
                folder.display()
            );
        }
        let read = |path: PathBuf| -> Result<Sound> {
            let mut clip = audio::read(&path)?;
            let rate = clip.sampling_rate.with_context(|| format!("{} tells no sampling rate", path.display()))?;
            let most = (seconds * f64::from(rate)).round() as usize;
            clip.channels.iter_mut().for_each(|channel| channel.truncate(most));
            Ok(Sound { name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), clip })
        };
        let clips = spin("Reading sounds", || paths.into_iter().map(read).collect::<Result<Vec<_>>>())?;
        Ok(Self { origin: origin.replace("{count}", &clips.len().to_string()), clips })
    }

    fn synthesized(seconds: f64) -> Self {
        let rate = sound::SAMPLING_RATE;
        let sound = |seed: u64| {
            let channel = sound::track(seed, (seconds * f64::from(rate)).round() as usize);
            let clip = Clip { channels: vec![channel], sampling_rate: Some(rate) };
            Sound { name: format!("synthesized-{}", seed - SEEDS.start + 1), clip }
        };
        let origin = format!(
            "{} tracks of synthesized notes, plucks, drums, noises, vowels, sweeps and bells, for {CLIPS} is not there; \
             `{MAKE}` makes clips of music and speech",
            SEEDS.count()
        );
        Self { clips: SEEDS.map(sound).collect(), origin }
    }

    /// # Errors
    /// When a sound is shorter than the longest window that `subject` is run on.
    pub(super) fn check(&self, subject: &Subject) -> Result<()> {
        let longest = subject.lengths().into_iter().max().unwrap_or(0);
        for Sound { name, clip } in &self.clips {
            let rate = clip.sampling_rate.unwrap_or(subject.sampling_rate());
            let frames = audio::resample::length(clip.frames(), rate, subject.sampling_rate());
            if frames < longest {
                bail!(
                    "{name} is too short: {} samples at {} Hz, the rate of {}; a window of {} needs as many; take \
                     longer sounds, raise --seconds, or lower --windows",
                    grouped(frames as u64),
                    subject.sampling_rate(),
                    subject.name(),
                    grouped(longest as u64)
                );
            }
        }
        Ok(())
    }

    pub(super) fn clips(&self) -> &[Sound] {
        &self.clips
    }

    /// What they are, in words.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }
}

fn is_sound(path: &Path) -> bool {
    named_like_audio(path) && path.extension().is_none_or(|e| !e.eq_ignore_ascii_case("npy"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn synthesized_sounds_have_their_length_and_say_what_they_are() {
        let sounds = Sounds::synthesized(0.25);
        assert_eq!(sounds.clips().len(), 4);
        assert!(sounds.clips().iter().all(|s| s.clip.frames() == 11_025));
        assert!(sounds.origin().starts_with("4 tracks") && sounds.origin().contains("clips.py"), "{}", sounds.origin());
    }

    #[test]
    fn sounds_are_found_by_name_and_arrays_are_none() {
        for (name, sound) in [("a.wav", true), ("b.FLAC", true), ("c.npy", false), ("d.txt", false), ("e", false)] {
            assert_eq!(is_sound(Path::new(name)), sound, "{name}");
        }
    }
}
