//! Updates the schema.

use tokio_postgres::Client;

use crate::error::OpenError;
use crate::schema::identity::{Identity, identity};
use crate::schema::new_store::{NewStore, make};
use crate::schema::versions::VERSIONS;

/// The key of the advisory lock for migrations: "DlgS". Servers that start at the same time migrate one after the
/// other.
const LOCK: i64 = 0x446c_6753;

/// Updates the schema. If there is no store, creates one from `beginning`, or fails without it.
pub(crate) async fn prepare(
    client: &mut Client,
    beginning: Option<NewStore>,
) -> Result<Identity, OpenError> {
    refuse_triggers(client).await?;
    if version(client).await? != Some(VERSIONS.len()) {
        migrate(client, beginning).await?;
    }
    let unfinished = client.query_one("SELECT count(*) FROM dataapi.copy", &[]).await?;
    if unfinished.try_get::<_, i64>(0)? > 0 {
        return Err(OpenError::Unfinished);
    }
    identity(client).await
}

/// Refuses a store on whose tables somebody has put triggers or rules. Those that PostgreSQL and Citus make for
/// themselves are internal.
async fn refuse_triggers(client: &Client) -> Result<(), OpenError> {
    let there = "WITH ours AS (
                     SELECT pg_class.oid FROM pg_catalog.pg_class
                       JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
                      WHERE nspname = 'dataapi' AND relkind IN ('r', 'p'))
                 SELECT EXISTS (SELECT FROM pg_catalog.pg_trigger
                                 WHERE NOT tgisinternal AND tgrelid IN (SELECT oid FROM ours))
                     OR EXISTS (SELECT FROM pg_catalog.pg_rewrite
                                 WHERE ev_class IN (SELECT oid FROM ours))";
    if client.query_one(there, &[]).await?.try_get::<_, bool>(0)? {
        return Err(OpenError::Trigger);
    }
    Ok(())
}

/// Returns the version of the schema; `None` if there is no store.
pub(crate) async fn version(client: &Client) -> Result<Option<usize>, OpenError> {
    // A cast to `regclass` could return a result from before the lock was granted, so this does not use one.
    let there = "SELECT EXISTS (SELECT FROM pg_catalog.pg_tables
                  WHERE schemaname = 'dataapi' AND tablename = 'migration')";
    let there = client.query_one(there, &[]).await?;
    if !there.try_get::<_, bool>(0)? {
        return Ok(None);
    }
    let seen = client.query_one("SELECT count(*) FROM dataapi.migration", &[]).await?;
    let seen = usize::try_from(seen.try_get::<_, i64>(0)?).unwrap_or(usize::MAX);
    if seen > VERSIONS.len() { Err(OpenError::NewerSchema) } else { Ok(Some(seen)) }
}

/// Updates the schema. If there is no store, creates one from `beginning`, or fails without it.
pub(crate) async fn migrate(
    client: &mut Client,
    beginning: Option<NewStore>,
) -> Result<(), OpenError> {
    let encoding = client.query_one("SHOW server_encoding", &[]).await?;
    if encoding.try_get::<_, &str>(0)? != "UTF8" {
        return Err(OpenError::Encoding);
    }
    let transaction = client.transaction().await?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    let seen = version(transaction.client()).await?;
    if seen.is_none() && beginning.is_none() {
        return Err(OpenError::Missing);
    }
    if seen.is_none() {
        transaction
            .batch_execute(
                "CREATE SCHEMA IF NOT EXISTS dataapi;
                 CREATE TABLE dataapi.migration (version integer PRIMARY KEY, applied timestamptz NOT NULL)",
            )
            .await?;
    }
    for (number, version) in (1..).zip(VERSIONS).skip(seen.unwrap_or(0)) {
        transaction.batch_execute(version).await?;
        transaction.execute("INSERT INTO dataapi.migration VALUES ($1, now())", &[&number]).await?;
    }
    if let (None, Some(beginning)) = (seen, beginning) {
        make(transaction.client(), &beginning).await?;
    }
    transaction.commit().await?;
    Ok(())
}
