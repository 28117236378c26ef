//! A store that begins as a copy keeps every promise of a store.
//!
//! The promises are of stores whose ledger is empty at the start, and that of a copy never is. So what lies in
//! the chains of the past is left out of what they see of it.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dataapi_conformance::{Fixture, ManualClock};
use dataapi_core::transfer::transfer;
use dataapi_core::{
    Activity, Change, ConsentStatus, CustomerId, Date, Decision, Dialog, DialogId, DialogRef,
    DialogStore, EarlyDecision, Event, Evidence, HeldDialog, ImportedDialog, Key, KeyName,
    LedgerHead, Limit, NewDialog, NewKey, Page, PageRequest, Positions, Purge, Reach, Receipt,
    Received, Revision, Stats, StoreError, SubjectRequest,
};
use dataapi_sqlite::{Options, SqliteStore, TransferSource, TransferTarget};

fn open(path: &Path, clock: ManualClock) -> SqliteStore {
    SqliteStore::open(path, Options { clock: Arc::new(clock), ..Options::default() }).unwrap()
}

/// Has two chains behind it, and nothing else: of what the ledger tells of, nothing is left.
async fn fresh(clock: ManualClock) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let earlier = ManualClock::starting_at(Date::MIN);
    for (from, to) in [("first", "second"), ("second", "dialogs.db")] {
        let store = open(&path(from), earlier.clone());
        for number in 0..3 {
            let id = format!("{from}-{number}").parse().unwrap();
            let no =
                store.decide_early(id, Decision::Withdrawn, Evidence::default(), Duration::ZERO);
            no.await.unwrap();
        }
        earlier.advance(Duration::from_secs(1));
        let later = Date::from_micros(Date::MIN.as_micros() + 1_000_000_000).unwrap();
        assert_eq!(store.purge(Purge::Tombstones, later, 10).await.unwrap(), 3);
        drop(store);
        let mut source = TransferSource::open(&path(from)).unwrap();
        let mut target = TransferTarget::open(&path(to)).unwrap();
        let mut go_on = |_, _, _| ControlFlow::Continue(());
        transfer(&mut source, &mut target, &mut go_on).await.unwrap();
    }
    let store = open(&path("dialogs.db"), clock);
    let past = store.ledger_head().await.unwrap().positions;
    assert_eq!(past, "3.3".parse::<Positions>().unwrap());
    assert_eq!(store.stats().await.unwrap(), Stats::default());
    Fixture::new(WithoutPast { store, past }).keeping(folder)
}

dataapi_conformance::conformance!(fresh);

struct WithoutPast {
    store: SqliteStore,
    past: Positions,
}

impl WithoutPast {
    fn behind_past(&self, after: &Positions) -> Positions {
        let mut after = after.clone();
        for (chain, position) in self.past.chains() {
            after.set(chain, position);
        }
        after
    }
}

#[async_trait]
impl DialogStore for WithoutPast {
    async fn events(&self, after: &Positions, limit: Limit) -> Result<Vec<Event>, StoreError> {
        self.store.events(&self.behind_past(after), limit).await
    }

    async fn changes(
        &self,
        after: &Positions,
        limit: Limit,
        reach: &Reach,
    ) -> Result<Vec<Change>, StoreError> {
        self.store.changes(&self.behind_past(after), limit, reach).await
    }

    async fn ledger_head(&self) -> Result<LedgerHead, StoreError> {
        let head = self.store.ledger_head().await?;
        let mut last = self.past.clone();
        for (chain, position) in head.positions.chains().filter(|(chain, _)| *chain > 1) {
            last.set(chain, position - 1);
        }
        let events = self.store.events(&last, Limit::new(1)?).await?;
        Ok(LedgerHead::of(events.iter().map(Event::head)))
    }

    async fn insert(&self, dialog: NewDialog) -> Result<Received, StoreError> {
        self.store.insert(dialog).await
    }

    async fn import(
        &self,
        batch: Vec<ImportedDialog>,
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        self.store.import(batch).await
    }

    async fn decide(
        &self,
        dialog_id: DialogId,
        decision: Decision,
        evidence: Evidence,
    ) -> Result<Receipt, StoreError> {
        self.store.decide(dialog_id, decision, evidence).await
    }

    async fn decide_early(
        &self,
        dialog_id: DialogId,
        decision: Decision,
        evidence: Evidence,
        hold_for: Duration,
    ) -> Result<EarlyDecision, StoreError> {
        self.store.decide_early(dialog_id, decision, evidence, hold_for).await
    }

    async fn consent(&self, dialog_id: &DialogId) -> Result<ConsentStatus, StoreError> {
        self.store.consent(dialog_id).await
    }

    async fn dialog(
        &self,
        customer_id: &CustomerId,
        dialog_id: &DialogId,
        reach: &Reach,
    ) -> Result<Dialog, StoreError> {
        self.store.dialog(customer_id, dialog_id, reach).await
    }

    async fn is_within(&self, reach: &Reach, dialog_id: &DialogId) -> Result<bool, StoreError> {
        self.store.is_within(reach, dialog_id).await
    }

    async fn query(&self, request: &PageRequest) -> Result<Page<Dialog>, StoreError> {
        self.store.query(request).await
    }

    async fn subject_data(&self, request: &SubjectRequest) -> Result<Page<HeldDialog>, StoreError> {
        self.store.subject_data(request).await
    }

    async fn erase_dialog(
        &self,
        customer_id: &CustomerId,
        dialog_id: &DialogId,
    ) -> Result<(), StoreError> {
        self.store.erase_dialog(customer_id, dialog_id).await
    }

    async fn erase_customer(&self, customer_id: &CustomerId) -> Result<u64, StoreError> {
        self.store.erase_customer(customer_id).await
    }

    async fn purge(&self, which: Purge, before: Date, at_most: u32) -> Result<u64, StoreError> {
        self.store.purge(which, before, at_most).await
    }

    async fn purgeable(&self, which: Purge, before: Date) -> Result<u64, StoreError> {
        self.store.purgeable(which, before).await
    }

    async fn create_key(&self, key: NewKey) -> Result<Date, StoreError> {
        self.store.create_key(key).await
    }

    async fn keys(&self) -> Result<Vec<Key>, StoreError> {
        self.store.keys().await
    }

    async fn revoke_key(&self, name: &KeyName) -> Result<bool, StoreError> {
        self.store.revoke_key(name).await
    }

    async fn note_key_use(&self, used: Vec<(KeyName, Date)>) -> Result<(), StoreError> {
        self.store.note_key_use(used).await
    }

    async fn stats(&self) -> Result<Stats, StoreError> {
        self.store.stats().await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.store.ready().await
    }

    async fn scrub(&self) -> Result<(), StoreError> {
        self.store.scrub().await
    }

    fn reference(&self, dialog_id: &DialogId) -> DialogRef {
        self.store.reference(dialog_id)
    }

    fn revision(&self) -> Option<Revision> {
        self.store.revision()
    }

    fn activity(&self) -> Activity {
        self.store.activity()
    }
}
