//! How a run ends: its exit code, and for a failure what was refused, why, and what to do.

use std::error::Error;
use std::io;
use std::process::ExitCode;

use dataapi::{
    BackupError, CopyError, Invalid, OpenError, PostgresOpenError, SqliteBackupError,
    SqliteOpenError, StoreError, TransferError,
};

use crate::commands::SyncError;
use crate::source::ServerError;

/// How a run ended; the help and the manual explain the codes.
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

/// What kept a command from being carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
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

    #[error(transparent)]
    Sync(#[from] SyncError),

    #[error(transparent)]
    Server(#[from] ServerError),

    #[error("the program cannot start")]
    Start(#[source] io::Error),

    #[error("the input cannot be read")]
    Input(#[source] io::Error),

    #[error("the output cannot be written")]
    Output(#[from] io::Error),
}

impl Failure {
    /// The code to exit with.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Output(_) if self.is_closed_pipe() => Exit::Done,
            Self::Invalid(_)
            | Self::NoSuchCommand
            | Self::Open(
                OpenError::UnknownUrl
                | OpenError::NoFiles
                | OpenError::InDatabase
                | OpenError::Postgres(PostgresOpenError::Url),
            )
            | Self::Backup(BackupError::Open(
                OpenError::UnknownUrl | OpenError::NoFiles | OpenError::InDatabase,
            )) => Exit::Usage,
            Self::Copy(CopyError::Source(error) | CopyError::Target(error)) => match error {
                OpenError::UnknownUrl
                | OpenError::NoFiles
                | OpenError::Postgres(PostgresOpenError::Url) => Exit::Usage,
                OpenError::Postgres(PostgresOpenError::IsThere)
                | OpenError::Sqlite(SqliteOpenError::IsThere) => Exit::NotDone,
                _ => Exit::Failed,
            },
            Self::Copy(CopyError::Transfer(TransferError::Stopped))
            | Self::Backup(BackupError::Sqlite(SqliteBackupError::Stopped)) => Exit::Interrupted,
            Self::Sync(_)
            | Self::Copy(CopyError::Transfer(
                TransferError::Changed | TransferError::Chains { .. },
            ))
            | Self::Backup(
                BackupError::HasLedger
                | BackupError::Sqlite(
                    SqliteBackupError::IsThere
                    | SqliteBackupError::OtherStore
                    | SqliteBackupError::Ledger(_)
                    | SqliteBackupError::NothingKnown { .. },
                ),
            ) => Exit::NotDone,
            Self::Store(error) => match error {
                StoreError::Invalid { .. } => Exit::Usage,
                StoreError::NotFound
                | StoreError::Exists { .. }
                | StoreError::ConsentRequired
                | StoreError::Gone
                | StoreError::Conflict => Exit::NotDone,
                _ => Exit::Failed,
            },
            _ => Exit::Failed,
        }
    }

    /// Whoever read the output has had enough: that is no error, and nobody is left to tell.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The message for people, without its final newline.
    pub(crate) fn message(&self) -> String {
        let mut message = format!("error: {self}");
        let mut source = self.source();
        while let Some(cause) = source {
            message.push_str(": ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        if let Some(advice) = self.advice() {
            message.push_str("\n       ");
            message.push_str(advice);
        }
        message
    }

    fn advice(&self) -> Option<&'static str> {
        match self {
            Self::Invalid(_) | Self::NoSuchCommand | Self::Store(StoreError::Invalid { .. }) => {
                Some("see 'dataapi --help', or --help after the command")
            }
            Self::Backup(BackupError::Sqlite(SqliteBackupError::NothingKnown { .. })) => Some(
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
