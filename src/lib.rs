//! DataAPI: a consent-gated store for chatbot dialogs, embedded in your own process.
//!
//! This crate re-exports everything in [`dataapi_core`] and adds operations on a whole store, named by a URL. Start
//! with [`open`]. Cargo features choose the backends:
//!
//! | feature | store | is on |
//! |---|---|---|
//! | | in memory | always |
//! | `sqlite` | in a file | by default |
//! | `postgres` | in PostgreSQL | on request |
//!
//! ```
//! use dataapi::{Decision, Evidence, Filter, NewDialog, PageRequest, Window};
//!
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = dataapi::open("memory:").await?;
//! let dialog = NewDialog::parse("anna", "d-1", "en", "Where is my parcel?")?;
//! let id = dialog.dialog_id.clone();
//! store.insert(dialog).await?;
//! store.decide(id, Decision::Granted, Evidence::default()).await?;
//!
//! let english = Filter::default().language("EN".parse()?);
//! let page = store.query(&PageRequest::new(english, Window::default())?).await?;
//! assert_eq!(page.items[0].text().as_str(), "Where is my parcel?");
//! # Ok(()) }
//! ```

#![deny(missing_docs)]

// No module has the name of a module in the core, because it would hide that one.
mod errors;
mod operations;
mod options;
mod randomness;
mod redaction;
mod registry;
mod secret_file;

pub use dataapi_core::copy::{Copied, IncompleteCopy, Stage};
pub use dataapi_core::*;
#[cfg(feature = "postgres")]
pub use dataapi_postgres::OpenError as PostgresOpenError;
#[cfg(feature = "sqlite")]
pub use dataapi_sqlite::{
    Backup, BackupError as SqliteBackupError, Damage, Exposure, OpenError as SqliteOpenError,
    Restored, Since, sqlite_version,
};

#[cfg(feature = "sqlite")]
pub use errors::BackupError;
pub use errors::{CopyError, OpenError, Reaction};
#[cfg(feature = "sqlite")]
pub use operations::{backup, check, exposure, restore};
pub use operations::{copy, files, open, shown};
pub use options::OpenOptions;
pub use randomness::generate_key;
pub use redaction::redacted;
pub use secret_file::read_secret;

/// The version of this library.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The documents, whose Rust blocks are run as tests.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/capacity.md")]
    struct Capacity;
    #[doc = include_str!("../docs/command-line.md")]
    struct CommandLine;
    #[doc = include_str!("../docs/embedding.md")]
    struct Embedding;
    #[doc = include_str!("../docs/erasure.md")]
    struct Erasure;
    #[doc = include_str!("../docs/http.md")]
    struct Http;
    #[doc = include_str!("../docs/operating.md")]
    struct Operating;
    #[doc = include_str!("../docs/postgres.md")]
    struct Postgres;
}
