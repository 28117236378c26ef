//! The chains of a store, and the chain of each event. The database numbers the events of all chains in one sequence.
//!
//! A store that was made as a copy of another one keeps the chains of that store and adds nothing to them. Their
//! numbers follow each other, chain by chain, and the events of the store's own chain come last. A store that is not
//! a copy has only its own chain, number 0: there, the position of an event is also its number.

use std::sync::Arc;

use dataapi_core::ChainHead;
use rusqlite::Connection;

use crate::rows::event_number::EventNumber;
use crate::rows::values;

/// A chain that the store was copied with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CopiedChain {
    pub(crate) number: u16,
    /// The number of its last event.
    pub(crate) last: EventNumber,
}

/// The chains of a store. They stay the same for the lifetime of the store.
#[derive(Clone, Debug)]
pub(crate) struct Chains {
    /// By number. Shared, since each read gets a clone.
    copied: Arc<[CopiedChain]>,
}

/// One chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) number: u16,
    /// The number of the last event before the chain.
    pub(crate) base: EventNumber,
    /// The number of its last event; `None` for the store's own chain, which grows.
    pub(crate) last: Option<EventNumber>,
}

impl Chain {
    /// The number that its event at this position has, or would have.
    pub(crate) fn event_number(&self, position: u64) -> EventNumber {
        self.base.plus(position)
    }

    /// How many events it has; `None` for the store's own chain.
    pub(crate) fn events(&self) -> Option<u64> {
        self.last.map(|last| last.get() - self.base.get())
    }
}

impl Chains {
    /// The chains of a store that begins as a copy of one with these chain heads.
    pub(crate) fn after(heads: &[ChainHead]) -> Self {
        let mut heads: Vec<_> = heads.iter().filter(|head| head.position > 0).collect();
        heads.sort_by_key(|head| head.chain);
        let mut last = EventNumber::START;
        let copied = heads.iter().map(|head| {
            last = last.plus(head.position);
            CopiedChain { number: head.chain, last }
        });
        Self { copied: copied.collect() }
    }

    /// Reads the chains of a store.
    pub(crate) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let mut select =
            connection.prepare("SELECT number, last FROM copied_chain ORDER BY number")?;
        let copied = select
            .query_map((), |row| Ok(CopiedChain { number: row.get(0)?, last: row.get(1)? }))?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        let is_whole = copied.is_sorted_by(|one, next| one.last < next.last)
            && copied.first().is_none_or(|first| first.last > EventNumber::START)
            && copied.last().is_none_or(|last| last.number < u16::MAX);
        if is_whole { Ok(Self { copied: copied.into() }) } else { Err(values::damaged(1)) }
    }

    /// The copied chains, which do not grow.
    pub(crate) fn copied(&self) -> &[CopiedChain] {
        &self.copied
    }

    /// The store's own chain, which grows.
    pub(crate) fn live(&self) -> Chain {
        match self.copied.last() {
            None => Chain { number: 0, base: EventNumber::START, last: None },
            Some(copied) => Chain { number: copied.number + 1, base: copied.last, last: None },
        }
    }

    /// All chains, by number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Chain> + '_ {
        (0..=self.copied.len()).map(|index| self.at(index))
    }

    /// The chain with this number, if there is one.
    pub(crate) fn find(&self, number: u16) -> Option<Chain> {
        let index = self.copied.partition_point(|copied| copied.number < number);
        Some(self.at(index)).filter(|chain| chain.number == number)
    }

    /// The number that the event at this position of a chain has, or would have. `None` if the store has no such chain,
    /// or the chain cannot have an event there.
    pub(crate) fn event_number(&self, number: u16, position: u64) -> Option<EventNumber> {
        let chain = self.find(number)?;
        let is_in_it = position > 0 && chain.events().is_none_or(|events| position <= events);
        is_in_it.then(|| chain.event_number(position))
    }

    /// The chain of an event, and the event's position in it.
    pub(crate) fn of(&self, event: EventNumber) -> (Chain, u64) {
        let chain = self.at(self.copied.partition_point(|copied| copied.last < event));
        (chain, event.get().saturating_sub(chain.base.get()))
    }

    fn at(&self, index: usize) -> Chain {
        let Some(CopiedChain { number, last }) = self.copied.get(index).copied() else {
            return self.live();
        };
        let before = index.checked_sub(1).and_then(|before| self.copied.get(before));
        Chain {
            number,
            base: before.map_or(EventNumber::START, |copied| copied.last),
            last: Some(last),
        }
    }
}

/// Adds the copied chains to a new store.
pub(crate) fn add(connection: &Connection, chains: &Chains) -> rusqlite::Result<()> {
    let mut add = connection.prepare_cached("INSERT INTO copied_chain VALUES (?1, ?2, 0)")?;
    for copied in chains.copied() {
        add.execute((copied.number, copied.last))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chains() -> Chains {
        let head = |chain, position| ChainHead { position, ..ChainHead::empty(chain) };
        Chains::after(&[head(4, 2), head(0, 3), head(2, 0)])
    }

    #[test]
    fn chains_lie_one_after_the_other_and_the_live_one_behind_them() {
        let chains = chains();
        let found: Vec<_> = (1..=7).map(|event| chains.of(EventNumber::new(event))).collect();
        let found: Vec<_> =
            found.iter().map(|(chain, position)| (chain.number, *position)).collect();
        assert_eq!(found, [(0, 1), (0, 2), (0, 3), (4, 1), (4, 2), (5, 1), (5, 2)]);
        for (event, (chain, position)) in (1..).zip(found) {
            assert_eq!(chains.event_number(chain, position), Some(EventNumber::new(event)));
        }
        assert_eq!(chains.iter().map(|chain| chain.number).collect::<Vec<_>>(), [0, 4, 5]);
    }

    #[test]
    fn an_event_that_no_chain_has_has_no_number() {
        for (chain, position) in [(0, 0), (0, 4), (1, 1), (2, 1), (4, 3), (5, 0), (6, 1)] {
            assert_eq!(chains().event_number(chain, position), None, "{position} of {chain}");
        }
    }

    #[test]
    fn where_there_is_one_chain_positions_are_numbers_of_events() {
        let chains = Chains::after(&[]);
        assert_eq!(chains.event_number(0, 17), Some(EventNumber::new(17)));
        assert_eq!(chains.of(EventNumber::new(17)), (chains.live(), 17));
    }
}
