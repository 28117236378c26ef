//! Errors of a cluster.

use std::io;

/// What failed, and what PostgreSQL said about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// [`Binaries::find`](crate::Binaries::find) did not find PostgreSQL's programs.
    #[error("PostgreSQL is not installed")]
    NotInstalled,

    /// PostgreSQL refuses to run as root, and there is no other user to run it as.
    #[error("PostgreSQL refuses to run as root, and there is no user 'postgres' or 'nobody'")]
    NoAccount,

    /// The operating system refused something.
    #[error("{doing}: {source}")]
    System {
        /// What was being done.
        doing: &'static str,
        /// The refusal.
        source: io::Error,
    },

    /// A program of PostgreSQL failed or took too long.
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
        /// The statement.
        statement: String,
        /// The server's answer.
        answer: String,
    },

    /// The server was stopped or killed and has not been started again.
    #[error("the cluster is not running")]
    Stopped,
}

impl Error {
    /// Makes a function for `map_err`.
    pub(crate) fn system(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { doing, source }
    }
}
