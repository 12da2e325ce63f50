//! `validate`: the plugin in every host that can be had here.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::bundle::{bundle, enter_workspace};
use crate::demo::demo_model;
use crate::report::{self, Align};

/// Where xtask/hosts/setup.sh puts the hosts.
const HOSTS_PYTHON: &str = "target/hosts/bin/python";
/// How long a check may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_mins(15);

/// Check the plugin in hosts and with the formats' own validators.
#[derive(Args)]
#[command(after_help = "\
What is run:
  bundles            both formats are there and complete
  CLAP host          the tests in plugin/src/clap_tests.rs, on a debug build, where an allocation in audio aborts
  soak               the same host for --soak seconds of audio: models, parameters, rates and blocks change all the time
  pedalboard         a JUCE host: the VST3 with the demo model, in any blocks, states, rates, 32 instances
  dawdreamer         another host that renders graphs offline
  window             opened twice in pedalboard, on a display that xvfb-run makes, and looked at
  clap-validator     where CLAP_VALIDATOR names its program
  VST3 validator     where VST3_VALIDATOR names Steinberg's

`xtask/hosts/setup.sh` installs pedalboard and dawdreamer into target/hosts; RUNNEL_HOST_PYTHON names another python.
What was not run is said, with the reason. Fails when anything that ran failed. The user's own folders are not touched.

Examples:
  cargo xtask validate                                        build in release, bundle, check
  cargo xtask validate --bundle target/bundled --soak 60      check what is there, and soak it for a minute
  CLAP_VALIDATOR=~/clap-validator VST3_VALIDATOR=~/validator cargo xtask validate")]
pub(crate) struct Arguments {
    /// Check the bundles in this folder, or this one, instead of building them
    #[arg(long, value_name = "PATH")]
    bundle: Option<PathBuf>,
    /// Seconds of audio to soak the plugin for; 0 leaves it out
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    soak: u32,
}

/// A check, and what became of it.
struct Check {
    name: &'static str,
    result: Outcome,
}

enum Outcome {
    Passed(Duration),
    Failed(String),
    NotRun(String),
}

/// Bundles of the two formats; `None` where there is none.
struct Bundles {
    clap: Option<PathBuf>,
    vst3: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let bundles = match &arguments.bundle {
        Some(path) => {
            let path = std::path::absolute(path).context("cannot tell where the bundle is")?;
            std::fs::metadata(&path).map_err(|e| crate::input::explain(&e, &path))?;
            enter_workspace()?;
            Bundles::at(&path)?
        }
        None => Bundles::at(&bundle(true, false, &[])?)?,
    };
    let home = tempfile::tempdir().context("cannot make a temporary folder")?;
    let cargo_test = |arguments: &[&str]| {
        let mut command = Command::new("cargo");
        command.args(["test", "-p", "runnel-plugin", "--lib"]).args(arguments);
        command
    };
    let mut checks = vec![Check { name: "bundles", result: bundles.check() }];
    let mut check = |name, command: std::result::Result<Command, String>| {
        let result = match command {
            Ok(mut command) => watch(command.env("RUNNEL_HOME", home.path())),
            Err(reason) => Outcome::NotRun(reason),
        };
        checks.push(Check { name, result });
    };
    check("CLAP host", Ok(cargo_test(&["clap_tests"])));
    check(
        "soak",
        match arguments.soak {
            0 => Err("--soak 0".into()),
            seconds => {
                let mut command = cargo_test(&["soak", "--", "--ignored", "--nocapture"]);
                command.env("RUNNEL_SOAK_SECONDS", seconds.to_string());
                Ok(command)
            }
        },
    );
    let model = home.path().join("demo.runnel");
    runnel::format::save(&demo_model()?.streams, &model).context("cannot save the demo model")?;
    let vst3 = bundles.vst3.as_deref();
    check("pedalboard", hosted("pedalboard_check.py", vst3, Some(&model)));
    check("dawdreamer", hosted("dawdreamer_check.py", vst3, None));
    check("window", hosted("editor_check.py", vst3, Some(&home.path().join("window.png"))).and_then(on_a_display));
    check("clap-validator", validator("CLAP_VALIDATOR", &["validate", "--only-failed"], bundles.clap.as_deref()));
    check("VST3 validator", validator("VST3_VALIDATOR", &[], bundles.vst3.as_deref()));
    report(&checks)
}

impl Bundles {
    /// The bundles in a folder, or the one that `path` is.
    fn at(path: &Path) -> Result<Self> {
        let is = |end: &str| path.extension().is_some_and(|e| e == end);
        let inside = |end: &str| Some(path.join(format!("Runnel.{end}"))).filter(|path| path.exists());
        let found = match (is("clap"), is("vst3")) {
            (true, _) => Self { clap: Some(path.into()), vst3: None },
            (_, true) => Self { clap: None, vst3: Some(path.into()) },
            _ => Self { clap: inside("clap"), vst3: inside("vst3") },
        };
        if found.clap.is_none() && found.vst3.is_none() {
            bail!("{} holds neither Runnel.clap nor Runnel.vst3; build them with `cargo xtask bundle`", path.display());
        }
        Ok(found)
    }

    fn check(&self) -> Outcome {
        let start = Instant::now();
        for (format, bundle) in [("CLAP", &self.clap), ("VST3", &self.vst3)] {
            match bundle.as_deref().map(has_library) {
                Some(true) => {}
                Some(false) => return Outcome::Failed(format!("the {format} bundle holds no library")),
                None => return Outcome::NotRun(format!("no {format} bundle was given")),
            }
        }
        Outcome::Passed(start.elapsed())
    }
}

/// Whether a file is somewhere in a bundle that is large enough to be a plugin.
fn has_library(path: &Path) -> bool {
    const LEAST_BYTES: u64 = 100_000;
    match std::fs::read_dir(path) {
        Ok(entries) => entries.flatten().any(|entry| has_library(&entry.path())),
        Err(_) => std::fs::metadata(path).is_ok_and(|m| m.len() >= LEAST_BYTES),
    }
}

/// The command of the validator that `variable` names, on `bundle`.
fn validator(variable: &str, arguments: &[&str], bundle: Option<&Path>) -> Result<Command, String> {
    let program: OsString = std::env::var_os(variable)
        .filter(|program| !program.is_empty())
        .ok_or_else(|| format!("{variable} does not name its program"))?;
    let bundle = bundle.ok_or("no bundle of its format was given")?;
    let mut command = Command::new(program);
    command.args(arguments).arg(bundle);
    Ok(command)
}

/// The python that runs `script` of xtask/hosts on the bundle.
fn hosted(script: &str, bundle: Option<&Path>, argument: Option<&Path>) -> Result<Command, String> {
    let python = std::env::var_os("RUNNEL_HOST_PYTHON").map_or_else(|| PathBuf::from(HOSTS_PYTHON), PathBuf::from);
    if !python.is_file() {
        return Err(format!("{} is not there; run xtask/hosts/setup.sh", python.display()));
    }
    let bundle = bundle.ok_or("no VST3 bundle was given")?;
    let mut command = Command::new(python);
    command.arg(Path::new("xtask/hosts").join(script)).arg(bundle).args(argument);
    Ok(command)
}

/// The command on a display of its own.
fn on_a_display(command: Command) -> Result<Command, String> {
    Command::new("xvfb-run").arg("--help").output().map_err(|_| "xvfb-run is not installed".to_string())?;
    let mut on_display = Command::new("xvfb-run");
    on_display.args(["-a", "-s", "-screen 0 1200x800x24"]).arg(command.get_program()).args(command.get_args());
    Ok(on_display)
}

/// Runs a command to its end, or until patience ends.
fn watch(command: &mut Command) -> Outcome {
    let start = Instant::now();
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(e) => return Outcome::Failed(format!("cannot start {}: {e}", command.get_program().display())),
    };
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Outcome::Passed(start.elapsed()),
            Ok(Some(status)) => return Outcome::Failed(status.to_string()),
            Ok(None) if start.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(50)),
            Ok(None) => {
                // It ends by itself or by this; the verdict is the same.
                let _ = child.kill();
                let _ = child.wait();
                return Outcome::Failed(format!("no end after {} minutes", PATIENCE.as_secs() / 60));
            }
            Err(e) => return Outcome::Failed(e.to_string()),
        }
    }
}

fn report(checks: &[Check]) -> Result<()> {
    let rows = checks.iter().map(|Check { name, result }| {
        let (word, remark) = match result {
            Outcome::Passed(time) => ("passed", format!("{:.1} s", time.as_secs_f32())),
            Outcome::Failed(reason) => ("FAILED", reason.clone()),
            Outcome::NotRun(reason) => ("not run", reason.clone()),
        };
        vec![name.to_string(), word.into(), remark]
    });
    let heads = [("check", Align::Left), ("result", Align::Left), ("", Align::Left)];
    report::print(&report::table(&heads, &rows.collect::<Vec<_>>()))?;
    let failed: Vec<_> = checks.iter().filter(|c| matches!(c.result, Outcome::Failed(_))).map(|c| c.name).collect();
    if !failed.is_empty() {
        bail!("failed: {}; what they printed stands above", failed.join(", "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bundles_are_found_and_looked_into() {
        let folder = tempfile::tempdir().unwrap();
        let refused = Bundles::at(folder.path()).err().unwrap().to_string();
        assert!(refused.contains("neither Runnel.clap nor Runnel.vst3"), "{refused}");
        let inner = folder.path().join("Runnel.vst3/Contents/x86_64-linux");
        std::fs::create_dir_all(&inner).unwrap();
        let vst3 = Bundles::at(&folder.path().join("Runnel.vst3")).unwrap();
        assert!(!has_library(vst3.vst3.as_deref().unwrap()));
        std::fs::write(inner.join("Runnel.so"), vec![1; 200_000]).unwrap();
        assert!(matches!(Bundles::at(folder.path()).unwrap().check(), Outcome::NotRun(_)), "no CLAP");
        std::fs::write(folder.path().join("Runnel.clap"), "empty").unwrap();
        assert!(matches!(Bundles::at(folder.path()).unwrap().check(), Outcome::Failed(_)));
        std::fs::write(folder.path().join("Runnel.clap"), vec![1; 200_000]).unwrap();
        assert!(matches!(Bundles::at(folder.path()).unwrap().check(), Outcome::Passed(_)));
    }

    #[cfg(unix)]
    #[test]
    fn a_failed_check_is_told_from_a_passed_one() {
        assert!(matches!(watch(&mut Command::new("true")), Outcome::Passed(_)));
        assert!(matches!(watch(&mut Command::new("false")), Outcome::Failed(_)));
        assert!(matches!(watch(&mut Command::new("/no/such/program")), Outcome::Failed(_)));
        let failed = [Check { name: "soak", result: Outcome::Failed("signal".into()) }];
        assert!(report(&failed).unwrap_err().to_string().contains("failed: soak"));
        assert!(report(&[Check { name: "x", result: Outcome::NotRun("why".into()) }]).is_ok());
    }
}
