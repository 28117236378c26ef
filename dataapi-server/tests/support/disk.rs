//! A file system for one test: small, so that it can become full, and mounted where no other process sees it.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::program::not_tested;

/// Set in the process that can mount file systems.
const MAY_MOUNT: &str = "DATAAPI_TEST_MAY_MOUNT";

/// Whether this process can mount a file system that no other process sees. If not, this runs the test of this name
/// again in a process that can, and the caller must return.
///
/// If the system allows no process to mount, nothing is tested; a line on standard error says so.
pub(crate) fn may_mount(test: &str) -> bool {
    if std::env::var_os(MAY_MOUNT).is_some() {
        return true;
    }
    // The kernel unmounts everything when the last process in the namespace ends.
    for rights in [&["--mount"][..], &["--user", "--map-root-user", "--mount"]] {
        let probe = tempfile::tempdir().expect("a folder");
        let mounts = Command::new("unshare")
            .args(rights)
            .args(["mount", "-t", "tmpfs", "probe"])
            .arg(probe.path())
            .output();
        if mounts.is_ok_and(|mounts| mounts.status.success()) {
            let again = Command::new("unshare")
                .args(rights)
                .arg(std::env::current_exe().expect("this program"))
                .args(["--exact", test, "--nocapture"])
                .env(MAY_MOUNT, "1")
                .output()
                .expect("unshare runs");
            print!("{}", String::from_utf8_lossy(&again.stdout));
            eprint!("{}", String::from_utf8_lossy(&again.stderr));
            assert!(
                again.status.success(),
                "{test}, in a process that can mount: {}",
                again.status
            );
            let ran = String::from_utf8_lossy(&again.stdout).contains("1 passed");
            assert!(ran, "there is no test with the name {test}");
            return false;
        }
    }
    not_tested(&format!("{test}: this system does not allow to mount a file system"));
    false
}

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
