//! The consent ledger: one event for each decision, erasure and expiry, chained by hash, so that
//! whoever kept a [`Head`] can tell later that nothing before it was edited, removed or added.
//!
//! An event names its dialog by [`DialogRef`] and holds no text, no customer and no plain id: the
//! ledger is the controller's proof (GDPR articles 5(2) and 7(1)), and outlives what it proves.
//!
//! A store on one machine has one chain, number 0. A store that is spread over many has a chain for each of
//! its shards, so that no decision waits for one elsewhere: all events of one dialog are in one chain, and
//! a [`LedgerHead`] signs off all chains with one hash.
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

/// The last event of one chain.
///
/// Its text form is `HASH@POSITION`, with `/CHAIN` after it if that is not the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Which chain of the ledger.
    pub chain: u16,
    /// How many events there are.
    pub position: u64,
    /// The hash of the last one.
    pub hash: EventHash,
}

impl Head {
    /// The head of the first chain while it has no events.
    pub const EMPTY: Self = Self::empty(0);

    /// The head of a chain without events.
    pub const fn empty(chain: u16) -> Self {
        Self { chain, position: 0, hash: EventHash([0; 32]) }
    }

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
        Event { chain: self.chain, position, reference, kind, date, evidence, hash }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.hash, self.position)?;
        if self.chain > 0 { write!(f, "/{}", self.chain) } else { Ok(()) }
    }
}

/// How far each chain of a ledger goes, or was read.
///
/// Its text form has a number for each chain, with dots between: `12` for a ledger of one chain,
/// `12.0.7` for one of three. Chains at its end without events are left out.
///
/// ```
/// use dataapi_core::Positions;
///
/// let positions: Positions = "12.0.7".parse()?;
/// assert_eq!((positions.of(0), positions.of(2), positions.of(9)), (12, 7, 0));
/// assert_eq!(positions.events(), 19);
/// assert_eq!(Positions::START.to_string(), "0");
/// # Ok::<(), dataapi_core::Invalid>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Positions(Vec<u64>);

impl Positions {
    /// Before the first event of any chain.
    pub const START: Self = Self(Vec::new());

    /// The most chains that a ledger has.
    pub const MAX_CHAINS: usize = 1024;

    /// That of one chain.
    pub fn of(&self, chain: u16) -> u64 {
        self.0.get(usize::from(chain)).copied().unwrap_or(0)
    }

    /// How many events lie up to there in all.
    pub fn events(&self) -> u64 {
        self.0.iter().fold(0, |sum, position| sum.saturating_add(*position))
    }

    /// Moves on, or back, to a position of one chain.
    pub fn set(&mut self, chain: u16, position: u64) {
        let chain = usize::from(chain);
        if self.0.len() <= chain {
            self.0.resize(chain + 1, 0);
        }
        self.0[chain] = position;
        let used = self.0.iter().rposition(|position| *position > 0).map_or(0, |last| last + 1);
        self.0.truncate(used);
    }

    /// Moves on to an event that was read.
    pub fn pass(&mut self, event: &Event) {
        self.set(event.chain, event.position);
    }

    /// Each chain that has events, and how many.
    pub fn chains(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        (0..).zip(self.0.iter().copied()).filter(|(_, position)| *position > 0)
    }
}

/// That of a ledger of one chain.
impl From<u64> for Positions {
    fn from(position: u64) -> Self {
        let mut positions = Self::START;
        positions.set(0, position);
        positions
    }
}

impl fmt::Display for Positions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.of(0))?;
        self.0.iter().skip(1).try_for_each(|position| write!(f, ".{position}"))
    }
}

impl FromStr for Positions {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let number = |digits: &str| {
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
            // What is larger than any position is after all of them.
            let is_short = (1..=20).contains(&digits.len());
            (is_number && is_short).then(|| digits.parse().unwrap_or(u64::MAX))
        };
        let read = text.split('.').map(number).collect::<Option<Vec<u64>>>();
        let Some(read) = read.filter(|read| read.len() <= Self::MAX_CHAINS) else {
            return Err(Invalid::new(
                "positions",
                "must be a number for each chain, with dots between",
            ));
        };
        let mut positions = Self::START;
        for (chain, position) in (0..).zip(read) {
            positions.set(chain, position);
        }
        Ok(positions)
    }
}

/// The last events of all chains, signed off with one hash: kept outside the store, it tells later
/// whether anything up to it was changed or cut off.
///
/// The hash is that of the last event where only the first chain has events. Else it is SHA-256 over 40
/// bytes for each chain in order, up to the last that has events: its position, big-endian, and the hash of
/// its last event, or 32 zeros. Its text form is `HASH@POSITIONS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerHead {
    /// How many events each chain has.
    pub positions: Positions,
    /// The hash over the last ones.
    pub hash: EventHash,
}

impl LedgerHead {
    /// The head of a ledger without events.
    pub const EMPTY: Self = Self { positions: Positions::START, hash: Head::EMPTY.hash };

    /// Signs off the heads of all chains that have events, in any order.
    pub fn of(heads: impl IntoIterator<Item = Head>) -> Self {
        let mut positions = Positions::START;
        let mut lasts = Vec::new();
        for head in heads.into_iter().filter(|head| head.position > 0) {
            positions.set(head.chain, head.position);
            let chain = usize::from(head.chain);
            if lasts.len() <= chain {
                lasts.resize(chain + 1, Head::EMPTY.hash);
            }
            lasts[chain] = head.hash;
        }
        let hash = match &lasts[..] {
            [] => Head::EMPTY.hash,
            [only] => *only,
            several => {
                let mut hasher = Sha256::new();
                for (chain, hash) in (0..).zip(several) {
                    hasher.update(positions.of(chain).to_be_bytes());
                    hasher.update(hash.0);
                }
                EventHash(hasher.finalize().into())
            }
        };
        Self { positions, hash }
    }
}

/// That of a ledger of one chain.
impl From<Head> for LedgerHead {
    fn from(head: Head) -> Self {
        Self::of([head])
    }
}

impl fmt::Display for LedgerHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.hash, self.positions)
    }
}

impl FromStr for LedgerHead {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let parse = || {
            let (hash, positions) = text.split_once('@')?;
            Some(Self { hash: hash.parse().ok()?, positions: positions.parse().ok()? })
        };
        parse()
            .ok_or_else(|| Invalid::new("head", "must be HASH@POSITIONS, as 'audit head' tells it"))
    }
}

/// One event of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Which chain of the ledger it is in: always 0 where there is one.
    pub chain: u16,
    /// Its place there: 1 for the first.
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
    /// The head of its chain after this event.
    pub fn head(&self) -> Head {
        Head { chain: self.chain, position: self.position, hash: self.hash }
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

/// Checks a ledger event by event, in constant memory. Each chain's events come in order; the chains may
/// come one after the other or mixed.
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
/// let mut audit = Audit::new(Some(noted.into()));
/// audit.check(&first)?;
/// audit.check(&second)?;
/// assert_eq!(audit.finish()?, second.head().into());
///
/// second.kind = EventKind::Expired;
/// let mut audit = Audit::new(None);
/// audit.check(&first)?;
/// assert!(audit.check(&second).is_err());
/// # Ok::<(), dataapi_core::BrokenChain>(())
/// ```
#[derive(Clone, Debug)]
pub struct Audit {
    /// By chain.
    heads: Vec<Head>,
    noted: Option<LedgerHead>,
    /// What the heads were where the noted one is.
    passed: Vec<Head>,
}

/// Where a ledger is not what it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BrokenChain {
    /// The event at this position is not the one that was written there, or one before it is missing
    /// or was added.
    #[error(
        "the ledger is broken at position {position} of chain {chain}: an event was changed, removed or \
         added"
    )]
    Link {
        /// In which chain.
        chain: u16,
        /// The first position that does not fit.
        position: u64,
    },
    /// A chain ends before the head that was noted earlier.
    #[error(
        "chain {chain} of the ledger ends at position {position}, before the head noted earlier: it was \
         cut off"
    )]
    CutOff {
        /// Which chain.
        chain: u16,
        /// The last position there is.
        position: u64,
    },
    /// The chains are whole, but they are not the ones whose head was noted earlier.
    #[error(
        "the ledger has other events up to the head noted earlier, at {positions}: it was written anew"
    )]
    Rewritten {
        /// Those of the noted head.
        positions: Positions,
    },
}

impl Audit {
    /// Begins before the first event. `noted` is a head that was noted earlier, if there is one.
    pub fn new(noted: Option<LedgerHead>) -> Self {
        Self { heads: Vec::new(), noted, passed: Vec::new() }
    }

    /// Takes the next event of a chain.
    ///
    /// # Errors
    /// When it does not follow the one before.
    pub fn check(&mut self, event: &Event) -> Result<(), BrokenChain> {
        let Event { chain, reference, kind, date, evidence, .. } = event;
        let broken = |position| BrokenChain::Link { chain: *chain, position };
        if usize::from(*chain) >= Positions::MAX_CHAINS {
            return Err(broken(1));
        }
        while self.heads.len() <= usize::from(*chain) {
            // There are not more chains than numbers for them.
            let next = u16::try_from(self.heads.len()).unwrap_or(u16::MAX);
            self.heads.push(Head::empty(next));
        }
        let head = &mut self.heads[usize::from(*chain)];
        let expected = head.next(*reference, *kind, *date, evidence.clone());
        if *event != expected {
            return Err(broken(expected.position));
        }
        *head = event.head();
        if self.noted.as_ref().is_some_and(|noted| noted.positions.of(*chain) == event.position) {
            self.passed.push(event.head());
        }
        Ok(())
    }

    /// Tells the head after the last event.
    ///
    /// # Errors
    /// When the noted head was not reached, or is another.
    pub fn finish(self) -> Result<LedgerHead, BrokenChain> {
        if let Some(noted) = self.noted {
            let last = |chain| self.heads.get(usize::from(chain)).map_or(0, |head| head.position);
            for (chain, position) in noted.positions.chains() {
                if last(chain) < position {
                    return Err(BrokenChain::CutOff { chain, position: last(chain) });
                }
            }
            if LedgerHead::of(self.passed) != noted {
                return Err(BrokenChain::Rewritten { positions: noted.positions });
            }
        }
        Ok(LedgerHead::of(self.heads))
    }
}
