//! The promises of a store on a Citus cluster.
//!
//! Runs only if `DATAAPI_TEST_CITUS` is the URL of a database on the coordinator of a cluster that serves nothing else:
//! with the extension, its nodes, and a superuser who can connect to each node with the same password or none. The
//! tests drop the schema `dataapi` of that database, end connections between nodes, and change settings of that user.
//! Stores have 8 shards, so two workers are enough.

use std::io::{Write, stderr};
use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use dataapi_conformance::scene::{
    audited, customer, id, insert_consented, read, until_told, withdraw, worded,
};
use dataapi_conformance::{Fixture, Harness, ManualClock};
use dataapi_core::copy::copy_store;
use dataapi_core::{Decision, Dialogs, Evidence, ImportedDialog, Reach, Stats, StoreError, Upkeep};
use dataapi_postgres::{CopySource, CopyTarget, OpenError, Options, PostgresStore};
use futures_util::future::join_all;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::sleep;
use tokio_postgres::{Client, Config, NoTls};

const SHARDS: u16 = 8;

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
    connect_to(&url.parse().expect("a URL")).await
}

async fn connect_to(config: &Config) -> Client {
    let (client, connection) = config.connect(NoTls).await.expect("a connection");
    tokio::spawn(connection);
    client
}

/// Connects to each worker as the user of the URL.
async fn workers(url: &str) -> Vec<Client> {
    let same: Config = url.parse().expect("a URL");
    let nodes =
        "SELECT nodename, nodeport FROM pg_dist_node WHERE noderole = 'primary' AND groupid > 0";
    let mut workers = Vec::new();
    for row in connect(url).await.query(nodes, &[]).await.expect("nodes") {
        let mut config = Config::new();
        config.host(row.get::<_, &str>(0));
        config.port(u16::try_from(row.get::<_, i32>(1)).expect("a port"));
        config.user(same.get_user().expect("a user"));
        config.dbname(same.get_dbname().expect("a database"));
        same.get_password().map(|password| config.password(password));
        workers.push(connect_to(&config).await);
    }
    assert!(!workers.is_empty(), "the cluster has workers");
    workers
}

async fn fresh(url: &str, options: Options) -> (PostgresStore, OwnedMutexGuard<()>) {
    let turn = turn().await;
    (open_new(url, options).await, turn)
}

async fn turn() -> OwnedMutexGuard<()> {
    Arc::clone(TURN.get_or_init(Arc::default)).lock_owned().await
}

async fn open_new(url: &str, options: Options) -> PostgresStore {
    drop_store(url).await;
    PostgresStore::open(url, options).await.expect("a store")
}

async fn drop_store(url: &str) {
    let drop = "DROP SCHEMA IF EXISTS dataapi CASCADE";
    connect(url).await.batch_execute(drop).await.expect("it is dropped");
}

fn options() -> Options {
    Options { shards: SHARDS, ..Options::default() }
}

struct OnCitus;

#[async_trait]
impl Harness for OnCitus {
    async fn fresh(&self, clock: ManualClock) -> Fixture {
        let options = Options { clock: Arc::new(clock), ..options() };
        let (store, turn) = fresh(&url().expect("a database"), options).await;
        Fixture::new(store).keeping(turn)
    }

    fn is_available(&self) -> bool {
        url().is_some()
    }

    /// The nodes have no snapshot in common.
    fn commits_are_seen_whole(&self) -> bool {
        false
    }
}

dataapi_conformance::conformance!(OnCitus);

/// Changes a setting of the coordinator's server.
async fn change_server(url: &str, change: &str) {
    let client = connect(url).await;
    client.batch_execute(&format!("ALTER SYSTEM {change}")).await.expect("it is changed");
    client.batch_execute("SELECT pg_reload_conf()").await.expect("it is read");
}

/// Reads the plan of a statement.
async fn plan(client: &Client, statement: &str) -> String {
    let plan = client.query(&format!("EXPLAIN {statement}"), &[]).await.expect("a plan");
    plan.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn inserts_and_decisions_go_to_one_shard() {
    let Some(url) = url() else { return };
    let (store, _turn) = fresh(&url, options()).await;
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
    assert_eq!(spread.get::<_, i64>(0), i64::from(SHARDS), "each chain has its own shard");
    let shard: i32 =
        client.query_one("SELECT min(shard) FROM dataapi.chain", &[]).await.expect("one").get(0);
    for statement in [
        format!(
            "UPDATE dataapi.dialog SET state = 2,
                    position = 0 + ('{{1}}'::bigint[])[array_position('{{}}'::bytea[], ref)]
              WHERE ref = ANY('{{}}'::bytea[]) AND shard = {shard}"
        ),
        format!("SELECT 1 FROM dataapi.chain WHERE shard = {shard} FOR UPDATE"),
        format!("UPDATE dataapi.chain SET position = position WHERE shard = {shard}"),
        format!("INSERT INTO dataapi.tally VALUES ({shard}, 1, '', 0)"),
    ] {
        let plan = plan(&client, &statement).await;
        assert!(plan.contains("Task Count: 1"), "{statement}:\n{plan}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_a_page_goes_to_the_shards() {
    let Some(url) = url() else { return };
    let (store, _turn) = fresh(&url, options()).await;
    insert_consented(&store, "anna", "d").await;
    let page = "SELECT dialog_id FROM dataapi.dialog WHERE state = 2
                 ORDER BY date DESC, dialog_id DESC LIMIT 5";
    let plan = plan(&connect(&url).await, page).await;
    let (_, in_a_shard) = plan.split_once("Task").expect("it goes to shards");
    assert!(in_a_shard.contains("Limit"), "{plan}");
}

/// The bytes that the files of all shards of the table of dialogs contain are searched for a marker.
async fn shards_with(client: &Client, marker: &str) -> usize {
    let found = "SELECT result FROM run_command_on_shards('dataapi.dialog', format(
                     'SELECT position(%L::bytea IN pg_read_binary_file(pg_relation_filepath(%L))) > 0',
                     $1::text, '%s'))";
    let rows = client.query(found, &[&marker]).await.expect("the files can be read");
    assert_eq!(rows.len(), usize::from(SHARDS));
    rows.iter().filter(|row| row.get::<_, &str>(0) == "t").count()
}

/// Writes all pages of all nodes to their files.
async fn checkpoint(url: &str) {
    connect(url).await.batch_execute("CHECKPOINT").await.expect("it is done");
    for worker in workers(url).await {
        worker.batch_execute("CHECKPOINT").await.expect("it is done");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_erased_is_vacuumed_away_on_every_node() {
    const VACUUMED: &str = "SELECT count(*) FROM run_command_on_shards('dataapi.dialog',
        $$SELECT last_vacuum IS NOT NULL FROM pg_stat_user_tables
           WHERE relid = '%s'::regclass$$) WHERE result = 't'";
    let Some(url) = url() else { return };
    let options = Options { erase_within: Duration::from_secs(60), ..options() };
    let (store, _turn) = fresh(&url, options).await;
    let marked = |number| {
        let text = format!("markerofthetext {number}");
        let dialog = worded("markerofthecustomer", &format!("d-{number}"), "en", &text);
        ImportedDialog { dialog, date: None, consented: number % 2 == 0 }
    };
    store.import((0..200).map(marked).collect()).await.expect("an import");
    checkpoint(&url).await;
    let client = connect(&url).await;
    for marker in ["markerofthetext", "markerofthecustomer"] {
        assert_eq!(shards_with(&client, marker).await, usize::from(SHARDS), "in every shard");
    }
    let anna = customer("markerofthecustomer");
    assert_eq!(store.erase_customer(&anna).await.expect("it is erased"), 200);
    store.scrub().await.expect("it is vacuumed");
    // PostgreSQL publishes its statistics within a second.
    let mut vacuumed = 0;
    for _ in 0..50 {
        vacuumed = client.query_one(VACUUMED, &[]).await.expect("statistics").get(0);
        if vacuumed == i64::from(SHARDS) {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(vacuumed, i64::from(SHARDS), "every shard is vacuumed");
    assert!(store.info().await.expect("it answers").last_scrub.is_some());

    // The operator's step from `docs/postgres.md`.
    client.batch_execute("VACUUM FULL dataapi.dialog").await.expect("it is done");
    checkpoint(&url).await;
    for marker in ["markerofthetext", "markerofthecustomer"] {
        assert_eq!(shards_with(&client, marker).await, 0, "no file of a shard contains {marker}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_a_node_has_yet_to_complete_is_not_acknowledged() {
    // What Citus leaves on a node that it lost during the commit of a process.
    const LEFT: &str = "citus_0_{process}_999999_1";
    let Some(url) = url() else { return };
    let (store, _turn) = fresh(&url, options()).await;
    let batch = |first: usize| -> Vec<_> {
        let dialog = |number| worded("anna", &format!("d-{number}"), "en", "Hello");
        let all = (first..first + 40).map(dialog);
        all.map(|dialog| ImportedDialog { dialog, date: None, consented: true }).collect()
    };
    store.import(batch(0)).await.expect("an import");
    let client = connect(&url).await;
    let named = "SELECT count(*) FROM pg_dist_transaction JOIN pg_stat_activity
                   ON gid LIKE format('citus\\_0\\_%s\\_%%', pid) WHERE application_name = 'dataapi'";
    let named: i64 = client.query_one(named, &[]).await.expect("names").get(0);
    assert!(named > 0, "Citus names its transactions as DataAPI expects");

    let processes = "SELECT pid FROM pg_stat_activity WHERE application_name = 'dataapi'";
    let processes: Vec<i32> = client
        .query(processes, &[])
        .await
        .expect("processes")
        .iter()
        .map(|row| row.get(0))
        .collect();
    let worker = workers(&url).await.swap_remove(0);
    // Otherwise Citus removes what it did not leave there itself.
    change_server(&url, "SET citus.recover_2pc_interval = -1").await;
    for process in &processes {
        let left = LEFT.replace("{process}", &process.to_string());
        let prepare = format!("BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION '{left}'");
        worker.batch_execute(&prepare).await.expect("it is prepared");
    }
    let unknown = store.import(batch(40)).await;
    let alone = store.insert(worded("ben", "alone", "en", "Hello")).await;
    for process in &processes {
        let left = LEFT.replace("{process}", &process.to_string());
        worker.batch_execute(&format!("ROLLBACK PREPARED '{left}'")).await.expect("it is ended");
    }
    change_server(&url, "RESET citus.recover_2pc_interval").await;
    assert!(matches!(unknown, Err(StoreError::Unavailable { .. })), "{unknown:?}");
    alone.expect("a commit in one shard needs no other node");
    for answer in store.import(batch(40)).await.expect("asking again tells") {
        assert!(matches!(answer, Ok(()) | Err(StoreError::Exists { same_content: true })));
    }
    assert_eq!(store.erase_customer(&customer("anna")).await.expect("it is erased"), 80);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_outlives_the_connections_between_its_nodes() {
    const CUT: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                        WHERE application_name LIKE 'citus_internal%'";
    let Some(url) = url() else { return };
    let (store, _turn) = fresh(&url, options()).await;
    // After each cut Citus has time to complete what it has prepared.
    change_server(&url, "SET citus.recover_2pc_interval = '1s'").await;
    let nodes = workers(&url).await;
    let cutting = tokio::spawn(async move {
        for _ in 0..12 {
            sleep(Duration::from_millis(300)).await;
            for node in &nodes {
                node.execute(CUT, &[]).await.expect("they are ended");
            }
        }
    });
    let store = &store;
    join_all((0..16).map(|task| async move {
        for round in 0..12 {
            let name = format!("d-{task}-{round}");
            let whose = format!("customer-{task}");
            let insert = || store.insert(worded(&whose, &name, "en", "Hello"));
            match until_told(insert).await {
                told if told.answer.is_ok() => {}
                told => assert!(
                    told.again
                        && matches!(told.answer, Err(StoreError::Exists { same_content: true })),
                    "{:?}",
                    told.answer
                ),
            }
            let grant = || store.decide(id(&name), Decision::Granted, Evidence::default());
            until_told(grant).await.answer.expect("it is granted");
            let reach = Reach::default();
            let (customer, name) = (customer(&whose), id(&name));
            let read = || store.dialog(&customer, &name, &reach);
            until_told(read).await.answer.expect("it is readable");
            if round % 6 == 5 {
                let erase = || store.erase_customer(&customer);
                until_told(erase).await.answer.expect("it is erased");
                let read = || store.dialog(&customer, &name, &reach);
                let gone = until_told(read).await.answer;
                assert!(matches!(gone, Err(StoreError::NotFound)), "{gone:?}");
            }
        }
    }))
    .await;
    cutting.await.expect("it has cut");
    change_server(&url, "RESET citus.recover_2pc_interval").await;
    let stats = until_told(|| store.stats()).await.answer.expect("counts");
    let expected = Stats { erased: 16 * 12, ..Stats::default() };
    assert_eq!(stats, expected, "everything happened exactly once");
    audited(store, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_answer_before_a_commit_is_on_disk_are_refused() {
    let Some(url) = url() else { return };
    let (store, _turn) = fresh(&url, options()).await;
    drop(store);
    let nodes = workers(&url).await;
    let set = |value: &'static str| format!("ALTER ROLE CURRENT_USER {value}");
    // Only there: on the coordinator, Citus would pass it on.
    let local = "SET citus.enable_ddl_propagation = off; SET citus.enable_metadata_sync = off";
    let node = &nodes[nodes.len() - 1];
    node.batch_execute(local).await.expect("it is set");
    node.batch_execute(&set("SET synchronous_commit = off")).await.expect("it is set");
    let refused = PostgresStore::open(&url, options()).await;
    node.batch_execute(&set("RESET synchronous_commit")).await.expect("it is reset");
    assert!(matches!(refused, Err(OpenError::Durability)), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn standbys_of_nodes_are_refused() {
    let Some(url) = url() else { return };
    let _turn = turn().await;
    drop_store(&url).await;
    let options = Options { read_replicas: vec![url.clone()], ..options() };
    let refused = PostgresStore::open(&url, options).await;
    assert!(matches!(refused, Err(OpenError::Standbys)), "{refused:?}");
}

async fn copied(from: &str, to: &str) {
    let mut source = CopySource::open(from).await.expect("a source");
    let mut target = CopyTarget::open(to, SHARDS).await.expect("a target");
    let watch = &mut |_, _, _| ControlFlow::Continue(());
    copy_store(&mut source, &mut target, watch).await.expect("a verified copy");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_copied_to_a_cluster_and_back() {
    let Some(url) = url() else { return };
    if !postgres_cluster::available() {
        return;
    }
    let _turn = turn().await;
    let (first, last) = (postgres_cluster::new_database(), postgres_cluster::new_database());
    let stats = {
        let store = PostgresStore::open(&first, options()).await.expect("a store");
        let imported = |number| ImportedDialog {
            dialog: worded("anna", &format!("d-{number}"), "en", "Hello"),
            date: None,
            consented: number % 3 > 0,
        };
        store.import((0..1_500).map(imported).collect()).await.expect("an import");
        withdraw(&store, "d-1").await;
        store.stats().await.expect("counts")
    };
    drop_store(&url).await;
    copied(&first, &url).await;
    {
        let store = PostgresStore::open(&url, options()).await.expect("a store");
        assert_eq!(store.stats().await.expect("counts"), stats);
        audited(&store, None).await;
    }
    copied(&url, &last).await;
    let store = PostgresStore::open(&last, options()).await.expect("a store");
    assert_eq!(store.stats().await.expect("counts"), stats);
    assert!(read(&store, "anna", "d-2").await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_cluster_is_copied_it_is_read_and_not_written_to() {
    let Some(url) = url() else { return };
    let (store, _turn) = fresh(&url, options()).await;
    insert_consented(&store, "anna", "d-1").await;
    let source = CopySource::open(&url).await.expect("a source");
    let refused = store.insert(worded("anna", "d-2", "en", "Hello")).await;
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
    assert!(read(&store, "anna", "d-1").await.is_ok());
    drop(source);
    store.insert(worded("anna", "d-2", "en", "Hello")).await.expect("it is written to again");
}
