//! Stores that earlier schema versions made can be opened and return the same answers.
//!
//! Each schema version has a folder in `tests/stores/`. `store.sql` is a store as `pg_dump` wrote it,
//! `copy_in_progress.sql` is an unfinished copy of that store, and `reads.txt` contains the answers of that version to
//! all reads.

use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use dataapi_conformance::ManualClock;
use dataapi_conformance::scene::{audited, grant, withdraw, worded};
use dataapi_core::copy::{Copied, IncompleteCopy, copy_store};
use dataapi_core::{
    Clock, CustomerId, CustomerPrefix, Date, Decision, DialogId, DialogStore, Dialogs, Event,
    Evidence, Filter, Grant, HeldDialog, ImportedDialog, KeySecret, Keys, Language, Limit, NewKey,
    PageRequest, Positions, Purge, Reach, Roles, StoreError, SubjectRequest, Upkeep, Window,
};
use dataapi_postgres::{CopySource, CopyTarget, OpenError, Options, PostgresStore};
use postgres_cluster::{new_database, shared, skip_without_postgres};

const IDS: [&str; 13] = [
    "pending",
    "granted",
    "refused",
    "withdrawn",
    "erased",
    "expired",
    "imported",
    "imported-granted",
    "early-granted",
    "early-refused",
    "early-then-inserted",
    "since-granted",
    "absent",
];

const CUSTOMERS: [&str; 3] = ["anna", "ben", "zoë"];

/// Returns the folder of a schema version.
fn folder(version: usize) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/stores/version_{version}"))
}

fn stored(version: usize, name: &str) -> String {
    std::fs::read_to_string(folder(version).join(name)).expect("a file in tests/stores")
}

/// Shortly after the last event of the stores, so that held grants are still held.
fn clock() -> ManualClock {
    let date = Date::from_micros(1_772_366_400_123_456).expect("a date");
    ManualClock::starting_at(date.saturating_add(std::time::Duration::from_secs(10 * 60)))
}

async fn open(url: &str) -> Result<PostgresStore, OpenError> {
    PostgresStore::open(url, Options { clock: Arc::new(clock()), ..Options::default() }).await
}

/// Returns the answers of a store to all reads, in a format that does not depend on the version.
async fn reads(store: &dyn DialogStore) -> String {
    let mut told = String::new();
    // Writing to a string never fails.
    macro_rules! tell {
        ($($words:tt)*) => {{
            let _ = writeln!(told, $($words)*);
        }};
    }
    for name in IDS {
        let id: DialogId = name.parse().expect("an id");
        match store.consent(&id).await {
            Ok(status) => {
                tell!("consent {name}: {:?} {}", status.state, status.date);
                if let Some(event) = status.event {
                    tell!("  by {}", told_event(&event));
                }
            }
            Err(StoreError::NotFound) => tell!("consent {name}: not found"),
            Err(error) => panic!("{error:?}"),
        }
    }
    let all = Window { limit: Limit::MAX, ..Window::default() };
    let language = |tag: &str| tag.parse::<Language>().expect("a tag");
    let customer = |id: &str| id.parse::<CustomerId>().expect("an id");
    for (name, filter) in [
        ("all", Filter::default()),
        ("en", Filter::default().language(language("en"))),
        ("pt-BR", Filter::default().language(language("pt-BR"))),
        ("anna", Filter::default().customer(customer("anna"))),
    ] {
        let request = PageRequest::new(filter, all.clone()).expect("a request");
        let page = store.query(&request).await.expect("a page");
        tell!("page {name}: {:?}", page.total);
        for dialog in page.items {
            tell!(
                "  {:?} {:?} {:?} {:?} {}",
                dialog.dialog_id().as_str(),
                dialog.customer_id().as_str(),
                dialog.language().as_str(),
                dialog.text().as_str(),
                dialog.date()
            );
        }
    }
    for whose in CUSTOMERS {
        let request = SubjectRequest::new(customer(whose), all.clone()).expect("a request");
        let page = store.subject_data(&request).await.expect("a page");
        tell!("held on {whose}: {:?}", page.total);
        for held in page.items {
            tell!("  {}", told_held(&held));
        }
    }
    let head = store.ledger_head().await.expect("a head");
    tell!("ledger {head}");
    for event in audited(store, None).await {
        tell!("  {}", told_event(&event));
    }
    let changes = store.changes(&Positions::START, Limit::MAX, &Reach::default()).await;
    for change in changes.expect("changes") {
        if let Some(dialog) = change.dialog {
            tell!(
                "change {} {}: {:?}",
                change.event.chain,
                change.event.position,
                dialog.text().as_str()
            );
        }
    }
    for key in store.keys().await.expect("keys") {
        let reach = key.grant.reach();
        let languages: Vec<_> = reach.languages().iter().map(Language::as_str).collect();
        tell!(
            "key {}: {} {languages:?} {:?} {} {:?} {:?} {:?}",
            key.name,
            key.grant.roles(),
            reach.customers().map(CustomerPrefix::as_str),
            key.created,
            key.expires.map(|date| date.to_string()),
            key.revoked.map(|date| date.to_string()),
            key.last_used.map(|date| date.to_string()),
        );
    }
    let stats = store.stats().await.expect("counts");
    tell!("counts: {} {} {} {}", stats.pending, stats.consented, stats.withdrawn, stats.erased);
    for (language, count) in stats.consented_by_language {
        tell!("  {:?} {count}", language.as_str());
    }
    told
}

fn told_event(event: &Event) -> String {
    let [notice, method, locale] = event.evidence.pieces();
    format!(
        "{}.{} {} {} {} {notice:?} {method:?} {locale:?} {}",
        event.chain,
        event.position,
        event.reference,
        event.kind.code(),
        event.date,
        event.hash
    )
}

fn told_held(held: &HeldDialog) -> String {
    format!(
        "{:?} {:?} {:?} {} {}",
        held.dialog_id().as_str(),
        held.language().as_str(),
        held.text().as_str(),
        held.date(),
        held.consent_received()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_of_earlier_versions_open_and_read_as_before() {
    skip_without_postgres!();
    let cluster = shared();
    for version in [2] {
        let url = new_database();
        cluster.sql(&url, &stored(version, "store.sql")).expect("a store");
        let store = open(&url).await.expect("it opens");
        assert_eq!(reads(&store).await, stored(version, "reads.txt"), "version {version}");

        // It accepts the same writes.
        let early = worded("anna", "early-granted", "en", "words");
        assert!(store.insert(early).await.expect("a new id").is_consented);
        let gone = worded("anna", "withdrawn", "en", "words");
        assert!(matches!(store.insert(gone).await, Err(StoreError::Gone)));
        grant(&store, "pending").await;
        assert_eq!(store.erase_customer(&parsed("anna")).await.expect("it is erased"), 4);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_that_earlier_versions_began_are_gone_on_with() {
    skip_without_postgres!();
    let cluster = shared();
    for (version, is_opened_before) in [(2, false), (2, true)] {
        let [from, to] = ["store.sql", "copy_in_progress.sql"].map(|file| {
            let url = new_database();
            cluster.sql(&url, &stored(version, file)).expect("a store");
            url
        });
        if is_opened_before {
            let unfinished = open(&to).await;
            assert!(matches!(unfinished, Err(OpenError::Unfinished)), "{unfinished:?}");
        }
        copy_until(&from, &to, usize::MAX).await.expect("a copy");
        let store = open(&to).await.expect("a store");
        assert_eq!(reads(&store).await, stored(version, "reads.txt"), "version {version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_of_earlier_versions_are_never_copied_over() {
    skip_without_postgres!();
    let cluster = shared();
    for version in [2] {
        let url = new_database();
        cluster.sql(&url, &stored(version, "store.sql")).expect("a store");
        let refused = CopyTarget::open(&url, 2).await;
        assert!(matches!(refused, Err(OpenError::IsThere)), "{refused:?}");
    }
}

/// Makes the files of the current schema version, to be kept when a later version replaces it.
#[ignore = "writes into tests/stores"]
#[tokio::test(flavor = "multi_thread")]
async fn record() {
    let cluster = shared();
    let [older, url, copy] = std::array::from_fn(|_| new_database());
    let clock = ManualClock::starting_at(Date::from_micros(1_772_366_400_123_456).expect("a date"));
    let options = || Options { clock: Arc::new(clock.clone()), shards: 2, ..Options::default() };
    let tick = || clock.advance(Duration::from_secs(1));

    // A store that is a copy has the chains of its source and its own.
    let store = PostgresStore::open(&older, options()).await.expect("a store");
    for (whose, id) in [
        ("anna", "granted"),
        ("ben", "refused"),
        ("anna", "withdrawn"),
        ("ben", "erased"),
        ("zoë", "since-granted"),
    ] {
        tick();
        let text = format!("The text of {id}");
        let language = if whose == "ben" { "pt-BR" } else { "en" };
        store.insert(worded(whose, id, language, &text)).await.expect("new");
    }
    let evidence = || {
        let [notice, method, locale] =
            ["notice 7", "button", "en-GB"].map(|it| Some(it.to_owned()));
        Evidence::parse(notice, method, locale).expect("evidence")
    };
    for id in ["granted", "withdrawn", "erased"] {
        tick();
        store.decide(parsed(id), Decision::Granted, evidence()).await.expect("a grant");
    }
    tick();
    withdraw(&store, "refused").await;
    drop(store);
    copy_until(&older, &url, usize::MAX).await.expect("a copy");

    let store = PostgresStore::open(&url, options()).await.expect("a store");
    tick();
    store.decide(parsed("withdrawn"), Decision::Withdrawn, evidence()).await.expect("a withdrawal");
    store.decide(parsed("since-granted"), Decision::Granted, evidence()).await.expect("a grant");
    store.erase_dialog(&parsed("ben"), &parsed("erased")).await.expect("it is erased");
    let dialog = |whose, id: &str| worded(whose, id, "EN", &format!("The text of {id}"));
    store.insert(dialog("ben", "expired")).await.expect("a new id");
    tick();
    assert_eq!(store.purge(Purge::Pending, clock.now(), 10).await.expect("a purge"), 1);
    let earlier = Some(clock.now().saturating_sub(Duration::from_secs(100 * 3_600)));
    let imported =
        |id, consented| ImportedDialog { dialog: dialog("zoë", id), date: earlier, consented };
    let batch = vec![imported("imported", false), imported("imported-granted", true)];
    assert!(store.import(batch).await.expect("an import").iter().all(Result::is_ok));
    for (id, decision) in [
        ("early-granted", Decision::Granted),
        ("early-refused", Decision::Withdrawn),
        ("early-then-inserted", Decision::Granted),
    ] {
        tick();
        let hold_for = Duration::from_secs(10 * 3_600);
        store.decide_early(parsed(id), decision, evidence(), hold_for).await.expect("a decision");
    }
    tick();
    store.insert(dialog("anna", "early-then-inserted")).await.expect("a new id");
    store.insert(dialog("anna", "pending")).await.expect("a new id");
    let reach = Reach::default().only_languages(vec![parsed("en")]).expect("a reach");
    let reach = reach.only_customers(parsed("an"));
    for (name, grant) in [
        ("bound", Grant::new(parsed("read"), reach).expect("a grant")),
        ("revoked", parsed::<Roles>("ingest,consent").into()),
    ] {
        let hash = KeySecret::from_bytes([7; 32]).hash();
        let expires =
            (name == "bound").then(|| clock.now().saturating_add(Duration::from_secs(3_600)));
        let key = NewKey { name: parsed(name), grant, hash, expires };
        store.create_key(key).await.expect("a key");
        tick();
    }
    store.revoke_key(&parsed("revoked")).await.expect("it is revoked");
    store.note_key_use(vec![(parsed("bound"), clock.now())]).await.expect("it is noted");
    let told = reads(&store).await;
    drop(store);
    let stopped = copy_until(&url, &copy, 2).await;
    assert!(matches!(stopped, Err(IncompleteCopy::Stopped)), "{stopped:?}");

    let version =
        cluster.sql(&url, "SELECT max(version) FROM dataapi.migration").expect("a version");
    let folder = folder(version.parse().expect("a number"));
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("reads.txt"), told).expect("a file");
    for (url, file) in [(&url, "store.sql"), (&copy, "copy_in_progress.sql")] {
        let dump = Command::new(cluster.binaries().folder().join("pg_dump"))
            .args(["--schema=dataapi", "--no-owner", "--no-privileges", "--inserts", url])
            .output()
            .expect("pg_dump runs");
        assert!(dump.status.success(), "{dump:?}");
        let dump = String::from_utf8(dump.stdout).expect("UTF-8");
        // Removes lines that only psql understands and those that name the version of pg_dump.
        let lines = dump
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with("--") && !line.starts_with('\\'));
        let lines: Vec<_> = lines.collect();
        std::fs::write(folder.join(file), lines.join("\n") + "\n").expect("a file");
    }
}

fn parsed<T: FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a valid value")
}

/// Copies up to this many steps.
async fn copy_until(from: &str, to: &str, stop: usize) -> Result<Copied, IncompleteCopy> {
    let mut source = CopySource::open(from).await.expect("a source");
    let mut target = CopyTarget::open(to, 2).await.expect("a target");
    let mut steps = 0;
    let watch = &mut |_, _, _| {
        steps += 1;
        if steps > stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    copy_store(&mut source, &mut target, watch).await
}
