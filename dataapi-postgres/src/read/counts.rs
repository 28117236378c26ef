//! The number of dialogs, and information on the store.

use std::collections::BTreeMap;

use dataapi_core::{Date, Language, Stats, StoreInfo};

use crate::error::PostgresError;
use crate::read::query::SqlQuery;
use crate::read::readers::Readers;
use crate::rows::{self, get, state};

/// Reads the result of a statement that counts.
pub(crate) fn number(rows: &[tokio_postgres::Row]) -> Result<u64, PostgresError> {
    rows::count(rows.first().ok_or(PostgresError::Lost)?, 0)
}

pub(crate) async fn count(readers: &Readers, query: &SqlQuery) -> Result<u64, PostgresError> {
    number(&readers.rows(query).await?)
}

pub(crate) async fn stats(readers: &Readers) -> Result<Stats, PostgresError> {
    let query = SqlQuery::new(
        "SELECT state, language, sum(n)::bigint FROM dataapi.tally GROUP BY state, language",
    );
    let mut stats = Stats::default();
    let mut by_language = BTreeMap::new();
    for row in readers.rows(&query).await? {
        let n = rows::count(&row, 2)?;
        match get::<i16>(&row, 0)? {
            state::PENDING => stats.pending += n,
            state::CONSENTED if n > 0 => {
                stats.consented += n;
                by_language.insert(rows::parsed::<Language>(&row, 1)?, n);
            }
            state::CONSENTED => {}
            state::WITHDRAWN => stats.withdrawn += n,
            _ => stats.erased += n,
        }
    }
    Ok(Stats { consented_by_language: by_language, ..stats })
}

/// Returns the version of the schema, and when a command last vacuumed the table of dialogs.
pub(crate) async fn info(readers: &Readers) -> Result<StoreInfo, PostgresError> {
    let query = SqlQuery::new(
        "SELECT (SELECT count(*) FROM dataapi.migration),
                (SELECT (extract(epoch FROM last_vacuum) * 1000000)::bigint
                   FROM pg_stat_user_tables WHERE schemaname = 'dataapi' AND relname = 'dialog')",
    );
    let rows = readers.rows(&query).await?;
    let row = rows.first().ok_or(PostgresError::Lost)?;
    let schema = u32::try_from(rows::count(row, 0)?).map_err(|_| rows::damaged("migration"))?;
    let last_scrub = get::<Option<i64>>(row, 1)?.and_then(|micros| Date::from_micros(micros).ok());
    Ok(StoreInfo { backend: "postgres", schema: Some(schema), last_scrub })
}
