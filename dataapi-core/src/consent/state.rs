//! Decisions, their proof, and how a dialog stands.

use crate::error::StoreError;
use crate::ledger::{Event, EventKind};
use crate::values::{Date, DialogId};

/// What a customer answered when asked for consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// *Yes*: the dialog may be read.
    Granted,
    /// *No*, at once or later: the dialog is erased.
    Withdrawn,
}

/// The proof of one decision: its event in the ledger.
///
/// Deciding the same once more yields the first receipt again, date and evidence included. A *no*
/// after an erasure is proven by the event of the erasure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Which dialog was decided on.
    pub dialog_id: DialogId,
    /// What was decided.
    pub decision: Decision,
    /// What the ledger says of it: when, on what evidence, and where it stands there.
    pub event: Event,
}

/// What came of a decision that may have come before its dialog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EarlyDecision {
    /// The dialog was there, or had been.
    Recorded(Receipt),
    /// The dialog is yet to come.
    Held(HeldDecision),
}

/// A decision on a dialog that is yet to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldDecision {
    /// Which dialog was decided on.
    pub dialog_id: DialogId,
    /// What was decided.
    pub decision: Decision,
    /// When that was, for the first time.
    pub date: Date,
    /// When it ends unless the dialog has come; `None` for a *no*, which is for ever.
    pub until: Option<Date>,
}

/// How a dialog stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConsentState {
    /// Stored, no decision yet: unreadable.
    Pending,
    /// The customer said yes: readable.
    Granted,
    /// The customer said no: the dialog is erased.
    Withdrawn,
    /// Removed by an operator, by the right to erasure, or by retention.
    Erased,
}

impl ConsentState {
    /// How a dialog stands once that has happened to it.
    pub const fn after(kind: EventKind) -> Self {
        match kind {
            EventKind::Granted => Self::Granted,
            EventKind::Withdrawn => Self::Withdrawn,
            EventKind::Erased | EventKind::Expired => Self::Erased,
        }
    }
}

/// How a dialog stands, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentStatus {
    /// The dialog in question.
    pub dialog_id: DialogId,
    /// How it stands.
    pub state: ConsentState,
    /// When it was received while pending; else when that state was entered.
    pub date: Date,
    /// The event that it stands on; none while pending.
    pub event: Option<Event>,
}

/// What a store knows of a dialog id that was used: the state that decisions act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsentRecord {
    /// Stored, no decision yet.
    Pending {
        /// When the dialog was received.
        received: Date,
    },
    /// Consented, or gone: what its last event says. Of a gone dialog it is all that remains.
    Decided(Event),
}

/// What a decision does to a dialog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transition {
    /// Nothing: this is how it was decided before.
    None(Event),
    /// The dialog becomes readable.
    Grant,
    /// The dialog is erased, and a tombstone stays.
    Withdraw,
}

impl ConsentRecord {
    /// What `decision` does in this state: the whole of the consent rules.
    ///
    /// A *no* after an erasure changes nothing and is answered with the erasure: what the customer
    /// wants is already so.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] for a *yes* after a withdrawal or an erasure.
    ///
    /// ```
    /// use dataapi_core::{ConsentRecord, Date, Decision, DialogRef, Evidence, StoreError, Transition};
    /// use dataapi_core::{EventKind, ChainHead};
    ///
    /// let pending = ConsentRecord::Pending { received: Date::MIN };
    /// assert_eq!(pending.decide(Decision::Granted)?, Transition::Grant);
    ///
    /// let reference = DialogRef::from_bytes([7; 32]);
    /// let event =
    ///     ChainHead::EMPTY.next(reference, EventKind::Withdrawn, Date::MIN, Evidence::default());
    /// let gone = ConsentRecord::Decided(event);
    /// assert!(matches!(gone.decide(Decision::Granted), Err(StoreError::Conflict)));
    /// # Ok::<(), StoreError>(())
    /// ```
    pub fn decide(&self, decision: Decision) -> Result<Transition, StoreError> {
        match (self, decision) {
            (Self::Pending { .. }, Decision::Granted) => Ok(Transition::Grant),
            (Self::Pending { .. }, Decision::Withdrawn) => Ok(Transition::Withdraw),
            (Self::Decided(event), decision) => match (event.kind, decision) {
                (EventKind::Granted, Decision::Withdrawn) => Ok(Transition::Withdraw),
                (EventKind::Granted, Decision::Granted) | (_, Decision::Withdrawn) => {
                    Ok(Transition::None(event.clone()))
                }
                (_, Decision::Granted) => Err(StoreError::Conflict),
            },
        }
    }

    /// How the dialog stands, and since when.
    pub fn status(self, dialog_id: DialogId) -> ConsentStatus {
        match self {
            Self::Pending { received } => ConsentStatus {
                dialog_id,
                state: ConsentState::Pending,
                date: received,
                event: None,
            },
            Self::Decided(event) => {
                let state = match event.kind {
                    EventKind::Granted => ConsentState::Granted,
                    EventKind::Withdrawn => ConsentState::Withdrawn,
                    EventKind::Erased | EventKind::Expired => ConsentState::Erased,
                };
                ConsentStatus { dialog_id, state, date: event.date, event: Some(event) }
            }
        }
    }
}
