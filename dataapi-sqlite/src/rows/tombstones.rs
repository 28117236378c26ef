//! The table of tombstones.
//!
//! Each event that withdraws or erases a dialog makes a tombstone. A purge *forgets* tombstones, in each chain in the
//! order of their events. So each chain has the tombstones of all such events after the last one that was forgotten.

use dataapi_core::{Date, DialogRef, Event};
use rusqlite::{Connection, OptionalExtension};

use crate::rows::chains::{Chain, Chains};
use crate::rows::event_number::EventNumber;
use crate::rows::ledger::{self, EVENT_COLUMNS};
use crate::rows::values;

/// The events of a chain whose tombstones are due to be forgotten: those after `first`, up to `last`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    pub(crate) chain: Chain,
    pub(crate) first: EventNumber,
    pub(crate) last: EventNumber,
}

/// The condition for the events in such a range that still have their tombstone. If the id was used again after the
/// tombstone was forgotten, its new tombstone belongs to a later event.
pub(crate) const WITH_TOMBSTONE: &str = "position > ?1 AND position <= ?2 AND kind > 1
     AND EXISTS (SELECT 1 FROM tombstone
                 WHERE tombstone.ref = event.ref AND tombstone.position = event.position)";

/// Finds the event that withdrew or erased a dialog.
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

/// Whether a dialog has a tombstone.
pub(crate) fn is_there(connection: &Connection, reference: &DialogRef) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM tombstone WHERE ref = ?1")?
        .exists([reference.as_bytes()])
}

/// For each chain, in order, the number of the event up to which its tombstones are forgotten.
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

/// Sets the number of the event up to which the tombstones of a chain are forgotten.
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

/// For each chain, the events before a date whose tombstones are not forgotten yet.
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

/// Reads the events in such a range that still have their tombstone, oldest first.
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

/// Counts the events in such a range that still have their tombstone.
pub(crate) fn count(connection: &Connection, due: &Due) -> rusqlite::Result<u64> {
    connection
        .prepare_cached(&format!("SELECT count(*) FROM event WHERE {WITH_TOMBSTONE}"))?
        .query_row((due.first, due.last), |row| values::count(row, 0))
}

/// Adds the tombstones of all events after those up to which tombstones are forgotten.
pub(crate) fn fill(
    connection: &Connection,
    forgotten: &[(Chain, EventNumber)],
) -> rusqlite::Result<()> {
    let mut add = connection.prepare_cached(
        // If an id was used and erased again, the later event counts.
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

/// For each chain, the number of the event up to which its tombstones must have been forgotten, to judge by those that
/// exist.
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

/// Reads up to `at_most` tombstones after this reference, by reference, with the numbers of their events.
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

/// Adds a tombstone.
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

/// Removes a tombstone.
pub(crate) fn remove(connection: &Connection, reference: &DialogRef) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM tombstone WHERE ref = ?1")?
        .execute([reference.as_bytes()])?;
    Ok(())
}
