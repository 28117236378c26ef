//! Errors of SQLite as ones that tell the caller what to do.

use std::time::Duration;

use dataapi_core::{Invalid, StoreError};
use rusqlite::ErrorCode;
use rusqlite::ffi::SQLITE_IOERR_SHMSIZE;

const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a piece of work inside a transaction gave no answer.
#[derive(Debug)]
pub(crate) enum SqliteError {
    /// It was refused, and has written nothing: the transaction goes on.
    Refused(StoreError),
    /// The database failed: the transaction must be rolled back.
    Database(rusqlite::Error),
}

impl SqliteError {
    /// Whether someone else held a lock.
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

/// The texts of SQLite's errors name tables and columns, never a value.
pub(crate) fn store_error(error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        _ if is_busy(error) => unavailable("another process holds it"),
        Some(ErrorCode::OperationInterrupted) => {
            unavailable("what was erased cannot wait for so long a read; ask for less at a time")
        }
        _ if is_disk_full(error) => unavailable("the disk is full"),
        // As on a disk that fails, or became read-only, or where a quota is used up.
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

/// Whether there was no space, also where SQLite could not make its shared memory longer.
pub(crate) fn is_disk_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
        || error.sqlite_error().map(|error| error.extended_code) == Some(SQLITE_IOERR_SHMSIZE)
}

/// The store's threads are gone: it was closed, or one of them died.
pub(crate) fn closed() -> StoreError {
    unavailable("it is being closed")
}

/// A queue is full.
pub(crate) fn overloaded() -> StoreError {
    StoreError::Overloaded { retry_after: RETRY_AFTER }
}

/// Something that runs for long keeps the log in use.
pub(crate) fn read_in_the_way() -> StoreError {
    unavailable("another process, or a read that takes long, keeps it from being scrubbed")
}

/// What SQLite says when another one holds a lock for too long.
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
    /// There is no file, and none was to be created.
    #[error("there is no store at this path; check the path, or create one by writing to it")]
    Missing,

    /// The file is something else, and was left alone.
    #[error("the file is not a DataAPI store; check the path")]
    NotAStore,

    /// A newer program has changed the schema. The store was left alone.
    #[error("the store was written by a newer version of DataAPI; use that version or a later one")]
    NewerSchema,

    /// It is not a store yet: a copy into it was begun.
    #[error(
        "a copy into this store was begun and has not ended; run it again, or remove the file and those \
         beside it"
    )]
    Unfinished,

    /// There is a file where a copy was to be made. It was left alone.
    #[error(
        "there is a file at that place already, or one beside it (-wal, -shm); a copy makes a new store: \
         choose another place"
    )]
    IsThere,

    /// Another process held the store for too long.
    #[error("another process holds the store; try again when it is done")]
    Busy,

    /// The file, its folder, or the file system cannot be written to. The store was left alone.
    #[error(
        "the store cannot be written to; check the rights of its file and its folder, and whether the \
         file system is mounted to be read only"
    )]
    ReadOnly,

    /// There is no space for the files beside the store.
    #[error("the disk is full; the store needs a little space beside it to be opened")]
    DiskFull,

    /// SQLite could not open or prepare it.
    #[error("SQLite cannot open the store")]
    Sqlite(#[source] rusqlite::Error),

    /// The schema could not be brought up to date. Nothing was changed.
    #[error("the schema of the store cannot be brought up to date")]
    Migration(#[source] rusqlite::Error),

    /// The operating system gave no random bytes for the key of a new store. Nothing was stored.
    #[error("the operating system gave no random bytes for a key; try again")]
    Randomness(#[source] getrandom::Error),

    /// The new file could not be made, or not be kept from other users; nothing was stored in it.
    #[error("the new store cannot be made; check that its folder is there and can be written to")]
    Create(#[source] std::io::Error),

    /// The store or the files beside it could not be opened.
    #[error(
        "the files of the store cannot be opened; check who may write to its folder, and how many files a \
         process may have open"
    )]
    Files(#[source] std::io::Error),

    /// A thread of the store could not be started.
    #[error("a thread of the store cannot be started")]
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
