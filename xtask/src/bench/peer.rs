//! Another engine, in a process of its own that makes calls when it is told to.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::contender::{Call, Turn};
use crate::progress::spin;

/// Engines that can be compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum PeerKind {
    Torch,
    Onnxruntime,
    Nam,
}

/// A running peer. It reads `LEAD_IN CALLS` and answers with the CPU and wall nanoseconds of all calls that count, and then of
/// each of as many more.
pub(crate) struct Peer {
    kind: PeerKind,
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    complaints: File,
    version: String,
}

/// The peer's first line.
#[derive(Deserialize)]
struct Ready {
    version: String,
}

/// The peer's answer to each order.
#[derive(Deserialize)]
struct Answer {
    together_ns: [u64; 2],
    cpu_ns: Vec<u64>,
    wall_ns: Vec<u64>,
}

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers");
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/peers/bin/python");
const NAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/peers/nam/release/nam-peer");

impl PeerKind {
    /// The peer's file of the model at `path`.
    ///
    /// # Errors
    /// When there is none; says what makes one.
    pub(super) fn find(self, path: &Path, named: Option<&Path>) -> Result<PathBuf> {
        if let Some(named) = named {
            std::fs::metadata(named).map_err(|e| crate::input::explain(&e, named))?;
            return Ok(named.to_owned());
        }
        let candidates = self.candidates(path);
        candidates.iter().find(|c| c.is_file()).cloned().ok_or_else(|| {
            let looked: Vec<_> = candidates.iter().map(|c| c.display().to_string()).collect();
            let cure = match self {
                Self::Torch => "make it with `rave export --streaming`",
                Self::Onnxruntime => "export the model to ONNX",
                Self::Nam => "it plays .nam files only",
            };
            anyhow!(
                "no file for {self} beside {}: looked for {}; {cure}, or name it with --peer-model",
                path.display(),
                looked.join(", ")
            )
        })
    }

    /// Where the peer's file of the model at `path` may be, the likeliest first.
    fn candidates(self, path: &Path) -> Vec<PathBuf> {
        let ending = match self {
            Self::Torch => "_streaming.ts",
            Self::Onnxruntime => ".onnx",
            Self::Nam => ".nam",
        };
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if name.ends_with(ending) {
            return vec![path.to_owned()];
        }
        let stem = match name.rsplit_once('.') {
            Some((stem, _)) if !path.is_dir() => stem,
            _ => &name,
        };
        let stem = stem.strip_suffix("_streaming").unwrap_or(stem);
        // A run folder is often named after its model, with an ending of its own.
        let stems = [Some(stem), stem.strip_suffix("_run")];
        let names = stems.into_iter().flatten().map(|stem| format!("{stem}{ending}"));
        let folders = [path.is_dir().then_some(path), path.parent()];
        let folders: Vec<_> = folders.into_iter().flatten().collect();
        names.flat_map(|name| folders.iter().map(move |folder| folder.join(&name)).collect::<Vec<_>>()).collect()
    }

    /// What starts the peer, without its arguments.
    ///
    /// # Errors
    /// When it is not installed; says what installs it.
    pub(super) fn command(self) -> Result<Command> {
        match self {
            Self::Torch | Self::Onnxruntime => {
                let mut command = Command::new(python()?);
                command.arg(Path::new(FOLDER).join(format!("{self}_peer.py")));
                Ok(command)
            }
            Self::Nam if Path::new(NAM).is_file() => Ok(Command::new(NAM)),
            Self::Nam => bail!("the player of .nam models is not built; run {}", setup().display()),
        }
    }
}

impl std::fmt::Display for PeerKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Torch => "torch",
            Self::Onnxruntime => "onnxruntime",
            Self::Nam => "nam",
        })
    }
}

impl Peer {
    /// Starts the peer on `file`, to be called with blocks of `signal`, and waits until it is warm.
    ///
    /// # Errors
    /// When its environment is missing, or it cannot play the file.
    pub(super) fn start(kind: PeerKind, file: &Path, signal: &[Vec<f32>], block_samples: usize) -> Result<Self> {
        let mut command = kind.command()?;
        let signal_file = write_signal(signal)?;
        let complaints = tempfile::tempfile().context("cannot make a temporary file")?;
        let mut child = command
            .args([file, signal_file.path()])
            .args([signal.len().to_string(), block_samples.to_string()])
            .envs(["OMP_NUM_THREADS", "MKL_NUM_THREADS", "PYTHONDONTWRITEBYTECODE"].map(|name| (name, "1")))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(complaints.try_clone().context("cannot make a temporary file")?)
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let (orders, answers) = (child.stdin.take(), child.stdout.take());
        let (orders, answers) = orders.zip(answers).context("the peer has no pipes")?;
        let answers = BufReader::new(answers);
        let mut peer = Self { kind, child, orders, answers, complaints, version: String::new() };
        let ready: Ready = spin(&format!("Starting {kind} on {}", file.display()), || peer.answer())?;
        peer.version = ready.version;
        Ok(peer)
    }

    /// What plays, and its version.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    pub(super) fn take_turn(&mut self, lead_in: usize, calls: usize) -> Result<Turn> {
        let sent = writeln!(self.orders, "{lead_in} {calls}").and_then(|()| self.orders.flush());
        if sent.is_err() {
            return Err(self.complaint());
        }
        let answer: Answer = self.answer()?;
        let us = |ns: &u64| *ns as f64 / 1e3;
        let call = |(cpu, wall): (&u64, &u64)| Call { cpu_us: us(cpu), wall_us: us(wall) };
        let [cpu, wall] = &answer.together_ns;
        Ok(Turn { together: call((cpu, wall)), calls: answer.cpu_ns.iter().zip(&answer.wall_ns).map(call).collect() })
    }

    fn answer<T: for<'a> Deserialize<'a>>(&mut self) -> Result<T> {
        let mut line = String::new();
        match self.answers.read_line(&mut line) {
            Ok(read) if read > 0 => {
                serde_json::from_str(&line).with_context(|| format!("{} answered {line:?}", self.kind))
            }
            _ => Err(self.complaint()),
        }
    }

    /// The last thing that the peer said before it went away.
    fn complaint(&mut self) -> anyhow::Error {
        let mut text = String::new();
        // Without a reason there is still the fact.
        let _ = self.complaints.rewind().and_then(|()| self.complaints.read_to_string(&mut text));
        let reason = text.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("it gave no reason").trim();
        let reason = reason.strip_prefix("SystemExit: ").unwrap_or(reason);
        if reason.starts_with("ModuleNotFoundError") {
            return anyhow!("{} cannot run: {reason}; install it with {}", self.kind, setup().display());
        }
        anyhow!("{} stopped: {reason}", self.kind)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What installs the peers.
fn setup() -> PathBuf {
    Path::new(FOLDER).join("setup.sh")
}

/// The python that has the peers' libraries.
///
/// # Errors
/// When there is none; says what installs it.
fn python() -> Result<PathBuf> {
    let named = std::env::var_os("RUNNEL_PEER_PYTHON").map(PathBuf::from);
    let python = named.clone().unwrap_or_else(|| PathBuf::from(PYTHON));
    if python.is_file() {
        return Ok(python);
    }
    match named {
        Some(named) => bail!("RUNNEL_PEER_PYTHON names {}, which does not exist; name a python", named.display()),
        None => bail!(
            "the peers are not installed; run {}, or name a python that has them in RUNNEL_PEER_PYTHON",
            setup().display()
        ),
    }
}

/// The signal as the peers read it: little-endian f32, one channel after another.
fn write_signal(signal: &[Vec<f32>]) -> Result<tempfile::NamedTempFile> {
    let mut file = tempfile::NamedTempFile::new().context("cannot make a temporary file")?;
    let bytes: Vec<u8> = signal.iter().flatten().flat_map(|v| v.to_le_bytes()).collect();
    file.write_all(&bytes).context("cannot write a temporary file")?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_looked_for_beside_the_model() {
        let names = |kind: PeerKind, path: &str| -> Vec<_> {
            kind.candidates(Path::new(path)).iter().map(|c| c.display().to_string()).collect()
        };
        assert_eq!(names(PeerKind::Torch, "a/v2.ts"), ["a/v2_streaming.ts"]);
        assert_eq!(names(PeerKind::Torch, "a/v2_streaming.ts"), ["a/v2_streaming.ts"]);
        assert_eq!(names(PeerKind::Torch, "a/v2_run"), ["a/v2_run_streaming.ts", "a/v2_streaming.ts"]);
        assert_eq!(names(PeerKind::Onnxruntime, "v2_streaming.ts"), ["v2.onnx"]);
        assert_eq!(names(PeerKind::Onnxruntime, "v2.runnel"), ["v2.onnx"]);
        assert_eq!(names(PeerKind::Nam, "a/amp.nam"), ["a/amp.nam"]);
    }
}
