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
        Self { heads: Vec::new(), noted, passed: Vec::new() }
    }

    /// Checks the next event of a chain.
    ///
    /// # Errors
    /// If it does not follow the event before it.
    pub fn check(&mut self, event: &Event) -> Result<(), BrokenChain> {
        let Event { chain, reference, kind, date, evidence, .. } = event;
        let broken = |position| BrokenChain::Link { chain: *chain, position };
        if usize::from(*chain) >= Positions::MAX_CHAINS {
            return Err(broken(1));
        }
        while self.heads.len() <= usize::from(*chain) {
            // There are no more chains than `u16` numbers.
            let next = u16::try_from(self.heads.len()).unwrap_or(u16::MAX);
            self.heads.push(ChainHead::empty(next));
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
