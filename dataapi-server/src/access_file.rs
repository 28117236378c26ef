//! The file or named pipe of the access log: lines stay whole, and nothing waits for a reader.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dataapi_server::AccessSink;
use rustix::fs::OFlags;
use rustix::io::Errno;

/// The file of the access log.
#[derive(Debug)]
pub(crate) struct AccessFile {
    path: PathBuf,
    open: Mutex<Open>,
}

#[derive(Debug)]
struct Open {
    /// `None` for a named pipe that nobody has read from yet.
    file: Option<File>,
    /// What is missing of a line of which the file has only the beginning. It comes before the next line.
    rest: Vec<u8>,
}

impl AccessFile {
    /// Opens the file to append to. A new file can be read only by its owner.
    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        let file = match append_to(&path) {
            Err(error) if is_pipe_without_reader(&path, &error) => None,
            opened => Some(opened?),
        };
        Ok(Self { path, open: Mutex::new(Open { file, rest: Vec::new() }) })
    }

    /// Opens the file of this name again, in case the old one was renamed. After an error the old one stays in use.
    pub(crate) fn reopen(&self) -> io::Result<()> {
        let new = append_to(&self.path)?;
        let mut open = self.lock();
        // If that fails, the last line of the old file stays incomplete. It was counted as lost.
        let _ = open.write_rest();
        *open = Open { file: Some(new), rest: Vec::new() };
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AccessSink for AccessFile {
    fn append(&self, line: &[u8]) -> io::Result<()> {
        let mut open = self.lock();
        if open.file.is_none() {
            open.file = Some(append_to(&self.path)?);
        }
        open.write_rest()?;
        open.write(line)
    }
}

impl Open {
    fn write_rest(&mut self) -> io::Result<()> {
        let rest = std::mem::take(&mut self.rest);
        if rest.is_empty() {
            return Ok(());
        }
        let (written, outcome) = write_to(self.file.as_mut(), &rest);
        rest[written..].clone_into(&mut self.rest);
        outcome
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let (written, outcome) = write_to(self.file.as_mut(), line);
        if written > 0 {
            line[written..].clone_into(&mut self.rest);
        }
        outcome
    }
}

/// Writes as much as it can, by one system call unless the file takes only a part. Returns how much it wrote.
fn write_to(file: Option<&mut impl Write>, bytes: &[u8]) -> (usize, io::Result<()>) {
    let Some(file) = file else { return (0, Err(ErrorKind::NotConnected.into())) };
    let mut written = 0;
    while written < bytes.len() {
        match file.write(&bytes[written..]) {
            Ok(0) => return (written, Err(ErrorKind::WriteZero.into())),
            Ok(more) => written += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

/// Opens a file so that nothing waits: a named pipe without a reader is an error, and so is a write to a full pipe.
fn append_to(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    File::options().create(true).append(true).mode(0o600).custom_flags(flags).open(path)
}

fn is_pipe_without_reader(path: &Path, error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::NXIO.raw_os_error())
        && path.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo())
}
