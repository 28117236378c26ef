//! The exit codes of the program.

use std::process::ExitCode;

/// How a run ended; the number is the exit code. The help and the manual explain the codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    SomeRefused = 3,
    NotDone = 4,
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
