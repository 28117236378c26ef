//! Mounts file systems where no other process sees them.

use std::fs::File;
use std::io::{self, Write};
use std::process::Command;

/// Set in the process that can mount file systems.
const MAY_MOUNT: &str = "DATAAPI_TEST_MAY_MOUNT";

/// Whether this process can mount a file system that only it and its children see. If not, this runs the test of this
/// name again in a process that can, and the caller must return.
///
/// If the system allows no process to mount, nothing is tested; a line on standard error says so.
///
/// # Panics
/// If the test fails in that process, or if there is no test with this name.
pub fn may_mount(test: &str) -> bool {
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
    not_tested(test, "this system does not allow to mount a file system");
    false
}

/// Like [`may_mount`], for a test that mounts a [`Disk`](crate::Disk).
///
/// # Panics
/// As [`may_mount`].
pub fn may_mount_disk(test: &str) -> bool {
    if File::options().read(true).write(true).open("/dev/fuse").is_err() {
        not_tested(test, "this system has no /dev/fuse, or not for this user");
        return false;
    }
    may_mount(test)
}

fn not_tested(test: &str, why: &str) {
    // The test harness would capture the output of a macro.
    let _ = writeln!(io::stderr(), "\nNOT TESTED: {test}: {why}");
}
