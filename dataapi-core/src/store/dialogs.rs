//! Dialogs, the consent to them, and what a data subject may ask for.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use crate::consent::{ConsentStatus, Decision, EarlyDecision, Receipt};
use crate::dialog::{Dialog, HeldDialog, ImportedDialog, NewDialog, Received};
use crate::error::StoreError;
use crate::query::Reach;
use crate::query::{Page, PageRequest, SubjectRequest};
use crate::values::{CustomerId, DialogId, Evidence, Language};

/// What a chatbot, an analyst and an officer do with a store. [`DialogStore`](super::DialogStore) says what
/// holds for every method.
#[async_trait]
pub trait Dialogs: Send + Sync {
    /// Stores a dialog, as pending unless a *yes* was held for it, and tells when it was received.
    ///
    /// Of concurrent inserts of one id exactly one wins. Cost: a few index entries, whatever the
    /// size of the store; concurrent calls may share one commit.
    ///
    /// # Errors
    /// - [`StoreError::Exists`] when the id is taken, by whichever customer
    /// - [`StoreError::Gone`] when the id was withdrawn or erased before
    async fn insert(&self, dialog: NewDialog) -> Result<Received, StoreError>;

    /// Takes in dialogs of another store, all in one commit, and answers for each in order.
    ///
    /// One that is refused keeps no other out. The given date is kept; a dialog without one counts
    /// as received now. Consent is recorded as of now, with [`Evidence::of_import`], or on the
    /// evidence of a *yes* that was held. Imported dates do not move the dates that the store hands
    /// out.
    ///
    /// # Errors
    /// For one dialog: [`StoreError::Exists`] and [`StoreError::Gone`] as for
    /// [`insert`](Self::insert), [`StoreError::Invalid`] for a date in the future. For the whole
    /// batch only the errors that any method has; then none of it was stored.
    async fn import(
        &self,
        batch: Vec<ImportedDialog>,
    ) -> Result<Vec<Result<(), StoreError>>, StoreError>;

    /// Records what the customer decided on a dialog, and returns the proof of it.
    ///
    /// *Yes* makes a pending dialog readable. *No* erases it, pending or consented, and leaves a
    /// tombstone. The same decision again changes nothing and returns the first receipt. A *no*
    /// after an erasure changes nothing and returns a receipt with the erasure's date. Of
    /// concurrent decisions a *no* always has the last word, also over a *yes* that is held.
    ///
    /// # Errors
    /// - [`StoreError::NotFound`] when the id was never used
    /// - [`StoreError::Conflict`] for a *yes* after a withdrawal or an erasure
    async fn decide(
        &self,
        dialog_id: DialogId,
        decision: Decision,
        evidence: Evidence,
    ) -> Result<Receipt, StoreError>;

    /// Does what [`decide`](Self::decide) does, also for a dialog that was not received yet: a
    /// chatbot's two jobs may overtake each other.
    ///
    /// A *no* is then recorded at once, and the dialog will be refused as gone, for ever. A *yes* is
    /// held for that time, by the dialog's reference, and makes the dialog readable as it is
    /// received; said twice, it ends when the first one does. It is an event of the ledger from then
    /// on, not before.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] for a *yes* after a withdrawal or an erasure, early ones included.
    async fn decide_early(
        &self,
        dialog_id: DialogId,
        decision: Decision,
        evidence: Evidence,
        hold_for: Duration,
    ) -> Result<EarlyDecision, StoreError>;

    /// How a dialog stands, erased ones included.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the id was never used.
    async fn consent(&self, dialog_id: &DialogId) -> Result<ConsentStatus, StoreError>;

    /// One consented dialog within `reach`. Cost: one look-up by id.
    ///
    /// # Errors
    /// - [`StoreError::ConsentRequired`] while it is pending
    /// - [`StoreError::NotFound`] when it is absent, erased, another customer's, or out of reach
    async fn dialog(
        &self,
        customer_id: &CustomerId,
        dialog_id: &DialogId,
        reach: &Reach,
    ) -> Result<Dialog, StoreError>;

    /// Whether a dialog is held, pending or consented, and lies within `reach`. A *yes* holds for as long
    /// as the dialog is held, and its id is taken. Cost: one look-up by id.
    async fn is_within(&self, reach: &Reach, dialog_id: &DialogId) -> Result<bool, StoreError>;

    /// A page of consented dialogs, newest date first, equal dates by id, descending bytes.
    ///
    /// Items and total are of one moment. Following `next` to its end yields every dialog that
    /// was consented at the start and stayed so exactly once, whatever happens meanwhile, and no
    /// dialog twice. Cost: proportional to the limit, plus the offset if there is one; the total
    /// costs a look-up, or with a date range a count along an index. Within a reach that is
    /// bound to customers, a page also costs what lies between its dialogs, and a total what its customers
    /// are.
    async fn query(&self, request: &PageRequest) -> Result<Page<Dialog>, StoreError>;

    /// A page of everything held on one customer, pending dialogs included, in the same order:
    /// the right of access and portability (GDPR articles 15 and 20).
    ///
    /// This is the one method that returns texts without consent. Hand it to nobody but the
    /// customer. The crawl promise of [`query`](Self::query) holds for all that stays held.
    async fn subject_data(&self, request: &SubjectRequest) -> Result<Page<HeldDialog>, StoreError>;

    /// Erases one dialog of that customer, pending or consented, and leaves a tombstone.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when it is absent, already erased, or another customer's.
    async fn erase_dialog(
        &self,
        customer_id: &CustomerId,
        dialog_id: &DialogId,
    ) -> Result<(), StoreError>;

    /// Erases everything held on one customer (GDPR article 17) in one commit, leaving tombstones,
    /// and returns how many dialogs that were; none is fine.
    async fn erase_customer(&self, customer_id: &CustomerId) -> Result<u64, StoreError>;

    /// How many dialogs there are in each state, and how many consented ones in each language.
    /// Cost: independent of the number of dialogs.
    async fn stats(&self) -> Result<Stats, StoreError>;
}

/// How many dialogs there are in each state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Stored, no decision yet.
    pub pending: u64,
    /// Readable.
    pub consented: u64,
    /// Erased because the customer said no.
    pub withdrawn: u64,
    /// Erased for other reasons.
    pub erased: u64,
    /// Readable, by language; languages without any are left out.
    pub consented_by_language: BTreeMap<Language, u64>,
}
