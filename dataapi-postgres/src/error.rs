//! What can go wrong between here and PostgreSQL, and what the caller is told of it.

use std::error::Error;
use std::time::Duration;

use dataapi_core::{Invalid, StoreError};
use deadpool_postgres::PoolError;
use tokio_postgres::error::{DbError, Severity, SqlState};

const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a transaction did not end as it should.
#[derive(Debug)]
pub(crate) enum PostgresError {
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

impl PostgresError {
    /// Whether the server refused a statement: that has ended the transaction, and its commit with it.
    pub(crate) fn is_a_refused_statement(&self) -> bool {
        matches!(self, Self::Database(_) | Self::InTheWay | Self::Locked)
    }
}

impl From<StoreError> for PostgresError {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl From<Invalid> for PostgresError {
    fn from(error: Invalid) -> Self {
        Self::Refused(error.into())
    }
}

impl From<tokio_postgres::Error> for PostgresError {
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

impl From<PoolError> for PostgresError {
    fn from(error: PoolError) -> Self {
        Self::NoConnection(match error {
            PoolError::Timeout(deadpool_postgres::TimeoutType::Wait) => overloaded(),
            PoolError::Closed => closed(),
            _ => unavailable("PostgreSQL cannot be reached, or lets nobody in"),
        })
    }
}

impl From<PostgresError> for StoreError {
    fn from(failure: PostgresError) -> Self {
        match failure {
            PostgresError::Refused(error) | PostgresError::NoConnection(error) => error,
            PostgresError::InTheWay => unavailable("others write to the same dialogs without end"),
            PostgresError::Locked => unavailable(
                "others hold the lock that it needs; a copy of the store may be running",
            ),
            PostgresError::Lost => unavailable("the connection to PostgreSQL was lost"),
            PostgresError::Damaged(what) => Self::backend(format!("a stored {what} is damaged")),
            // Its message may hold values.
            PostgresError::Database(code) => match &code.code()[..2] {
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

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL is none.
    #[error("the URL must be 'postgres://USER:PASSWORD@HOST:PORT/DATABASE'")]
    Url,

    /// There is no store, and none was to be created.
    #[error("there is no store in this database; create it with 'dataapi migrate'")]
    Missing,

    /// A newer program has changed the schema. The store was left alone.
    #[error("the store was written by a newer version of DataAPI; use that version or a later one")]
    NewerSchema,

    /// The number of shards of a new store is out of its bounds.
    #[error("a store has 1 to 1024 shards")]
    Shards,

    /// The database has another encoding.
    #[error(
        "the database must have the encoding UTF8; create it with ENCODING 'UTF8' TEMPLATE template0"
    )]
    Encoding,

    /// Citus did not spread the tables as it was asked to.
    #[error("Citus has not spread the tables evenly; check that its nodes are there")]
    Spread,

    /// There is a store, where a new one was to be made.
    #[error("there is a store in this database already; a copy takes a database without one")]
    IsThere,

    /// It was to be a copy of another store, and has not come to its end.
    #[error(
        "a copy of another store was begun in this database and has not ended; run it again, or drop the \
         schema 'dataapi'"
    )]
    Unfinished,

    /// What is in the store cannot be.
    #[error("the store is damaged")]
    Damaged,

    /// The certificates could not be read.
    #[error("the file that 'sslrootcert' names cannot be read, or holds no certificate")]
    RootCertificates,

    /// TLS could not be set up.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),

    /// The operating system gave no random bytes for the store's key.
    #[error("the operating system gave no random bytes for a key")]
    Randomness(#[source] getrandom::Error),

    /// PostgreSQL was not to be had, or refused what the schema needs.
    #[error(transparent)]
    Store(StoreError),
}

impl From<PostgresError> for OpenError {
    fn from(failure: PostgresError) -> Self {
        Self::Store(failure.into())
    }
}

impl From<tokio_postgres::Error> for OpenError {
    fn from(error: tokio_postgres::Error) -> Self {
        PostgresError::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_lacks_may_come_back_and_what_it_refuses_does_not() {
        for code in ["53100", "53200", "53300", "57014"] {
            let told = StoreError::from(PostgresError::Database(SqlState::from_code(code)));
            assert!(matches!(told, StoreError::Unavailable { .. }), "{code}");
        }
        for code in ["42501", "42P01", "XX001"] {
            let told = StoreError::from(PostgresError::Database(SqlState::from_code(code)));
            assert!(matches!(told, StoreError::Backend { .. }), "{code}");
        }
    }
}
