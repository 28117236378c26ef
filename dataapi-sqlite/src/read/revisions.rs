//! Tells whether what can be read has changed, for the price of a look at SQLite's shared memory.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use dataapi_core::Revision;
use rusqlite::Connection;

use crate::erase::wal_index::{Header, WalIndex};
use crate::error::OpenError;
use crate::open::open_for_reading;

/// As many eyes as there are threads that look at once: a look is shorter than waiting for
/// another one's end.
#[derive(Debug)]
pub(crate) struct Revisions(Vec<Mutex<Seen>>);

/// The revision that was seen last.
#[derive(Debug)]
struct Seen {
    connection: Connection,
    index: WalIndex,
    /// None where it could not be looked at: then the store is asked again.
    header: Option<Header>,
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
        let connection = open_for_reading(path)?;
        let revision = read(&connection)?;
        connection.busy_timeout(Duration::ZERO)?;
        let index = WalIndex::open(path).map_err(OpenError::Files)?;
        Ok(Self { connection, index, header: None, revision })
    }

    fn current(&mut self) -> rusqlite::Result<Revision> {
        let header = self.index.header().ok();
        if header.is_none() || self.header != header {
            // Read after the header, which may come before a commit that is seen now already: that
            // one is looked for once more.
            self.revision = read(&self.connection)?;
            self.header = header;
        }
        Ok(self.revision)
    }
}

fn read(connection: &Connection) -> rusqlite::Result<Revision> {
    let changes: i64 =
        connection.prepare_cached("SELECT revision FROM store")?.query_row((), |row| row.get(0))?;
    Ok(Revision::new(changes.cast_unsigned()))
}
