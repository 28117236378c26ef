//! The rules of every write, each written once for all backends.
//!
//! A rule is a pure function. It takes what a backend knows about the rows, and the time. It returns what to do, or a
//! refusal. A backend looks up the rows, calls the rule and writes the result, all in one transaction. It makes no
//! decisions of its own.
//!
//! Nearly every change to a dialog is an event in the ledger, so most rules return a [`NewEvent`]. The kind of the
//! event says what becomes of the row: after a grant the dialog is consented, after any other event only a tombstone is
//! left ([`ConsentState::after`]). Three results are not events: an [`Arrival`], a grant that is held for a dialog that
//! has not come yet, and a tombstone that is forgotten.
//!
//! `now` is the time of the store's clock, or the last date that the store handed out if that is later.
//!
//! ```
//! use dataapi_core::consent::rules::{self, Decided, HeldRecord, Record};
//! use dataapi_core::{Date, Decision, Event, EventKind, Evidence, StoreError};
//!
//! # let now: Date = "2026-03-01T10:00:00Z".parse()?;
//! let received = now;
//! let (customer_id, language) = ("anna".parse()?, "en".parse()?);
//! let pending = Record::<Event>::Held(HeldRecord {
//!     customer_id, language, received, is_imported: false, granted: None,
//! });
//! let grant = rules::decide(&pending, Decision::Granted, &Evidence::default(), now)?;
//! assert!(matches!(grant, Decided::New(event) if event.kind == EventKind::Granted));
//!
//! let nothing = rules::decide(&Record::Absent, Decision::Granted, &Evidence::default(), now);
//! assert!(matches!(nothing, Err(StoreError::NotFound)));
//! # Ok::<(), StoreError>(())
//! ```

use std::time::Duration;

use super::state::{ConsentState, ConsentStatus, Decision};
use crate::dialog::ImportedDialog;
use crate::error::{Invalid, StoreError};
use crate::ledger::{ChainHead, Event, EventKind};
use crate::store::Purge;
use crate::values::{CustomerId, Date, DialogId, DialogRef, Evidence, Language};

/// What a store has under one dialog id.
///
/// `G` is what shows that a dialog is consented. To make a decision or report a state, it must be the event of the
/// grant. To erase, it can be whatever the backend has at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record<G = Event> {
    /// The id was never used, or its tombstone was forgotten.
    Absent,
    /// Only a grant that came before its dialog.
    Awaited(EarlyGrant),
    /// A dialog, pending or consented.
    Held(HeldRecord<G>),
    /// A tombstone, with the event that removed the dialog.
    Gone(Event),
}

/// A held dialog without its text: what a rule needs to know about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldRecord<G = Event> {
    /// Whose dialog it is.
    pub customer_id: CustomerId,
    /// The language of its text.
    pub language: Language,
    /// When it was received.
    pub received: Date,
    /// Whether `received` is the date of another store, which says nothing about this store's clock.
    pub is_imported: bool,
    /// What shows that the dialog is consented; `None` while it is pending.
    pub granted: Option<G>,
}

/// A grant that came before its dialog and is held for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlyGrant {
    /// The evidence of the grant.
    pub evidence: Evidence,
    /// When it came.
    pub date: Date,
    /// When it ends unless the dialog has come by then.
    pub until: Date,
}

/// An event to append to the ledger, in the same transaction as the change that it records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// What happens.
    pub kind: EventKind,
    /// The evidence of a decision; empty for other events.
    pub evidence: Evidence,
    /// The earliest date that the event can have: nothing happens to a dialog before it was received.
    pub not_before: Date,
}

impl NewEvent {
    /// Makes the event that follows `head` in the chain of its dialog. `now` must not be before the last date in that
    /// chain.
    #[must_use]
    pub fn follow(self, head: &ChainHead, reference: DialogRef, now: Date) -> Event {
        head.next(reference, self.kind, now.max(self.not_before), self.evidence)
    }
}

/// What is stored under the id of a new dialog: the result of a look-up, or what a write that tried to take the id ran
/// into. A backend that inserts without a look-up passes [`Free`](Self::Free) first, and on a conflict asks again with
/// what it found.
#[derive(Clone, Copy, Debug)]
pub enum Slot<'a> {
    /// Nothing, as far as the backend knows.
    Free,
    /// A grant that came before the dialog.
    Awaited(&'a EarlyGrant),
    /// Another dialog, or this same dialog from an earlier try.
    Taken {
        /// Whether customer, text and language are the same as those already stored.
        same_content: bool,
    },
    /// A tombstone.
    Gone,
}

/// A dialog to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The date that counts as its date of receipt.
    pub received: Date,
    /// Whether `received` is the date of another store. Such a date does not move the dates that this store hands out.
    pub is_imported: bool,
    /// The event of its consent; `None` leaves it pending.
    pub grant: Option<NewEvent>,
}

/// The result of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decided {
    /// The same decision was made before, in this event. Nothing changes.
    Already(Event),
    /// A new event to record the decision.
    New(NewEvent),
}

/// The result of a decision that can come before its dialog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecidedEarly {
    /// The dialog exists or existed.
    Recorded(Decided),
    /// The dialog has not come yet. It will be refused forever.
    Blocked(NewEvent),
    /// The dialog has not come yet. The grant is held for it, from an earlier call or from now on.
    Held(EarlyGrant),
}

/// What a purge does to one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purged {
    /// The dialog is erased.
    Erased(NewEvent),
    /// Its tombstone is forgotten. The event stays in the ledger.
    Forgotten,
}

/// Decides what becomes of a dialog that is inserted.
///
/// # Errors
/// [`StoreError::Exists`] and [`StoreError::Gone`].
pub fn insert(slot: Slot<'_>, now: Date) -> Result<Arrival, StoreError> {
    let held = grant_in(slot, now)?;
    let since = held.map_or(now, |held| now.max(held.date));
    let grant = held.map(|held| grant(held.evidence.clone(), since));
    Ok(Arrival { received: since, is_imported: false, grant })
}

/// Decides what becomes of a dialog that is imported, with its date and its consent from another store.
///
/// If [`is_from_the_future`] says that the import will be refused, look up the slot first: what is stored under the id
/// is more useful to report than the wrong date.
///
/// # Errors
/// [`StoreError::Exists`], [`StoreError::Gone`], and [`StoreError::Invalid`] for a date in the future.
pub fn import(slot: Slot<'_>, imported: &ImportedDialog, now: Date) -> Result<Arrival, StoreError> {
    let held = grant_in(slot, now)?;
    if is_from_the_future(imported, now) {
        return Err(Invalid::new("date", "must not be in the future").into());
    }
    let since = held.map_or(now, |held| now.max(held.date));
    let evidence = held
        .map(|held| held.evidence.clone())
        .or_else(|| imported.consented.then(Evidence::of_import));
    Ok(Arrival {
        received: imported.date.unwrap_or(since),
        is_imported: imported.date.is_some(),
        grant: evidence.map(|evidence| grant(evidence, since)),
    })
}

/// Whether an import is refused because its date is in the future.
pub fn is_from_the_future(imported: &ImportedDialog, now: Date) -> bool {
    imported.date.is_some_and(|date| date > now)
}

/// Decides what a decision does to a dialog that was received.
///
/// # Errors
/// [`StoreError::NotFound`] for an id that was never used, [`StoreError::Conflict`] for a grant after a
/// withdrawal or an erasure.
pub fn decide(
    record: &Record,
    decision: Decision,
    evidence: &Evidence,
    now: Date,
) -> Result<Decided, StoreError> {
    match (record, decision) {
        // A withdrawal ends a held grant.
        (Record::Awaited(held), Decision::Withdrawn) if held.holds_at(now) => {
            Ok(Decided::New(withdrawal(evidence, Date::MIN)))
        }
        (Record::Absent | Record::Awaited(_), _) => Err(StoreError::NotFound),
        (Record::Held(held), Decision::Granted) => Ok(match &held.granted {
            Some(event) => Decided::Already(event.clone()),
            None => Decided::New(grant(evidence.clone(), held.since())),
        }),
        (Record::Held(held), Decision::Withdrawn) => {
            Ok(Decided::New(withdrawal(evidence, held.since())))
        }
        (Record::Gone(_), Decision::Granted) => Err(StoreError::Conflict),
        (Record::Gone(event), Decision::Withdrawn) => Ok(Decided::Already(event.clone())),
    }
}

/// Decides what a decision does to a dialog that might not have come yet.
///
/// # Errors
/// [`StoreError::Conflict`] for a grant after a withdrawal or an erasure.
pub fn decide_early(
    record: &Record,
    decision: Decision,
    evidence: &Evidence,
    hold_for: Duration,
    now: Date,
) -> Result<DecidedEarly, StoreError> {
    let held = match record {
        Record::Held(_) | Record::Gone(_) => {
            return decide(record, decision, evidence, now).map(DecidedEarly::Recorded);
        }
        Record::Absent => None,
        Record::Awaited(held) => Some(held).filter(|held| held.holds_at(now)),
    };
    Ok(match decision {
        Decision::Withdrawn => DecidedEarly::Blocked(withdrawal(evidence, Date::MIN)),
        // If the grant is repeated, the first one counts.
        Decision::Granted => DecidedEarly::Held(held.cloned().unwrap_or_else(|| EarlyGrant {
            evidence: evidence.clone(),
            date: now,
            until: now.saturating_add(hold_for),
        })),
    })
}

/// Decides what becomes of one dialog that an operator or its customer erases.
///
/// # Errors
/// [`StoreError::NotFound`] when it is absent, gone, or another customer's.
pub fn erase_dialog<G>(
    record: &Record<G>,
    customer_id: &CustomerId,
) -> Result<NewEvent, StoreError> {
    match record {
        Record::Held(held) if held.customer_id == *customer_id => Ok(erasure(held)),
        _ => Err(StoreError::NotFound),
    }
}

/// Erasure of a customer's data: decides what becomes of one record that was found under that customer. `None` if it no
/// longer belongs to the customer or is already gone.
pub fn erase_customer<G>(record: &Record<G>, customer_id: &CustomerId) -> Option<NewEvent> {
    erase_dialog(record, customer_id).ok()
}

/// Retention: decides what becomes of one record that was found to be due. `None` if it is no longer due.
pub fn purge<G>(record: &Record<G>, which: Purge, before: Date) -> Option<Purged> {
    match (record, which) {
        (Record::Held(held), Purge::Pending | Purge::Consented)
            if which.takes(held.granted.is_some()) && held.received < before =>
        {
            let expiry = NewEvent { kind: EventKind::Expired, ..erasure(held) };
            Some(Purged::Erased(expiry))
        }
        (Record::Gone(event), Purge::Tombstones) if event.date < before => Some(Purged::Forgotten),
        _ => None,
    }
}

impl<G> Record<G> {
    /// The state of the dialog; `None` if there is none.
    pub fn state(&self) -> Option<ConsentState> {
        match self {
            Self::Absent | Self::Awaited(_) => None,
            Self::Held(held) => Some(held.state()),
            Self::Gone(event) => Some(ConsentState::after(event.kind)),
        }
    }
}

impl Record {
    /// The state of the dialog, and since when it has been in it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for an id that was never used.
    pub fn status(self, dialog_id: DialogId) -> Result<ConsentStatus, StoreError> {
        let state = self.state().ok_or(StoreError::NotFound)?;
        let (date, event) = match self {
            Self::Held(HeldRecord { granted: None, received, .. }) => (received, None),
            Self::Held(HeldRecord { granted: Some(event), .. }) | Self::Gone(event) => {
                (event.date, Some(event))
            }
            Self::Absent | Self::Awaited(_) => return Err(StoreError::NotFound),
        };
        Ok(ConsentStatus { dialog_id, state, date, event })
    }
}

impl<G> HeldRecord<G> {
    /// Pending or granted.
    pub fn state(&self) -> ConsentState {
        if self.granted.is_some() { ConsentState::Granted } else { ConsentState::Pending }
    }

    /// The earliest date that an event of this dialog can have.
    fn since(&self) -> Date {
        if self.is_imported { Date::MIN } else { self.received }
    }
}

impl EarlyGrant {
    /// Whether the grant is still held at that time.
    pub fn holds_at(&self, now: Date) -> bool {
        now < self.until
    }
}

/// The grant that is held for a dialog if its id is free.
fn grant_in(slot: Slot<'_>, now: Date) -> Result<Option<&EarlyGrant>, StoreError> {
    match slot {
        Slot::Free => Ok(None),
        Slot::Awaited(held) => Ok(Some(held).filter(|held| held.holds_at(now))),
        Slot::Taken { same_content } => Err(StoreError::Exists { same_content }),
        Slot::Gone => Err(StoreError::Gone),
    }
}

fn grant(evidence: Evidence, not_before: Date) -> NewEvent {
    NewEvent { kind: EventKind::Granted, evidence, not_before }
}

fn withdrawal(evidence: &Evidence, not_before: Date) -> NewEvent {
    NewEvent { kind: EventKind::Withdrawn, evidence: evidence.clone(), not_before }
}

fn erasure<G>(held: &HeldRecord<G>) -> NewEvent {
    NewEvent { kind: EventKind::Erased, evidence: Evidence::default(), not_before: held.since() }
}
