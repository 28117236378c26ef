//! Bounds how often refused requests are told: the first of a kind each, the others by their number. Anyone can send
//! them, and must not fill a disk with them.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dataapi_core::Date;

/// How many requests of one kind are told one by one before the others are only counted.
pub(crate) const TOLD: u64 = 10;

/// How many kinds are told apart. Further ones are counted together, and none of them is told.
const KINDS: usize = 256;

/// The refused requests since the last [`take`](Self::take), by kind.
#[derive(Debug)]
pub(crate) struct Refusals<K>(Mutex<Counts<K>>);

#[derive(Debug)]
struct Counts<K> {
    since: Option<Date>,
    by_kind: HashMap<K, u64>,
    others: u64,
}

/// How many requests were not told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Suppressed<K> {
    /// When the first request was refused, told or not.
    pub(crate) since: Date,
    /// `None` for the kinds that were counted together.
    pub(crate) kind: Option<K>,
    pub(crate) count: u64,
}

impl<K: Eq + Hash> Refusals<K> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Counts { since: None, by_kind: HashMap::new(), others: 0 }))
    }

    /// Counts a request that is refused now. Returns whether it is told.
    pub(crate) fn count(&self, kind: K, now: Date) -> bool {
        let mut counts = self.lock();
        let Counts { since, by_kind, others } = &mut *counts;
        since.get_or_insert(now);
        if let Some(count) = by_kind.get_mut(&kind) {
            *count += 1;
            *count <= TOLD
        } else if by_kind.len() < KINDS {
            by_kind.insert(kind, 1);
            true
        } else {
            *others += 1;
            false
        }
    }

    /// Returns what was not told, and starts to count from zero.
    pub(crate) fn take(&self) -> Vec<Suppressed<K>> {
        let mut counts = self.lock();
        let Some(since) = counts.since.take() else { return Vec::new() };
        let others = std::mem::take(&mut counts.others);
        let by_kind = std::mem::take(&mut counts.by_kind);
        drop(counts);
        let by_kind =
            by_kind.into_iter().map(|(kind, count)| (Some(kind), count - count.min(TOLD)));
        by_kind
            .chain([(None, others)])
            .filter(|(_, count)| *count > 0)
            .map(|(kind, count)| Suppressed { since, kind, count })
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Counts<K>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_each_kind_are_told_and_the_others_counted() {
        let refusals = Refusals::new();
        for number in 0..TOLD + 5 {
            assert_eq!(refusals.count("a", Date::MIN), number < TOLD);
        }
        assert!(refusals.count("b", Date::MAX));
        let suppressed = Suppressed { since: Date::MIN, kind: Some("a"), count: 5 };
        assert_eq!(refusals.take(), [suppressed]);
        assert_eq!(refusals.take(), [], "they are told once");
        assert!(refusals.count("a", Date::MAX), "the count starts from zero");
    }

    #[test]
    fn any_number_of_kinds_takes_bounded_memory() {
        let refusals = Refusals::new();
        let told = (0..100_000).filter(|kind| refusals.count(*kind, Date::MIN)).count();
        assert_eq!(told, KINDS);
        let count = 100_000 - KINDS as u64;
        assert_eq!(refusals.take(), [Suppressed { since: Date::MIN, kind: None, count }]);
    }
}
