//! Rows of the database as values of the domain, and back.
//!
//! A row that holds what it cannot hold was damaged from outside: that is an error of the backend,
//! never a wrong answer.

use dataapi_core::{
    ConsentRecord, Date, Evidence, EvidenceField, Language, NewDialog, StoredDialog, Text,
    Tombstone, TombstoneKind,
};
use rusqlite::Row;
use rusqlite::types::Type;

/// The columns that [`stored_dialog`] reads, in its order.
pub(crate) const DIALOG_COLUMNS: &str = "dialog_id, customer_id, language, text, date, granted";

/// Reads [`DIALOG_COLUMNS`].
pub(crate) fn stored_dialog(row: &Row<'_>) -> rusqlite::Result<StoredDialog> {
    let dialog = NewDialog {
        dialog_id: parsed(row, 0)?,
        customer_id: parsed(row, 1)?,
        language: parsed(row, 2)?,
        // The limit on a text is a matter of what comes in, and may have been larger before.
        text: Text::parse(row.get(3)?, usize::MAX).map_err(|_| damaged(3))?,
    };
    Ok(StoredDialog::new(dialog, date(row, 4)?, optional_date(row, 5)?))
}

/// Reads `date, granted, notice, method, locale` of a dialog, from column `first` on.
pub(crate) fn consent_record(row: &Row<'_>, first: usize) -> rusqlite::Result<ConsentRecord> {
    Ok(match optional_date(row, first + 1)? {
        None => ConsentRecord::Pending { received: date(row, first)? },
        Some(date) => ConsentRecord::Granted { date, evidence: evidence(row, first + 2)? },
    })
}

/// Reads `kind, date, notice, method, locale` of a tombstone.
pub(crate) fn tombstone(row: &Row<'_>) -> rusqlite::Result<Tombstone> {
    let kind = match row.get(0)? {
        0 => TombstoneKind::Withdrawn,
        1 => TombstoneKind::Erased,
        2 => TombstoneKind::Expired,
        _ => return Err(damaged(0)),
    };
    Ok(Tombstone { kind, date: date(row, 1)?, evidence: evidence(row, 2)? })
}

/// How a tombstone's kind is stored.
pub(crate) fn kind_code(kind: TombstoneKind) -> i64 {
    match kind {
        TombstoneKind::Withdrawn => 0,
        TombstoneKind::Erased => 1,
        TombstoneKind::Expired => 2,
    }
}

/// How the three pieces of evidence are stored.
pub(crate) fn evidence_columns(evidence: &Evidence) -> [Option<&str>; 3] {
    [&evidence.notice, &evidence.method, &evidence.locale]
        .map(|field| field.as_ref().map(EvidenceField::as_str))
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

fn optional_date(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Date>> {
    let micros: Option<i64> = row.get(column)?;
    micros.map(|micros| Date::from_micros(micros).map_err(|_| damaged(column))).transpose()
}

fn evidence(row: &Row<'_>, first: usize) -> rusqlite::Result<Evidence> {
    Evidence::parse(row.get(first)?, row.get(first + 1)?, row.get(first + 2)?)
        .map_err(|_| damaged(first))
}

fn damaged(column: usize) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Null, "the row is damaged".into())
}
