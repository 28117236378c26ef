//! Finds the processes of a cluster, so that a fault hits all of them at once.
//!
//! Each process of PostgreSQL has its own session, so they do not share a process group.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a process can take to halt or to end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The status of one process in `/proc`.
struct Status {
    state: char,
    parent: i32,
}

impl Status {
    fn of(pid: i32) -> Option<Self> {
        let line = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name is in brackets, and can itself contain brackets and spaces.
        let (_, fields) = line.rsplit_once(") ")?;
        let mut fields = fields.split(' ');
        let state = fields.next()?.chars().next()?;
        Some(Self { state, parent: fields.next()?.parse().ok()? })
    }

    fn is_stopped(&self) -> bool {
        self.state == 'T'
    }

    /// Whether it has ended, even if its parent has not collected it yet.
    fn is_dead(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }
}

pub(crate) fn has_ended(pid: Pid) -> bool {
    Status::of(pid.as_raw_pid()).is_none_or(|status| status.is_dead())
}

/// Whether `so` becomes true within [`PATIENCE`].
pub(crate) fn becomes(mut so: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if so() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Sends a signal to a process, which might have ended already.
pub(crate) fn signal(pid: Pid, signal: Signal) {
    let _ = kill_process(pid, signal);
}

/// Halts the main process and then its children. Returns whether all of them have halted.
pub(crate) fn freeze(postmaster: Pid) -> bool {
    // A halted main process starts no more children.
    halt(&[postmaster]) && halt(&children(postmaster))
}

/// Lets the processes continue after a freeze.
pub(crate) fn thaw(postmaster: Pid) {
    for child in children(postmaster) {
        signal(child, Signal::CONT);
    }
    signal(postmaster, Signal::CONT);
}

/// Kills all processes at once. Returns whether all have ended.
pub(crate) fn kill(postmaster: Pid) -> bool {
    if !halt(&[postmaster]) {
        return false;
    }
    let mut all = children(postmaster);
    // The main process comes last. Otherwise its children would notice its death and could react to it.
    all.push(postmaster);
    for pid in &all {
        signal(*pid, Signal::KILL);
    }
    becomes(|| all.iter().all(|pid| has_ended(*pid)))
}

fn halt(pids: &[Pid]) -> bool {
    for pid in pids {
        signal(*pid, Signal::STOP);
    }
    let stands_still = |pid: &Pid| {
        Status::of(pid.as_raw_pid()).is_none_or(|status| status.is_stopped() || status.is_dead())
    };
    becomes(|| pids.iter().all(stands_still))
}

fn children(parent: Pid) -> Vec<Pid> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| Status::of(*pid).is_some_and(|status| status.parent == parent.as_raw_pid()))
        .filter_map(Pid::from_raw)
        .collect()
}
