//! The properties of a store that never change: its key and its shards.

use dataapi_core::RefKey;
use tokio_postgres::Client;

use crate::error::OpenError;
use crate::schema::durability::check_nodes;
use crate::shards::Shards;

/// The properties of a store that never change.
pub(crate) struct Identity {
    pub(crate) key: RefKey,
    pub(crate) shards: Shards,
    /// Whether Citus distributes the tables.
    pub(crate) is_spread: bool,
}

pub(crate) async fn identity(client: &Client) -> Result<Identity, OpenError> {
    let store = client.query_opt("SELECT ref_key FROM dataapi.store", &[]).await?;
    let key = store.ok_or(OpenError::Missing)?.try_get::<_, &[u8]>(0)?.try_into();
    let chains = client.query("SELECT shard FROM dataapi.chain ORDER BY number", &[]).await?;
    let keys = chains.iter().map(|row| row.try_get(0)).collect::<Result<Vec<i32>, _>>()?;
    if keys.is_empty() {
        return Err(OpenError::Missing);
    }
    let is_spread = client
        .query_one("SELECT to_regclass('pg_dist_partition') IS NOT NULL", &[])
        .await?
        .try_get::<_, bool>(0)?
        && client
            .query_one(
                "SELECT count(*) FROM pg_dist_partition WHERE logicalrelid = 'dataapi.dialog'::regclass",
                &[],
            )
            .await?
            .try_get::<_, i64>(0)?
            > 0;
    if is_spread {
        check_nodes(client).await?;
    }
    Ok(Identity {
        key: RefKey::from_bytes(key.map_err(|_| OpenError::Damaged)?),
        shards: Shards::new(keys),
        is_spread,
    })
}
