//! Why a whole store could not be opened, backed up, restored or copied, and how to react.

use dataapi_core::copy::IncompleteCopy;

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// No backend has such a URL.
    #[error("the store's URL must be 'sqlite:PATH', 'postgres://USER@HOST/DATABASE' or 'memory:'")]
    UnknownUrl,

    /// The URL is written as another program would write it.
    #[error("{reason}; write '{right}'")]
    Spelling {
        /// What is wrong.
        reason: &'static str,
        /// The right spelling, without anything secret.
        right: String,
    },

    /// A store in memory has no files to work on.
    #[error("a store in memory has no files; use a store in a file, 'sqlite:PATH'")]
    NoFiles,

    /// The files of the store belong to PostgreSQL.
    #[error(
        "this works only for a store in a file; for one in PostgreSQL, use PostgreSQL's own tools"
    )]
    InDatabase,

    /// The backend exists, but this build does not include it.
    #[error("this build does not include this kind of store; build with the Cargo feature '{0}'")]
    FeatureOff(&'static str),

    /// The PostgreSQL backend could not open it.
    #[cfg(feature = "postgres")]
    #[error(transparent)]
    Postgres(#[from] dataapi_postgres::OpenError),

    /// The SQLite backend could not open it.
    #[cfg(feature = "sqlite")]
    #[error(transparent)]
    Sqlite(#[from] dataapi_sqlite::OpenError),

    /// The operating system gave no random bytes for a key.
    #[error("the operating system provided no random bytes for a key")]
    Randomness(#[source] getrandom::Error),

    /// The runtime was shut down in the meantime.
    #[error("the runtime was shut down while the store was being opened")]
    Task(#[source] tokio::task::JoinError),
}

/// Why a backup or a restore failed.
#[cfg(feature = "sqlite")]
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The store could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),

    /// The SQLite backend failed.
    #[error(transparent)]
    Sqlite(#[from] dataapi_sqlite::BackupError),

    /// A ledger was given for a store that has its own.
    #[error(
        "the existing store has a ledger of its own; leave out the one you gave, or restore to a place \
         without a store"
    )]
    HasLedger,
}

/// Why a store was not copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The store to copy from could not be opened.
    #[error("cannot open the store to copy from")]
    Source(#[source] OpenError),

    /// The new store could not be created.
    #[error("cannot create the new store")]
    Target(#[source] OpenError),

    /// The copy is not complete.
    #[error(transparent)]
    Transfer(#[from] IncompleteCopy),
}

/// How the caller should react to an error, whatever the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reaction {
    /// Correct the request: no store has such a URL, or this kind of store does not support the operation.
    Correct,

    /// Choose another place or another file: what is there, or what was given, does not fit. It was left as it is.
    ChooseAnother,

    /// Supply the ledger of the lost store: nothing else shows what must not come back.
    GiveLedger,

    /// Continue at any time: the operation was stopped on request.
    GoOn,

    /// Check the file, the disk, the database or the connection to it: it failed.
    Investigate,
}

impl OpenError {
    /// How to react to the error.
    pub fn reaction(&self) -> Reaction {
        match self {
            Self::UnknownUrl
            | Self::Spelling { .. }
            | Self::NoFiles
            | Self::InDatabase
            | Self::FeatureOff(_) => Reaction::Correct,
            #[cfg(feature = "postgres")]
            Self::Postgres(dataapi_postgres::OpenError::Url) => Reaction::Correct,
            #[cfg(feature = "postgres")]
            Self::Postgres(dataapi_postgres::OpenError::IsThere) => Reaction::ChooseAnother,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(dataapi_sqlite::OpenError::IsThere) => Reaction::ChooseAnother,
            _ => Reaction::Investigate,
        }
    }
}

#[cfg(feature = "sqlite")]
impl BackupError {
    /// How to react to the error.
    pub fn reaction(&self) -> Reaction {
        use dataapi_sqlite::BackupError as Sqlite;

        match self {
            Self::Open(error) => error.reaction(),
            Self::Sqlite(Sqlite::NothingKnown { .. }) => Reaction::GiveLedger,
            Self::Sqlite(Sqlite::Stopped) => Reaction::GoOn,
            Self::HasLedger
            | Self::Sqlite(Sqlite::IsThere | Sqlite::OtherStore | Sqlite::Ledger(_)) => {
                Reaction::ChooseAnother
            }
            Self::Sqlite(_) => Reaction::Investigate,
        }
    }
}

impl CopyError {
    /// How to react to the error.
    pub fn reaction(&self) -> Reaction {
        match self {
            Self::Source(error) | Self::Target(error) => error.reaction(),
            Self::Transfer(IncompleteCopy::Stopped) => Reaction::GoOn,
            Self::Transfer(IncompleteCopy::Changed | IncompleteCopy::Chains { .. }) => {
                Reaction::ChooseAnother
            }
            Self::Transfer(_) => Reaction::Investigate,
        }
    }
}

#[cfg(all(test, feature = "sqlite", feature = "postgres"))]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_to_do_whatever_the_backend() {
        for error in [
            OpenError::UnknownUrl,
            OpenError::NoFiles,
            OpenError::InDatabase,
            OpenError::FeatureOff("postgres"),
            dataapi_postgres::OpenError::Url.into(),
        ] {
            assert_eq!(error.reaction(), Reaction::Correct, "{error:?}");
            assert_eq!(CopyError::Target(error).reaction(), Reaction::Correct);
        }
        for error in [
            OpenError::from(dataapi_postgres::OpenError::IsThere),
            dataapi_sqlite::OpenError::IsThere.into(),
        ] {
            assert_eq!(CopyError::Target(error).reaction(), Reaction::ChooseAnother);
        }
        for error in [
            OpenError::from(dataapi_postgres::OpenError::Missing),
            dataapi_sqlite::OpenError::Busy.into(),
        ] {
            assert_eq!(error.reaction(), Reaction::Investigate, "{error:?}");
            assert_eq!(BackupError::Open(error).reaction(), Reaction::Investigate);
        }
    }

    #[test]
    fn what_was_stopped_goes_on_and_what_does_not_fit_is_chosen_again() {
        use dataapi_sqlite::BackupError as Sqlite;

        let nothing = Sqlite::NothingKnown { position: 1, date: dataapi_core::Date::MIN };
        assert_eq!(BackupError::from(nothing).reaction(), Reaction::GiveLedger);
        assert_eq!(BackupError::from(Sqlite::Stopped).reaction(), Reaction::GoOn);
        assert_eq!(CopyError::from(IncompleteCopy::Stopped).reaction(), Reaction::GoOn);
        assert_eq!(BackupError::HasLedger.reaction(), Reaction::ChooseAnother);
        assert_eq!(BackupError::from(Sqlite::OtherStore).reaction(), Reaction::ChooseAnother);
        assert_eq!(CopyError::from(IncompleteCopy::Changed).reaction(), Reaction::ChooseAnother);
    }
}
