//! Why a command was not carried out: what people are told, and with which code the program ends.

use std::error::Error;
use std::io;

use dataapi::{BackupError, CopyError, Invalid, OpenError, Reaction, StoreError};

use crate::exit::Exit;

/// What kept a command from being carried out.
///
/// A command with errors of its own wraps them in [`NotDone`](Self::NotDone) or
/// [`Failed`](Self::Failed).
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error(transparent)]
    Invalid(#[from] Invalid),

    #[error("there is no such command")]
    NoSuchCommand,

    #[error(transparent)]
    Open(#[from] OpenError),

    #[error(transparent)]
    Store(#[from] StoreError),

    #[error(transparent)]
    Backup(#[from] BackupError),

    #[error(transparent)]
    Copy(#[from] CopyError),

    /// What was asked for contradicts how things stand.
    #[error(transparent)]
    NotDone(Box<dyn Error + Send + Sync>),

    /// Something that the command needs does not work.
    #[error(transparent)]
    Failed(Box<dyn Error + Send + Sync>),

    #[error("the program cannot start")]
    Start(#[source] io::Error),

    #[error("the input cannot be read")]
    Input(#[source] io::Error),

    #[error("the output cannot be written")]
    Output(#[from] io::Error),
}

impl CommandError {
    /// The code to exit with.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Output(_) if self.is_closed_pipe() => Exit::Done,
            Self::Invalid(_) | Self::NoSuchCommand => Exit::Usage,
            Self::Open(error) => exit_of(error.reaction()),
            Self::Store(error) => exit_of_store(error),
            Self::Backup(error) => exit_of(error.reaction()),
            Self::Copy(error) => exit_of(error.reaction()),
            Self::NotDone(_) => Exit::NotDone,
            Self::Failed(_) | Self::Start(_) | Self::Input(_) | Self::Output(_) => Exit::Failed,
        }
    }

    /// Nobody reads the output any more: that is no error, and nobody is left to tell.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The message for people, without its final newline.
    pub(crate) fn message(&self) -> String {
        let mut message = format!("error: {}", self.reason());
        if let Some(advice) = self.advice() {
            message.push_str("\n       ");
            message.push_str(advice);
        }
        message
    }

    /// What went wrong, and why.
    pub(crate) fn reason(&self) -> String {
        let mut reason = self.to_string();
        let mut source = self.source();
        while let Some(cause) = source {
            reason.push_str(": ");
            reason.push_str(&cause.to_string());
            source = cause.source();
        }
        reason
    }

    fn advice(&self) -> Option<&'static str> {
        match self {
            Self::Invalid(_) | Self::NoSuchCommand | Self::Store(StoreError::Invalid { .. }) => {
                Some("see 'dataapi --help', or --help after the command")
            }
            Self::Backup(error) if error.reaction() == Reaction::GiveLedger => Some(
                "give the ledger of the lost store with --ledger FILE ('dataapi audit export' wrote \
                 it),\n       or take it upon you with --accept-resurrection, and erase by hand what \
                 you know of",
            ),
            Self::Open(OpenError::UnknownUrl) => Some("set it with --store or DATAAPI_STORE"),
            Self::Store(StoreError::NotFound) => {
                Some("check the ids and the store; a withdrawn or erased dialog stays gone")
            }
            Self::Store(StoreError::ConsentRequired) => {
                Some("it can be read after 'dataapi consent grant'")
            }
            Self::Store(StoreError::Conflict) => Some(
                "a dialog with new consent needs a new id; 'dataapi consent show' has the date",
            ),
            Self::Store(StoreError::Overloaded { .. } | StoreError::Unavailable { .. }) => {
                Some("nothing was changed; run the command again later")
            }
            _ => None,
        }
    }
}

fn exit_of(reaction: Reaction) -> Exit {
    match reaction {
        Reaction::Correct => Exit::Usage,
        Reaction::ChooseAnother | Reaction::GiveLedger => Exit::NotDone,
        Reaction::GoOn => Exit::Interrupted,
        _ => Exit::Failed,
    }
}

fn exit_of_store(error: &StoreError) -> Exit {
    match error {
        StoreError::Invalid { .. } => Exit::Usage,
        StoreError::NotFound
        | StoreError::Exists { .. }
        | StoreError::ConsentRequired
        | StoreError::Gone
        | StoreError::Conflict => Exit::NotDone,
        _ => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SOON: Duration = Duration::from_secs(1);

    #[test]
    fn an_unknown_outcome_is_not_called_no_change() {
        let reason = "the connection was lost during a commit".into();
        let lost = CommandError::from(StoreError::Unavailable { reason, retry_after: SOON });
        let message = lost.message();
        assert!(!message.contains("nothing was changed"), "{message}");
        assert!(!message.contains("changed nothing"), "{message}");
        assert!(message.contains("whole or not at all"), "{message}");
        assert!(message.contains("run the command again"), "{message}");
        assert_eq!(lost.exit(), Exit::Failed);
    }

    #[test]
    fn an_overloaded_store_has_changed_nothing() {
        let message = CommandError::from(StoreError::Overloaded { retry_after: SOON }).message();
        assert!(message.contains("changed nothing"), "{message}");
    }
}
