//! A file system for one test: small, so that it can become full, and mounted where no other process sees it.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A file system in memory.
pub(crate) struct Disk {
    place: TempDir,
    ballast: PathBuf,
}

impl Disk {
    pub(crate) fn mount(bytes: u64) -> Self {
        let place = tempfile::tempdir().expect("a folder");
        let ballast = place.path().join("ballast");
        let disk = Self { place, ballast };
        run("mount", &["-t", "tmpfs", "-o", &format!("size={bytes}"), "small"], disk.path());
        disk
    }

    pub(crate) fn path(&self) -> &Path {
        self.place.path()
    }

    /// Fills the disk, except for this many bytes.
    pub(crate) fn leave_free(&self, bytes: u64) {
        self.make_space();
        let mut ballast = File::create(&self.ballast).expect("a ballast file");
        while ballast.write_all(&[1; 4096]).is_ok() {}
        let length = ballast.metadata().expect("its length").len();
        ballast.set_len(length.saturating_sub(bytes)).expect("a shorter file");
    }

    /// Fills the disk.
    pub(crate) fn fill(&self) {
        let mut ballast =
            File::options().create(true).append(true).open(&self.ballast).expect("a ballast file");
        while ballast.write_all(&[1; 4096]).is_ok() {}
    }

    /// Removes the file that fills the disk.
    pub(crate) fn make_space(&self) {
        if let Err(error) = std::fs::remove_file(&self.ballast) {
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
        }
    }

    /// Makes the disk read-only until [`Disk::allow_writes`].
    pub(crate) fn forbid_writes(&self) {
        run("mount", &["-o", "remount,bind,ro"], self.path());
    }

    pub(crate) fn allow_writes(&self) {
        run("mount", &["-o", "remount,bind,rw"], self.path());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // This works even while a process has files open.
        run("umount", &["--lazy"], self.path());
    }
}

fn run(command: &str, args: &[&str], path: &Path) {
    let output = Command::new(command).args(args).arg(path).output().expect("it runs");
    assert!(output.status.success(), "{command} {args:?}: {output:?}");
}
