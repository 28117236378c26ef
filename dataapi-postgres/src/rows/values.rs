//! Reads single columns.

use dataapi_core::{Date, DialogRef, EventHash};
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use crate::error::PostgresError;

pub(crate) fn get<'r, T: FromSql<'r>>(row: &'r Row, column: usize) -> Result<T, PostgresError> {
    row.try_get(column).map_err(|_| damaged("value"))
}

/// Reads text and parses it.
pub(crate) fn parsed<T: TryFrom<String>>(row: &Row, column: usize) -> Result<T, PostgresError> {
    T::try_from(get(row, column)?).map_err(|_| damaged("value"))
}

pub(crate) fn position(row: &Row, column: usize) -> Result<u64, PostgresError> {
    count(row, column)
}

/// Reads a number that must not be negative.
pub(crate) fn count(row: &Row, column: usize) -> Result<u64, PostgresError> {
    u64::try_from(get::<i64>(row, column)?).map_err(|_| damaged("number"))
}

pub(crate) fn date(row: &Row, column: usize) -> Result<Date, PostgresError> {
    Date::from_micros(get(row, column)?).map_err(|_| damaged("date"))
}

pub(crate) fn optional_date(row: &Row, column: usize) -> Result<Option<Date>, PostgresError> {
    let micros: Option<i64> = get(row, column)?;
    micros.map(|micros| Date::from_micros(micros).map_err(|_| damaged("date"))).transpose()
}

pub(crate) fn reference(row: &Row, column: usize) -> Result<DialogRef, PostgresError> {
    Ok(DialogRef::from_bytes(bytes32(row, column)?))
}

pub(crate) fn hash(row: &Row, column: usize) -> Result<EventHash, PostgresError> {
    Ok(EventHash::from_bytes(bytes32(row, column)?))
}

pub(crate) fn bytes32(row: &Row, column: usize) -> Result<[u8; 32], PostgresError> {
    get::<&[u8]>(row, column)?.try_into().map_err(|_| damaged("hash"))
}

pub(crate) fn damaged(what: &'static str) -> PostgresError {
    PostgresError::Damaged(what)
}

/// Converts a number for a `bigint` column. PostgreSQL cannot store a larger one.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
