//! Consent: decisions and their proof, what stays of an erased dialog, and the one state machine
//! that every backend runs.
//!
//! ```text
//! absent ──insert──▶ pending ──yes──▶ consented ──no──▶ withdrawn
//!                       └──────────────no───────────────────▲
//! pending, consented ──erasure, expiry──▶ erased
//! ```
//!
//! Nothing leaves withdrawn or erased. A decision may come before its dialog if the store is asked to
//! hold it: a *no* leads from absent to withdrawn, a *yes* makes the dialog consented as it is inserted.

use std::fmt;
use std::str::FromStr;

use crate::clock::Date;
use crate::dialog::DialogId;
use crate::error::{Invalid, StoreError};
use crate::ledger::{Event, EventKind, hex32, write_hex32};

/// What a customer answered when asked for consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// *Yes*: the dialog may be read.
    Granted,
    /// *No*, at once or later: the dialog is erased.
    Withdrawn,
}

/// One piece of evidence: up to 255 bytes of UTF-8, any character but NUL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceField(Box<str>);

impl EvidenceField {
    /// The most bytes it has.
    pub const MAX_BYTES: usize = 255;

    /// Takes `value` as the piece of evidence called `field`.
    ///
    /// # Errors
    /// When it is longer than [`EvidenceField::MAX_BYTES`] or has a NUL.
    pub fn parse(field: &'static str, value: String) -> Result<Self, Invalid> {
        if value.len() > Self::MAX_BYTES {
            Err(Invalid::new(field, "must be at most 255 bytes of UTF-8"))
        } else if value.as_bytes().contains(&0) {
            Err(Invalid::new(field, "must have no NUL"))
        } else {
            Ok(Self(value.into_boxed_str()))
        }
    }

    /// The piece as it was sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What was agreed to, how, and in which language: the proof that GDPR article 7(1) asks for.
///
/// It outlives the dialog, so it must not name the customer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Which notice the customer was shown, such as its version or address.
    pub notice: Option<EvidenceField>,
    /// How the customer answered, such as "button in chat".
    pub method: Option<EvidenceField>,
    /// The language in which the customer was asked.
    pub locale: Option<EvidenceField>,
}

impl Evidence {
    /// Takes the three pieces, each as [`EvidenceField::parse`] does.
    ///
    /// # Errors
    /// Names the first piece that is outside its bounds.
    pub fn parse(
        notice: Option<String>,
        method: Option<String>,
        locale: Option<String>,
    ) -> Result<Self, Invalid> {
        let parse = |field, value: Option<String>| {
            value.map(|value| EvidenceField::parse(field, value)).transpose()
        };
        Ok(Self {
            notice: parse("notice", notice)?,
            method: parse("method", method)?,
            locale: parse("locale", locale)?,
        })
    }

    /// Notice, method and locale as they were sent.
    pub fn pieces(&self) -> [Option<&str>; 3] {
        [&self.notice, &self.method, &self.locale]
            .map(|piece| piece.as_ref().map(EvidenceField::as_str))
    }

    /// What stands in a receipt for consent that another store received.
    pub fn of_import() -> Self {
        Self { method: Some(EvidenceField("import".into())), ..Self::default() }
    }
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

/// A store's secret key, which turns dialog ids into [`DialogRef`]s.
///
/// Made with the store and kept in it: whoever has the whole store can still test a guessed id
/// against its tombstones, whoever has only the references cannot.
#[derive(Clone)]
pub struct RefKey([u8; 32]);

impl RefKey {
    /// Takes 32 bytes, which for a new store must come from a cryptographic random source.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for a backend to keep.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The reference of a dialog: BLAKE3 in keyed mode over the bytes of its id.
    pub fn reference(&self, dialog_id: &DialogId) -> DialogRef {
        DialogRef(*blake3::keyed_hash(&self.0, dialog_id.as_str().as_bytes()).as_bytes())
    }
}

impl fmt::Debug for RefKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefKey([redacted])")
    }
}

/// A keyed hash of a dialog's id: the same for the same dialog and store, and no way back to the
/// id without the store's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DialogRef([u8; 32]);

impl DialogRef {
    /// Takes the bytes that a backend kept.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for a backend to keep.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// 64 hexadecimal digits.
impl fmt::Display for DialogRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex32(&self.0, f)
    }
}

impl FromStr for DialogRef {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        hex32(text).map(Self).ok_or_else(|| Invalid::new("ref", "must be 64 hexadecimal digits"))
    }
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
    /// use dataapi_core::{EventKind, Head};
    ///
    /// let pending = ConsentRecord::Pending { received: Date::MIN };
    /// assert_eq!(pending.decide(Decision::Granted)?, Transition::Grant);
    ///
    /// let reference = DialogRef::from_bytes([7; 32]);
    /// let event =
    ///     Head::EMPTY.next(reference, EventKind::Withdrawn, Date::MIN, Evidence::default());
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
