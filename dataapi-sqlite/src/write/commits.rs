//! Counts commits, and the requests in each.

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender};
use dataapi_core::BatchSizes;

/// How many commits there were, by the number of their requests.
#[derive(Debug)]
pub(crate) struct Commits {
    counts: [AtomicU64; 12],
    sum: AtomicU64,
    /// Wakes the upkeep thread. It has room for one signal.
    many: (Sender<()>, Receiver<()>),
}

/// The upkeep thread is woken each time that there were so many requests.
const MANY: u64 = 500;

impl Default for Commits {
    fn default() -> Self {
        let many = crossbeam_channel::bounded(1);
        Self { counts: Default::default(), sum: AtomicU64::default(), many }
    }
}

impl Commits {
    /// Counts a commit of `size` requests.
    pub(crate) fn count(&self, size: usize) {
        let size = size as u64;
        self.counts[BatchSizes::bucket(size)].fetch_add(1, Ordering::Relaxed);
        let before = self.sum.fetch_add(size, Ordering::Relaxed);
        if before / MANY < (before + size) / MANY {
            // If the channel is full, the thread has not received the earlier signal yet: that one is enough.
            let _ = self.many.0.try_send(());
        }
    }

    /// The channel that receives a signal after many requests.
    pub(crate) fn many(&self) -> &Receiver<()> {
        &self.many.1
    }

    /// How many commits there were.
    pub(crate) fn number(&self) -> u64 {
        self.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// How many requests they had in all.
    pub(crate) fn requests(&self) -> u64 {
        self.sum.load(Ordering::Relaxed)
    }

    pub(crate) fn sizes(&self) -> BatchSizes {
        BatchSizes {
            counts: std::array::from_fn(|at| self.counts[at].load(Ordering::Relaxed)),
            sum: self.sum.load(Ordering::Relaxed),
        }
    }
}
