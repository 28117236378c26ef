//! The table of held grants: grants that came before their dialog.

use dataapi_core::consent::rules;
use dataapi_core::{Date, DialogRef, copy};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::rows::values;

/// The columns that [`early_grant`] reads, in its order.
const COLUMNS: &str = "date, until, notice, method, locale";

/// Finds the grant that is held for a dialog.
pub(crate) fn find(
    connection: &Connection,
    reference: &DialogRef,
) -> rusqlite::Result<Option<rules::EarlyGrant>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM early_grant WHERE ref = ?1"))?
        .query_row([reference.as_bytes()], |row| early_grant(row, 0))
        .optional()
}

/// Removes the grant that is held for a dialog, and returns it.
pub(crate) fn take(
    connection: &Connection,
    reference: &DialogRef,
) -> rusqlite::Result<Option<rules::EarlyGrant>> {
    connection
        .prepare_cached(&format!("DELETE FROM early_grant WHERE ref = ?1 RETURNING {COLUMNS}"))?
        .query_row([reference.as_bytes()], |row| early_grant(row, 0))
        .optional()
}

/// Removes the grants whose time has passed, and returns how many there were.
pub(crate) fn end(connection: &Connection, now: Date) -> rusqlite::Result<i64> {
    let ended = connection
        .prepare_cached("DELETE FROM early_grant WHERE until <= ?1")?
        .execute([now.as_micros()])?;
    Ok(values::integer(ended as u64))
}

/// Holds a grant unless one is held for this dialog already. Returns how many were added: 1 or 0.
pub(crate) fn hold(
    connection: &Connection,
    reference: &DialogRef,
    early: &rules::EarlyGrant,
) -> rusqlite::Result<i64> {
    let rules::EarlyGrant { evidence, date, until } = early;
    let [notice, method, locale] = evidence.pieces();
    let added = connection
        .prepare_cached(
            "INSERT INTO early_grant VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
        )?
        .execute((
            reference.as_bytes(),
            date.as_micros(),
            until.as_micros(),
            notice,
            method,
            locale,
        ))?;
    Ok(values::integer(added as u64))
}

/// All held grants, by reference.
pub(crate) fn all(connection: &Connection) -> rusqlite::Result<Vec<copy::EarlyGrantRow>> {
    connection
        .prepare_cached(&format!("SELECT ref, {COLUMNS} FROM early_grant ORDER BY ref"))?
        .query_map((), |row| {
            let reference = DialogRef::from_bytes(row.get(0)?);
            let rules::EarlyGrant { evidence, date, until } = early_grant(row, 1)?;
            Ok(copy::EarlyGrantRow { reference, date, until, evidence })
        })?
        .collect()
}

/// Adds a held grant of another store.
pub(crate) fn add(connection: &Connection, early: &copy::EarlyGrantRow) -> rusqlite::Result<()> {
    let copy::EarlyGrantRow { reference, date, until, evidence } = early;
    let [notice, method, locale] = evidence.pieces();
    connection.prepare_cached("INSERT INTO early_grant VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?.execute(
        (reference.as_bytes(), date.as_micros(), until.as_micros(), notice, method, locale),
    )?;
    Ok(())
}

/// Reads [`COLUMNS`], which begin at the column `first`.
fn early_grant(row: &Row<'_>, first: usize) -> rusqlite::Result<rules::EarlyGrant> {
    Ok(rules::EarlyGrant {
        date: values::date(row, first)?,
        until: values::date(row, first + 1)?,
        evidence: values::evidence(row, first + 2)?,
    })
}
