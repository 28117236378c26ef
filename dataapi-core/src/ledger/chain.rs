//! Chains: how events follow each other, and the heads that sign them off.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use super::event::{Event, EventHash, EventKind};
use crate::error::Invalid;
use crate::values::{Date, DialogRef, Evidence};

/// The head of a chain: its last event.
///
/// Its text form is `HASH@POSITION`, followed by `/CHAIN` for every chain but the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainHead {
    /// The number of the chain.
    pub chain: u16,
    /// How many events the chain has.
    pub position: u64,
    /// The hash of its last event.
    pub hash: EventHash,
}

impl ChainHead {
    /// The head of the first chain while it has no events.
    pub const EMPTY: Self = Self::empty(0);

    /// The head of a chain without events.
    pub const fn empty(chain: u16) -> Self {
        Self { chain, position: 0, hash: EventHash::from_bytes([0; 32]) }
    }

    /// Makes the event that follows this head.
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
        hasher.update(self.hash.as_bytes());
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
        let hash = EventHash::from_bytes(hasher.finalize().into());
        let (chain, hides_evidence) = (self.chain, false);
        Event { chain, position, reference, kind, date, evidence, hides_evidence, hash }
    }

    /// Whether `event` follows this head. Of an event that hides its evidence, only the place can be checked: its hash
    /// is taken as given.
    pub fn precedes(&self, event: &Event) -> bool {
        if event.hides_evidence {
            return event.chain == self.chain
                && self.position.checked_add(1) == Some(event.position);
        }
        let Event { reference, kind, date, evidence, .. } = event;
        self.next(*reference, *kind, *date, evidence.clone()) == *event
    }
}

impl fmt::Display for ChainHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.hash, self.position)?;
        if self.chain > 0 { write!(f, "/{}", self.chain) } else { Ok(()) }
    }
}

impl Event {
    /// The head of its chain after this event.
    pub fn head(&self) -> ChainHead {
        ChainHead { chain: self.chain, position: self.position, hash: self.hash }
    }
}

/// A position in each chain of a ledger: how far the ledger goes, or how far it was read.
///
/// Its text form has one number per chain, separated by dots: `12` for a ledger of one chain, `12.0.7` for one of
/// three. Trailing chains without events are left out.
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

    /// The maximum number of chains in a ledger.
    pub const MAX_CHAINS: usize = 1024;

    /// The position in one chain.
    pub fn of(&self, chain: u16) -> u64 {
        self.0.get(usize::from(chain)).copied().unwrap_or(0)
    }

    /// How many events there are up to these positions, in all chains together.
    pub fn events(&self) -> u64 {
        self.0.iter().fold(0, |sum, position| sum.saturating_add(*position))
    }

    /// Sets the position in one chain, forwards or backwards.
    pub fn set(&mut self, chain: u16, position: u64) {
        let chain = usize::from(chain);
        if self.0.len() <= chain {
            self.0.resize(chain + 1, 0);
        }
        self.0[chain] = position;
        let used = self.0.iter().rposition(|position| *position > 0).map_or(0, |last| last + 1);
        self.0.truncate(used);
    }

    /// Moves past an event that was read.
    pub fn pass(&mut self, event: &Event) {
        self.set(event.chain, event.position);
    }

    /// Each chain that has events, and how many it has.
    pub fn chains(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        (0..).zip(self.0.iter().copied()).filter(|(_, position)| *position > 0)
    }
}

/// The positions of a ledger with one chain.
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
            // A number that does not fit is larger than every position, so it counts as the largest.
            let is_short = (1..=20).contains(&digits.len());
            (is_number && is_short).then(|| digits.parse().unwrap_or(u64::MAX))
        };
        let read = text.split('.').map(number).collect::<Option<Vec<u64>>>();
        let Some(read) = read.filter(|read| read.len() <= Self::MAX_CHAINS) else {
            return Err(Invalid::new(
                "positions",
                "must be one number per chain, separated by dots",
            ));
        };
        let mut positions = Self::START;
        for (chain, position) in (0..).zip(read) {
            positions.set(chain, position);
        }
        Ok(positions)
    }
}

/// The heads of all chains, signed off with one hash. Keep it outside the store, and it shows later whether any event
/// up to it was changed or cut off.
///
/// If only the first chain has events, the hash is that of its last event. Otherwise it is SHA-256 over 40 bytes for
/// each chain in order, up to the last one that has events: the position as a big-endian number, then the hash of the
/// last event, or 32 zeros if there is none. The text form is `HASH@POSITIONS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerHead {
    /// How many events each chain has.
    pub positions: Positions,
    /// The hash over the heads of the chains.
    pub hash: EventHash,
}

impl LedgerHead {
    /// The head of an empty ledger.
    pub const EMPTY: Self = Self { positions: Positions::START, hash: ChainHead::EMPTY.hash };

    /// Signs off the heads of chains, in any order. Chains without events are left out.
    pub fn of(heads: impl IntoIterator<Item = ChainHead>) -> Self {
        let mut positions = Positions::START;
        let mut lasts = Vec::new();
        for head in heads.into_iter().filter(|head| head.position > 0) {
            positions.set(head.chain, head.position);
            let chain = usize::from(head.chain);
            if lasts.len() <= chain {
                lasts.resize(chain + 1, ChainHead::EMPTY.hash);
            }
            lasts[chain] = head.hash;
        }
        let hash = match &lasts[..] {
            [] => ChainHead::EMPTY.hash,
            [only] => *only,
            several => {
                let mut hasher = Sha256::new();
                for (chain, hash) in (0..).zip(several) {
                    hasher.update(positions.of(chain).to_be_bytes());
                    hasher.update(hash.as_bytes());
                }
                EventHash::from_bytes(hasher.finalize().into())
            }
        };
        Self { positions, hash }
    }
}

/// The head of a ledger with one chain.
impl From<ChainHead> for LedgerHead {
    fn from(head: ChainHead) -> Self {
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
        parse().ok_or_else(|| {
            Invalid::new("head", "must be HASH@POSITIONS, as 'dataapi audit head' prints it")
        })
    }
}
