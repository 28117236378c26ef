//! Each grant that came before its dialog and is held for it.

use dataapi_core::DialogRef;
use dataapi_core::transfer::EarlyGrant;
use rusqlite::Connection;

use crate::rows::values;

/// Each *yes* that is held, by reference.
pub(crate) fn all(connection: &Connection) -> rusqlite::Result<Vec<EarlyGrant>> {
    connection
        .prepare_cached(
            "SELECT ref, date, until, notice, method, locale FROM early_grant ORDER BY ref",
        )?
        .query_map((), |row| {
            Ok(EarlyGrant {
                reference: DialogRef::from_bytes(row.get(0)?),
                date: values::date(row, 1)?,
                until: values::date(row, 2)?,
                evidence: values::evidence(row, 3)?,
            })
        })?
        .collect()
}

/// Adds a *yes* that is held.
pub(crate) fn add(connection: &Connection, early: &EarlyGrant) -> rusqlite::Result<()> {
    let EarlyGrant { reference, date, until, evidence } = early;
    let [notice, method, locale] = evidence.pieces();
    connection.prepare_cached("INSERT INTO early_grant VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?.execute(
        (reference.as_bytes(), date.as_micros(), until.as_micros(), notice, method, locale),
    )?;
    Ok(())
}
