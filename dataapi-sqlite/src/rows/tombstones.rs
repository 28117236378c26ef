//! Which tombstones are still there: in each chain those of all events that end a dialog, after the one up
//! to which they are forgotten.

use dataapi_core::{Date, DialogRef, Event};
use rusqlite::{Connection, OptionalExtension};

use crate::rows::chains::{Chain, Chains};
use crate::rows::event_number::EventNumber;
use crate::rows::ledger::{self, EVENT_COLUMNS};
use crate::rows::values;

/// Between which events of a chain those lie whose tombstones may be forgotten: after the first, up to the
/// last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    pub(crate) chain: Chain,
    pub(crate) first: EventNumber,
    pub(crate) last: EventNumber,
}

/// The events in such a range that end a dialog whose tombstone is there. That of an id which was used again
/// is of a later event.
pub(crate) const WITH_TOMBSTONE: &str = "position > ?1 AND position <= ?2 AND kind > 1
     AND EXISTS (SELECT 1 FROM tombstone
                 WHERE tombstone.ref = event.ref AND tombstone.position = event.position)";

/// The event by which a dialog is gone.
pub(crate) fn find(
    connection: &Connection,
    chains: &Chains,
    reference: &DialogRef,
) -> rusqlite::Result<Option<Event>> {
    let number = connection
        .prepare_cached("SELECT position FROM tombstone WHERE ref = ?1")?
        .query_row([reference.as_bytes()], |row| row.get(0))
        .optional()?;
    number.map(|number| ledger::of(connection, chains, reference, number)).transpose()
}

/// Whether a dialog is gone.
pub(crate) fn is_there(connection: &Connection, reference: &DialogRef) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM tombstone WHERE ref = ?1")?
        .exists([reference.as_bytes()])
}

/// Up to where the tombstones of each chain are forgotten, in the order of chains.
pub(crate) fn forgotten(
    connection: &Connection,
    chains: &Chains,
) -> rusqlite::Result<Vec<(Chain, EventNumber)>> {
    let mut live = connection.prepare_cached("SELECT forgotten FROM store")?;
    if chains.copied().is_empty() {
        return Ok(vec![(chains.live(), live.query_row((), |row| row.get(0))?)]);
    }
    let mut copied =
        connection.prepare_cached("SELECT forgotten FROM copied_chain WHERE number = ?1")?;
    let forgotten = |chain: Chain| {
        let upto = match chain.last {
            None => live.query_row((), |row| row.get(0))?,
            Some(_) => copied.query_row([chain.number], |row| row.get(0))?,
        };
        Ok((chain, upto))
    };
    chains.iter().map(forgotten).collect()
}

/// Keeps up to where they are forgotten.
pub(crate) fn set_forgotten(
    connection: &Connection,
    chain: &Chain,
    upto: EventNumber,
) -> rusqlite::Result<()> {
    match chain.last {
        None => {
            connection.prepare_cached("UPDATE store SET forgotten = ?1")?.execute([upto])?;
        }
        Some(_) => {
            connection
                .prepare_cached("UPDATE copied_chain SET forgotten = ?1 WHERE number = ?2")?
                .execute((upto, chain.number))?;
        }
    }
    Ok(())
}

/// Where those are that are of events before a date.
pub(crate) fn due(
    connection: &Connection,
    chains: &Chains,
    before: Date,
) -> rusqlite::Result<Vec<Due>> {
    let mut found = Vec::new();
    for (chain, first) in forgotten(connection, chains)? {
        if chain.last.is_none_or(|last| first < last) {
            let last = ledger::last_before(connection, chains, &chain, before)?;
            if first < last {
                found.push(Due { chain, first, last });
            }
        }
    }
    Ok(found)
}

/// The events of those, the oldest first.
pub(crate) fn ends(
    connection: &Connection,
    chains: &Chains,
    due: &Due,
    at_most: u32,
) -> rusqlite::Result<Vec<Event>> {
    connection
        .prepare_cached(&format!(
            "SELECT {EVENT_COLUMNS} FROM event WHERE {WITH_TOMBSTONE} ORDER BY position LIMIT ?3"
        ))?
        .query_map((due.first, due.last, at_most), |row| ledger::event(row, chains))?
        .collect()
}

/// How many those are.
pub(crate) fn count(connection: &Connection, due: &Due) -> rusqlite::Result<u64> {
    connection
        .prepare_cached(&format!("SELECT count(*) FROM event WHERE {WITH_TOMBSTONE}"))?
        .query_row((due.first, due.last), |row| values::count(row, 0))
}

/// Adds those of all events after the one up to which they are forgotten, where none is yet.
pub(crate) fn fill(
    connection: &Connection,
    forgotten: &[(Chain, EventNumber)],
) -> rusqlite::Result<()> {
    let mut add = connection.prepare_cached(
        // An id that was used again is gone by the later event.
        "INSERT INTO tombstone SELECT ref, position FROM event
         WHERE kind > 1 AND position > ?1 AND position <= ?2
         ON CONFLICT (ref) DO UPDATE SET position = excluded.position",
    )?;
    for (chain, upto) in forgotten {
        let last = chain.last.unwrap_or(EventNumber::new(u64::MAX));
        add.execute((upto, last))?;
    }
    Ok(())
}

/// Up to where they must have been forgotten, by those that are there.
pub(crate) fn forgotten_by_rows(
    connection: &Connection,
    chains: &Chains,
) -> rusqlite::Result<Vec<(Chain, EventNumber)>> {
    let end = ledger::head(connection, chains)?.position;
    let mut forgotten: Vec<_> =
        chains.iter().map(|chain| (chain, chain.last.unwrap_or(chain.event_number(end)))).collect();
    let mut select = connection.prepare("SELECT position FROM tombstone")?;
    let mut rows = select.query(())?;
    while let Some(row) = rows.next()? {
        let number: EventNumber = row.get(0)?;
        let (chain, _) = chains.of(number);
        let index = forgotten.partition_point(|(other, _)| other.number < chain.number);
        if let Some((_, upto)) = forgotten.get_mut(index) {
            *upto = number.before().min(*upto);
        }
    }
    Ok(forgotten)
}

/// Those after a reference, with the numbers of their events, by reference.
pub(crate) fn after(
    connection: &Connection,
    reference: &[u8],
    at_most: usize,
) -> rusqlite::Result<Vec<(DialogRef, EventNumber)>> {
    connection
        .prepare_cached("SELECT ref, position FROM tombstone WHERE ref > ?1 ORDER BY ref LIMIT ?2")?
        .query_map((reference, values::integer(at_most as u64)), |row| {
            Ok((DialogRef::from_bytes(row.get(0)?), row.get(1)?))
        })?
        .collect()
}

/// Adds one.
pub(crate) fn add(
    connection: &Connection,
    reference: &DialogRef,
    number: EventNumber,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO tombstone VALUES (?1, ?2)")?
        .execute((reference.as_bytes(), number))?;
    Ok(())
}

/// Removes one.
pub(crate) fn remove(connection: &Connection, reference: &DialogRef) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM tombstone WHERE ref = ?1")?
        .execute([reference.as_bytes()])?;
    Ok(())
}
