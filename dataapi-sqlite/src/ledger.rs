//! The ledger in the database: looked up by the position of an event, and only ever added to.

use std::iter::once;

use dataapi_core::{Change, Date, DialogRef, Event, EventHash, Head, Limit, Reach, StoredDialog};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use crate::failure::Failure;
use crate::queries::Query;
use crate::rows::{self, EVENT_COLUMNS};

/// The last event.
pub(crate) fn head(connection: &Connection) -> rusqlite::Result<Head> {
    let last = connection
        .prepare_cached("SELECT position, hash FROM event ORDER BY position DESC LIMIT 1")?
        .query_row((), |row| {
            let (position, hash) = (rows::position(row, 0)?, EventHash::from_bytes(row.get(1)?));
            Ok(Head { chain: 0, position, hash })
        })
        .optional()?;
    Ok(last.unwrap_or(Head::EMPTY))
}

/// The event at a position.
fn at(connection: &Connection, position: u64) -> rusqlite::Result<Event> {
    let before = head_at(connection, position.saturating_sub(1))?;
    let event = connection
        .prepare_cached(&format!("SELECT {EVENT_COLUMNS} FROM event WHERE position = ?1"))?
        .query_row([signed(position)], rows::event)?;
    follows(before, event)
}

/// The event at a position that a dialog or its tombstone refers to.
pub(crate) fn of(
    connection: &Connection,
    reference: &DialogRef,
    position: u64,
) -> rusqlite::Result<Event> {
    let event = at(connection, position)?;
    if event.reference == *reference { Ok(event) } else { Err(rows::damaged(1)) }
}

/// The head as it was at an earlier position.
fn head_at(connection: &Connection, position: u64) -> rusqlite::Result<Head> {
    if position == 0 {
        return Ok(Head::EMPTY);
    }
    let hash = connection
        .prepare_cached("SELECT hash FROM event WHERE position = ?1")?
        .query_row([signed(position)], |row| row.get(0))?;
    Ok(Head { chain: 0, position, hash: EventHash::from_bytes(hash) })
}

/// An event as it was written: damage to it, or to the one before, breaks the chain.
fn follows(before: Head, event: Event) -> rusqlite::Result<Event> {
    let Event { reference, kind, date, evidence, .. } = event.clone();
    if before.next(reference, kind, date, evidence) == event {
        Ok(event)
    } else {
        Err(rows::damaged(7))
    }
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
    position.map(|position| of(connection, reference, position)).transpose()
}

/// The events after a position, in order, as they stand there: whoever audits them sees where the chain is
/// broken.
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

/// The events after a position with what they made readable, in order.
///
/// Only a grant that still holds is what its dialog's row refers to, whatever dialog has that row now.
pub(crate) fn changes(
    connection: &Connection,
    position: u64,
    at_most: Limit,
    reach: &Reach,
) -> Result<Vec<Change>, Failure> {
    let of_grant = Query::of_grant(reach);
    let mut granted = connection.prepare_cached(&of_grant.sql)?;
    let change = |event: Event| {
        let position = once(Value::from(signed(event.position)));
        let parameters = position.chain(of_grant.parameters.iter().cloned());
        let stored = granted
            .query_row(params_from_iter(parameters), rows::stored_dialog)
            .optional()?
            .map(StoredDialog::readable);
        Ok(Change { event, dialog: stored.transpose()? })
    };
    after(connection, position, at_most)?.into_iter().map(change).collect()
}

/// The position of the last event before a date; 0 if there is none.
pub(crate) fn last_before(connection: &Connection, date: Date) -> rusqlite::Result<u64> {
    // Dates never go backwards along the ledger.
    let (mut before, mut not_before) = (0, head(connection)?.position + 1);
    while not_before - before > 1 {
        let middle = u64::midpoint(before, not_before);
        if at(connection, middle)?.date < date {
            before = middle;
        } else {
            not_before = middle;
        }
    }
    Ok(before)
}

/// The events by which dialogs are gone, after the first position up to the last, the oldest first.
pub(crate) fn ends(
    connection: &Connection,
    (first, last): (u64, u64),
    at_most: u32,
) -> rusqlite::Result<Vec<Event>> {
    let sql = format!(
        "SELECT {EVENT_COLUMNS} FROM event
         WHERE position > ?1 AND position <= ?2 AND kind > 1 ORDER BY position LIMIT ?3"
    );
    connection
        .prepare_cached(&sql)?
        .query_map((signed(first), signed(last), at_most), rows::event)?
        .collect()
}

/// Adds an event at the end, of the dialog that has or had that row.
pub(crate) fn append(
    connection: &Connection,
    event: &Event,
    seq: Option<i64>,
) -> rusqlite::Result<()> {
    let [notice, method, locale] = event.evidence.pieces();
    connection
        .prepare_cached("INSERT INTO event VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?
        .execute((
            signed(event.position),
            event.reference.as_bytes(),
            event.kind.code(),
            event.date.as_micros(),
            notice,
            method,
            locale,
            event.hash.as_bytes(),
            seq,
        ))?;
    Ok(())
}

/// SQLite has no larger numbers, and so no later positions.
pub(crate) fn signed(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}
