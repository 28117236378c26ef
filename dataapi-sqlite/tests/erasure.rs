//! Withdrawn means gone: no byte of an erased dialog is left in any file of the store.
//!
//! `DATAAPI_ERASURE_DIALOGS` and `DATAAPI_ERASURE_RACES` set how many dialogs there are. `DATAAPI_ERASURE_SEED` sets
//! the random choices, but not how the calls are interleaved.

mod scene;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dataapi_conformance::ManualClock;
use dataapi_core::{
    Change, Clock, Date, Decision, Dialog, DialogRef, DialogStore, Dialogs, Evidence, Filter,
    ImportedDialog, Limit, NewDialog, PageRequest, Reach, Start, StoreError, Upkeep, Window,
};
use dataapi_sqlite::{Options, SqliteStore, check, files, restore};
use futures_util::{StreamExt, stream};
use rand_chacha::rand_core::Rng;
use rusqlite::Connection;

use crate::scene::{choices, from_env, go_on, ledger, new_path, since};

/// How long a test waits for the upkeep thread before it fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// The beginning of every marker. The kind of value and the number of the dialog follow.
const MARKER: &str = "µMARK";
const DIGITS: usize = 8;

fn marker(kind: char, number: u64) -> String {
    format!("{MARKER}{kind}{number:0DIGITS$}")
}

/// A dialog with markers in its ids and text. Ids are in no order, as most clients' ids are, so that pages of the
/// indexes are split everywhere. Texts are short, or so long that they need overflow pages.
fn dialog(number: u64) -> NewDialog {
    let scattered = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let id = format!("{scattered:016x}{}", marker('d', number));
    let customer = format!("{scattered:016x}{}", marker('c', number));
    let filler = "x".repeat([0, 150, 1_500, 4_500, 20_000][usize::try_from(number % 5).unwrap()]);
    let mark = marker('t', number);
    let text = format!("{mark}{filler}{mark}");
    NewDialog::parse(&customer, &id, "en", &text).unwrap()
}

/// The number of every dialog that has a marker in any file of the store.
fn found(store: &Path) -> BTreeSet<u64> {
    let mut numbers = BTreeSet::new();
    for file in files(store).unwrap() {
        // SQLite might have removed it meanwhile.
        let Ok(bytes) = std::fs::read(&file) else { continue };
        for at in memchr::memmem::find_iter(&bytes, MARKER) {
            let digits = at + MARKER.len() + 1;
            let number = bytes.get(digits..digits + DIGITS);
            let number: Option<u64> =
                number.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
            numbers.extend(number);
        }
    }
    numbers
}

fn open(path: &Path, erase_within: Duration) -> SqliteStore {
    SqliteStore::open(path, Options { erase_within, ..Options::default() }).unwrap()
}

async fn insert(store: &dyn DialogStore, numbers: impl Iterator<Item = u64>, granted: bool) {
    stream::iter(numbers)
        .for_each_concurrent(64, |number| async move {
            let dialog = dialog(number);
            let id = dialog.dialog_id.clone();
            store.insert(dialog).await.unwrap();
            if granted && number % 3 != 0 {
                store.decide(id, Decision::Granted, Evidence::default()).await.unwrap();
            }
        })
        .await;
}

/// Erases each dialog, in one of the three ways.
async fn erase(store: &dyn DialogStore, numbers: impl Iterator<Item = u64>) {
    stream::iter(numbers)
        .for_each_concurrent(64, |number| async move {
            let NewDialog { customer_id, dialog_id, .. } = dialog(number);
            match number % 7 {
                0 => store.erase_dialog(&customer_id, &dialog_id).await.unwrap(),
                1 => assert_eq!(store.erase_customer(&customer_id).await.unwrap(), 1),
                _ => {
                    let withdrawn = Decision::Withdrawn;
                    store.decide(dialog_id, withdrawn, Evidence::default()).await.unwrap();
                }
            }
        })
        .await;
}

/// Reads all pages by cursor again and again, and after each time a page at a large offset.
async fn crawl(store: Arc<SqliteStore>, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        let mut start = Start::default();
        while !stop.load(Ordering::Relaxed) {
            let window = Window { start, ..Window::default() };
            let page = store.query(&PageRequest::new(Filter::default(), window).unwrap()).await;
            match page.unwrap().next {
                Some(next) => start = Start::After(next),
                None => break,
            }
        }
        let window = Window { start: Start::Offset(1_000_000), ..Window::default() };
        store.query(&PageRequest::new(Filter::default(), window).unwrap()).await.unwrap();
    }
}

async fn write(store: Arc<SqliteStore>, next: Arc<AtomicU64>, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        let number = next.fetch_add(1, Ordering::Relaxed);
        insert(&*store, std::iter::once(number), true).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_byte_of_a_withdrawn_half_is_left_while_readers_crawl_and_writers_write() {
    let count: u64 = from_env("DATAAPI_ERASURE_DIALOGS").unwrap_or(10_000);
    let mut choices = choices("DATAAPI_ERASURE_SEED");
    let (_folder, path) = new_path();
    let store = Arc::new(open(&path, Duration::from_secs(1)));
    insert(&*store, 0..count, true).await;

    let stop = Arc::new(AtomicBool::new(false));
    let next = Arc::new(AtomicU64::new(count));
    let busy: Vec<_> = (0..2)
        .flat_map(|_| {
            let (reader, writer) = (Arc::clone(&store), Arc::clone(&store));
            [
                tokio::spawn(crawl(reader, Arc::clone(&stop))),
                tokio::spawn(write(writer, Arc::clone(&next), Arc::clone(&stop))),
            ]
        })
        .collect();
    let gone: BTreeSet<u64> = (0..count).filter(|_| choices.next_u32().is_multiple_of(2)).collect();
    erase(&*store, gone.iter().copied()).await;
    let started = Instant::now();
    while store.activity().unscrubbed.is_some() {
        assert!(started.elapsed() < PATIENCE, "the store scrubs without being asked");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    let left = found(&path);
    assert_eq!(left.intersection(&gone).count(), 0, "of {} erased dialogs", gone.len());
    assert!((0..count).all(|number| gone.contains(&number) || left.contains(&number)));
    stop.store(true, Ordering::Relaxed);
    for task in busy {
        task.await.unwrap();
    }
    drop(store);
    assert_eq!(found(&path).intersection(&gone).count(), 0, "nor once it is closed");
}

/// Yields to other tasks this many times.
async fn pauses(count: u32) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}

/// Runs everything that can happen to one dialog at once and in any order: its insert and a retry, the import of an old
/// export, a grant, and a withdrawal that is repeated until it is acknowledged. A restore of an old backup runs beside
/// it.
async fn race(store: &dyn DialogStore, number: u64, order: u32) {
    let dialog = dialog(number);
    let (customer, id) = (dialog.customer_id.clone(), dialog.dialog_id.clone());
    let imported = || vec![ImportedDialog { dialog: dialog.clone(), date: None, consented: true }];
    let pause = |place: u32| pauses(order >> (3 * place) & 7);
    let insert = async {
        pause(0).await;
        let _ = store.insert(dialog.clone()).await;
    };
    let retry = async {
        pause(1).await;
        let _ = store.insert(dialog.clone()).await;
    };
    let import = async {
        pause(2).await;
        let _ = store.import(imported()).await;
    };
    let grant = async {
        pause(3).await;
        let _ = store.decide(id.clone(), Decision::Granted, Evidence::default()).await;
    };
    let withdraw = async {
        pause(4).await;
        let receipt = loop {
            let decided = store.decide(id.clone(), Decision::Withdrawn, Evidence::default());
            match decided.await {
                Ok(receipt) => break receipt,
                Err(StoreError::NotFound) => pauses(1).await,
                Err(other) => panic!("a withdrawal is always recorded, not {other:?}"),
            }
        };
        let read = store.dialog(&customer, &id, &Reach::default()).await;
        assert!(matches!(read, Err(StoreError::NotFound)), "unreadable right after a withdrawal");
        let before = receipt.event.position.saturating_sub(50);
        let told = store
            .changes(&before.into(), Limit::new(60).unwrap(), &Reach::default())
            .await
            .unwrap();
        let of_it = |change: &Change| change.event.reference == receipt.event.reference;
        assert!(told.iter().filter(|change| of_it(change)).all(|change| change.dialog.is_none()));
    };
    futures_util::join!(insert, retry, import, grant, withdraw);
    assert!(matches!(
        store.dialog(&customer, &id, &Reach::default()).await,
        Err(StoreError::NotFound)
    ));
    assert!(matches!(store.insert(dialog.clone()).await, Err(StoreError::Gone)));
    let late = store.import(imported()).await.unwrap();
    assert!(matches!(late[..], [Err(StoreError::Gone)]), "an old export does not bring it back");
}

/// The readable dialogs, kept elsewhere and brought up to date from the ledger.
#[derive(Default)]
struct Copy {
    dialogs: HashMap<DialogRef, Dialog>,
    position: u64,
}

impl Copy {
    async fn sync(&mut self, store: &dyn DialogStore) {
        loop {
            let changes =
                store.changes(&self.position.into(), Limit::MAX, &Reach::default()).await.unwrap();
            let Some(last) = changes.last() else { return };
            self.position = last.event.position;
            for Change { event, dialog } in changes {
                match dialog {
                    Some(dialog) => self.dialogs.insert(event.reference, dialog),
                    None => self.dialogs.remove(&event.reference),
                };
            }
        }
    }
}

/// Makes a store at `path` that has lost `count` consented dialogs, and returns a backup that has them.
async fn bereft(folder: &Path, path: &Path, count: u64) -> PathBuf {
    let (empty, full) = (folder.join("empty"), folder.join("full"));
    let lost = open(&folder.join("lost.db"), Duration::from_secs(1));
    lost.back_up(&empty, &mut go_on()).unwrap();
    let numbers: Vec<_> = (0..count).map(|number| number * 5).collect();
    for numbers in numbers.chunks(1_000) {
        let imported =
            |number: &u64| ImportedDialog { dialog: dialog(*number), date: None, consented: true };
        lost.import(numbers.iter().map(imported).collect()).await.unwrap();
    }
    lost.back_up(&full, &mut go_on()).unwrap();
    let events = ledger(&lost, Limit::MAX).await;
    restore(&empty, path, since(events), &mut go_on()).unwrap();
    full
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_race_makes_a_dialog_readable_after_an_acknowledged_withdrawal() {
    let count: u64 = from_env("DATAAPI_ERASURE_RACES").unwrap_or(10_000);
    let mut choices = choices("DATAAPI_ERASURE_SEED");
    let (folder, path) = new_path();
    let old_backup = bereft(folder.path(), &path, count).await;
    let store = open(&path, Duration::from_secs(1));
    let orders: Vec<_> = (0..count).map(|number| (number * 5, choices.next_u32())).collect();
    let store = &store;
    let races =
        stream::iter(orders).for_each_concurrent(64, |(number, order)| race(store, number, order));
    let restoring = async {
        loop {
            store.put_back(&old_backup, &mut go_on()).await.unwrap();
        }
    };
    let mut copy = Copy::default();
    let syncing = async {
        loop {
            copy.sync(store).await;
            pauses(50).await;
        }
    };
    tokio::select! {
        () = races => {}
        () = restoring => {}
        () = syncing => {}
    }
    copy.sync(store).await;
    assert_eq!(copy.dialogs.len(), 0, "an up-to-date copy has none of them");
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.withdrawn, stats.pending, stats.consented), (count, 0, 0));
    store.scrub().await.unwrap();
    assert_eq!(found(&path), BTreeSet::new(), "no byte of any is left");
}

#[tokio::test]
async fn a_scrub_that_is_asked_for_does_not_wait_for_the_delay() {
    let (_folder, path) = new_path();
    let store = open(&path, Duration::from_secs(1_000_000));
    insert(&store, 0..300, true).await;
    erase(&store, 100..200).await;
    assert!(store.activity().unscrubbed.is_some(), "they are erased, but not yet from the files");
    store.scrub().await.unwrap();
    assert_eq!(store.activity().unscrubbed, None);
    assert_eq!(found(&path), (0..100).chain(200..300).collect());
}

#[tokio::test]
async fn a_closed_store_holds_nothing_of_what_was_erased() {
    let (_folder, path) = new_path();
    let store = open(&path, Duration::from_secs(1_000_000));
    insert(&store, 0..300, true).await;
    erase(&store, 100..200).await;
    drop(store);
    assert_eq!(files(&path).unwrap().len(), 1, "the other files are gone");
    assert_eq!(found(&path), (0..100).chain(200..300).collect());
}

#[tokio::test]
async fn a_store_in_which_something_may_be_left_is_cleaned_when_it_is_opened() {
    let (_folder, path) = new_path();
    let store = open(&path, Duration::from_secs(1));
    insert(&store, 0..1_000, false).await;
    drop(store);
    let other = Connection::open(&path).unwrap();
    other.pragma_update(None, "secure_delete", "OFF").unwrap();
    other
        .execute_batch("UPDATE store SET scrubbing = 1; DELETE FROM dialog WHERE seq % 2 = 0")
        .unwrap();
    drop(other);
    let stays = |path: &Path| -> BTreeSet<u64> {
        let other = Connection::open(path).unwrap();
        let mut ids = other.prepare("SELECT dialog_id FROM dialog").unwrap();
        let ids = ids.query_map((), |row| row.get::<_, String>(0)).unwrap();
        ids.map(|id| id.unwrap()[16 + MARKER.len() + 1..].parse().unwrap()).collect()
    };
    assert_ne!(found(&path), stays(&path), "without secure_delete, SQLite leaves deleted rows");
    drop(open(&path, Duration::from_secs(1)));
    assert_eq!(found(&path), stays(&path));
}

#[tokio::test]
async fn several_stores_on_one_file_leave_nothing_of_what_either_erased() {
    let (_folder, path) = new_path();
    let (one, other) =
        (open(&path, Duration::from_millis(50)), open(&path, Duration::from_millis(50)));
    insert(&one, 0..1_000, true).await;
    insert(&other, 1_000..2_000, true).await;
    let both = [erase(&one, 1_000..1_500), erase(&other, 0..500)];
    futures_util::future::join_all(both).await;
    insert(&one, 2_000..2_500, false).await;
    one.scrub().await.unwrap();
    other.scrub().await.unwrap();
    assert_eq!(found(&path), (500..1_000).chain(1_500..2_500).collect());
}

/// Erases what the other store inserts, while both checkpoint and scrub beside the commits of both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_on_one_file_that_clean_it_beside_each_others_commits_damage_nothing() {
    const TOGETHER: usize = 500;
    let count: u64 = from_env("DATAAPI_BESIDE_DIALOGS").unwrap_or(10_000);
    let mut choices = choices("DATAAPI_ERASURE_SEED");
    let (_folder, path) = new_path();
    let stores = [20, 50].map(|millis| open(&path, Duration::from_millis(millis)));
    let mut gone = BTreeSet::new();
    for (round, first) in (0..count).step_by(TOGETHER).enumerate() {
        let (one, other) = (&stores[round % 2], &stores[(round + 1) % 2]);
        let next = first + TOGETHER as u64;
        let erased: Vec<u64> = (first.saturating_sub(2 * TOGETHER as u64)..first)
            .filter(|number| choices.next_u32().is_multiple_of(3) && gone.insert(*number))
            .collect();
        let inserts = insert(one, first..next, true);
        futures_util::future::join(inserts, erase(other, erased.into_iter())).await;
    }
    for store in &stores {
        store.scrub().await.unwrap();
    }
    let stays: BTreeSet<u64> = (0..count).filter(|number| !gone.contains(number)).collect();
    assert_eq!(found(&path), stays);
    drop(stores);
    assert_eq!(check(&path).unwrap(), []);
    assert_eq!(found(&path), stays, "nor once they are closed");
}

#[tokio::test]
async fn what_another_store_has_scrubbed_is_waited_for_no_longer() {
    let (_folder, path) = new_path();
    let (one, other) = (open(&path, Duration::from_millis(400)), open(&path, PATIENCE));
    insert(&one, 0..10, true).await;
    erase(&one, 0..10).await;
    other.scrub().await.unwrap();
    assert!(one.activity().unscrubbed.is_some(), "it has not looked yet");
    let started = Instant::now();
    // The store is never idle: that would be a reason to scrub by itself.
    for number in 10.. {
        if one.activity().unscrubbed.is_none() {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "it waits for what is gone");
        insert(&one, std::iter::once(number), false).await;
    }
}

#[tokio::test]
async fn a_log_that_a_read_kept_from_restarting_is_cut_while_commits_go_on() {
    const MOST: u64 = 80 << 20;
    let (_folder, path) = new_path();
    let store = open(&path, Duration::from_secs(1));
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN; SELECT count(*) FROM dialog").unwrap();
    let log = || std::fs::metadata(path.with_extension("db-wal")).map_or(0, |log| log.len());
    // Every fifth number has a text of 20 kB.
    let mut numbers = (0..).step_by(5).map(|number| number + 4);
    while log() <= MOST {
        insert(&store, numbers.by_ref().take(200), false).await;
    }
    other.execute_batch("ROLLBACK").unwrap();
    let started = Instant::now();
    while log() > MOST {
        assert!(started.elapsed() < PATIENCE, "the log is cut again");
        insert(&store, numbers.by_ref().take(1), false).await;
    }
}

#[tokio::test]
async fn a_read_of_another_program_delays_a_scrub_and_is_told_of() {
    let (_folder, path) = new_path();
    let store = open(&path, Duration::from_millis(1));
    insert(&store, 0..100, true).await;
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN; SELECT count(*) FROM dialog").unwrap();
    erase(&store, 0..50).await;
    assert!(matches!(store.scrub().await, Err(StoreError::Unavailable { .. })));
    let age = store.activity().unscrubbed.unwrap();
    assert!(age > Duration::ZERO, "the time that the erasure has waited is reported");
    insert(&store, 100..200, true).await;
    other.execute_batch("ROLLBACK").unwrap();
    store.scrub().await.unwrap();
    assert_eq!(found(&path), (50..200).collect());
}

#[tokio::test]
async fn a_store_tells_when_it_was_last_scrubbed_and_a_scrub_without_work_is_none() {
    let (_folder, path) = new_path();
    let clock = ManualClock::starting_at(Date::from_micros(1_772_366_400_000_000).unwrap());
    let open = || {
        let clock = Arc::new(clock.clone());
        SqliteStore::open(&path, Options { clock, ..Options::default() }).unwrap()
    };
    let store = open();
    insert(&store, 0..3, true).await;
    for number in 0..2 {
        clock.advance(Duration::from_secs(10));
        let now = clock.now();
        let id = dialog(number).dialog_id;
        store.decide(id, Decision::Withdrawn, Evidence::default()).await.unwrap();
        store.scrub().await.unwrap();
        assert_eq!(store.info().await.unwrap().last_scrub, Some(now));
        clock.advance(Duration::from_secs(10));
        store.scrub().await.unwrap();
        assert_eq!(store.info().await.unwrap().last_scrub, Some(now));
    }
    let last = store.info().await.unwrap().last_scrub;
    drop(store);
    assert_eq!(open().info().await.unwrap().last_scrub, last);
}
