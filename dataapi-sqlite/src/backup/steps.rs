//! How whoever waits for a backup or a restore is told how far it is, and stops it.

use std::ops::ControlFlow;

use crate::backup::error::BackupError;

/// Told after each step how many more dialogs are done; a break ends the work, with nothing left of it
/// in a new file.
pub type OnStep<'p> = &'p mut (dyn FnMut(u64) -> ControlFlow<()> + Send);

/// Tells of a step.
pub(crate) fn go_on(on_step: OnStep<'_>, done: usize) -> Result<(), BackupError> {
    match on_step(done as u64) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(BackupError::Stopped),
    }
}
