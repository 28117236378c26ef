//! Copies to PostgreSQL: they can be stopped and continued, keep writers out, and are not a store before they are
//! complete.

use std::ops::ControlFlow;

use dataapi_conformance::scene::{decide, withdraw, worded};
use dataapi_core::copy::{Copied, IncompleteCopy, Source, Stage, copy_store};
use dataapi_core::{Decision, Dialogs, ImportedDialog, NewDialog, Stats, StoreError};
use dataapi_postgres::{CopySource, CopyTarget, OpenError, Options, PostgresStore};
use postgres_cluster::{new_database, skip_without_postgres};

/// Enough for several steps of each stage.
const DIALOGS: usize = 2_100;

const SHARDS: u16 = 3;

fn name(number: usize) -> String {
    format!("d-{number}")
}

fn dialog(number: usize) -> NewDialog {
    worded("anna", &name(number), "en", &format!("words {number}"))
}

async fn open(url: &str) -> PostgresStore {
    PostgresStore::open(url, Options { shards: SHARDS, ..Options::default() })
        .await
        .expect("a store")
}

/// Makes a store with dialogs and tombstones, and closes it.
async fn filled() -> String {
    let url = new_database();
    let store = open(&url).await;
    for first in (0..DIALOGS).step_by(1_000) {
        let imported = |number| ImportedDialog {
            dialog: dialog(number),
            date: None,
            consented: number % 7 > 0,
        };
        let batch = (first..DIALOGS.min(first + 1_000)).map(imported).collect();
        for outcome in store.import(batch).await.expect("an import") {
            outcome.expect("a new id");
        }
    }
    for number in (0..DIALOGS).step_by(400) {
        withdraw(&store, &name(number)).await;
    }
    url
}

/// Copies up to this many steps.
async fn copy_until(from: &str, to: &str, stop: usize) -> Result<Copied, IncompleteCopy> {
    let mut source = CopySource::open(from).await.expect("a source");
    let mut target = CopyTarget::open(to, SHARDS).await.expect("a target");
    let mut steps = 0;
    let watch = &mut |_: Stage, done: u64, total: u64| {
        assert!(done <= total);
        steps += 1;
        if steps > stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    copy_store(&mut source, &mut target, watch).await
}

async fn stats(url: &str) -> Stats {
    open(url).await.stats().await.expect("counts")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_stopped_again_and_again_comes_to_its_end() {
    skip_without_postgres!();
    let from = filled().await;
    let to = new_database();
    let mut stopped = 0;
    let copied = loop {
        // One step at a time: each run continues where the one before stopped, until the verification, which is done in
        // one run.
        let stop = if stopped < 8 { 1 } else { usize::MAX };
        match copy_until(&from, &to, stop).await {
            Ok(copied) => break copied,
            Err(IncompleteCopy::Stopped) => stopped += 1,
            Err(error) => panic!("{error:?}"),
        }
        let opened = PostgresStore::open(&to, Options::default()).await;
        assert!(matches!(opened, Err(OpenError::Unfinished)), "{opened:?}");
    };
    assert_eq!(stopped, 8);
    assert_eq!(copied.stats, stats(&from).await);
    assert_eq!(stats(&to).await, copied.stats);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_written_to_since_is_not_gone_on_with() {
    skip_without_postgres!();
    let from = filled().await;
    let to = new_database();
    let stopped = copy_until(&from, &to, 4).await;
    assert!(matches!(stopped, Err(IncompleteCopy::Stopped)), "{stopped:?}");
    open(&from).await.insert(dialog(DIALOGS)).await.expect("a new id");
    let refused = copy_until(&from, &to, usize::MAX).await;
    assert!(matches!(refused, Err(IncompleteCopy::Changed)), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_not_what_was_read_does_not_become_a_store() {
    skip_without_postgres!();
    let from = filled().await;
    let cluster = postgres_cluster::shared();
    for damage in [
        "UPDATE dataapi.dialog SET text = 'other words' WHERE dialog_id = (SELECT min(dialog_id) FROM dataapi.dialog)",
        "DELETE FROM dataapi.dialog WHERE dialog_id = (SELECT min(dialog_id) FROM dataapi.dialog)",
        "UPDATE dataapi.event SET notice = 'another' WHERE position = 7",
        "DELETE FROM dataapi.event WHERE position > 600",
    ] {
        let to = new_database();
        let stopped = copy_until(&from, &to, 7).await;
        assert!(matches!(stopped, Err(IncompleteCopy::Stopped)), "{stopped:?}");
        cluster.sql(&to, damage).expect("it is done");
        let refused = copy_until(&from, &to, usize::MAX).await;
        assert!(
            matches!(refused, Err(IncompleteCopy::Differs(_) | IncompleteCopy::Ledger(_))),
            "{damage}: {refused:?}"
        );
        let opened = PostgresStore::open(&to, Options::default()).await;
        assert!(matches!(opened, Err(OpenError::Unfinished)), "{opened:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_never_copied_over() {
    skip_without_postgres!();
    let from = filled().await;
    let to = new_database();
    drop(open(&to).await);
    let refused = CopyTarget::open(&to, SHARDS).await;
    assert!(matches!(refused, Err(OpenError::IsThere)), "{refused:?}");
    let itself = CopyTarget::open(&from, SHARDS).await;
    assert!(matches!(itself, Err(OpenError::IsThere)), "{itself:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_do_not_copy_into_one_database() {
    skip_without_postgres!();
    let to = new_database();
    let first = CopyTarget::open(&to, SHARDS).await.expect("it is free");
    let second = CopyTarget::open(&to, SHARDS).await;
    assert!(matches!(second, Err(OpenError::Store(StoreError::Unavailable { .. }))), "{second:?}");
    drop(first);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_is_copied_a_store_is_read_and_not_written_to() {
    skip_without_postgres!();
    let from = new_database();
    let store = open(&from).await;
    store.insert(dialog(1)).await.expect("a new id");
    let mut source = CopySource::open(&from).await.expect("a source");
    let before = source.manifest().await.expect("a manifest").fingerprint();
    let (first, anna) = (name(1), dialog(1).customer_id);
    let (inserted, decided, erased) = tokio::join!(
        store.insert(dialog(2)),
        decide(&store, &first, Decision::Granted),
        store.erase_customer(&anna),
    );
    assert!(matches!(inserted, Err(StoreError::Unavailable { .. })), "{inserted:?}");
    assert!(matches!(decided, Err(StoreError::Unavailable { .. })), "{decided:?}");
    assert!(matches!(erased, Err(StoreError::Unavailable { .. })), "{erased:?}");
    assert_eq!(store.stats().await.expect("counts").pending, 1);
    assert_eq!(source.manifest().await.expect("a manifest").fingerprint(), before);
    drop(source);
    store.insert(dialog(2)).await.expect("it is written to again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_of_too_many_chains_is_not_begun() {
    skip_without_postgres!();
    let from = filled().await;
    let to = new_database();
    let mut source = CopySource::open(&from).await.expect("a source");
    let mut target = CopyTarget::open(&to, 1_024).await.expect("a target");
    let refused =
        copy_store(&mut source, &mut target, &mut |_, _, _| ControlFlow::Continue(())).await;
    assert!(
        matches!(refused, Err(IncompleteCopy::Chains { past: SHARDS, new: 1_024 })),
        "{refused:?}"
    );
}
