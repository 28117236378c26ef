//! Reports whether the readable dialogs have changed, at the cost of one look at SQLite's shared memory.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use dataapi_core::Revision;
use rusqlite::Connection;

use crate::erase::wal_index::{Header, WalIndex};
use crate::error::OpenError;
use crate::open::open_for_reading;

/// One [`Seen`] for each thread that looks at the same time. A look takes less time than to wait for another thread's.
#[derive(Debug)]
pub(crate) struct Revisions(Vec<Mutex<Seen>>);

/// The revision that was read last, with a connection to read it again.
#[derive(Debug)]
struct Seen {
    connection: Connection,
    index: WalIndex,
    /// `None` if the header could not be read: then the next look reads the revision again.
    header: Option<Header>,
    revision: Revision,
}

impl Revisions {
    pub(crate) fn open(path: &Path, count: usize) -> Result<Self, OpenError> {
        (0..count).map(|_| Seen::open(path).map(Mutex::new)).collect::<Result<_, _>>().map(Self)
    }

    /// The current revision. `None` if the database could not be read, or too many threads look at the same time.
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
            // The revision is read after the header. A commit between the two is in the revision already, and makes the
            // next look read it once more.
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
