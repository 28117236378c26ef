//! A store that is copied: read whole while nobody writes to it.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use dataapi_core::copy::{Rest, Rows, Source, StoreManifest};
use dataapi_core::{Event, Limit, Positions, StoreError};
use rusqlite::Connection;

use crate::copy::reading;
use crate::error::OpenError;
use crate::open;
use crate::rows::identity::Identity;

/// The cache of a connection that reads rows in their order, each once.
const SOURCE_CACHE_BYTES: usize = 4 << 20;

/// A store that is copied. While this is there, whoever writes to the store, in whatever process,
/// is told that it is unavailable; reads go on. What was erased before is scrubbed from its files once it is
/// gone.
#[derive(Debug)]
pub struct CopySource {
    connection: Connection,
    identity: Identity,
    path: PathBuf,
}

impl CopySource {
    /// Opens the store at `path`, which must be there, brings its schema up to date, and keeps all others from
    /// writing to it. Blocks for up to 5 seconds while another one does.
    ///
    /// # Errors
    /// [`OpenError::Busy`] when another process writes for longer; [`OpenError::Unfinished`] for a copy that has
    /// not ended; see [`OpenError`] for the others.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let connection = open::open_for_writing(path, false, SOURCE_CACHE_BYTES)?;
        let path = path.canonicalize().map_err(OpenError::Files)?;
        let identity = Identity::load(&connection)?;
        let source = Self { connection, identity, path };
        // It ends as the connection is closed; all is read within.
        source.connection.execute_batch("BEGIN IMMEDIATE")?;
        Ok(source)
    }
}

impl Drop for CopySource {
    fn drop(&mut self) {
        // Whatever cannot be removed now is left to the next one that opens the store.
        let _ = open::leave_no_empty_log(&self.connection, &self.path);
    }
}

#[async_trait]
impl Source for CopySource {
    async fn manifest(&mut self) -> Result<StoreManifest, StoreError> {
        Ok(reading::manifest(&self.connection, &self.identity)?)
    }

    async fn events(&mut self, after: &Positions, limit: Limit) -> Result<Vec<Event>, StoreError> {
        Ok(reading::events(&self.connection, &self.identity, after, limit)?)
    }

    async fn rows(&mut self, after: &[u8]) -> Result<Rows, StoreError> {
        Ok(reading::rows(&self.connection, &self.identity, after)?)
    }

    async fn rest(&mut self) -> Result<Rest, StoreError> {
        Ok(reading::rest(&self.connection)?)
    }
}
