//! Backups: complete, of one moment, and without anything that was withdrawn or erased since.

mod scene;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dataapi_core::{
    Audit, BrokenChain, ConsentState, Decision, DialogId, Dialogs, EarlyDecision, Event, Evidence,
    Filter, ImportedDialog, Keys, Ledger, Limit, NewDialog, PageRequest, Purge, Reach, Start,
    Stats, StoreError, Upkeep, Window,
};
use dataapi_sqlite::{BackupError, Restored, Since, SqliteStore, check, files, restore};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::scene::{create_keys, go_on, ledger, open, since};

const HOLD: std::time::Duration = std::time::Duration::from_secs(15 * 60);

struct Scene {
    folder: TempDir,
    store: SqliteStore,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder.path().join("dialogs.db"));
        Self { folder, store }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn back_up(&self, name: &str) -> PathBuf {
        let place = self.path(name);
        self.store.back_up(&place, &mut |_| ControlFlow::Continue(())).unwrap();
        place
    }

    async fn ledger(&self) -> Vec<Event> {
        ledger(&self.store, Limit::MAX).await
    }
}

fn id(id: &str) -> DialogId {
    id.parse().unwrap()
}

fn dialog(name: &str) -> NewDialog {
    NewDialog::parse(&format!("customer of {name}"), name, "en", &format!("words of {name}"))
        .unwrap()
}

async fn insert(store: &SqliteStore, name: &str) {
    store.insert(dialog(name)).await.unwrap();
}

async fn grant(store: &SqliteStore, name: &str) {
    store.decide(id(name), Decision::Granted, Evidence::default()).await.unwrap();
}

async fn withdraw(store: &SqliteStore, name: &str) {
    store.decide(id(name), Decision::Withdrawn, Evidence::default()).await.unwrap();
}

/// Imports `count` consented dialogs with names that begin with `start`.
async fn import(store: &SqliteStore, start: &str, count: usize) {
    let numbers: Vec<_> = (0..count).collect();
    for numbers in numbers.chunks(1_000) {
        let imported = |number: &usize| ImportedDialog {
            dialog: dialog(&format!("{start}{number:05}")),
            date: None,
            consented: true,
        };
        let answers = store.import(numbers.iter().map(imported).collect()).await.unwrap();
        assert!(answers.iter().all(Result::is_ok));
    }
}

/// All readable dialogs, by id. Checks that counts, ledger and changes agree with them.
async fn readable(store: &SqliteStore) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut window = Window { limit: Limit::MAX, ..Window::default() };
    let total = loop {
        let request = PageRequest::new(Filter::default(), window.clone()).unwrap();
        let page = store.query(&request).await.unwrap();
        for dialog in &page.items {
            let (name, text) = (dialog.dialog_id().as_str(), dialog.text().as_str());
            assert!(found.insert(name.to_owned(), text.to_owned()).is_none());
        }
        match page.next {
            Some(next) => window.start = Start::After(next),
            None => break page.total,
        }
    };
    assert_eq!(total, Some(found.len() as u64));
    let stats = store.stats().await.unwrap();
    assert_eq!(stats.consented, found.len() as u64);
    assert_eq!(stats.consented_by_language.values().sum::<u64>(), stats.consented);

    let mut audit = Audit::new(Some(store.ledger_head().await.unwrap()));
    let mut by_changes = 0;
    let mut after = 0;
    loop {
        let changes = store.changes(&after.into(), Limit::MAX, &Reach::default()).await.unwrap();
        let Some(last) = changes.last() else { break };
        after = last.event.position;
        for change in &changes {
            audit.check(&change.event).unwrap();
            by_changes += u64::from(change.dialog.is_some());
        }
    }
    audit.finish().unwrap();
    assert_eq!(by_changes, stats.consented, "each dialog belongs to one grant");
    found
}

#[tokio::test]
async fn a_backup_is_the_whole_store() {
    let scene = Scene::new();
    let store = &scene.store;
    import(store, "d", 9_000).await;
    let pt = NewDialog::parse("anna", "pt", "pt-BR", &"long ".repeat(5_000)).unwrap();
    store.insert(pt).await.unwrap();
    for name in ["pending", "withdrawn", "erased", "forgotten"] {
        insert(store, name).await;
    }
    grant(store, "pt").await;
    withdraw(store, "forgotten").await;
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    let between = store.insert(dialog("between")).await.unwrap().date;
    assert_eq!(store.purge(Purge::Tombstones, between, 10).await.unwrap(), 1);
    withdraw(store, "withdrawn").await;
    store.erase_dialog(&dialog("erased").customer_id, &id("erased")).await.unwrap();
    let early = store.decide_early(id("early"), Decision::Granted, Evidence::default(), HOLD);
    assert!(matches!(early.await.unwrap(), EarlyDecision::Held(_)));

    let place = scene.path("backup");
    let mut copied = 0;
    let made = store
        .back_up(&place, &mut |more| {
            copied += more;
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!((made.dialogs, copied), (9_003, 9_003));
    assert_eq!(made.head, store.ledger_head().await.unwrap());
    let rights = place.metadata().unwrap().permissions().mode();
    assert_eq!(rights & 0o777, 0o600, "only its owner can read it");

    let copy = open(&place);
    assert_eq!(copy.stats().await.unwrap(), store.stats().await.unwrap());
    assert_eq!(readable(&copy).await, readable(store).await);
    assert_eq!(ledger(&copy, Limit::MAX).await, scene.ledger().await);
    for name in ["pending", "withdrawn", "erased", "pt", "d00017"] {
        let both =
            [copy.consent(&id(name)).await.unwrap(), store.consent(&id(name)).await.unwrap()];
        assert_eq!(both[0], both[1], "{name}");
    }
    assert!(matches!(copy.consent(&id("forgotten")).await, Err(StoreError::NotFound)));
    assert!(copy.insert(dialog("early")).await.unwrap().is_consented, "the held grant, too");
    assert!(matches!(copy.insert(dialog("withdrawn")).await, Err(StoreError::Gone)));
    insert(&copy, "another").await;
    grant(&copy, "another").await;
    readable(&copy).await;
}

#[tokio::test]
async fn keys_come_back_revoked_so_that_a_store_that_had_some_stays_closed() {
    let scene = Scene::new();
    create_keys(&scene.store, &["revoked", "works"]).await;
    scene.store.revoke_key(&"revoked".parse().unwrap()).await.unwrap();
    let backup = scene.back_up("backup");
    let place = scene.path("restored.db");
    restore(&backup, &place, Since::ResurrectionAccepted, &mut go_on()).unwrap();
    let before = scene.store.keys().await.unwrap();
    for copy in [backup, place] {
        let keys = open(&copy).keys().await.unwrap();
        assert_eq!(keys.len(), 2);
        assert_eq!(keys[0], before[0]);
        assert!(keys[1].revoked.is_some());
        assert_eq!((&keys[1].name, keys[1].created), (&before[1].name, before[1].created));
    }
    scene.store.put_back(&scene.path("backup"), &mut go_on()).await.unwrap();
    assert_eq!(scene.store.keys().await.unwrap(), before, "the store keeps its own keys");
}

#[tokio::test]
async fn a_backup_replaces_no_file_and_one_that_is_stopped_leaves_none() {
    let scene = Scene::new();
    import(&scene.store, "d", 10).await;
    let place = scene.back_up("backup");
    let before = std::fs::read(&place).unwrap();
    let again = scene.store.back_up(&place, &mut go_on());
    assert!(matches!(again, Err(BackupError::IsThere)), "{again:?}");
    assert_eq!(std::fs::read(&place).unwrap(), before);
    // SQLite would read the log that a lost store left behind as the log of the new one.
    for end in ["wal", "shm", "journal"] {
        let left = scene.path(&format!("left-{end}"));
        std::fs::write(&left, "of another store").unwrap();
        let refused = scene.store.back_up(&scene.path("left"), &mut go_on());
        assert!(matches!(refused, Err(BackupError::IsThere)), "{end}: {refused:?}");
        let refused =
            restore(&place, &scene.path("left"), Since::ResurrectionAccepted, &mut go_on());
        assert!(matches!(refused, Err(BackupError::IsThere)), "{end}: {refused:?}");
        std::fs::remove_file(left).unwrap();
    }

    let stopped = scene.store.back_up(&scene.path("stopped"), &mut |_| ControlFlow::Break(()));
    assert!(matches!(stopped, Err(BackupError::Stopped)), "{stopped:?}");
    let names = std::fs::read_dir(scene.folder.path()).unwrap();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        names
            .iter()
            .all(|name| name == "backup" || name.to_string_lossy().starts_with("dialogs.db")),
        "{names:?}"
    );
}

/// One step of a writer. Every three steps are of one dialog: insert it, grant it, and withdraw the grant of every
/// third dialog.
async fn step(store: &SqliteStore, writer: usize, number: u64) {
    let name = |number: u64| format!("w{writer}-{number}");
    match number % 3 {
        0 => insert(store, &name(number / 3)).await,
        1 => grant(store, &name(number / 3)).await,
        _ if (number / 3).is_multiple_of(3) => withdraw(store, &name(number / 3)).await,
        _ => {}
    }
}

/// The state of a dialog after this many steps of its writer.
fn state_after(steps: u64, dialog: u64) -> Option<ConsentState> {
    match steps.saturating_sub(dialog * 3) {
        0 => None,
        1 => Some(ConsentState::Pending),
        2 => Some(ConsentState::Granted),
        _ if dialog.is_multiple_of(3) => Some(ConsentState::Withdrawn),
        _ => Some(ConsentState::Granted),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_beside_writers_is_of_one_moment() {
    const WRITERS: usize = 8;
    let scene = Scene::new();
    import(&scene.store, "before", 10_000).await;
    let store = Arc::new(scene.store);
    let done: Arc<[AtomicU64; WRITERS]> = Arc::default();
    let stop = Arc::new(AtomicU64::new(0));
    let writing: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (store, done, stop) = (Arc::clone(&store), Arc::clone(&done), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut number = 0;
                while stop.load(Ordering::Acquire) == 0 {
                    step(&store, writer, number).await;
                    number += 1;
                    done[writer].store(number, Ordering::Release);
                }
            })
        })
        .collect();
    for round in 0..3 {
        let counts = || done.iter().map(|done| done.load(Ordering::Acquire)).collect::<Vec<_>>();
        let before = counts();
        let place = scene.folder.path().join(format!("backup-{round}"));
        let copying = Arc::clone(&store);
        let to = place.clone();
        tokio::task::spawn_blocking(move || copying.back_up(&to, &mut go_on()).unwrap())
            .await
            .unwrap();
        // Each writer might be in the middle of one more step.
        let after: Vec<_> = counts().iter().map(|count| count + 1).collect();

        let copy = open(&place);
        readable(&copy).await;
        for writer in 0..WRITERS {
            let mut found = Vec::new();
            for dialog in 0..=after[writer] / 3 {
                let state = copy.consent(&id(&format!("w{writer}-{dialog}"))).await;
                found.push(state.ok().map(|status| status.state));
            }
            let fits = (before[writer]..=after[writer]).any(|steps| {
                found.iter().zip(0..).all(|(state, dialog)| *state == state_after(steps, dialog))
            });
            assert!(fits, "writer {writer} did {before:?} to {after:?}, the copy has {found:?}");
        }
    }
    stop.store(1, Ordering::Release);
    for writer in writing {
        writer.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_holds_no_byte_of_what_was_withdrawn_while_it_was_made() {
    let scene = Scene::new();
    import(&scene.store, "mark", 12_000).await;
    let store = Arc::new(scene.store);
    let place = scene.folder.path().join("backup");
    let (reached, wait) = std::sync::mpsc::channel();
    let (go, gone) = std::sync::mpsc::channel();
    let (copying, to) = (Arc::clone(&store), place.clone());
    let copied = tokio::task::spawn_blocking(move || {
        let mut steps = 0;
        let mut progress = move |_| {
            steps += 1;
            if steps == 2 {
                reached.send(()).unwrap();
                gone.recv().unwrap();
            }
            ControlFlow::Continue(())
        };
        copying.back_up(&to, &mut progress).unwrap()
    });
    tokio::task::spawn_blocking(move || wait.recv().unwrap()).await.unwrap();
    for number in (0..12_000).step_by(7) {
        withdraw(&store, &format!("mark{number:05}")).await;
    }
    go.send(()).unwrap();
    copied.await.unwrap();
    let bytes = std::fs::read(&place).unwrap();
    for number in 0..12_000 {
        let text = format!("words of mark{number:05}");
        let is_there = memchr::memmem::find(&bytes, text.as_bytes()).is_some();
        assert_eq!(is_there, number % 7 != 0, "{text}");
    }
}

/// A store with two backups, `early` and `late`, and with events between and after them.
async fn eventful() -> (Scene, PathBuf, PathBuf) {
    let scene = Scene::new();
    let store = &scene.store;
    for name in ["stays", "withdrawn", "erased", "granted", "pending"] {
        insert(store, name).await;
    }
    for name in ["stays", "withdrawn", "erased"] {
        grant(store, name).await;
    }
    let early = scene.back_up("early");
    for name in ["new", "new and withdrawn", "new and granted"] {
        insert(store, name).await;
    }
    grant(store, "new").await;
    grant(store, "new and withdrawn").await;
    withdraw(store, "withdrawn").await;
    let late = scene.back_up("late");
    store.erase_dialog(&dialog("erased").customer_id, &id("erased")).await.unwrap();
    grant(store, "granted").await;
    grant(store, "new and granted").await;
    withdraw(store, "new and withdrawn").await;
    (scene, early, late)
}

#[tokio::test]
async fn a_store_is_restored_beside_its_ledger_without_what_was_erased_since() {
    let (scene, early, late) = eventful().await;
    let events = scene.ledger().await;
    let place = scene.path("restored.db");
    let restored = restore(&early, &place, since(events.clone()), &mut go_on()).unwrap();
    assert_eq!(restored, Restored { restored: 3, gone: 2, already_there: 0 });
    let bytes = std::fs::read(&place).unwrap();
    for gone in ["words of withdrawn", "words of erased"] {
        assert!(
            memchr::memmem::find(&bytes, gone.as_bytes()).is_none(),
            "it never was in the file"
        );
    }

    let store = open(&place);
    assert_eq!(
        ledger(&store, Limit::MAX).await,
        events,
        "the ledger goes on from the one that was given"
    );
    assert_eq!(readable(&store).await.into_keys().collect::<Vec<_>>(), ["granted", "stays"]);
    assert_eq!(store.consent(&id("pending")).await.unwrap().state, ConsentState::Pending);
    for gone in ["withdrawn", "erased", "new and withdrawn"] {
        assert!(matches!(store.insert(dialog(gone)).await, Err(StoreError::Gone)), "{gone}");
    }

    // A later backup of the same store has what the first one did not have.
    let restored = store.put_back(&late, &mut go_on()).await.unwrap();
    assert_eq!(restored, Restored { restored: 2, gone: 2, already_there: 3 });
    let all = readable(&store).await;
    assert_eq!(all.keys().collect::<Vec<_>>(), ["granted", "new", "new and granted", "stays"]);
    assert_eq!(all, readable(&scene.store).await, "every consented dialog is back");
    assert_eq!(store.stats().await.unwrap(), scene.store.stats().await.unwrap());
    assert_eq!(ledger(&store, Limit::MAX).await, events, "putting back adds no event");
    let again = store.put_back(&late, &mut go_on()).await.unwrap();
    assert_eq!(again, Restored { restored: 0, gone: 2, already_there: 5 });
}

#[tokio::test]
async fn a_pending_dialog_is_put_back_with_the_grant_that_was_held_for_it_meanwhile() {
    let scene = Scene::new();
    for name in ["granted", "too late", "consented"] {
        insert(&scene.store, name).await;
    }
    grant(&scene.store, "consented").await;
    let backup = scene.back_up("backup");
    let lose = "DELETE FROM dialog WHERE granted IS NULL; UPDATE store SET pending = pending - 2";
    Connection::open(scene.path("dialogs.db")).unwrap().execute_batch(lose).unwrap();
    for (name, hold_for) in [("granted", HOLD), ("too late", std::time::Duration::ZERO)] {
        let early =
            scene.store.decide_early(id(name), Decision::Granted, Evidence::default(), hold_for);
        assert!(matches!(early.await.unwrap(), EarlyDecision::Held(_)), "{name}");
    }
    let restored = scene.store.put_back(&backup, &mut go_on()).await.unwrap();
    assert_eq!(restored, Restored { restored: 2, gone: 0, already_there: 1 });
    let all: Vec<_> = readable(&scene.store).await.into_keys().collect();
    assert_eq!(all, ["consented", "granted"]);
    let pending = scene.store.consent(&id("too late")).await.unwrap();
    assert_eq!(pending.state, ConsentState::Pending);
    assert_eq!(dataapi_sqlite::check(&scene.path("dialogs.db")).unwrap(), []);
}

#[tokio::test]
async fn a_store_that_is_there_says_itself_what_must_not_come_back() {
    let (scene, early, late) = eventful().await;
    let before = readable(&scene.store).await;
    let restored = scene.store.put_back(&early, &mut go_on()).await.unwrap();
    assert_eq!(restored, Restored { restored: 0, gone: 2, already_there: 3 });
    scene.store.put_back(&late, &mut go_on()).await.unwrap();
    assert_eq!(readable(&scene.store).await, before);
    // Not even once the tombstones are forgotten.
    let forgotten = scene.store.purge(Purge::Tombstones, dataapi_core::Date::MAX, 100).await;
    assert_eq!(forgotten.unwrap(), 3);
    let restored = scene.store.put_back(&early, &mut go_on()).await.unwrap();
    assert_eq!(restored, Restored { restored: 0, gone: 2, already_there: 3 });
}

#[tokio::test]
async fn without_a_ledger_nothing_is_restored_unless_that_is_accepted() {
    let (scene, early, _) = eventful().await;
    let place = scene.path("restored.db");
    let refused = restore(&early, &place, Since::Unknown, &mut go_on());
    assert!(matches!(refused, Err(BackupError::NothingKnown { position: 3, .. })), "{refused:?}");
    assert!(!place.exists());
    let accepted = restore(&early, &place, Since::ResurrectionAccepted, &mut go_on()).unwrap();
    assert_eq!(accepted, Restored { restored: 5, gone: 0, already_there: 0 });
    let store = open(&place);
    let names: Vec<_> = readable(&store).await.into_keys().collect();
    assert_eq!(names, ["erased", "stays", "withdrawn"], "the risk that was accepted");
}

#[tokio::test]
async fn a_ledger_that_does_not_go_on_from_the_backups_is_refused() {
    let (scene, early, late) = eventful().await;
    let events = scene.ledger().await;
    let place = scene.path("restored.db");
    let refused = |backup: &Path, events: Vec<Event>| {
        let refused = restore(backup, &place, since(events), &mut go_on());
        assert!(!place.exists(), "no file is made");
        match refused {
            Err(BackupError::Ledger(broken)) => broken,
            other => panic!("it is refused, not {other:?}"),
        }
    };
    assert_eq!(refused(&late, events[..4].to_vec()), BrokenChain::CutOff { chain: 0, position: 4 });
    assert_eq!(refused(&early, events[1..].to_vec()), BrokenChain::Link { chain: 0, position: 1 });
    let mut edited = events.clone();
    edited.remove(5);
    assert_eq!(refused(&early, edited), BrokenChain::Link { chain: 0, position: 6 });
    let other = Scene::new();
    import(&other.store, "d", 10).await;
    let foreign = other.ledger().await;
    assert_eq!(refused(&early, foreign), BrokenChain::Rewritten { positions: 3.into() });

    let put_back = other.store.put_back(&early, &mut go_on()).await;
    assert!(matches!(put_back, Err(BackupError::OtherStore)), "{put_back:?}");
    // A store that was itself restored without its ledger lacks events that the later backup has.
    let behind = scene.path("behind.db");
    restore(&early, &behind, Since::ResurrectionAccepted, &mut go_on()).unwrap();
    let behind = open(&behind);
    let put_back = behind.put_back(&late, &mut go_on()).await;
    assert!(
        matches!(put_back, Err(BackupError::Ledger(BrokenChain::CutOff { chain: 0, position: 3 }))),
        "{put_back:?}"
    );
    grant(&behind, "pending").await;
    grant(&behind, "granted").await;
    withdraw(&behind, "stays").await;
    let put_back = behind.put_back(&late, &mut go_on()).await;
    assert!(
        matches!(put_back, Err(BackupError::Ledger(BrokenChain::Rewritten { .. }))),
        "{put_back:?}"
    );
}

#[tokio::test]
async fn what_is_no_backup_is_refused() {
    let scene = Scene::new();
    let place = scene.path("restored.db");
    for (name, content) in
        [("empty", &b""[..]), ("text", b"not a database, but long enough to be one")]
    {
        std::fs::write(scene.path(name), content).unwrap();
        let refused = restore(&scene.path(name), &place, Since::ResurrectionAccepted, &mut go_on());
        assert!(matches!(refused, Err(BackupError::Open(_))), "{name}: {refused:?}");
    }
    let missing = restore(&scene.path("missing"), &place, Since::Unknown, &mut go_on());
    assert!(matches!(missing, Err(BackupError::Open(_))), "{missing:?}");
    assert!(!place.exists());

    let backup = scene.back_up("backup");
    let there = scene.back_up("there");
    let refused = restore(&backup, &there, Since::ResurrectionAccepted, &mut go_on());
    assert!(matches!(refused, Err(BackupError::IsThere)), "{refused:?}");
    let empty = restore(&backup, &place, Since::ResurrectionAccepted, &mut go_on()).unwrap();
    assert_eq!(empty, Restored::default());
    assert_eq!(open(&place).stats().await.unwrap(), Stats::default());
}

#[tokio::test]
async fn reading_a_backup_leaves_nothing_beside_it() {
    let scene = Scene::new();
    insert(&scene.store, "kept").await;
    let backup = scene.back_up("backup");
    // From then on it has a write-ahead log, as any store that was open.
    drop(open(&backup));
    let restored = scene.path("restored");
    let beside = |what: &str| assert_eq!(files(&backup).unwrap().len(), 1, "{what}");

    assert_eq!(check(&backup).unwrap(), []);
    beside("after a check");
    restore(&backup, &restored, Since::ResurrectionAccepted, &mut go_on()).unwrap();
    beside("after a restore to a new file");
    scene.store.put_back(&backup, &mut go_on()).await.unwrap();
    beside("after a restore to the store");
    restore(&backup, &scene.path("refused"), Since::Unknown, &mut go_on()).unwrap_err();
    beside("after a refusal");

    std::fs::remove_file(&backup).unwrap();
    scene.back_up("backup");
}

#[tokio::test]
async fn checking_a_store_in_use_leaves_its_log_to_the_store() {
    let scene = Scene::new();
    insert(&scene.store, "before").await;
    let path = scene.path("dialogs.db");
    assert_eq!(check(&path).unwrap(), []);
    insert(&scene.store, "after").await;
    assert_eq!(check(&path).unwrap(), []);
    assert_eq!(scene.store.stats().await.unwrap().pending, 2);
}
