//! A copied store continues where the old one was, for any pair of backends.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use dataapi::{
    Audit, Copied, CopyError, Decision, DialogId, DialogStore, Evidence, LedgerHead, Limit,
    NewDialog, OpenOptions, Positions, Reach,
};
use dataapi_conformance::model::copied_stores_go_on_like_the_reference_model;
use dataapi_conformance::{CopyHarness, Fixture, Harness, ManualClock};
use tempfile::TempDir;

/// A kind of store that the tests can make.
#[derive(Clone, Copy)]
enum Kind {
    Sqlite,
    /// With this many shards.
    Postgres(u16),
}

impl Kind {
    /// A place without a store.
    fn location(self) -> Location {
        match self {
            Self::Sqlite => {
                let folder = tempfile::tempdir().expect("a temporary folder");
                let url = format!("sqlite:{}", folder.path().join("dialogs.db").display());
                Location { url, _folder: Some(folder) }
            }
            Self::Postgres(_) => Location { url: postgres_cluster::new_database(), _folder: None },
        }
    }

    fn shards(self) -> u16 {
        match self {
            Self::Sqlite => 1,
            Self::Postgres(shards) => shards,
        }
    }

    fn is_available(self) -> bool {
        matches!(self, Self::Sqlite) || postgres_cluster::available()
    }
}

/// The place of a store, and the folder that contains it.
#[derive(Default)]
struct Location {
    url: String,
    _folder: Option<TempDir>,
}

/// Copies stores of one kind to stores of another.
struct Copies {
    from: Kind,
    to: Kind,
    /// The place of the store that was made last.
    location: Mutex<Location>,
}

impl Copies {
    fn new(from: Kind, to: Kind) -> Self {
        Self { from, to, location: Mutex::default() }
    }

    async fn open(&self, kind: Kind, location: Location, clock: ManualClock) -> Fixture {
        let options = OpenOptions::default().shards(kind.shards()).clock(Arc::new(clock));
        let store = options.open(&location.url).await.expect("a store");
        *self.location.lock().expect("no panic before") = location;
        Fixture::shared(store)
    }
}

#[async_trait]
impl Harness for Copies {
    async fn fresh(&self, clock: ManualClock) -> Fixture {
        self.open(self.from, self.from.location(), clock).await
    }

    fn is_available(&self) -> bool {
        self.from.is_available() && self.to.is_available()
    }
}

#[async_trait]
impl CopyHarness for Copies {
    fn harness(&self) -> &dyn Harness {
        self
    }

    async fn copied(&self, fixture: Fixture, clock: ManualClock) -> Fixture {
        let old = fixture.store().ledger_head().await.expect("a head");
        drop(fixture);
        let source = std::mem::take(&mut *self.location.lock().expect("no panic before"));
        let target = self.to.location();
        let copied = copy(&source.url, &target.url, self.to.shards()).await.expect("a copy");
        assert_eq!(copied.head, old);
        let fixture = self.open(self.to, target, clock).await;
        assert_eq!(fixture.store().ledger_head().await.expect("a head"), old);
        fixture
    }
}

async fn copy(from: &str, to: &str, shards: u16) -> Result<Copied, CopyError> {
    dataapi::copy(from, to, shards, &mut |_, _, _| ControlFlow::Continue(())).await
}

#[test]
fn from_a_file_to_a_file() {
    copied_stores_go_on_like_the_reference_model(&Copies::new(Kind::Sqlite, Kind::Sqlite));
}

#[test]
fn from_a_file_to_postgresql() {
    copied_stores_go_on_like_the_reference_model(&Copies::new(Kind::Sqlite, Kind::Postgres(4)));
}

#[test]
fn from_postgresql_to_a_file() {
    copied_stores_go_on_like_the_reference_model(&Copies::new(Kind::Postgres(3), Kind::Sqlite));
}

#[test]
fn from_postgresql_to_one_of_more_shards() {
    copied_stores_go_on_like_the_reference_model(&Copies::new(
        Kind::Postgres(2),
        Kind::Postgres(5),
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn there_and_back_again_the_ledger_and_its_chains_stay_what_they_were() {
    postgres_cluster::skip_without_postgres!();
    let kinds = [Kind::Sqlite, Kind::Postgres(3), Kind::Sqlite, Kind::Postgres(2)];
    let stores: Vec<_> = kinds.iter().map(|kind| (*kind, kind.location())).collect();
    let mut seen = Vec::new();
    for (number, (kind, Location { url, .. })) in stores.iter().enumerate() {
        if let Some((_, before)) = number.checked_sub(1).map(|before| &stores[before]) {
            copy(&before.url, url, kind.shards()).await.expect("a copy");
        }
        let store = OpenOptions::default().shards(kind.shards()).open(url).await.expect("a store");
        // Every head noted on the way is still valid.
        for head in &seen {
            audit(&*store, head).await;
        }
        for name in 0..20 {
            let id: DialogId = format!("{number}-{name}").parse().expect("an id");
            let dialog = NewDialog::parse("anna", id.as_str(), "en", "words").expect("a dialog");
            store.insert(dialog).await.expect("a new id");
            let evidence = Evidence::default;
            store.decide(id.clone(), Decision::Granted, evidence()).await.expect("a grant");
            // Withdraws a dialog that was consented in each of the earlier stores.
            for earlier in (0..number).filter(|earlier| earlier * 4 + number == name) {
                let id = format!("{earlier}-{name}").parse().expect("an id");
                store.decide(id, Decision::Withdrawn, evidence()).await.expect("a withdrawal");
            }
        }
        seen.push(store.ledger_head().await.expect("a head"));
    }
    let chains: Vec<_> = seen.iter().map(|head| head.positions.chains().count()).collect();
    assert!(chains.is_sorted() && chains[3] > 4, "{chains:?}");
}

/// Audits the whole ledger, which must contain that head.
async fn audit(store: &dyn DialogStore, noted: &LedgerHead) {
    let mut audit = Audit::new(Some(noted.clone()));
    let mut seen = Positions::START;
    loop {
        let events = store.events(&seen, Limit::MAX, &Reach::default()).await.expect("events");
        if events.is_empty() {
            break;
        }
        for event in &events {
            audit.check(event).expect("the chain is whole");
            seen.pass(event);
        }
    }
    audit.finish().expect("the head is in it");
}

#[tokio::test]
async fn what_cannot_be_copied_or_copied_over_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = |name: &str| format!("sqlite:{}", folder.path().join(name).display());
    drop(dataapi::open(&url("a.db")).await.expect("a store"));
    drop(dataapi::open(&url("b.db")).await.expect("a store"));
    for (from, to) in [
        (url("missing.db"), url("new.db")),
        ("memory:".to_owned(), url("new.db")),
        (url("a.db"), "memory:".to_owned()),
        (url("a.db"), url("b.db")),
        (url("a.db"), url("a.db")),
        (url("a.db"), "elsewhere:".to_owned()),
    ] {
        let refused = copy(&from, &to, 1).await;
        assert!(
            matches!(refused, Err(CopyError::Source(_) | CopyError::Target(_))),
            "{from} {to}: {refused:?}"
        );
    }
    assert!(!folder.path().join("new.db").exists());
}
