//! How an error of SQLite becomes one that tells the caller what to do.

use std::time::Duration;

use dataapi_core::{Invalid, StoreError};
use rusqlite::ErrorCode;
use rusqlite::ffi::SQLITE_IOERR_SHMSIZE;

const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a piece of work inside a transaction gave no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was refused, and has written nothing: the transaction goes on.
    Refused(StoreError),
    /// The database failed: the transaction must be rolled back.
    Database(rusqlite::Error),
}

impl Failure {
    /// Whether someone else held a lock.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self, Self::Database(error) if is_busy(error))
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl From<Invalid> for Failure {
    fn from(error: Invalid) -> Self {
        Self::Refused(error.into())
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(error) => error,
            Failure::Database(error) => store_error(&error),
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
