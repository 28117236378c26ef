//! Several servers on one database: what one has answered holds for all.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use dataapi_conformance::ManualClock;
use dataapi_core::{
    Audit, Clock, Decision, DialogId, Dialogs, EarlyDecision, Evidence, Filter, KeySecret, Keys,
    Ledger, Limit, NewDialog, NewKey, PageRequest, Positions, Reach, Roles, Start, StoreError,
    Upkeep, Window,
};
use dataapi_postgres::{Options, PostgresStore};
use futures_util::future::join_all;

async fn open(url: &str) -> PostgresStore {
    open_at(url, ManualClock::default()).await
}

async fn open_at(url: &str, clock: ManualClock) -> PostgresStore {
    let options = Options { clock: Arc::new(clock), lanes: 2, readers: 4, ..Options::default() };
    PostgresStore::open(url, options).await.expect("a store")
}

/// A new database, unless there is no PostgreSQL.
fn database() -> Option<String> {
    let cluster = postgres_cluster::shared()?;
    Some(cluster.new_database().expect("a database"))
}

fn dialog(id: &str) -> NewDialog {
    NewDialog::parse("anna", id, "en", "the words").expect("a dialog")
}

fn id(id: &str) -> DialogId {
    id.parse().expect("an id")
}

async fn audited(store: &PostgresStore) -> u64 {
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
async fn servers_that_start_at_once_make_one_store() {
    let Some(url) = database() else { return };
    let stores = join_all((0..8).map(|_| open(&url))).await;
    let references: BTreeSet<_> = stores.iter().map(|store| store.reference(&id("d"))).collect();
    assert_eq!(references.len(), 1, "there is one secret key");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_inserts_of_one_id_at_several_servers_exactly_one_wins() {
    let Some(url) = database() else { return };
    let stores = join_all((0..3).map(|_| open(&url))).await;
    for round in 0..20 {
        let name = format!("d-{round}");
        let tries = stores.iter().enumerate().flat_map(|(number, store)| {
            let name = name.clone();
            (0..4).map(move |again| {
                let text = format!("text {number} {again}");
                store.insert(NewDialog::parse("anna", &name, "en", &text).expect("a dialog"))
            })
        });
        let answers = join_all(tries).await;
        let won = answers.iter().filter(|answer| answer.is_ok()).count();
        let lost = answers
            .iter()
            .filter(|answer| matches!(answer, Err(StoreError::Exists { same_content: false })))
            .count();
        assert_eq!((won, lost), (1, 11), "{answers:?}");
    }
    assert_eq!(stores[0].stats().await.expect("counts").pending, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_decisions_at_several_servers_a_no_has_the_last_word() {
    let Some(url) = database() else { return };
    let stores = join_all((0..3).map(|_| open(&url))).await;
    for round in 0..30 {
        let name = format!("d-{round}");
        stores[round % 3].insert(dialog(&name)).await.expect("a dialog");
        let decide =
            |at: usize, decision| stores[at].decide(id(&name), decision, Evidence::default());
        let [yes, no] = [Decision::Granted, Decision::Withdrawn];
        let (a, b, c) = tokio::join!(decide(0, yes), decide(1, no), decide(2, yes));
        assert!(b.is_ok(), "{b:?}");
        for granted in [a, c] {
            assert!(matches!(granted, Ok(_) | Err(StoreError::Conflict)), "{granted:?}");
        }
        for store in &stores {
            let customer = "anna".parse().expect("an id");
            let read = store.dialog(&customer, &id(&name), &Reach::default()).await;
            assert!(matches!(read, Err(StoreError::NotFound)), "the no holds everywhere");
        }
    }
    let counts = stores[1].stats().await.expect("counts");
    assert_eq!((counts.pending, counts.consented, counts.withdrawn), (0, 0, 30));
    audited(&stores[2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_one_server_goes_on_at_another_and_erasures_show_at_once() {
    let Some(url) = database() else { return };
    let (one, other) = (open(&url).await, open(&url).await);
    for number in 0..30 {
        let name = format!("d-{number}");
        one.insert(dialog(&name)).await.expect("a dialog");
        other.decide(id(&name), Decision::Granted, Evidence::default()).await.expect("a yes");
    }
    let window = |start| Window { limit: Limit::new(10).expect("a limit"), start, total: true };
    let mut window_now = window(Start::default());
    let mut met = BTreeSet::new();
    for (number, store) in [&one, &other, &one].into_iter().enumerate() {
        let request = PageRequest::new(Filter::default(), window_now).expect("a page");
        let page = store.query(&request).await.expect("a page");
        assert_eq!(page.total, Some(30));
        met.extend(page.items.iter().map(|dialog| dialog.dialog_id().as_str().to_owned()));
        let next = page.next.map(Start::After).unwrap_or_default();
        assert_eq!(next == Start::default(), number == 2, "three pages");
        window_now = window(next);
    }
    assert_eq!(met.len(), 30);
    assert_eq!(one.erase_customer(&"anna".parse().expect("an id")).await.expect("erased"), 30);
    let page = other.query(&PageRequest::default()).await.expect("a page");
    assert_eq!((page.items.len(), page.total), (0, Some(0)));
    assert_eq!(audited(&other).await, 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dialogs_dates_never_go_backwards_from_one_server_to_another() {
    let Some(url) = database() else { return };
    let (late, early) = (ManualClock::default(), ManualClock::default());
    late.advance(Duration::from_hours(1));
    let (ahead, behind) = (open_at(&url, late).await, open_at(&url, early.clone()).await);
    let received = ahead.insert(dialog("d")).await.expect("a dialog").date;
    let granted = behind.decide(id("d"), Decision::Granted, Evidence::default()).await;
    let granted = granted.expect("a yes").event.date;
    assert!(received <= granted && early.now() < received, "the clock of one is behind");
    let withdrawn = behind.decide(id("d"), Decision::Withdrawn, Evidence::default()).await;
    assert!(granted <= withdrawn.expect("a no").event.date);
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_stay_right_while_they_are_added_up() {
    let Some(url) = database() else { return };
    let stores = join_all((0..2).map(|_| open(&url))).await;
    // More commits than rows of counts are left alone.
    for round in 0..320 {
        let name = format!("d-{round}");
        stores[round % 2].insert(dialog(&name)).await.expect("a dialog");
        if round % 2 == 0 {
            stores[1].decide(id(&name), Decision::Granted, Evidence::default()).await.expect("yes");
        }
        let counts = stores[0].stats().await.expect("counts");
        let consented = round as u64 / 2 + 1;
        assert_eq!((counts.pending, counts.consented), (round as u64 + 1 - consented, consented));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_date_that_no_dialog_has_binds_the_next_server_as_well() {
    let Some(url) = database() else { return };
    let clock = ManualClock::default();
    let store = open_at(&url, clock.clone()).await;
    clock.advance(Duration::from_secs(100));
    let held = Duration::from_mins(10);
    let yes = store.decide_early(id("early"), Decision::Granted, Evidence::default(), held).await;
    let Ok(EarlyDecision::Held(yes)) = yes else { panic!("{yes:?}") };
    clock.jump_back(Duration::from_secs(50));
    drop(store);

    let store = open_at(&url, clock.clone()).await;
    let received = store.insert(dialog("d")).await.expect("a dialog");
    assert!(received.date >= yes.date);
    clock.advance(Duration::from_secs(200));
    let key = NewKey {
        name: "key".parse().expect("a name"),
        grant: "read".parse::<Roles>().expect("a role").into(),
        hash: KeySecret::from_bytes([1; 32]).hash(),
        expires: None,
    };
    let created = store.create_key(key).await.expect("a key");
    clock.jump_back(Duration::from_secs(100));
    drop(store);

    let received = open_at(&url, clock).await.insert(dialog("e")).await.expect("a dialog");
    assert!(received.date >= created);
}
