//! The consent ledger as it is read.

use async_trait::async_trait;

use crate::error::StoreError;
use crate::ledger::{Change, Event, LedgerHead, Positions};
use crate::query::Limit;
use crate::query::Reach;

/// What an auditor reads, and a program that keeps a copy of what can be read.
/// [`DialogStore`](super::DialogStore) says what holds for every method.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// The events of the ledger after those positions, as many as there are up to `limit`: chain by
    /// chain, that with the lowest number first, each in order. To go on, [`pass`](Positions::pass) each.
    /// Cost: proportional to the limit and the number of chains.
    async fn events(&self, after: &Positions, limit: Limit) -> Result<Vec<Event>, StoreError>;

    /// What [`events`](Self::events) tells, each grant with its dialog if that is consented by it to
    /// this moment, and within `reach`. A program that keeps a copy of what can be read updates it with
    /// that.
    async fn changes(
        &self,
        after: &Positions,
        limit: Limit,
        reach: &Reach,
    ) -> Result<Vec<Change>, StoreError>;

    /// The last events of the ledger, signed off: noted elsewhere, it shows later that nothing up to it was
    /// changed. Cost: one look-up for each chain.
    async fn ledger_head(&self) -> Result<LedgerHead, StoreError>;
}
