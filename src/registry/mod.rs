//! Finds the backend that a URL belongs to, in the only table of backends.

mod backend;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
mod spelling;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(any(test, not(feature = "sqlite"), not(feature = "postgres")))]
mod turned_off;

use crate::errors::OpenError;

use backend::Backend;

/// One kind of store.
struct Entry {
    has: fn(&str) -> bool,
    backend: &'static dyn Backend,
}

static BACKENDS: [Entry; 3] = [
    Entry { has: |url| url == "memory:", backend: &memory::Memory },
    Entry { has: |url| url.starts_with("sqlite:"), backend: SQLITE },
    Entry {
        has: |url| url.starts_with("postgres://") || url.starts_with("postgresql://"),
        backend: POSTGRES,
    },
];

#[cfg(feature = "sqlite")]
const SQLITE: &dyn Backend = &sqlite::Sqlite;
#[cfg(not(feature = "sqlite"))]
const SQLITE: &dyn Backend = &turned_off::TurnedOff { feature: "sqlite" };

#[cfg(feature = "postgres")]
const POSTGRES: &dyn Backend = &postgres::Postgres;
#[cfg(not(feature = "postgres"))]
const POSTGRES: &dyn Backend = &turned_off::TurnedOff { feature: "postgres" };

/// The backend of the store that `url` names.
pub(crate) fn backend_of(url: &str) -> Result<&'static dyn Backend, OpenError> {
    let entry = BACKENDS.iter().find(|entry| (entry.has)(url));
    Ok(entry.ok_or_else(|| spelling::of_url(url))?.backend)
}
