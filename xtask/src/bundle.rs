//! `bundle`: the plugin as VST3 and CLAP.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;

const PACKAGE: &str = "runnel-plugin";

/// Build the plugin and bundle it as VST3 and CLAP into target/bundled.
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask bundle --release                                     what to install in a DAW
  cargo xtask bundle --release -- --target x86_64-apple-darwin     cross-compile

Copy target/bundled/Runnel.vst3 and Runnel.clap to where your DAW looks for plugins:
  Linux    ~/.vst3   ~/.clap
  macOS    ~/Library/Audio/Plug-Ins/VST3   ~/Library/Audio/Plug-Ins/CLAP
  Windows  C:\\Program Files\\Common Files\\VST3   C:\\Program Files\\Common Files\\CLAP")]
pub(crate) struct Arguments {
    /// Build with optimisations for use in a DAW
    #[arg(long)]
    release: bool,
    /// Further arguments of `cargo build`
    #[arg(last = true, value_name = "CARGO ARGUMENTS")]
    cargo: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace has no folder")?;
    std::env::set_current_dir(root)
        .with_context(|| format!("cannot enter {}, where this command was built; build it again", root.display()))?;
    let mut cargo = arguments.cargo.clone();
    if arguments.release {
        cargo.push("--release".into());
    }
    let packages = [PACKAGE.to_owned()];
    nice_plug_xtask::build(&packages, &cargo)?;
    nice_plug_xtask::bundle(&target_folder()?, PACKAGE, &cargo, false)
}

/// Where cargo builds, by its own account.
fn target_folder() -> Result<PathBuf> {
    let output = Command::new("cargo")
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output()
        .context("cannot call cargo; is it on the PATH?")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).context("cannot read what cargo metadata printed")?;
    let folder = metadata["target_directory"].as_str().context("cargo metadata names no target folder")?;
    Ok(folder.into())
}
