//! Checking that a ledger was not changed.

use super::chain::{ChainHead, LedgerHead, Positions};
use super::event::Event;

/// Checks a ledger event by event, in constant memory. The events of each chain must come in order. The chains can
/// follow one another or be mixed.
///
/// ```
/// use dataapi_core::{Audit, Date, DialogRef, EventKind, Evidence, ChainHead};
///
/// let reference = DialogRef::from_bytes([1; 32]);
/// let first = ChainHead::EMPTY.next(reference, EventKind::Granted, Date::MIN, Evidence::default());
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
    /// The last event seen of each chain, indexed by chain.
    heads: Vec<ChainHead>,
    noted: Option<LedgerHead>,
    /// The heads of the chains at the positions of the noted head.
    passed: Vec<ChainHead>,
    takes_hidden: bool,
    hidden: u64,
}

/// How a ledger differs from what was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BrokenChain {
    /// The event at this position does not follow the one before it: an event was changed, removed or added.
    #[error(
        "the ledger is broken at position {position} of chain {chain}: an event was changed, removed or \
         added"
    )]
    Link {
        /// The number of the chain.
        chain: u16,
        /// The first position that does not fit.
        position: u64,
    },
    /// The event at this position hides its evidence, so its hash cannot be computed.
    #[error(
        "the event at position {position} of chain {chain} hides its evidence, so its hash cannot be checked: read \
         the ledger with a key that is not bound to customers or languages"
    )]
    Hidden {
        /// The number of the chain.
        chain: u16,
        /// The position of the event.
        position: u64,
    },
    /// A chain ends before the head that was noted earlier.
    #[error(
        "chain {chain} of the ledger was cut off: it ends at position {position}, before the head noted \
         earlier"
    )]
    CutOff {
        /// The number of the chain.
        chain: u16,
        /// The position of its last event.
        position: u64,
    },
    /// Each chain is consistent, but they do not lead to the head that was noted earlier.
    #[error(
        "the ledger was rewritten: its events up to {positions} do not lead to the head noted earlier"
    )]
    Rewritten {
        /// The positions in the noted head.
        positions: Positions,
    },
}

impl Audit {
    /// Starts before the first event. `noted` is a head that was noted earlier, if there is one.
    pub fn new(noted: Option<LedgerHead>) -> Self {
        Self { heads: Vec::new(), noted, passed: Vec::new(), takes_hidden: false, hidden: 0 }
    }

    /// Takes the hashes of events that hide their evidence as given, as the holder of a bound key has to.
    ///
    /// Such a hash cannot be computed, so nothing ties it to the events before it. What is checked then: each event that
    /// shows its evidence, or has none, follows from the hash before it; no position is missing; and the hashes lead to
    /// the noted head. Only an audit that sees all evidence can tell whether the hidden events are unchanged. It can
    /// use the same noted heads.
    #[must_use]
    pub fn taking_hidden(self) -> Self {
        Self { takes_hidden: true, ..self }
    }

    /// How many events so far hid their evidence.
    pub const fn hidden(&self) -> u64 {
        self.hidden
    }

    /// Checks the next event of a chain.
    ///
    /// # Errors
    /// If it does not follow the event before it, or hides its evidence and [`taking_hidden`](Self::taking_hidden) was
    /// not called.
    pub fn check(&mut self, event: &Event) -> Result<(), BrokenChain> {
        let Event { chain, position, hides_evidence, .. } = *event;
        let broken = |position| BrokenChain::Link { chain, position };
        if usize::from(chain) >= Positions::MAX_CHAINS {
            return Err(broken(1));
        }
        while self.heads.len() <= usize::from(chain) {
            // There are no more chains than `u16` numbers.
            let next = u16::try_from(self.heads.len()).unwrap_or(u16::MAX);
            self.heads.push(ChainHead::empty(next));
        }
        let head = &mut self.heads[usize::from(chain)];
        if !head.precedes(event) {
            return Err(broken(head.position + 1));
        }
        if hides_evidence && !self.takes_hidden {
            return Err(BrokenChain::Hidden { chain, position });
        }
        self.hidden += u64::from(hides_evidence);
        *head = event.head();
        if self.noted.as_ref().is_some_and(|noted| noted.positions.of(chain) == position) {
            self.passed.push(event.head());
        }
        Ok(())
    }

    /// Returns the head after the last event.
    ///
    /// # Errors
    /// If the ledger does not reach the noted head, or its events do not lead to it.
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
