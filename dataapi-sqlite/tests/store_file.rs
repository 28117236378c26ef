//! The store file: who can open it, which files are left unchanged, and what the next open finds.

mod scene;

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use dataapi_conformance::ManualClock;
use dataapi_core::{
    Date, Decision, Dialogs, Evidence, Filter, NewDialog, PageRequest, Reach, StoreError, Upkeep,
    Window,
};
use dataapi_sqlite::{Exposure, OpenError, Options, SqliteStore, check, exposure, files};
use rusqlite::Connection;

use crate::scene::{new_path, open};

fn dialog(id: &str) -> NewDialog {
    NewDialog::parse("anna", id, "en", "Where is my parcel?").unwrap()
}

#[tokio::test]
async fn what_was_acknowledged_is_found_by_the_next_open() {
    let (_folder, path) = new_path();
    let store = open(&path);
    for id in ["pending", "consented", "withdrawn"] {
        store.insert(dialog(id)).await.unwrap();
    }
    let evidence =
        Evidence::parse(Some("v3".into()), Some("button".into()), Some("de".into())).unwrap();
    let granted = store
        .decide("consented".parse().unwrap(), Decision::Granted, evidence.clone())
        .await
        .unwrap();
    let withdrawn =
        store.decide("withdrawn".parse().unwrap(), Decision::Withdrawn, evidence).await.unwrap();
    let before = store.stats().await.unwrap();
    drop(store);

    let store = open(&path);
    assert_eq!(store.stats().await.unwrap(), before);
    for receipt in [granted, withdrawn] {
        let again = store
            .decide(receipt.dialog_id.clone(), receipt.decision, Evidence::default())
            .await
            .unwrap();
        assert_eq!(again, receipt, "the first receipt is kept across a restart");
    }
    assert!(matches!(store.insert(dialog("withdrawn")).await, Err(StoreError::Gone)));
    assert!(matches!(
        store.insert(dialog("pending")).await,
        Err(StoreError::Exists { same_content: true })
    ));
}

#[tokio::test]
async fn dates_do_not_go_backwards_across_a_restart_with_a_clock_that_did() {
    let (_folder, path) = new_path();
    let at = |micros| ManualClock::starting_at(Date::from_micros(micros).unwrap());
    let with = |clock| Options { clock: Arc::new(clock), ..Options::default() };
    let store = SqliteStore::open(&path, with(at(2_000_000))).unwrap();
    let first = store.insert(dialog("first")).await.unwrap().date;
    drop(store);

    let store = SqliteStore::open(&path, with(at(1_000_000))).unwrap();
    assert!(store.insert(dialog("second")).await.unwrap().date >= first);
}

#[tokio::test]
async fn a_closed_store_is_one_file() {
    let (folder, path) = new_path();
    let store = open(&path);
    store.insert(dialog("d")).await.unwrap();
    drop(store);
    let files: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files, [path]);
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_the_files() {
    let (folder, path) = new_path();
    let store = open(&path);
    store.insert(dialog("d")).await.unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "group and others have no permissions");
    }
}

#[test]
fn a_missing_store_is_created_only_when_asked_to() {
    let (_folder, path) = new_path();
    let options = Options { create: false, ..Options::default() };
    assert!(matches!(SqliteStore::open(&path, options.clone()), Err(OpenError::Missing)));
    assert!(!path.exists(), "a refused open leaves no file");
    drop(open(&path));
    assert!(SqliteStore::open(&path, options).is_ok());
}

#[test]
fn an_empty_file_becomes_a_store_only_when_asked_to_and_keeps_its_permissions() {
    let (_folder, path) = new_path();
    std::fs::write(&path, "").unwrap();
    set_mode(&path, 0o644);
    let reading = Options { create: false, ..Options::default() };
    assert!(matches!(SqliteStore::open(&path, reading), Err(OpenError::NotAStore)));
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 0, "it was left unchanged");
    drop(open(&path));
    assert_eq!(mode(&path), 0o644, "what was there is not changed");
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn only_a_regular_file_is_opened_and_nothing_else_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (pipe, device) = (at("pipe"), PathBuf::from("/dev/null"));
    std::fs::create_dir(at("folder")).unwrap();
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for (link, target) in [("to_pipe", &pipe), ("to_device", &device), ("to_folder", &at("folder"))]
    {
        symlink(target, at(link)).unwrap();
    }
    set_mode(&pipe, 0o622);
    set_mode(&at("folder"), 0o755);
    let before = [mode(&pipe), mode(&device), mode(&at("folder"))];
    for path in [&pipe, &device, &at("folder"), &at("to_pipe"), &at("to_device"), &at("to_folder")]
    {
        for create in [true, false] {
            let options = Options { create, ..Options::default() };
            let refused = SqliteStore::open(path, options);
            assert!(matches!(refused, Err(OpenError::NotAFile)), "{}", path.display());
        }
        assert!(matches!(check(path), Err(OpenError::NotAFile)), "{}", path.display());
        assert!(matches!(files(path), Err(OpenError::NotAFile)), "{}", path.display());
    }
    assert_eq!([mode(&pipe), mode(&device), mode(&at("folder"))], before);

    // A pipe in the place of the log would block whatever reads it.
    let path = at("dialogs.db");
    drop(open(&path));
    std::fs::rename(&pipe, at("dialogs.db-wal")).unwrap();
    assert!(matches!(SqliteStore::open(&path, Options::default()), Err(OpenError::NotAFile)));
    assert!(!files(&path).unwrap().iter().any(|file| file.ends_with("dialogs.db-wal")));
}

#[test]
fn what_others_may_use_is_told_with_the_mode_to_set() {
    let (_folder, path) = new_path();
    let store = open(&path);
    assert_eq!(exposure(&path).unwrap(), []);
    for unsafe_mode in [0o644, 0o660, 0o602, 0o610] {
        set_mode(&path, unsafe_mode);
        let found = exposure(&path).unwrap();
        let [Exposure::Mode { file, mode }] = &found[..] else { panic!("{found:?}") };
        assert_eq!((file, *mode), (&path.canonicalize().unwrap(), unsafe_mode));
        assert!(found[0].to_string().contains("chmod 600"), "{}", found[0]);
    }
    set_mode(&path, 0o600);
    let log = path.with_file_name("dialogs.db-wal");
    set_mode(&log, 0o640);
    let found = exposure(&path).unwrap();
    assert!(
        matches!(&found[..], [Exposure::Mode { file, .. }] if file.ends_with("dialogs.db-wal"))
    );
    drop(store);
}

#[tokio::test]
async fn a_trigger_is_refused_at_open_and_does_not_fire_when_it_comes_later() {
    const COPY: &str = "CREATE TABLE copies (text TEXT);
        CREATE TRIGGER copy AFTER INSERT ON dialog
        BEGIN INSERT INTO copies VALUES (NEW.text); END";
    let (_folder, path) = new_path();
    let store = open(&path);
    let other = Connection::open(&path).unwrap();
    other.execute_batch(COPY).unwrap();
    store.insert(dialog("d")).await.unwrap();
    let copies = |other: &Connection| -> i64 {
        other.query_row("SELECT count(*) FROM copies", (), |row| row.get(0)).unwrap()
    };
    assert_eq!(copies(&other), 0, "it was added while the store was open");
    drop(other);
    drop(store);

    let before = std::fs::read(&path).unwrap();
    assert!(matches!(SqliteStore::open(&path, Options::default()), Err(OpenError::Trigger)));
    assert_eq!(std::fs::read(&path).unwrap(), before, "a refused file is not changed");
    let named: Vec<_> = check(&path).unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(named.len(), 2, "{named:?}");
    assert!(named[0].contains("the table 'copies'") && named[1].contains("the trigger 'copy'"));

    let other = Connection::open(&path).unwrap();
    other.execute_batch("DROP TRIGGER copy; DROP TABLE copies").unwrap();
    drop(other);
    drop(open(&path));
    assert_eq!(check(&path).unwrap(), []);
}

#[test]
fn a_schema_with_more_or_less_than_ours_is_damage() {
    for (change, said) in [
        ("CREATE TABLE copies AS SELECT text FROM dialog", "has the table 'copies'"),
        ("CREATE INDEX by_text ON dialog (text)", "has the index 'by_text'"),
        ("CREATE VIEW texts AS SELECT text FROM dialog", "has the view 'texts'"),
        ("DROP INDEX pending_by_date", "lacks the index 'pending_by_date'"),
        ("CREATE VIEW \"a\u{1b}[2J\" AS SELECT 1", "has the view 'a\\u{1b}[2J'"),
    ] {
        let (_folder, path) = new_path();
        drop(open(&path));
        Connection::open(&path).unwrap().execute_batch(change).unwrap();
        let found = check(&path).unwrap();
        assert_eq!(found.len(), 1, "{change}: {found:?}");
        assert!(found[0].to_string().contains(said), "{change}: {}", found[0]);
        assert!(SqliteStore::open(&path, Options::default()).is_ok(), "{change}");
    }
}

#[test]
fn a_schema_that_is_newer_than_the_program_is_refused_and_left_alone() {
    let (_folder, path) = new_path();
    drop(open(&path));
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 1_000).unwrap();
    assert!(matches!(SqliteStore::open(&path, Options::default()), Err(OpenError::NewerSchema)));
    let version: i32 = Connection::open(&path)
        .unwrap()
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    assert_eq!(version, 1_000);
}

#[test]
fn a_file_of_something_else_is_refused_and_left_alone() {
    let (folder, path) = new_path();
    let notes = "Dear diary, this is no database. ".repeat(100);
    std::fs::write(&path, &notes).unwrap();
    assert!(matches!(SqliteStore::open(&path, Options::default()), Err(OpenError::NotAStore)));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), notes);

    let other = folder.path().join("other.db");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE animals (name TEXT)").unwrap();
    let before = std::fs::read(&other).unwrap();
    assert!(matches!(SqliteStore::open(&other, Options::default()), Err(OpenError::NotAStore)));
    assert_eq!(std::fs::read(&other).unwrap(), before);
}

#[test]
fn many_may_create_one_store_at_once() {
    for _ in 0..40 {
        let (_folder, path) = new_path();
        let stores: Vec<_> = std::thread::scope(|scope| {
            let opening: Vec<_> = (0..8).map(|_| scope.spawn(|| open(&path))).collect();
            opening.into_iter().map(|opening| opening.join().unwrap()).collect()
        });
        assert_eq!(stores.len(), 8);
    }
}

#[tokio::test]
async fn what_one_store_acknowledged_the_others_on_the_file_see_at_once() {
    let (_folder, path) = new_path();
    let (one, other) = (open(&path), open(&path));
    let all = PageRequest::new(Filter::default(), Window::default()).unwrap();
    for number in 0..50 {
        let dialog = dialog(&format!("d-{number}"));
        let id = dialog.dialog_id.clone();
        one.insert(dialog.clone()).await.unwrap();
        assert!(matches!(
            other.insert(dialog.clone()).await,
            Err(StoreError::Exists { same_content: true })
        ));
        other.decide(id.clone(), Decision::Granted, Evidence::default()).await.unwrap();
        assert_eq!(one.query(&all).await.unwrap().total, Some(1));
        one.decide(id, Decision::Withdrawn, Evidence::default()).await.unwrap();
        assert_eq!(other.query(&all).await.unwrap().items, []);
        assert!(matches!(other.insert(dialog).await, Err(StoreError::Gone)));
    }
}

#[tokio::test]
async fn a_full_queue_refuses_and_loses_nothing_of_what_it_took() {
    const MORE_THAN_A_COMMIT_TAKES: usize = 1_100;
    let (_folder, path) = new_path();
    let store =
        Arc::new(SqliteStore::open(&path, Options { queue: 2, ..Options::default() }).unwrap());
    // Another connection holds the write lock: nothing can be committed.
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut waiting = Vec::new();
    let mut refused = 0;
    for number in 0..MORE_THAN_A_COMMIT_TAKES {
        let mut insert = Box::pin({
            let store = Arc::clone(&store);
            async move { store.insert(dialog(&format!("d-{number}"))).await }
        });
        match futures_util::poll!(&mut insert) {
            std::task::Poll::Ready(Err(StoreError::Overloaded { retry_after })) => {
                assert!(retry_after > Duration::ZERO);
                refused += 1;
            }
            std::task::Poll::Ready(other) => panic!("neither accepted nor refused: {other:?}"),
            std::task::Poll::Pending => waiting.push(insert),
        }
    }
    assert!(refused > 0, "one commit and two places in the queue cannot take them all");
    assert_eq!(store.activity().queue_capacity, 2);
    other.execute_batch("ROLLBACK").unwrap();
    let taken = waiting.len() as u64;
    for insert in waiting {
        insert.await.unwrap();
    }
    assert_eq!(store.stats().await.unwrap().pending, taken);
}

#[tokio::test]
async fn a_request_that_the_database_rejects_fails_alone() {
    let (_folder, path) = new_path();
    let store = open(&path);
    let other = Connection::open(&path).unwrap();
    other
        .execute_batch(
            "CREATE INDEX poison ON dialog (json(dialog_id)) WHERE dialog_id = 'poison';
             BEGIN IMMEDIATE;",
        )
        .unwrap();
    // They queue while the lock is held, and so share a transaction.
    let inserts = ["a", "poison", "b", "c"].map(|id| store.insert(dialog(id)));
    let mut inserts = inserts.map(Box::pin);
    for insert in &mut inserts {
        assert!(futures_util::poll!(insert).is_pending());
    }
    other.execute_batch("ROLLBACK").unwrap();
    let [a, poison, b, c] = futures_util::future::join_all(inserts).await.try_into().unwrap();
    assert!(matches!(poison, Err(StoreError::Backend { .. })));
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(store.stats().await.unwrap().pending, 3);
}

#[tokio::test]
async fn a_damaged_row_is_an_error_and_never_a_wrong_answer() {
    let (_folder, path) = new_path();
    let store = open(&path);
    for id in ["a", "b"] {
        store.insert(dialog(id)).await.unwrap();
        store.decide(id.parse().unwrap(), Decision::Granted, Evidence::default()).await.unwrap();
    }
    Connection::open(&path)
        .unwrap()
        .execute("UPDATE dialog SET customer_id = '' WHERE dialog_id = 'a'", ())
        .unwrap();
    let all = PageRequest::new(Filter::default(), Window::default()).unwrap();
    assert!(matches!(store.query(&all).await, Err(StoreError::Backend { .. })));
    let (anna, b) = ("anna".parse().unwrap(), "b".parse().unwrap());
    assert!(store.dialog(&anna, &b, &Reach::default()).await.is_ok());
}

#[tokio::test]
async fn a_store_held_by_another_process_is_unavailable_and_unchanged() {
    let (_folder, path) = new_path();
    let store = open(&path);
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = store.insert(dialog("d")).await;
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })));
    assert!(store.stats().await.is_ok(), "reads continue");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(store.stats().await.unwrap().pending, 0);
    store.insert(dialog("d")).await.unwrap();
}
