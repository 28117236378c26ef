//! Tells whether what can be read has changed, for the price of a look at SQLite's shared memory.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use dataapi_core::Revision;
use rusqlite::Connection;

use crate::schema::{OpenError, open_for_reading};

/// The smallest cache that SQLite takes: one row is all that is read.
const CACHE_BYTES: usize = 64 * 1024;

/// The revision that was seen last.
#[derive(Debug)]
pub(crate) struct Revisions(Mutex<Seen>);

#[derive(Debug)]
struct Seen {
    connection: Connection,
    /// SQLite's own mark, which any commit on another connection of any process changes, also one
    /// that changes nothing that can be read.
    data_version: Option<i64>,
    revision: Revision,
}

impl Revisions {
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        let connection = open_for_reading(path, CACHE_BYTES)?;
        Ok(Self(Mutex::new(Seen { connection, data_version: None, revision: Revision::new(0) })))
    }

    /// The revision now; `None` if the database cannot tell.
    pub(crate) fn current(&self) -> Option<Revision> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).current().ok()
    }
}

impl Seen {
    fn current(&mut self) -> rusqlite::Result<Revision> {
        let data_version = self
            .connection
            .prepare_cached("PRAGMA data_version")?
            .query_row((), |row| row.get::<_, i64>(0))?;
        if self.data_version != Some(data_version) {
            // Read after the mark: a commit in between is seen now and looked for once more.
            let changes: i64 = self
                .connection
                .prepare_cached("SELECT revision FROM store")?
                .query_row((), |row| row.get(0))?;
            self.revision = Revision::new(changes.cast_unsigned());
            self.data_version = Some(data_version);
        }
        Ok(self.revision)
    }
}
