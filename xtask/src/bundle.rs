//! `bundle`: the plugin as VST3 and CLAP.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;

const PACKAGE: &str = "runnel-plugin";
/// What a plugin for both kinds of Mac is made of.
const UNIVERSAL: [&str; 2] = ["x86_64-apple-darwin", "aarch64-apple-darwin"];

/// Build the plugin and bundle it as VST3 and CLAP into target/bundled.
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask bundle --release                                     what to install in a DAW
  cargo xtask bundle --release --universal                         for Intel and Apple silicon, on a Mac
  cargo xtask bundle --release -- --target x86_64-apple-darwin     cross-compile

Copy target/bundled/Runnel.vst3 and Runnel.clap to where your DAW looks for plugins:
  Linux    ~/.vst3   ~/.clap
  macOS    ~/Library/Audio/Plug-Ins/VST3   ~/Library/Audio/Plug-Ins/CLAP
  Windows  C:\\Program Files\\Common Files\\VST3   C:\\Program Files\\Common Files\\CLAP")]
pub(crate) struct Arguments {
    /// Build with optimisations for use in a DAW
    #[arg(long)]
    release: bool,
    /// Build for Intel and Apple silicon at once; on a Mac, with both targets installed
    #[arg(long)]
    universal: bool,
    /// Further arguments of `cargo build`
    #[arg(last = true, value_name = "CARGO ARGUMENTS")]
    cargo: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    bundle(arguments.release, arguments.universal, &arguments.cargo).map(drop)
}

/// Builds and bundles the plugin; the folder that the bundles lie in.
pub(crate) fn bundle(release: bool, universal: bool, cargo: &[String]) -> Result<PathBuf> {
    enter_workspace()?;
    let mut cargo = cargo.to_vec();
    if release {
        cargo.push("--release".into());
    }
    let packages = [PACKAGE.to_owned()];
    if universal {
        require_mac()?;
        for target in UNIVERSAL {
            let cargo = [&cargo[..], &[format!("--target={target}")]].concat();
            nice_plug_xtask::build(&packages, &cargo)?;
        }
    } else {
        nice_plug_xtask::build(&packages, &cargo)?;
    }
    nice_plug_xtask::bundle(&target_folder()?, PACKAGE, &cargo, universal)?;
    bundled_folder()
}

/// Refuses what only a Mac can make.
pub(crate) fn require_mac() -> Result<()> {
    if !cfg!(target_os = "macos") {
        bail!("cannot build for both kinds of Mac: that needs a Mac's linker; leave out --universal");
    }
    Ok(())
}

/// Where bundles lie.
pub(crate) fn bundled_folder() -> Result<PathBuf> {
    Ok(target_folder()?.join("bundled"))
}

/// Goes to the workspace's folder, which cargo is called in.
pub(crate) fn enter_workspace() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace has no folder")?;
    std::env::set_current_dir(root)
        .with_context(|| format!("cannot enter {}, where this command was built; build it again", root.display()))
}

/// Where cargo builds, by its own account.
pub(crate) fn target_folder() -> Result<PathBuf> {
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
