//! The vacuum that removes erased rows from the tables.

use std::time::Duration;

use deadpool_postgres::Pool;

use crate::error::PostgresError;
use crate::pool::Lent;

/// Vacuums take what time they need, but do not wait for others' locks for long.
const LOCK_WITHIN: Duration = Duration::from_secs(5);

/// Where index entries are left to later vacuums, they keep ids and customers.
const VACUUM: &str = "VACUUM (INDEX_CLEANUP ON, PROCESS_TOAST ON) dataapi.dialog";

/// Vacuums away what was erased.
pub(crate) async fn vacuum(pool: &Pool) -> Result<(), PostgresError> {
    let lent = Lent::from(pool).await?;
    let client = lent.client()?;
    let limits =
        format!("SET statement_timeout = 0; SET lock_timeout = '{} ms'", LOCK_WITHIN.as_millis());
    client.batch_execute(&limits).await?;
    // A vacuum that another process runs is waited for; this one then finds what it left.
    client.batch_execute(VACUUM).await?;
    // The connection has other limits now: it does not go back.
    Ok(())
}
