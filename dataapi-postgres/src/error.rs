//! Errors between the store and PostgreSQL, and what callers see of them.

use std::borrow::Cow;
use std::error::Error;
use std::time::Duration;

use dataapi_core::{Invalid, StoreError};
use deadpool_postgres::PoolError;
use tokio_postgres::error::{DbError, Severity, SqlState};

const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a transaction failed.
#[derive(Debug)]
pub(crate) enum PostgresError {
    /// One request was refused and wrote nothing. The transaction continues.
    Refused(StoreError),
    /// The transaction conflicted with another one and wrote nothing. Try it again.
    InTheWay,
    /// Another transaction held a lock for many seconds. Nothing was written.
    Locked,
    /// The connection is lost, or its server is no longer the primary.
    Lost,
    /// The server refused a statement.
    Database(SqlState),
    /// No connection was available.
    NoConnection(StoreError),
    /// A row contains an impossible value.
    Damaged(&'static str),
}

impl PostgresError {
    /// Whether the server refused a statement. The refusal has rolled the transaction back, even if a commit was sent
    /// after it. If Citus distributes the tables, an internal error can also mean that a node did not answer a commit.
    pub(crate) fn is_a_refused_statement(&self, is_spread: bool) -> bool {
        match self {
            Self::Database(code) => !is_spread || *code != SqlState::INTERNAL_ERROR,
            Self::InTheWay | Self::Locked => true,
            _ => false,
        }
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
        // An error of this severity has ended the session, whatever its reason.
        let severity = error.as_db_error().and_then(DbError::parsed_severity);
        if matches!(severity, Some(Severity::Fatal | Severity::Panic)) {
            return Self::Lost;
        }
        match *code {
            SqlState::T_R_SERIALIZATION_FAILURE | SqlState::T_R_DEADLOCK_DETECTED => Self::InTheWay,
            SqlState::LOCK_NOT_AVAILABLE => Self::Locked,
            // The server is no longer the primary.
            SqlState::READ_ONLY_SQL_TRANSACTION => Self::Lost,
            // Citus has lost a node, and what the node has committed is unknown.
            SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN | SqlState::CANNOT_CONNECT_NOW => {
                Self::Lost
            }
            _ if code.code().starts_with("08") => Self::Lost,
            _ => Self::Database(code.clone()),
        }
    }
}

impl From<PoolError> for PostgresError {
    fn from(error: PoolError) -> Self {
        Self::NoConnection(match error {
            PoolError::Timeout(deadpool_postgres::TimeoutType::Wait) => overloaded(),
            PoolError::Closed => closed(),
            PoolError::Backend(error) => not_connected(&error),
            _ => unavailable(UNREACHABLE),
        })
    }
}

const UNREACHABLE: &str = "PostgreSQL cannot be reached or refuses the connection";

/// Why there is no connection. The messages of the database are not shown: they name users and databases.
fn not_connected(error: &tokio_postgres::Error) -> StoreError {
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    let reason: Cow<'static, str> = match error.code().map(SqlState::code) {
        Some(code) if code.starts_with("28") => "PostgreSQL refuses the user or the password".into(),
        Some("3D000") => "PostgreSQL has no database of this name".into(),
        Some("53300") => "PostgreSQL has no connection left".into(),
        Some(code) => format!("PostgreSQL refuses the connection: {code}").into(),
        // The library has no other way to tell these apart.
        None => match error.to_string().as_str() {
            // A certificate that was sent can be quoted in it.
            "error performing TLS handshake" => {
                let cause: String = cause.chars().take(300).flat_map(char::escape_debug).collect();
                format!("TLS with PostgreSQL failed: {cause}").into()
            }
            "invalid configuration" if cause == "password missing" => {
                "PostgreSQL asks for a password, and there is none in the URL, in PGPASSWORD or in a password file; a \
                 password file that others than its owner may use is ignored: run chmod 600 on it"
                    .into()
            }
            _ => UNREACHABLE.into(),
        },
    };
    unavailable(reason)
}

impl From<PostgresError> for StoreError {
    fn from(failure: PostgresError) -> Self {
        match failure {
            PostgresError::Refused(error) | PostgresError::NoConnection(error) => error,
            PostgresError::InTheWay => unavailable("other writers keep changing the same dialogs"),
            PostgresError::Locked => unavailable(
                "another transaction holds a lock on the store; perhaps the store is being copied",
            ),
            PostgresError::Lost => unavailable("the connection to PostgreSQL was lost"),
            PostgresError::Damaged(what) => Self::backend(format!("a stored {what} is damaged")),
            // The message of the database is not shown: it might contain values.
            PostgresError::Database(code) => match &code.code()[..2] {
                "53" => unavailable("PostgreSQL is out of disk space, memory or connections"),
                _ if code == SqlState::QUERY_CANCELED => {
                    unavailable("PostgreSQL took too long; ask for less at a time")
                }
                _ => Self::backend(format!("PostgreSQL refused a statement: {}", code.code())),
            },
        }
    }
}

/// The connection was lost during a commit, and the outcome is unknown.
pub(crate) fn unknown() -> StoreError {
    unavailable(
        "the connection was lost during the commit; the change happened whole or not at all; \
         ask again to find out which",
    )
}

/// The store's tasks have ended: the store was closed, or its runtime is shutting down.
pub(crate) fn closed() -> StoreError {
    unavailable("the store is being closed")
}

/// A queue is full.
pub(crate) fn overloaded() -> StoreError {
    StoreError::Overloaded { retry_after: RETRY_AFTER }
}

pub(crate) fn unavailable(reason: impl Into<Cow<'static, str>>) -> StoreError {
    StoreError::Unavailable { reason: reason.into(), retry_after: RETRY_AFTER }
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL cannot be parsed.
    #[error("the URL must be 'postgres://USER:PASSWORD@HOST:PORT/DATABASE'")]
    Url,

    /// There is no store, and the options did not allow creating one.
    #[error("there is no store in this database; create it with 'dataapi migrate'")]
    Missing,

    /// A newer version of DataAPI has changed the schema. The store was not changed.
    #[error("the store was written by a newer version of DataAPI; use that version or a later one")]
    NewerSchema,

    /// The number of shards for a new store is not between 1 and 1024.
    #[error("the number of shards must be from 1 to 1024")]
    Shards,

    /// The encoding of the database is not UTF-8.
    #[error(
        "the database must have the encoding UTF8; create it with ENCODING 'UTF8' TEMPLATE template0"
    )]
    Encoding,

    /// Citus did not distribute the tables evenly over the requested number of shards.
    #[error("Citus did not distribute the tables evenly; check that all its nodes are available")]
    Spread,

    /// A node of a Citus cluster answers commits before they are on disk.
    #[error(
        "a node of the Citus cluster has synchronous_commit 'off' or 'local'; set it to 'on' on every node"
    )]
    Durability,

    /// The server has `fsync` or `full_page_writes` off, so a crash of its machine can lose what was acknowledged.
    #[error(
        "the PostgreSQL server has fsync or full_page_writes off: if its machine crashes, it can lose what it has \
         acknowledged; turn both on, or accept that with the line dataapi.durability = 'unchecked' in postgresql.conf"
    )]
    Crashes,

    /// Pages were to be read from standbys, but Citus distributes the tables.
    #[error(
        "pages cannot be read from standbys if Citus distributes the tables; name no read replica"
    )]
    Standbys,

    /// A copy was to make a new store, but the database already contains one.
    #[error("this database already contains a store; copy to a database without one")]
    IsThere,

    /// The store is an unfinished copy of another store.
    #[error(
        "this database contains an unfinished copy of another store; run the copy again, or drop the schema \
         'dataapi'"
    )]
    Unfinished,

    /// A table of the store has a trigger or a rule. DataAPI makes none, and one could copy texts to where no erasure
    /// reaches them. Nothing was changed.
    #[error(
        "a table of the store has a trigger or a rule that DataAPI did not make and that could copy texts elsewhere; \
         find it with \\d in psql, find out who made it, and drop it"
    )]
    Trigger,

    /// The store contains an impossible value.
    #[error("the store is damaged")]
    Damaged,

    /// The file with the root certificates cannot be read or contains none.
    #[error("the file that 'sslrootcert' names cannot be read, or contains no certificate")]
    RootCertificates,

    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),

    /// The operating system provided no random bytes for the store's key.
    #[error("the operating system provided no random bytes for the store's key")]
    Randomness(#[source] getrandom::Error),

    /// PostgreSQL was not available, or refused a statement.
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
