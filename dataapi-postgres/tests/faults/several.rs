//! Several stores on one database, as with several servers: what one has answered holds for all.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dataapi_conformance::ManualClock;
use dataapi_conformance::scene::{audited, decide, grant, id, worded};
use dataapi_core::{
    Clock, ConsentState, Decision, DialogStore, Dialogs, EarlyDecision, Evidence, Filter, Grant,
    ImportedDialog, KeySecret, Keys, Limit, NewKey, PageRequest, Reach, Roles, Start, StoreError,
    SubjectRequest, Upkeep, Window,
};
use dataapi_postgres::PostgresStore;
use futures_util::future::join_all;
use postgres_cluster::new_database;
use tokio::time::sleep;

use crate::load::Load;
use crate::scene::{CUSTOMER, customer, dialog, open, open_at, read};

const HOUR: Duration = Duration::from_secs(3_600);

async fn stores(how_many: usize) -> Vec<PostgresStore> {
    let url = new_database();
    join_all((0..how_many).map(|_| open(&url))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_that_open_at_once_on_an_empty_database_make_one() {
    postgres_cluster::skip_without_postgres!();
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
    postgres_cluster::skip_without_postgres!();
    let stores = stores(3).await;
    for round in 0..30 {
        let name = format!("d-{round}");
        let of = |number: usize| worded(CUSTOMER, &name, "en", &format!("Of {number}"));
        let answers = join_all((0..9).map(|number| stores[number % 3].insert(of(number)))).await;
        let winners: Vec<_> = (0..9).filter(|number| answers[*number].is_ok()).collect();
        assert_eq!(winners.len(), 1, "{answers:?}");
        for answer in answers.iter().filter(|answer| answer.is_err()) {
            let refused = matches!(answer, Err(StoreError::Exists { same_content: false }));
            assert!(refused, "{answer:?}");
        }
        let again = stores[1].insert(of(winners[0])).await;
        assert!(matches!(again, Err(StoreError::Exists { same_content: true })), "{again:?}");
    }
    assert_eq!(stores[2].stats().await.unwrap().pending, 30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_grant_and_a_withdrawal_at_two_stores_the_withdrawal_has_the_last_word() {
    postgres_cluster::skip_without_postgres!();
    let stores = stores(2).await;
    for round in 0..30 {
        let name = format!("d-{round}");
        stores[round % 2].insert(dialog(&name)).await.unwrap();
        let (granted, withdrawn) = tokio::join!(
            decide(&stores[0], &name, Decision::Granted),
            decide(&stores[1], &name, Decision::Withdrawn)
        );
        assert!(matches!(granted, Ok(_) | Err(StoreError::Conflict)), "{granted:?}");
        assert!(withdrawn.is_ok(), "{withdrawn:?}");
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
    postgres_cluster::skip_without_postgres!();
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
        let late = decide(there, &name, Decision::Granted).await;
        assert!(matches!(late, Err(StoreError::Conflict)), "{late:?}");
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
    postgres_cluster::skip_without_postgres!();
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
    assert_eq!((met.len(), once.len()), (20, 20), "each dialog is found once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dates_of_a_dialog_go_on_at_a_store_whose_clock_is_behind() {
    postgres_cluster::skip_without_postgres!();
    let url = new_database();
    let (early, late) = (ManualClock::default(), ManualClock::default());
    late.advance(HOUR);
    let behind = open_at(&url, &early).await;
    let ahead = open_at(&url, &late).await;

    let received = ahead.insert(dialog("a")).await.unwrap().date;
    let granted = decide(&behind, "a", Decision::Granted).await.unwrap().event.date;
    let withdrawn = decide(&behind, "a", Decision::Withdrawn).await.unwrap().event.date;
    assert!(late.now() <= received && received <= granted && granted <= withdrawn);
    ahead.insert(dialog("b")).await.unwrap();
    behind.erase_dialog(&customer(), &id("b")).await.unwrap();
    assert!(behind.consent(&id("b")).await.unwrap().date >= late.now());

    audited(&behind, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dialog_is_received_no_earlier_than_the_grant_that_came_before_it() {
    postgres_cluster::skip_without_postgres!();
    let url = new_database();
    let (early, late) = (ManualClock::default(), ManualClock::default());
    late.advance(HOUR);
    let behind = open_at(&url, &early).await;
    let ahead = open_at(&url, &late).await;
    for name in ["inserted", "imported", "dated"] {
        let (decision, evidence) = (Decision::Granted, Evidence::default());
        let told = ahead.decide_early(id(name), decision, evidence, HOUR * 2).await.unwrap();
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
    postgres_cluster::skip_without_postgres!();
    let stores = stores(3).await;
    let stores: Vec<_> = stores.iter().map(|store| store as &dyn DialogStore).collect();
    Load { clients: 24, dialogs: 20 }.run(&stores, std::future::ready(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_start_at_once_make_one_store() {
    postgres_cluster::skip_without_postgres!();
    let url = new_database();
    let stores = join_all((0..8).map(|_| open(&url))).await;
    let references: BTreeSet<_> = stores.iter().map(|store| store.reference(&id("d"))).collect();
    assert_eq!(references.len(), 1, "there is one secret key");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_inserts_of_one_id_at_several_servers_exactly_one_wins() {
    postgres_cluster::skip_without_postgres!();
    let url = new_database();
    let stores = join_all((0..3).map(|_| open(&url))).await;
    for round in 0..20 {
        let name = format!("d-{round}");
        let tries = stores.iter().enumerate().flat_map(|(number, store)| {
            let name = name.clone();
            (0..4).map(move |again| {
                let text = format!("text {number} {again}");
                store.insert(worded(CUSTOMER, &name, "en", &text))
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
async fn of_decisions_at_several_servers_a_withdrawal_has_the_last_word() {
    postgres_cluster::skip_without_postgres!();
    let url = new_database();
    let stores = join_all((0..3).map(|_| open(&url))).await;
    for round in 0..30 {
        let name = format!("d-{round}");
        stores[round % 3].insert(dialog(&name)).await.expect("a dialog");
        let decide = |at: usize, decision| decide(&stores[at], &name, decision);
        let [grant, withdraw] = [Decision::Granted, Decision::Withdrawn];
        let (a, b, c) = tokio::join!(decide(0, grant), decide(1, withdraw), decide(2, grant));
        assert!(b.is_ok(), "{b:?}");
        for granted in [a, c] {
            assert!(matches!(granted, Ok(_) | Err(StoreError::Conflict)), "{granted:?}");
        }
        for store in &stores {
            let read = read(store, &name).await;
            assert!(matches!(read, Err(StoreError::NotFound)), "the withdrawal holds everywhere");
        }
    }
    let counts = stores[1].stats().await.expect("counts");
    assert_eq!((counts.pending, counts.consented, counts.withdrawn), (0, 0, 30));
    audited(&stores[2], None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_one_server_goes_on_at_another_and_erasures_show_at_once() {
    postgres_cluster::skip_without_postgres!();
    let url = new_database();
    let (one, other) = (open(&url).await, open(&url).await);
    for number in 0..30 {
        let name = format!("d-{number}");
        one.insert(dialog(&name)).await.expect("a dialog");
        grant(&other, &name).await;
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
    assert_eq!(one.erase_customer(&customer()).await.expect("erased"), 30);
    let page = other.query(&PageRequest::default()).await.expect("a page");
    assert_eq!((page.items.len(), page.total), (0, Some(0)));
    assert_eq!(audited(&other, None).await.len(), 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dialogs_dates_never_go_backwards_from_one_server_to_another() {
    postgres_cluster::skip_without_postgres!();
    let url = new_database();
    let (late, early) = (ManualClock::default(), ManualClock::default());
    late.advance(Duration::from_secs(3_600));
    let (ahead, behind) = (open_at(&url, &late).await, open_at(&url, &early).await);
    let received = ahead.insert(dialog("d")).await.expect("a dialog").date;
    let granted = decide(&behind, "d", Decision::Granted).await;
    let granted = granted.expect("a grant").event.date;
    assert!(received <= granted && early.now() < received, "the clock of one server is behind");
    let withdrawn = decide(&behind, "d", Decision::Withdrawn).await;
    assert!(granted <= withdrawn.expect("a withdrawal").event.date);
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_stay_right_while_they_are_added_up() {
    postgres_cluster::skip_without_postgres!();
    let url = new_database();
    let stores = join_all((0..2).map(|_| open(&url))).await;
    // More commits than the number of count rows that is left alone.
    for round in 0..320 {
        let name = format!("d-{round}");
        stores[round % 2].insert(dialog(&name)).await.expect("a dialog");
        if round % 2 == 0 {
            grant(&stores[1], &name).await;
        }
        let counts = stores[0].stats().await.expect("counts");
        let consented = round as u64 / 2 + 1;
        assert_eq!((counts.pending, counts.consented), (round as u64 + 1 - consented, consented));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_date_that_no_dialog_has_binds_the_next_server_as_well() {
    postgres_cluster::skip_without_postgres!();
    let url = new_database();
    let clock = ManualClock::default();
    let store = open_at(&url, &clock).await;
    clock.advance(Duration::from_secs(100));
    let hold_for = Duration::from_secs(10 * 60);
    let held =
        store.decide_early(id("early"), Decision::Granted, Evidence::default(), hold_for).await;
    let Ok(EarlyDecision::Held(held)) = held else { panic!("{held:?}") };
    clock.jump_back(Duration::from_secs(50));
    drop(store);

    let store = open_at(&url, &clock).await;
    let received = store.insert(dialog("d")).await.expect("a dialog");
    assert!(received.date >= held.date);
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

    let received = open_at(&url, &clock).await.insert(dialog("e")).await.expect("a dialog");
    assert!(received.date >= created);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_dialog_comes_between_what_an_erasure_of_a_customer_takes_and_its_commit() {
    postgres_cluster::skip_without_postgres!();
    let url = new_database();
    let (one, other) = (Arc::new(open(&url).await), Arc::new(open(&url).await));
    one.insert(dialog("a")).await.unwrap();

    // The erasure has looked what is held, and has to wait.
    let (blocker, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    blocker.batch_execute("BEGIN; SELECT FROM dataapi.chain FOR UPDATE").await.unwrap();
    let erasing = Arc::clone(&one);
    let erasing = tokio::spawn(async move { erasing.erase_customer(&customer()).await });
    let waiting = "SELECT FROM pg_locks WHERE NOT granted
                       AND transactionid = pg_current_xact_id()::xid";
    while blocker.query(waiting, &[]).await.unwrap().is_empty() {
        sleep(Duration::from_millis(5)).await;
    }

    let inserting = Arc::clone(&other);
    let inserting = tokio::spawn(async move { inserting.insert(dialog("b")).await });
    // It is stored before the erasure, or waits for it.
    let begun = Instant::now();
    while !inserting.is_finished() && begun.elapsed() < Duration::from_millis(500) {
        sleep(Duration::from_millis(5)).await;
    }
    let request = || SubjectRequest::new(customer(), Window::default()).unwrap();
    let before = one.subject_data(&request()).await.unwrap().items.len();
    blocker.batch_execute("COMMIT").await.unwrap();
    let erased = erasing.await.unwrap().unwrap();
    inserting.await.unwrap().unwrap();
    assert_eq!(erased, before as u64, "what was seen together is erased together");
    let left = one.subject_data(&request()).await.unwrap().items;
    assert_eq!(left.len() as u64, 2 - erased, "the other one came later");
}
