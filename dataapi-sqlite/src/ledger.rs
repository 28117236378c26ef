//! The ledger in the database: looked up by the position of an event, and only ever added to.

use dataapi_core::{DialogRef, Event, EventHash, Head, Limit};
use rusqlite::{Connection, OptionalExtension};

use crate::rows::{self, EVENT_COLUMNS};

/// The last event.
pub(crate) fn head(connection: &Connection) -> rusqlite::Result<Head> {
    let last = connection
        .prepare_cached("SELECT position, hash FROM event ORDER BY position DESC LIMIT 1")?
        .query_row((), |row| {
            let (position, hash) = (rows::position(row, 0)?, EventHash::from_bytes(row.get(1)?));
            Ok(Head { position, hash })
        })
        .optional()?;
    Ok(last.unwrap_or(Head::EMPTY))
}

/// The event at a position that something else in the store refers to.
pub(crate) fn at(connection: &Connection, position: u64) -> rusqlite::Result<Event> {
    connection
        .prepare_cached(&format!("SELECT {EVENT_COLUMNS} FROM event WHERE position = ?1"))?
        .query_row([signed(position)], rows::event)
}

/// The event after which a dialog is gone.
pub(crate) fn tombstone(
    connection: &Connection,
    reference: &DialogRef,
) -> rusqlite::Result<Option<Event>> {
    let position = connection
        .prepare_cached("SELECT position FROM tombstone WHERE ref = ?1")?
        .query_row([reference.as_bytes()], |row| rows::position(row, 0))
        .optional()?;
    position.map(|position| at(connection, position)).transpose()
}

/// The events after a position, in order.
pub(crate) fn after(
    connection: &Connection,
    position: u64,
    at_most: Limit,
) -> rusqlite::Result<Vec<Event>> {
    let sql =
        format!("SELECT {EVENT_COLUMNS} FROM event WHERE position > ?1 ORDER BY position LIMIT ?2");
    connection
        .prepare_cached(&sql)?
        .query_map((signed(position), signed(at_most.get() as u64)), rows::event)?
        .collect()
}

/// Adds an event at the end.
pub(crate) fn append(connection: &Connection, event: &Event) -> rusqlite::Result<()> {
    let [notice, method, locale] = event.evidence.pieces();
    connection
        .prepare_cached("INSERT INTO event VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?
        .execute((
            signed(event.position),
            event.reference.as_bytes(),
            event.kind.code(),
            event.date.as_micros(),
            notice,
            method,
            locale,
            event.hash.as_bytes(),
        ))?;
    Ok(())
}

/// SQLite has no larger numbers, and so no later positions.
pub(crate) fn signed(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}
