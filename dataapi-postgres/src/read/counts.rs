//! How many dialogs there are.

use std::collections::BTreeMap;

use dataapi_core::{Language, Stats};

use crate::error::PostgresError;
use crate::read::query::SqlQuery;
use crate::read::readers::Readers;
use crate::rows::{self, get, state};

/// The number that a statement yields which counts.
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

/// The version of the schema.
pub(crate) async fn schema_version(readers: &Readers) -> Result<u32, PostgresError> {
    let versions = SqlQuery::new("SELECT count(*) FROM dataapi.migration");
    let version = count(readers, &versions).await?;
    u32::try_from(version).map_err(|_| rows::damaged("migration"))
}
