//! Why a command failed: the message for people, and the code with which the program ends.

use std::error::Error;
use std::io;

use dataapi::{BackupError, CopyError, Invalid, OpenError, Reaction, StoreError};

use crate::exit::Exit;

/// Why a command failed.
///
/// A command with its own errors wraps them in [`NotDone`](Self::NotDone) or [`Failed`](Self::Failed).
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error(transparent)]
    Invalid(#[from] Invalid),

    #[error("the command is unknown")]
    NoSuchCommand,

    #[error(transparent)]
    Open(#[from] OpenError),

    #[error(transparent)]
    Store(#[from] StoreError),

    #[error(transparent)]
    Backup(#[from] BackupError),

    #[error(transparent)]
    Copy(#[from] CopyError),

    /// The request contradicts the state of the store or of a file.
    #[error(transparent)]
    NotDone(Box<dyn Error + Send + Sync>),

    /// Something that the command needs does not work, such as a server.
    #[error(transparent)]
    Failed(Box<dyn Error + Send + Sync>),

    #[error("the program cannot start")]
    Start(#[source] io::Error),

    #[error("the secret in the file of {flag} cannot be read")]
    Secret {
        flag: &'static str,
        #[source]
        source: io::Error,
    },

    #[error("the input cannot be read")]
    Input(#[source] io::Error),

    #[error("the output cannot be written")]
    Output(#[from] io::Error),
}

impl CommandError {
    /// The exit code for this error.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Output(_) if self.is_closed_pipe() => Exit::Done,
            Self::Invalid(_) | Self::NoSuchCommand => Exit::Usage,
            Self::Open(error) => exit_of(error.reaction()),
            Self::Store(error) => exit_of_store(error),
            Self::Backup(error) => exit_of(error.reaction()),
            Self::Copy(error) => exit_of(error.reaction()),
            Self::NotDone(_) => Exit::NotDone,
            Self::Failed(_)
            | Self::Start(_)
            | Self::Secret { .. }
            | Self::Input(_)
            | Self::Output(_) => Exit::Failed,
        }
    }

    /// Whether the reader closed the output: that is no error, and nobody is left to read a message.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The message for people, without a final newline: the reason, and advice if there is any.
    pub(crate) fn message(&self) -> String {
        let mut message = format!("error: {}", self.reason());
        if let Some(advice) = self.advice() {
            message.push_str("\n       ");
            message.push_str(advice);
        }
        message
    }

    /// What went wrong, followed by the chain of its causes.
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
                "give the ledger of the lost store with --ledger FILE, as 'dataapi audit export' wrote \
                 it;\n       or accept the risk with --accept-resurrection, and then erase by hand \
                 every dialog that you know was withdrawn or erased",
            ),
            Self::Open(OpenError::UnknownUrl) => Some("set it with --store or DATAAPI_STORE"),
            Self::Store(StoreError::NotFound) => {
                Some("check the ids and --store; a withdrawn or erased dialog never comes back")
            }
            Self::Store(StoreError::ConsentRequired) => {
                Some("record the consent with 'dataapi consent grant' once the customer gives it")
            }
            Self::Store(StoreError::Conflict) => Some(
                "if the customer consents again, store a new dialog under a new id; \
                 'dataapi consent show' has the date of the decision",
            ),
            Self::Store(StoreError::Overloaded { .. }) => {
                Some("the refused request changed nothing; run the command again later")
            }
            // It is also the answer when nobody knows whether a commit happened.
            Self::Store(StoreError::Unavailable { .. }) => Some(
                "a change that was under way happened whole or not at all; run the command again \
                 later,\n       or look at the store, to find out which",
            ),
            Self::Store(StoreError::Backend { .. }) => {
                Some("a retry will not help; report it, with what 'dataapi doctor' prints")
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
