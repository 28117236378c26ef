//! What a backend can do with a whole store that a URL names.

#[cfg(feature = "sqlite")]
use std::ops::ControlFlow;
#[cfg(feature = "sqlite")]
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use dataapi_core::DialogStore;
use dataapi_core::copy::{Source, Target};
#[cfg(feature = "sqlite")]
use dataapi_sqlite::{Backup, Damage, Exposure, Restored, Since};

#[cfg(feature = "sqlite")]
use crate::errors::BackupError;
use crate::errors::OpenError;
use crate::options::OpenOptions;

/// Called now and then with the number of dialogs done since the last call. A break stops the work.
#[cfg(feature = "sqlite")]
pub(crate) type OnProgress = Box<dyn FnMut(u64) -> ControlFlow<()> + Send>;

/// A kind of store. Operations that it does not override are unsupported.
#[async_trait]
pub(crate) trait Backend: Sync {
    /// See [`OpenOptions::open`].
    async fn open(
        &self,
        url: &str,
        options: &OpenOptions,
    ) -> Result<Arc<dyn DialogStore>, OpenError>;

    /// The error for operations that this kind of store does not support.
    fn unsupported(&self) -> OpenError;

    /// See [`files`](crate::files).
    fn files(&self, _url: &str) -> Result<Vec<PathBuf>, OpenError> {
        Err(self.unsupported())
    }

    /// See [`backup`](crate::backup).
    #[cfg(feature = "sqlite")]
    async fn back_up(
        &self,
        _url: &str,
        _place: &Path,
        _on_progress: OnProgress,
    ) -> Result<Backup, BackupError> {
        Err(self.unsupported().into())
    }

    /// See [`restore`](crate::restore).
    #[cfg(feature = "sqlite")]
    async fn restore(
        &self,
        _url: &str,
        _backup: &Path,
        _since: Since,
        _on_progress: OnProgress,
    ) -> Result<Restored, BackupError> {
        Err(self.unsupported().into())
    }

    /// See [`check`](crate::check).
    #[cfg(feature = "sqlite")]
    async fn check(&self, _url: &str) -> Result<Vec<Damage>, OpenError> {
        Err(self.unsupported())
    }

    /// See [`exposure`](crate::exposure).
    #[cfg(feature = "sqlite")]
    fn exposure(&self, _url: &str) -> Result<Vec<Exposure>, OpenError> {
        Err(self.unsupported())
    }

    /// The store to copy from.
    async fn copy_source(&self, _url: &str) -> Result<Box<dyn Source>, OpenError> {
        Err(self.unsupported())
    }

    /// A new store to copy to.
    async fn copy_target(&self, _url: &str, _shards: u16) -> Result<Box<dyn Target>, OpenError> {
        Err(self.unsupported())
    }

    /// See [`shown`](crate::shown).
    fn shown(&self, url: &str) -> String {
        url.to_owned()
    }
}
