//! Why there is no cluster, or why it does not do what it was told.

use std::io;

/// What failed, with what PostgreSQL said about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// PostgreSQL's programs are in none of the places that [`Binaries::find`](crate::Binaries::find)
    /// looks at.
    #[error("PostgreSQL is not installed")]
    NotInstalled,

    /// PostgreSQL does not run as root, and there is no other user to run it as.
    #[error("PostgreSQL refuses root, and there is neither a user postgres nor nobody")]
    NoAccount,

    /// The operating system refused.
    #[error("{doing}: {source}")]
    System {
        /// What was being done.
        doing: &'static str,
        /// The refusal.
        source: io::Error,
    },

    /// One of PostgreSQL's programs failed, or took too long.
    #[error("{doing} failed:\n{log}")]
    Failed {
        /// What was being done.
        doing: &'static str,
        /// The end of its log.
        log: String,
    },

    /// The server refused a statement.
    #[error("{statement:?}: {answer}")]
    Refused {
        /// What was asked.
        statement: String,
        /// What it answered.
        answer: String,
    },

    /// The server was stopped or killed, and not started again.
    #[error("the cluster does not run")]
    Stopped,
}

impl Error {
    /// For `map_err`.
    pub(crate) fn system(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { doing, source }
    }
}
