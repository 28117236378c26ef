//! Converts single columns to values of the domain and back.
//!
//! A column with a value that DataAPI does not write was damaged from outside. Reading it is an error of the backend,
//! never a wrong answer.

use dataapi_core::{Date, Evidence, Language};
use rusqlite::Row;
use rusqlite::types::Type;

/// Reads a count.
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

/// The error for a row that is damaged.
pub(crate) fn damaged(column: usize) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Null, "the row is damaged".into())
}

/// A count as an integer of SQLite, which has no larger ones.
pub(crate) fn integer(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
