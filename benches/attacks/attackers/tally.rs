//! What the attackers count.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::attack::Seen;
use crate::client::Answer;

/// What all attackers saw together.
#[derive(Clone, Default)]
pub(crate) struct Tally(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    open: u64,
    bytes: u64,
    without_retry_after: u64,
    seen: Seen,
}

/// A connection, counted as open until this is dropped.
pub(crate) struct Open(Tally);

impl Tally {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a connection that was opened.
    pub(crate) fn opened(&self) -> Open {
        let mut counts = self.counts();
        counts.open += 1;
        counts.seen.opened += 1;
        counts.seen.most_open = counts.seen.most_open.max(counts.open);
        drop(counts);
        Open(self.clone())
    }

    /// Counts a connection that the server ended or refused.
    pub(crate) fn ended(&self) {
        self.counts().seen.ended += 1;
    }

    pub(crate) fn answer(&self, answer: &Answer) {
        self.answered(answer.status, answer.retry_after);
    }

    pub(crate) fn answered(&self, status: u16, retry_after: bool) {
        let mut counts = self.counts();
        *counts.seen.answers.entry(status).or_default() += 1;
        if matches!(status, 429 | 503) && !retry_after {
            counts.without_retry_after += 1;
        }
    }

    pub(crate) fn read(&self, bytes: usize) {
        self.counts().bytes += bytes as u64;
    }

    pub(crate) fn note(&self, note: String) {
        self.counts().seen.notes.push(note);
    }

    pub(crate) fn broken(&self, what: String) {
        self.counts().seen.broken.push(what);
    }

    /// Returns what was seen, and counts from zero.
    pub(crate) fn seen(&self, processor_time: Duration) -> Seen {
        let Counts { mut seen, bytes, without_retry_after, .. } =
            std::mem::take(&mut *self.counts());
        if without_retry_after > 0 {
            seen.broken.push(format!("{without_retry_after} refusals without Retry-After"));
        }
        let failed =
            |(status, count): (&u16, &u64)| (*status >= 500 && *status != 503).then_some(*count);
        let failed: u64 = seen.answers.iter().filter_map(failed).sum();
        if failed > 0 {
            seen.broken.push(format!("{failed} answers of 500 or above, other than 503"));
        }
        seen.megabytes_read = bytes as f64 / 1e6;
        seen.processor_seconds = processor_time.as_secs_f64();
        seen
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.counts().open -= 1;
    }
}
