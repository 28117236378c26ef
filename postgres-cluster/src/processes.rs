//! Which processes are a cluster's, so that a fault hits all of them at once.
//!
//! Each process of PostgreSQL has a session of its own, so no process group holds them together.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// As long as a process may take to stand still or to end.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// What `/proc` tells of one process.
struct Status {
    state: char,
    parent: i32,
}

impl Status {
    fn of(pid: i32) -> Option<Self> {
        let line = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name stands in brackets, and may hold brackets and spaces itself.
        let (_, fields) = line.rsplit_once(") ")?;
        let mut fields = fields.split(' ');
        let state = fields.next()?.chars().next()?;
        Some(Self { state, parent: fields.next()?.parse().ok()? })
    }

    fn is_stopped(&self) -> bool {
        self.state == 'T'
    }

    /// Only its parent has not taken notice yet.
    fn is_dead(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }
}

pub(crate) fn has_ended(pid: Pid) -> bool {
    Status::of(pid.as_raw_pid()).is_none_or(|status| status.is_dead())
}

/// Whether it is so within [`PATIENCE`].
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

/// Sends a signal to a process that may have ended by itself.
pub(crate) fn signal(pid: Pid, signal: Signal) {
    let _ = kill_process(pid, signal);
}

/// Halts the postmaster and then its children; whether all of them stand still.
pub(crate) fn freeze(postmaster: Pid) -> bool {
    // A halted postmaster has no further children.
    halt(&[postmaster]) && halt(&children(postmaster))
}

/// Lets go on what was frozen.
pub(crate) fn thaw(postmaster: Pid) {
    for child in children(postmaster) {
        signal(child, Signal::CONT);
    }
    signal(postmaster, Signal::CONT);
}

/// Kills all of them at once; whether all have ended.
pub(crate) fn kill(postmaster: Pid) -> bool {
    if !halt(&[postmaster]) {
        return false;
    }
    let mut all = children(postmaster);
    // The last, or its children would see its death and could still do something about it.
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
