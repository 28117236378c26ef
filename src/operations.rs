//! Operations on a whole store: open, back up, restore, copy and check.

#[cfg(feature = "sqlite")]
use std::ops::ControlFlow;
#[cfg(feature = "sqlite")]
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use dataapi_core::DialogStore;
use dataapi_core::copy::{self, Copied, Watch};
#[cfg(feature = "sqlite")]
use dataapi_sqlite::{Backup, Damage, Exposure, Restored, Since};

#[cfg(feature = "sqlite")]
use crate::errors::BackupError;
use crate::errors::{CopyError, OpenError};
use crate::options::OpenOptions;
use crate::redaction::REDACTED;
use crate::registry::backend_of;

/// Opens the store that `url` names, with [`OpenOptions::default`].
///
/// # Errors
/// See [`OpenOptions::open`].
pub async fn open(url: &str) -> Result<Arc<dyn DialogStore>, OpenError> {
    OpenOptions::default().open(url).await
}

impl OpenOptions {
    /// Opens the store that `url` names.
    ///
    /// | url | store |
    /// |---|---|
    /// | `sqlite:dialogs.db`, `sqlite:/srv/dialogs.db` | a file, and two more beside it while it is open |
    /// | `postgres://dataapi@db.example/dialogs` | PostgreSQL, for any number of processes at once; see `dataapi_postgres::PostgresStore::open` |
    /// | `memory:` | in memory; lost when the process ends |
    ///
    /// A path is taken as it is written. What looks like a URL of another program (`sqlite::memory:`, parameters, `%20`,
    /// `jdbc:`) is refused with the right spelling, unless a file of exactly that name exists.
    ///
    /// The store closes when the last `Arc` of it is dropped. That drop waits for running operations.
    ///
    /// # Errors
    /// If no backend has such a URL, this build does not include the backend, or the backend cannot open the store.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn open(&self, url: &str) -> Result<Arc<dyn DialogStore>, OpenError> {
        backend_of(url)?.open(url, self).await
    }
}

/// Writes a copy of the store that `url` names to a new file, as the store is at one moment. The store can be in use,
/// and no erasure waits for the backup. The file can be opened as a store, and [`restore`] can restore from it.
///
/// The backup also contains pending dialogs, and no later erasure reaches it. Keep it as safe as the store, and no
/// longer than necessary. `progress` is called now and then with the number of dialogs copied since the last call. If
/// it returns a break, the backup stops and its file is removed.
///
/// # Errors
/// If the store does not exist or has no files, or if the file exists already or cannot be written.
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
/// // Erased after the backup, so it does not come back.
/// store.erase_customer(&"anna".parse()?).await?;
/// let restored =
///     dataapi::restore("sqlite:dialogs.db", backup, Since::Unknown, |_| ControlFlow::Continue(())).await?;
/// assert_eq!((restored.restored, restored.gone), (0, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[cfg(feature = "sqlite")]
pub async fn backup(
    url: &str,
    place: &Path,
    progress: impl FnMut(u64) -> ControlFlow<()> + Send + 'static,
) -> Result<Backup, BackupError> {
    backend_of(url)?.back_up(url, place, Box::new(progress)).await
}

/// Restores from a backup what the store that `url` names has lost, but nothing that was withdrawn or erased after the
/// backup was made.
///
/// If the store exists, its ledger shows what must not come back, and the store keeps everything that it holds; it can
/// be in use. If it does not exist, a new one is made with the ledger that `since` supplies, and appears once it is
/// complete. If the ledger was lost together with the store, nobody can know what was withdrawn or erased: see
/// [`Since`].
///
/// # Errors
/// If the backup or the store cannot be opened, if they do not belong to the same store, if the ledger is broken, is
/// missing or does not continue the backup's ledger, or if the store cannot be written.
///
/// # Panics
/// Outside a tokio runtime.
#[cfg(feature = "sqlite")]
pub async fn restore(
    url: &str,
    backup: &Path,
    since: Since,
    progress: impl FnMut(u64) -> ControlFlow<()> + Send + 'static,
) -> Result<Restored, BackupError> {
    backend_of(url)?.restore(url, backup, since, Box::new(progress)).await
}

/// Copies the whole store that `from` names to a new one that `to` names, whatever the backends: dialogs in every
/// state, tombstones, the ledger as it was written, held grants, and keys. Then it verifies the copy.
///
/// Until it is done, nobody can open the new store or write to the old one. If it is stopped or killed, call it again:
/// it continues where it stopped, as long as nobody has written to the old store. A new store in PostgreSQL gets this
/// many `shards`, which can differ from the old store. `watch` is called with the progress and can stop the copy by
/// returning a break.
///
/// The old store is not changed. It still contains what is later erased from the new store, so remove it.
///
/// # Errors
/// See [`CopyError`].
///
/// # Panics
/// Outside a tokio runtime. Blocks the thread that polls it for a few hundredths of a second at a time.
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
    watch: Watch<'_>,
) -> Result<Copied, CopyError> {
    let source = async { backend_of(from)?.copy_source(from).await };
    let mut source = source.await.map_err(CopyError::Source)?;
    let target = async { backend_of(to)?.copy_target(to, shards).await };
    let mut target = target.await.map_err(CopyError::Target)?;
    Ok(copy::copy_store(&mut *source, &mut *target, watch).await?)
}

/// The existing files of the store that `url` names, for programs that inspect them from outside, for example to verify
/// an erasure.
///
/// # Errors
/// If no backend has such a URL, the store has no files, or it does not exist.
pub fn files(url: &str) -> Result<Vec<PathBuf>, OpenError> {
    backend_of(url)?.files(url)
}

/// Checks every page and every row of the store that `url` names. Returns what is damaged, or nothing if the store is
/// sound. If the store is in use, its erasures wait for the check, so check a [`backup`] instead.
///
/// # Errors
/// If no backend has such a URL, the store has no files or does not exist, or the check cannot read on.
///
/// # Panics
/// Outside a tokio runtime.
#[cfg(feature = "sqlite")]
pub async fn check(url: &str) -> Result<Vec<Damage>, OpenError> {
    backend_of(url)?.check(url).await
}

/// Lists which files of the store that `url` names others than its owner may use, each with what to do about it. Changes
/// nothing.
///
/// # Errors
/// If no backend has such a URL, the store has no files, or it does not exist.
#[cfg(feature = "sqlite")]
pub fn exposure(url: &str) -> Result<Vec<Exposure>, OpenError> {
    backend_of(url)?.exposure(url)
}

/// A store's URL in a form that is safe to show: without its password and without its parameters. A URL that names no
/// store is hidden completely, because it could contain anything.
///
/// ```
/// assert_eq!(dataapi::shown("postgres://u:secret@db/d?sslrootcert=ca.pem"), "postgres://u@db/d");
/// assert_eq!(dataapi::shown("sqlite:dialogs.db"), "sqlite:dialogs.db");
/// assert_eq!(dataapi::shown("mysql://u:secret@db/d"), "[redacted]");
/// ```
pub fn shown(url: &str) -> String {
    backend_of(url).map_or_else(|_| REDACTED.to_owned(), |backend| backend.shown(url))
}
