//! The promises of a store on a Citus cluster. Runs only if `DATAAPI_TEST_CITUS` is the URL of a database on its
//! coordinator, with the extension and its nodes set up. The tests drop the schema `dataapi` of that database.

use std::io::{Write, stderr};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use dataapi_conformance::scene::insert_consented;
use dataapi_conformance::{Fixture, Harness, ManualClock};
use dataapi_postgres::{Options, PostgresStore};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio_postgres::{Client, NoTls};

/// All tests share one database, so they take turns.
static TURN: OnceLock<Arc<Mutex<()>>> = OnceLock::new();

fn url() -> Option<String> {
    let url = std::env::var("DATAAPI_TEST_CITUS").ok();
    if url.is_none() && TURN.set(Arc::default()).is_ok() {
        // Not by a macro, because the test harness captures the output of macros.
        let _ = writeln!(
            stderr(),
            "\nSKIPPED: the tests on Citus. Set DATAAPI_TEST_CITUS to the URL of a database"
        );
    }
    url
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a connection");
    tokio::spawn(connection);
    client
}

async fn fresh(url: &str, options: Options) -> (PostgresStore, OwnedMutexGuard<()>) {
    let turn = Arc::clone(TURN.get_or_init(Arc::default)).lock_owned().await;
    let client = connect(url).await;
    client.batch_execute("DROP SCHEMA IF EXISTS dataapi CASCADE").await.expect("it is dropped");
    (PostgresStore::open(url, options).await.expect("a store"), turn)
}

struct OnCitus;

#[async_trait]
impl Harness for OnCitus {
    async fn fresh(&self, clock: ManualClock) -> Fixture {
        let options = Options { clock: Arc::new(clock), shards: 8, ..Options::default() };
        let (store, turn) = fresh(&url().expect("a database"), options).await;
        Fixture::new(store).keeping(turn)
    }

    fn is_available(&self) -> bool {
        url().is_some()
    }
}

dataapi_conformance::conformance!(OnCitus);

#[tokio::test(flavor = "multi_thread")]
async fn inserts_and_decisions_go_to_one_shard() {
    let Some(url) = url() else { return };
    let (store, _turn) = fresh(&url, Options { shards: 8, ..Options::default() }).await;
    insert_consented(&store, "anna", "d").await;
    let client = connect(&url).await;
    let spread = client
        .query_one(
            "SELECT count(DISTINCT get_shard_id_for_distribution_column('dataapi.chain', shard))
               FROM dataapi.chain",
            &[],
        )
        .await
        .expect("shards");
    assert_eq!(spread.get::<_, i64>(0), 8, "each chain has its own shard");
    let shard: i32 =
        client.query_one("SELECT min(shard) FROM dataapi.chain", &[]).await.expect("one").get(0);
    for statement in [
        format!(
            "UPDATE dataapi.dialog SET state = 2 WHERE ref = ANY('{{}}'::bytea[]) AND shard = {shard}"
        ),
        format!("SELECT 1 FROM dataapi.chain WHERE shard = {shard} FOR UPDATE"),
        format!("UPDATE dataapi.chain SET position = position WHERE shard = {shard}"),
        format!("INSERT INTO dataapi.tally VALUES ({shard}, 1, '', 0)"),
    ] {
        let plan = client.query(&format!("EXPLAIN {statement}"), &[]).await.expect("a plan");
        let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
        assert!(plan.iter().any(|line| line.contains("Task Count: 1")), "{statement}:\n{plan:#?}");
    }
}
