//! The storage trait, and what every implementation of it promises.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Date;
use crate::consent::{ConsentStatus, Decision, DialogRef, EarlyDecision, Evidence, Receipt};
use crate::dialog::{
    CustomerId, Dialog, DialogId, HeldDialog, ImportedDialog, Language, NewDialog, Received,
};
use crate::error::StoreError;
use crate::key::{Key, KeyName, NewKey};
use crate::ledger::{Change, Event, LedgerHead, Positions};
use crate::page::{Limit, Page, PageRequest, SubjectRequest};
use crate::reach::Reach;

/// A store of dialogs behind a consent gate.
///
/// # What holds for every method
///
/// - **Whole or not at all.** A call that returns `Ok` has happened whole and is durable: a
///   durable backend has it on disk, and it survives the loss of power. A call that returns `Err`
///   has changed nothing; [`StoreError::Unavailable`] and [`StoreError::Backend`] from a call that
///   writes are the exception, where it happened either whole or not at all. The same is true of a
///   call whose future was dropped before it was ready.
/// - **One order.** Calls behave as if they ran one after the other, each at some moment between
///   its start and its end, also across threads and across processes on one store.
/// - **Gone is gone.** After a withdrawal or an erasure has returned, no call that starts later
///   returns the text, and no call ever brings it back.
/// - **Gone from the files.** Within the erasure delay that a durable backend documents, no file of
///   the store has any byte of an erased dialog's text, id or customer left: GDPR article 17.
/// - **One ledger.** Each grant, withdrawal, erasure and expiry is an [`Event`], written with what it
///   records or not at all, and chained to the one before it in its chain. Nothing else is, and none is ever
///   changed.
/// - **Dates** that the store hands out never go backwards, also when its clock does.
/// - **Errors** may also be [`StoreError::Overloaded`], [`StoreError::Unavailable`] or
///   [`StoreError::Backend`] from any method; each method names the others that it returns.
///
/// `dataapi-conformance` tests what stands here and below on any backend. What takes a restart, a
/// crash or a second process is for the tests of the backend itself.
#[async_trait]
pub trait DialogStore: Send + Sync {
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

    /// Erases up to `at_most` dialogs of that state that were received before that date, the oldest
    /// first, leaving tombstones of kind [`Expired`](crate::EventKind::Expired), and returns
    /// how many: retention (GDPR article 5(1)(e)). A pending dialog that is decided on first is left
    /// alone.
    ///
    /// With [`Purge::Tombstones`] it forgets those of dialogs that were gone before that date; their
    /// events stay.
    async fn purge(&self, which: Purge, before: Date, at_most: u32) -> Result<u64, StoreError>;

    /// How many a [`purge`](Self::purge) would take if it could take all. Cost: a count along an
    /// index.
    async fn purgeable(&self, which: Purge, before: Date) -> Result<u64, StoreError>;

    /// The events of the ledger after those positions, as many as there are up to `limit`: chain by
    /// chain, that with the lowest number first, each in order. To go on, [`pass`](Positions::pass) each.
    /// Cost: proportional to the limit and the number of chains.
    async fn events(&self, after: &Positions, limit: Limit) -> Result<Vec<Event>, StoreError>;

    /// What [`events`](Self::events) tells, each grant with its dialog if that is consented by it to
    /// this moment, and within `reach`: whoever keeps a copy of what can be read brings it up to date with
    /// that.
    async fn changes(
        &self,
        after: &Positions,
        limit: Limit,
        reach: &Reach,
    ) -> Result<Vec<Change>, StoreError>;

    /// How the ledger names a dialog, whether or not there is one. Cost: one hash; never waits.
    fn reference(&self, dialog_id: &DialogId) -> DialogRef;

    /// The last events of the ledger, signed off: noted elsewhere, it shows later that nothing up to it was
    /// changed. Cost: one look-up for each chain.
    async fn ledger_head(&self) -> Result<LedgerHead, StoreError>;

    /// Keeps a key, as made now, and returns when that is.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] when its name is that of another key, also of a revoked one.
    async fn create_key(&self, key: NewKey) -> Result<Date, StoreError>;

    /// All keys, revoked and expired ones included, by name. They are few.
    async fn keys(&self) -> Result<Vec<Key>, StoreError>;

    /// Revokes a key for good, and tells whether there is one of that name. Revoked again, it keeps its
    /// first date.
    async fn revoke_key(&self, name: &KeyName) -> Result<bool, StoreError>;

    /// Notes when keys were last used. A date earlier than the one that stands, or a name that is no
    /// key's, changes nothing.
    async fn note_key_use(&self, used: Vec<(KeyName, Date)>) -> Result<(), StoreError>;

    /// How many dialogs there are in each state, and how many consented ones in each language.
    /// Cost: independent of the number of dialogs.
    async fn stats(&self) -> Result<Stats, StoreError>;

    /// Succeeds when reads and writes are served right now.
    async fn ready(&self) -> Result<(), StoreError>;

    /// Returns once nothing is left, in any file of the store, of what was withdrawn or erased before
    /// the call: at once what else happens within the erasure delay. Cost: a few writes to the disk,
    /// which all who ask at once share.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when what runs elsewhere, such as a long read in another process,
    /// keeps it from being done for seconds. It is still done as soon as that ends.
    async fn scrub(&self) -> Result<(), StoreError>;

    /// What can be read now: two calls that return the same revision mean that every
    /// [`query`](Self::query) in between gave the same answer, whichever process wrote meanwhile.
    /// So an answer may be kept and given again, not a moment longer.
    ///
    /// `None` when the store cannot tell at far less cost than a page; then nothing may be kept.
    /// Cost: well below that of a page. Waits for no write.
    fn revision(&self) -> Option<Revision>;

    /// What the store is busy with, for an operator to watch. Never waits.
    fn activity(&self) -> Activity;
}

/// What a purge takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purge {
    /// Those whose consent never came.
    Pending,
    /// Those whose customer said yes, once they were kept for long enough.
    Consented,
    /// No dialogs, but what is left of gone ones. An id whose tombstone is forgotten counts as never
    /// used: a retry or an import that comes after that brings its text back.
    Tombstones,
}

impl Purge {
    /// Whether it takes dialogs that are consented to, or not.
    pub const fn takes(self, is_consented: bool) -> bool {
        matches!((self, is_consented), (Self::Pending, false) | (Self::Consented, true))
    }
}

/// Names the set of dialogs that can be read; of use only to be compared with another one of the
/// same open store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revision(u64);

impl Revision {
    /// A backend's own count of the changes to what can be read.
    pub const fn new(changes: u64) -> Self {
        Self(changes)
    }
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

/// What a store is busy with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// Write requests that wait for the next commit.
    pub queued: u64,
    /// How many may wait before more are refused as overloaded; 0 where there is no queue.
    pub queue_capacity: u64,
    /// How many write requests the commits so far were made of.
    pub commits: BatchSizes,
    /// How long ago the oldest erasure was of which bytes may still be in a file of the store; to be
    /// compared with the erasure delay.
    pub unscrubbed: Option<Duration>,
}

/// A histogram of how many requests shared one commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchSizes {
    /// How many commits had at most 1, 2, 4, … 1024 requests and more than the bound before; the
    /// last counts the larger ones.
    pub counts: [u64; 12],
    /// How many requests all commits had together.
    pub sum: u64,
}

impl BatchSizes {
    /// The upper bounds of all counts but the last.
    pub const BOUNDS: [u64; 11] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

    /// The count that a commit of `size` requests belongs to.
    pub fn bucket(size: u64) -> usize {
        Self::BOUNDS.partition_point(|bound| *bound < size)
    }
}
