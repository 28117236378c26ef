//! Dialogs, consent to them, and the rights of a data subject.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::allowance::{self, Allowance};
use crate::consent::{ConsentStatus, Decision, EarlyDecision, Receipt};
use crate::dialog::{Dialog, HeldDialog, ImportedDialog, NewDialog, Received};
use crate::error::StoreError;
use crate::query::Reach;
use crate::query::{Page, PageRequest, SubjectRequest};
use crate::values::{CustomerId, DialogId, Evidence, Language};

/// What a chatbot, an analyst and an officer do with a store. [`DialogStore`](super::DialogStore) says what every
/// method promises.
#[async_trait]
pub trait Dialogs: Send + Sync {
    /// Stores a dialog and returns when it was received. The dialog is pending, or consented if a grant was held for
    /// it.
    ///
    /// If several calls insert the same id at once, exactly one succeeds. Cost: a few index entries, however large the
    /// store is; concurrent calls can share one commit.
    ///
    /// # Errors
    /// - [`StoreError::Exists`] if the id is taken, by any customer
    /// - [`StoreError::Gone`] if a dialog with this id was withdrawn or erased
    async fn insert(&self, dialog: NewDialog) -> Result<Received, StoreError>;

    /// Imports dialogs from another store in one commit, and returns a result for each, in order.
    ///
    /// A refused dialog does not affect the others. The given date is kept; a dialog without a date counts as received
    /// now. Consent is recorded with the current date and with [`Evidence::of_import`], or with the evidence of a held
    /// grant. Imported dates do not move the dates that the store hands out.
    ///
    /// # Errors
    /// For one dialog: [`StoreError::Exists`] and [`StoreError::Gone`] as for [`insert`](Self::insert), and
    /// [`StoreError::Invalid`] for a date in the future. For the whole batch: only the errors that any method can
    /// return; they say that none of it was stored, or that the outcome is unknown.
    async fn import(
        &self,
        batch: Vec<ImportedDialog>,
    ) -> Result<Vec<Result<(), StoreError>>, StoreError>;

    /// Records a customer's decision on a dialog, and returns its receipt.
    ///
    /// A grant makes a pending dialog readable. A withdrawal erases it, pending or consented, and leaves a tombstone.
    /// The same decision again changes nothing and returns the first receipt. A withdrawal after an erasure changes
    /// nothing and returns a receipt with the date of the erasure. If a grant and a withdrawal are recorded at once,
    /// the withdrawal always wins, even over a held grant.
    ///
    /// # Errors
    /// - [`StoreError::NotFound`] if the id was never used
    /// - [`StoreError::Conflict`] for a grant after a withdrawal or an erasure
    async fn decide(
        &self,
        dialog_id: DialogId,
        decision: Decision,
        evidence: Evidence,
    ) -> Result<Receipt, StoreError>;

    /// Records a decision as [`decide`](Self::decide) does, even for a dialog that has not come yet, because a
    /// chatbot's two jobs can overtake each other.
    ///
    /// An early withdrawal is recorded at once, and the dialog will be refused as gone, forever. An early grant is held
    /// for `hold_for`, under the reference of the dialog, and makes the dialog readable when it comes. A repeated grant
    /// does not extend the first one. A held grant is not in the ledger; it becomes an event when its dialog comes.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] for a grant after a withdrawal or an erasure, early withdrawals included.
    async fn decide_early(
        &self,
        dialog_id: DialogId,
        decision: Decision,
        evidence: Evidence,
        hold_for: Duration,
    ) -> Result<EarlyDecision, StoreError>;

    /// Returns the state of a dialog, even of an erased one.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the id was never used.
    async fn consent(&self, dialog_id: &DialogId) -> Result<ConsentStatus, StoreError>;

    /// Returns one consented dialog within `reach`. Cost: one look-up by id.
    ///
    /// # Errors
    /// - [`StoreError::ConsentRequired`] while it is pending
    /// - [`StoreError::NotFound`] if it does not exist, was erased, belongs to another customer, or is out of reach
    async fn dialog(
        &self,
        customer_id: &CustomerId,
        dialog_id: &DialogId,
        reach: &Reach,
    ) -> Result<Dialog, StoreError>;

    /// Whether a dialog is held, pending or consented, and is within `reach`. If so, that stays true for as long as the
    /// dialog is held. Cost: one look-up by id.
    async fn is_within(&self, reach: &Reach, dialog_id: &DialogId) -> Result<bool, StoreError>;

    /// Returns a page of consented dialogs: newest date first, then dialog id in descending byte order.
    ///
    /// The items and the total are of one moment. Following `next` to the end returns every dialog that was consented
    /// at the start and stayed so, exactly once, whatever happens in the meantime. It returns no dialog twice.
    ///
    /// Cost: proportional to the limit, plus the offset if there is one. The total costs a look-up, or with a date
    /// range a count along an index. Within a reach that is bound to customers, a page also passes over the dialogs of
    /// other customers that lie between its own, and the total costs a look-up for each of the customers within reach.
    async fn query(&self, request: &PageRequest) -> Result<Page<Dialog>, StoreError>;

    /// Returns the page that [`query`](Self::query) returns, unless it is larger than `allowance` allows.
    ///
    /// A store that can ask while it reads never holds more than it was allowed and one dialog. The default asks when
    /// it has read the whole page.
    ///
    /// # Errors
    /// [`StoreError::Overloaded`] if the allowance said no.
    async fn query_within(
        &self,
        request: &PageRequest,
        allowance: Arc<dyn Allowance>,
    ) -> Result<Page<Dialog>, StoreError> {
        let page = self.query(request).await?;
        allowance::ask(&*allowance, page.items.iter().map(Dialog::bytes_in_memory))?;
        Ok(page)
    }

    /// Returns a page of everything held on one customer, pending dialogs included, in the same order: the rights of
    /// access and portability (GDPR articles 15 and 20).
    ///
    /// This is the only method that returns texts without consent. Give its result to nobody but the customer. What
    /// [`query`](Self::query) promises about following `next` applies to every dialog that stays held.
    async fn subject_data(&self, request: &SubjectRequest) -> Result<Page<HeldDialog>, StoreError>;

    /// Returns the page that [`subject_data`](Self::subject_data) returns, unless it is larger than `allowance` allows,
    /// as [`query_within`](Self::query_within) does.
    ///
    /// # Errors
    /// [`StoreError::Overloaded`] if the allowance said no.
    async fn subject_data_within(
        &self,
        request: &SubjectRequest,
        allowance: Arc<dyn Allowance>,
    ) -> Result<Page<HeldDialog>, StoreError> {
        let page = self.subject_data(request).await?;
        allowance::ask(&*allowance, page.items.iter().map(HeldDialog::bytes_in_memory))?;
        Ok(page)
    }

    /// Erases one dialog of that customer, pending or consented, and leaves a tombstone.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if it does not exist, was already erased, or belongs to another customer.
    async fn erase_dialog(
        &self,
        customer_id: &CustomerId,
        dialog_id: &DialogId,
    ) -> Result<(), StoreError>;

    /// Erases everything held on one customer in one commit (GDPR article 17), and leaves tombstones. Returns how many
    /// dialogs it erased, which can be none.
    async fn erase_customer(&self, customer_id: &CustomerId) -> Result<u64, StoreError>;

    /// Returns how many dialogs there are in each state, and how many consented ones in each language. Cost:
    /// independent of the number of dialogs.
    async fn stats(&self) -> Result<Stats, StoreError>;
}

/// How many dialogs there are in each state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Dialogs without a decision.
    pub pending: u64,
    /// Readable dialogs.
    pub consented: u64,
    /// Dialogs erased because the customer refused or withdrew consent.
    pub withdrawn: u64,
    /// Dialogs erased for other reasons.
    pub erased: u64,
    /// Readable dialogs by language. Languages without any are left out.
    pub consented_by_language: BTreeMap<Language, u64>,
}
