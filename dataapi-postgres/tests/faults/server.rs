//! The server itself dies, hangs, is full, refuses a statement, or fails over.

use std::time::Duration;

use dataapi_conformance::scene::{audited, decide, id, is_for_later, until_told};
use dataapi_core::{Date, Decision, Dialogs, ImportedDialog, Keys, Ledger, StoreError, Upkeep};
use dataapi_postgres::{Options, PostgresStore};
use futures_util::future::join_all;
use postgres_cluster::{Cluster, Proxy, Settings, new_database, shared};
use rand_chacha::rand_core::Rng;
use tokio::task::block_in_place;
use tokio::time::{sleep, timeout};

use crate::load::Load;
use crate::scene::{choices, customer, dialog, durable, from_env, open, options, read};

/// How long a call can take before the test fails.
const PATIENCE: Duration = Duration::from_secs(3 * 60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_nothing_is_lost_or_false_however_often_the_server_is_killed() {
    postgres_cluster::skip_without_postgres!();
    let mut cluster = durable(&[]);
    let store = open(&cluster.new_database().unwrap()).await;
    let mut choices = choices();
    let rounds = from_env("DATAAPI_FAULTS_ROUNDS").unwrap_or(4);
    let breaks = async {
        for _ in 0..rounds {
            sleep(Duration::from_millis(100 + u64::from(choices.next_u32() % 400))).await;
            block_in_place(|| cluster.kill().and_then(|()| cluster.start_again()).unwrap());
        }
    };
    Load { clients: 16, dialogs: 10 }.run(&[&store], breaks).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_a_server_that_hangs_for_a_while_loses_nothing() {
    postgres_cluster::skip_without_postgres!();
    let mut cluster = Cluster::start(&Settings::default()).unwrap();
    let store = open(&cluster.new_database().unwrap()).await;
    let breaks = async {
        sleep(Duration::from_millis(200)).await;
        block_in_place(|| cluster.freeze().unwrap());
        sleep(Duration::from_secs(1)).await;
        cluster.thaw().unwrap();
    };
    Load { clients: 16, dialogs: 5 }.run(&[&store], breaks).await;
}

/// Starts a primary and its replica. Every commit on the primary waits for the replica.
fn pair() -> (Cluster, Cluster) {
    let primary = durable(&[]);
    let replica = primary.replica().unwrap();
    primary.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'").unwrap();
    primary.sql("postgres", "SELECT pg_reload_conf()").unwrap();
    (primary, replica)
}

/// Returns the URL of a database with the addresses of both servers.
fn both(url: &str, primary: &Cluster, replica: &Cluster) -> String {
    let hosts = format!("{},{}", primary.address(), replica.address());
    url.replacen(&primary.address().to_string(), &hosts, 1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_a_failover_loses_nothing() {
    postgres_cluster::skip_without_postgres!();
    let (mut primary, mut replica) = pair();
    let url = both(&primary.new_database().unwrap(), &primary, &replica);
    let store = open(&url).await;
    let breaks = async {
        sleep(Duration::from_millis(500)).await;
        block_in_place(|| {
            primary.kill().unwrap();
            // The new primary has no replica to wait for.
            let alone = "ALTER SYSTEM SET synchronous_standby_names = ''";
            replica.promote().unwrap();
            replica.sql("postgres", alone).unwrap();
            replica.sql("postgres", "SELECT pg_reload_conf()").unwrap();
        });
        sleep(Duration::from_millis(500)).await;
    };
    Load { clients: 16, dialogs: 10 }.run(&[&store], breaks).await;
}

/// A machine that hangs still accepts connections, but never answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_finds_the_new_primary_behind_an_old_one_that_hangs() {
    postgres_cluster::skip_without_postgres!();
    let mut primary = Cluster::start(&Settings::default()).unwrap();
    let url = primary.new_database().unwrap();
    let first = open(&url).await;
    first.insert(dialog("a")).await.unwrap();
    let mut replica = primary.replica().unwrap();
    block_in_place(|| {
        primary.freeze().unwrap();
        replica.promote().unwrap();
    });
    let second = PostgresStore::open(&both(&url, &primary, &replica), options()).await;
    let second = second.expect("the host that answers is found");
    assert!(second.insert(dialog("b")).await.is_ok());
    assert_eq!(second.stats().await.unwrap().pending, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_server_accepts_no_more_connections_callers_are_asked_to_retry() {
    postgres_cluster::skip_without_postgres!();
    let few = [
        ("max_connections", "8"),
        ("superuser_reserved_connections", "0"),
        ("max_wal_senders", "0"),
    ];
    let cluster = Cluster::start(&Settings::default().with(&few)).unwrap();
    let url = cluster.new_database().unwrap();
    let store = open(&url).await;
    let mut others = Vec::new();
    // The lanes of another store keep their connections.
    for _ in 0..8 {
        let lanes = Options { lanes: 1, readers: 1, ..options() };
        let Ok(other) = PostgresStore::open(&url, lanes).await else { break };
        others.push(other);
    }
    assert!(others.len() < 8, "the server is full");
    let calls = (0..40).map(|number| {
        let (store, name) = (&store, format!("full-{number}"));
        async move { (store.insert(dialog(&name)).await, store.consent(&id(&name)).await) }
    });
    for (written, read) in join_all(calls).await {
        assert!(written.is_ok() || is_for_later(&written), "{written:?}");
        let is_true = matches!(read, Ok(_) | Err(StoreError::NotFound)) || is_for_later(&read);
        assert!(is_true, "{read:?}");
    }
    drop(others);
    until_told(|| store.insert(dialog("after"))).await.answer.unwrap();
    until_told(|| store.ready()).await.answer.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_calls_than_connections_are_answered_all_the_same() {
    postgres_cluster::skip_without_postgres!();
    let url = new_database();
    let few = Options { lanes: 1, readers: 1, ..options() };
    let store = PostgresStore::open(&url, few).await.unwrap();
    let calls = (0..200).map(|number| {
        let (store, name) = (&store, format!("d-{number}"));
        async move { (store.insert(dialog(&name)).await, store.consent(&id(&name)).await) }
    });
    for (written, read) in join_all(calls).await {
        assert!(written.is_ok(), "{written:?}");
        assert!(read.is_ok() || is_for_later(&read), "{read:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_writes_that_share_a_commit_one_that_the_server_refuses_fails_alone() {
    postgres_cluster::skip_without_postgres!();
    let cluster = shared();
    let url = cluster.new_database().unwrap();
    let store = PostgresStore::open(&url, Options { lanes: 1, ..options() }).await.unwrap();
    store.insert(dialog("before")).await.unwrap();
    let refuse = "ALTER TABLE dataapi.dialog ADD CHECK (text <> 'The text of bad')";
    cluster.sql(&url, refuse).unwrap();
    let names: Vec<_> = (0..50).map(|number| format!("d-{number}")).collect();
    let mut writes: Vec<_> = names.iter().map(|name| store.insert(dialog(name))).collect();
    writes.insert(25, store.insert(dialog("bad")));
    let (mut answers, receipt) =
        futures_util::future::join(join_all(writes), decide(&store, "before", Decision::Granted))
            .await;
    let bad = answers.remove(25);
    assert!(matches!(bad, Err(StoreError::Backend { .. })), "{bad:?}");
    assert!(!format!("{bad:?}").contains("The text"), "it shows no text");
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(audited(&store, None).await, [receipt.unwrap().event]);
    assert_eq!(store.stats().await.unwrap().pending, 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_row_makes_no_other_answer_false() {
    postgres_cluster::skip_without_postgres!();
    let cluster = shared();
    let url = cluster.new_database().unwrap();
    let store = PostgresStore::open(&url, Options { lanes: 1, ..options() }).await.unwrap();
    store.insert(dialog("damaged")).await.unwrap();
    cluster.sql(&url, "UPDATE dataapi.dialog SET language = '!'").unwrap();
    let names: Vec<_> = (0..20).map(|number| format!("d-{number}")).collect();
    let mut writes: Vec<_> = names.iter().map(|name| store.insert(dialog(name))).collect();
    writes.insert(10, store.insert(dialog("damaged")));
    let mut answers = join_all(writes).await;
    let damaged = answers.remove(10);
    assert!(matches!(damaged, Err(StoreError::Backend { .. })), "{damaged:?}");
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
}

/// A server can end a session for many reasons. Here it waits too long for its client.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_whose_session_the_server_ends_is_tried_again() {
    postgres_cluster::skip_without_postgres!();
    let cluster = shared();
    let url = cluster.new_database().unwrap();
    let proxy = Proxy::to(cluster.address()).unwrap();
    let store = open(&proxy.url(&url)).await;
    let end = "CREATE SEQUENCE public.seen;
        CREATE FUNCTION public.end_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF nextval('public.seen') = 1 THEN
                PERFORM set_config('idle_in_transaction_session_timeout', '20ms', false);
                PERFORM pg_sleep(0.5);
            END IF;
            RETURN NULL;
        END $$;
        CREATE TRIGGER ends AFTER INSERT ON dataapi.dialog EXECUTE FUNCTION public.end_it()";
    cluster.sql(&url, end).unwrap();
    let (answer, ()) = futures_util::future::join(store.insert(dialog("a")), async {
        sleep(Duration::from_millis(200)).await;
        proxy.stall();
        sleep(Duration::from_millis(600)).await;
        proxy.mend();
    })
    .await;
    assert!(answer.is_ok(), "{answer:?}");
    assert_eq!(store.stats().await.unwrap().pending, 1);
}

/// The machine hangs but its network does not, so nobody closes a connection.
#[ignore = "takes two minutes"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_never_answers_again_holds_no_caller_for_ever() {
    postgres_cluster::skip_without_postgres!();
    let cluster = shared();
    let url = cluster.new_database().unwrap();
    for is_warm in [false, true] {
        let proxy = Proxy::to(cluster.address()).unwrap();
        let store = open(&proxy.url(&url)).await;
        if is_warm {
            for number in 0..20 {
                store.insert(dialog(&format!("before-{number}"))).await.unwrap();
            }
            store.ready().await.unwrap();
        }
        proxy.stall();
        let key = || "k".parse().unwrap();
        macro_rules! told {
            ($($call:expr),* $(,)?) => {
                tokio::join!($(async {
                    let answer = timeout(PATIENCE, $call).await;
                    let answer = answer.expect(concat!(stringify!($call), " is answered"));
                    assert!(is_for_later(&answer), "{}: {answer:?}", stringify!($call));
                }),*)
            };
        }
        told![
            store.insert(dialog("a")),
            store.insert(dialog("b")),
            decide(&store, "before-0", Decision::Granted),
            store.erase_customer(&customer()),
            store.import(vec![ImportedDialog { dialog: dialog("c"), date: None, consented: true }]),
            read(&store, "before-1"),
            store.consent(&id("before-1")),
            store.ledger_head(),
            store.stats(),
            store.ready(),
            store.keys(),
            store.revoke_key(&key()),
            store.note_key_use(vec![(key(), Date::MIN)]),
        ];
        proxy.mend();
        until_told(|| store.insert(dialog(&format!("after-{is_warm}")))).await.answer.unwrap();
    }
}
