//! The consent ledger: one event for each decision, erasure and expiry, chained by hash, so that
//! whoever kept a [`Head`] can tell later that nothing before it was edited, removed or added.
//!
//! An event names its dialog by [`DialogRef`] and holds no text, no customer and no plain id: the
//! ledger is the controller's proof (GDPR articles 5(2) and 7(1)), and outlives what it proves.
//!
//! # The chain
//!
//! The hash of an event is SHA-256 (FIPS 180-4) over these bytes, numbers big-endian:
//!
//! | bytes | of |
//! |---|---|
//! | 32 | the hash of the event before; 32 zeros before the first |
//! | 8 | the position: 1 for the first event, one more for each that follows |
//! | 32 | the reference of the dialog |
//! | 1 | the kind: 1 granted, 2 withdrawn, 3 erased, 4 expired |
//! | 8 | the date, in microseconds since 1970-01-01T00:00:00Z, signed |
//! | 2 + n | for each of `notice`, `method` and `locale` in turn: its length in bytes and the bytes; the length 65,535 and no bytes where there is none |

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::clock::Date;
use crate::consent::{DialogRef, Evidence};
use crate::dialog::Dialog;
use crate::error::Invalid;

/// What happened to a dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// Its customer said yes.
    Granted,
    /// Its customer said no.
    Withdrawn,
    /// An operator removed it, or its customer used the right to erasure (GDPR article 17).
    Erased,
    /// Its consent never came within the time that the operator set (GDPR article 5(1)(e)).
    Expired,
}

impl EventKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Granted, Self::Withdrawn, Self::Erased, Self::Expired];

    /// How it is hashed, and how a backend may keep it.
    pub const fn code(self) -> u8 {
        match self {
            Self::Granted => 1,
            Self::Withdrawn => 2,
            Self::Erased => 3,
            Self::Expired => 4,
        }
    }

    /// The kind of that code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// Its name in exports: `granted`, `withdrawn`, `erased`, `expired`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Withdrawn => "withdrawn",
            Self::Erased => "erased",
            Self::Expired => "expired",
        }
    }
}

/// The hash of an event, and by the chain of all events before it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventHash([u8; 32]);

impl EventHash {
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

/// Writes 64 hexadecimal digits, at once: an export writes some for each dialog.
pub(crate) fn write_hex32(bytes: &[u8; 32], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    // Whatever the bytes are, they are written as its hashes are.
    f.write_str(&blake3::Hash::from_bytes(*bytes).to_hex())
}

pub(crate) fn hex32(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// The last event of a ledger: kept outside the store, it tells later whether anything up to it was
/// changed or cut off.
///
/// Its text form is `HASH@POSITION`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// How many events there are.
    pub position: u64,
    /// The hash of the last one.
    pub hash: EventHash,
}

impl Head {
    /// The head of a ledger without events.
    pub const EMPTY: Self = Self { position: 0, hash: EventHash([0; 32]) };

    /// The event that follows this head.
    #[must_use]
    pub fn next(
        &self,
        reference: DialogRef,
        kind: EventKind,
        date: Date,
        evidence: Evidence,
    ) -> Event {
        let position = self.position + 1;
        let mut hasher = Sha256::new();
        hasher.update(self.hash.0);
        hasher.update(position.to_be_bytes());
        hasher.update(reference.as_bytes());
        hasher.update([kind.code()]);
        hasher.update(date.as_micros().to_be_bytes());
        for piece in evidence.pieces() {
            // A piece has at most 255 bytes.
            let length = piece.and_then(|piece| u16::try_from(piece.len()).ok());
            hasher.update(length.unwrap_or(u16::MAX).to_be_bytes());
            hasher.update(piece.unwrap_or_default());
        }
        let hash = EventHash(hasher.finalize().into());
        Event { position, reference, kind, date, evidence, hash }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.hash, self.position)
    }
}

impl FromStr for Head {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let parse = || {
            let (hash, position) = text.split_once('@')?;
            Some(Self { hash: hash.parse().ok()?, position: position.parse().ok()? })
        };
        parse()
            .ok_or_else(|| Invalid::new("head", "must be HASH@POSITION, as 'audit head' tells it"))
    }
}

/// One event of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its place: 1 for the first.
    pub position: u64,
    /// Which dialog it is about.
    pub reference: DialogRef,
    /// What happened.
    pub kind: EventKind,
    /// When.
    pub date: Date,
    /// What a decision rested on; empty for other events.
    pub evidence: Evidence,
    /// The hash over all of that and the event before.
    pub hash: EventHash,
}

impl Event {
    /// The ledger's head after this event.
    pub fn head(&self) -> Head {
        Head { position: self.position, hash: self.hash }
    }
}

/// An event with what it made readable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What happened.
    pub event: Event,
    /// The dialog, if the event is a grant that still holds.
    pub dialog: Option<Dialog>,
}

/// Checks a ledger event by event, in constant memory.
///
/// ```
/// use dataapi_core::{Audit, Date, DialogRef, EventKind, Evidence, Head};
///
/// let reference = DialogRef::from_bytes([1; 32]);
/// let first = Head::EMPTY.next(reference, EventKind::Granted, Date::MIN, Evidence::default());
/// let noted = first.head();
/// let mut second =
///     noted.next(reference, EventKind::Withdrawn, Date::MIN, Evidence::default());
///
/// let mut audit = Audit::new(Some(noted));
/// audit.check(&first)?;
/// audit.check(&second)?;
/// assert_eq!(audit.finish()?, second.head());
///
/// second.kind = EventKind::Expired;
/// let mut audit = Audit::new(None);
/// audit.check(&first)?;
/// assert!(audit.check(&second).is_err());
/// # Ok::<(), dataapi_core::BrokenChain>(())
/// ```
#[derive(Clone, Debug)]
pub struct Audit {
    head: Head,
    noted: Option<Head>,
}

/// Where a ledger is not what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BrokenChain {
    /// The event at this position is not the one that was written there, or one before it is missing
    /// or was added.
    #[error("the ledger is broken at position {position}: an event was changed, removed or added")]
    Link {
        /// The first position that does not fit.
        position: u64,
    },
    /// The ledger ends before the head that was noted earlier.
    #[error(
        "the ledger ends at position {position}, before the head noted earlier: it was cut off"
    )]
    CutOff {
        /// The last position there is.
        position: u64,
    },
    /// The chain is whole, but it is not the one whose head was noted earlier.
    #[error(
        "the ledger has another event at position {position} than the head noted earlier: it was written anew"
    )]
    Rewritten {
        /// The position of the noted head.
        position: u64,
    },
}

impl Audit {
    /// Begins before the first event. `noted` is a head that was noted earlier, if there is one.
    pub fn new(noted: Option<Head>) -> Self {
        Self { head: Head::EMPTY, noted }
    }

    /// Takes the next event.
    ///
    /// # Errors
    /// When it does not follow the one before, or is another than the noted head.
    pub fn check(&mut self, event: &Event) -> Result<(), BrokenChain> {
        let Event { reference, kind, date, evidence, .. } = event;
        let expected = self.head.next(*reference, *kind, *date, evidence.clone());
        if *event != expected {
            return Err(BrokenChain::Link { position: expected.position });
        }
        self.head = event.head();
        self.compare()
    }

    /// Tells the head after the last event.
    ///
    /// # Errors
    /// When the noted head was not reached.
    pub fn finish(self) -> Result<Head, BrokenChain> {
        self.compare()?;
        match self.noted {
            Some(noted) if noted.position > self.head.position => {
                Err(BrokenChain::CutOff { position: self.head.position })
            }
            _ => Ok(self.head),
        }
    }

    fn compare(&self) -> Result<(), BrokenChain> {
        match self.noted {
            Some(noted) if noted.position == self.head.position && noted != self.head => {
                Err(BrokenChain::Rewritten { position: noted.position })
            }
            _ => Ok(()),
        }
    }
}
