//! One event of the ledger.

use std::fmt;
use std::str::FromStr;

use crate::dialog::Dialog;
use crate::error::Invalid;
use crate::values::{Date, DialogRef, Evidence, hex32, write_hex32};

/// What happened to a dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// Its customer granted consent.
    Granted,
    /// Its customer refused or withdrew consent.
    Withdrawn,
    /// An operator removed it, or its customer used the right to erasure (GDPR article 17).
    Erased,
    /// Retention erased it: its consent did not come within the time that the operator set, or it was consented and had
    /// been kept for as long as the operator set (GDPR article 5(1)(e)).
    Expired,
}

impl EventKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Granted, Self::Withdrawn, Self::Erased, Self::Expired];

    /// The number that stands for the kind in the hash, and that a backend can store.
    pub const fn code(self) -> u8 {
        match self {
            Self::Granted => 1,
            Self::Withdrawn => 2,
            Self::Erased => 3,
            Self::Expired => 4,
        }
    }

    /// The kind with that code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// Its name in exports and answers: `granted`, `withdrawn`, `erased`, `expired`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Withdrawn => "withdrawn",
            Self::Erased => "erased",
            Self::Expired => "expired",
        }
    }
}

/// The hash of an event. Through the chain it covers all events before it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventHash([u8; 32]);

impl EventHash {
    /// Takes the bytes that a backend has stored.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for a backend to store.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Writes 64 hexadecimal digits.
impl fmt::Display for EventHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex32(&self.0, f)
    }
}

impl fmt::Debug for EventHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventHash({self})")
    }
}

impl FromStr for EventHash {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        hex32(text).map(Self).ok_or_else(|| Invalid::new("hash", "must be 64 hexadecimal digits"))
    }
}

/// One event of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The number of its chain: always 0 in a ledger with one chain.
    pub chain: u16,
    /// Its position in the chain: 1 for the first event.
    pub position: u64,
    /// Which dialog it is about.
    pub reference: DialogRef,
    /// What happened.
    pub kind: EventKind,
    /// When.
    pub date: Date,
    /// The evidence of a decision; empty for other events, and if it is hidden.
    pub evidence: Evidence,
    /// Whether there is evidence that the reader may not see. The hash cannot be computed without it.
    pub hides_evidence: bool,
    /// The hash over the chain's events up to this one, evidence included.
    pub hash: EventHash,
}

impl Event {
    /// The event for a reader who may not see its evidence. An event without evidence has nothing to hide.
    #[must_use]
    pub fn without_evidence(self) -> Self {
        let hides_evidence = self.hides_evidence || self.evidence != Evidence::default();
        Self { evidence: Evidence::default(), hides_evidence, ..self }
    }
}

/// An event, with the dialog that it made readable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What happened.
    pub event: Event,
    /// The dialog, if the event is a grant that is still valid.
    pub dialog: Option<Dialog>,
}

impl Change {
    /// About how many bytes of memory it takes.
    pub fn bytes_in_memory(&self) -> usize {
        const FIXED: usize = 256;
        let evidence = self.event.evidence.pieces().into_iter().flatten().map(str::len);
        let dialog = self.dialog.as_ref().map_or(0, Dialog::bytes_in_memory);
        evidence.sum::<usize>() + dialog + FIXED
    }
}
