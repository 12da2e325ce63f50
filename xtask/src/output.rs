//! Output files: they appear whole or not at all.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use tempfile::NamedTempFile;

/// A file under a temporary name in the folder of its final one. Dropped without [`Output::commit`], it leaves nothing,
/// and what stood under the final name stays.
pub(crate) struct Output {
    /// As the user names it.
    path: PathBuf,
    /// Where it will stand.
    place: PathBuf,
    file: NamedTempFile,
}

impl Output {
    /// Opens an output to be named `path`, before any work is done for it.
    ///
    /// # Errors
    /// When `path` is one of the `inputs`, a folder or a device, or when its folder cannot be written.
    pub(crate) fn create(path: &Path, inputs: &[&Path]) -> Result<Self> {
        // Through a symbolic link, the file that it names is replaced, not the link.
        let place = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if let Some(input) = inputs.iter().find(|i| i.canonicalize().is_ok_and(|i| i == place)) {
            bail!("the output is the input {}; choose another output with -o", input.display());
        }
        match std::fs::metadata(&place) {
            Ok(m) if m.is_dir() => bail!("cannot write {}: it is a folder; name a file in it with -o", path.display()),
            Ok(m) if !m.is_file() => bail!("cannot write {}: it is a device; name a file with -o", path.display()),
            _ => {}
        }
        let folder = match place.parent() {
            Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
            Some(parent) => parent,
            None => bail!("cannot write {}: it names no file", path.display()),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".runnel-").suffix(".part");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(folder).map_err(|e| explain(e.into(), path))?;
        Ok(Self { path: path.to_owned(), place, file })
    }

    /// The final name.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file itself.
    pub(crate) fn file(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    /// Gives the file its final name, over what stood there.
    ///
    /// # Errors
    /// When the system refuses; what stood there then stays.
    pub(crate) fn commit(self) -> Result<()> {
        let Self { path, place, file } = self;
        file.as_file().sync_all().map_err(|e| explain(e.into(), &path))?;
        file.persist(&place).map_err(|e| explain(e.error.into(), &path))?;
        Ok(())
    }
}

/// The system's reason for refusing `path`, with its cure.
pub(crate) fn explain(error: anyhow::Error, path: &Path) -> anyhow::Error {
    let Some(io) = error.chain().find_map(|e| e.downcast_ref::<std::io::Error>()) else {
        return error.context(format!("cannot write {}", path.display()));
    };
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let reason = match io.kind() {
        ErrorKind::NotFound if folder.is_dir() => {
            format!("the folder {} takes no files; choose another with -o", folder.display())
        }
        ErrorKind::NotFound => {
            format!("the folder {} does not exist; create it, or choose another with -o", folder.display())
        }
        ErrorKind::NotADirectory => format!("{} is not a folder; choose another with -o", folder.display()),
        ErrorKind::PermissionDenied => {
            format!("no permission to write in the folder {}; choose another with -o", folder.display())
        }
        ErrorKind::ReadOnlyFilesystem => {
            format!("the folder {} is read-only; choose another with -o", folder.display())
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            format!("no space left in the folder {}; free some, or choose another with -o", folder.display())
        }
        ErrorKind::FileTooLarge => "the file system allows no file of this size; choose another folder with -o".into(),
        _ => io.to_string(),
    };
    anyhow!("cannot write {}: {reason}", path.display())
}
