//! Reports the progress of a backup or a restore to the caller, who can stop it.

use std::ops::ControlFlow;

use crate::backup::error::BackupError;

/// A callback that receives, after each step, how many dialogs that step did. If it returns a break, the work stops;
/// a new file is removed then.
pub type OnStep<'p> = &'p mut (dyn FnMut(u64) -> ControlFlow<()> + Send);

/// Reports a step of `done` dialogs.
///
/// # Errors
/// [`BackupError::Stopped`] if the callback returns a break.
pub(crate) fn go_on(on_step: OnStep<'_>, done: usize) -> Result<(), BackupError> {
    match on_step(done as u64) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(BackupError::Stopped),
    }
}
