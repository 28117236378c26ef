//! What is done with a whole store: it is opened, backed up, restored, copied, checked.

#[cfg(feature = "sqlite")]
use std::ops::ControlFlow;
#[cfg(feature = "sqlite")]
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use dataapi_core::DialogStore;
use dataapi_core::copy::{self, Copied, Watch};
#[cfg(feature = "sqlite")]
use dataapi_sqlite::{Backup, Damage, Restored, Since};

#[cfg(feature = "sqlite")]
use crate::errors::BackupError;
use crate::errors::{CopyError, OpenError};
use crate::options::OpenOptions;
use crate::registry::{REDACTED, backend_of};

/// Opens the store that `url` names, with [`OpenOptions::default`].
///
/// # Errors
/// As [`OpenOptions::open`].
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
    /// | `memory:` | gone with the process |
    ///
    /// A store closes when the last `Arc` of it is dropped; that drop waits for what runs.
    ///
    /// # Errors
    /// When no backend has that name or it was not built in, or the backend cannot open the store.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn open(&self, url: &str) -> Result<Arc<dyn DialogStore>, OpenError> {
        backend_of(url)?.open(url, self).await
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
#[cfg(feature = "sqlite")]
pub async fn backup(
    url: &str,
    place: &Path,
    progress: impl FnMut(u64) -> ControlFlow<()> + Send + 'static,
) -> Result<Backup, BackupError> {
    backend_of(url)?.back_up(url, place, Box::new(progress)).await
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
#[cfg(feature = "sqlite")]
pub async fn restore(
    url: &str,
    backup: &Path,
    since: Since,
    progress: impl FnMut(u64) -> ControlFlow<()> + Send + 'static,
) -> Result<Restored, BackupError> {
    backend_of(url)?.restore(url, backup, since, Box::new(progress)).await
}

/// Copies all of the store that `from` names to a new one that `to` names, whatever the backends: dialogs in
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
    watch: Watch<'_>,
) -> Result<Copied, CopyError> {
    let source = async { backend_of(from)?.copy_source(from).await };
    let mut source = source.await.map_err(CopyError::Source)?;
    let target = async { backend_of(to)?.copy_target(to, shards).await };
    let mut target = target.await.map_err(CopyError::Target)?;
    Ok(copy::copy_store(&mut *source, &mut *target, watch).await?)
}

/// The files of the store that `url` names, as far as they are there: for programs that look at
/// them from outside, such as one that verifies an erasure.
///
/// # Errors
/// When no backend has that name, it keeps no files, or there is no such store.
pub fn files(url: &str) -> Result<Vec<PathBuf>, OpenError> {
    backend_of(url)?.files(url)
}

/// Looks at every page and every row of the store that `url` names; yields what is wrong, nothing if it is
/// whole. Erasures in a store that is in use wait for it: rather check a [`backup`].
///
/// # Errors
/// When no backend has that name, it keeps no files, or the store is not there or cannot be read on.
///
/// # Panics
/// Outside a tokio runtime.
#[cfg(feature = "sqlite")]
pub async fn check(url: &str) -> Result<Vec<Damage>, OpenError> {
    backend_of(url)?.check(url).await
}

/// A store's URL as it may be shown: without a password, and without the parameters after it. Of what names no
/// store nothing is shown: it may be anything.
///
/// ```
/// assert_eq!(dataapi::shown("postgres://u:secret@db/d?sslrootcert=ca.pem"), "postgres://u@db/d");
/// assert_eq!(dataapi::shown("sqlite:dialogs.db"), "sqlite:dialogs.db");
/// assert_eq!(dataapi::shown("mysql://u:secret@db/d"), "[redacted]");
/// ```
pub fn shown(url: &str) -> String {
    backend_of(url).map_or_else(|_| REDACTED.to_owned(), |backend| backend.shown(url))
}
