//! Where results are written: standard output, or a file that appears only when it is complete.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use tempfile::NamedTempFile;

use crate::formats::jsonl::write_line;

/// Large enough that writing a large file takes few system calls.
const BUFFER: usize = 64 << 10;

/// Where results are written; only [`Output::finish`] completes them.
#[derive(Debug)]
pub(crate) enum Output {
    Stdout(BufWriter<Stdout>),
    /// A pipe or a device, which cannot be replaced by renaming.
    Stream(BufWriter<File>),
    /// A temporary file beside the final path, so that an incomplete file never has the final name.
    File {
        temporary: BufWriter<NamedTempFile>,
        place: PathBuf,
    },
}

impl Output {
    pub(crate) fn stdout() -> Self {
        Self::Stdout(BufWriter::new(io::stdout()))
    }

    /// Opens standard output for `-`, otherwise the file at `path`.
    pub(crate) fn to(path: &Path) -> io::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::stdout());
        }
        let place = match fs::metadata(path) {
            Ok(there) if !there.is_file() => {
                let file = File::options().write(true).open(path)?;
                return Ok(Self::Stream(BufWriter::with_capacity(BUFFER, file)));
            }
            // A symbolic link stays, and its target is replaced.
            Ok(_) => fs::canonicalize(path)?,
            Err(_) if fs::symlink_metadata(path).is_ok() => {
                return Err(io::Error::other(
                    "the path is a symbolic link whose target does not exist",
                ));
            }
            Err(_) => path.to_owned(),
        };
        let folder = match place.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let mut prefix = OsStr::new(".").to_owned();
        prefix.push(place.file_name().unwrap_or_default());
        prefix.push(".");
        let temporary =
            tempfile::Builder::new().prefix(&prefix).suffix(".partial").tempfile_in(folder)?;
        set_unfinished(Some(temporary.path().to_owned()));
        Ok(Self::File { temporary: BufWriter::with_capacity(BUFFER, temporary), place })
    }

    /// Whether the output goes to a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        matches!(self, Self::Stdout(_)) && io::stdout().is_terminal()
    }

    /// Writes `value` as one line of JSON.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        let on_terminal = self.is_terminal();
        write_line(self, value, on_terminal)
    }

    /// Flushes the output. A file is synced to disk, then renamed to its final path.
    pub(crate) fn finish(self) -> io::Result<()> {
        match self {
            Self::Stdout(mut stdout) => stdout.flush(),
            Self::Stream(mut stream) => stream.flush(),
            Self::File { temporary, place } => {
                let temporary = temporary.into_inner().map_err(io::IntoInnerError::into_error)?;
                temporary.as_file().sync_all()?;
                temporary.persist(place)?;
                set_unfinished(None);
                Ok(())
            }
        }
    }

    /// Stops before the end: a file does not appear, a stream ends after what was written so far.
    pub(crate) fn abandon(self) -> io::Result<()> {
        match self {
            Self::File { .. } => Ok(()),
            stream => stream.finish(),
        }
    }

    fn inner(&mut self) -> &mut dyn Write {
        match self {
            Self::Stdout(stdout) => stdout,
            Self::Stream(stream) => stream,
            Self::File { temporary, .. } => temporary,
        }
    }
}

/// The temporary file that is being written. Dropping [`Output`] removes it, but nothing is dropped when the
/// process exits.
static UNFINISHED: Mutex<Option<PathBuf>> = Mutex::new(None);

fn set_unfinished(path: Option<PathBuf>) {
    *UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner) = path;
}

/// Removes the temporary file before the process exits: it holds texts that no later withdrawal would reach.
pub(crate) fn discard_unfinished() {
    if let Some(path) = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner).take() {
        let _ = fs::remove_file(path);
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner().write(bytes)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.inner().write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> io::Result<Vec<std::ffi::OsString>> {
        fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect()
    }

    #[test]
    fn a_file_appears_when_it_is_finished_and_not_before() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let place = folder.path().join("out.jsonl");
        let mut output = Output::to(&place)?;
        output.write_all(b"all")?;
        output.flush()?;
        assert!(!place.exists());
        output.finish()?;
        assert_eq!(fs::read(&place)?, b"all");
        assert_eq!(names(folder.path())?, ["out.jsonl"]);
        Ok(())
    }

    #[test]
    fn a_file_that_is_left_off_leaves_nothing() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let place = folder.path().join("out.jsonl");
        fs::write(&place, "old")?;
        let mut output = Output::to(&place)?;
        output.write_all(b"new")?;
        output.abandon()?;
        drop(Output::to(&place)?);
        assert_eq!(fs::read(&place)?, b"old");
        assert_eq!(names(folder.path())?, ["out.jsonl"]);
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link_and_a_device_a_device() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let (place, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&place, "old")?;
        std::os::unix::fs::symlink(&place, &link)?;
        let mut output = Output::to(&link)?;
        output.write_all(b"new")?;
        output.finish()?;
        assert!(fs::symlink_metadata(&link)?.is_symlink());
        assert_eq!(fs::read(&place)?, b"new");
        assert!(matches!(Output::to(Path::new("/dev/null"))?, Output::Stream(_)));

        let (nowhere, dangling) = (folder.path().join("gone"), folder.path().join("dangling"));
        std::os::unix::fs::symlink(&nowhere, &dangling)?;
        assert!(Output::to(&dangling).is_err());
        assert!(fs::symlink_metadata(&dangling)?.is_symlink());
        Ok(())
    }
}
