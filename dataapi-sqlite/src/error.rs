//! Turns SQLite's errors into errors that say what the caller can do.

use std::time::Duration;

use dataapi_core::{Invalid, StoreError};
use rusqlite::ErrorCode;
use rusqlite::ffi::SQLITE_IOERR_SHMSIZE;

const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a piece of work inside a transaction has no result.
#[derive(Debug)]
pub(crate) enum SqliteError {
    /// The work was refused and wrote nothing: the transaction continues.
    Refused(StoreError),
    /// The database failed: the transaction must be rolled back.
    Database(rusqlite::Error),
}

impl SqliteError {
    /// Whether another connection held a lock.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self, Self::Database(error) if is_busy(error))
    }
}

impl From<rusqlite::Error> for SqliteError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl From<StoreError> for SqliteError {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl From<Invalid> for SqliteError {
    fn from(error: Invalid) -> Self {
        Self::Refused(error.into())
    }
}

impl From<SqliteError> for StoreError {
    fn from(error: SqliteError) -> Self {
        match error {
            SqliteError::Refused(error) => error,
            SqliteError::Database(error) => store_error(&error),
        }
    }
}

/// The error for the caller. SQLite's error texts name tables and columns, never a value.
pub(crate) fn store_error(error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        _ if is_busy(error) => unavailable("another process has locked it"),
        Some(ErrorCode::OperationInterrupted) => unavailable(
            "this read was stopped because it delayed an erasure; ask for less at a time",
        ),
        _ if is_disk_full(error) => unavailable("the disk is full"),
        // A disk that fails or became read-only, or a quota that is used up.
        Some(ErrorCode::SystemIoFailure | ErrorCode::ReadOnly | ErrorCode::CannotOpen) => {
            StoreError::Unavailable { reason: error.to_string().into(), retry_after: RETRY_AFTER }
        }
        _ => StoreError::backend(error.to_string()),
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Whether the disk failed.
pub(crate) fn is_disk_failure(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure)
}

/// Whether the disk is full. SQLite also reports that as a failure to extend its shared memory.
pub(crate) fn is_disk_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
        || error.sqlite_error().map(|error| error.extended_code) == Some(SQLITE_IOERR_SHMSIZE)
}

/// The error when a thread of the store has ended: the store was closed, or the thread died.
pub(crate) fn closed() -> StoreError {
    unavailable("it is being closed")
}

/// The error when the disk failed during a commit and again afterwards.
pub(crate) fn unknown() -> StoreError {
    unavailable(
        "the disk failed during the commit; the change happened whole or not at all; ask again to find out which",
    )
}

/// The error when a queue is full.
pub(crate) fn overloaded() -> StoreError {
    StoreError::Overloaded { retry_after: RETRY_AFTER }
}

/// The error when a scrub was asked for and the log stayed in use for too long.
pub(crate) fn read_in_the_way() -> StoreError {
    unavailable("another process or a long read keeps its files from being scrubbed")
}

/// The error that SQLite returns when another connection holds a lock for too long.
pub(crate) fn busy() -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
    rusqlite::Error::SqliteFailure(code, None)
}

fn unavailable(reason: &'static str) -> StoreError {
    StoreError::Unavailable { reason: reason.into(), retry_after: RETRY_AFTER }
}

/// Why a store file could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no file, and the caller did not ask to create one.
    #[error("there is no store at this path; check the path, or create one by writing to it")]
    Missing,

    /// The file is not a store. It was left unchanged.
    #[error("the file is not a DataAPI store; check the path")]
    NotAStore,

    /// The path, or that of a file that SQLite keeps beside the database, leads to something else than a regular
    /// file. It was left unchanged.
    #[error(
        "the path, or the same with -wal, -shm or -journal at its end, leads to a folder, a device or a pipe; a \
         store is a regular file: check the path"
    )]
    NotAFile,

    /// The schema has a trigger. DataAPI makes none, and one could copy texts to where no erasure reaches them. The
    /// store was left unchanged.
    #[error(
        "the store has a trigger that DataAPI did not make and that could copy texts elsewhere; find out with \
         'dataapi check' what it is and who made it, and remove it with DROP TRIGGER"
    )]
    Trigger,

    /// A newer version of DataAPI has changed the schema. The store was left unchanged.
    #[error("the store was written by a newer version of DataAPI; use that version or a later one")]
    NewerSchema,

    /// The file is not a store yet: a copy into it was begun and is not complete.
    #[error(
        "the file is an unfinished copy of a store; run the copy again to complete it, or remove the file \
         together with its -wal and -shm files"
    )]
    Unfinished,

    /// There is already a file where a copy should be made. It was left unchanged.
    #[error(
        "there is already a file at this path, or one with the same name and -wal or -shm at its end; a copy \
         needs a new path: choose another one"
    )]
    IsThere,

    /// Another process kept the store locked for too long.
    #[error("another process has locked the store; try again when it is done")]
    Busy,

    /// The file, its folder, or the file system cannot be written to. The store was left unchanged.
    #[error(
        "the store cannot be written to; check the permissions of its file and its folder, and whether the \
         file system is mounted read-only"
    )]
    ReadOnly,

    /// There is no space for the files that SQLite keeps beside the database.
    #[error("the disk is full; opening the store needs a little free space")]
    DiskFull,

    /// SQLite could not open the database or change its settings.
    #[error("SQLite cannot open the store")]
    Sqlite(#[source] rusqlite::Error),

    /// The schema could not be brought up to date. Nothing was changed.
    #[error("the schema of the store cannot be brought up to date")]
    Migration(#[source] rusqlite::Error),

    /// The operating system provided no random bytes for the key of a new store. Nothing was stored.
    #[error("the operating system provided no random bytes for the store's key; try again")]
    Randomness(#[source] getrandom::Error),

    /// The new file could not be created, or its permissions could not be set. Nothing was stored in it.
    #[error("the new store cannot be created; check that its folder exists and can be written to")]
    Create(#[source] std::io::Error),

    /// The database, or a file that SQLite keeps beside it, could not be opened.
    #[error(
        "the files of the store cannot be opened; check the permissions of its folder, and the limit on open \
         files per process"
    )]
    Files(#[source] std::io::Error),

    /// A thread of the store could not be started.
    #[error("a thread of the store cannot be started; check the limit on threads per process")]
    Thread(#[source] std::io::Error),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{
            CannotOpen, DatabaseBusy, DatabaseLocked, NotADatabase, ReadOnly,
        };
        match error.sqlite_error_code() {
            _ if is_disk_full(&error) => Self::DiskFull,
            Some(NotADatabase) => Self::NotAStore,
            Some(ReadOnly) => Self::ReadOnly,
            Some(CannotOpen) => Self::Files(std::io::Error::other(error)),
            Some(DatabaseBusy | DatabaseLocked) => Self::Busy,
            _ => Self::Sqlite(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn what_the_disk_refuses_may_work_later_and_what_is_damaged_does_not() {
        let told = |code| store_error(&rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
        for code in [
            ffi::SQLITE_FULL,
            ffi::SQLITE_IOERR_SHMSIZE,
            ffi::SQLITE_IOERR_WRITE,
            ffi::SQLITE_IOERR_FSYNC,
            ffi::SQLITE_READONLY,
            ffi::SQLITE_CANTOPEN,
        ] {
            assert!(matches!(told(code), StoreError::Unavailable { .. }), "{code}");
        }
        for code in [ffi::SQLITE_CORRUPT, ffi::SQLITE_CORRUPT_INDEX, ffi::SQLITE_ERROR] {
            assert!(matches!(told(code), StoreError::Backend { .. }), "{code}");
        }
    }
}
