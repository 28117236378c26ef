//! Counts dialogs by state and by language, and what a purge would remove.

use std::collections::BTreeMap;

use dataapi_core::{Date, Filter, Purge, Stats, StoreInfo};
use rusqlite::{Connection, OptionalExtension};

use crate::error::SqliteError;
use crate::read::pages::page_total;
use crate::read::select::Select;
use crate::rows::chains::Chains;
use crate::rows::{dialogs, tombstones, values};

pub(crate) fn stats(connection: &Connection) -> Result<Stats, SqliteError> {
    let unsigned = |row: &rusqlite::Row<'_>, column| {
        Ok::<_, rusqlite::Error>(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
    };
    let (pending, withdrawn, erased) = connection
        .prepare_cached("SELECT pending, withdrawn, erased FROM store")?
        .query_row((), |row| Ok((unsigned(row, 0)?, unsigned(row, 1)?, unsigned(row, 2)?)))?;
    let consented_by_language = connection
        .prepare_cached(
            "SELECT language, n FROM consented_count WHERE customer_id = '' AND language > ''",
        )?
        .query_map((), |row| Ok((values::language(row, 0)?, unsigned(row, 1)?)))?
        .collect::<rusqlite::Result<BTreeMap<_, _>>>()?;
    let consented = page_total(&Filter::default()).number(connection)?;
    Ok(Stats { pending, consented, withdrawn, erased, consented_by_language })
}

/// The version of the schema, and when the store was last scrubbed.
pub(crate) fn info(connection: &Connection) -> Result<StoreInfo, SqliteError> {
    let schema = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let scrubbed = connection
        .prepare_cached("SELECT last_scrub FROM store WHERE last_scrub IS NOT NULL")?
        .query_row((), |row| values::date(row, 0))
        .optional()?;
    Ok(StoreInfo { backend: "sqlite", schema: Some(schema), last_scrub: scrubbed })
}

/// How many dialogs or tombstones a purge would remove.
pub(crate) fn purgeable(
    connection: &Connection,
    chains: &Chains,
    which: Purge,
    before: Date,
) -> Result<u64, SqliteError> {
    if let Some(dialogs) = dialogs::due(which) {
        return Ok(dialogs_before(dialogs, before).number(connection)?);
    }
    let mut count = 0;
    for due in tombstones::due(connection, chains, before)? {
        count += tombstones::count(connection, &due)?;
    }
    Ok(count)
}

pub(crate) fn dialogs_before(which: &str, date: Date) -> Select {
    let mut query = Select::new(format!("SELECT count(*) FROM dialog {which}"));
    query.and("date < ?", [date.as_micros().into()]);
    query
}
