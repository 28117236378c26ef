//! What was erased and may still be in a file: since when, and who is told of it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};

/// When the oldest erasure was committed whose bytes may still be in a file.
#[derive(Debug)]
pub(crate) struct Erasures {
    oldest: Mutex<Option<Instant>>,
    /// Has a place for one word: that there is an oldest now.
    noted: (Sender<()>, Receiver<()>),
}

impl Default for Erasures {
    fn default() -> Self {
        Self { oldest: Mutex::default(), noted: crossbeam_channel::bounded(1) }
    }
}

impl Erasures {
    /// Called when one is committed, before the lock on the log is given back.
    pub(crate) fn note(&self) {
        self.oldest().get_or_insert_with(Instant::now);
        // Where the word is there already, it is yet to be heard.
        let _ = self.noted.0.try_send(());
    }

    /// Where it is heard that one was noted.
    pub(crate) fn noted(&self) -> &Receiver<()> {
        &self.noted.1
    }

    /// How long ago it was.
    pub(crate) fn age(&self) -> Option<Duration> {
        self.oldest().map(|oldest| oldest.elapsed())
    }

    /// Called while the lock on the log is held, so that there are no new ones.
    pub(crate) fn clear(&self) {
        *self.oldest() = None;
    }

    fn oldest(&self) -> MutexGuard<'_, Option<Instant>> {
        self.oldest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_erasure_is_heard_of_at_once_and_waits_from_the_first_one_on() {
        let erasures = Erasures::default();
        assert!(erasures.noted().try_recv().is_err());
        assert_eq!(erasures.age(), None);
        erasures.note();
        let first = *erasures.oldest();
        erasures.note();
        assert!(erasures.noted().try_recv().is_ok());
        assert_eq!(*erasures.oldest(), first);
        erasures.clear();
        assert_eq!(erasures.age(), None);
    }
}
