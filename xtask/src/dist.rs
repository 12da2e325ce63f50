//! `dist`: the bundled plugin as a zip file that people download.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::bundle::{bundle, bundled_folder, enter_workspace, require_mac, target_folder};
use crate::output::Output;
use crate::report;

const VERSION: &str = env!("CARGO_PKG_VERSION");
const README: &str = include_str!("dist/README.txt");
const BUNDLES: [&str; 2] = ["Runnel.vst3", "Runnel.clap"];

/// Zip the plugin with its instructions and licence into target/dist.
#[derive(Args)]
#[command(after_help = "\
The file is named by version and target, such as Runnel-0.1.0-linux-x86_64.zip, and holds Runnel.vst3, Runnel.clap, \
README.txt and LICENSE.txt. The same bundles make the same bytes.

Examples:
  cargo xtask dist                 build for this machine, bundle, zip
  cargo xtask dist --universal     for Intel and Apple silicon, on a Mac
  cargo xtask dist --no-build      zip what `cargo xtask bundle` made")]
pub(crate) struct Arguments {
    /// Zip what lies in target/bundled instead of building it
    #[arg(long)]
    no_build: bool,
    /// Build for Intel and Apple silicon at once; on a Mac, with both targets installed
    #[arg(long)]
    universal: bool,
    /// Where the zip file goes [default: target/dist]
    #[arg(short, long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// Further arguments of `cargo build`
    #[arg(last = true, value_name = "CARGO ARGUMENTS")]
    cargo: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if arguments.universal {
        require_mac()?;
    }
    // As the user means it, before the folder changes.
    let output = arguments.output.as_deref().map(std::path::absolute).transpose()?;
    let bundled = if arguments.no_build {
        enter_workspace()?;
        bundled_folder()?
    } else {
        bundle(true, arguments.universal, &arguments.cargo)?
    };
    let bundles: Vec<_> = BUNDLES.iter().map(|name| bundled.join(name)).collect();
    if let Some(missing) = bundles.iter().find(|bundle| !bundle.exists()) {
        bail!("{} is not there; build it with `cargo xtask bundle --release`", missing.display());
    }
    let target = if arguments.universal { "macos-universal".into() } else { target(&arguments.cargo)? };
    let folder = match output {
        Some(folder) => folder,
        None => target_folder()?.join("dist"),
    };
    fs::create_dir_all(&folder).map_err(|e| crate::output::explain(e.into(), &folder))?;
    let path = folder.join(format!("Runnel-{VERSION}-{target}.zip"));
    let licence = fs::read_to_string("LICENSE").context("cannot read LICENSE")?;
    let bytes = write(&path, &bundles, &licence)?;
    let mut lines = vec![];
    for bundle in &bundles {
        lines.push((name(bundle), report::bytes(size(bundle)?)));
    }
    lines.push(("wrote".into(), format!("{} ({})", path.display(), report::bytes(bytes))));
    let lines: Vec<_> = lines.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    report::print(&report::facts(&lines))
}

/// Writes the zip file; its size.
fn write(path: &Path, bundles: &[PathBuf], licence: &str) -> Result<u64> {
    let mut output = Output::create(path, &[])?;
    let mut zip = ZipWriter::new(output.file());
    let root = format!("Runnel-{VERSION}");
    for bundle in bundles {
        add(&mut zip, bundle, &format!("{root}/{}", name(bundle)))?;
    }
    for (name, text) in [("README.txt", README), ("LICENSE.txt", licence)] {
        zip.start_file(format!("{root}/{name}"), options(false))?;
        // Windows' plainest editor shows lines only so, and every other one does as well.
        io::copy(&mut text.replace('\n', "\r\n").as_bytes(), &mut zip)?;
    }
    zip.finish()?;
    let bytes = output.file().metadata()?.len();
    output.commit()?;
    Ok(bytes)
}

/// Adds a file, or a folder with all that is in it, in the order of names.
fn add(zip: &mut ZipWriter<&mut File>, path: &Path, name: &str) -> Result<()> {
    let cannot = || format!("cannot read {}", path.display());
    if !path.is_dir() {
        zip.start_file(name, options(is_program(path)))?;
        io::copy(&mut File::open(path).with_context(cannot)?, zip).with_context(cannot)?;
        return Ok(());
    }
    for entry in entries(path)? {
        add(zip, &entry, &format!("{name}/{}", self::name(&entry)))?;
    }
    Ok(())
}

/// Without times: the same contents are the same file.
fn options(program: bool) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .large_file(false)
        .last_modified_time(zip::DateTime::default())
        .unix_permissions(if program { 0o755 } else { 0o644 })
}

/// Whether a file of a bundle is its library, rather than a description.
fn is_program(path: &Path) -> bool {
    path.extension().is_none_or(|end| ["so", "dylib", "dll", "clap", "vst3"].iter().any(|e| end == *e))
}

fn size(path: &Path) -> Result<u64> {
    if !path.is_dir() {
        return Ok(fs::metadata(path)?.len());
    }
    entries(path)?.iter().map(|entry| size(entry)).sum()
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// What the plugin is built for, such as `linux-x86_64`.
fn target(cargo: &[String]) -> Result<String> {
    let value = cargo.iter().position(|a| a == "--target").and_then(|at| cargo.get(at + 1).cloned());
    let triple = match value.or_else(|| cargo.iter().find_map(|a| Some(a.strip_prefix("--target=")?.to_owned()))) {
        Some(triple) => triple,
        None => {
            let output = Command::new("rustc").arg("-vV").output().context("cannot call rustc; is it on the PATH?")?;
            let facts = String::from_utf8_lossy(&output.stdout).into_owned();
            facts.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?.to_owned()
        }
    };
    Ok(label(&triple))
}

fn label(triple: &str) -> String {
    let machine = triple.split('-').next().unwrap_or(triple);
    let systems = [("linux", "linux"), ("darwin", "macos"), ("windows", "windows")];
    match systems.iter().find(|(part, _)| triple.contains(part)) {
        Some((_, system)) => format!("{system}-{machine}"),
        None => triple.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn targets_have_names_that_people_know() {
        assert_eq!(label("x86_64-unknown-linux-gnu"), "linux-x86_64");
        assert_eq!(label("aarch64-apple-darwin"), "macos-aarch64");
        assert_eq!(label("x86_64-pc-windows-msvc"), "windows-x86_64");
    }

    #[test]
    fn a_zip_holds_the_bundles_and_what_to_do_with_them() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("Runnel.vst3/Contents/x86_64-linux");
        fs::create_dir_all(&inner).unwrap();
        fs::write(inner.join("Runnel.so"), [7; 5000]).unwrap();
        fs::write(folder.path().join("Runnel.clap"), [8; 5000]).unwrap();
        let bundles = BUNDLES.map(|name| folder.path().join(name));
        let made = ["a.zip", "b.zip"].map(|name| {
            let path = folder.path().join(name);
            let bytes = write(&path, &bundles, "a licence\n").unwrap();
            let file = fs::read(&path).unwrap();
            assert_eq!(file.len() as u64, bytes);
            file
        });
        assert!(made[0] == made[1], "the same bundles make the same bytes");
        let mut zip = zip::ZipArchive::new(io::Cursor::new(&made[0])).unwrap();
        let names: Vec<String> = zip.file_names().map(|name| name.unwrap().into_owned()).collect();
        let expected = ["Runnel.vst3/Contents/x86_64-linux/Runnel.so", "Runnel.clap", "README.txt", "LICENSE.txt"];
        assert_eq!(names, expected.map(|name| format!("Runnel-{VERSION}/{name}")));
        let mut program = zip.by_name(&names[0]).unwrap();
        assert_eq!(program.unix_mode().map(|mode| mode & 0o777), Some(0o755));
        let mut bytes = vec![];
        program.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, [7; 5000]);
    }
}
