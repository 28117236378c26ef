//! Rows of the database as values of the domain.
//!
//! A row that holds what it cannot hold was damaged from outside: that is an error of the backend,
//! never a wrong answer.

use dataapi_core::{
    Date, DialogRef, Event, EventHash, EventKind, Evidence, NewDialog, StoredDialog, Text,
};
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use crate::failure::Failure;

/// What stands in `state`.
pub(crate) mod state {
    pub(crate) const AWAITED: i16 = 0;
    pub(crate) const PENDING: i16 = 1;
    pub(crate) const CONSENTED: i16 = 2;
    pub(crate) const WITHDRAWN: i16 = 3;
    pub(crate) const ERASED: i16 = 4;
    pub(crate) const EXPIRED: i16 = 5;
}

/// The state of a dialog after an event of that kind.
pub(crate) fn state_after(kind: EventKind) -> i16 {
    match kind {
        EventKind::Granted => state::CONSENTED,
        EventKind::Withdrawn => state::WITHDRAWN,
        EventKind::Erased => state::ERASED,
        EventKind::Expired => state::EXPIRED,
    }
}

/// The columns that [`stored_dialog`] reads, in its order.
pub(crate) const DIALOG_COLUMNS: &str = "dialog_id, customer_id, language, text, date, state";

/// Reads [`DIALOG_COLUMNS`], from a column on.
pub(crate) fn stored_dialog(row: &Row, first: usize) -> Result<StoredDialog, Failure> {
    let (dialog, received) = whole_dialog(row, first)?;
    let is_consented = get::<i16>(row, first + 5)? == state::CONSENTED;
    Ok(StoredDialog::new(dialog, received, is_consented))
}

/// Reads [`DIALOG_COLUMNS`], from a column on, as what was written: the dialog, and when it was received.
pub(crate) fn whole_dialog(row: &Row, first: usize) -> Result<(NewDialog, Date), Failure> {
    let dialog = NewDialog {
        dialog_id: parsed(row, first)?,
        customer_id: parsed(row, first + 1)?,
        language: parsed(row, first + 2)?,
        // The limit on a text is a matter of what comes in, and may have been larger before.
        text: Text::parse(get(row, first + 3)?, usize::MAX).map_err(|_| damaged("text"))?,
    };
    Ok((dialog, date(row, first + 4)?))
}

/// The columns that [`event`] reads, in its order, of a table by that name.
pub(crate) const EVENT_COLUMNS: &str =
    "e.chain, e.position, e.ref, e.kind, e.date, e.notice, e.method, e.locale, e.hash";

/// Reads [`EVENT_COLUMNS`], from a column on.
pub(crate) fn event(row: &Row, first: usize) -> Result<Event, Failure> {
    let kind = u8::try_from(get::<i16>(row, first + 3)?).ok().and_then(EventKind::from_code);
    Ok(Event {
        chain: u16::try_from(get::<i16>(row, first)?).map_err(|_| damaged("event"))?,
        position: position(row, first + 1)?,
        reference: reference(row, first + 2)?,
        kind: kind.ok_or_else(|| damaged("event"))?,
        date: date(row, first + 4)?,
        evidence: evidence(row, first + 5)?,
        hash: hash(row, first + 8)?,
    })
}

pub(crate) fn get<'r, T: FromSql<'r>>(row: &'r Row, column: usize) -> Result<T, Failure> {
    row.try_get(column).map_err(|_| damaged("value"))
}

/// Reads a value that its type parses.
pub(crate) fn parsed<T: TryFrom<String>>(row: &Row, column: usize) -> Result<T, Failure> {
    T::try_from(get(row, column)?).map_err(|_| damaged("value"))
}

pub(crate) fn position(row: &Row, column: usize) -> Result<u64, Failure> {
    count(row, column)
}

/// Reads a number that is never negative.
pub(crate) fn count(row: &Row, column: usize) -> Result<u64, Failure> {
    u64::try_from(get::<i64>(row, column)?).map_err(|_| damaged("number"))
}

pub(crate) fn date(row: &Row, column: usize) -> Result<Date, Failure> {
    Date::from_micros(get(row, column)?).map_err(|_| damaged("date"))
}

pub(crate) fn optional_date(row: &Row, column: usize) -> Result<Option<Date>, Failure> {
    let micros: Option<i64> = get(row, column)?;
    micros.map(|micros| Date::from_micros(micros).map_err(|_| damaged("date"))).transpose()
}

pub(crate) fn reference(row: &Row, column: usize) -> Result<DialogRef, Failure> {
    Ok(DialogRef::from_bytes(bytes32(row, column)?))
}

pub(crate) fn hash(row: &Row, column: usize) -> Result<EventHash, Failure> {
    Ok(EventHash::from_bytes(bytes32(row, column)?))
}

pub(crate) fn bytes32(row: &Row, column: usize) -> Result<[u8; 32], Failure> {
    get::<&[u8]>(row, column)?.try_into().map_err(|_| damaged("hash"))
}

/// Reads notice, method and locale.
pub(crate) fn evidence(row: &Row, first: usize) -> Result<Evidence, Failure> {
    Evidence::parse(get(row, first)?, get(row, first + 1)?, get(row, first + 2)?)
        .map_err(|_| damaged("event"))
}

pub(crate) fn damaged(what: &'static str) -> Failure {
    Failure::Damaged(what)
}

/// PostgreSQL has no larger numbers, and so no later positions.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
