//! The connection to the server is cut: before a commit, after it, and again and again under load.

use std::time::Duration;

use dataapi_conformance::scene::{audited, decide, id, is_for_later};
use dataapi_core::{
    Decision, Dialogs, EarlyDecision, EventKind, Evidence, ImportedDialog, Purge, StoreError,
    Upkeep,
};
use postgres_cluster::Proxy;
use rand_chacha::rand_core::Rng;
use tokio::time::sleep;

use crate::load::Load;
use crate::scene::{choices, customer, dialog, durable, from_env, open, read};

/// The bytes of a commit.
const COMMIT: &[u8] = b"COMMIT\0";

/// Makes a proxy in front of a new database.
fn line() -> (Proxy, String) {
    let cluster = postgres_cluster::shared();
    let proxy = Proxy::to(cluster.address()).unwrap();
    let url = proxy.url(&cluster.new_database().unwrap());
    (proxy, url)
}

/// Makes every kind of write, loses its commit, and checks the result.
async fn each_write_once(lose: impl Fn(&Proxy)) {
    let (proxy, url) = line();
    let store = open(&url).await;
    macro_rules! lost {
        ($call:expr) => {{
            lose(&proxy);
            let answer = $call.await;
            assert!(proxy.has_lost(), "its commit was lost");
            answer.unwrap()
        }};
    }
    let received = lost!(store.insert(dialog("a")));
    assert_eq!(store.consent(&id("a")).await.unwrap().date, received.date);
    let granted = lost!(decide(&store, "a", Decision::Granted));
    assert_eq!(read(&store, "a").await.unwrap().date(), received.date);
    let withdrawn = lost!(decide(&store, "a", Decision::Withdrawn));
    assert!(matches!(read(&store, "a").await, Err(StoreError::NotFound)));

    let hold_for = Duration::from_secs(3_600);
    let evidence = Evidence::default;
    let early = store.decide_early(id("b"), Decision::Granted, evidence(), hold_for);
    assert!(matches!(lost!(early), EarlyDecision::Held(_)));
    // This insert reads the row first.
    assert!(lost!(store.insert(dialog("b"))).is_consented);
    let () = lost!(store.erase_dialog(&customer(), &id("b")));

    let import = |name: &str| ImportedDialog { dialog: dialog(name), date: None, consented: true };
    let answers = lost!(store.import(vec![import("c"), import("d")]));
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(lost!(store.erase_customer(&customer())), 2);
    lost!(store.insert(dialog("e")));
    let later = received.date.saturating_add(hold_for);
    assert_eq!(lost!(store.purge(Purge::Pending, later, 10)), 1);

    let events = audited(&store, None).await;
    for receipt in [granted, withdrawn] {
        assert_eq!(events.iter().filter(|event| **event == receipt.event).count(), 1);
    }
    let of = |kind| events.iter().filter(|event| event.kind == kind).count();
    assert_eq!(EventKind::ALL.map(of), [4, 1, 3, 1], "each happened once");
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.pending, stats.consented, stats.withdrawn, stats.erased), (0, 0, 1, 4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_whose_commit_never_came_to_the_server_succeeds_once() {
    postgres_cluster::skip_without_postgres!();
    each_write_once(|proxy| proxy.lose_request(COMMIT)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_whose_commit_was_never_answered_succeeds_once() {
    postgres_cluster::skip_without_postgres!();
    each_write_once(|proxy| proxy.lose_answer(COMMIT)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outcome_that_nobody_can_be_asked_for_is_unknown() {
    postgres_cluster::skip_without_postgres!();
    let (proxy, url) = line();
    let store = open(&url).await;
    proxy.lose_answer(COMMIT);
    let (answer, ()) = tokio::join!(store.insert(dialog("a")), async {
        while !proxy.has_lost() {
            tokio::task::yield_now().await;
        }
        // Time for the server to receive the commit.
        sleep(Duration::from_millis(1)).await;
        proxy.cut();
    });
    proxy.mend();
    // The server was asked in time, or it was not.
    assert!(answer.is_ok() || is_for_later(&answer), "{answer:?}");
    let again = store.insert(dialog("a")).await;
    let is_taken = matches!(again, Err(StoreError::Exists { same_content: true }));
    assert!(is_taken || answer.is_err() && again.is_ok(), "{answer:?}, then {again:?}");
    assert_eq!(store.stats().await.unwrap().pending, 1);
}

/// After a crash the server no longer knows the ids of transactions that never reached the disk, and uses them again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_a_crash_swallowed_is_not_taken_for_another_one() {
    postgres_cluster::skip_without_postgres!();
    // Only a commit writes to the disk.
    let mut cluster = durable(&[("wal_writer_delay", "10s"), ("autovacuum", "off")]);
    let proxy = Proxy::to(cluster.address()).unwrap();
    let store = open(&proxy.url(&cluster.new_database().unwrap())).await;
    store.insert(dialog("a")).await.unwrap();
    proxy.lose_request(COMMIT);
    let (answer, ()) = tokio::join!(decide(&store, "a", Decision::Granted), async {
        while !proxy.has_lost() {
            tokio::task::yield_now().await;
        }
        proxy.cut();
        tokio::task::block_in_place(|| {
            cluster.kill().unwrap();
            cluster.start_again().unwrap();
            let others = "DO $$ BEGIN FOR i IN 1..50 LOOP PERFORM pg_current_xact_id(); COMMIT; \
                          END LOOP; END $$";
            cluster.sql("postgres", others).unwrap();
        });
        proxy.mend();
    });
    let events = audited(&store, None).await;
    match answer {
        Ok(receipt) => assert_eq!(events, [receipt.event], "the acknowledged grant is there"),
        Err(StoreError::Unavailable { .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_nothing_is_lost_or_false_however_often_the_line_is_cut() {
    postgres_cluster::skip_without_postgres!();
    let (proxy, url) = line();
    let store = open(&url).await;
    let mut choices = choices();
    let rounds = from_env("DATAAPI_FAULTS_ROUNDS").unwrap_or(40);
    let breaks = async {
        for _ in 0..rounds {
            match choices.next_u32() % 4 {
                0 => proxy.lose_request(COMMIT),
                1 => proxy.lose_answer(COMMIT),
                _ => {
                    proxy.cut();
                    sleep(Duration::from_millis(u64::from(choices.next_u32() % 20))).await;
                    proxy.mend();
                }
            }
            sleep(Duration::from_millis(u64::from(choices.next_u32() % 100))).await;
        }
        // A loss that is still armed is not wanted after this point.
        proxy.cut();
        proxy.mend();
    };
    Load { clients: 16, dialogs: 10 }.run(&[&store], breaks).await;
}
