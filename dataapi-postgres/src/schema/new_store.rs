//! Fills the tables of a new store and has Citus distribute them.

use dataapi_core::copy::{Fingerprint, StoreManifest};
use dataapi_core::{ChainHead, Date, RefKey};
use tokio_postgres::Client;

use crate::error::OpenError;
use crate::rows::signed;

/// The tables that are distributed by shard, in the order in which Citus distributes them.
const SPREAD: [&str; 5] = ["chain", "dialog", "event", "early_grant", "tally"];

/// The tables of which each node has a full copy.
const COPIED: [&str; 3] = ["store", "copied_chain", "api_key"];

/// The initial state of a new store.
pub(crate) struct NewStore {
    pub(crate) shards: u16,
    key: RefKey,
    /// The number of its first chain.
    first_chain: u16,
    last_date: Date,
    /// For a copy: the fingerprint of its source and the heads of the chains that come from there.
    copied: Option<(Fingerprint, Vec<ChainHead>)>,
}

impl NewStore {
    /// An empty store with a new random key.
    pub(crate) fn empty(shards: u16) -> Result<Self, OpenError> {
        let mut key = [0_u8; 32];
        getrandom::fill(&mut key).map_err(OpenError::Randomness)?;
        let (key, last_date) = (RefKey::from_bytes(key), Date::MIN);
        Ok(Self { shards, key, first_chain: 0, last_date, copied: None })
    }

    /// The beginning of a copy of the store that the manifest describes.
    pub(crate) fn copy_of(manifest: &StoreManifest, shards: u16) -> Self {
        Self {
            shards,
            key: manifest.key.clone(),
            first_chain: manifest.next_chain(),
            last_date: manifest.last_date,
            copied: Some((manifest.fingerprint(), manifest.heads.clone())),
        }
    }
}

/// Fills the tables of a new store.
pub(crate) async fn make(client: &Client, beginning: &NewStore) -> Result<(), OpenError> {
    let NewStore { shards, key, first_chain, last_date, copied } = beginning;
    let has_citus = "SELECT count(*) FROM pg_extension WHERE extname = 'citus'";
    let keys = if client.query_one(has_citus, &[]).await?.try_get::<_, i64>(0)? > 0 {
        spread(client, *shards).await?
    } else {
        (0..i32::from(*shards)).collect()
    };
    client
        .execute("INSERT INTO dataapi.store VALUES (1, $1)", &[&key.as_bytes().as_slice()])
        .await?;
    for (number, key) in (*first_chain..).zip(keys) {
        client
            .execute(
                "INSERT INTO dataapi.chain VALUES ($1, $2, 0, $3, $4)",
                &[&key, &small(number), &[0_u8; 32].as_slice(), &last_date.as_micros()],
            )
            .await?;
    }
    let Some((fingerprint, heads)) = copied else { return Ok(()) };
    for ChainHead { chain, position, hash } in heads {
        client
            .execute(
                "INSERT INTO dataapi.copied_chain VALUES ($1, $2, $3)",
                &[&small(*chain), &signed(*position), &hash.as_bytes().as_slice()],
            )
            .await?;
    }
    client
        .execute(
            "INSERT INTO dataapi.copy VALUES (1, $1, '0', 0, $2, '')",
            &[&fingerprint.as_bytes().as_slice(), &[0_u8; 32].as_slice()],
        )
        .await?;
    Ok(())
}

/// Has Citus distribute the tables over its nodes. Returns one key for each shard.
async fn spread(client: &Client, shards: u16) -> Result<Vec<i32>, OpenError> {
    client.batch_execute("SET LOCAL citus.multi_shard_modify_mode TO 'sequential'").await?;
    for table in COPIED {
        let sql = format!("SELECT create_reference_table('dataapi.{table}')");
        client.batch_execute(&sql).await?;
    }
    for table in SPREAD {
        let with = if table == SPREAD[0] {
            format!("colocate_with => 'none', shard_count => {shards}")
        } else {
            format!("colocate_with => 'dataapi.{}'", SPREAD[0])
        };
        let sql = format!("SELECT create_distributed_table('dataapi.{table}', 'shard', {with})");
        client.batch_execute(&sql).await?;
    }
    // For each Citus shard, the lowest number that falls into it. So each shard of the store gets a Citus shard of its
    // own.
    let keys = client
        .query(
            "SELECT min(key) FROM (
                 SELECT key, get_shard_id_for_distribution_column('dataapi.chain', key) AS shard
                   FROM generate_series(0, $1) AS key) AS found
              GROUP BY shard ORDER BY 1",
            &[&(i32::from(shards) * 40)],
        )
        .await?;
    let keys = keys.iter().map(|row| row.try_get(0)).collect::<Result<Vec<i32>, _>>()?;
    if keys.len() == usize::from(shards) { Ok(keys) } else { Err(OpenError::Spread) }
}

/// There are fewer chains than an `i16` can count.
fn small(chain: u16) -> i16 {
    i16::try_from(chain).unwrap_or(i16::MAX)
}
