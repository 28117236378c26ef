//! Several stores on one database, as of several servers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use dataapi_conformance::ManualClock;
use dataapi_core::{
    Clock, ConsentState, Decision, DialogStore, Dialogs, EarlyDecision, Evidence, Filter, Grant,
    ImportedDialog, KeySecret, Keys, Limit, NewDialog, NewKey, PageRequest, Reach, Start,
    StoreError, Upkeep, Window,
};
use dataapi_postgres::{Options, PostgresStore};
use futures_util::future::join_all;

use crate::load::Load;
use crate::scene::{CUSTOMER, audited, customer, decide, dialog, id, open, options, read};

const HOUR: Duration = Duration::from_hours(1);

fn new_database() -> String {
    postgres_cluster::shared().expect("PostgreSQL is there").new_database().unwrap()
}

async fn stores(how_many: usize) -> Vec<PostgresStore> {
    let url = new_database();
    join_all((0..how_many).map(|_| open(&url))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_that_open_at_once_on_an_empty_database_make_one() {
    if !postgres_cluster::available() {
        return;
    }
    let stores = stores(10).await;
    let references: BTreeSet<_> = stores.iter().map(|store| store.reference(&id("a"))).collect();
    assert_eq!(references.len(), 1, "they have one key");
    stores[0].insert(dialog("a")).await.unwrap();
    for store in &stores {
        assert_eq!(store.stats().await.unwrap().pending, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_inserts_of_one_id_at_several_stores_exactly_one_wins() {
    if !postgres_cluster::available() {
        return;
    }
    let stores = stores(3).await;
    for round in 0..30 {
        let name = format!("d-{round}");
        let worded = |number: usize| {
            NewDialog::parse(CUSTOMER, &name, "en", &format!("Of {number}")).unwrap()
        };
        let answers =
            join_all((0..9).map(|number| stores[number % 3].insert(worded(number)))).await;
        let winners: Vec<_> = (0..9).filter(|number| answers[*number].is_ok()).collect();
        assert_eq!(winners.len(), 1, "{answers:?}");
        for answer in answers.iter().filter(|answer| answer.is_err()) {
            let refused = matches!(answer, Err(StoreError::Exists { same_content: false }));
            assert!(refused, "{answer:?}");
        }
        let again = stores[1].insert(worded(winners[0])).await;
        assert!(matches!(again, Err(StoreError::Exists { same_content: true })), "{again:?}");
    }
    assert_eq!(stores[2].stats().await.unwrap().pending, 30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_yes_and_a_no_at_two_stores_the_no_has_the_last_word() {
    if !postgres_cluster::available() {
        return;
    }
    let stores = stores(2).await;
    for round in 0..30 {
        let name = format!("d-{round}");
        stores[round % 2].insert(dialog(&name)).await.unwrap();
        let (yes, no) = tokio::join!(
            decide(&stores[0], &name, Decision::Granted),
            decide(&stores[1], &name, Decision::Withdrawn)
        );
        assert!(matches!(yes, Ok(_) | Err(StoreError::Conflict)), "{yes:?}");
        assert!(no.is_ok(), "{no:?}");
        for store in &stores {
            assert_eq!(store.consent(&id(&name)).await.unwrap().state, ConsentState::Withdrawn);
            assert!(matches!(read(store, &name).await, Err(StoreError::NotFound)));
        }
    }
    assert_eq!(stores[0].stats().await.unwrap(), stores[1].stats().await.unwrap());
    assert_eq!(audited(&stores[0], None).await, audited(&stores[1], None).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_store_erases_or_revokes_the_other_knows_at_once() {
    if !postgres_cluster::available() {
        return;
    }
    let stores = stores(2).await;
    let (here, there) = (&stores[0], &stores[1]);
    for round in 0..10 {
        let name = format!("d-{round}");
        here.insert(dialog(&name)).await.unwrap();
        decide(there, &name, Decision::Granted).await.unwrap();
        assert!(read(here, &name).await.is_ok());
        if round % 2 == 0 {
            here.erase_dialog(&customer(), &id(&name)).await.unwrap();
        } else {
            assert_eq!(here.erase_customer(&customer()).await.unwrap(), 1);
        }
        assert!(matches!(read(there, &name).await, Err(StoreError::NotFound)));
        assert!(matches!(there.insert(dialog(&name)).await, Err(StoreError::Gone)));
        let yes = decide(there, &name, Decision::Granted).await;
        assert!(matches!(yes, Err(StoreError::Conflict)), "{yes:?}");
    }
    let key = NewKey {
        name: "k".parse().unwrap(),
        grant: Grant::new("read".parse().unwrap(), Reach::default()).unwrap(),
        hash: KeySecret::from_bytes([7; 32]).hash(),
        expires: None,
    };
    let name = key.name.clone();
    here.create_key(key).await.unwrap();
    assert!(there.keys().await.unwrap()[0].revoked.is_none());
    assert!(here.revoke_key(&name).await.unwrap());
    assert!(there.keys().await.unwrap()[0].revoked.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crawl_goes_on_at_another_store() {
    if !postgres_cluster::available() {
        return;
    }
    let stores = stores(2).await;
    for number in 0..20 {
        let name = format!("d-{number}");
        stores[0].insert(dialog(&name)).await.unwrap();
        decide(&stores[1], &name, Decision::Granted).await.unwrap();
    }
    let (mut met, mut start) = (Vec::new(), Start::default());
    for turn in 0.. {
        let window = Window { limit: Limit::new(3).unwrap(), start, total: true };
        let request = PageRequest::new(Filter::default(), window).unwrap();
        let page = stores[turn % 2].query(&request).await.unwrap();
        assert_eq!(page.total, Some(20));
        met.extend(page.items.iter().map(|dialog| dialog.dialog_id().as_str().to_owned()));
        let Some(cursor) = page.next else { break };
        start = Start::After(cursor.to_string().parse().unwrap());
    }
    let once: BTreeSet<_> = met.iter().collect();
    assert_eq!((met.len(), once.len()), (20, 20), "each is met once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dates_of_a_dialog_go_on_at_a_store_whose_clock_is_behind() {
    if !postgres_cluster::available() {
        return;
    }
    let url = new_database();
    let (early, late) = (ManualClock::default(), ManualClock::default());
    late.advance(HOUR);
    let of = |clock: &ManualClock| Options { clock: Arc::new(clock.clone()), ..options() };
    let behind = PostgresStore::open(&url, of(&early)).await.unwrap();
    let ahead = PostgresStore::open(&url, of(&late)).await.unwrap();

    let received = ahead.insert(dialog("a")).await.unwrap().date;
    let yes = decide(&behind, "a", Decision::Granted).await.unwrap().event.date;
    let no = decide(&behind, "a", Decision::Withdrawn).await.unwrap().event.date;
    assert!(late.now() <= received && received <= yes && yes <= no);
    ahead.insert(dialog("b")).await.unwrap();
    behind.erase_dialog(&customer(), &id("b")).await.unwrap();
    assert!(behind.consent(&id("b")).await.unwrap().date >= late.now());

    audited(&behind, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dialog_is_received_no_earlier_than_the_yes_that_came_before_it() {
    if !postgres_cluster::available() {
        return;
    }
    let url = new_database();
    let (early, late) = (ManualClock::default(), ManualClock::default());
    late.advance(HOUR);
    let of = |clock: &ManualClock| Options { clock: Arc::new(clock.clone()), ..options() };
    let behind = PostgresStore::open(&url, of(&early)).await.unwrap();
    let ahead = PostgresStore::open(&url, of(&late)).await.unwrap();
    for name in ["inserted", "imported", "dated"] {
        let (yes, evidence) = (Decision::Granted, Evidence::default());
        let told = ahead.decide_early(id(name), yes, evidence, HOUR * 2).await.unwrap();
        let EarlyDecision::Held(held) = told else { panic!("there is no dialog yet") };
        assert_eq!(held.date, late.now());
    }
    let received = behind.insert(dialog("inserted")).await.unwrap();
    assert!(received.is_consented);
    assert_eq!(received.date, late.now());
    let import = |name, date| ImportedDialog { dialog: dialog(name), date, consented: false };
    let dated = Some(early.now().saturating_sub(HOUR));
    let answers = behind.import(vec![import("imported", None), import("dated", dated)]).await;
    assert!(answers.unwrap().iter().all(Result::is_ok));
    assert_eq!(read(&behind, "imported").await.unwrap().date(), late.now());
    assert_eq!(Some(read(&behind, "dated").await.unwrap().date()), dated);
    for name in ["inserted", "imported", "dated"] {
        assert_eq!(behind.consent(&id(name)).await.unwrap().date, late.now());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_several_stores_agree() {
    if !postgres_cluster::available() {
        return;
    }
    let stores = stores(3).await;
    let stores: Vec<_> = stores.iter().map(|store| store as &dyn DialogStore).collect();
    Load { clients: 24, dialogs: 20 }.run(&stores, std::future::ready(())).await;
}
