//! Which erasures may have left bytes in the files, and since when.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The oldest erasure of this process that was not cleaned up after.
#[derive(Debug, Default)]
pub(crate) struct Erasures(Mutex<Option<Instant>>);

impl Erasures {
    /// Notes that something is about to be erased.
    pub(crate) fn note(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
    }

    /// Takes all that were noted, to clean up after them; puts them back by [`Erasures::put_back`].
    pub(crate) fn take(&self) -> Option<Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Notes again what could not be cleaned up after.
    pub(crate) fn put_back(&self, since: Instant) {
        let mut oldest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *oldest = Some(oldest.map_or(since, |noted| noted.min(since)));
    }

    /// How long ago the oldest was.
    pub(crate) fn age(&self) -> Option<Duration> {
        let oldest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        oldest.map(|since| since.elapsed())
    }
}
