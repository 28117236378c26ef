//! Connections that are cut, and databases that are killed: nothing that was acknowledged is lost, and no
//! answer is false.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dataapi_core::{
    Audit, ConsentState, Decision, DialogId, DialogStore, Evidence, Limit, NewDialog, Positions,
    Reach, StoreError,
};
use dataapi_postgres::{Options, PostgresStore};
use futures_util::future::join_all;
use postgres_cluster::{Cluster, Proxy, Settings};

fn dialog(name: &str) -> NewDialog {
    NewDialog::parse("anna", name, "en", &format!("the words of {name}")).expect("a dialog")
}

fn id(name: &str) -> DialogId {
    name.parse().expect("an id")
}

fn few() -> Options {
    Options { lanes: 2, readers: 4, ..Options::default() }
}

async fn open(url: &str) -> PostgresStore {
    PostgresStore::open(url, few()).await.expect("a store")
}

/// Whether each of the writes that came of a dialog is there once, and whole.
async fn audit(store: &PostgresStore) -> u64 {
    let mut audit = Audit::new(Some(store.ledger_head().await.expect("a head")));
    let mut seen = Positions::START;
    loop {
        let events = store.events(&seen, Limit::MAX).await.expect("events");
        if events.is_empty() {
            audit.finish().expect("the chains reach the head");
            return seen.events();
        }
        for event in &events {
            audit.check(event).expect("the chain is whole");
            seen.pass(event);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_lost_before_its_commit_is_made_good() {
    let Some(cluster) = postgres_cluster::shared() else { return };
    let url = cluster.new_database().expect("a database");
    let proxy = Proxy::to(cluster.address()).expect("a proxy");
    let store = open(&proxy.url(&url)).await;
    for round in 0..5 {
        proxy.lose_request(b"COMMIT");
        let name = format!("d-{round}");
        store.insert(dialog(&name)).await.expect("it is tried again");
        assert!(proxy.has_lost(), "its first try was cut");
        proxy.lose_request(b"COMMIT");
        store.decide(id(&name), Decision::Granted, Evidence::default()).await.expect("again");
    }
    let counts = store.stats().await.expect("counts");
    assert_eq!((counts.pending, counts.consented), (0, 5), "each happened once");
    assert_eq!(audit(&store).await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_nobody_answered_is_found_to_have_happened() {
    let Some(cluster) = postgres_cluster::shared() else { return };
    let url = cluster.new_database().expect("a database");
    let proxy = Proxy::to(cluster.address()).expect("a proxy");
    let store = open(&proxy.url(&url)).await;
    for round in 0..5 {
        let name = format!("d-{round}");
        proxy.lose_answer(b"COMMIT");
        store.insert(dialog(&name)).await.expect("no false conflict with itself");
        assert!(proxy.has_lost(), "its answer was cut");
        proxy.lose_answer(b"COMMIT");
        store.decide(id(&name), Decision::Withdrawn, Evidence::default()).await.expect("a no");
        proxy.lose_answer(b"COMMIT");
        let again = store.insert(dialog(&name)).await;
        assert!(matches!(again, Err(StoreError::Gone)), "{again:?}");
    }
    let counts = store.stats().await.expect("counts");
    assert_eq!((counts.pending, counts.withdrawn), (0, 5), "each happened once");
    assert_eq!(audit(&store).await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_dialog_that_the_database_refuses_fails_alone() {
    let Some(cluster) = postgres_cluster::shared() else { return };
    let url = cluster.new_database().expect("a database");
    let store = open(&url).await;
    let name = url.rsplit('/').next().expect("a name");
    cluster
        .sql(name, "ALTER TABLE dataapi.dialog ADD CHECK (dialog_id <> 'd-7')")
        .expect("a check");
    let answers =
        join_all((0..40).map(|number| store.insert(dialog(&format!("d-{number}"))))).await;
    for (number, answer) in answers.iter().enumerate() {
        match answer {
            Err(StoreError::Backend { .. }) if number == 7 => {}
            answer => assert!(answer.is_ok() && number != 7, "{number}: {answer:?}"),
        }
    }
    assert_eq!(store.stats().await.expect("counts").pending, 39);
}

/// What a client was told of a dialog.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    Inserted,
    Granted,
    Withdrawn,
}

/// Inserts and decides until it is stopped, asking again where it was told nothing; yields what it was
/// told, and whether something more may have happened.
async fn load(
    store: Arc<PostgresStore>,
    client: usize,
    stop: Arc<AtomicBool>,
) -> BTreeMap<String, (Told, bool)> {
    let mut told = BTreeMap::new();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let name = format!("c{client}-{number}");
        let mut is_there = false;
        for tried in 0.. {
            match store.insert(dialog(&name)).await {
                Ok(_) => is_there = true,
                // Of an earlier try that nobody answered.
                Err(StoreError::Exists { same_content: true }) if tried > 0 => is_there = true,
                Err(StoreError::Unavailable { .. } | StoreError::Overloaded { .. }) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
                Err(other) => panic!("a false answer to an insert: {other:?}"),
            }
            break;
        }
        assert!(is_there);
        told.insert(name.clone(), (Told::Inserted, false));
        let decisions = [Decision::Granted, Decision::Withdrawn];
        for decision in &decisions[..number % 3] {
            match store.decide(id(&name), *decision, Evidence::default()).await {
                Ok(_) => {
                    let now = match decision {
                        Decision::Granted => Told::Granted,
                        Decision::Withdrawn => Told::Withdrawn,
                    };
                    told.insert(name.clone(), (now, false));
                }
                Err(StoreError::Unavailable { .. } | StoreError::Overloaded { .. }) => {
                    if let Some((_, unclear)) = told.get_mut(&name) {
                        *unclear = true;
                    }
                    break;
                }
                Err(other) => panic!("a false answer to a decision: {other:?}"),
            }
        }
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_killed_again_and_again_loses_nothing_that_was_acknowledged() {
    if !postgres_cluster::available() {
        return;
    }
    let settings = Settings { durable: true, ..Settings::default() };
    let mut cluster = Cluster::start(&settings).expect("a cluster");
    let url = cluster.new_database().expect("a database");
    let stores = [Arc::new(open(&url).await), Arc::new(open(&url).await)];
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..8)
        .map(|client| {
            tokio::spawn(load(Arc::clone(&stores[client % 2]), client, Arc::clone(&stop)))
        })
        .collect();
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        cluster.kill().expect("it is killed");
        cluster.start_again().expect("it comes back");
    }
    stop.store(true, Ordering::Relaxed);
    let mut acknowledged = 0;
    for client in clients {
        for (name, (told, is_unclear)) in client.await.expect("a client") {
            let state = stores[0].consent(&id(&name)).await.expect("it was acknowledged").state;
            let expected = match told {
                Told::Inserted => ConsentState::Pending,
                Told::Granted => ConsentState::Granted,
                Told::Withdrawn => ConsentState::Withdrawn,
            };
            assert!(state == expected || is_unclear, "{name}: {told:?}, but it is {state:?}");
            if told == Told::Withdrawn {
                let customer = "anna".parse().expect("an id");
                let read = stores[1].dialog(&customer, &id(&name), &Reach::default()).await;
                assert!(matches!(read, Err(StoreError::NotFound)), "what was withdrawn is gone");
            }
            acknowledged += 1;
        }
    }
    let counts = stores[1].stats().await.expect("counts");
    assert_eq!(counts.pending + counts.consented + counts.withdrawn, acknowledged);
    audit(&stores[0]).await;
    println!("{acknowledged} dialogs were acknowledged");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_stands_still_makes_nobody_wait_for_ever_and_nothing_false() {
    if !postgres_cluster::available() {
        return;
    }
    let mut cluster = Cluster::start(&Settings::default()).expect("a cluster");
    let store = Arc::new(open(&cluster.new_database().expect("a database")).await);
    store.insert(dialog("before")).await.expect("a dialog");
    cluster.freeze().expect("it stands still");
    let waiting: Vec<_> = (0..20)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.insert(dialog(&format!("d-{number}"))).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    cluster.thaw().expect("it goes on");
    let mut stored = 0;
    for answer in waiting {
        match answer.await.expect("an answer") {
            Ok(_) => stored += 1,
            Err(StoreError::Unavailable { .. } | StoreError::Overloaded { .. }) => {}
            Err(other) => panic!("a false answer: {other:?}"),
        }
    }
    assert!(store.stats().await.expect("counts").pending > stored, "and the one before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_takes_over_is_found() {
    if !postgres_cluster::available() {
        return;
    }
    let extra = vec![("synchronous_standby_names".to_owned(), "'*'".to_owned())];
    let mut primary =
        Cluster::start(&Settings { durable: true, ..Settings::default() }).expect("one");
    let name =
        primary.new_database().expect("a database").rsplit('/').next().expect("a name").to_owned();
    let mut standby = primary.replica().expect("a standby");
    for (setting, value) in extra {
        primary.sql("postgres", &format!("ALTER SYSTEM SET {setting} = {value}")).expect("set");
    }
    primary.sql("postgres", "SELECT pg_reload_conf()").expect("it is read");
    let url = format!("postgres://postgres@{},{}/{name}", primary.address(), standby.address());
    let store = open(&url).await;
    for number in 0..50 {
        store.insert(dialog(&format!("d-{number}"))).await.expect("a dialog");
    }
    primary.kill().expect("the primary dies");
    standby.promote().expect("the standby takes over");
    let mut tried = 0;
    while store.insert(dialog("after")).await.is_err() {
        tried += 1;
        assert!(tried < 100, "it is found");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(store.stats().await.expect("counts").pending, 51, "nothing acknowledged is lost");
}
