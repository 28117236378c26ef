//! How an error of SQLite becomes one that tells the caller what to do.

use std::time::Duration;

use dataapi_core::{Invalid, StoreError};
use rusqlite::ErrorCode;

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
        Some(ErrorCode::DiskFull) => unavailable("the disk is full"),
        _ => StoreError::backend(error.to_string()),
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
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
