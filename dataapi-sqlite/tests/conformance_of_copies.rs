//! Runs the conformance tests on a store that began as a copy.
//!
//! The conformance tests expect an empty ledger at the start. The ledger of a copy never is empty, so these tests hide
//! the copied chains from them.

mod scene;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dataapi_conformance::{Fixture, ManualClock};
use dataapi_core::{
    Change, Date, Decision, Dialogs, Event, Evidence, Keys, Ledger, LedgerHead, Limit, Positions,
    Purge, Reach, Stats, StoreError, Upkeep,
};
use dataapi_sqlite::{Options, SqliteStore};

fn open(path: &Path, clock: ManualClock) -> SqliteStore {
    SqliteStore::open(path, Options { clock: Arc::new(clock), ..Options::default() }).unwrap()
}

/// A store with two copied chains and no rows: the tombstones of their events are forgotten.
async fn fresh(clock: ManualClock) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let earlier = ManualClock::starting_at(Date::MIN);
    for (from, to) in [("first", "second"), ("second", "dialogs.db")] {
        let store = open(&path(from), earlier.clone());
        for number in 0..3 {
            let id = format!("{from}-{number}").parse().unwrap();
            let withdrawn = Decision::Withdrawn;
            let withdrawal = store.decide_early(id, withdrawn, Evidence::default(), Duration::ZERO);
            withdrawal.await.unwrap();
        }
        earlier.advance(Duration::from_secs(1));
        let later = Date::from_micros(Date::MIN.as_micros() + 1_000_000_000).unwrap();
        assert_eq!(store.purge(Purge::Tombstones, later, 10).await.unwrap(), 3);
        drop(store);
        scene::copy(&path(from), &path(to)).await.unwrap();
    }
    let store = open(&path("dialogs.db"), clock);
    let copied = store.ledger_head().await.unwrap().positions;
    assert_eq!(copied, "3.3".parse::<Positions>().unwrap());
    assert_eq!(store.stats().await.unwrap(), Stats::default());
    Fixture::new(WithoutCopied { store, copied }).keeping(folder)
}

dataapi_conformance::conformance!(fresh);

struct WithoutCopied {
    store: SqliteStore,
    copied: Positions,
}

impl WithoutCopied {
    fn behind_copied(&self, after: &Positions) -> Positions {
        let mut after = after.clone();
        for (chain, position) in self.copied.chains() {
            after.set(chain, position);
        }
        after
    }
}

impl Dialogs for WithoutCopied {
    dataapi_core::delegate!(Dialogs to store);
}

#[async_trait]
impl Ledger for WithoutCopied {
    async fn events(
        &self,
        after: &Positions,
        limit: Limit,
        reach: &Reach,
    ) -> Result<Vec<Event>, StoreError> {
        self.store.events(&self.behind_copied(after), limit, reach).await
    }

    async fn changes(
        &self,
        after: &Positions,
        limit: Limit,
        reach: &Reach,
    ) -> Result<Vec<Change>, StoreError> {
        self.store.changes(&self.behind_copied(after), limit, reach).await
    }

    async fn ledger_head(&self) -> Result<LedgerHead, StoreError> {
        let head = self.store.ledger_head().await?;
        let mut last = self.copied.clone();
        for (chain, position) in head.positions.chains().filter(|(chain, _)| *chain > 1) {
            last.set(chain, position - 1);
        }
        let events = self.store.events(&last, Limit::new(1)?, &Reach::default()).await?;
        Ok(LedgerHead::of(events.iter().map(Event::head)))
    }
}

impl Keys for WithoutCopied {
    dataapi_core::delegate!(Keys to store);
}

impl Upkeep for WithoutCopied {
    dataapi_core::delegate!(Upkeep to store);
}
