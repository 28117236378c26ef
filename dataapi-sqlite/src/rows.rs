//! Rows of the database as values of the domain, and back.
//!
//! A row that holds what it cannot hold was damaged from outside: that is an error of the backend,
//! never a wrong answer.

use dataapi_core::{
    Date, DialogRef, Event, EventHash, EventKind, Evidence, Language, NewDialog, StoredDialog, Text,
};
use rusqlite::types::Type;
use rusqlite::{Connection, Row};

use crate::chains::{Chains, Place};
use crate::checksum;

/// The columns that [`stored_dialog`] reads, in its order.
pub(crate) const DIALOG_COLUMNS: &str =
    "dialog_id, customer_id, language, text, date, granted, checksum";

/// Reads [`DIALOG_COLUMNS`].
pub(crate) fn stored_dialog(row: &Row<'_>) -> rusqlite::Result<StoredDialog> {
    let (dialog, date, granted) = whole_dialog(row)?;
    Ok(StoredDialog::new(dialog, date, granted.is_some()))
}

/// Reads [`DIALOG_COLUMNS`] as what was written: the dialog, when it was received, and the place of the
/// event of its consent.
pub(crate) fn whole_dialog(row: &Row<'_>) -> rusqlite::Result<(NewDialog, Date, Option<Place>)> {
    let dialog = NewDialog {
        dialog_id: parsed(row, 0)?,
        customer_id: parsed(row, 1)?,
        language: parsed(row, 2)?,
        // The limit on a text is a matter of what comes in, and may have been larger before.
        text: Text::parse(row.get(3)?, usize::MAX).map_err(|_| damaged(3))?,
    };
    let (date, granted) = (date(row, 4)?, row.get(5)?);
    if row.get::<_, i64>(6)? == i64::from(checksum::dialog(&dialog, date, granted)) {
        Ok((dialog, date, granted))
    } else {
        Err(damaged(6))
    }
}

/// Makes a pending dialog readable: by the event at that place.
pub(crate) fn grant(connection: &Connection, seq: i64, place: Place) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            // SQLite has no exclusive or.
            "UPDATE dialog SET granted = ?2, checksum = (checksum | ?3) - (checksum & ?3)
             WHERE seq = ?1",
        )?
        .execute((seq, place, checksum::grant(place)))?;
    Ok(())
}

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
        date: date(row, 3)?,
        evidence: evidence(row, 4)?,
        hash: EventHash::from_bytes(row.get(7)?),
    })
}

/// Reads how many there are.
pub(crate) fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    u64::try_from(row.get::<_, i64>(column)?).map_err(|_| damaged(column))
}

/// Reads a language.
pub(crate) fn language(row: &Row<'_>, column: usize) -> rusqlite::Result<Language> {
    parsed(row, column)
}

/// Reads a value that its type parses.
pub(crate) fn parsed<T: TryFrom<String>>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    T::try_from(row.get(column)?).map_err(|_| damaged(column))
}

/// Reads a date.
pub(crate) fn date(row: &Row<'_>, column: usize) -> rusqlite::Result<Date> {
    Date::from_micros(row.get(column)?).map_err(|_| damaged(column))
}

/// Reads a date, if there is one.
pub(crate) fn optional_date(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Date>> {
    let micros: Option<i64> = row.get(column)?;
    micros.map(|micros| Date::from_micros(micros).map_err(|_| damaged(column))).transpose()
}

/// Reads notice, method and locale.
pub(crate) fn evidence(row: &Row<'_>, first: usize) -> rusqlite::Result<Evidence> {
    Evidence::parse(row.get(first)?, row.get(first + 1)?, row.get(first + 2)?)
        .map_err(|_| damaged(first))
}

/// What a row is that holds what it cannot hold.
pub(crate) fn damaged(column: usize) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Null, "the row is damaged".into())
}
