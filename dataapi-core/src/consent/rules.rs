//! The rules of every write, each once, for all backends.
//!
//! A rule is a pure function. In goes what a backend knows of the rows, and the time; out comes what is to
//! be done, or the refusal. A backend looks rows up, calls the rule, and writes what it says, all in one
//! transaction; it decides nothing itself.
//!
//! Nearly every change to a dialog is an event of the ledger, so a rule mostly answers with a [`NewEvent`],
//! and the kind of the event says what becomes of the row: after a grant it is consented, after any other
//! event only a tombstone is left ([`ConsentState::after`]). The others are an [`Arrival`], a grant that is
//! held for a dialog that is yet to come, and a tombstone that is forgotten.
//!
//! `now` is the time of the store's clock, but not before any date that the store handed out.
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
/// `G` is what tells that a dialog is consented. To decide, and to say how a dialog stands, that is the
/// event of its grant; to erase, whatever the backend has at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record<G = Event> {
    /// The id was never used, or its tombstone was forgotten.
    Absent,
    /// Nothing but a grant that came before its dialog.
    Awaited(EarlyGrant),
    /// A dialog, pending or consented.
    Held(HeldRecord<G>),
    /// A tombstone: the dialog is gone by that event.
    Gone(Event),
}

/// A dialog that is held, as far as a rule has to know it: without its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldRecord<G = Event> {
    /// Whose dialog it is.
    pub customer_id: CustomerId,
    /// The language of its text.
    pub language: Language,
    /// When it was received.
    pub received: Date,
    /// Whether that is another store's date, which says nothing of this one's clock.
    pub is_imported: bool,
    /// What tells that it is consented; `None` while it is pending.
    pub granted: Option<G>,
}

/// A grant that came before its dialog, and is held for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlyGrant {
    /// What it rests on.
    pub evidence: Evidence,
    /// When it came.
    pub date: Date,
    /// When it ends unless the dialog has come.
    pub until: Date,
}

/// An event that is to be appended to the ledger, in the transaction that makes the change that it records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// What happens.
    pub kind: EventKind,
    /// What a decision rests on; empty for other events.
    pub evidence: Evidence,
    /// The earliest date that it may have: nothing happens to a dialog before it was received.
    pub not_before: Date,
}

impl NewEvent {
    /// The event that follows `head` in the chain of its dialog. `now` must not lie before the last date of
    /// that chain.
    #[must_use]
    pub fn follow(self, head: &ChainHead, reference: DialogRef, now: Date) -> Event {
        head.next(reference, self.kind, now.max(self.not_before), self.evidence)
    }
}

/// What a new dialog meets under its id: what was looked up, or what the write found that tried to take the
/// id. A backend that puts the dialog in without a look says [`Free`](Self::Free) first, and asks again
/// with what was in the way.
#[derive(Clone, Copy, Debug)]
pub enum Slot<'a> {
    /// Nothing, as far as is known.
    Free,
    /// A grant that came before it.
    Awaited(&'a EarlyGrant),
    /// Another dialog, or this very one from an earlier try.
    Taken {
        /// Customer, text and language are those already stored.
        same_content: bool,
    },
    /// A tombstone.
    Gone,
}

/// A dialog that is to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When it counts as received.
    pub received: Date,
    /// Whether that is another store's date, so that this store does not hand it out as its own.
    pub is_imported: bool,
    /// The event of its consent; `None` leaves it pending.
    pub grant: Option<NewEvent>,
}

/// What a decision comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decided {
    /// It was decided so before, by that event: nothing changes.
    Already(Event),
    /// The event that records it.
    New(NewEvent),
}

/// What a decision comes to that may have come before its dialog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecidedEarly {
    /// The dialog is there, or was.
    Recorded(Decided),
    /// The dialog is yet to come, and will be refused for ever.
    Blocked(NewEvent),
    /// The dialog is yet to come: that grant is held for it, from an earlier call or from now on.
    Held(EarlyGrant),
}

/// What a purge does to one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purged {
    /// The dialog is erased.
    Erased(NewEvent),
    /// Its tombstone is forgotten; the event stays.
    Forgotten,
}

/// A dialog is received.
///
/// # Errors
/// [`StoreError::Exists`] and [`StoreError::Gone`].
pub fn insert(slot: Slot<'_>, now: Date) -> Result<Arrival, StoreError> {
    let held = grant_in(slot, now)?;
    let since = held.map_or(now, |held| now.max(held.date));
    let grant = held.map(|held| grant(held.evidence.clone(), since));
    Ok(Arrival { received: since, is_imported: false, grant })
}

/// A dialog comes from another store, with its date and its consent.
///
/// Where [`is_from_the_future`] says that the import is refused, look the slot up first: what is in the way
/// is more useful to know than the date.
///
/// # Errors
/// [`StoreError::Exists`], [`StoreError::Gone`], and [`StoreError::Invalid`] for a date in the future.
pub fn import(slot: Slot<'_>, imported: &ImportedDialog, now: Date) -> Result<Arrival, StoreError> {
    let held = grant_in(slot, now)?;
    if is_from_the_future(imported, now) {
        return Err(Invalid::new("date", "must not lie in the future").into());
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

/// Whether a dialog is refused for its date.
pub fn is_from_the_future(imported: &ImportedDialog, now: Date) -> bool {
    imported.date.is_some_and(|date| date > now)
}

/// A customer decides on a dialog that was received.
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
        // A withdrawal ends the grant that is held.
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

/// A customer decides on a dialog that may be yet to come.
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
        // Said again it is the first one that counts.
        Decision::Granted => DecidedEarly::Held(held.cloned().unwrap_or_else(|| EarlyGrant {
            evidence: evidence.clone(),
            date: now,
            until: now.saturating_add(hold_for),
        })),
    })
}

/// An operator, or its customer, erases one dialog.
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

/// A customer's data is erased: what becomes of one record that was found to be theirs. `None` if it no
/// longer is.
pub fn erase_customer<G>(record: &Record<G>, customer_id: &CustomerId) -> Option<NewEvent> {
    erase_dialog(record, customer_id).ok()
}

/// Retention: what becomes of one record that was found to be due. `None` if it no longer is.
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
    /// How the dialog stands; `None` where there was none.
    pub fn state(&self) -> Option<ConsentState> {
        match self {
            Self::Absent | Self::Awaited(_) => None,
            Self::Held(held) => Some(held.state()),
            Self::Gone(event) => Some(ConsentState::after(event.kind)),
        }
    }
}

impl Record {
    /// How the dialog stands, and since when.
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

    /// Before when nothing can have happened to it.
    fn since(&self) -> Date {
        if self.is_imported { Date::MIN } else { self.received }
    }
}

impl EarlyGrant {
    /// Whether it is still held.
    pub fn holds_at(&self, now: Date) -> bool {
        now < self.until
    }
}

/// The grant that waits for a dialog, if its id is free.
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
