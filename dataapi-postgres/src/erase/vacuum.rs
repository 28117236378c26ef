//! The vacuum that removes erased rows from the tables.

use std::time::Duration;

use deadpool_postgres::Pool;

use crate::error::PostgresError;
use crate::pool::Lent;

/// A vacuum has no time limit, but waits at most this long for a lock.
const LOCK_WITHIN: Duration = Duration::from_secs(5);

/// `INDEX_CLEANUP ON`, because index entries that are left for a later vacuum contain ids and customers.
const VACUUM: &str = "VACUUM (INDEX_CLEANUP ON, PROCESS_TOAST ON) dataapi.dialog";

/// Removes erased rows from the table of dialogs.
pub(crate) async fn vacuum(pool: &Pool) -> Result<(), PostgresError> {
    let lent = Lent::from(pool).await?;
    let client = lent.client()?;
    let limits =
        format!("SET statement_timeout = 0; SET lock_timeout = '{} ms'", LOCK_WITHIN.as_millis());
    client.batch_execute(&limits).await?;
    // If another process is vacuuming, this waits for it and then removes what is left.
    client.batch_execute(VACUUM).await?;
    // The connection now has other time limits, so it does not go back to the pool.
    Ok(())
}
