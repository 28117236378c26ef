//! The table of events, which is the ledger. Events are found by number, and never removed.

use dataapi_core::{
    ChainHead, Date, DialogRef, Event, EventHash, EventKind, LedgerHead, Limit, Positions,
};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::rows::chains::{Chain, Chains};
use crate::rows::event_number::EventNumber;
use crate::rows::values::{self, damaged, integer};

/// The columns that [`event`] reads, in its order.
pub(crate) const EVENT_COLUMNS: &str = "position, ref, kind, date, notice, method, locale, hash";

/// Reads [`EVENT_COLUMNS`].
pub(crate) fn event(row: &Row<'_>, chains: &Chains) -> rusqlite::Result<Event> {
    let (chain, position) = chains.of(row.get(0)?);
    let kind: u8 = row.get(2)?;
    Ok(Event {
        chain: chain.number,
        position,
        reference: DialogRef::from_bytes(row.get(1)?),
        kind: EventKind::from_code(kind).ok_or_else(|| damaged(2))?,
        date: values::date(row, 3)?,
        evidence: values::evidence(row, 4)?,
        hides_evidence: false,
        hash: EventHash::from_bytes(row.get(7)?),
    })
}

/// The head of the store's own chain.
pub(crate) fn head(connection: &Connection, chains: &Chains) -> rusqlite::Result<ChainHead> {
    let live = chains.live();
    let last = connection
        .prepare_cached(
            "SELECT position, hash FROM event WHERE position > ?1 ORDER BY position DESC LIMIT 1",
        )?
        .query_row([live.base], |row| Ok((row.get(0)?, EventHash::from_bytes(row.get(1)?))))
        .optional()?;
    Ok(match last {
        None => ChainHead::empty(live.number),
        Some((number, hash)) => {
            ChainHead { chain: live.number, position: chains.of(number).1, hash }
        }
    })
}

/// The head of each chain that has events.
pub(crate) fn heads(connection: &Connection, chains: &Chains) -> rusqlite::Result<Vec<ChainHead>> {
    let copied = chains.copied().iter().map(|chain| head_at(connection, chains, chain.last));
    let mut heads = copied.collect::<rusqlite::Result<Vec<_>>>()?;
    heads.extend(Some(head(connection, chains)?).filter(|head| head.position > 0));
    Ok(heads)
}

/// The head of the whole ledger.
pub(crate) fn whole_head(connection: &Connection, chains: &Chains) -> rusqlite::Result<LedgerHead> {
    Ok(LedgerHead::of(heads(connection, chains)?))
}

/// The number of the last event.
pub(crate) fn last_number(connection: &Connection) -> rusqlite::Result<EventNumber> {
    connection
        .prepare_cached("SELECT ifnull(max(position), 0) FROM event")?
        .query_row((), |row| row.get(0))
}

/// Whether an event after this one withdraws or erases a dialog.
pub(crate) fn erases_after(connection: &Connection, number: EventNumber) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM event WHERE position > ?1 AND kind <> ?2")?
        .exists((number, EventKind::Granted.code()))
}

/// Reads the event with this number, and checks that it follows the one before.
fn at(connection: &Connection, chains: &Chains, number: EventNumber) -> rusqlite::Result<Event> {
    let (chain, position) = chains.of(number);
    let before = if position > 1 {
        head_at(connection, chains, number.before())?
    } else {
        ChainHead::empty(chain.number)
    };
    let event = unchecked_at(connection, chains, number)?;
    follows(before, event.ok_or(rusqlite::Error::QueryReturnedNoRows)?)
}

/// Reads the event with this number, if there is one, without checking its hash.
pub(crate) fn unchecked_at(
    connection: &Connection,
    chains: &Chains,
    number: EventNumber,
) -> rusqlite::Result<Option<Event>> {
    connection
        .prepare_cached(&format!("SELECT {EVENT_COLUMNS} FROM event WHERE position = ?1"))?
        .query_row([number], |row| event(row, chains))
        .optional()
}

/// Reads the event that a dialog or its tombstone refers to, and checks that it is an event of that dialog.
pub(crate) fn of(
    connection: &Connection,
    chains: &Chains,
    reference: &DialogRef,
    number: EventNumber,
) -> rusqlite::Result<Event> {
    let event = at(connection, chains, number)?;
    if event.reference == *reference { Ok(event) } else { Err(damaged(1)) }
}

/// The head of a chain as it was after the event with this number.
fn head_at(
    connection: &Connection,
    chains: &Chains,
    number: EventNumber,
) -> rusqlite::Result<ChainHead> {
    let (chain, position) = chains.of(number);
    let hash = connection
        .prepare_cached("SELECT hash FROM event WHERE position = ?1")?
        .query_row([number], |row| row.get(0))?;
    Ok(ChainHead { chain: chain.number, position, hash: EventHash::from_bytes(hash) })
}

/// Checks that `event` follows `before` in its chain. Damage to either of them breaks the chain.
fn follows(before: ChainHead, event: Event) -> rusqlite::Result<Event> {
    if before.precedes(&event) { Ok(event) } else { Err(damaged(7)) }
}

/// Reads the events after these positions, chain by chain, without checking their hashes: an audit has to see where a
/// chain is broken.
pub(crate) fn after(
    connection: &Connection,
    chains: &Chains,
    positions: &Positions,
    at_most: Limit,
) -> rusqlite::Result<Vec<Event>> {
    let sql = format!(
        "SELECT {EVENT_COLUMNS} FROM event WHERE position > ?1 AND position <= ?2
         ORDER BY position LIMIT ?3"
    );
    let mut select = connection.prepare_cached(&sql)?;
    let mut found = Vec::new();
    for chain in chains.iter() {
        let seen = positions.of(chain.number);
        let left = at_most.get() - found.len();
        if left == 0 || chain.events().is_some_and(|events| events <= seen) {
            continue;
        }
        let last = chain.last.unwrap_or(EventNumber::new(u64::MAX));
        let parameters = (chain.event_number(seen), last, integer(left as u64));
        for event in select.query_map(parameters, |row| event(row, chains))? {
            found.push(event?);
        }
    }
    Ok(found)
}

/// The number of the last event of a chain before a date; the chain's base if there is none.
pub(crate) fn last_before(
    connection: &Connection,
    chains: &Chains,
    chain: &Chain,
    date: Date,
) -> rusqlite::Result<EventNumber> {
    let end = match chain.events() {
        Some(events) => events,
        None => head(connection, chains)?.position,
    };
    // Dates never go backwards along a chain, so a binary search finds it.
    let (mut before, mut not_before) = (0, end + 1);
    while not_before - before > 1 {
        let middle = u64::midpoint(before, not_before);
        if at(connection, chains, chain.event_number(middle))?.date < date {
            before = middle;
        } else {
            not_before = middle;
        }
    }
    Ok(chain.event_number(before))
}

/// Adds an event. `seq` is the row that its dialog has or had.
pub(crate) fn append(
    connection: &Connection,
    chains: &Chains,
    event: &Event,
    seq: Option<i64>,
) -> rusqlite::Result<()> {
    let number = chains.event_number(event.chain, event.position).ok_or_else(|| damaged(0))?;
    let [notice, method, locale] = event.evidence.pieces();
    connection
        .prepare_cached("INSERT INTO event VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?
        .execute((
            number,
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

/// Reads up to `at_most` events after this number, with the rows of their dialogs.
pub(crate) fn events_after(
    connection: &Connection,
    chains: &Chains,
    number: EventNumber,
    at_most: usize,
) -> rusqlite::Result<Vec<(Event, Option<i64>)>> {
    connection
        .prepare_cached(&format!(
            "SELECT {EVENT_COLUMNS}, seq FROM event WHERE position > ?1 ORDER BY position LIMIT ?2"
        ))?
        .query_map((number, integer(at_most as u64)), |row| {
            Ok((event(row, chains)?, row.get("seq")?))
        })?
        .collect()
}
