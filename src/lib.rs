//! DataAPI: a consent-gated store for chatbot dialogs, embedded in one's own process.
//!
//! Everything of [`dataapi_core`] is here, and [`open`], the one place that names the backends.
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

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use dataapi_core::*;
use dataapi_sqlite::SqliteStore;

/// Opens the store that `url` names, with [`OpenOptions::default`].
///
/// # Errors
/// As [`OpenOptions::open`].
pub async fn open(url: &str) -> Result<Arc<dyn DialogStore>, OpenError> {
    OpenOptions::default().open(url).await
}

/// How to open a store.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    clock: Arc<dyn Clock>,
    create: bool,
    cache_bytes: usize,
    erase_within: Duration,
}

impl Default for OpenOptions {
    /// The operating system's clock; a store that is not there is created; 32 MiB of cache; an
    /// erasure delay of a second.
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            create: true,
            cache_bytes: 32 << 20,
            erase_within: Duration::from_secs(1),
        }
    }
}

impl OpenOptions {
    /// Takes the time from `clock`.
    #[must_use]
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// Whether a store that is not there is created, or refused.
    #[must_use]
    pub fn create(self, create: bool) -> Self {
        Self { create, ..self }
    }

    /// About how many bytes of the store its backend keeps in memory.
    #[must_use]
    pub fn cache_bytes(self, cache_bytes: usize) -> Self {
        Self { cache_bytes, ..self }
    }

    /// The erasure delay: how long after a withdrawal or an erasure its bytes may be in a file of the
    /// store. [`DialogStore::scrub`] waits until they are gone.
    #[must_use]
    pub fn erase_within(self, erase_within: Duration) -> Self {
        Self { erase_within, ..self }
    }

    /// Opens the store that `url` names.
    ///
    /// | url | store |
    /// |---|---|
    /// | `sqlite:dialogs.db`, `sqlite:/srv/dialogs.db` | a file, and two more beside it while it is open |
    /// | `memory:` | gone with the process |
    ///
    /// A store closes when the last `Arc` of it is dropped; that drop waits for what runs.
    ///
    /// # Errors
    /// When no backend has that name, or the backend cannot open the store.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn open(&self, url: &str) -> Result<Arc<dyn DialogStore>, OpenError> {
        if url == "memory:" {
            let key = RefKey::from_bytes(random_bytes()?);
            return Ok(Arc::new(MemoryStore::new(Arc::clone(&self.clock), key)));
        }
        let path = sqlite_path(url).ok_or(OpenError::UnknownUrl)?;
        let options = dataapi_sqlite::Options {
            clock: Arc::clone(&self.clock),
            create: self.create,
            cache_bytes: self.cache_bytes,
            erase_within: self.erase_within,
            ..dataapi_sqlite::Options::default()
        };
        let open = move || SqliteStore::open(&path, options);
        let store = tokio::task::spawn_blocking(open).await.map_err(OpenError::Task)??;
        Ok(Arc::new(store))
    }
}

/// The files of the store that `url` names, as far as they are there: for programs that look at
/// them from outside, such as one that verifies an erasure.
///
/// # Errors
/// When no backend has that name, it keeps no files, or there is no such store.
pub fn files(url: &str) -> Result<Vec<PathBuf>, OpenError> {
    match sqlite_path(url) {
        Some(path) => Ok(dataapi_sqlite::files(&path)?),
        None => Err(OpenError::UnknownUrl),
    }
}

/// The path in `sqlite:PATH`.
fn sqlite_path(url: &str) -> Option<PathBuf> {
    let path = url.strip_prefix("sqlite:")?;
    let is_empty = path.trim_start_matches('/').is_empty();
    (!is_empty).then(|| PathBuf::from(path.strip_prefix("//").unwrap_or(path)))
}

fn random_bytes() -> Result<[u8; 32], OpenError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(OpenError::Randomness)?;
    Ok(bytes)
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// No backend has that name.
    #[error("the store must be 'sqlite:PATH' or 'memory:'")]
    UnknownUrl,

    /// The SQLite backend could not open it.
    #[error(transparent)]
    Sqlite(#[from] dataapi_sqlite::OpenError),

    /// The operating system gave no random bytes for the store's key.
    #[error("the operating system gave no random bytes for the store's key")]
    Randomness(#[source] getrandom::Error),

    /// The runtime was shut down meanwhile.
    #[error("the runtime was shut down while the store was being opened")]
    Task(#[source] tokio::task::JoinError),
}
