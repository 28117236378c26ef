//! Keeps track of erasures whose bytes might still be in the files.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The time of this process's oldest erasure that has not been vacuumed away yet.
#[derive(Debug, Default)]
pub(crate) struct Erasures(Mutex<Option<Instant>>);

impl Erasures {
    /// Records that a commit is about to erase something.
    pub(crate) fn note(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
    }

    /// Takes the record, for a vacuum. If the vacuum fails, [`Erasures::put_back`] restores it.
    pub(crate) fn take(&self) -> Option<Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Restores what [`Erasures::take`] took, after a vacuum failed.
    pub(crate) fn put_back(&self, since: Instant) {
        let mut oldest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *oldest = Some(oldest.map_or(since, |noted| noted.min(since)));
    }

    /// Returns how long ago the oldest erasure was.
    pub(crate) fn age(&self) -> Option<Duration> {
        let oldest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        oldest.map(|since| since.elapsed())
    }
}
