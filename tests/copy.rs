//! A store that is copied goes on in the new one as if nothing had been, whatever the two backends.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use dataapi::{CopyError, OpenOptions, Transferred};
use dataapi_conformance::model::moved_stores_go_on_like_the_reference_model;
use dataapi_conformance::{Fixture, Harness, ManualClock, Movable};
use tempfile::TempDir;

/// A kind of store, of which new ones can be made.
#[derive(Clone, Copy)]
enum Kind {
    Sqlite,
    /// Of so many shards.
    Postgres(u16),
}

impl Kind {
    /// A place without a store, and what it lies in.
    fn place(self) -> (String, Option<TempDir>) {
        match self {
            Self::Sqlite => {
                let folder = tempfile::tempdir().expect("a temporary folder");
                (format!("sqlite:{}", folder.path().join("dialogs.db").display()), Some(folder))
            }
            Self::Postgres(_) => {
                let cluster = postgres_cluster::shared().expect("PostgreSQL is there");
                (cluster.new_database().expect("a database"), None)
            }
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

/// Where the store of the fixture is that was made last, and what that lies in.
type Place = Mutex<(String, Option<TempDir>)>;

/// Stores of one kind that move into one of another.
struct Move {
    from: Kind,
    to: Kind,
    place: Place,
}

impl Move {
    fn new(from: Kind, to: Kind) -> Self {
        Self { from, to, place: Mutex::default() }
    }

    async fn open(
        &self,
        kind: Kind,
        place: (String, Option<TempDir>),
        clock: ManualClock,
    ) -> Fixture {
        let options = OpenOptions::default().shards(kind.shards()).clock(Arc::new(clock));
        let store = options.open(&place.0).await.expect("a store");
        *self.place.lock().expect("no panic before") = place;
        Fixture::shared(store)
    }
}

#[async_trait]
impl Harness for Move {
    async fn fresh(&self, clock: ManualClock) -> Fixture {
        self.open(self.from, self.from.place(), clock).await
    }

    fn is_available(&self) -> bool {
        self.from.is_available() && self.to.is_available()
    }
}

#[async_trait]
impl Movable for Move {
    fn harness(&self) -> &dyn Harness {
        self
    }

    async fn moved(&self, fixture: Fixture, clock: ManualClock) -> Fixture {
        let old = fixture.store().ledger_head().await.expect("a head");
        drop(fixture);
        let (from, _folder) = std::mem::take(&mut *self.place.lock().expect("no panic before"));
        let place = self.to.place();
        let copied = copy(&from, &place.0, self.to.shards()).await.expect("a copy");
        assert_eq!(copied.head, old);
        let fixture = self.open(self.to, place, clock).await;
        assert_eq!(fixture.store().ledger_head().await.expect("a head"), old);
        fixture
    }
}

async fn copy(from: &str, to: &str, shards: u16) -> Result<Transferred, CopyError> {
    dataapi::copy(from, to, shards, &mut |_, _, _| ControlFlow::Continue(())).await
}

#[test]
fn from_postgresql_to_one_of_more_shards() {
    moved_stores_go_on_like_the_reference_model(&Move::new(Kind::Postgres(2), Kind::Postgres(5)));
}
