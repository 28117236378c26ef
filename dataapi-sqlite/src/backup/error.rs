//! Why there is no backup, or nothing was restored from one.

use std::io;

use dataapi_core::{BrokenChain, Date, StoreError};

use crate::error::OpenError;

/// Why there is no backup, or nothing was restored from one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// There is a file at the place of the new one, or the log of one. It was left alone.
    #[error(
        "there is a file at that place already, or the log of one beside it (-wal, -shm); choose \
         another place, or move it away"
    )]
    IsThere,

    /// The new file could not be written; nothing is left of it.
    #[error("the new file cannot be written; check that its folder is there and has room")]
    Write(#[source] io::Error),

    /// The backup or the store could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),

    /// SQLite could not read the one or write the other.
    #[error("SQLite cannot read or write the copy")]
    Sqlite(#[from] rusqlite::Error),

    /// The store that is there did not take a dialog.
    #[error(transparent)]
    Store(#[from] StoreError),

    /// The store that is there was not made from the same one as the backup.
    #[error(
        "the store that is there is not the one of the backup; restore to a place without a store"
    )]
    OtherStore,

    /// The ledger is not one that goes on from the backup's.
    #[error("the ledger does not go on from that of the backup: {0}")]
    Ledger(#[from] BrokenChain),

    /// The ledger could not be read.
    #[error("the ledger cannot be read")]
    LedgerFile(#[source] io::Error),

    /// There is no ledger to tell what must not come back.
    #[error(
        "nothing tells what was withdrawn or erased after this backup. It knows of {position} \
         events, the last of {date}; every dialog that was withdrawn or erased after that would be \
         there again, and those consented to before could be read"
    )]
    NothingKnown {
        /// How many events the backup has.
        position: u64,
        /// When the backup's store last gave out a date.
        date: Date,
    },

    /// It was asked to stop.
    #[error("it was stopped before its end")]
    Stopped,
}
