//! Damaged files: the damage is reported, and a store never gives a wrong answer because of it.
//!
//! `DATAAPI_DAMAGE_CASES` sets how many files are damaged, `DATAAPI_DAMAGE_SEED` sets where.

mod scene;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use dataapi_core::{
    Audit, BrokenChain, ConsentStatus, Decision, Dialogs, Event, Evidence, Filter, ImportedDialog,
    Key, Keys, Ledger, Limit, NewDialog, PageRequest, Positions, Reach, Start, StoreError, Upkeep,
    Window,
};
use dataapi_sqlite::{Damage, Options, SqliteStore, check};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use rusqlite::Connection;
use tokio::runtime::Runtime;

use crate::scene::{choices, create_keys, from_env};

fn open(path: &Path) -> Result<SqliteStore, dataapi_sqlite::OpenError> {
    SqliteStore::open(path, Options { create: false, ..Options::default() })
}

fn text(number: usize) -> String {
    format!("words {number} {}", "and more ".repeat(number % 40))
}

/// A closed store with dialogs in every state.
fn fill(path: &Path) {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let store = SqliteStore::open(path, Options::default()).unwrap();
        let imported = |number: usize| ImportedDialog {
            dialog: NewDialog::parse("anna", &format!("d-{number}"), "en", &text(number)).unwrap(),
            date: None,
            consented: !number.is_multiple_of(4),
        };
        store.import((0..400).map(imported).collect()).await.unwrap();
        create_keys(&store, &["analyst", "left"]).await;
        assert!(store.revoke_key(&"left".parse().unwrap()).await.unwrap());
        for number in (0..400).step_by(10) {
            let id = format!("d-{number}").parse().unwrap();
            store.decide(id, Decision::Withdrawn, Evidence::default()).await.unwrap();
        }
    });
}

#[test]
fn a_whole_store_has_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dialogs.db");
    drop(SqliteStore::open(&path, Options::default()).unwrap());
    assert_eq!(check(&path).unwrap(), []);
    fill(&path);
    assert_eq!(check(&path).unwrap(), []);
    let store = open(&path).unwrap();
    assert_eq!(check(&path).unwrap(), [], "also while it is in use");
    drop(store);
}

#[test]
fn what_was_changed_by_hand_is_told() {
    type Expected = fn(&Damage) -> bool;
    let cases: [(&str, Expected); 11] = [
        ("UPDATE store SET pending = pending + 1", |damage| {
            matches!(damage, Damage::Count { what: "pending dialogs", .. })
        }),
        (
            "UPDATE consented_count SET n = n - 1 WHERE customer_id = '' AND language = ''",
            |damage| matches!(damage, Damage::Count { what: "consented dialogs", .. }),
        ),
        ("DELETE FROM tombstone", |damage| {
            matches!(damage, Damage::Count { what: "tombstones", .. })
        }),
        ("UPDATE dialog SET granted = 1 WHERE seq = 9", |damage| *damage == Damage::Dialogs(1)),
        ("UPDATE dialog SET text = text || ' and more' WHERE seq IN (9, 10)", |damage| {
            *damage == Damage::Dialogs(2)
        }),
        ("UPDATE api_key SET roles = 16", |damage| *damage == Damage::Keys),
        ("UPDATE api_key SET revoked = NULL", |damage| *damage == Damage::Keys),
        ("UPDATE tombstone SET position = position - 1", |damage| {
            *damage == Damage::Tombstones(40)
        }),
        ("UPDATE event SET kind = 4 WHERE position = 3", |damage| *damage == Damage::Consent(1)),
        ("UPDATE event SET date = date + 1 WHERE position = 7", |damage| {
            *damage == Damage::Ledger(BrokenChain::Link { chain: 0, position: 7 })
        }),
        ("UPDATE dialog SET granted = NULL WHERE seq = 10", |damage| {
            matches!(damage, Damage::Count { .. })
        }),
    ];
    for (sql, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dialogs.db");
        fill(&path);
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let found = check(&path).unwrap();
        assert!(found.iter().any(expected), "{sql}: {found:?}");
    }
}

/// The answers of a store: each readable dialog with its text, the status of each dialog, the ledger, and the keys.
#[derive(Default)]
struct Answers {
    texts: BTreeMap<String, String>,
    standings: BTreeMap<String, Option<ConsentStatus>>,
    events: Vec<Event>,
    keys: Vec<Key>,
}

/// Reads everything from a store, and leaves out what is answered with an error.
async fn ask(store: &SqliteStore) -> Answers {
    let mut answers = Answers::default();
    let mut window = Window { limit: Limit::new(7).unwrap(), ..Window::default() };
    // Damage could make the pages go round in a circle.
    for _ in 0..100 {
        let request = PageRequest::new(Filter::default(), window.clone()).unwrap();
        let Ok(page) = store.query(&request).await else { break };
        for dialog in page.items {
            let (id, text) = (dialog.dialog_id().as_str(), dialog.text().as_str());
            answers.texts.insert(id.to_owned(), text.to_owned());
        }
        let Some(next) = page.next else { break };
        window.start = Start::After(next);
    }
    for number in 0..400 {
        let id = format!("d-{number}");
        let status = match store.consent(&id.parse().unwrap()).await {
            Ok(status) => Some(status),
            Err(StoreError::NotFound) => None,
            Err(_) => continue,
        };
        let (customer, dialog) = ("anna".parse().unwrap(), id.parse().unwrap());
        if let Ok(dialog) = store.dialog(&customer, &dialog, &Reach::default()).await {
            answers.texts.insert(id.clone(), dialog.text().as_str().to_owned());
        }
        answers.standings.insert(id, status);
    }
    answers.keys = store.keys().await.unwrap_or_default();
    answers.events =
        store.events(&Positions::START, Limit::MAX, &Reach::default()).await.unwrap_or_default();
    answers
}

/// Checks that every answer is right. A dialog can be missing if the path to it is damaged.
fn compare(answers: &Answers, right: &Answers) {
    for (id, text) in &answers.texts {
        assert_eq!(Some(text), right.texts.get(id), "the text of {id}");
    }
    for (id, status) in answers.standings.iter().filter(|(_, status)| status.is_some()) {
        assert_eq!(status, &right.standings[id], "the status of {id}");
    }
    for key in &answers.keys {
        assert!(right.keys.contains(key), "a key is unchanged");
    }
    let mut audit = Audit::new(None);
    let whole = answers.events.iter().all(|event| audit.check(event).is_ok());
    let same = answers.events.iter().zip(&right.events).all(|(event, right)| event == right);
    assert!(same || !whole, "an audit finds changed events");
}

/// Changes one bit or many bytes, and returns which.
fn damage(bytes: &mut [u8], choices: &mut ChaCha8Rng) -> String {
    let at = usize::try_from(choices.next_u64()).unwrap() % bytes.len();
    if choices.next_u32().is_multiple_of(2) {
        let bit = choices.next_u32() % 8;
        bytes[at] ^= 1 << bit;
        return format!("bit {bit} of byte {at}");
    }
    let length = 1 + usize::try_from(choices.next_u32()).unwrap() % 600;
    for byte in bytes.iter_mut().skip(at).take(length) {
        *byte = u8::try_from(choices.next_u32() % 256).unwrap();
    }
    format!("{length} bytes from {at} on")
}

#[test]
fn a_file_damaged_anywhere_is_never_answered_from_wrongly_and_panics_nowhere() {
    let cases = from_env("DATAAPI_DAMAGE_CASES");
    let mut choices = choices("DATAAPI_DAMAGE_SEED");
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole.db");
    fill(&whole);
    let runtime = Runtime::new().unwrap();
    let right = runtime.block_on(ask(&open(&whole).unwrap()));
    assert_eq!((right.texts.len(), right.standings.len()), (280, 400), "the scene is whole");
    // The copy has the same events in a copied chain.
    let copy = folder.path().join("copy.db");
    runtime.block_on(scene::copy(&whole, &copy)).unwrap();
    let bytes = [whole, copy].map(|path| std::fs::read(path).unwrap());
    for case in 0..cases.unwrap_or(60_u32) {
        let path = folder.path().join(format!("damaged-{case}.db"));
        let mut damaged = bytes[case as usize % 2].clone();
        let what = damage(&mut damaged, &mut choices);
        std::fs::write(&path, damaged).unwrap();
        let survived = catch_unwind(AssertUnwindSafe(|| {
            drop(check(&path));
            let Ok(store) = open(&path) else { return };
            runtime.block_on(async {
                compare(&ask(&store).await, &right);
                let _ = store.stats().await;
                let new = NewDialog::parse("ben", "new", "en", "words").unwrap();
                let _ = store.insert(new).await;
                let id = "d-1".parse().unwrap();
                let _ = store.decide(id, Decision::Withdrawn, Evidence::default()).await;
                let _ = store.ready().await;
            });
        }));
        assert!(survived.is_ok(), "case {case}: {what}");
        for file in dataapi_sqlite::files(&path).unwrap_or_default() {
            std::fs::remove_file(file).unwrap();
        }
    }
}
