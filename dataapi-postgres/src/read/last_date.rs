//! The last date that a store handed out.

use dataapi_core::Date;

use crate::error::PostgresError;
use crate::read::query::SqlQuery;
use crate::read::readers::Readers;
use crate::rows;

/// Returns the last date that the store handed out: the latest of its events (which covers consented dialogs), pending
/// dialogs, early grants and keys. Imported dates do not count, because another store handed them out.
pub(crate) async fn last_date(readers: &Readers) -> Result<Date, PostgresError> {
    let query = SqlQuery::new(
        "SELECT greatest(
             (SELECT max(date) FROM dataapi.chain),
             (SELECT max(date) FROM dataapi.dialog
               WHERE state = 1 AND NOT is_imported AND date > (SELECT max(date) FROM dataapi.chain)),
             (SELECT max(date) FROM dataapi.early_grant),
             (SELECT max(greatest(created, revoked)) FROM dataapi.api_key))",
    );
    let row = readers.row(&query).await?.ok_or(PostgresError::Lost)?;
    Ok(rows::optional_date(&row, 0)?.unwrap_or(Date::MIN))
}
