//! Remembers since when erased bytes might still be in a file, and wakes the upkeep thread.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};

/// The times of the oldest erasures whose bytes might still be in a file.
#[derive(Debug)]
pub(crate) struct Erasures {
    oldest: Mutex<Oldest>,
    /// Wakes the upkeep thread. It has room for one signal.
    noted: (Sender<()>, Receiver<()>),
}

#[derive(Debug, Default)]
struct Oldest {
    /// Of those that no scrub deals with yet.
    waiting: Option<Instant>,
    /// Of those whose bytes a scrub is overwriting.
    in_scrub: Option<Instant>,
}

impl Default for Erasures {
    fn default() -> Self {
        Self { oldest: Mutex::default(), noted: crossbeam_channel::bounded(1) }
    }
}

impl Erasures {
    /// Notes an erasure. The writer calls this just before it commits one, while it holds the lock on the log.
    pub(crate) fn note(&self) {
        let mut oldest = self.oldest();
        if oldest.waiting.is_none() {
            oldest.waiting = Some(Instant::now());
            // If the channel is full, the thread has not received the earlier signal yet: that one is enough.
            let _ = self.noted.0.try_send(());
        }
    }

    /// The channel that receives a signal when an erasure is noted.
    pub(crate) fn noted(&self) -> &Receiver<()> {
        &self.noted.1
    }

    /// The time since the oldest erasure; `None` if there is none.
    pub(crate) fn age(&self) -> Option<Duration> {
        let Oldest { waiting, in_scrub } = *self.oldest();
        // Those in a scrub came first.
        in_scrub.or(waiting).map(|oldest| oldest.elapsed())
    }

    /// The time since the oldest erasure that no scrub deals with yet; `None` if there is none.
    pub(crate) fn waiting(&self) -> Option<Duration> {
        self.oldest().waiting.map(|oldest| oldest.elapsed())
    }

    /// From now on a scrub deals with the erasures so far. The caller holds the lock on the log, so that none is noted
    /// meanwhile.
    pub(crate) fn begin_scrub(&self) {
        let mut oldest = self.oldest();
        oldest.in_scrub = oldest.in_scrub.or(oldest.waiting);
        oldest.waiting = None;
    }

    /// Forgets the erasures that the scrub has dealt with.
    pub(crate) fn end_scrub(&self) {
        self.oldest().in_scrub = None;
    }

    /// Forgets all erasures. The caller holds the lock on the log, so that none is noted meanwhile.
    pub(crate) fn forget(&self) {
        *self.oldest() = Oldest::default();
    }

    /// The scrub did not finish: its erasures wait for the next one.
    pub(crate) fn give_up_scrub(&self) {
        let mut oldest = self.oldest();
        oldest.waiting = oldest.in_scrub.take().or(oldest.waiting);
    }

    fn oldest(&self) -> MutexGuard<'_, Oldest> {
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
        let first = erasures.oldest().waiting;
        erasures.note();
        assert!(erasures.noted().try_recv().is_ok());
        assert_eq!(erasures.oldest().waiting, first);
        erasures.begin_scrub();
        erasures.end_scrub();
        assert_eq!(erasures.age(), None);
    }

    #[test]
    fn an_erasure_during_a_scrub_waits_for_the_next_one() {
        let erasures = Erasures::default();
        erasures.note();
        erasures.begin_scrub();
        assert_eq!(erasures.waiting(), None);
        assert!(erasures.age().is_some());
        erasures.note();
        let second = erasures.oldest().waiting;
        erasures.end_scrub();
        assert_eq!(erasures.oldest().waiting, second);
        assert!(erasures.age().is_some());
    }

    #[test]
    fn an_erasure_waits_on_from_its_own_time_if_the_scrub_does_not_finish() {
        let erasures = Erasures::default();
        erasures.note();
        let first = erasures.oldest().waiting;
        erasures.begin_scrub();
        erasures.note();
        erasures.give_up_scrub();
        assert_eq!(erasures.oldest().waiting, first);
        assert_eq!(erasures.oldest().in_scrub, None);
    }
}
