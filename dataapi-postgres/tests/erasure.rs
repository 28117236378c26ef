//! Checks in the files of PostgreSQL what it takes until no byte of an erased dialog is left.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use dataapi_core::{Clock, Dialogs, ImportedDialog, NewDialog, StoreError, SystemClock, Upkeep};
use dataapi_postgres::{Options, PostgresStore};
use postgres_cluster::{Cluster, Settings};

const DIALOGS: usize = 600;

/// A string that is in the text, the id and the customer of one dialog, and nowhere else.
fn marker(number: usize) -> String {
    format!("mark{number:05}x")
}

/// Makes a dialog. The text of every third is so long that PostgreSQL stores it outside the row.
fn dialog(number: usize) -> NewDialog {
    let marker = marker(number);
    let words = if number.is_multiple_of(3) { 9_000 } else { 200 };
    let mut text = String::new();
    let mut state = number as u64;
    while text.len() < words {
        // Digits that hardly compress, so that the marker stays readable in the file.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        // Writing to a string never fails.
        let _ = write!(text, "{marker}{state:x}");
    }
    NewDialog::parse(&format!("customer-{marker}"), &format!("dialog-{marker}"), "en", &text)
        .expect("a dialog")
}

/// Returns the numbers of the markers in all files of a folder.
fn seen(folder: &Path) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
                continue;
            }
            // The file might be gone by now.
            let bytes = fs::read(entry.path()).unwrap_or_default();
            for window in bytes.windows(10).filter(|window| window.starts_with(b"mark")) {
                if let Some(digits) = window.strip_suffix(b"x")
                    && let Ok(number) = String::from_utf8_lossy(&digits[4..]).parse()
                {
                    found.insert(number);
                }
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_documented_steps_no_byte_of_an_erased_dialog_is_left() {
    postgres_cluster::skip_without_postgres!();
    let extra = [("wal_recycle", "off"), ("min_wal_size", "32MB"), ("wal_keep_size", "0")];
    let cluster = Cluster::start(&Settings::durable().with(&extra)).expect("a cluster");
    let url = cluster.new_database().expect("a database");
    let options = Options { erase_within: Duration::from_millis(100), ..Options::default() };
    let store = PostgresStore::open(&url, options).await.expect("a store");
    let imported =
        |number| ImportedDialog { dialog: dialog(number), date: None, consented: number % 2 == 0 };
    for outcome in store.import((0..DIALOGS).map(imported).collect()).await.expect("an import") {
        outcome.expect("a new id");
    }
    cluster.sql(&url, "ANALYZE; CHECKPOINT").expect("it is done");
    let all: BTreeSet<_> = (0..DIALOGS).collect();
    assert_eq!(seen(cluster.folder()), all, "each dialog is found before it is erased");

    let (erased, kept): (BTreeSet<_>, BTreeSet<_>) =
        all.into_iter().partition(|number| number % 5 == 0);
    for number in &erased {
        let gone = store.erase_customer(&dialog(*number).customer_id).await.expect("it is erased");
        assert_eq!(gone, 1);
    }
    store.scrub().await.expect("it is vacuumed away");
    let dump = "SELECT string_agg(d::text, ' ') FROM dataapi.dialog d";
    let rows = cluster.sql(&url, dump).expect("rows");
    assert!(
        erased.iter().all(|number| !rows.contains(&marker(*number))),
        "no row contains an erased dialog"
    );

    // The operator's steps from `docs/postgres.md`.
    cluster.sql(&url, "VACUUM FULL dataapi.dialog").expect("it is done");
    for _ in 0..2 {
        cluster.sql(&url, "SELECT pg_switch_wal()").expect("it is done");
        cluster.sql(&url, "CHECKPOINT").expect("it is done");
    }
    let left = seen(cluster.folder());
    assert_eq!(left.intersection(&erased).count(), 0, "{left:?}");
    assert!(kept.is_subset(&left), "the other dialogs are still there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_knows_when_it_was_last_vacuumed() {
    postgres_cluster::skip_without_postgres!();
    let url = postgres_cluster::new_database();
    let store = PostgresStore::open(&url, Options::default()).await.expect("a store");
    assert_eq!(store.info().await.expect("it answers").last_scrub, None);
    store.insert(dialog(0)).await.expect("a new id");
    let before = SystemClock.now();
    store.erase_customer(&dialog(0).customer_id).await.expect("it is erased");
    store.scrub().await.expect("it is vacuumed");
    // PostgreSQL publishes its statistics within a second, and rounds times differently.
    for _ in 0..100 {
        if let Some(told) = store.info().await.expect("it answers").last_scrub {
            assert!(told >= before.saturating_sub(Duration::from_secs(1)), "{told}");
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("`last_scrub` stays `None`");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_cannot_vacuum_is_never_told_that_the_erased_is_gone() {
    postgres_cluster::skip_without_postgres!();
    let cluster = Cluster::start(&Settings::default()).expect("a cluster");
    let owners = cluster.new_database().expect("a database");
    drop(PostgresStore::open(&owners, Options::default()).await.expect("a store"));
    let grants = "CREATE ROLE guest LOGIN; GRANT USAGE ON SCHEMA dataapi TO guest;
                  GRANT ALL ON ALL TABLES IN SCHEMA dataapi TO guest;
                  GRANT ALL ON ALL SEQUENCES IN SCHEMA dataapi TO guest";
    cluster.sql(&owners, grants).expect("a role");
    let user =
        owners.split_once("://").and_then(|(_, rest)| rest.split_once('@')).expect("a user").0;
    let guests = owners.replacen(&format!("//{user}@"), "//guest@", 1);
    let store = PostgresStore::open(&guests, Options::default()).await.expect("a store");
    store.insert(dialog(0)).await.expect("a new id");
    assert_eq!(store.erase_customer(&dialog(0).customer_id).await.expect("it is erased"), 1);
    let refused = store.scrub().await;
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
    assert!(store.activity().unscrubbed.is_some());
}
