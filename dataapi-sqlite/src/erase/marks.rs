//! The marks in the store that say what the next scrub has to do.

use dataapi_core::Date;
use rusqlite::Connection;

/// The work that is not done yet, whichever process left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Undone {
    /// A scrub began to checkpoint the whole log and has not overwritten all leftovers.
    pub(crate) scrub: bool,
    /// The log might hold bytes of erased dialogs.
    pub(crate) erasure: bool,
}

impl Undone {
    pub(crate) fn any(self) -> bool {
        self.scrub || self.erasure
    }
}

/// Reads the marks.
pub(crate) fn left_undone(connection: &Connection) -> rusqlite::Result<Undone> {
    connection
        .prepare_cached("SELECT scrubbing, unscrubbed FROM store")?
        .query_row((), |row| Ok(Undone { scrub: row.get(0)?, erasure: row.get(1)? }))
}

/// Sets both marks.
pub(crate) fn set_undone(connection: &Connection, undone: Undone) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE store SET scrubbing = ?1, unscrubbed = ?2")?
        .execute((undone.scrub, undone.erasure))
        .map(|_| ())
}

/// Clears both marks, and keeps the time of this scrub.
pub(crate) fn set_done(connection: &Connection, at: Date) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE store SET scrubbing = 0, unscrubbed = 0, last_scrub = ?1")?
        .execute([at.as_micros()])
        .map(|_| ())
}

/// Keeps the time of this scrub, and leaves the marks to the next one.
pub(crate) fn set_time(connection: &Connection, at: Date) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE store SET last_scrub = ?1")?
        .execute([at.as_micros()])
        .map(|_| ())
}

/// Sets or clears the mark of a scrub alone.
pub(crate) fn set_mark(connection: &Connection, scrubbing: bool) -> rusqlite::Result<()> {
    connection.prepare_cached("UPDATE store SET scrubbing = ?1")?.execute([scrubbing]).map(|_| ())
}

/// Commits something that matters to nobody, so that the log grows. SQLite writes no page that has not changed.
pub(crate) fn grow_log(connection: &Connection) -> rusqlite::Result<()> {
    // Who has kept something of this revision reads it again.
    connection.prepare_cached("UPDATE store SET revision = revision + 1")?.execute(()).map(|_| ())
}
