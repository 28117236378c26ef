//! Decisions, their proof, and the state of a dialog.

use crate::ledger::{Event, EventKind};
use crate::values::{Date, DialogId};

/// What a customer answered when asked for consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Consent is granted: the dialog becomes readable.
    Granted,
    /// Consent is refused, or withdrawn later: the dialog is erased.
    Withdrawn,
}

/// The proof of one decision: its event in the ledger.
///
/// Making the same decision again returns the first receipt, date and evidence included. The receipt of a withdrawal
/// after an erasure has the event of the erasure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Which dialog was decided on.
    pub dialog_id: DialogId,
    /// What was decided.
    pub decision: Decision,
    /// The decision's event in the ledger: its date, its evidence and its position.
    pub event: Event,
}

/// The result of a decision that can come before its dialog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EarlyDecision {
    /// The dialog exists or existed.
    Recorded(Receipt),
    /// The dialog has not come yet.
    Held(HeldDecision),
}

/// A decision on a dialog that has not come yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldDecision {
    /// Which dialog was decided on.
    pub dialog_id: DialogId,
    /// What was decided.
    pub decision: Decision,
    /// When it was first decided.
    pub date: Date,
    /// When the held grant ends unless the dialog comes first; `None` for a withdrawal, which never ends.
    pub until: Option<Date>,
}

/// The state of a dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConsentState {
    /// Stored, without a decision: unreadable.
    Pending,
    /// The customer consented: readable.
    Granted,
    /// The customer refused or withdrew consent: the dialog is erased.
    Withdrawn,
    /// Removed by an operator, by the right to erasure, or by retention.
    Erased,
}

impl ConsentState {
    /// The state of a dialog after such an event.
    pub const fn after(kind: EventKind) -> Self {
        match kind {
            EventKind::Granted => Self::Granted,
            EventKind::Withdrawn => Self::Withdrawn,
            EventKind::Erased | EventKind::Expired => Self::Erased,
        }
    }
}

/// The state of a dialog, and since when it has been in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentStatus {
    /// The dialog in question.
    pub dialog_id: DialogId,
    /// Its state.
    pub state: ConsentState,
    /// When the dialog was received if it is pending, otherwise when it entered its state.
    pub date: Date,
    /// The event that led to this state; `None` while pending.
    pub event: Option<Event>,
}
