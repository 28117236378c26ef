//! A store that fails at every call.

use std::time::Duration;

use async_trait::async_trait;
use dataapi_core::{
    Activity, Change, ConsentStatus, CustomerId, Date, Decision, Dialog, DialogId, DialogRef,
    Dialogs, EarlyDecision, Event, Evidence, HeldDialog, ImportedDialog, Key, KeyName, Keys,
    Ledger, LedgerHead, Limit, NewDialog, NewKey, Page, PageRequest, Positions, Purge, Reach,
    Receipt, Received, Revision, Stats, StoreError, StoreInfo, SubjectRequest, Upkeep,
};

/// Fails every call with this error; `None` never answers.
pub(crate) struct Failing(pub(crate) Option<fn() -> StoreError>);

impl Failing {
    async fn fail<T>(&self) -> Result<T, StoreError> {
        match self.0 {
            Some(error) => Err(error()),
            None => std::future::pending().await,
        }
    }
}

#[async_trait]
impl Dialogs for Failing {
    async fn insert(&self, _: NewDialog) -> Result<Received, StoreError> {
        self.fail().await
    }

    async fn import(
        &self,
        _: Vec<ImportedDialog>,
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        self.fail().await
    }

    async fn decide(&self, _: DialogId, _: Decision, _: Evidence) -> Result<Receipt, StoreError> {
        self.fail().await
    }

    async fn decide_early(
        &self,
        _: DialogId,
        _: Decision,
        _: Evidence,
        _: Duration,
    ) -> Result<EarlyDecision, StoreError> {
        self.fail().await
    }

    async fn consent(&self, _: &DialogId) -> Result<ConsentStatus, StoreError> {
        self.fail().await
    }

    async fn dialog(&self, _: &CustomerId, _: &DialogId, _: &Reach) -> Result<Dialog, StoreError> {
        self.fail().await
    }

    async fn is_within(&self, _: &Reach, _: &DialogId) -> Result<bool, StoreError> {
        self.fail().await
    }

    async fn query(&self, _: &PageRequest) -> Result<Page<Dialog>, StoreError> {
        self.fail().await
    }

    async fn subject_data(&self, _: &SubjectRequest) -> Result<Page<HeldDialog>, StoreError> {
        self.fail().await
    }

    async fn erase_dialog(&self, _: &CustomerId, _: &DialogId) -> Result<(), StoreError> {
        self.fail().await
    }

    async fn erase_customer(&self, _: &CustomerId) -> Result<u64, StoreError> {
        self.fail().await
    }

    async fn stats(&self) -> Result<Stats, StoreError> {
        self.fail().await
    }
}

#[async_trait]
impl Ledger for Failing {
    async fn events(&self, _: &Positions, _: Limit, _: &Reach) -> Result<Vec<Event>, StoreError> {
        self.fail().await
    }

    async fn changes(&self, _: &Positions, _: Limit, _: &Reach) -> Result<Vec<Change>, StoreError> {
        self.fail().await
    }

    async fn ledger_head(&self) -> Result<LedgerHead, StoreError> {
        self.fail().await
    }
}

#[async_trait]
impl Keys for Failing {
    async fn create_key(&self, _: NewKey) -> Result<Date, StoreError> {
        self.fail().await
    }

    /// Returns no keys, so that the server is open.
    async fn keys(&self) -> Result<Vec<Key>, StoreError> {
        Ok(Vec::new())
    }

    async fn revoke_key(&self, _: &KeyName) -> Result<bool, StoreError> {
        self.fail().await
    }

    async fn note_key_use(&self, _: Vec<(KeyName, Date)>) -> Result<(), StoreError> {
        self.fail().await
    }
}

#[async_trait]
impl Upkeep for Failing {
    async fn purge(&self, _: Purge, _: Date, _: u32) -> Result<u64, StoreError> {
        self.fail().await
    }

    async fn purgeable(&self, _: Purge, _: Date) -> Result<u64, StoreError> {
        self.fail().await
    }

    fn reference(&self, _: &DialogId) -> DialogRef {
        DialogRef::from_bytes([0; 32])
    }

    async fn info(&self) -> Result<StoreInfo, StoreError> {
        self.fail().await
    }

    async fn scrub(&self) -> Result<(), StoreError> {
        self.fail().await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.fail().await
    }

    fn revision(&self) -> Option<Revision> {
        None
    }

    fn activity(&self) -> Activity {
        Activity::default()
    }
}
