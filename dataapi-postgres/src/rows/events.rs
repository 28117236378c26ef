//! Rows of the ledger.

use dataapi_core::{Event, EventKind, Evidence};
use tokio_postgres::Row;

use crate::error::PostgresError;
use crate::rows::values::{damaged, date, get, hash, position, reference};

/// The columns that [`event`] reads, in order. The table must have the alias `e`.
pub(crate) const EVENT_COLUMNS: &str =
    "e.chain, e.position, e.ref, e.kind, e.date, e.notice, e.method, e.locale, e.hash";

/// Reads [`EVENT_COLUMNS`], beginning at column `first`.
pub(crate) fn event(row: &Row, first: usize) -> Result<Event, PostgresError> {
    let kind = u8::try_from(get::<i16>(row, first + 3)?).ok().and_then(EventKind::from_code);
    Ok(Event {
        chain: u16::try_from(get::<i16>(row, first)?).map_err(|_| damaged("event"))?,
        position: position(row, first + 1)?,
        reference: reference(row, first + 2)?,
        kind: kind.ok_or_else(|| damaged("event"))?,
        date: date(row, first + 4)?,
        evidence: evidence(row, first + 5)?,
        hides_evidence: false,
        hash: hash(row, first + 8)?,
    })
}

/// Reads notice, method and locale, beginning at column `first`.
pub(crate) fn evidence(row: &Row, first: usize) -> Result<Evidence, PostgresError> {
    Evidence::parse(get(row, first)?, get(row, first + 1)?, get(row, first + 2)?)
        .map_err(|_| damaged("event"))
}
