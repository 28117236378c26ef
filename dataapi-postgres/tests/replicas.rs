//! Pages from a standby: it is used, and never returns a dialog that was withdrawn before the page was asked for.

use std::sync::Arc;
use std::time::Duration;

use dataapi_conformance::scene::{customer, decide, grant, id, insert, insert_consented, withdraw};
use dataapi_core::{Decision, Dialogs, PageRequest, Reach, StoreError};
use dataapi_postgres::{Options, PostgresStore};
use postgres_cluster::{Cluster, Settings};

async fn count(store: &PostgresStore) -> u64 {
    let page = store.query(&PageRequest::default()).await.expect("a page");
    let total = page.total.expect("a total");
    assert_eq!(total, page.items.len() as u64, "they come from one snapshot");
    total
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_is_behind_or_stands_still_shows_nothing_that_was_withdrawn() {
    postgres_cluster::skip_without_postgres!();
    let primary = Cluster::start(&Settings::default()).expect("a cluster");
    let url = primary.new_database().expect("a database");
    let name = url.rsplit('/').next().expect("a name").to_owned();
    let mut standby = primary.replica().expect("a standby");
    let options = Options { read_replicas: vec![standby.url(&name)], ..Options::default() };
    let store = Arc::new(PostgresStore::open(&url, options).await.expect("a store"));
    // A standby that does not have the store yet is left alone for a while.
    while standby.sql(&name, "SELECT FROM dataapi.api_key").is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for number in 0..20 {
        insert_consented(&*store, "anna", &format!("d-{number}")).await;
        assert_eq!(count(&store).await, number + 1, "a grant is visible at once");
    }
    let asked = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'dataapi'";
    assert_ne!(standby.sql(&name, asked).expect("a count").trim(), "0", "the standby is asked");

    standby.sql(&name, "SELECT pg_wal_replay_pause()").expect("it stops replaying");
    for number in 0..5 {
        withdraw(&*store, &format!("d-{number}")).await;
        assert_eq!(count(&store).await, 19 - number, "it is behind, so it is not used");
    }
    standby.sql(&name, "SELECT pg_wal_replay_resume()").expect("it goes on");
    standby.freeze().expect("it stands still");
    for number in 5..10 {
        withdraw(&*store, &format!("d-{number}")).await;
        assert_eq!(count(&store).await, 19 - number, "it does not answer, so it is not used");
    }
    standby.thaw().expect("it goes on");
    standby.kill().expect("it dies");
    withdraw(&*store, "d-10").await;
    assert_eq!(count(&store).await, 9, "the primary answers");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_a_standby_shows_before_the_primary_is_on_no_page_yet() {
    postgres_cluster::skip_without_postgres!();
    let primary = Cluster::start(&Settings::durable()).expect("a cluster");
    let url = primary.new_database().expect("a database");
    let name = url.rsplit('/').next().expect("a name").to_owned();
    let standby = primary.replica().expect("a standby");
    let options = Options { read_replicas: vec![standby.url(&name)], ..Options::default() };
    let store = Arc::new(PostgresStore::open(&url, options).await.expect("a store"));
    insert(&*store, "anna", "d").await;
    let ends = "SELECT sum(position) FROM dataapi.chain";
    while standby.sql(&name, ends).is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let waits_for = |whom: &str| {
        let setting = format!("ALTER SYSTEM SET synchronous_standby_names = '{whom}'");
        primary.sql("postgres", &setting).expect("a setting");
        primary.sql("postgres", "SELECT pg_reload_conf()").expect("it is read");
    };
    waits_for("elsewhere");
    let granting = Arc::clone(&store);
    let granting = tokio::spawn(async move { grant(&*granting, "d").await });
    while standby.sql(&name, ends).expect("the ends") != "1" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for _ in 0..5 {
        assert_eq!(count(&store).await, 0, "the primary does not show the commit yet");
        let read = store.dialog(&customer("anna"), &id("d"), &Reach::default()).await;
        assert!(matches!(read, Err(StoreError::ConsentRequired)), "{read:?}");
    }
    waits_for("");
    let receipt = granting.await.expect("a grant");
    assert_eq!(count(&store).await, 1);
    let again = decide(&*store, "d", Decision::Granted).await;
    assert_eq!(again.expect("the first receipt"), receipt);
}
