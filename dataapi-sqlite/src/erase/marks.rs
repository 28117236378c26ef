//! The marks in the store that tell what a scrub has not done yet.

use dataapi_core::Date;
use rusqlite::Connection;

/// What is not done yet, by whichever process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Undone {
    /// Someone began to fold in all of the log and did not get to overwriting what was left.
    pub(crate) scrub: bool,
    /// Bytes of what was erased may be in the log.
    pub(crate) erasure: bool,
}

impl Undone {
    pub(crate) fn any(self) -> bool {
        self.scrub || self.erasure
    }
}

pub(crate) fn left_undone(connection: &Connection) -> rusqlite::Result<Undone> {
    connection
        .prepare_cached("SELECT scrubbing, unscrubbed FROM store")?
        .query_row((), |row| Ok(Undone { scrub: row.get(0)?, erasure: row.get(1)? }))
}

pub(crate) fn set_undone(connection: &Connection, undone: Undone) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE store SET scrubbing = ?1, unscrubbed = ?2")?
        .execute((undone.scrub, undone.erasure))
        .map(|_| ())
}

/// Says that nothing is undone, and since when.
pub(crate) fn set_done(connection: &Connection, now: Date) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE store SET scrubbing = 0, unscrubbed = 0, last_scrub = ?1")?
        .execute([now.as_micros()])
        .map(|_| ())
}

pub(crate) fn set_mark(connection: &Connection, scrubbing: bool) -> rusqlite::Result<()> {
    connection.prepare_cached("UPDATE store SET scrubbing = ?1")?.execute([scrubbing]).map(|_| ())
}
