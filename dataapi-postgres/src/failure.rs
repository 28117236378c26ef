//! How an error of PostgreSQL, or of the way to it, becomes one that tells the caller what to do.

use std::error::Error;
use std::time::Duration;

use dataapi_core::{Invalid, StoreError};
use deadpool_postgres::PoolError;
use tokio_postgres::error::{DbError, Severity, SqlState};

const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a transaction did not end as it should.
#[derive(Debug)]
pub(crate) enum Failure {
    /// One request was refused, and has written nothing: the transaction goes on.
    Refused(StoreError),
    /// Others were in the way, and nothing was written: to be tried again.
    InTheWay,
    /// Others held for many seconds what it needs, and nothing was written.
    Locked,
    /// The connection, or the server behind it, is no longer what it was.
    Lost,
    /// The server refused a statement.
    Database(SqlState),
    /// No connection was to be had.
    NoConnection(StoreError),
    /// A row holds what it cannot hold.
    Damaged(&'static str),
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

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(code) = error.code() else {
            let is_of_the_line = error.source().is_none_or(<dyn Error>::is::<std::io::Error>);
            return if is_of_the_line { Self::Lost } else { Self::Damaged("value") };
        };
        // Whatever the reason, it has ended the session.
        let severity = error.as_db_error().and_then(DbError::parsed_severity);
        if matches!(severity, Some(Severity::Fatal | Severity::Panic)) {
            return Self::Lost;
        }
        match *code {
            SqlState::T_R_SERIALIZATION_FAILURE | SqlState::T_R_DEADLOCK_DETECTED => Self::InTheWay,
            SqlState::LOCK_NOT_AVAILABLE => Self::Locked,
            // It was the primary, and is no more.
            SqlState::READ_ONLY_SQL_TRANSACTION => Self::Lost,
            _ => Self::Database(code.clone()),
        }
    }
}

impl From<PoolError> for Failure {
    fn from(error: PoolError) -> Self {
        Self::NoConnection(match error {
            PoolError::Timeout(deadpool_postgres::TimeoutType::Wait) => overloaded(),
            PoolError::Closed => closed(),
            _ => unavailable("PostgreSQL cannot be reached, or lets nobody in"),
        })
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(error) | Failure::NoConnection(error) => error,
            Failure::InTheWay => unavailable("others write to the same dialogs without end"),
            Failure::Locked => unavailable(
                "others hold the lock that it needs; a copy of the store may be running",
            ),
            Failure::Lost => unavailable("the connection to PostgreSQL was lost"),
            Failure::Damaged(what) => Self::backend(format!("a stored {what} is damaged")),
            // Its message may hold values.
            Failure::Database(code) => match &code.code()[..2] {
                "53" => unavailable("PostgreSQL has no room or no memory left"),
                _ if code == SqlState::QUERY_CANCELED => {
                    unavailable("PostgreSQL took too long; ask for less at a time")
                }
                _ => Self::backend(format!("PostgreSQL refused a statement: {}", code.code())),
            },
        }
    }
}

/// The outcome of a commit that nobody answered.
pub(crate) fn unknown() -> StoreError {
    unavailable(
        "the connection was lost while it committed; it happened whole or not at all, and asking \
         again tells which",
    )
}

/// The store's tasks are gone: it was closed, or the runtime is shut down.
pub(crate) fn closed() -> StoreError {
    unavailable("it is being closed")
}

/// A queue is full.
pub(crate) fn overloaded() -> StoreError {
    StoreError::Overloaded { retry_after: RETRY_AFTER }
}

pub(crate) fn unavailable(reason: &'static str) -> StoreError {
    StoreError::Unavailable { reason: reason.into(), retry_after: RETRY_AFTER }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_lacks_may_come_back_and_what_it_refuses_does_not() {
        for code in ["53100", "53200", "53300", "57014"] {
            let told = StoreError::from(Failure::Database(SqlState::from_code(code)));
            assert!(matches!(told, StoreError::Unavailable { .. }), "{code}");
        }
        for code in ["42501", "42P01", "XX001"] {
            let told = StoreError::from(Failure::Database(SqlState::from_code(code)));
            assert!(matches!(told, StoreError::Backend { .. }), "{code}");
        }
    }
}
