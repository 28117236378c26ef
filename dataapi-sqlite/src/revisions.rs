//! Tells whether what can be read has changed, for the price of a look at SQLite's shared memory.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use dataapi_core::Revision;
use rusqlite::Connection;

use crate::schema::{OpenError, open_for_reading};

/// The smallest cache that SQLite takes: one row is all that is read.
const CACHE_BYTES: usize = 64 * 1024;

/// As many eyes as there are threads that look at once: a look is shorter than waiting for
/// another one's end.
#[derive(Debug)]
pub(crate) struct Revisions(Vec<Mutex<Seen>>);

/// The revision that was seen last.
#[derive(Debug)]
struct Seen {
    connection: Connection,
    /// SQLite's own mark, which any commit on another connection of any process changes, also one
    /// that changes nothing that can be read.
    data_version: Option<i64>,
    revision: Revision,
}

impl Revisions {
    pub(crate) fn open(path: &Path, count: usize) -> Result<Self, OpenError> {
        (0..count).map(|_| Seen::open(path).map(Mutex::new)).collect::<Result<_, _>>().map(Self)
    }

    /// The revision now; `None` if the database cannot tell, or more look at once than there are
    /// eyes.
    pub(crate) fn current(&self) -> Option<Revision> {
        self.0.iter().find_map(|seen| seen.try_lock().ok())?.current().ok()
    }
}

impl Seen {
    fn open(path: &Path) -> Result<Self, OpenError> {
        let connection = open_for_reading(path, CACHE_BYTES)?;
        connection.busy_timeout(Duration::ZERO)?;
        Ok(Self { connection, data_version: None, revision: Revision::new(0) })
    }

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
