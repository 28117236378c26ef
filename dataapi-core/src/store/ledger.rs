//! Reading the consent ledger.

use std::sync::Arc;

use async_trait::async_trait;

use super::allowance::{self, Allowance};
use crate::error::StoreError;
use crate::ledger::{Change, Event, LedgerHead, Positions};
use crate::query::Limit;
use crate::query::Reach;

/// What an auditor reads, and a program that keeps a copy of the readable dialogs. [`DialogStore`](super::DialogStore)
/// says what every method promises.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Returns the events after those positions, up to `limit`: chain by chain, beginning with the lowest number, each
    /// chain in order. To continue, [`pass`](Positions::pass) each event. Cost: proportional to the limit and to the
    /// number of chains.
    ///
    /// If `reach` has bounds, only a grant whose dialog is within them and is still consented by that grant shows its
    /// evidence; every other event hides it ([`Event::without_evidence`]). A dialog that is gone has no customer and no
    /// language any more, so it is within no bounds.
    async fn events(
        &self,
        after: &Positions,
        limit: Limit,
        reach: &Reach,
    ) -> Result<Vec<Event>, StoreError>;

    /// Returns what [`events`](Self::events) returns. A grant comes with its dialog if the dialog is within `reach` and
    /// is still consented by that grant. A program that keeps a copy of the readable dialogs can update it from this.
    async fn changes(
        &self,
        after: &Positions,
        limit: Limit,
        reach: &Reach,
    ) -> Result<Vec<Change>, StoreError>;

    /// Returns what [`changes`](Self::changes) returns, unless it is larger than `allowance` allows, as
    /// [`query_within`](crate::Dialogs::query_within) does.
    ///
    /// # Errors
    /// [`StoreError::Overloaded`] if the allowance said no.
    async fn changes_within(
        &self,
        after: &Positions,
        limit: Limit,
        reach: &Reach,
        allowance: Arc<dyn Allowance>,
    ) -> Result<Vec<Change>, StoreError> {
        let changes = self.changes(after, limit, reach).await?;
        allowance::ask(&*allowance, changes.iter().map(Change::bytes_in_memory))?;
        Ok(changes)
    }

    /// Returns the head of the ledger. If it is noted outside the store, it shows later that no event up to it was
    /// changed. Cost: one look-up for each chain.
    async fn ledger_head(&self) -> Result<LedgerHead, StoreError>;
}
