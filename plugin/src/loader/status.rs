//! What people are told about the model.

use std::fmt;
use std::path::PathBuf;

use runnel::refit::Record;

use crate::calibration::Sounds;
use crate::dial::Dial;
use crate::hosted::Format;
use crate::steering::Steered;

/// What people are told about the model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    /// What is going on.
    pub phase: Phase,
    /// The model in use, which a refused one does not replace.
    pub playing: Option<Facts>,
    /// Something worth knowing about the model in use, in a sentence.
    pub note: Option<String>,
    /// What is being done for a shorter latency.
    pub refit: Refit,
}

/// What is being done for a shorter latency, while the model in use plays on. Shown, it is a sentence; nothing when there
/// is nothing to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Refit {
    /// Nothing.
    #[default]
    Idle,
    /// A refit runs, or waits for another one.
    Working {
        /// To this latency.
        dial: Dial,
        /// What of it.
        stage: &'static str,
        /// Steps of that done.
        done: u64,
        /// Steps of that to do; 0 where nobody knows.
        total: u64,
        /// What it is calibrated on.
        on: String,
        /// Bytes that it takes at most, once that is known.
        most_bytes: Option<u64>,
    },
    /// It could not be done, for this reason.
    Refused {
        /// To this latency.
        dial: Dial,
        /// Why.
        reason: String,
    },
}

/// What the loader does, or last did. Shown, it is a sentence; nothing when there is nothing to say.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Phase {
    /// The chosen model is in use, or none is chosen.
    #[default]
    Settled,
    /// On the way to a model.
    Loading {
        /// The file.
        path: String,
        /// How far.
        step: Step,
    },
    /// The file was refused for this reason.
    Refused(String),
    /// A project's model is nowhere to be found. Choosing a file locates it.
    Missing {
        /// The file's name.
        name: String,
        /// Where it was looked for.
        looked_at: Vec<PathBuf>,
    },
    /// A project's model is not loaded unasked, because a host ended while it was read. Choosing it loads it.
    Held {
        /// The file.
        path: PathBuf,
    },
}

/// The steps to a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Looking for the file and reading it.
    Reading,
    /// Making a stream of a checkpoint; the result is kept for the next time.
    Converting,
    /// Deciding what is computed when.
    Planning,
}

/// Facts about the model in use.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// The model's name.
    pub name: String,
    /// What it is, in one line.
    pub description: String,
    /// The file it was read from.
    pub path: PathBuf,
    /// Samples per second it was trained at.
    pub model_rate: u32,
    /// One name per latent; empty without latents.
    pub latent_names: Vec<String>,
    /// Whether a prior can play its latents.
    pub has_prior: bool,
    /// What the host can steer in it.
    pub steered: Vec<Steered>,
    /// Samples before and after its own time that an output sample depends on, at the model's rate; the past may be
    /// without end.
    pub receptive_field: (Option<u64>, u64),
    /// What the host sends, once it has said so.
    pub format: Option<Format>,
    /// Latency in host samples.
    pub latency_samples: usize,
    /// Latency in samples of the model as it was trained, without slack.
    pub exact_samples: u64,
    /// What was given up for a shorter latency.
    pub refit: Option<Record>,
    /// The latencies that it can be asked for; none of a file that was refitted itself.
    pub dials: Vec<Dial>,
    /// What a refit is, or would be, calibrated on.
    pub sounds: Sounds,
    /// Whether it needs no resampling at multiples of its rate.
    pub runs_at_multiples: bool,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settled => Ok(()),
            Self::Loading { path, step } => write!(f, "{step} {path} …"),
            Self::Refused(reason) => write!(f, "Not loaded: {reason}"),
            Self::Missing { name, looked_at } => {
                write!(f, "{name} is missing")?;
                if let Some(first) = looked_at.first() {
                    write!(f, ": it is not at {}", first.display())?;
                }
                if looked_at.len() > 1 {
                    write!(f, ", nor at {} other places", looked_at.len() - 1)?;
                }
                write!(f, ". Choose the file to locate it; until then the project keeps what it knows of it.")
            }
            Self::Held { path } => write!(
                f,
                "{} was not loaded by itself: the host ended while it was loading it the last time. Load it again to \
                 try, or choose another model.",
                path.display()
            ),
        }
    }
}

impl fmt::Display for Refit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Idle => Ok(()),
            Self::Working { dial, stage, done, total, on, most_bytes } => {
                let ms = dial.milliseconds().unwrap_or(0);
                write!(f, "Refitting to {ms} ms: {}", stage.to_lowercase())?;
                if *total > 0 {
                    write!(f, " {} %", 100 * (*done).min(*total) / total)?;
                }
                write!(f, ", on {on}")?;
                match most_bytes {
                    Some(bytes) => write!(f, ", in at most {:.1} GB of memory", *bytes as f64 / 1e9),
                    None => Ok(()),
                }
            }
            Self::Refused { dial, reason } => {
                write!(f, "Not refitted to {} ms: {reason}", dial.milliseconds().unwrap_or(0))
            }
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reading => "Reading",
            Self::Converting => "Converting",
            Self::Planning => "Planning",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_names_the_file_and_the_cure() {
        let missing = |places: &[&str]| {
            let looked_at = places.iter().map(PathBuf::from).collect();
            Phase::Missing { name: "ä.runnel".into(), looked_at }.to_string()
        };
        assert!(missing(&[]).starts_with("ä.runnel is missing. Choose"));
        assert!(missing(&["/a/ä.runnel"]).starts_with("ä.runnel is missing: it is not at /a/ä.runnel. Choose"));
        assert!(missing(&["/a", "/b", "/c"]).contains("not at /a, nor at 2 other places."));
        assert_eq!(Phase::default().to_string(), "");
        let loading = Phase::Loading { path: "/a.ts".into(), step: Step::Converting };
        assert_eq!(loading.to_string(), "Converting /a.ts …");
    }
}
