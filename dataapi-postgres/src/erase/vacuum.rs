//! The vacuum that removes erased rows from the tables.

use std::time::Duration;

use deadpool_postgres::Pool;
use tokio_postgres::error::SqlState;

use crate::error::PostgresError;
use crate::pool::Lent;
use crate::rows::get;

/// A vacuum has no time limit, but waits at most this long for a lock.
const LOCK_WITHIN: Duration = Duration::from_secs(5);

/// `INDEX_CLEANUP ON`, because index entries that are left for a later vacuum contain ids and customers.
const VACUUM: &str = "VACUUM (INDEX_CLEANUP ON, PROCESS_TOAST ON) dataapi.dialog";

/// Whether this role can vacuum: PostgreSQL only warns, and vacuums nothing, for a role that cannot.
const IS_ALLOWED: &str = "
    SELECT pg_has_role(relowner, 'USAGE')
        OR EXISTS (SELECT FROM pg_database
                   WHERE datname = current_database() AND pg_has_role(datdba, 'USAGE'))
        OR CASE WHEN current_setting('server_version_num')::integer >= 170000
                THEN has_table_privilege(oid, 'MAINTAIN') ELSE false END
      FROM pg_class WHERE oid = 'dataapi.dialog'::regclass";

/// Removes erased rows from the table of dialogs.
pub(crate) async fn vacuum(pool: &Pool) -> Result<(), PostgresError> {
    let lent = Lent::from(pool).await?;
    let client = lent.client()?;
    let limits =
        format!("SET statement_timeout = 0; SET lock_timeout = '{} ms'", LOCK_WITHIN.as_millis());
    client.batch_execute(&limits).await?;
    let allowed = client.query_one(IS_ALLOWED, &[]).await?;
    if !get::<bool>(&allowed, 0)? {
        return Err(PostgresError::Database(SqlState::INSUFFICIENT_PRIVILEGE));
    }
    // If another process is vacuuming, this waits for it and then removes what is left.
    client.batch_execute(VACUUM).await?;
    // The connection now has other time limits, so it does not go back to the pool.
    Ok(())
}
