//! The schema and its versions, and how Citus spreads it.

use dataapi_core::transfer::{Fingerprint, Manifest};
use dataapi_core::{ChainHead, Date, RefKey};
use tokio_postgres::Client;

use crate::OpenError;
use crate::rows::signed;
use crate::shards::Shards;

/// Each entry is one version, in order; a published one is never edited.
const VERSIONS: &[&str] = &[VERSION_1, VERSION_2];

/// Servers that start at once bring the schema up to date one after the other: "DlgS".
const LOCK: i64 = 0x446c_6753;

const VERSION_1: &str = r#"
    -- One row: the store's secret key.
    CREATE TABLE dataapi.store (
        only_row smallint PRIMARY KEY CHECK (only_row = 1),
        ref_key  bytea    NOT NULL CHECK (length(ref_key) = 32)
    );

    -- The end of each shard's chain. Whatever changes a dialog that is there, or was, locks the row of its
    -- shard first.
    CREATE TABLE dataapi.chain (
        shard    integer  PRIMARY KEY,
        number   smallint NOT NULL,
        position bigint   NOT NULL,
        hash     bytea    NOT NULL CHECK (length(hash) = 32),
        date     bigint   NOT NULL
    ) WITH (fillfactor = 50);

    -- The end of each chain of a store that this one was copied from: nothing is added to those.
    CREATE TABLE dataapi.past_chain (
        number   smallint PRIMARY KEY,
        position bigint   NOT NULL,
        hash     bytea    NOT NULL CHECK (length(hash) = 32)
    );

    -- PostgreSQL empties it after a crash, and on a standby that takes over.
    CREATE UNLOGGED TABLE dataapi.life (
        only_row smallint PRIMARY KEY CHECK (only_row = 1),
        id       bigint   NOT NULL
    );

    -- A row for each id that was ever used, by its keyed hash: gone ones stay as tombstones, without a
    -- word, an id or a customer. Dates are microseconds since 1970; of a tombstone it is that of its end.
    CREATE TABLE dataapi.dialog (
        ref         bytea    NOT NULL CHECK (length(ref) = 32),
        date        bigint   NOT NULL,
        position    bigint,  -- of its last event; NULL while it is pending
        shard       integer  NOT NULL,
        state       smallint NOT NULL, -- 0 awaited, 1 pending, 2 consented, 3 withdrawn, 4 erased, 5 expired
        chain       smallint, -- in which its last event is
        is_imported boolean  NOT NULL DEFAULT false, -- then the date is another store's
        dialog_id   text COLLATE "C",
        customer_id text COLLATE "C",
        language    text COLLATE "C",
        text        text COLLATE "C",
        PRIMARY KEY (ref, shard),
        CHECK ((state IN (1, 2)) = (text IS NOT NULL AND dialog_id IS NOT NULL
               AND customer_id IS NOT NULL AND language IS NOT NULL)),
        CHECK (state IN (1, 2) OR (text IS NULL AND dialog_id IS NULL
               AND customer_id IS NULL AND language IS NULL))
    );

    -- What is analysed is copied into the statistics, where no erasure looks for it.
    ALTER TABLE dataapi.dialog
        ALTER COLUMN dialog_id SET STATISTICS 0,
        ALTER COLUMN customer_id SET STATISTICS 0,
        ALTER COLUMN text SET STATISTICS 0;

    -- One for each combination of filters, so that a page is read straight off its index.
    CREATE INDEX consented ON dataapi.dialog (date DESC, dialog_id DESC) WHERE state = 2;
    CREATE INDEX consented_by_language ON dataapi.dialog
        (lower(language), date DESC, dialog_id DESC) WHERE state = 2;
    CREATE INDEX consented_by_customer_language ON dataapi.dialog
        (customer_id, lower(language), date DESC, dialog_id DESC) WHERE state = 2;
    -- What is held on a customer; few of it is pending.
    CREATE INDEX held_by_customer ON dataapi.dialog
        (customer_id, date DESC, dialog_id DESC) INCLUDE (state) WHERE state IN (1, 2);
    CREATE INDEX pending_by_date ON dataapi.dialog (date, dialog_id) WHERE state = 1;
    CREATE INDEX gone_by_date ON dataapi.dialog (date, position) WHERE state > 2;

    -- The ledger, each chain linked by `hash`; only ever added to.
    CREATE TABLE dataapi.event (
        shard    integer  NOT NULL,
        chain    smallint NOT NULL,
        position bigint   NOT NULL,
        ref      bytea    NOT NULL CHECK (length(ref) = 32),
        kind     smallint NOT NULL, -- 1 granted, 2 withdrawn, 3 erased, 4 expired
        date     bigint   NOT NULL,
        notice   text COLLATE "C",
        method   text COLLATE "C",
        locale   text COLLATE "C",
        hash     bytea    NOT NULL CHECK (length(hash) = 32),
        PRIMARY KEY (shard, chain, position)
    );

    -- Each yes that came before its dialog, which has a row of state 0 until then.
    CREATE TABLE dataapi.early_grant (
        ref    bytea   NOT NULL CHECK (length(ref) = 32),
        shard  integer NOT NULL,
        date   bigint  NOT NULL,
        until  bigint  NOT NULL,
        notice text COLLATE "C",
        method text COLLATE "C",
        locale text COLLATE "C",
        PRIMARY KEY (ref, shard)
    );
    CREATE INDEX early_grant_by_end ON dataapi.early_grant (until);

    -- How many dialogs are in each state, consented ones by language. Each transaction adds rows and
    -- changes none, so that no two wait for each other; now and then they are added up.
    CREATE TABLE dataapi.tally (
        shard    integer  NOT NULL,
        state    smallint NOT NULL,
        language text COLLATE "C" NOT NULL, -- in lower case; '' but for consented ones
        n        bigint   NOT NULL
    );

    -- Who may do what over a network; of a key itself its hash alone.
    CREATE TABLE dataapi.api_key (
        name      text COLLATE "C" PRIMARY KEY,
        roles     smallint NOT NULL,
        languages text[],
        customers text, -- how their ids begin
        hash      bytea    NOT NULL CHECK (length(hash) = 32),
        created   bigint   NOT NULL,
        expires   bigint,
        revoked   bigint,
        last_used bigint
    );
"#;

const VERSION_2: &str = "
    -- How far the store has come as a copy of another one: one row, for as long as it is none yet.
    CREATE TABLE dataapi.transfer (
        only_row    smallint PRIMARY KEY CHECK (only_row = 1),
        fingerprint bytea    NOT NULL CHECK (length(fingerprint) = 32),
        positions   text     NOT NULL,
        rows        bigint   NOT NULL,
        digest      bytea    NOT NULL CHECK (length(digest) = 32),
        bookmark    bytea    NOT NULL
    );
";

/// What lies with its dialog, in the order in which Citus is told of it.
const SPREAD: [&str; 5] = ["chain", "dialog", "event", "early_grant", "tally"];

/// What each node has a copy of.
const COPIED: [&str; 3] = ["store", "past_chain", "api_key"];

/// What a store is, once and for all.
pub(crate) struct Identity {
    pub(crate) key: RefKey,
    pub(crate) shards: Shards,
    /// Whether Citus spreads the tables.
    pub(crate) is_spread: bool,
}

/// What a new store begins with.
pub(crate) struct Beginning {
    pub(crate) shards: u16,
    key: RefKey,
    /// The number of its first chain.
    first_chain: u16,
    last_date: Date,
    /// What it is to be a copy of, and the ends of the chains that it then has from there.
    copied: Option<(Fingerprint, Vec<ChainHead>)>,
}

impl Beginning {
    /// Of a store of its own.
    pub(crate) fn anew(shards: u16) -> Result<Self, OpenError> {
        let mut key = [0_u8; 32];
        getrandom::fill(&mut key).map_err(OpenError::Randomness)?;
        let (key, last_date) = (RefKey::from_bytes(key), Date::MIN);
        Ok(Self { shards, key, first_chain: 0, last_date, copied: None })
    }

    /// Of a copy of that store.
    pub(crate) fn copy_of(manifest: &Manifest, shards: u16) -> Self {
        Self {
            shards,
            key: manifest.key.clone(),
            first_chain: manifest.next_chain(),
            last_date: manifest.last_date,
            copied: Some((manifest.fingerprint(), manifest.heads.clone())),
        }
    }
}

/// Brings the schema up to date, and makes the store if there is none and it may begin.
pub(crate) async fn prepare(
    client: &mut Client,
    beginning: Option<Beginning>,
) -> Result<Identity, OpenError> {
    if version(client).await? != Some(VERSIONS.len()) {
        migrate(client, beginning).await?;
    }
    let unfinished = client.query_one("SELECT count(*) FROM dataapi.transfer", &[]).await?;
    if unfinished.try_get::<_, i64>(0)? > 0 {
        return Err(OpenError::Unfinished);
    }
    identity(client).await
}

/// How many versions the store has seen; `None` if there is none.
pub(crate) async fn version(client: &Client) -> Result<Option<usize>, OpenError> {
    // Not by a cast to `regclass`: what that finds may be older than a lock that was waited for.
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

/// Brings the schema up to date, and makes the store if there is none.
pub(crate) async fn migrate(
    client: &mut Client,
    beginning: Option<Beginning>,
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

/// Fills a new store's tables.
async fn make(client: &Client, beginning: &Beginning) -> Result<(), OpenError> {
    let Beginning { shards, key, first_chain, last_date, copied } = beginning;
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
                "INSERT INTO dataapi.past_chain VALUES ($1, $2, $3)",
                &[&small(*chain), &signed(*position), &hash.as_bytes().as_slice()],
            )
            .await?;
    }
    client
        .execute(
            "INSERT INTO dataapi.transfer VALUES (1, $1, '0', 0, $2, '')",
            &[&fingerprint.as_bytes().as_slice(), &[0_u8; 32].as_slice()],
        )
        .await?;
    Ok(())
}

/// Has Citus spread the tables over its nodes; yields a key for each shard that it then has.
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
    // The first number that each of them takes: so all are of one size.
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

/// There are fewer chains than it counts.
fn small(chain: u16) -> i16 {
    i16::try_from(chain).unwrap_or(i16::MAX)
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
    Ok(Identity {
        key: RefKey::from_bytes(key.map_err(|_| OpenError::Damaged)?),
        shards: Shards::new(keys),
        is_spread,
    })
}
