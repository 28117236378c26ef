//! Decisions, their proof, and how a dialog stands.

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
