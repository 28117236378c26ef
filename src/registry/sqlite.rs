//! Stores in a file, with SQLite.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use dataapi_core::DialogStore;
use dataapi_core::copy::{Source, Target};
use dataapi_sqlite::{
    Backup, CopySource, CopyTarget, Damage, Exposure, Options, Restored, Since, SqliteStore,
};

use super::backend::{Backend, OnProgress};
use super::spelling;
use crate::errors::{BackupError, OpenError};
use crate::options::OpenOptions;
use crate::redaction::redacted;

pub(super) struct Sqlite;

#[async_trait]
impl Backend for Sqlite {
    async fn open(
        &self,
        url: &str,
        options: &OpenOptions,
    ) -> Result<Arc<dyn DialogStore>, OpenError> {
        Ok(Arc::new(open(url, options).await?))
    }

    /// Only a URL without a file is unsupported: a store in a file supports every operation.
    fn unsupported(&self) -> OpenError {
        OpenError::UnknownUrl
    }

    fn files(&self, url: &str) -> Result<Vec<PathBuf>, OpenError> {
        Ok(dataapi_sqlite::files(&path(url)?)?)
    }

    async fn back_up(
        &self,
        url: &str,
        place: &Path,
        mut on_progress: OnProgress,
    ) -> Result<Backup, BackupError> {
        let store = open_existing(url).await?;
        let place = place.to_owned();
        Ok(blocking(move || store.back_up(&place, &mut *on_progress)).await??)
    }

    async fn restore(
        &self,
        url: &str,
        backup: &Path,
        since: Since,
        mut on_progress: OnProgress,
    ) -> Result<Restored, BackupError> {
        let path = path(url)?;
        if path.symlink_metadata().is_ok() {
            if matches!(since, Since::Ledger(_)) {
                return Err(BackupError::HasLedger);
            }
            let store = open_existing(url).await?;
            return Ok(store.put_back(backup, &mut *on_progress).await?);
        }
        let backup = backup.to_owned();
        let restoring = move || dataapi_sqlite::restore(&backup, &path, since, &mut *on_progress);
        Ok(blocking(restoring).await??)
    }

    async fn check(&self, url: &str) -> Result<Vec<Damage>, OpenError> {
        match finish_after_a_crash(url).await {
            // The check reads only, and names the trigger.
            Err(OpenError::Sqlite(dataapi_sqlite::OpenError::Trigger)) => {}
            finished => finished?,
        }
        let path = path(url)?;
        Ok(blocking(move || dataapi_sqlite::check(&path)).await??)
    }

    fn exposure(&self, url: &str) -> Result<Vec<Exposure>, OpenError> {
        Ok(dataapi_sqlite::exposure(&path(url)?)?)
    }

    async fn copy_source(&self, url: &str) -> Result<Box<dyn Source>, OpenError> {
        finish_after_a_crash(url).await?;
        let path = path(url)?;
        Ok(Box::new(blocking(move || CopySource::open(&path)).await??))
    }

    async fn copy_target(&self, url: &str, _shards: u16) -> Result<Box<dyn Target>, OpenError> {
        let path = path(url)?;
        Ok(Box::new(blocking(move || CopyTarget::open(&path)).await??))
    }

    /// The path, unless it looks like a URL with a password.
    fn shown(&self, url: &str) -> String {
        let path = url.strip_prefix("sqlite:").unwrap_or(url);
        format!("sqlite:{}", redacted(path))
    }
}

async fn open(url: &str, options: &OpenOptions) -> Result<SqliteStore, OpenError> {
    let path = path(url)?;
    let options = Options {
        clock: Arc::clone(&options.clock),
        create: options.create,
        cache_bytes: options.cache_bytes,
        erase_within: options.erase_within,
        ..Options::default()
    };
    Ok(blocking(move || SqliteStore::open(&path, options)).await??)
}

async fn open_existing(url: &str) -> Result<SqliteStore, OpenError> {
    open(url, &OpenOptions::default().create(false)).await
}

/// Opening the store finishes what a crash left undone.
async fn finish_after_a_crash(url: &str) -> Result<(), OpenError> {
    open_existing(url).await.map(drop)
}

/// The path in `sqlite:PATH`, as it is written.
fn path(url: &str) -> Result<PathBuf, OpenError> {
    let path = url.strip_prefix("sqlite:").ok_or(OpenError::UnknownUrl)?;
    let is_empty = path.trim_start_matches('/').is_empty();
    let path = path.strip_prefix("//").unwrap_or(path);
    if is_empty {
        return Err(OpenError::UnknownUrl);
    }
    spelling::of_path(path).map_or_else(|| Ok(PathBuf::from(path)), Err)
}

/// Runs work that waits for the disk on another thread.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, OpenError> {
    tokio::task::spawn_blocking(work).await.map_err(OpenError::Task)
}
