//! Why a whole store could not be opened, backed up, restored or copied, and what to do about it.

use dataapi_core::copy::IncompleteCopy;

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// No backend has that name.
    #[error("the store must be 'sqlite:PATH', 'postgres://USER@HOST/DATABASE' or 'memory:'")]
    UnknownUrl,

    /// Its files are what was asked for.
    #[error("a store in memory has no files; name one with 'sqlite:PATH'")]
    NoFiles,

    /// Its files are PostgreSQL's.
    #[error("this is for stores in a file; of one in PostgreSQL take care with its own tools")]
    InDatabase,

    /// The backend is there, but was not built in.
    #[error("DataAPI was built without this kind of store; turn on its Cargo feature '{0}'")]
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
    #[error("the operating system gave no random bytes for a key")]
    Randomness(#[source] getrandom::Error),

    /// The runtime was shut down meanwhile.
    #[error("the runtime was shut down while the store was being opened")]
    Task(#[source] tokio::task::JoinError),
}

/// Why there is no backup, or nothing was restored from one.
#[cfg(feature = "sqlite")]
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The store could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),

    /// The SQLite backend could not do it.
    #[error(transparent)]
    Sqlite(#[from] dataapi_sqlite::BackupError),

    /// A ledger was given for a store that has one.
    #[error(
        "the store that is there has a ledger of its own; leave the other one out, or restore to a \
         place without a store"
    )]
    HasLedger,
}

/// Why a store was not copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The store that is copied could not be opened.
    #[error("the store that is copied cannot be opened")]
    Source(#[source] OpenError),

    /// The new store could not be made.
    #[error("the new store cannot be made")]
    Target(#[source] OpenError),

    /// It was not copied to its end.
    #[error(transparent)]
    Transfer(#[from] IncompleteCopy),
}

/// What the caller does next about an error, whatever the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reaction {
    /// Correct the request: no store has such a URL, or that cannot be done with one of its kind.
    Correct,

    /// Choose another place or another file: what is there, or what was given, does not go with the rest,
    /// and was left as it is.
    ChooseAnother,

    /// Give the ledger of the store that was lost: nothing else tells what must not come back.
    GiveLedger,

    /// Go on when you like: it was asked to stop.
    GoOn,

    /// Look after the file, the disk, the database, or the way to it: it failed.
    Investigate,
}

impl OpenError {
    /// What to do about it.
    pub fn reaction(&self) -> Reaction {
        match self {
            Self::UnknownUrl | Self::NoFiles | Self::InDatabase | Self::FeatureOff(_) => {
                Reaction::Correct
            }
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
    /// What to do about it.
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
    /// What to do about it.
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
