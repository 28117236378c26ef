//! Stores that earlier versions wrote: they open, give the same answers, and can be used further. They can be restored
//! and copied without an update in between.
//!
//! Each folder in `stores` has the files of one version of the schema and, beside each file, the answers of the
//! program that wrote it. The last program with that version made them. They never change:
//! - `store.db`: dialogs in every state, a held grant, one whose time has passed, keys;
//! - `copy.db`: a copy of a copy of `store.db`, with new events after each copy;
//! - `begun_copy.db`: a copy of `store.db` that was stopped in the middle of its rows.

mod scene;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dataapi_conformance::ManualClock;
use dataapi_core::copy::copy_store;
use dataapi_core::{
    Audit, CustomerPrefix, Date, Decision, Dialogs, Event, Evidence, Filter, Key, Keys, Language,
    Ledger, Limit, NewDialog, PageRequest, Positions, Purge, Reach, StoreError, SubjectRequest,
    Upkeep, Window,
};
use dataapi_sqlite::{
    CopySource, CopyTarget, OpenError, Options, Since, SqliteStore, check, restore,
};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::scene::go_on;

/// The versions of the schema that have a folder.
const SCHEMAS: [&str; 1] = ["schema_2"];

/// A day after the last event in any of them.
const LATER: i64 = 1_772_625_600_000_000;

/// A file of an earlier version, copied to a temporary folder.
struct Earlier {
    folder: TempDir,
    answers: String,
}

impl Earlier {
    fn new(schema: &str, name: &str) -> Self {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stores").join(schema);
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("dialogs.db");
        std::fs::copy(kept.join(name).with_extension("db"), to).unwrap();
        let answers = std::fs::read_to_string(kept.join(name).with_extension("txt"));
        Self { folder, answers: answers.unwrap_or_default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn open(&self, name: &str) -> SqliteStore {
        open(&self.path(name), LATER)
    }
}

fn open(path: &Path, at: i64) -> SqliteStore {
    let clock = Arc::new(ManualClock::starting_at(date(at)));
    SqliteStore::open(path, Options { clock, ..Options::default() }).unwrap()
}

fn date(micros: i64) -> Date {
    Date::from_micros(micros).unwrap()
}

fn dialog(name: &str) -> NewDialog {
    let language = ["en", "de", "pt-BR", "EN"][name.len() % 4];
    let whose = match name {
        "erased with its customer" => "customer of one",
        _ => ["anna", "ben", "customer-3"][name.len() % 3],
    };
    NewDialog::parse(whose, name, language, &format!("words of {name}")).unwrap()
}

fn evidence() -> Evidence {
    Evidence::parse(Some("v3".into()), Some("button".into()), Some("de".into())).unwrap()
}

/// Every id that was used in one of the stores, and one that was not.
const NAMES: [&str; 20] = [
    "pending",
    "pending too",
    "consented",
    "consented later",
    "consented long ago",
    "imported",
    "imported pending",
    "withdrawn at once",
    "withdrawn",
    "withdrawn early",
    "erased",
    "erased pending",
    "erased with its customer",
    "expired",
    "expired consented",
    "forgotten",
    "forgotten and used again",
    "held",
    "held too long",
    "never used",
];

/// All answers of a store, one line each.
async fn answers(store: &SqliteStore) -> String {
    let mut told = String::new();
    let stats = store.stats().await.unwrap();
    writeln!(
        told,
        "stats: pending {}, consented {}, withdrawn {}, erased {}, by language {:?}",
        stats.pending,
        stats.consented,
        stats.withdrawn,
        stats.erased,
        stats.consented_by_language.iter().map(|(tag, n)| (tag.as_str(), n)).collect::<Vec<_>>(),
    )
    .unwrap();

    for filter in ["all", "en", "de", "pt-BR"] {
        let of = match filter {
            "all" => Filter::default(),
            tag => Filter::default().language(tag.parse().unwrap()),
        };
        let page = store.query(&PageRequest::new(of, Window::default()).unwrap()).await.unwrap();
        writeln!(told, "page of {filter}: {:?}", page.total).unwrap();
        for dialog in page.items {
            let (id, whose) = (dialog.dialog_id().as_str(), dialog.customer_id().as_str());
            let (tag, date, text) = (dialog.language().as_str(), dialog.date(), dialog.text());
            writeln!(told, "  {id:?} of {whose:?} in {tag} at {date}: {:?}", text.as_str())
                .unwrap();
        }
    }

    for whose in ["anna", "ben", "customer-3", "customer of one"] {
        let request = SubjectRequest::new(whose.parse().unwrap(), Window::default()).unwrap();
        let page = store.subject_data(&request).await.unwrap();
        writeln!(told, "held on {whose:?}: {:?}", page.total).unwrap();
        for dialog in page.items {
            let (id, granted) = (dialog.dialog_id().as_str(), dialog.consent_received());
            let (tag, date, text) = (dialog.language().as_str(), dialog.date(), dialog.text());
            writeln!(told, "  {id:?} in {tag} at {date}, {granted}: {:?}", text.as_str()).unwrap();
        }
    }

    for name in NAMES {
        match store.consent(&name.parse().unwrap()).await {
            Ok(found) => {
                let event = found.event.map(|event| format!("{}.{}", event.chain, event.position));
                let (how, date) = (found.state, found.date);
                writeln!(told, "consent to {name:?}: {how:?} at {date} by {event:?}").unwrap();
            }
            Err(StoreError::NotFound) => writeln!(told, "consent to {name:?}: unknown").unwrap(),
            Err(error) => panic!("{name}: {error}"),
        }
    }

    let head = store.ledger_head().await.unwrap();
    writeln!(told, "ledger: {head}").unwrap();
    let events = store.events(&Positions::START, Limit::MAX, &Reach::default()).await.unwrap();
    let mut audit = Audit::new(Some(head));
    for event in &events {
        audit.check(event).unwrap();
        let Event { chain, position, reference, kind, date, evidence, hash, .. } = event;
        writeln!(
            told,
            "event {chain}.{position}: {} of {reference} at {date}, {:?}, {hash}",
            kind.name(),
            evidence.pieces(),
        )
        .unwrap();
    }
    audit.finish().unwrap();
    let changes = store.changes(&Positions::START, Limit::MAX, &Reach::default()).await.unwrap();
    for change in changes.into_iter().filter(|change| change.dialog.is_some()) {
        let id = change.dialog.map(|dialog| dialog.dialog_id().as_str().to_owned());
        writeln!(told, "change {}.{}: {id:?}", change.event.chain, change.event.position).unwrap();
    }

    for key in store.keys().await.unwrap() {
        let Key { name, grant, hash, created, expires, revoked, last_used } = key;
        let reach = grant.reach();
        let languages: Vec<_> = reach.languages().iter().map(Language::as_str).collect();
        let customers = reach.customers().map(CustomerPrefix::as_str);
        let dates = [expires, revoked, last_used].map(|date| date.map(|date| date.to_string()));
        writeln!(
            told,
            "key {name}: {} within {languages:?} and {customers:?}, {:02x?}, {created}, {dates:?}",
            grant.roles(),
            hash.as_bytes(),
        )
        .unwrap();
    }

    for which in [Purge::Pending, Purge::Consented, Purge::Tombstones] {
        for day in 0..4 {
            let before = date(LATER - day * 86_400_000_000);
            let due = store.purgeable(which, before).await.unwrap();
            writeln!(told, "purge of {which:?} before {before}: {due}").unwrap();
        }
    }
    told
}

#[tokio::test]
async fn stores_of_earlier_versions_open_and_read_as_before() {
    for (schema, name) in SCHEMAS.into_iter().flat_map(|it| [(it, "store"), (it, "copy")]) {
        let earlier = Earlier::new(schema, name);
        assert_eq!(check(&earlier.path("dialogs.db")).unwrap(), [], "{schema} {name}");
        let store = earlier.open("dialogs.db");
        let (told, before) = (answers(&store).await, &earlier.answers);
        for (now, before) in told.lines().zip(before.lines()) {
            assert_eq!(now, before, "{schema} {name}");
        }
        assert_eq!(told.lines().count(), before.lines().count(), "{schema} {name}");
        drop(store);
        assert_eq!(answers(&earlier.open("dialogs.db")).await, told, "{schema} {name}, again");
        assert_eq!(check(&earlier.path("dialogs.db")).unwrap(), [], "{schema} {name}");
    }
}

#[tokio::test]
async fn stores_of_earlier_versions_get_the_tables_of_a_new_one_and_lose_no_row() {
    for (schema, name) in SCHEMAS.into_iter().flat_map(|it| [(it, "store"), (it, "copy")]) {
        let earlier = Earlier::new(schema, name);
        let before = tables(&earlier.path("dialogs.db"));
        drop(earlier.open("dialogs.db"));
        let after = tables(&earlier.path("dialogs.db"));
        drop(earlier.open("new.db"));
        let new = tables(&earlier.path("new.db"));
        let names_and_sql = |tables: &[Table]| -> Vec<_> {
            tables.iter().map(|table| (table.name.clone(), table.sql.clone())).collect()
        };
        assert_eq!(names_and_sql(&after), names_and_sql(&new), "{schema} {name}");
        let counts = |tables: Vec<Table>| -> BTreeMap<String, i64> {
            tables.into_iter().map(|table| (now_named(table.name), table.rows)).collect()
        };
        assert_eq!(counts(before), counts(after), "{schema} {name}");
    }
}

#[tokio::test]
async fn stores_of_earlier_versions_do_not_know_of_a_scrub_until_there_is_one() {
    for schema in SCHEMAS {
        let earlier = Earlier::new(schema, "store");
        let store = earlier.open("dialogs.db");
        assert_eq!(store.info().await.unwrap().last_scrub, None, "{schema}");
        store.decide("consented".parse().unwrap(), Decision::Withdrawn, evidence()).await.unwrap();
        store.scrub().await.unwrap();
        drop(store);
        let told = earlier.open("dialogs.db").info().await.unwrap();
        assert_eq!(told.last_scrub, Some(date(LATER)), "{schema}");
    }
}

/// A table or an index in a file.
struct Table {
    name: String,
    sql: Option<String>,
    rows: i64,
}

fn tables(path: &Path) -> Vec<Table> {
    let connection = Connection::open(path).unwrap();
    let mut select =
        connection.prepare("SELECT name, sql, tbl_name FROM sqlite_schema ORDER BY name").unwrap();
    let tables = select.query_map((), |row| {
        let of: String = row.get(2)?;
        let count = format!("SELECT count(*) FROM {of}");
        let rows = connection.query_row(&count, (), |row| row.get(0))?;
        Ok(Table { name: row.get(0)?, sql: row.get(1)?, rows })
    });
    tables.unwrap().collect::<Result<_, _>>().unwrap()
}

/// The current name of a table of an earlier version.
fn now_named(name: String) -> String {
    match name.as_str() {
        "past_chain" => "copied_chain".to_owned(),
        "transfer" => "copy".to_owned(),
        "pending_by_customer" => "pending_by_block".to_owned(),
        _ => name,
    }
}

#[tokio::test]
async fn stores_of_earlier_versions_go_on_from_where_they_were() {
    for (schema, name, chain) in
        SCHEMAS.into_iter().flat_map(|it| [(it, "store", 0), (it, "copy", 2)])
    {
        let earlier = Earlier::new(schema, name);
        let store = earlier.open("dialogs.db");
        let before = store.ledger_head().await.unwrap().positions;
        assert!(store.insert(dialog("held")).await.unwrap().is_consented, "by the held grant");
        assert!(!store.insert(dialog("held too long")).await.unwrap().is_consented);
        for gone in ["erased pending", "expired", "withdrawn early"] {
            let refused = store.insert(dialog(gone)).await;
            assert!(matches!(refused, Err(StoreError::Gone)), "{name}: {gone}: {refused:?}");
        }
        store.insert(dialog("forgotten")).await.expect("as if its id was never used");
        let refused = store.insert(dialog("consented")).await;
        assert!(matches!(refused, Err(StoreError::Exists { same_content: true })), "{refused:?}");

        let id = "consented".parse().unwrap();
        let first = store.consent(&id).await.unwrap().event;
        let again = store.decide(id, Decision::Granted, Evidence::default()).await.unwrap();
        assert_eq!(Some(again.event), first, "the first receipt is kept");
        for (id, decision) in [("pending too", Decision::Granted), ("held", Decision::Withdrawn)] {
            let event =
                store.decide(id.parse().unwrap(), decision, evidence()).await.unwrap().event;
            assert_eq!(event.chain, chain, "{name}: {id}");
            assert!(event.position > before.of(chain), "{name}: {id}");
        }

        let now = date(LATER);
        let due = store.purgeable(Purge::Tombstones, now).await.unwrap();
        let stats = store.stats().await.unwrap();
        assert_eq!(due, stats.withdrawn + stats.erased - 1, "{name}: all but the one of now");
        assert_eq!(store.purge(Purge::Tombstones, now, 1_000).await.unwrap(), due, "{name}");
        store.scrub().await.unwrap();
        answers(&store).await;
        drop(store);
        assert_eq!(check(&earlier.path("dialogs.db")).unwrap(), [], "{schema} {name}");
    }
}

#[tokio::test]
async fn stores_of_earlier_versions_are_restored_put_back_and_copied() {
    for (schema, name) in SCHEMAS.into_iter().flat_map(|it| [(it, "store"), (it, "copy")]) {
        let earlier = Earlier::new(schema, name);
        let (backup, restored) = (earlier.path("dialogs.db"), earlier.path("restored.db"));
        let accepted = Since::ResurrectionAccepted;
        restore(&backup, &restored, accepted, &mut go_on()).unwrap();
        assert_eq!(check(&restored).unwrap(), [], "{schema} {name}");
        let without_keys = |told: &str| {
            let lines = told.lines().filter(|line| !line.starts_with("key "));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        let store = earlier.open("restored.db");
        assert_eq!(without_keys(&answers(&store).await), without_keys(&earlier.answers));
        assert!(store.keys().await.unwrap().iter().all(|key| key.revoked.is_some()));
        let back = store.put_back(&backup, &mut go_on()).await.unwrap();
        let stats = store.stats().await.unwrap();
        assert_eq!(back.already_there, stats.pending + stats.consented, "{schema} {name}");
        assert_eq!(back.restored, 0);

        copy(&backup, &earlier.path("copied.db")).await;
        assert_eq!(answers(&earlier.open("copied.db")).await, earlier.answers, "{schema} {name}");
    }
}

#[tokio::test]
async fn a_copy_that_an_earlier_version_began_goes_on_to_its_end() {
    for schema in SCHEMAS {
        let (source, begun) = (Earlier::new(schema, "store"), Earlier::new(schema, "begun_copy"));
        let path = begun.path("dialogs.db");
        let refused = SqliteStore::open(&path, Options::default());
        assert!(matches!(refused, Err(OpenError::Unfinished)), "{schema}: {refused:?}");
        assert!(matches!(check(&path), Err(OpenError::Unfinished)), "{schema}");
        let steps = copy(&source.path("dialogs.db"), &path).await;
        let whole = copy(&source.path("dialogs.db"), &source.path("whole.db")).await;
        assert!(steps < whole, "{schema}: it continues where it stopped");
        assert_eq!(answers(&begun.open("dialogs.db")).await, source.answers, "{schema}");
    }
}

/// Copies a store, and returns in how many steps.
async fn copy(from: &Path, to: &Path) -> usize {
    let mut source = CopySource::open(from).unwrap();
    let mut target = CopyTarget::open(to).unwrap();
    let mut steps = 0;
    let mut watch = |_, _, _| {
        steps += 1;
        ControlFlow::Continue(())
    };
    copy_store(&mut source, &mut target, &mut watch).await.unwrap();
    steps
}
