//! Remembers since when erased bytes might still be in a file, and wakes the upkeep thread.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};

/// The time of the oldest erasure whose bytes might still be in a file.
#[derive(Debug)]
pub(crate) struct Erasures {
    oldest: Mutex<Option<Instant>>,
    /// Wakes the upkeep thread. It has room for one signal.
    noted: (Sender<()>, Receiver<()>),
}

impl Default for Erasures {
    fn default() -> Self {
        Self { oldest: Mutex::default(), noted: crossbeam_channel::bounded(1) }
    }
}

impl Erasures {
    /// Notes an erasure. The writer calls this just before it commits one, while it holds the lock on the log.
    pub(crate) fn note(&self) {
        self.oldest().get_or_insert_with(Instant::now);
        // If the channel is full, the thread has not received the earlier signal yet: that one is enough.
        let _ = self.noted.0.try_send(());
    }

    /// The channel that receives a signal when an erasure is noted.
    pub(crate) fn noted(&self) -> &Receiver<()> {
        &self.noted.1
    }

    /// The time since the oldest erasure; `None` if there is none.
    pub(crate) fn age(&self) -> Option<Duration> {
        self.oldest().map(|oldest| oldest.elapsed())
    }

    /// Forgets the erasures. The caller holds the lock on the log, so that none is noted meanwhile.
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
