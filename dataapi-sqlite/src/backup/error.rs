//! The error of backups and restores.

use std::io;

use dataapi_core::{BrokenChain, Date, StoreError};

use crate::error::OpenError;

/// Why a backup could not be made or restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// There is already a file at the path of the new one, or a log of SQLite beside it. It was left unchanged.
    #[error(
        "there is already a file at this path, or one with the same name and -wal or -shm at its end; choose \
         another path, or move the file away"
    )]
    IsThere,

    /// The new file could not be written. Nothing of it is left.
    #[error("the new file cannot be written; check that its folder exists and the disk has space")]
    Write(#[source] io::Error),

    /// The backup or the store could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),

    /// SQLite failed while it read the store or wrote the new file.
    #[error("SQLite cannot read the store or write the new file")]
    Sqlite(#[from] rusqlite::Error),

    /// The existing store did not accept a dialog.
    #[error(transparent)]
    Store(#[from] StoreError),

    /// The existing store does not have the secret key of the backup: the backup is of another store.
    #[error(
        "the backup was made from another store than the existing one; restore to a path without a store"
    )]
    OtherStore,

    /// The ledger is broken, or does not continue the backup's ledger.
    #[error("the ledger does not continue the ledger of the backup: {0}")]
    Ledger(#[from] BrokenChain),

    /// The ledger could not be read.
    #[error("the ledger cannot be read")]
    LedgerFile(#[source] io::Error),

    /// There is no ledger that says what must not come back.
    #[error(
        "there is no ledger that says what was withdrawn or erased after this backup. The backup has {position} \
         events, until {date}. Every dialog that was withdrawn or erased after that would come back, and could be \
         read if the customer had consented before"
    )]
    NothingKnown {
        /// How many events the backup has.
        position: u64,
        /// The last date that the backed up store had handed out.
        date: Date,
    },

    /// The caller stopped it.
    #[error("it was stopped before it was complete")]
    Stopped,
}
