//! The source of a copy: a store that is read as a whole while nobody writes to it.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use dataapi_core::copy::{Rest, Rows, Source, StoreManifest};
use dataapi_core::{Event, Limit, Positions, StoreError};
use rusqlite::Connection;

use crate::copy::reading;
use crate::error::OpenError;
use crate::open;
use crate::rows::identity::Identity;

/// The cache of the connection. It reads the rows in their order, each once.
const SOURCE_CACHE_BYTES: usize = 4 << 20;

/// A store that is copied. While this exists, every write to the store, by any process, fails as unavailable; reads
/// continue. What was erased before cannot be scrubbed from the files until this is dropped.
#[derive(Debug)]
pub struct CopySource {
    connection: Connection,
    identity: Identity,
    path: PathBuf,
}

impl CopySource {
    /// Opens the store at `path`, which must exist, brings its schema up to date, and keeps everyone else from writing
    /// to it. Blocks for up to 5 seconds while another process writes.
    ///
    /// # Errors
    /// [`OpenError::Busy`] if another process writes for longer; [`OpenError::Unfinished`] for an unfinished copy; see
    /// [`OpenError`] for the others.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let connection = open::open_for_writing(path, false, SOURCE_CACHE_BYTES)?;
        let path = path.canonicalize().map_err(OpenError::Files)?;
        let identity = Identity::load(&connection)?;
        let source = Self { connection, identity, path };
        // Everything is read in this transaction. It ends when the connection is closed.
        source.connection.execute_batch("BEGIN IMMEDIATE")?;
        Ok(source)
    }
}

impl Drop for CopySource {
    fn drop(&mut self) {
        // If this fails, the files stay until the store is opened and closed again.
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
