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

use std::fmt;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dataapi_core::transfer::{Source, Target};
pub use dataapi_core::transfer::{Stage, TransferError, Transferred};
pub use dataapi_core::*;
pub use dataapi_postgres::OpenError as PostgresOpenError;
use dataapi_postgres::PostgresStore;
use dataapi_sqlite::SqliteStore;
pub use dataapi_sqlite::{
    Backup, BackupError as SqliteBackupError, Damage, OpenError as SqliteOpenError, Restored, Since,
};

/// Opens the store that `url` names, with [`OpenOptions::default`].
///
/// # Errors
/// As [`OpenOptions::open`].
pub async fn open(url: &str) -> Result<Arc<dyn DialogStore>, OpenError> {
    OpenOptions::default().open(url).await
}

/// How to open a store.
#[derive(Clone)]
pub struct OpenOptions {
    clock: Arc<dyn Clock>,
    create: bool,
    cache_bytes: usize,
    erase_within: Duration,
    shards: u16,
    read_replicas: Vec<String>,
}

/// URLs hold passwords: of standbys it shows how many there are.
impl fmt::Debug for OpenOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenOptions")
            .field("create", &self.create)
            .field("cache_bytes", &self.cache_bytes)
            .field("erase_within", &self.erase_within)
            .field("shards", &self.shards)
            .field("read_replicas", &self.read_replicas.len())
            .finish_non_exhaustive()
    }
}

impl Default for OpenOptions {
    /// The operating system's clock; a store that is not there is created, in PostgreSQL with 32 shards;
    /// 16 MiB of cache; an erasure delay of a second.
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            create: true,
            cache_bytes: 16 << 20,
            erase_within: Duration::from_secs(1),
            shards: 32,
            read_replicas: Vec::new(),
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

    /// About how many bytes of the store its backend keeps in memory for writes; reads leave that to the
    /// operating system.
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

    /// How many shards a new store in PostgreSQL has, and chains its ledger: 1 to 1024, for good. On Citus no
    /// more nodes than these can share the dialogs.
    #[must_use]
    pub fn shards(self, shards: u16) -> Self {
        Self { shards, ..self }
    }

    /// URLs of standbys of a store in PostgreSQL, which pages may come from: each only while it has all that
    /// was decided and erased before the page was asked for.
    #[must_use]
    pub fn read_replicas(self, read_replicas: Vec<String>) -> Self {
        Self { read_replicas, ..self }
    }

    /// Opens the store that `url` names.
    ///
    /// | url | store |
    /// |---|---|
    /// | `sqlite:dialogs.db`, `sqlite:/srv/dialogs.db` | a file, and two more beside it while it is open |
    /// | `postgres://dataapi@db.example/dialogs` | PostgreSQL, for any number of processes at once; see [`PostgresStore`](dataapi_postgres::PostgresStore::open) |
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
        if is_postgres(url) {
            let options = dataapi_postgres::Options {
                clock: Arc::clone(&self.clock),
                create: self.create,
                erase_within: self.erase_within,
                shards: self.shards,
                read_replicas: self.read_replicas.clone(),
                ..dataapi_postgres::Options::default()
            };
            return Ok(Arc::new(PostgresStore::open(url, options).await?));
        }
        Ok(Arc::new(self.open_sqlite(url).await?))
    }

    async fn open_sqlite(&self, url: &str) -> Result<SqliteStore, OpenError> {
        let path = sqlite_path(url).ok_or(without_path(url))?;
        let options = dataapi_sqlite::Options {
            clock: Arc::clone(&self.clock),
            create: self.create,
            cache_bytes: self.cache_bytes,
            erase_within: self.erase_within,
            ..dataapi_sqlite::Options::default()
        };
        let open = move || SqliteStore::open(&path, options);
        Ok(tokio::task::spawn_blocking(open).await.map_err(OpenError::Task)??)
    }
}

/// Writes a copy of the store that `url` names, as it is at one moment, to a new file, while the store is
/// in use; no erasure waits for it. The file can be opened as a store, and is one to [`restore`] from.
///
/// It holds pending dialogs, too: keep it as safe as the store, and no longer than you must, since no
/// later erasure reaches it. `progress` is told now and then how many more dialogs are copied, and ends
/// the work by a break; nothing is left of the file then.
///
/// # Errors
/// When the store is not there or has no files, or the file is there or cannot be written.
///
/// # Panics
/// Outside a tokio runtime.
///
/// ```
/// use std::ops::ControlFlow;
/// use dataapi::{NewDialog, Since};
///
/// # let folder = tempfile::tempdir()?;
/// # std::env::set_current_dir(folder.path())?;
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let store = dataapi::open("sqlite:dialogs.db").await?;
/// store.insert(NewDialog::parse("anna", "d-1", "en", "Where is my parcel?")?).await?;
/// let backup = "monday.backup".as_ref();
/// let copied = dataapi::backup("sqlite:dialogs.db", backup, |_| ControlFlow::Continue(())).await?;
/// assert_eq!(copied.dialogs, 1);
///
/// // Erased after the backup: it does not come back.
/// store.erase_customer(&"anna".parse()?).await?;
/// let restored =
///     dataapi::restore("sqlite:dialogs.db", backup, Since::Unknown, |_| ControlFlow::Continue(())).await?;
/// assert_eq!((restored.restored, restored.gone), (0, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn backup(
    url: &str,
    place: &Path,
    mut progress: impl FnMut(u64) -> ControlFlow<()> + Send + 'static,
) -> Result<Backup, BackupError> {
    let store = OpenOptions::default().create(false).open_sqlite(url).await?;
    let place = place.to_owned();
    let copying = move || store.back_up(&place, &mut progress);
    Ok(tokio::task::spawn_blocking(copying).await.map_err(OpenError::Task)??)
}

/// Brings back from a backup what the store that `url` names has lost, but nothing that was withdrawn or
/// erased after the backup was made.
///
/// Where that store is there, it says what that is, and keeps all that it holds; it may be in use. Where
/// there is none, one is made, with the ledger that `since` gives, and appears once it is whole. What is
/// in a file that was lost with its ledger nobody can tell: see [`Since`].
///
/// # Errors
/// When the backup or the store cannot be opened or are not of one store, when the ledger is broken,
/// does not go on from the backup's, or is missing, and when the store cannot be written.
///
/// # Panics
/// Outside a tokio runtime.
pub async fn restore(
    url: &str,
    backup: &Path,
    since: Since,
    mut progress: impl FnMut(u64) -> ControlFlow<()> + Send + 'static,
) -> Result<Restored, BackupError> {
    let path = sqlite_path(url).ok_or(without_path(url))?;
    if path.symlink_metadata().is_ok() {
        if matches!(since, Since::Ledger(_)) {
            return Err(BackupError::HasLedger);
        }
        let store = OpenOptions::default().create(false).open_sqlite(url).await?;
        return Ok(store.put_back(backup, &mut progress).await?);
    }
    let backup = backup.to_owned();
    let restoring = move || dataapi_sqlite::restore(&backup, &path, since, &mut progress);
    Ok(tokio::task::spawn_blocking(restoring).await.map_err(OpenError::Task)??)
}

/// Why there is no backup, or nothing was restored from one.
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

/// Moves all of the store that `from` names into a new one that `to` names, whatever the backends: dialogs in
/// every state, tombstones, the ledger as it was written, decisions that are held, and keys. What is there then
/// is verified.
///
/// Until it is done nobody can open the new store, and nobody write to the old one. Stopped or killed, it goes
/// on where it was when it is called again, for as long as nobody has written to the old store. A new store in
/// PostgreSQL has that many `shards`, which may be other than those of the old one. `watch` is told how far it
/// has come, and ends it by a break.
///
/// The old store stays as it is. It still holds what is erased from the new one: remove it.
///
/// # Errors
/// See [`CopyError`].
///
/// # Panics
/// Outside a tokio runtime. Blocks the thread that polls it for some hundredths of a second at a time.
///
/// ```
/// use std::ops::ControlFlow;
/// use dataapi::NewDialog;
///
/// # let folder = tempfile::tempdir()?;
/// # std::env::set_current_dir(folder.path())?;
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let old = dataapi::open("sqlite:old.db").await?;
/// old.insert(NewDialog::parse("anna", "d-1", "en", "Where is my parcel?")?).await?;
/// drop(old);
///
/// let go_on = &mut |_, _, _| ControlFlow::Continue(());
/// let copied = dataapi::copy("sqlite:old.db", "sqlite:new.db", 32, go_on).await?;
/// assert_eq!(copied.stats.pending, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn copy(
    from: &str,
    to: &str,
    shards: u16,
    watch: transfer::Watch<'_>,
) -> Result<Transferred, CopyError> {
    let mut source: Box<dyn Source> = if is_postgres(from) {
        Box::new(dataapi_postgres::TransferSource::open(from).await.map_err(CopyError::source)?)
    } else {
        let path = sqlite_path(from).ok_or_else(|| CopyError::source(without_path(from)))?;
        // What a crash left undone is done first.
        let store = OpenOptions::default().create(false).open_sqlite(from).await;
        drop(store.map_err(CopyError::source)?);
        let opened = blocking(move || dataapi_sqlite::TransferSource::open(&path)).await;
        Box::new(opened.map_err(CopyError::Source)?)
    };
    let mut target: Box<dyn Target> = if is_postgres(to) {
        let target = dataapi_postgres::TransferTarget::open(to, shards).await;
        Box::new(target.map_err(CopyError::target)?)
    } else {
        let path = sqlite_path(to).ok_or_else(|| CopyError::target(without_path(to)))?;
        let opened = blocking(move || dataapi_sqlite::TransferTarget::open(&path)).await;
        Box::new(opened.map_err(CopyError::Target)?)
    };
    Ok(transfer::transfer(&mut *source, &mut *target, watch).await?)
}

async fn blocking<T: Send + 'static>(
    open: impl FnOnce() -> Result<T, dataapi_sqlite::OpenError> + Send + 'static,
) -> Result<T, OpenError> {
    Ok(tokio::task::spawn_blocking(open).await.map_err(OpenError::Task)??)
}

/// Why a store was not moved.
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
    Transfer(#[from] TransferError),
}

impl CopyError {
    fn source(error: impl Into<OpenError>) -> Self {
        Self::Source(error.into())
    }

    fn target(error: impl Into<OpenError>) -> Self {
        Self::Target(error.into())
    }
}

/// The files of the store that `url` names, as far as they are there: for programs that look at
/// them from outside, such as one that verifies an erasure.
///
/// # Errors
/// When no backend has that name, it keeps no files, or there is no such store.
pub fn files(url: &str) -> Result<Vec<PathBuf>, OpenError> {
    Ok(dataapi_sqlite::files(&sqlite_path(url).ok_or(without_path(url))?)?)
}

/// Looks at every page and every row of the store that `url` names; yields what is wrong, nothing if it is
/// whole. Erasures in a store that is in use wait for it: rather check a [`backup`].
///
/// # Errors
/// When no backend has that name, it keeps no files, or the store is not there or cannot be read on.
///
/// # Panics
/// Outside a tokio runtime.
pub async fn check(url: &str) -> Result<Vec<Damage>, OpenError> {
    // What a crash left undone is done first.
    drop(OpenOptions::default().create(false).open_sqlite(url).await?);
    let path = sqlite_path(url).ok_or(without_path(url))?;
    let checking = move || dataapi_sqlite::check(&path);
    Ok(tokio::task::spawn_blocking(checking).await.map_err(OpenError::Task)??)
}

/// The path in `sqlite:PATH`.
fn sqlite_path(url: &str) -> Option<PathBuf> {
    let path = url.strip_prefix("sqlite:")?;
    let is_empty = path.trim_start_matches('/').is_empty();
    (!is_empty).then(|| PathBuf::from(path.strip_prefix("//").unwrap_or(path)))
}

/// A store's URL as it may be shown: without a password, and without the parameters after it.
///
/// ```
/// assert_eq!(dataapi::shown("postgres://u:secret@db/d?sslrootcert=ca.pem"), "postgres://u@db/d");
/// assert_eq!(dataapi::shown("sqlite:dialogs.db"), "sqlite:dialogs.db");
/// ```
pub fn shown(url: &str) -> String {
    if !is_postgres(url) {
        return url.to_owned();
    }
    let Some((scheme, rest)) = url.split_once("://") else { return String::new() };
    let rest = rest.split_once('?').map_or(rest, |(base, _)| base);
    match rest.rsplit_once('@') {
        Some((credentials, place)) => {
            let user = credentials.split_once(':').map_or(credentials, |(user, _)| user);
            format!("{scheme}://{user}@{place}")
        }
        None => format!("{scheme}://{rest}"),
    }
}

fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

/// Why what needs the files of a store cannot be done with that one.
fn without_path(url: &str) -> OpenError {
    match url {
        "memory:" => OpenError::NoFiles,
        _ if is_postgres(url) => OpenError::InDatabase,
        _ => OpenError::UnknownUrl,
    }
}

/// A new key for a server's clients, from the operating system's random source. Show it once, and keep its
/// [`hash`](KeySecret::hash) with [`DialogStore::create_key`].
///
/// # Errors
/// [`OpenError::Randomness`] when there is none.
pub fn generate_key() -> Result<KeySecret, OpenError> {
    Ok(KeySecret::from_bytes(random_bytes()?))
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
    #[error("the store must be 'sqlite:PATH', 'postgres://USER@HOST/DATABASE' or 'memory:'")]
    UnknownUrl,

    /// Its files are what was asked for.
    #[error("a store in memory has no files; name one with 'sqlite:PATH'")]
    NoFiles,

    /// Its files are PostgreSQL's.
    #[error("this is for stores in a file; of one in PostgreSQL take care with its own tools")]
    InDatabase,

    /// The PostgreSQL backend could not open it.
    #[error(transparent)]
    Postgres(#[from] dataapi_postgres::OpenError),

    /// The SQLite backend could not open it.
    #[error(transparent)]
    Sqlite(#[from] dataapi_sqlite::OpenError),

    /// The operating system gave no random bytes for a key.
    #[error("the operating system gave no random bytes for a key")]
    Randomness(#[source] getrandom::Error),

    /// The runtime was shut down meanwhile.
    #[error("the runtime was shut down while the store was being opened")]
    Task(#[source] tokio::task::JoinError),
}
